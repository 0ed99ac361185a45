// SPDX-License-Identifier: MIT
// The fake world's time: who sleeps in it sleeps no real time. Linked with
// --wrap=nanosleep,--wrap=clock_gettime.
#ifndef MIGRUN_TESTS_CLOCK_H
#define MIGRUN_TESTS_CLOCK_H

#include <stdint.h>

void clock_skip(int64_t ms);

#endif
