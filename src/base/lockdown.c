// SPDX-License-Identifier: MIT
#include "base/lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

// The process opens nothing for writing and makes nothing any more, but /dev/null. 0: done, 1: no Landlock
// here, -1: errno.
static int landlock(uint64_t scoped)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return 1;
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
    return rc;
}

// What Landlock lets pass (chmod, chown, extended attributes, times) a read-only mount refuses. -1: not to be
// had here.
static int read_only_mounts(void)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    return (int)syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof read_only);
}

int lockdown_self(struct lockdown *got, struct error *err)
{
    // Mounts first: a process in Landlock may not change them any more.
    *got = (struct lockdown){.read_only = read_only_mounts() == 0};
    int rc = landlock(0);
    if (rc < 0)
        return error_errno(err, errno, "migrun cannot lock itself in (Landlock)");
    got->landlock = rc == 0;
    return 0;
}

const char *lockdown_missing(const struct lockdown *got)
{
    if (!got->landlock && !got->read_only)
        return "this preview is not locked in by the kernel: it has no Landlock, and there is no read-only "
               "mount namespace (not root?)";
    if (!got->landlock)
        return "the kernel has no Landlock: this preview is locked in by a read-only mount namespace alone";
    if (!got->read_only && geteuid() == 0)
        return "no read-only mount namespace can be made here: this preview is locked in by Landlock alone, "
               "which lets owners and modes be changed";
    return NULL; // a user other than root owns little that it could change
}

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OWN_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define OWN_ARCH AUDIT_ARCH_S390X
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_ARCH AUDIT_ARCH_RISCV64
#else
#error "name this architecture's AUDIT_ARCH_… here"
#endif

// D-Bus, systemd and libvirt are reached over UNIX sockets, other hosts over the Internet's: a command that
// only reads gets netlink's alone (nor io_uring, which could make others, nor another architecture's system
// calls, whose numbers differ). Hiding the control sockets by mounts is not possible once Landlock holds.
static int no_sockets(bool but_unix)
{
    const unsigned int refuse = SECCOMP_RET_ERRNO | EACCES;
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, refuse),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 6, 0), // x32
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, but_unix ? AF_UNIX : AF_NETLINK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, refuse),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

// Root's other powers (firewall, links, time, reboot, other processes): only reading any file stays.
static int drop_capabilities(void)
{
    for (unsigned long capability = 0; capability < 64; capability++)
        if (capability != CAP_DAC_READ_SEARCH && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 &&
            errno == EPERM)
            return geteuid() == 0 ? -1 : 0;
    return 0;
}

// In a world of its own for processes and shared memory: it reaches no other process, and what it leaves
// running ends with it. Returns in the process that becomes the command; the other one waits for it, and ends
// as it does.
static void own_pid_namespace(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWPID | CLONE_NEWIPC) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a fork does not pass it on
    if (pid <= 0)
        return;
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 127);
}

int lockdown_command(bool unix_sockets)
{
    own_pid_namespace();
    // Inside a locked-in agent the mounts are read-only already, and may not be touched.
    read_only_mounts();
    if (drop_capabilities() < 0 || landlock(SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL) < 0)
        return -1;
    return no_sockets(unix_sockets);
}
