// SPDX-License-Identifier: MIT
// A kernel without the newer system calls: they answer as they would there.
#ifndef MIGRUN_TESTS_UNIT_OLD_KERNEL_H
#define MIGRUN_TESTS_UNIT_OLD_KERNEL_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// From here on this process and its children have none of these calls. Ends the process where that fails.
static inline void refuse_calls(const int *numbers, size_t count)
{
    struct sock_filter program[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    unsigned short n = 1;
    for (size_t i = 0; i < count && i < 30; i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)numbers[i], 0,
                                                    1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {.len = n, .filter = program};
    if (count && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0))
        _exit(20);
}

#endif
