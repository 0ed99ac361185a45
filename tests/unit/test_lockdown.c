// SPDX-License-Identifier: MIT
// What only reads can change nothing: as root and as another user, on kernels of which parts are missing. The
// attempts are made by this program itself, started as `test_lockdown --attempt NAME …`.
#include "base/clock.h"
#include "base/lockdown.h"
#include "base/process.h"
#include "base/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

#include "old_kernel.h"

#define LEFT "migrun-left"
#define ABSTRACT "migrun-test-lockdown"
static pid_t other; // a process of the same user

// ---- attempts: true if it was made ----

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_NONBLOCK, 0600);
    return fd >= 0 && close(fd) == 0;
}

static bool try_write(void) { return opens("file", O_WRONLY); }
static bool try_both(void) { return opens("file", O_RDWR | O_CLOEXEC); }
static bool try_append(void) { return opens("file", O_WRONLY | O_APPEND); }
static bool try_cut(void) { return opens("file", O_RDONLY | O_TRUNC); }
static bool try_create(void) { return opens("new", O_RDONLY | O_CREAT); }
static bool try_temporary(void) { return opens(".", O_WRONLY | O_TMPFILE); }
static bool try_creat(void) { return creat("file", 0600) >= 0; }
static bool try_device(void) { return opens("device", O_WRONLY); }
static bool try_fifo(void) { return opens("fifo", O_WRONLY) || opens("fifo", O_RDWR); }
static bool try_shared(void) { return opens("/dev/shm/migrun-test-new", O_RDWR | O_CREAT); }
static bool try_truncate(void) { return truncate("file", 0) == 0; }
static bool try_remove(void) { return unlink("file") == 0; }
static bool try_remove_folder(void) { return rmdir("folder") == 0; }
static bool try_rename(void) { return rename("file", "renamed") == 0; }
static bool try_mkdir(void) { return mkdir("new", 0700) == 0; }
static bool try_mkfifo(void) { return mkfifo("new", 0600) == 0; }
static bool try_symlink(void) { return symlink("x", "new") == 0; }
static bool try_link(void) { return link("file", "new") == 0; }
static bool try_chmod(void) { return chmod("file", 0640) == 0; }
static bool try_fchmod(void) { return fchmod(open("file", O_RDONLY), 0640) == 0; }
static bool try_chown(void) { return chown("file", getuid(), getgid()) == 0; }
static bool try_lchown(void) { return lchown("file", getuid(), getgid()) == 0; }
static bool try_utime(void) { return utime("file", NULL) == 0; }
static bool try_utimes(void) { return utimes("file", NULL) == 0; }
static bool try_utimens(void) { return utimensat(AT_FDCWD, "file", NULL, 0) == 0; }
static bool try_futimens(void) { return futimens(open("file", O_RDONLY), NULL) == 0; }
static bool try_setxattr(void) { return setxattr("file", "user.new", "x", 1, 0) == 0; }
static bool try_fsetxattr(void) { return fsetxattr(open("file", O_RDONLY), "user.new", "x", 1, 0) == 0; }
static bool try_removexattr(void) { return removexattr("file", "user.old") == 0; }

static bool try_flags(void)
{
    int flags = FS_NODUMP_FL;
    return ioctl(open("file", O_RDONLY), FS_IOC_SETFLAGS, &flags) == 0;
}

static bool try_unix(void) { return unix_connect("socket", SOCK_STREAM) >= 0; }

static bool try_abstract(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path + 1, ABSTRACT, sizeof ABSTRACT);
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to) == 0;
}

static bool try_pair(void)
{
    int pair[2] = {-1, -1};
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "datagrams"};
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 &&
           sendto(pair[0], "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1;
}

static bool try_bind(void)
{
    int pair[2] = {-1, -1};
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "new"};
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
           bind(pair[0], (struct sockaddr *)&to, sizeof to) == 0;
}

