// SPDX-License-Identifier: MIT
#include "base/lockdown.h"

#include "base/lockdown_internal.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Newer than the headers of the oldest system that migrun is built on.
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

// struct landlock_ruleset_attr as of ABI 6; the kernel takes the part that it knows.
struct ruleset {
    uint64_t fs, net, scoped;
};

enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

// The process opens nothing for writing and makes nothing any more, but /dev/null. Returns Landlock's
// version, 0: there is none here, -1: errno.
static int landlock(uint64_t scoped)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return 0;
    struct ruleset rules = {
        .fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
              LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
              LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
              LANDLOCK_ACCESS_FS_MAKE_SYM | (abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0) |
              (abi >= ABI_TRUNCATE ? LANDLOCK_ACCESS_FS_TRUNCATE : 0) |
              (abi >= ABI_IOCTL ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0),
        .scoped = abi >= ABI_SCOPE ? scoped : 0,
    };
    size_t size = abi >= ABI_SCOPE ? sizeof rules
                  : abi >= ABI_NET ? offsetof(struct ruleset, scoped)
                                   : offsetof(struct ruleset, net);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (fd < 0)
        return -1;
    struct landlock_path_beneath_attr nowhere = {
        .allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE |
                          (abi >= ABI_TRUNCATE ? LANDLOCK_ACCESS_FS_TRUNCATE : 0),
        .parent_fd = open("/dev/null", O_PATH | O_CLOEXEC),
    };
    int rc = 0;
    if (nowhere.parent_fd >= 0) {
        rc = (int)syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &nowhere, 0);
        close(nowhere.parent_fd);
    }
    if (rc == 0)
        rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_restrict_self, fd, 0);
    int saved = errno;
    close(fd);
    errno = saved;
    return rc == 0 ? abi : -1;
}

int lockdown_self(struct error *err)
{
    // Mounts first: a process in Landlock may not change them any more.
    bool read_only = mounts_read_only() == 0;
    int abi = landlock(0);
    if (abi < 0)
        return error_errno(err, errno, "Landlock, the kernel's lock for a preview, fails");
    // Without the mounts (not root, or in a container) whoever owns a file could still change its mode,
    // owner, times and attributes. The filter is asked for in any case: without it no command can only read.
    if (calls_refuse(CALLS_KEYS | (read_only ? 0 : CALLS_FILES) | (read_only || abi ? 0 : CALLS_OPEN), NULL) <
        0)
        return error_set(err, ERR_SYSTEM, errno,
                         "this kernel has no filter of system calls (seccomp), without which a command that "
                         "only reads could change something");
    return 0;
}

// Root's other powers (firewall, links, time, reboot, other processes): only reading any file stays. Those
// that are inheritable, as in a container, the next program would have again, whatever the bounding set says.
static int drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &head, sets) < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        sets[i].inheritable = 0;
    if (syscall(SYS_capset, &head, sets) < 0)
        return -1;
    for (unsigned long capability = 0; capability < 64; capability++)
        if (capability != CAP_DAC_READ_SEARCH && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 &&
            errno == EPERM)
            return geteuid() == 0 ? -1 : 0;
    return 0;
}

// Waits for the command, answers its questions meanwhile (listener: -1, or where they arrive), and ends as it
// does.
static _Noreturn void stand_by(pid_t pid, int ended, int listener, int null)
{
    int status = 0;
    close(STDIN_FILENO); // it is the command's alone
    for (pid_t found = 0; found != pid;) {
        struct pollfd fds[] = {{.fd = ended, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
        struct signalfd_siginfo unused;
        if (poll(fds, COUNT_OF(fds), -1) < 0 && errno != EINTR)
            _exit(127);
        if (fds[1].revents & POLLIN)
            calls_give_null(listener, null);
        if (fds[0].revents && read(ended, &unused, sizeof unused) > 0)
            found = waitpid(pid, &status, WNOHANG);
    }
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 127);
}

// Returns in a process that becomes the command; its parent stands by.
static int apart(int listener, int null)
{
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    int ended = signalfd(-1, &child, SFD_CLOEXEC);
    pid_t pid = ended < 0 ? -1 : fork();
    if (pid < 0)
        return -1;
    if (pid > 0)
        stand_by(pid, ended, listener, null);
    prctl(PR_SET_PDEATHSIG, SIGKILL); // a fork does not pass it on
    sigprocmask(SIG_SETMASK, &before, NULL);
    return 0;
}

int lockdown_command(bool unix_sockets)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), listener = -1;
    // A world of its own for processes and shared memory, which ends with it. (One for users, which a user
    // could have too, would show everybody else's files as nobody's.) In one, a daemon at the other end of a
    // UNIX socket has no PID, and systemctl does not speak with it.
    bool own_world = !unix_sockets && geteuid() == 0 && unshare(CLONE_NEWPID | CLONE_NEWIPC) == 0;
    mounts_read_only(); // one more wall, where it can be had: what it refuses is refused below as well
    if (drop_capabilities() < 0)
        return -1;
    int abi = landlock(SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL);
    if (abi < 0)
        return -1;
    unsigned calls = CALLS_KEYS | CALLS_SOCKETS | CALLS_FILES | (unix_sockets ? CALLS_UNIX : 0) |
                     (abi ? 0 : CALLS_OPEN) | (own_world ? 0 : CALLS_OTHERS) |
                     (own_world || abi >= ABI_SCOPE ? 0 : CALLS_SIGNALS);
    if (calls_refuse(calls, &listener) < 0)
        return -1;
    return own_world || listener >= 0 ? apart(listener, null) : 0;
}
