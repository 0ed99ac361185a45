// SPDX-License-Identifier: MIT
// What a host is and has, gathered in one go and fast: from /proc, /etc and the C library; only systemctl is
// asked besides. The versions of libvirt and QEMU are told by libvirtd: asking the programs costs more time
// than all the rest.
#include "world/agent/ops_internal.h"

#include "base/clock.h"
#include "base/io.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { FILE_MOST = 4 << 20, UNITS_MS = 5000 };

static void set_file(json_t *object, const char *key, const char *path)
{
    auto_free char *text = file_text(path);
    set_text(object, key, text ? trimmed(text) : NULL);
}

// ---- names ----

// By /etc/hosts alone: a name server that does not answer would hold up everything.
static void add_names(json_t *facts)
{
    char name[HOST_NAME_MAX + 1] = "";
    gethostname(name, sizeof name - 1);
    set_text(facts, "hostname", name);
    auto_free char *fqdn = xstrdup(name), *hosts = strchr(name, '.') ? NULL : file_text("/etc/hosts");
    size_t len = strlen(name);
    for (char *rest = hosts, *line, *state; (line = next_line(&rest));) {
        line[strcspn(line, "#")] = '\0';
        strtok_r(line, " \t", &state); // the address
        for (char *word; (word = strtok_r(NULL, " \t", &state));)
            if (strncmp(word, name, len) == 0 && word[len] == '.' && !strchr(fqdn, '.')) {
                free(fqdn);
                fqdn = xstrdup(word);
            }
    }
    set_text(facts, "fqdn", fqdn);
}

// What its own name leads to by /etc/hosts: its own address, where another one may float from host to host.
static json_t *own_addresses(const json_t *facts)
{
    json_t *all = json_array();
    auto_free char *hosts = file_text("/etc/hosts");
    for (char *rest = hosts, *line, *state; (line = next_line(&rest));) {
        line[strcspn(line, "#")] = '\0';
        const char *address = strtok_r(line, " \t", &state);
        for (char *word; address && (word = strtok_r(NULL, " \t", &state));)
            if (STREQ(word, json_str(facts, "hostname", "")) || STREQ(word, json_str(facts, "fqdn", ""))) {
                json_array_append_new(all, json_text(address));
                break;
            }
    }
    return all;
}

// The value of a line KEY=value of os-release, without its quotes.
static void add_os(json_t *facts)
{
    auto_free char *text = file_text("/etc/os-release");
    for (char *rest = text, *line; (line = next_line(&rest));)
        if (strncmp(line, "PRETTY_NAME=", 12) == 0) {
            char *value = line + 12 + (line[12] == '"' || line[12] == '\'');
            value[strcspn(value, "\"'")] = '\0';
            set_text(facts, "os", value);
        }
}

static void add_system(json_t *facts)
{
    struct utsname system;
    add_names(facts);
    json_object_set_new(facts, "own_addresses", own_addresses(facts));
    set_file(facts, "machine_id", "/etc/machine-id");
    set_file(facts, "boot_id", "/proc/sys/kernel/random/boot_id");
    json_object_set_new(facts, "time", json_real(wall_time()));
    add_os(facts);
    if (uname(&system) == 0) {
        set_text(facts, "kernel", system.release);
        set_text(facts, "arch", system.machine);
    }
}

// ---- units, addresses ----

static json_t *units_of(const struct agent *agent, const json_t *names)
{
    size_t count = json_array_size(names);
    auto_free const char **units = xcalloc(count, sizeof *units);
    auto_free struct unit_state *states = xcalloc(count, sizeof *states);
    for (size_t i = 0; i < count; i++)
        units[i] = json_string_value(json_array_get(names, i)) ? json_string_value(json_array_get(names, i))
                                                               : "";
    bool known = units_show(agent, units, count, deadline_in(UNITS_MS), states, NULL) == 0;
    json_t *all = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set_new(all, units[i],
                            json_pack("{s:s, s:I}", "state", known ? states[i].state : "unknown", "pid",
                                      (json_int_t)(known ? states[i].pid : 0)));
    return all;
}

static bool is_of_interest(const char *address)
{
    return strncmp(address, "169.254.", 8) != 0 && strncmp(address, "127.", 4) != 0 &&
           strncmp(address, "fe80:", 5) != 0 && !STREQ(address, "::1");
}