static bool try_internet(void) { return socket(AF_INET, SOCK_STREAM, 0) >= 0; }
static bool try_io_uring(void) { return syscall(425, 8, (char[120]){0}) >= 0; }
static bool try_mount(void) { return mount("none", "folder", "tmpfs", 0, NULL) == 0; }
static bool try_remount(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0; }
static bool try_hostname(void) { return sethostname("migrun-test", 11) == 0; }
static bool try_kill(void) { return kill(other, SIGCONT) == 0; }
static bool try_tgkill(void) { return syscall(SYS_tgkill, other, other, SIGCONT) == 0; }
static bool try_queue(void) { return sigqueue(other, SIGCONT, (union sigval){0}) == 0; }
static bool try_priority(void) { return setpriority(PRIO_PROCESS, (id_t)other, 5) == 0; }

static bool try_limit(void)
{
    struct rlimit none = {0, RLIM_INFINITY};
    return prlimit(other, RLIMIT_CORE, &none, NULL) == 0;
}

static bool try_owner(void)
{
    int pair[2];
    return pipe(pair) == 0 && fcntl(pair[0], F_SETOWN, other) == 0;
}

static bool try_ptrace(void) { return ptrace(PTRACE_SEIZE, other, NULL, NULL) == 0; }

static bool try_root_of_other(void)
{
    auto_free char *path = xasprintf("/proc/%d/root%s/file", (int)other, get_current_dir_name());
    return chmod(path, 0640) == 0 || opens(path, O_WRONLY);
}

static bool try_key(void) { return syscall(SYS_add_key, "user", "migrun-test", "x", 1, -2) >= 0; }
static bool try_keyring(void) { return syscall(SYS_keyctl, 0, -2, 1) >= 0; }

// What it leaves is looked for afterwards.
static bool try_leave(void)
{
    if (fork() == 0) {
        setsid();
        prctl(PR_SET_NAME, LEFT);
        if (fork() == 0)
            for (;;)
                pause();
        for (;;)
            pause();
    }
    return false;
}

static bool try_daemon(void)
{
    if (fork() == 0) {
        prctl(PR_SET_NAME, LEFT);
        if (daemon(1, 0) < 0)
            setsid();
        for (;;)
            pause();
    }
    return false;
}

// A segment that nobody else sees is no harm.
static bool try_segment(void)
{
    int id = shmget(0x6d696772, 4096, IPC_CREAT | 0600);
    return id >= 0 && readlink("/proc/self/ns/ipc", (char[64]){0}, 64) > 0 && getpid() != 1;
}

static const struct attempt {
    const char *name;
    bool (*try)(void);
} attempts[] = {
    {"write", try_write},
    {"open for both", try_both},
    {"append", try_append},
    {"cut by opening", try_cut},
    {"create", try_create},
    {"temporary file", try_temporary},
    {"creat", try_creat},
    {"device", try_device},
    {"fifo", try_fifo},
    {"/dev/shm", try_shared},
    {"truncate", try_truncate},
    {"remove", try_remove},
    {"rmdir", try_remove_folder},
    {"rename", try_rename},
    {"mkdir", try_mkdir},
    {"mkfifo", try_mkfifo},
    {"symlink", try_symlink},
    {"link", try_link},
    {"chmod", try_chmod},
    {"fchmod", try_fchmod},
    {"chown", try_chown},
    {"lchown", try_lchown},
    {"utime", try_utime},
    {"utimes", try_utimes},
    {"utimensat", try_utimens},
    {"futimens", try_futimens},
    {"setxattr", try_setxattr},
    {"fsetxattr", try_fsetxattr},
    {"removexattr", try_removexattr},
    {"flags", try_flags},
    {"unix socket", try_unix},
    {"abstract socket", try_abstract},
    {"datagram of a pair", try_pair},
    {"bind one of a pair", try_bind},
    {"internet socket", try_internet},
    {"io_uring", try_io_uring},
    {"mount", try_mount},
    {"remount", try_remount},
    {"host name", try_hostname},
    {"kill", try_kill},
    {"tgkill", try_tgkill},
    {"sigqueue", try_queue},
    {"setpriority", try_priority},
    {"prlimit", try_limit},
    {"F_SETOWN", try_owner},
    {"ptrace", try_ptrace},
    {"by another process", try_root_of_other},
    {"add_key", try_key},
    {"keyctl", try_keyring},
    {"leave a process", try_leave},
    {"leave a daemon", try_daemon},
    {"shared memory", try_segment},
};

