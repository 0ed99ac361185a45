// SPDX-License-Identifier: MIT
#include "clock.h"

#include <time.h>

enum {
    SLEEP_LEAST_MS = 2000
}; // a wait of many short sleeps (for a verdict, for a recovery) is over after a few

static int64_t skipped;

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __real_clock_gettime(clockid_t id, struct timespec *now);

void clock_skip(int64_t ms) { skipped += ms; }

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left;
    int64_t ms = (int64_t)wanted->tv_sec * 1000 + wanted->tv_nsec / 1000000;
    clock_skip(ms > SLEEP_LEAST_MS ? ms : SLEEP_LEAST_MS);
    return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
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
