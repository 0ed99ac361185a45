// SPDX-License-Identifier: MIT
// Faults on demand. Each call to the world is a point, each fault_point (base/fault.h) of migrun's own, and
// each step that an agent makes on its host (machine/steps.c); they are counted together, over all processes
// of a run: the count is in the file "points" of the folder $MIGRUN_WORLD. MIGRUN_FAULT="N:KIND" has the N-th
// go wrong; with MIGRUN_POINTS each point that is passed is a line of that file "points.log".
#ifndef MIGRUN_TESTS_FAULT_H
#define MIGRUN_TESTS_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum fault {
    FAULT_NONE,
    FAULT_FAIL,  // the agent (the connection to libvirtd, to the service) dies before anything was done;
                 // of a step: before that step. The next call works
    FAULT_ERROR, // nothing is done, and the host (the service, with a 500) says so; the step fails with EIO
    FAULT_AFTER, // all is done, and then the agent (the connection to libvirtd, to the service) dies
    FAULT_BUSY,  // a service of the cloud says 503 once, and is itself again
    FAULT_PAGE,  // something before it answers with a page of HTML, and nothing is done
    FAULT_CUT,   // its answer ends in the middle
    FAULT_TOKEN, // the token was revoked
    FAULT_GONE,  // the whole host (the service) does not answer any more
    FAULT_INTERRUPT,   // Ctrl-C meanwhile
    FAULT_KILL_BEFORE, // migrun dies
    FAULT_KILL_AFTER,
    FAULTS
};
extern const char *const fault_names[FAULTS];

// What the processes of a run have in common.
struct points {
    long passed;
    int64_t skipped;        // milliseconds: clock.h
    volatile bool in_world; // the world itself changes: who is killed now would leave it half changed
};
// NULL: MIGRUN_WORLD names no folder, or there are none in it.
struct points *fault_points(void);
// Makes them in a folder, or begins anew.
void fault_points_make(const char *folder);

// Counts a point of a host ("" for migrun's own). What is to go wrong; migrun does not come back from its
// death.
enum fault fault_begin(const char *kind, const char *host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// After what the point stands for was done.
void fault_end(void);
// Whether that host is gone.
bool fault_is_gone(const char *host);

#endif
