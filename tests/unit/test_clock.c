// SPDX-License-Identifier: MIT
// Seconds of a policy in milliseconds, and dates; no number of them is undefined.
#include "base/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void seconds_in_milliseconds(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        int64_t ms;
    } rows[] = {
        {0, 0},
        {-0.0, 0},
        {-5, 0},
        {-INFINITY, 0},
        {NAN, 0},
        {1e-9, 1},
        {0.25, 250},
        {1.5, 1500},
        {86400, 86400000},
        {999999999, 999999999000},
        {1e9, 1000000000000},
        {1e300, 1000000000000},
        {INFINITY, 1000000000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(ms_of_seconds(rows[i].seconds), rows[i].ms);
}

static void a_deadline_of_all_of_them(void **state)
{
    (void)state;
    assert_true(deadline_in(ms_of_seconds(1e300)) > now_ms());
    assert_int_equal(deadline_in(ms_of_seconds(NAN)), 0);
    assert_true(deadline_poll_ms(deadline_in(ms_of_seconds(1e300))) > 0);
}

static void numbers_that_are_no_time(void **state)
{
    (void)state;
    static const double none[] = {-1, -1e300, 1e300, INFINITY, -INFINITY, NAN, 9e18, 253402300800.0};
    char *text = date_text(1e9, true);
    assert_int_equal(strlen(text), strlen("2001-09-09 01:46:40"));
    free(text);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        text = date_text(none[i], false);
        assert_string_equal(text, "?");
        free(text);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds; // -1: it is none
    } rows[] = {
        {"10", 10},        {"10s", 10},     {"5m", 300},         {"5min", 300},
        {"1h30m", 5400},   {"250ms", 0.25}, {"1.5h", 5400},      {"0", 0},
        {"1m500ms", 60.5}, {"2d", 172800},  {"1min30s", 90},     {"", -1},
        {"5 bananas", -1}, {"s", -1},       {"10 s", -1},        {"-5", -1},
        {"30m1h", -1},     {"1h1h", -1},    {"1e3", -1},         {"0x10", -1},
        {"auto", -1},      {"5mm", -1},     {".5s", -1},         {"1h30", -1},
        {"5M", -1},        {"1m1min", -1},  {"10000000000", -1}, {"inf", -1},
        {"nan", -1},       {"+5", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double seconds = -1;
        if (duration_parse(rows[i].text, &seconds) < 0)
            seconds = -1;
        if (seconds < rows[i].seconds || seconds > rows[i].seconds)
            fail_msg("'%s': %g", rows[i].text, seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_in_milliseconds),
        cmocka_unit_test(a_deadline_of_all_of_them),
        cmocka_unit_test(durations),
        cmocka_unit_test(numbers_that_are_no_time),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
