// SPDX-License-Identifier: MIT
#include "machine.h"

#include "fault.h"
#include "world.h"

#include "base/io.h"
#include "base/socket.h"
#include "base/spawn.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FILE_MOST = 16 << 20, WAITING_CLIENTS = 4096 };

static const char *const hosts[] = {"compute-1", "compute-2"};
// What a machine takes from this one, read-only; what it has together with its bench (fault.h); and what is
// its own, and new for each run.
static const char *const from_here[] = {"usr", "bin", "lib", "lib64"};
static const char *const of_bench[] = {"points", "points.log"};
static const char *const own_folders[] = {"etc", "root", "run", "var", "tmp", "proc"};

static _Noreturn void broken(const char *path)
{
    fprintf(stderr, "sweep: %s: %s\n", path, strerror(errno));
    exit(2);
}

static char *path_on(const char *bench, const char *host, const char *path)
{
    return xasprintf("%s/hosts/%s%s", bench, host, path);
}

static const char *this_bench(void) { return getenv("MIGRUN_WORLD"); }

static void make(const char *path, mode_t mode)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        broken(path);
}

static void write_text(const char *path, const char *text, size_t len, mode_t mode)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, text, len) < 0 || fchmod(fd, mode) < 0)
        broken(path);
}

static void write_on(const char *bench, const char *host, const char *path, const char *text)
{
    auto_free char *full = path_on(bench, host, path);
    write_text(full, text, strlen(text), 0644);
}

static char *text_of(const char *path)
{
    char *text;
    size_t len;
    return read_whole_file(path, FILE_MOST, &text, &len) == 0 ? text : NULL;
}

// Empties a folder, and goes into none that is another file system, or cannot be written.
static void clear(const char *path, dev_t device)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        struct stat st;
        if (STREQ(entry->d_name, ".") || STREQ(entry->d_name, "..") ||
            fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
            continue;
        auto_free char *inner = xasprintf("%s/%s", path, entry->d_name);
        if (S_ISDIR(st.st_mode))
            clear(inner, device);
        unlinkat(dirfd(folder), entry->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0); // a mount stays
    }
    if (folder)
        closedir(folder);
}

void clear_folder(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0)
        clear(path, st.st_dev);
}

// ---- the machines themselves ----

void machines_begin(void)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", MACHINES_BELOW, "tmpfs", 0, "mode=1777") == 0)
        return;
    fprintf(stderr, "sweep: its hosts need mounts of their own, which root alone may make: sudo\n");
    exit(2);
}

static void mount_at(const char *from, const char *to, bool read_only)
{
    if (mount(from, to, NULL, MS_BIND, NULL) < 0 ||
        (read_only && mount("none", to, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0))
        broken(to);
}

static void take_from_here(const char *root, const char *name)
{
    struct stat st;
    char target[256];
    auto_free char *from = xasprintf("/%s", name), *to = xasprintf("%s/%s", root, name);
    if (lstat(from, &st) < 0)
        return;
    if (!S_ISLNK(st.st_mode)) {
        make(to, 0755);
        mount_at(from, to, true);
        return;
    }
    ssize_t len = readlink(from, target, sizeof target - 1);
    target[len < 0 ? 0 : len] = '\0';
    if (symlink(target, to) < 0)
        broken(to);
}

static void copy_program(const char *to)
{
    char self[4096], *text;
    size_t size;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len < 0 ? 0 : len] = '\0';
    *strrchr(self, '/') = '\0';
    auto_free char *from = xasprintf("%s/machine", self);
    if (read_whole_file(from, FILE_MOST, &text, &size) < 0)
        broken(from);
    write_text(to, text, size, 0755);
    free(text);
}

