// SPDX-License-Identifier: MIT
// Deadlines and durations.
#ifndef MIGRUN_BASE_CLOCK_H
#define MIGRUN_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

// Deadlines are absolute milliseconds of CLOCK_MONOTONIC; 0 means none.
int64_t now_ms(void);
int64_t deadline_in(int64_t milliseconds); // 0 or less: no deadline
int deadline_poll_ms(int64_t deadline);    // for poll(2): -1 without a deadline, else 0…INT_MAX
double wall_time(void);                    // seconds since the epoch
void nap_ms(int64_t milliseconds);         // sleeps; a signal ends it
// A policy's (or an answer's) seconds as milliseconds: 0 for NaN, zero and negative values, at least 1 for
// any positive one, at most some 30 years.
int64_t ms_of_seconds(double seconds);
// Text of a duration for people: "0.2 s", "12 s", "3 min 20 s", "1 h 5 min".
char *duration_text(double seconds);
// "10", "10s", "5m", "1h30m", "250ms", "2d" (ms, s, m or min, h, d, the greatest first) into seconds. -1 when
// the text is not a duration.
int duration_parse(const char *text, double *seconds);
// "2026-11-26 22:14" in local time, or with its seconds; "?" if the number is not a valid time. Caller frees.
char *date_text(double time, bool seconds);

#endif
