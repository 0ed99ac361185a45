// SPDX-License-Identifier: MIT
// System calls that are refused (seccomp). It needs no root, and every kernel has it since 3.17; but it sees
// numbers, never a path: Landlock and mounts know files, and this is for what they do not know, and for
// kernels that lack them.
#include "base/lockdown_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/btrfs.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

// Newer than the headers of the oldest system that migrun is built on. Their numbers are the same on every
// architecture.
enum {
    CALL_IO_URING_SETUP = 425,
    CALL_OPENAT2 = 437,
    CALL_PIDFD_SEND_SIGNAL = 424,
    CALL_PIDFD_GETFD = 438,
    CALL_PROCESS_MADVISE = 440,
    CALL_FCHMODAT2 = 452,
    CALL_SETXATTRAT = 463,
    CALL_REMOVEXATTRAT = 466,
    CALL_FILE_SETATTR = 469,
};
#ifndef SECCOMP_IOCTL_NOTIF_ADDFD
struct seccomp_notif_addfd {
    __u64 id;
    __u32 flags, srcfd, newfd, newfd_flags;
};
#define SECCOMP_IOCTL_NOTIF_ADDFD _IOW('!', 3, struct seccomp_notif_addfd)
#endif

// Some architectures lack the older forms of a call.
static const int of_files[] = {
    SYS_fchmod,     SYS_fchmodat,    SYS_fchown,         SYS_fchownat,      SYS_utimensat,    SYS_setxattr,
    SYS_lsetxattr,  SYS_fsetxattr,   SYS_removexattr,    SYS_lremovexattr,  SYS_fremovexattr, SYS_truncate,
    CALL_FCHMODAT2, CALL_SETXATTRAT, CALL_REMOVEXATTRAT, CALL_FILE_SETATTR,
#ifdef SYS_chmod
    SYS_chmod,
#endif
#ifdef SYS_chown
    SYS_chown,      SYS_lchown,
#endif
#ifdef SYS_utime
    SYS_utime,
#endif
#ifdef SYS_utimes
    SYS_utimes,
#endif
#ifdef SYS_futimesat
    SYS_futimesat,
#endif
};
// One of a pair of sockets could be bound to a new file.
static const int of_folders[] = {
    SYS_socketpair, SYS_mkdirat, SYS_mknodat, SYS_unlinkat, SYS_linkat, SYS_symlinkat, SYS_renameat2,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_mkdir
    SYS_mkdir,      SYS_mknod,   SYS_rmdir,   SYS_unlink,   SYS_link,   SYS_symlink,   SYS_rename,
#endif
#ifdef SYS_creat
    SYS_creat,
#endif
};
// What the others share with us: shared memory, semaphores and queues, memory, descriptors; and sessions,
// since a process in another one would not end with its group.
static const int of_others[] = {
    SYS_setsid,        SYS_setpgid,          SYS_ptrace,      SYS_process_vm_writev,
    SYS_migrate_pages, SYS_move_pages,       SYS_setpriority, SYS_ioprio_set,
    CALL_PIDFD_GETFD,  CALL_PROCESS_MADVISE, SYS_shmget,      SYS_shmat,
    SYS_shmctl,        SYS_semget,           SYS_semop,       SYS_semctl,
    SYS_msgget,        SYS_msgsnd,           SYS_msgrcv,      SYS_msgctl,
    SYS_mq_open,       SYS_mq_unlink,
#ifdef SYS_semtimedop
    SYS_semtimedop,
#endif
#ifdef SYS_ipc
    SYS_ipc,
#endif
};
static const int of_own_by_zero[] = {SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setscheduler,
                                     SYS_sched_setparam, SYS_sched_setattr};
static const int of_signals[] = {SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_tkill,
                                 CALL_PIDFD_SEND_SIGNAL};
static const int of_keys[] = {SYS_add_key, SYS_request_key, SYS_keyctl};