static void make_stand_ins(const char *bench, const char *root)
{
    static const char *const programs[] = {"systemctl", "virsh",        "journalctl", "ssh-keygen",
                                           "sshd",      "nova-compute", "nft"};
    auto_free char *folder = xasprintf("%s" MACHINE_STAND_INS, root), *units = xasprintf("%s/units", folder),
                   *taken = xasprintf("%s/taken", folder), *program = xasprintf("%s/migrun-agent", folder);
    make(folder, 0755);
    make(units, 0755);
    make(taken, 0755);
    copy_program(program);
    for (size_t i = 0; i < COUNT_OF(of_bench); i++) {
        auto_free char *from = xasprintf("%s/%s", bench, of_bench[i]),
                       *to = xasprintf("%s/%s", folder, of_bench[i]);
        if (link(from, to) < 0)
            broken(to);
    }
    for (size_t i = 0; i < COUNT_OF(programs); i++) {
        auto_free char *link_name = xasprintf("%s/%s", folder, programs[i]);
        if (symlink("migrun-agent", link_name) < 0)
            broken(link_name);
    }
}

// libvirtd's, which answers; its clients are never served.
static int listening[COUNT_OF(hosts)];

static void make_machine(const char *bench, size_t number)
{
    auto_free char *root = path_on(bench, hosts[number], ""), *proc = xasprintf("%s/.proc", root),
                   *null = xasprintf("%s/dev/null", root), *dev = xasprintf("%s/dev", root),
                   *socket = xasprintf("%s" MACHINE_STAND_INS "/libvirtd.sock", root);
    make(root, 0755);
    make_stand_ins(bench, root);
    mount_at(root, root, false); // a preview's agent makes its root read-only: it has to be a mount
    for (size_t i = 0; i < COUNT_OF(from_here); i++)
        take_from_here(root, from_here[i]);
    for (size_t i = 0; i < COUNT_OF(own_folders); i++) {
        auto_free char *folder = xasprintf("%s/%s", root, own_folders[i]);
        make(folder, 0755);
    }
    make(proc, 0555);
    mount_at("/proc", proc, true);
    make(dev, 0755);
    if (mknod(null, S_IFCHR | 0666, makedev(1, 3)) < 0 || chmod(null, 0666) < 0)
        broken(null);
    static const char *const above[] = {"/var/lib", "/var/lib/nova", WORLD_INSTANCES};
    for (size_t i = 0; i < COUNT_OF(above); i++) {
        auto_free char *folder = xasprintf("%s%s", root, above[i]);
        make(folder, 0755);
    }
    auto_free char *shared = xasprintf("%s/instances", bench), *there = xasprintf("%s" WORLD_INSTANCES, root);
    mount_at(shared, there, false);
    listening[number] = unix_listen(socket, WAITING_CLIENTS);
    if (listening[number] < 0 || fcntl(listening[number], F_SETFL, O_NONBLOCK) < 0)
        broken(socket);
}

void machines_make(const char *bench)
{
    auto_free char *all = xasprintf("%s/hosts", bench), *shared = xasprintf("%s/instances", bench);
    make(all, 0755);
    make(shared, 0755);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        make_machine(bench, i);
}

void machines_unmake(const char *bench)
{
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        static const char *const mounts[] = {WORLD_INSTANCES, "/.proc", "/usr", "/bin", "/lib", "/lib64", ""};
        util_close_fd(&listening[i]);
        for (size_t k = 0; k < COUNT_OF(mounts); k++) {
            auto_free char *path = path_on(bench, hosts[i], mounts[k]);
            umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW); // where it is none, it needs none
        }
    }
}

// ---- laying out ----

// Members of /proc that the kernel would tell of this machine, or of all processes on it.
static void lay_out_proc(const char *bench, const char *host, int number)
{
    static const char *const folders[] = {"/proc/self", "/proc/sys", "/proc/sys/kernel",
                                          "/proc/sys/kernel/random"};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        auto_free char *path = path_on(bench, host, folders[i]);
        make(path, 0555);
    }
    auto_free char *fds = path_on(bench, host, "/proc/self/fd"),
                   *exe = path_on(bench, host, "/proc/self/exe"), *boot = xasprintf("boot-%d\n", number);
    if (symlink("/.proc/self/fd", fds) < 0 || symlink("/.proc/self/exe", exe) < 0)
        broken(fds);
    write_on(bench, host, "/proc/sys/kernel/random/boot_id", boot);
    write_on(bench, host, "/proc/self/mountinfo",
             "21 1 254:1 / / rw - ext4 /dev/vda1 rw\n"
             "22 21 0:45 / " WORLD_INSTANCES " rw - nfs4 store:/instances rw\n");
    write_on(bench, host, "/proc/meminfo",
             "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\nHugePages_Total: 0\nHugePages_Free: 0\n"
             "Hugepagesize: 2048 kB\n");
    write_on(bench, host, "/proc/cpuinfo", "model name\t: QEMU Virtual CPU\nflags\t\t: fpu sse2\n\n");
    write_on(bench, host, "/proc/stat", "cpu 0\nbtime 1700000000\n");
}