// ---- what must go on working ----

static bool read_file(void)
{
    char text[8] = "";
    int fd = open("file", O_RDONLY | O_CLOEXEC);
    return read(fd, text, sizeof text) == 4 && memcmp(text, "old\n", 4) == 0;
}

static bool see_owner(void)
{
    struct stat st;
    return stat("/etc/passwd", &st) == 0 && st.st_uid == 0 && stat("file", &st) == 0 && st.st_uid == getuid();
}

static bool read_attribute(void)
{
    char value[8];
    return getxattr("file", "user.old", value, sizeof value) == 1 || errno == ENODATA || errno == ENOTSUP;
}

static bool read_device(void)
{
    char byte;
    return read(open("device", O_RDONLY), &byte, 1) == 1;
}

static bool see_processes(void)
{
    auto_free char *path = xasprintf("/proc/%d/cmdline", (int)other);
    return opens("/proc/1/stat", O_RDONLY) && opens(path, O_RDONLY) && opens("/proc/self/stat", O_RDONLY);
}

static bool see_signals(void) { return kill(getpid(), 0) == 0; }

static bool null_device(void)
{
    static const int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_CREAT | O_TRUNC, O_WRONLY | O_APPEND};
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        int fd = open("/dev/null", flags[i] | O_CLOEXEC, 0666);
        if (write(fd, "x", 1) != 1 || fcntl(fd, F_GETFD) != FD_CLOEXEC)
            return false;
    }
    return fcntl(open("/dev/null", O_WRONLY), F_GETFD) == 0;
}

static bool child(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(null_device() ? 3 : 4);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3;
}

static bool own_memory(void)
{
    int fd = memfd_create("x", MFD_CLOEXEC), pair[2];
    return write(fd, "x", 1) == 1 && pipe(pair) == 0;
}

// Where it may connect at all, it sees who listens: systemctl speaks with no one else.
static bool knows_who_listens(void)
{
    struct ucred who = {0};
    socklen_t size = sizeof who;
    auto_fd int fd = unix_connect("socket", SOCK_STREAM);
    return fd < 0 || (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid > 0);
}

static bool netlink(void) { return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0; }

static const struct attempt reads[] = {
    {"read a file", read_file},
    {"see owners", see_owner},
    {"read an attribute", read_attribute},
    {"read a device", read_device},
    {"see processes", see_processes},
    {"ask for itself", see_signals},
    {"/dev/null", null_device},
    {"a child", child},
    {"memory and pipes", own_memory},
    {"ask for addresses", netlink},
    {"know who listens", knows_who_listens},
};

// One attempt, or all in a row; prints what it could do, and what it could not read.
static int attempt(char **argv)
{
    bool all = STREQ(argv[1], "all");
    other = (pid_t)atoi(argv[2]);
    for (size_t i = 0; i < COUNT_OF(reads); i++)
        if (all && !reads[i].try())
            printf("no '%s'; ", reads[i].name);
    for (size_t i = 0; i < COUNT_OF(attempts); i++)
        if ((all || STREQ(attempts[i].name, argv[1])) && attempts[i].try())
            printf("'%s'; ", attempts[i].name);
    fflush(stdout);
    _exit(0);
}

// ---- kernels ----

enum { MOUNT_SETATTR = 442 }; // and Landlock's three
static const struct kernel {
    const char *name;
    int lacks[8];
    size_t n;
} kernels[] = {
    {"this kernel", {0}, 0},
    {"a kernel without mount_setattr", {MOUNT_SETATTR}, 1},
    {"a kernel without Landlock", {444, 445, 446}, 3},
    {"a kernel without both", {MOUNT_SETATTR, 444, 445, 446}, 4},
    {"a kernel without namespaces", {SYS_unshare}, 1},
    {"a kernel without Landlock and namespaces", {SYS_unshare, 444, 445, 446}, 4},
};

