// SPDX-License-Identifier: MIT
// When a line of a log was written, by what it says itself: oslo.log, libvirt, QEMU, syslog (both forms),
// journalctl's short-unix, Apache's two logs.
#ifndef MIGRUN_WORLD_LOGS_STAMP_H
#define MIGRUN_WORLD_LOGS_STAMP_H

#include <stdbool.h>
#include <stddef.h>

struct stamp {
    double time;   // seconds since the epoch; without a zone: as if it were UTC
    bool has_zone; // else it is the local time of whoever wrote it
    bool has_year; // else the year is 1972
};
// false: the line does not say.
bool stamp_read(const char *line, size_t len, struct stamp *stamp);

// By the local time of this machine.
#define ZONE_LOCAL 0x7fffffff
// A stamp as seconds since the epoch. zone: seconds east of UTC where the line has none. near: a time of
// about then, for lines without a year.
double stamp_time(const struct stamp *stamp, int zone, double near);

#endif
