// SPDX-License-Identifier: MIT
// The walls that lockdown.c puts up, each by itself.
#ifndef MIGRUN_BASE_LOCKDOWN_INTERNAL_H
#define MIGRUN_BASE_LOCKDOWN_INTERNAL_H

// ---- mounts (lockdown_mounts.c) ----

// All that is mounted is read-only for this process, in a mount namespace of its own: what Landlock lets pass
// (owners, modes, attributes, times) is refused too. -1: not to be had here.
int mounts_read_only(void);

// ---- system calls (lockdown_calls.c) ----

enum {
    CALLS_FILES = 1 << 0,   // owners, modes, times, attributes and flags of files
    CALLS_OPEN = 1 << 1,    // opening for writing, making, renaming, removing: where there is no Landlock
    CALLS_SIGNALS = 1 << 2, // to any process but itself: where neither namespace nor Landlock stop them
    CALLS_OTHERS = 1 << 3,  // what else reaches another process or outlives this one: no PID namespace
    CALLS_KEYS = 1 << 4,    // the kernel's keyrings
    CALLS_SOCKETS = 1 << 5, // all but netlink's
    CALLS_UNIX = 1 << 6,    // with CALLS_SOCKETS: but UNIX ones
};
// From here on the process, and all that it starts, are refused these calls, for good. listener: NULL, or
// where -1 is put, or a descriptor: then /dev/null can still be opened for writing, as long as
// calls_give_null answers for it. -1 with errno: this kernel filters no calls.
int calls_refuse(unsigned what, int *listener);
// Answers one question that waits at the listener: gives null where it is for /dev/null, refuses all else.
void calls_give_null(int listener, int null);

#endif
