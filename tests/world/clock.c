// SPDX-License-Identifier: MIT
#include "clock.h"

#include "fault.h"

void clock_skip(int64_t ms)
{
    if (fault_points())
        fault_points()->skipped += ms;
}

int clock_now(clockid_t id, int64_t skipped, struct timespec *now)
{
    int rc = __real_clock_gettime(id, now);
    now->tv_sec += skipped / 1000;
    now->tv_nsec += skipped % 1000 * 1000000;
    if (now->tv_nsec >= 1000000000) {
        now->tv_sec++;
        now->tv_nsec -= 1000000000;
    }
    return rc;
}
