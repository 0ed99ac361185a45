// SPDX-License-Identifier: MIT
// Faults on demand. Each call to the world is a point, and so is each fault_point (base/fault.h) of migrun's
// own; they are counted together. MIGRUN_FAULT="N:KIND" has the N-th go wrong; with MIGRUN_FAULT_LOG=FILE
// each point that is passed is a line there.
#ifndef MIGRUN_TESTS_FAULT_H
#define MIGRUN_TESTS_FAULT_H

#include <stdbool.h>

enum fault {
    FAULT_NONE,
    FAULT_FAIL,      // the connection breaks before anything was done (libvirt: the call fails, the next one
                     // works)
    FAULT_ERROR,     // nothing is done, and the host (the service, with a 500) says so
    FAULT_HALF,      // the agent dies when it has kept the original and the note, and made no change
    FAULT_AFTER,     // all is done, and then the agent (the connection to libvirtd, to the service) dies
    FAULT_BUSY,      // a service of the cloud says 503 once, and is itself again
    FAULT_PAGE,      // something before it answers with a page of HTML, and nothing is done
    FAULT_CUT,       // its answer ends in the middle
    FAULT_TOKEN,     // the token was revoked
    FAULT_GONE,      // the whole host (the service) does not answer any more
    FAULT_INTERRUPT, // Ctrl-C meanwhile
    FAULT_KILL_BEFORE, // migrun dies
    FAULT_KILL_AFTER,
    FAULTS
};
extern const char *const fault_names[FAULTS];

// Counts a point of a host ("" for migrun's own). What is to go wrong; migrun does not come back from its
// death.
enum fault fault_begin(const char *kind, const char *host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// After what the point stands for was done.
void fault_end(void);
// Whether that host is gone.
bool fault_is_gone(const char *host);

#endif