// Where programs find their libraries: without it each would look for a while.
static void copy_cache(const char *bench, const char *host)
{
    static char *cache;
    static size_t len;
    auto_free char *to = path_on(bench, host, "/etc/ld.so.cache");
    if (cache || read_whole_file("/etc/ld.so.cache", FILE_MOST, &cache, &len) == 0)
        write_text(to, cache, len, 0644);
}

static void lay_out_system(const char *bench, const char *host, int number)
{
    auto_free char *id = xasprintf("%032d\n", number),
                   *names = xasprintf("127.0.0.1 localhost\n127.0.1.1 %s.example %s\n", host, host);
    write_on(bench, host, "/etc/machine-id", id);
    write_on(bench, host, "/etc/hosts", names);
    write_on(bench, host, "/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12\"\n");
    write_on(bench, host, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
    write_on(bench, host, "/etc/passwd",
             "root:x:0:0::/root:/bin/sh\nlibvirt-qemu:x:64055:64055::/:/bin/false\n");
    write_on(bench, host, "/etc/group", "root:x:0:\nlibvirt-qemu:x:64055:\n");
    copy_cache(bench, host);
}

static void put_file(const char *bench, const char *host, const char *path, const json_t *file)
{
    auto_free char *full = path_on(bench, host, path);
    const char *content = json_str(file, "content", "");
    mode_t mode = (mode_t)json_int(file, "mode", 0);
    uid_t uid = (uid_t)json_int(file, "uid", 0);
    gid_t gid = (gid_t)json_int(file, "gid", 0);
    if (STREQ(json_str(file, "type", ""), "directory"))
        make(full, mode);
    else
        write_text(full, content, strlen(content), mode);
    if ((uid || gid) && (chown(full, uid, gid) < 0 || chmod(full, mode) < 0))
        broken(full);
}

static void put_files(const char *bench, const char *host, const json_t *files)
{
    const char *path;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)files, path, file)
        put_file(bench, host, path, file);
}

static void put_claims(const char *bench, const char *host, const json_t *claims)
{
    static const char *const folders[] = {"/var/lib/migrun", "/var/lib/migrun/claims"};
    const char *run;
    json_t *claim;
    json_object_foreach((json_t *)(uintptr_t)claims, run, claim) {
        for (size_t i = 0; i < COUNT_OF(folders); i++) {
            auto_free char *folder = path_on(bench, host, folders[i]);
            make(folder, 0700);
        }
        auto_free char *text = json_dumps(claim, JSON_COMPACT),
                       *name = xasprintf("/var/lib/migrun/claims/%s.json", run);
        write_on(bench, host, name, text);
    }
}

static void set_unit(const char *bench, const char *host, const char *unit, const char *state)
{
    auto_free char *name = xasprintf(MACHINE_STAND_INS "/units/%s", unit);
    write_on(bench, host, name, state);
    auto_free char *socket = path_on(bench, host, MACHINE_STAND_INS "/libvirtd.sock"),
                   *there = path_on(bench, host, "/run/libvirt/libvirt-sock");
    if (!STREQ(unit, "libvirtd"))
        return;
    unlink(there);
    if (STREQ(state, "active") && link(socket, there) < 0)
        broken(there);
}

// Those that the runs before left waiting at the socket.
static void turn_away_clients(size_t number)
{
    for (int client; (client = accept(listening[number], NULL, NULL)) >= 0;)
        close(client);
}