// Of descriptors that are open for reading; on btrfs a folder is enough to make and remove subvolumes.
static const unsigned int controls[] = {
    FS_IOC_SETFLAGS,
    FS_IOC_FSSETXATTR,
    FS_IOC_SETVERSION,
    FS_IOC_SET_ENCRYPTION_POLICY,
    FS_IOC_ADD_ENCRYPTION_KEY,
    FS_IOC_REMOVE_ENCRYPTION_KEY,
    _IOW('f', 133, char[128]), // FS_IOC_ENABLE_VERITY
    BTRFS_IOC_SNAP_CREATE,
    BTRFS_IOC_SNAP_CREATE_V2,
    BTRFS_IOC_SNAP_DESTROY,
    _IOW(BTRFS_IOCTL_MAGIC, 63, struct btrfs_ioctl_vol_args_v2), // BTRFS_IOC_SNAP_DESTROY_V2
    BTRFS_IOC_SUBVOL_CREATE,
    BTRFS_IOC_SUBVOL_CREATE_V2,
    BTRFS_IOC_SUBVOL_SETFLAGS,
    BTRFS_IOC_SET_RECEIVED_SUBVOL,
    BTRFS_IOC_DEFRAG,
    BTRFS_IOC_DEFRAG_RANGE,
    0x8901, // FIOSETOWN: whom the kernel sends SIGIO
    0x8902, // SIOCSPGRP
    0x5412, // TIOCSTI: what is typed at a terminal
    0x541C, // TIOCLINUX
};

// ---- the program ----

enum { PROGRAM_MAX = 512 };
struct program {
    struct sock_filter step[PROGRAM_MAX];
    unsigned short n;
};

static const unsigned int REFUSE = SECCOMP_RET_ERRNO | EACCES;

static void add(struct program *p, struct sock_filter step) { p->step[p->n++] = step; }

static void load(struct program *p, size_t offset)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offset));
}

// The low half of an argument: descriptors, PIDs and flags have no other.
static void load_argument(struct program *p, int number)
{
    size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;
    load(p, offsetof(struct seccomp_data, args) + (size_t)number * sizeof(uint64_t) + low);
}

static void give(struct program *p, unsigned int action)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

// Skips so many steps if the value that was loaded is (not) the given one.
static void skip_if(struct program *p, unsigned int value, unsigned char steps)
{
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, steps, 0));
}

static void skip_unless(struct program *p, unsigned int value, unsigned char steps)
{
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, steps));
}

static void skip_by_bits(struct program *p, unsigned int bits, unsigned char if_any, unsigned char if_none)
{
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, if_any, if_none));
}

static void give_for(struct program *p, int call, unsigned int action)
{
    skip_unless(p, (unsigned int)call, 1);
    give(p, action);
}

static void refuse_all(struct program *p, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        give_for(p, calls[i], REFUSE);
}

// The rules for one call's arguments stand between these two; what they let pass is allowed.
static unsigned short begin_call(struct program *p, int call)
{
    skip_unless(p, (unsigned int)call, 0);
    return p->n;
}

static void end_call(struct program *p, unsigned short begun)
{
    give(p, SECCOMP_RET_ALLOW);
    p->step[begun - 1].jf = (unsigned char)(p->n - begun);
}

static void refuse_open(struct program *p, int call, int flags, bool landlock, unsigned int action)
{
    unsigned short begun = begin_call(p, call);
    load_argument(p, flags);
    if (landlock) { // it knows only whether a file is opened for writing
        skip_by_bits(p, O_TRUNC, 0, 2);
        skip_by_bits(p, O_WRONLY | O_RDWR, 1, 0);
    } else {
        skip_by_bits(p, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1);
    }
    give(p, action);
    end_call(p, begun);
}

static void refuse_sockets(struct program *p, bool but_unix)
{
    unsigned short begun = begin_call(p, SYS_socket);
    load_argument(p, 0);
    skip_if(p, AF_NETLINK, 2);
    skip_if(p, but_unix ? AF_UNIX : AF_NETLINK, 1);
    give(p, REFUSE);
    end_call(p, begun);
    // One of a pair of datagram sockets could be sent elsewhere.
    begun = begin_call(p, SYS_socketpair);
    load_argument(p, 1);
    add(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf)); // what is beside the type
    skip_if(p, SOCK_STREAM, 1);
    give(p, REFUSE);
    end_call(p, begun);
#ifdef SYS_socketcall
    give_for(p, SYS_socketcall, REFUSE);
#endif
}

static void refuse_signals(struct program *p)
{
    unsigned int self = (unsigned int)getpid();
    refuse_all(p, of_signals, COUNT_OF(of_signals));
    unsigned short begun = begin_call(p, SYS_kill);
    load_argument(p, 1);
    skip_if(p, 0, 3); // asks only whether it is there
    load_argument(p, 0);
    skip_if(p, self, 1);
    give(p, REFUSE);
    end_call(p, begun);
    begun = begin_call(p, SYS_tgkill);
    load_argument(p, 0);
    skip_if(p, self, 1);
    give(p, REFUSE);
    end_call(p, begun);
}

