// SPDX-License-Identifier: MIT
// The only way to fork: the child inherits no descriptors, signal handlers or terminal that it must not have.
#ifndef MIGRUN_BASE_SPAWN_H
#define MIGRUN_BASE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct spawn {
    int in, out, err; // become its stdin, stdout and stderr; -1: /dev/null
    int keep[2];      // more descriptors that it keeps, under their numbers; 0: none
    bool session;     // it has a session of its own (the terminal's Ctrl-C is migrun's to handle); false: a
                      // process group of its own
    int dies_by;      // the signal that ends it when the process that started it ends; 0: it lives on
    bool detached;    // nobody waits for it (dies_by is then 0)
};
// In the caller: the child's pid (of no use when it is detached), or -1 with errno. In the child: 0; signals
// are as a program finds them at its start, and no other descriptor is open.
pid_t spawn(const struct spawn *how);
// A variable of the environment whose name begins so is migrun's own, as are a cloud's passwords
// (OS_PASSWORD, OS_TOKEN, …): a child does not get it.
#define SPAWN_SECRET "MIGRUN_SECRET_"
// From here on the memory of this process is written into no core file, and other processes of its user
// cannot read it. What it starts is as ever, but for the limit of core files.
void spawn_keep_private(void);
// The exception: a copy of this process that keeps all that it has (its terminal and its signals too), for
// work that changes a process for good. It has no threads, so the caller must have none either.
pid_t spawn_copy(void);
// Becomes the program argv[0], which is looked up in PATH. Where that fails, writes "NAME: why" (why alone
// when bare) to error_fd and exits with 127.
_Noreturn void spawn_exec(const char *const *argv, int error_fd, bool bare);

#endif
