// SPDX-License-Identifier: MIT
// A preview's promise kept by the kernel: the process (before it has threads) gives up writing, for good.
#ifndef MIGRUN_BASE_LOCKDOWN_H
#define MIGRUN_BASE_LOCKDOWN_H

#include "base/error.h"
#include <stdbool.h>

struct lockdown {
    bool landlock;  // Landlock refuses to open for writing and to make files
    bool read_only; // root: a mount namespace of its own, all of it read-only
};
// Locks the calling process in. Fails only for a fault of its own; what the kernel lacks is told in *got and
// by lockdown_missing. Writing to descriptors that are open stays possible, connecting to sockets too.
int lockdown_self(struct lockdown *got, struct error *err);
// One sentence on what is missing ("this kernel has no Landlock: …"), or NULL when all is there. Static text.
const char *lockdown_missing(const struct lockdown *got);
// For a command that only reads: as lockdown_self, and it reaches no socket (D-Bus, systemd, libvirt, other
// hosts; unix_sockets: but those of this host), no other process and no device, and leaves nothing running.
// Called between fork and exec. -1 with errno.
int lockdown_command(bool unix_sockets);

#endif