// Those that others may reach it by, of all interfaces.
static json_t *addresses_of(const json_t *interfaces)
{
    json_t *all = json_array();
    size_t i, k;
    json_t *interface, *entry;
    json_array_foreach(interfaces, i, interface)
        json_array_foreach(json_object_get(interface, "addresses"), k, entry)
            if (!STREQ(json_str(interface, "name", ""), "lo") &&
                is_of_interest(json_str(entry, "address", "")))
                json_array_append(all, json_object_get(entry, "address"));
    return all;
}

// ---- the instances folder, and what the guest's disks are ----

static void add_instances(json_t *facts, const char *path)
{
    struct stat st;
    auto_free char *real = path && *path ? realpath(path, NULL) : NULL;
    if (!real || stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    const json_t *mount = mount_below(json_object_get(facts, "mounts"), real);
    json_object_set_new(facts, "instances",
                        json_pack("{s:s, s:s, s:s, s:I, s:I}", "path", path, "fstype",
                                  json_str(mount, "fstype", ""), "source", json_str(mount, "source", ""),
                                  "device", (json_int_t)st.st_dev, "inode", (json_int_t)st.st_ino));
}

// ---- the settings of libvirt that matter to a migration, and users ----

static bool is_one_of(const char *const *names, const char *name)
{
    while (*names && !STREQ(*names, name))
        names++;
    return *names != NULL;
}

// The quoted texts of a line are added to a list; whether the list goes on in the next line.
static bool take_items(json_t *list, char *line)
{
    while (*line && *line != ']' && *line != '#')
        if (*line == '"' || *line == '\'') {
            size_t len = strcspn(line + 1, (char[]){*line, '\0'});
            auto_free char *item = xstrndup(line + 1, len);
            json_array_append_new(list, json_text(item));
            line += len + (line[len + 1] ? 2 : 1);
        } else {
            line++;
        }
    return *line != ']';
}

// "key = 1", "key = \"text\"", and lists of texts, of which the one that goes on in the next line is
// returned.
static json_t *take_setting(json_t *conf, char *line, const char *const *keys)
{
    char *equals = strchr(line, '=');
    if (*line == '#' || !equals)
        return NULL;
    *equals = '\0';
    const char *key = trimmed(line);
    char *value = trimmed(equals + 1);
    if (!is_one_of(keys, key) || json_object_get(conf, key)) // of one that is there twice the first counts
        return NULL;
    if (*value == '[') {
        json_t *list = json_array();
        json_object_set_new(conf, key, list);
        return take_items(list, value + 1) ? list : NULL;
    }
    if (*value == '"' || *value == '\'') {
        value[1 + strcspn(value + 1, (char[]){*value, '\0'})] = '\0';
        set_text(conf, key, value + 1);
    } else if (isdigit((unsigned char)*value) || *value == '-') {
        json_object_set_new(conf, key, json_integer(strtoll(value, NULL, 10)));
    }
    return NULL;
}

// door: the file of the one that other hosts' libvirt is let in by: libvirtd, or virtproxyd beside virtqemud.
static json_t *libvirt_settings(const char *folder, const char *door)
{
    static const char *const daemon[] = {"listen_tcp", "auth_tcp", NULL};
    static const char *const qemu[] = {"migration_port_min",
                                       "migration_port_max",
                                       "migration_address",
                                       "migration_host",
                                       "remember_owner",
                                       "dynamic_ownership",
                                       "stdio_handler",
                                       "user",
                                       "group",
                                       "migrate_tls_force",
                                       "shared_filesystems",
                                       "cgroup_controllers",
                                       NULL};
    const struct {
        const char *name;
        const char *const *keys;
    } files[] = {
        {door, daemon},
        {"qemu.conf", qemu},
    };
    json_t *conf = json_object(), *list = NULL;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        auto_free char *path = xasprintf("%s/%s", folder, files[i].name), *text = file_text(path);
        for (char *rest = text, *line; (line = next_line(&rest));)
            if (list)
                list = take_items(list, line) ? list : NULL;
            else
                list = take_setting(conf, trimmed(line), files[i].keys);
        list = NULL;
    }
    return json_pack("{s:o}", "conf", conf);
}

static const char *const interesting[] = {"root", "libvirt-qemu", "qemu", "kvm", "nova"};

