// SPDX-License-Identifier: MIT
// A preview's promise kept by the kernel: the process (before it has threads) gives up writing, for good.
//
// Three walls, each with what it cannot do: Landlock (Linux 5.13) refuses to open for writing, to make and to
// remove; read-only mounts (root) refuse to change owners, modes, times and attributes; a filter of system
// calls (seccomp) does what neither does, and does for the one that is missing.
#ifndef MIGRUN_BASE_LOCKDOWN_H
#define MIGRUN_BASE_LOCKDOWN_H

#include "base/error.h"
#include <stdbool.h>

// Locks the calling process in. Writing to descriptors that are open stays possible, connecting to sockets
// too. -1: this kernel cannot; err is one sentence on what is missing.
int lockdown_self(struct error *err);
// For a command that only reads: it changes no file, opens no device or FIFO for writing, reaches no socket
// (D-Bus, systemd, libvirt, other hosts; unix_sockets: but those of this host), no other process and no
// keyring, and leaves nothing running (where it is not root, or with unix_sockets: but in its process group,
// which the caller has to kill). Called between fork and exec. -1 with errno: this kernel cannot, and it must
// not be run.
int lockdown_command(bool unix_sockets);

#endif
