// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include "base/memory.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define DIGITS "0123456789"

enum { MOST_SECONDS = 1000000000 };

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void nap_ms(int64_t milliseconds)
{
    struct timespec nap = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&nap, NULL);
}

int64_t ms_of_seconds(double seconds)
{
    if (!(seconds > 0)) // nor is what is not a number
        return 0;
    return seconds >= MOST_SECONDS ? (int64_t)MOST_SECONDS * 1000
           : seconds < 0.001       ? 1
                                   : (int64_t)(seconds * 1000);
}

int64_t deadline_in(int64_t milliseconds) { return milliseconds > 0 ? now_ms() + milliseconds : 0; }

int deadline_poll_ms(int64_t deadline)
{
    if (!deadline)
        return -1;
    int64_t left = deadline - now_ms();
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

double wall_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

char *duration_text(double seconds)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds < 0.095)
        return xasprintf("%.2f s", seconds);
    if (seconds < 9.95)
        return xasprintf("%.1f s", seconds);
    long whole = (long)(seconds + 0.5);
    if (whole < 60)
        return xasprintf("%ld s", whole);
    if (whole < 3600)
        return whole % 60 ? xasprintf("%ld min %ld s", whole / 60, whole % 60)
                          : xasprintf("%ld min", whole / 60);
    return whole / 60 % 60 ? xasprintf("%ld h %ld min", whole / 3600, whole / 60 % 60)
                           : xasprintf("%ld h", whole / 3600);
}

int duration_parse(const char *text, double *seconds)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {
        {"ms", 0.001}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400},
    };
    double sum = 0, above = INFINITY; // the factor before
    const char *p = text;
    if (!*p)
        return -1;
    while (*p) {
        size_t digits = strspn(p, DIGITS);
        const char *end = p + digits;
        if (*end == '.')
            end += 1 + strspn(end + 1, DIGITS);
        size_t letters = strspn(end, "abcdefghijklmnopqrstuvwxyz");
        double factor = letters == 0 && !*end && p == text ? 1 : 0;
        for (size_t i = 0; i < COUNT_OF(units); i++)
            if (letters == strlen(units[i].suffix) && strncmp(end, units[i].suffix, letters) == 0)
                factor = units[i].factor;
        if (digits == 0 || factor == 0 || factor >= above)
            return -1;
        sum += strtod(p, NULL) * factor;
        above = factor;
        p = end + letters;
    }
    if (!(sum < MOST_SECONDS))
        return -1;
    *seconds = sum;
    return 0;
}

char *date_text(double time, bool seconds)
{
    const double year_10000 = 253402300800.0;
    char text[32] = "?";
    struct tm local;
    if (time >= 0 && time < year_10000) { // nor is what is not a number
        time_t at = (time_t)time;
        if (localtime_r(&at, &local))
            strftime(text, sizeof text, seconds ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d %H:%M", &local);
    }
    return xstrdup(text);
}