static void add_group(json_t *all, const char *name)
{
    const struct group *group = name ? getgrnam(name) : NULL;
    if (group)
        json_object_set_new(all, name, json_integer(group->gr_gid));
}

// Those that matter, and the one that qemu.conf names.
static json_t *groups(const json_t *conf)
{
    json_t *all = json_object();
    for (size_t i = 0; i < COUNT_OF(interesting); i++)
        add_group(all, interesting[i]);
    add_group(all, json_str(conf, "group", NULL));
    return all;
}

static void add_user(json_t *all, const char *name)
{
    const struct passwd *user = name ? getpwnam(name) : NULL;
    if (!user)
        return;
    json_int_t uid = user->pw_uid, gid = user->pw_gid;
    auto_free char *group = group_name((gid_t)gid);
    json_object_set_new(all, name, json_pack("{s:I, s:I, s:s*}", "uid", uid, "gid", gid, "group", group));
}

static json_t *users(const json_t *conf)
{
    json_t *all = json_object();
    for (size_t i = 0; i < COUNT_OF(interesting); i++)
        add_user(all, interesting[i]);
    add_user(all, json_str(conf, "user", NULL));
    return all;
}

// ---- guests: the QEMU processes ----

static bool is_qemu(const char *program)
{
    const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;
    return strncmp(name, "qemu", 4) == 0 || STREQ(name, "kvm");
}

// "guest=NAME,debug-threads=on", where a comma of the name is written twice. Caller frees.
static char *guest_name(const char *value)
{
    struct buf name = {0};
    if (strncmp(value, "guest=", 6) == 0)
        value += 6;
    for (; *value && (*value != ',' || value[1] == ','); value++) {
        buf_add(&name, value, 1);
        value += *value == ',';
    }
    return buf_take(&name);
}

static long long status_number(const char *status, const char *key)
{
    // The second number is the effective one.
    const char *line = strstr(status, key);
    char *end = NULL;
    if (!line)
        return -1;
    strtoll(line + strlen(key), &end, 10);
    return strtoll(end, NULL, 10);
}

static void add_owner(json_t *guest, const char *pid)
{
    auto_free char *path = xasprintf("/proc/%s/status", pid), *status = file_text(path);
    long long uid = status ? status_number(status, "\nUid:") : -1,
              gid = status ? status_number(status, "\nGid:") : -1;
    if (uid < 0 || gid < 0)
        return;
    auto_free char *user = user_name((uid_t)uid), *group = group_name((gid_t)gid);
    json_object_set_new(guest, "uid", json_integer(uid));
    json_object_set_new(guest, "gid", json_integer(gid));
    set_text(guest, "user", user);
    set_text(guest, "group", group);
}

static long long boot_time(void)
{
    auto_free char *text = file_text("/proc/stat");
    const char *line = text ? strstr(text, "\nbtime ") : NULL;
    return line ? strtoll(line + strlen("\nbtime "), NULL, 10) : 0;
}

// The 22nd field of stat; the second, the program's name, may hold anything but is the only one in
// parentheses.
static void add_start(json_t *guest, const char *pid, long long booted)
{
    auto_free char *path = xasprintf("/proc/%s/stat", pid), *text = file_text(path);
    char *at = text ? strrchr(text, ')') : NULL;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at && booted)
        json_object_set_new(
            guest, "started",
            json_real((double)booted + (double)strtoll(at, NULL, 10) / (double)sysconf(_SC_CLK_TCK)));
}

static bool holds(const json_t *files, const char *path)
{
    size_t i;
    json_t *file;
    json_array_foreach(files, i, file)
        if (STREQ(json_string_value(file), path))
            return true;
    return false;
}

// Adds the file behind a descriptor of a process, if it is a regular one that still has a name. -1: it may
// not be seen.
static int add_file(json_t *files, int folder, const char *number)
{
    char target[PATH_MAX];
    struct stat st;
    ssize_t len = readlinkat(folder, number, target, sizeof target - 1);
    if (len < 0)
        return errno == EACCES || errno == EPERM ? -1 : 0;
    target[len] = '\0';
    if (*target != '/' || fstatat(folder, number, &st, 0) < 0 || !S_ISREG(st.st_mode) || st.st_nlink == 0)
        return 0;
    auto_json json_t *text = json_text(target);
    if (!holds(files, json_string_value(text)))
        json_array_append(files, text);
    return 0;
}