static void lay_out(const char *bench, size_t number, const json_t *host)
{
    const char *name = hosts[number], *unit;
    json_t *state;
    static const char *const emptied[] = {"/etc",
                                          "/root",
                                          "/run",
                                          "/var",
                                          "/tmp",
                                          "/proc",
                                          MACHINE_STAND_INS "/units",
                                          MACHINE_STAND_INS "/taken"};
    for (size_t i = 0; i < COUNT_OF(emptied); i++) {
        auto_free char *folder = path_on(bench, name, emptied[i]);
        clear_folder(folder);
    }
    turn_away_clients(number);
    put_files(bench, name, json_object_get(host, "files"));
    put_claims(bench, name, json_object_get(host, "claims"));
    lay_out_system(bench, name, (int)number + 1);
    lay_out_proc(bench, name, (int)number + 1);
    json_object_foreach(json_object_get(host, "services"), unit, state)
        set_unit(bench, name, unit, json_string_value(state));
}

void machines_lay_out(const char *bench, const json_t *w)
{
    auto_free char *shared = xasprintf("%s/instances", bench);
    clear_folder(shared);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        lay_out(bench, i, world_host(w, hosts[i]));
    put_files(bench, hosts[0], json_object_get(w, "shared"));
    for (size_t i = 0; json_flag(w, "writes_anew", false) && i < COUNT_OF(hosts); i++)
        write_on(bench, hosts[i], MACHINE_STAND_INS "/writes-anew", "");
    machines_show_guests(bench, w);
}

// ---- guests, for the agents ----

static void show_process(const char *bench, const char *host, const json_t *domain)
{
    int pid = (int)json_int(domain, "pid", 0);
    auto_free char *folder = xasprintf("/proc/%d", pid), *there = path_on(bench, host, folder);
    if (mkdir(there, 0555) < 0)
        return; // it is shown already
    auto_free char *fds = xasprintf("%s/fd", there), *disk = xasprintf("%s/10", fds),
                   *words = xasprintf("%s/cmdline", there), *status = xasprintf("%s/status", folder),
                   *stat = xasprintf("%s/stat", folder),
                   *line = xasprintf("qemu-system-x86_64\n-name\nguest=%s,debug-threads=on\n-uuid\n%s\n",
                                     json_str(domain, "name", ""), json_str(domain, "uuid", "")),
                   *numbers = xasprintf("%d (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 4000 0 0\n", pid);
    size_t len = strlen(line);
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\n')
            line[i] = '\0';
    write_text(words, line, len, 0444);
    write_on(bench, host, status,
             "Name:\tqemu\nUid:\t64055\t64055\t64055\t64055\n"
             "Gid:\t64055\t64055\t64055\t64055\n");
    write_on(bench, host, stat, numbers);
    make(fds, 0500);
    if (symlink(WORLD_FOLDER "/disk", disk) < 0)
        broken(disk);
}

static bool is_process_of(const json_t *domains, const char *name)
{
    const char *uuid;
    json_t *domain;
    json_object_foreach((json_t *)(uintptr_t)domains, uuid, domain)
        if (json_int(domain, "pid", 0) == atoi(name))
            return true;
    return false;
}

static void end_processes(const char *bench, const char *host, const json_t *domains)
{
    auto_free char *proc = path_on(bench, host, "/proc");
    DIR *folder = opendir(proc);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (atoi(entry->d_name) > 0 && !is_process_of(domains, entry->d_name)) {
            auto_free char *path = xasprintf("%s/%s", proc, entry->d_name);
            clear_folder(path);
            rmdir(path);
        }
    if (folder)
        closedir(folder);
}

void machines_show_guests(const char *bench, const json_t *w)
{
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const json_t *domains = json_object_get(world_host(w, hosts[i]), "domains");
        auto_buf struct buf lines = {0};
        const char *uuid;
        json_t *domain;
        json_object_foreach((json_t *)(uintptr_t)domains, uuid, domain) {
            buf_printf(&lines, "%s %s %s %s\n", uuid, json_str(domain, "name", ""),
                       json_flag(domain, "persistent", false) ? "yes" : "no", json_str(domain, "state", ""));
            if (json_int(domain, "pid", 0))
                show_process(bench, hosts[i], domain);
        }
        end_processes(bench, hosts[i], domains);
        write_on(bench, hosts[i], MACHINE_STAND_INS "/guests", lines.data ? lines.data : "");
    }
}