// ---- the stage: a folder with something of each kind, its owner's ----

enum { OTHER_USER = 1000 };
static char folder[] = "/tmp/migrun-test-XXXXXX";

static void own(const char *name, uid_t uid) { assert_int_equal(lchown(name, uid, uid), 0); }

static int listen_abstract(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path + 1, ABSTRACT, sizeof ABSTRACT);
    return bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 64) == 0 ? fd : -1;
}

static void set_stage(uid_t uid)
{
    strcpy(folder, "/tmp/migrun-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    int fd = open("file", O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "old\n", 4), 4);
    fsetxattr(fd, "user.old", "x", 1, 0); // not every file system has them
    close(fd);
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_true(open("fifo", O_RDWR | O_CLOEXEC) >= 0); // so that there is a reader
    assert_true(unix_listen("socket", 64) >= 0);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "datagrams"};
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    if (mknod("device", S_IFCHR | 0600, makedev(1, 5)) < 0) // /dev/zero
        assert_int_equal(symlink("/dev/zero", "device"), 0);
    static const char *const names[] = {".", "file", "folder", "fifo", "socket", "datagrams", "device"};
    for (size_t i = 0; geteuid() == 0 && i < COUNT_OF(names); i++)
        own(names[i], uid);
}

static void clear_stage(void)
{
    static const char *const names[] = {"file", "fifo", "socket", "datagrams", "device", "new", "renamed"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(names[i]);
    rmdir("folder");
    rmdir("new");
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
}

// One that is dead, but not collected yet by whose child it became, runs no more.
static bool left_running(void)
{
    DIR *all = opendir("/proc");
    bool found = false;
    for (struct dirent *entry; all && !found && (entry = readdir(all));) {
        char path[300], text[128] = "";
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
        found = fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strstr(text, "(" LEFT ") ") &&
                !strstr(text, ") Z ");
    }
    if (all)
        closedir(all);
    return found;
}

static bool unix_sockets; // a command may use them
static void only_read(void *unused, int error_fd)
{
    (void)unused;
    if (lockdown_command(unix_sockets) < 0) {
        dprintf(error_fd, "cannot: %s", strerror(errno));
        _exit(127);
    }
}

// What an attempt (or all of them), locked in or not, says. NULL: it was not even started, and why.
static char *outcome(const char *name, bool locked, struct error *err)
{
    auto_free char *pid = xasprintf("%d", (int)other);
    const char *argv[] = {"/proc/self/exe", "--attempt", name, pid, NULL};
    struct process_result result;
    if (process_run(&(struct process_request){.argv = argv,
                                              .watch_fd = -1,
                                              .deadline = deadline_in(60000),
                                              .nothing_left = locked,
                                              .before_exec = locked ? only_read : NULL},
                    &result, err) < 0)
        return NULL;
    bool well = !result.timed_out && result.status == 0 && result.err.len == 0;
    char *said = well ? xstrdup(result.out.data ? result.out.data : "")
                      : xasprintf("status %d, signal %d%s, '%s', '%s'", result.status, result.signal,
                                  result.timed_out ? ", timed out" : "",
                                  result.out.data ? result.out.data : "",
                                  result.err.data ? result.err.data : "");
    process_result_free(&result);
    return said;
}

// As systemd, a container's manager or a login may leave them: whatever this process may do, a program that
// it becomes may do, too.
static void inherit_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, sets) < 0)
        _exit(22);
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        sets[i].inheritable = sets[i].permitted;
    if (syscall(SYS_capset, &head, sets) < 0)
        _exit(23);
    for (unsigned long capability = 0; capability < 64; capability++)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
}

static void become(uid_t uid)
{
    inherit_capabilities();
    if (geteuid() == 0 && uid && (setgid(uid) < 0 || setuid(uid) < 0))
        _exit(21);
    prctl(PR_SET_DUMPABLE, 1);
}