static void refuse_others(struct program *p)
{
    refuse_all(p, of_others, COUNT_OF(of_others));
    for (size_t i = 0; i < COUNT_OF(of_own_by_zero); i++) {
        unsigned short begun = begin_call(p, of_own_by_zero[i]);
        load_argument(p, 0);
        skip_if(p, 0, 1);
        give(p, REFUSE);
        end_call(p, begun);
    }
    unsigned short begun = begin_call(p, SYS_fcntl);
    load_argument(p, 1);
    skip_if(p, F_SETOWN, 1);
    skip_unless(p, F_SETOWN_EX, 1);
    give(p, REFUSE);
    end_call(p, begun);
}

static void refuse_controls(struct program *p)
{
    unsigned short begun = begin_call(p, SYS_ioctl);
    load_argument(p, 1);
    for (size_t i = 0; i < COUNT_OF(controls); i++)
        give_for(p, (int)controls[i], REFUSE);
    end_call(p, begun);
}

static void build(struct program *p, unsigned what, unsigned int open_action)
{
    const bool opens = what & CALLS_OPEN;
    // Another architecture's calls, whose numbers differ, and what io_uring would do in our place.
    load(p, offsetof(struct seccomp_data, arch));
    skip_if(p, OWN_ARCH, 1);
    give(p, REFUSE);
    load(p, offsetof(struct seccomp_data, nr));
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1)); // x32
    give(p, REFUSE);
    give_for(p, CALL_IO_URING_SETUP, REFUSE);
    if (what & CALLS_KEYS)
        refuse_all(p, of_keys, COUNT_OF(of_keys));
    if (opens)
        refuse_all(p, of_folders, COUNT_OF(of_folders));
    if (what & CALLS_SOCKETS)
        refuse_sockets(p, what & CALLS_UNIX);
    if (what & CALLS_SIGNALS)
        refuse_signals(p);
    if (what & CALLS_OTHERS)
        refuse_others(p);
    if (what & (CALLS_FILES | CALLS_OPEN)) {
        refuse_all(p, of_files, COUNT_OF(of_files));
        refuse_controls(p);
        // Its flags lie in memory; whoever calls it knows kernels that have it not.
        give_for(p, CALL_OPENAT2, SECCOMP_RET_ERRNO | ENOSYS);
        refuse_open(p, SYS_openat, 2, !opens, open_action);
        refuse_open(p, SYS_open_by_handle_at, 2, !opens, REFUSE);
#ifdef SYS_open
        refuse_open(p, SYS_open, 1, !opens, open_action);
#endif
    }
    give(p, SECCOMP_RET_ALLOW);
}

int calls_refuse(unsigned what, int *listener)
{
    struct program p = {0};
    struct sock_fprog program = {.filter = p.step};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    if (listener)
        *listener = -1;
    if (listener && what & CALLS_OPEN) {
        build(&p, what, SECCOMP_RET_USER_NOTIF);
        program.len = p.n;
        *listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                                 &program);
        if (*listener >= 0)
            return 0;
        p.n = 0; // a kernel before 5.0, or there is a listener already: refused without asking
    }
    build(&p, what, REFUSE);
    program.len = p.n;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

// ---- /dev/null ----

// The one path that may be opened for writing. What the other process changes afterwards changes nothing: it
// is given our descriptor, and opens nothing itself.
static bool wants_null(const struct seccomp_notif *asked, bool *cloexec)
{
    static const char null[] = "/dev/null";
    char path[sizeof null] = "";
    bool at = asked->data.nr == SYS_openat;
    struct iovec here = {.iov_base = path, .iov_len = sizeof path},
                 there = {.iov_base = (void *)(uintptr_t)asked->data.args[at ? 1 : 0],
                          .iov_len = sizeof path};
    *cloexec = asked->data.args[at ? 2 : 1] & O_CLOEXEC;
    return process_vm_readv((pid_t)asked->pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof path &&
           memcmp(path, null, sizeof null) == 0;
}

void calls_give_null(int listener, int null)
{
    union {
        struct seccomp_notif asked;
        char room[1024]; // a newer kernel's may be longer
    } question = {0};
    union {
        struct seccomp_notif_resp answer;
        char room[1024];
    } reply = {0};
    bool cloexec = false;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) < 0)
        return; // it was killed meanwhile
    reply.answer.id = question.asked.id;
    reply.answer.error = -EACCES;
    if (wants_null(&question.asked, &cloexec)) {
        struct seccomp_notif_addfd give_it = {
            .id = question.asked.id, .srcfd = (unsigned int)null, .newfd_flags = cloexec ? O_CLOEXEC : 0};
        int number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &give_it);
        if (number >= 0) {
            reply.answer.error = 0;
            reply.answer.val = number;
        }
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}