// Where they may not be seen (not root; or locked in by Landlock, which hides other processes' descriptors)
// there is no list, rather than an empty one.
static void add_files(json_t *guest, const char *pid)
{
    auto_free char *path = xasprintf("/proc/%s/fd", pid);
    auto_json json_t *files = json_array();
    DIR *folder = opendir(path);
    int rc = folder ? 0 : -1;
    for (struct dirent *entry; rc == 0 && (entry = readdir(folder));)
        if (isdigit((unsigned char)*entry->d_name))
            rc = add_file(files, dirfd(folder), entry->d_name);
    if (folder)
        closedir(folder);
    if (rc == 0)
        json_object_set(guest, "files", files);
}

// The guest of a process, or NULL when it is none.
static json_t *guest_of(const char *pid)
{
    auto_free char *path = xasprintf("/proc/%s/cmdline", pid), *words = NULL, *name = NULL;
    const char *uuid = NULL;
    size_t len;
    if (read_whole_file(path, FILE_MOST, &words, &len) < 0 || !len || !is_qemu(words))
        return NULL;
    for (const char *word = words; word < words + len; word += strlen(word) + 1) {
        const char *value = word + strlen(word) + 1;
        if (value >= words + len)
            break;
        if (!name && STREQ(word, "-name"))
            name = guest_name(value);
        else if (STREQ(word, "-uuid"))
            uuid = value;
    }
    if (!name)
        return NULL;
    json_t *guest = json_pack("{s:o, s:I}", "name", json_text(name), "pid",
                              (json_int_t)strtoll(pid, NULL, 10));
    set_text(guest, "uuid", uuid);
    return guest;
}

static json_t *guests(void)
{
    json_t *all = json_array();
    long long booted = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        json_t *guest = isdigit((unsigned char)*entry->d_name) ? guest_of(entry->d_name) : NULL;
        if (!guest)
            continue;
        if (!booted)
            booted = boot_time();
        add_owner(guest, entry->d_name);
        add_start(guest, entry->d_name, booted);
        add_files(guest, entry->d_name);
        json_array_append_new(all, guest);
    }
    if (folder)
        closedir(folder);
    return all;
}

// The version of the library that encrypts what goes over TLS. It is loaded for that, which takes a while,
// and only where it is asked for.
static void add_gnutls(json_t *facts)
{
    void *library = dlopen("libgnutls.so.30", RTLD_LAZY | RTLD_LOCAL);
    const char *(*version)(const char *) = NULL;
    if (library)
        *(void **)&version = dlsym(library, "gnutls_check_version");
    if (version)
        set_text(facts, "gnutls", version(NULL));
}

static bool names(const json_t *units, const char *wanted)
{
    size_t i;
    json_t *unit;
    json_array_foreach(units, i, unit)
        if (strncmp(json_is_string(unit) ? json_string_value(unit) : "", wanted, strlen(wanted)) == 0)
            return true;
    return false;
}

SERVE(serve_facts)
{
    json_t *facts = json_object();
    add_system(facts);
    json_object_set_new(facts, "units", units_of(agent, json_object_get(request, "units")));
    json_t *interfaces = links();
    json_object_set_new(facts, "interfaces", interfaces);
    json_object_set_new(facts, "addresses", addresses_of(interfaces));
    json_object_set_new(facts, "mounts", mounts());
    add_instances(facts, json_str(request, "instances", NULL));
    add_hardware(facts);
    bool unseen;
    auto_free char *config = daemon_config(json_str(request, "config", "/etc/libvirt"), &unseen);
    bool modular = names(json_object_get(request, "units"), "virtqemud");
    json_t *libvirt = libvirt_settings(config, modular ? "virtproxyd.conf" : "libvirtd.conf");
    if (unseen)
        json_object_set_new(libvirt, "config_unseen", json_true());
    const json_t *conf = json_object_get(libvirt, "conf");
    json_object_set_new(facts, "libvirt", libvirt);
    if (json_flag(request, "tls", false) || json_int(conf, "migrate_tls_force", 0))
        add_gnutls(facts);
    json_object_set_new(facts, "users", users(conf));
    json_object_set_new(facts, "groups", groups(conf));
    json_object_set_new(facts, "guests", guests());
    json_object_set_new(facts, "told", json_real(wall_time()));
    *result = facts;
    return 0;
}