// Runs in a process of its own, as that user, on that kernel.
static int all_attempts(const struct kernel *kernel, uid_t uid, bool inside)
{
    struct error err = {0};
    become(uid);
    refuse_calls(kernel->lacks, kernel->n);
    other = getpid();
    if (inside && lockdown_self(&err) < 0) {
        print_error("%s, uid %d: %s\n", kernel->name, (int)uid, err.message);
        return 1;
    }
    auto_free char *said = outcome("all", true, &err);
    // Where a process opens nothing for writing, what it starts does not either.
    bool null = !(inside && kernel->n > 1 && (uid || kernel->lacks[0] == SYS_unshare));
    const char *expected = null ? "" : "no '/dev/null'; no 'a child'; ";
    size_t len = strlen(expected);
    bool wrong = !said || strncmp(said, expected, len) != 0;
    // Abstract ones are refused where the kernel can tell them apart.
    if (!wrong)
        wrong = unix_sockets ? !STREQ(said + len, "'unix socket'; ") &&
                                   !STREQ(said + len, "'unix socket'; 'abstract socket'; ")
                             : said[len] != '\0';
    if (wrong)
        print_error("%s, uid %d%s: %s\n", kernel->name, (int)uid, inside ? ", inside" : "",
                    said ? said : err.message);
    for (int i = 0; i < 3000 && left_running(); i++)
        nap_ms(10);
    if (left_running()) {
        print_error("%s, uid %d: a process was left running\n", kernel->name, (int)uid);
        wrong = true;
    }
    return wrong;
}

static int in_a_child(int (*work)(const struct kernel *, uid_t, bool), const struct kernel *kernel, uid_t uid,
                      bool inside)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(work(kernel, uid, inside));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void everywhere(int (*work)(const struct kernel *, uid_t, bool), bool inside)
{
    const uid_t users[] = {geteuid(), OTHER_USER};
    int wrong = 0, abstract = listen_abstract();
    for (size_t u = 0; u < (geteuid() == 0 ? COUNT_OF(users) : 1); u++)
        for (size_t k = 0; k < COUNT_OF(kernels); k++) {
            set_stage(users[u]);
            wrong += in_a_child(work, &kernels[k], users[u], inside);
            clear_stage();
        }
    close(abstract);
    assert_int_equal(wrong, 0);
}

static void test_commands(void **state)
{
    (void)state;
    everywhere(all_attempts, false);
}

static void test_commands_with_sockets(void **state)
{
    (void)state;
    unix_sockets = true;
    everywhere(all_attempts, false);
    everywhere(all_attempts, true);
    unix_sockets = false;
}

static void test_commands_inside(void **state)
{
    (void)state;
    everywhere(all_attempts, true);
}

// ---- a process that locks itself in ----

static int try_itself(const struct kernel *kernel, uid_t uid, bool unused)
{
    (void)unused;
    struct error err = {0};
    int wrong = 0;
    become(uid);
    refuse_calls(kernel->lacks, kernel->n);
    if (lockdown_self(&err) < 0) {
        print_error("%s, uid %d: %s\n", kernel->name, (int)uid, err.message);
        return 1;
    }
    // Of these a process of ours is not kept, only what it starts.
    static bool (*const files[])(void) = {
        try_write,    try_both,      try_append,      try_cut,    try_create,        try_temporary,
        try_creat,    try_shared,    try_truncate,    try_remove, try_remove_folder, try_rename,
        try_mkdir,    try_mkfifo,    try_symlink,     try_link,   try_chmod,         try_fchmod,
        try_chown,    try_lchown,    try_utime,       try_utimes, try_utimens,       try_futimens,
        try_setxattr, try_fsetxattr, try_removexattr, try_flags,  try_bind,
    };
    for (size_t i = 0; i < COUNT_OF(attempts); i++)
        for (size_t k = 0; k < COUNT_OF(files); k++)
            if (attempts[i].try == files[k] && files[k]()) {
                print_error("%s, uid %d: it could '%s' itself\n", kernel->name, (int)uid, attempts[i].name);
                wrong++;
            }
    return wrong + !read_file() + !see_owner();
}

