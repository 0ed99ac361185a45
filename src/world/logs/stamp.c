// SPDX-License-Identifier: MIT
#include "world/logs/stamp.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

struct reader {
    const char *p, *end;
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// So many digits, as a number; -1: other things stand there, and nothing is taken.
static int digits(struct reader *r, int count)
{
    int value = 0;
    if (r->end - r->p < count)
        return -1;
    for (int i = 0; i < count; i++) {
        if (!is_digit(r->p[i]))
            return -1;
        value = value * 10 + (r->p[i] - '0');
    }
    r->p += count;
    return value;
}

static bool skip(struct reader *r, const char *any)
{
    if (r->p >= r->end || !*r->p || !strchr(any, *r->p))
        return false;
    r->p++;
    return true;
}

// ".123456" or ",123": a fraction of a second.
static double fraction(struct reader *r)
{
    double value = 0, unit = 0.1;
    if (r->end - r->p < 2 || (*r->p != '.' && *r->p != ',') || !is_digit(r->p[1]))
        return 0;
    for (r->p++; r->p < r->end && is_digit(*r->p); r->p++, unit /= 10)
        value += unit * (*r->p - '0');
    return value;
}

// Days from 1970-01-01, by Howard Hinnant's algorithm for civil dates.
static int64_t days_of(int year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool set_date(struct stamp *stamp, int year, int month, int day)
{
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    stamp->time = (double)(days_of(year, month, day) * 86400);
    return true;
}

// "03:44:59.919094"
static bool take_clock(struct reader *r, struct stamp *stamp)
{
    int hour = digits(r, 2), minute = skip(r, ":") ? digits(r, 2) : -1,
        second = skip(r, ":") ? digits(r, 2) : -1;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    stamp->time += hour * 3600 + minute * 60 + second + fraction(r);
    return true;
}

// "Z", "+0000", "+01:00", or nothing.
static void take_zone(struct reader *r, struct stamp *stamp)
{
    if (skip(r, "Z")) {
        stamp->has_zone = true;
        return;
    }
    if (r->p >= r->end || (*r->p != '+' && *r->p != '-'))
        return;
    struct reader ahead = {r->p + 1, r->end};
    int hours = digits(&ahead, 2);
    skip(&ahead, ":");
    int minutes = digits(&ahead, 2);
    if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
        return;
    stamp->time -= (*r->p == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    stamp->has_zone = true;
    r->p = ahead.p;
}

static int month_of(struct reader *r)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (r->end - r->p < 3)
        return -1;
    for (int i = 0; i < 12; i++)
        if (memcmp(r->p, names + 3 * (size_t)i, 3) == 0) {
            r->p += 3;
            return i + 1;
        }
    return -1;
}

// "2026-11-24 03:44:59.928+0000", "2026-11-24T03:44:59.919094Z", "2026/11/24 03:44:59"
static bool read_iso(struct reader r, struct stamp *stamp)
{
    int year = digits(&r, 4), month = skip(&r, "-/") ? digits(&r, 2) : -1,
        day = skip(&r, "-/") ? digits(&r, 2) : -1;
    if (!set_date(stamp, year, month, day) || !skip(&r, "T ") || !take_clock(&r, stamp))
        return false;
    stamp->has_year = true;
    take_zone(&r, stamp);
    return true;
}

// syslog's "Nov 24 03:44:59"
static bool read_syslog(struct reader r, struct stamp *stamp)
{
    int month = month_of(&r), day;
    if (month < 0 || !skip(&r, " "))
        return false;
    day = skip(&r, " ") ? digits(&r, 1) : digits(&r, 2);
    return set_date(stamp, 1972, month, day) && skip(&r, " ") && take_clock(&r, stamp);
}

// journalctl -o short-unix: "1764200000.123456 host …"
static bool read_unix(struct reader r, struct stamp *stamp)
{
    int high = digits(&r, 5), low = digits(&r, 5);
    if (high < 0 || low < 0 || r.p >= r.end || *r.p != '.')
        return false;
    stamp->time = high * 1e5 + low + fraction(&r);
    stamp->has_zone = stamp->has_year = true;
    return r.p < r.end && *r.p == ' ';
}

// What both have in a line, and uwsgi, stands behind a '[' that is not far.
enum { AHEAD = 200 };

static const char *next_bracket(const struct reader *line, const char *from)
{
    const char *end = line->end - line->p > AHEAD ? line->p + AHEAD : line->end;
    return from < end ? memchr(from, '[', (size_t)(end - from)) : NULL;
}

// "Tue Nov 24 03:44:59.123456 2026]"
static bool read_apache_at(struct reader r, struct stamp *stamp)
{
    if (r.end - r.p < 4)
        return false;
    r.p += 3;
    int month = skip(&r, " ") ? month_of(&r) : -1, day = skip(&r, " ") ? digits(&r, 2) : -1;
    struct stamp clock = {0};
    if (!skip(&r, " ") || !take_clock(&r, &clock) || !skip(&r, " ") ||
        !set_date(stamp, digits(&r, 4), month, day))
        return false;
    stamp->time += clock.time;
    stamp->has_year = true;
    return true;
}

// Apache's errors: "[Tue Nov 24 03:44:59.123456 2026]"; uwsgi's requests have it in their midst.
static bool read_apache(struct reader r, struct stamp *stamp)
{
    for (const char *at = next_bracket(&r, r.p); at; at = next_bracket(&r, at + 1))
        if (read_apache_at((struct reader){at + 1, r.end}, stamp))
            return true;
    return false;
}

// Its requests: "10.0.0.1 - - [24/Nov/2026:03:44:59 +0000] …"
static bool read_access(struct reader r, struct stamp *stamp)
{
    const char *bracket = next_bracket(&r, r.p);
    if (!bracket)
        return false;
    r.p = bracket + 1;
    int day = digits(&r, 2), month = skip(&r, "/") ? month_of(&r) : -1,
        year = skip(&r, "/") ? digits(&r, 4) : -1;
    if (!set_date(stamp, year, month, day) || !skip(&r, ":") || !take_clock(&r, stamp))
        return false;
    stamp->has_year = true;
    skip(&r, " ");
    take_zone(&r, stamp);
    return true;
}

bool stamp_read(const char *line, size_t len, struct stamp *stamp)
{
    static bool (*const forms[])(struct reader, struct stamp *) = {read_iso, read_unix, read_syslog,
                                                                   read_apache, read_access};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        *stamp = (struct stamp){0};
        if (forms[i]((struct reader){line, line + len}, stamp))
            return true;
    }
    return false;
}

// The same day and time in another year.
static double in_year(double time, int year)
{
    time_t seconds = (time_t)time;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    int64_t midnight = (int64_t)seconds / 86400 * 86400;
    return (double)(days_of(year, parts.tm_mon + 1, parts.tm_mday) * 86400) + (time - (double)midnight);
}

// Whichever year brings it nearest.
static double nearest_year(double time, double near)
{
    time_t seconds = (time_t)near;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    double best = time, distance = 1e18;
    for (int year = parts.tm_year + 1899; year <= parts.tm_year + 1901; year++) {
        double candidate = in_year(time, year), away = candidate > near ? candidate - near : near - candidate;
        if (away < distance) {
            best = candidate;
            distance = away;
        }
    }
    return best;
}

double stamp_time(const struct stamp *stamp, int zone, double near)
{
    double time = stamp->has_year ? stamp->time : nearest_year(stamp->time, near);
    if (stamp->has_zone)
        return time;
    if (zone != ZONE_LOCAL)
        return time - zone;
    time_t seconds = (time_t)time;
    struct tm parts;
    localtime_r(&seconds, &parts);
    return time - (double)parts.tm_gmtoff;
}
