// SPDX-License-Identifier: MIT
// How a migration has ended, by what both hosts say of the guest: one table (ends.c), and the function that
// looks in it. Nothing here asks anybody.
#ifndef MIGRUN_RUN_ENDS_H
#define MIGRUN_RUN_ENDS_H

#include "run/run.h"

// What one host's libvirtd says of the guest, as far as it matters for the end. A bit each: the table's rows
// hold sets of them.
enum guest_seen {
    PLACE_ABSENT = 1,     // libvirtd knows no such guest
    PLACE_RUNS = 2,       // running, blocked, idle
    PLACE_POST_COPY = 4,  // running (post-copy): its memory is still to come
    PLACE_STANDS = 8,     // paused by somebody or something other than the migration, suspended, panicked
    PLACE_SWITCHING = 16, // paused by the migration
    PLACE_BROKEN = 32,    // post-copy failed
    PLACE_OFF = 64,       // shut off, and libvirt knows why: not by the migration
    PLACE_LEFT = 128,     // shut off (migrated)
    PLACE_LOST = 256,     // shut off, and libvirt does not know why: perhaps it lost the record of a QEMU
    PLACE_UNKNOWN = 512,  // libvirtd cannot be asked
};

// Whether a QEMU process of the guest is on a host, by the agent there: the third witness.
enum qemu_seen { QEMU_UNASKED, QEMU_NONE, QEMU_THERE };

struct guest_place {
    enum guest_seen seen;
    bool job; // libvirt has a job for it: the migration goes on
    enum qemu_seen qemu;
};

// By libvirt's words for a domain's state and its reason (virt_domain).
enum guest_seen guest_seen(const char *state, const char *reason, bool persistent);
// *asks (NULL: not wanted): whether the answer hangs on a QEMU process that nobody was asked about yet.
enum whereabouts where_it_ended(const struct guest_place *source, const struct guest_place *dest, bool *asks);

#endif