static void test_itself(void **state)
{
    (void)state;
    everywhere(try_itself, false);
}

// ---- the attempts are real ----

// Not locked in, each can be made by root: what cannot fail proves nothing.
static const char *const harmful[] = {"mount",          "remount",     "host name",     "leave a process",
                                      "leave a daemon", "io_uring",    "flags",         "setxattr",
                                      "fsetxattr",      "removexattr", "temporary file"};

static void test_the_attempts_are_real(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    int abstract = listen_abstract();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    other = pid;
    for (size_t i = 0; i < COUNT_OF(attempts); i++) {
        bool skipped = false;
        struct error err = {0};
        for (size_t k = 0; k < COUNT_OF(harmful); k++)
            skipped = skipped || STREQ(harmful[k], attempts[i].name);
        if (skipped)
            continue;
        set_stage(0);
        auto_free char *said = outcome(attempts[i].name, false, &err);
        if (!said || !strstr(said, attempts[i].name))
            fail_msg("'%s' cannot be made at all: %s", attempts[i].name, said ? said : err.message);
        clear_stage();
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    shmctl(shmget(0x6d696772, 0, 0), IPC_RMID, NULL);
    unlink("/dev/shm/migrun-test-new");
    close(abstract);
}

// ---- a kernel that cannot ----

static int cannot(const struct kernel *kernel, uid_t uid, bool unused)
{
    (void)unused;
    struct error err = {0};
    become(uid);
    refuse_calls(kernel->lacks, kernel->n);
    auto_free char *said = outcome("write", true, &err);
    if (said || !strstr(err.message, "cannot: "))
        return 1;
    return lockdown_self(&err) < 0 && strstr(err.message, "no filter of system calls") ? 0 : 2;
}

static void test_a_kernel_that_cannot(void **state)
{
    (void)state;
    static const struct kernel without = {"without seccomp", {SYS_seccomp}, 1};
    const uid_t users[] = {geteuid(), OTHER_USER};
    for (size_t u = 0; u < (geteuid() == 0 ? COUNT_OF(users) : 1); u++) {
        set_stage(users[u]);
        assert_int_equal(in_a_child(cannot, &without, users[u], false), 0);
        clear_stage();
    }
}

// ---- programs that people use ----

static void test_programs(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "cat", // ends with its input
        "ls -l / >/dev/null 2>&1",
        "ps -p 1 -o pid= >/dev/null",
        "ps ax | grep -q '[i]nit\\|[s]ystemd\\|[P]ID'",
        "ip -o addr | grep -q 127.0.0.1",
        "sh -c 'exit 0' & wait $!",
        "id -u >/dev/null && stat -c %U /etc/passwd | grep -qx root",
        "df / | tail -n 1 | grep -q /",
        "nice true && getent passwd root | cut -d: -f1 | grep -qx root",
        "timeout 60 true",
    };
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        const char *argv[] = {"/bin/sh", "-c", scripts[i], NULL};
        struct process_result result;
        struct error err = {0};
        struct process_request request = {.argv = argv,
                                          .input = "hello",
                                          .input_len = 5,
                                          .watch_fd = -1,
                                          .deadline = deadline_in(60000),
                                          .nothing_left = true,
                                          .before_exec = only_read};
        if (process_run(&request, &result, &err) < 0)
            fail_msg("%s: %s", scripts[i], err.message);
        if (result.timed_out || result.status != 0)
            fail_msg("%s ended with %d: %s", scripts[i], result.status,
                     result.err.data ? result.err.data : "");
        if (i == 0)
            assert_string_equal(result.out.data, "hello");
        process_result_free(&result);
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && STREQ(argv[1], "--attempt"))
        return attempt(argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_attempts_are_real),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_commands_inside),
        cmocka_unit_test(test_itself),
        cmocka_unit_test(test_commands_with_sockets),
        cmocka_unit_test(test_a_kernel_that_cannot),
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests_name("lockdown", tests, NULL, NULL);
}