// ---- telling ----

// What belongs to the machine, and not to the world that a run changes.
static bool is_own(const char *path)
{
    static const char *const own[] = {
        "/etc/machine-id",  "/etc/hosts",  "/etc/os-release", "/etc/nsswitch.conf",
        "/etc/ld.so.cache", "/etc/passwd", "/etc/group",      "/run/libvirt/libvirt-sock",
        "/var/lib",
    };
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (STREQ(path, own[i]))
            return true;
    return false;
}

static const char *type_of(mode_t mode)
{
    return S_ISDIR(mode) ? "directory" : S_ISREG(mode) ? "file" : S_ISLNK(mode) ? "symlink" : "other";
}

static void tell_path(const char *bench, const char *host, const char *path, json_t *files);

static void tell_folder(const char *bench, const char *host, const char *path, json_t *files)
{
    auto_free char *full = path_on(bench, host, path);
    DIR *folder = opendir(full);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (STREQ(entry->d_name, ".") || STREQ(entry->d_name, ".."))
            continue;
        auto_free char *inner = xasprintf("%s/%s", path, entry->d_name);
        tell_path(bench, host, inner, files);
    }
    if (folder)
        closedir(folder);
}

static void tell_path(const char *bench, const char *host, const char *path, json_t *files)
{
    struct stat st;
    auto_free char *full = path_on(bench, host, path);
    if (is_own(path) || lstat(full, &st) < 0)
        return;
    auto_free char *content = S_ISREG(st.st_mode) ? text_of(full) : NULL;
    json_object_set_new(files, path,
                        json_pack("{s:s, s:i, s:I, s:I, s:s}", "type", type_of(st.st_mode), "mode",
                                  (int)(st.st_mode & 07777), "uid", (json_int_t)st.st_uid, "gid",
                                  (json_int_t)st.st_gid, "content", content ? content : ""));
    if (S_ISDIR(st.st_mode))
        tell_folder(bench, host, path, files);
}

static json_t *told_files(const char *bench, const char *host)
{
    static const char *const roots[] = {"/etc", "/root", "/run", "/var", "/tmp"};
    json_t *files = json_object();
    auto_free char *root = path_on(bench, host, "/");
    json_object_set_new(files, "/",
                        json_pack("{s:s, s:i, s:i, s:i, s:s}", "type", "directory", "mode", 0755, "uid", 0,
                                  "gid", 0, "content", ""));
    for (size_t i = 0; i < COUNT_OF(roots); i++)
        tell_path(bench, host, roots[i], files);
    return files;
}

// The entries of a folder without what their names end with; those that do not end so are left out. The value
// is the text of the file.
static json_t *told_entries(const char *bench, const char *host, const char *path, const char *end)
{
    json_t *all = json_object();
    auto_free char *full = path_on(bench, host, path);
    DIR *folder = opendir(full);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t len = strlen(entry->d_name), end_len = strlen(end);
        if (STREQ(entry->d_name, ".") || STREQ(entry->d_name, "..") || len <= end_len ||
            !STREQ(entry->d_name + len - end_len, end))
            continue;
        auto_free char *name = xstrndup(entry->d_name, len - end_len),
                       *file = xasprintf("%s/%s", full, entry->d_name), *text = text_of(file);
        json_object_set_new(all, name, json_string(text ? text : ""));
    }
    if (folder)
        closedir(folder);
    return all;
}

