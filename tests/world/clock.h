// SPDX-License-Identifier: MIT
// The fake world's time: who sleeps in it sleeps no real time, and all processes of a run have the same.
// Linked with --wrap=nanosleep,--wrap=clock_gettime.
#ifndef MIGRUN_TESTS_CLOCK_H
#define MIGRUN_TESTS_CLOCK_H

#include <stdint.h>
#include <time.h>

void clock_skip(int64_t ms);
// The time with what was skipped; real: without.
int clock_now(clockid_t id, int64_t skipped, struct timespec *now);

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __real_nanosleep(const struct timespec *wanted, struct timespec *left);
int __real_clock_gettime(clockid_t id, struct timespec *now);

#endif
