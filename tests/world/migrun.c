// SPDX-License-Identifier: MIT
// migrun in the fake world: a sleep of it takes no time, and points of its own are counted with the others.
#include "clock.h"

#include "fault.h"

#include "base/fault.h"

#include <errno.h>

// A wait of many short sleeps (for a verdict, for a recovery) is soon over.
enum { SLEEP_LEAST_MS = 2000 };

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left;
    int64_t ms = (int64_t)wanted->tv_sec * 1000 + wanted->tv_nsec / 1000000;
    clock_skip(ms > SLEEP_LEAST_MS ? ms : SLEEP_LEAST_MS);
    return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    return clock_now(id, fault_points() ? fault_points()->skipped : 0, now);
}

int fault_point(const char *what, struct error *err)
{
    enum fault fault = fault_begin("gate", "", "%s", what);
    return fault == FAULT_FAIL ? error_errno(err, EIO, "a test's fault at %s", what) : 0;
}