void machines_tell(const char *bench, json_t *w)
{
    json_t *shared = json_object();
    tell_path(bench, hosts[0], WORLD_INSTANCES, shared);
    json_object_set_new(w, "shared", shared);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        json_t *host = world_host(w, hosts[i]), *claims = json_object(), *claim;
        const char *run;
        auto_json json_t *told = told_entries(bench, hosts[i], "/var/lib/migrun/claims", ".json");
        json_object_foreach(told, run, claim)
            json_object_set_new(claims, run, json_object());
        json_object_set_new(host, "claims", claims);
        json_object_set_new(host, "files", told_files(bench, hosts[i]));
        json_object_set_new(host, "services", told_entries(bench, hosts[i], MACHINE_STAND_INS "/units", ""));
    }
}

// ---- what changes there by itself ----

void machine_put(const char *host, const char *path, int mode, int64_t owner, const char *content)
{
    auto_json json_t *file = json_pack("{s:s, s:i, s:I, s:I, s:s}", "type", "file", "mode", mode, "uid",
                                       (json_int_t)owner, "gid", (json_int_t)owner, "content", content);
    put_file(this_bench(), host, path, file);
}

bool machine_lets_in(const char *host)
{
    auto_free char *guard = path_on(this_bench(), host, "/etc/migrun/guard.nft"),
                   *run = path_on(this_bench(), host, "/run");
    bool open = access(guard, F_OK) < 0;
    DIR *folder = opendir(run);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        open = open || strncmp(entry->d_name, "migrun_", 7) == 0;
    if (folder)
        closedir(folder);
    return open;
}

void machine_remove(const char *host, const char *path)
{
    auto_free char *full = path_on(this_bench(), host, path);
    if (unlink(full) < 0 && errno != ENOENT)
        broken(full);
}

void machine_give(const char *host, const char *path, int64_t owner)
{
    auto_free char *full = path_on(this_bench(), host, path);
    if (lchown(full, (uid_t)owner, (gid_t)owner) < 0 && errno != ENOENT)
        broken(full);
}

void machine_append(const char *host, const char *path, const char *line)
{
    auto_free char *full = path_on(this_bench(), host, path), *text = xasprintf("%s\n", line);
    auto_fd int fd = open(full, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
        broken(full);
}

char *machine_unit(const char *host, const char *unit)
{
    auto_free char *name = xasprintf(MACHINE_STAND_INS "/units/%s", unit),
                   *full = path_on(this_bench(), host, name);
    char *state = text_of(full);
    return state ? state : xstrdup("");
}

void machine_set_unit(const char *host, const char *unit, const char *state)
{
    set_unit(this_bench(), host, unit, state);
}

char *machine_taken(const char *host, const char *what)
{
    auto_free char *name = xasprintf(MACHINE_STAND_INS "/taken/%s", what),
                   *full = path_on(this_bench(), host, name);
    char *text = text_of(full);
    if (text)
        unlink(full);
    return text;
}

// ---- its agent ----

pid_t machine_agent(const char *host, bool read_only, int in, int out)
{
    auto_free char *root = path_on(this_bench(), host, "");
    pid_t pid = spawn(&(struct spawn){.in = in, .out = out, .err = STDERR_FILENO, .session = true});
    if (pid < 0)
        broken(root);
    if (pid > 0)
        return pid;
    if (unshare(CLONE_NEWUTS) < 0 || sethostname(host, strlen(host)) < 0 || chroot(root) < 0 ||
        chdir("/") < 0)
        broken(root);
    const char *const fault = getenv("MIGRUN_FAULT"), *const points = getenv("MIGRUN_POINTS");
    auto_free char *kept_fault = fault ? xstrdup(fault) : NULL;
    clearenv();
    setenv("PATH", MACHINE_STAND_INS ":/usr/bin:/bin", 1);
    setenv("MIGRUN_WORLD", MACHINE_STAND_INS, 1);
    if (kept_fault)
        setenv("MIGRUN_FAULT", kept_fault, 1);
    if (points)
        setenv("MIGRUN_POINTS", "1", 1);
    const char *const argv[] = {"migrun-agent", "--serve", read_only ? "--read-only" : NULL, NULL};
    spawn_exec(argv, STDERR_FILENO, false);
}

void machine_await_guards(const char *host)
{
    auto_free char *path = path_on(this_bench(), host, MACHINE_STAND_INS "/guard.lock");
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
        ;
}
