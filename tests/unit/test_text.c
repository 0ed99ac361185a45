// SPDX-License-Identifier: MIT
// Text on a screen: its columns, what ASCII can show of it, and what a terminal must not see.
#include "base/json.h"
#include "cli/text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void expect_shown(const char *text, bool utf8, const char *wanted)
{
    auto_free char *shown = shown_text(text, utf8);
    assert_string_equal(shown, wanted);
}

static void utf8_stays(void **state)
{
    (void)state;
    expect_shown("", true, "");
    expect_shown("a → b … ü 漢 😀", true, "a → b … ü 漢 😀");
}

static void ascii_fallbacks(void **state)
{
    (void)state;
    expect_shown("plain", false, "plain");
    expect_shown("a → b · c × d − e", false, "a -> b - c x d - e");
    expect_shown("…/disk – — ≤ ≥ •", false, ".../disk - - <= >= *");
    expect_shown("‘a’ “b”", false, "'a' \"b\"");
    expect_shown("ü漢", false, "\\xc3\\xbc\\xe6\\xbc\\xa2");
}

static void control_characters(void **state)
{
    (void)state;
    for (int ascii = 0; ascii < 2; ascii++) {
        expect_shown("\x1b[2Jgone\a", !ascii, "\\x1b[2Jgone\\x07");
        expect_shown("a\tb\r\nc\x7f", !ascii, "a\\x09b\\x0d\\x0ac\\x7f");
        expect_shown("c1 \xc2\x9b"
                     "31m",
                     !ascii, "c1 \\u{9b}31m");
    }
}

// They would make a name, or a line of a diff, read otherwise than it is.
static void what_is_not_seen(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown, *json;
    } rows[] = {
        {"a\xe2\x80\xae"
         "b",
         "a\\u{202e}b", "[\"a\\u202eb\"]"},
        {"\xe2\x81\xa6 \xe2\x80\x8b \xef\xbb\xbf \xe2\x80\xa8 \xc2\xad",
         "\\u{2066} \\u{200b} \\u{feff} \\u{2028} \\u{ad}", "[\"\\u2066 \\u200b \\ufeff \\u2028 \\u00ad\"]"},
        {"\xc2\x9b\x7f\xf3\xa0\x81\x81", "\\u{9b}\\x7f\\u{e0041}", "[\"\\u009b\\u007f\\udb40\\udc41\"]"},
        {"ü → 漢 😀", "ü → 漢 😀", "[\"ü → 漢 😀\"]"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_shown(rows[i].text, true, rows[i].shown);
        auto_json json_t *json = json_pack("[o]", json_text(rows[i].text)), *again = NULL;
        auto_free char *line = json_line(json);
        assert_string_equal(line, rows[i].json);
        again = json_loads(line, 0, NULL);
        assert_string_equal(json_string_value(json_array_get(again, 0)), rows[i].text);
    }
}

static void broken_utf8(void **state)
{
    (void)state;
    for (int ascii = 0; ascii < 2; ascii++) {
        expect_shown("\xff\xfe", !ascii, "\\xff\\xfe");
        expect_shown("cut \xe2\x86", !ascii, "cut \\xe2\\x86");
        expect_shown("overlong \xc0\xaf \xe0\x80\xaf", !ascii, "overlong \\xc0\\xaf \\xe0\\x80\\xaf");
        expect_shown("surrogate \xed\xa0\x80", !ascii, "surrogate \\xed\\xa0\\x80");
        expect_shown("beyond \xf4\x90\x80\x80", !ascii, "beyond \\xf4\\x90\\x80\\x80");
    }
}

static void columns(void **state)
{
    (void)state;
    assert_int_equal(text_columns(""), 0);
    assert_int_equal(text_columns("abc"), 3);
    assert_int_equal(text_columns("a → ü"), 5);
    assert_int_equal(text_columns("漢字"), 4);
    assert_int_equal(text_columns("e\xcc\x81"), 1); // an accent of its own has no width
    assert_int_equal(text_columns("\xff\xe2"), 2);
}

static void bytes_in_columns(void **state)
{
    (void)state;
    assert_int_equal(text_bytes_in("abc", 2), 2);
    assert_int_equal(text_bytes_in("abc", 9), 3);
    assert_int_equal(text_bytes_in("→→", 1), 3);
    assert_int_equal(text_bytes_in("漢字", 3), 3); // a wide character is whole or not there
    assert_int_equal(text_bytes_in("漢", 1), 0);
    assert_int_equal(text_bytes_in("", 5), 0);
    assert_int_equal(text_bytes_in("e\xcc\x81x", 1), 3);
}

static void color_names(void **state)
{
    (void)state;
    enum color_when when = COLOR_AUTO;
    assert_int_equal(color_parse("never", &when), 0);
    assert_int_equal(when, COLOR_NEVER);
    assert_int_equal(color_parse("always", &when), 0);
    assert_int_equal(when, COLOR_ALWAYS);
    assert_int_equal(color_parse("auto", &when), 0);
    assert_int_equal(when, COLOR_AUTO);
    assert_int_equal(color_parse("", &when), -1);
    assert_int_equal(color_parse("Always", &when), -1);
}

// A terminal of our own; -1 where the machine has none to give.
static int open_terminal(int *master)
{
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    if (*master < 0 || grantpt(*master) < 0 || unlockpt(*master) < 0)
        return -1;
    return open(ptsname(*master), O_RDWR | O_NOCTTY);
}

static void when_to_colour(void **state)
{
    (void)state;
    auto_fd int master = -1, terminal = open_terminal(&master), null = open("/dev/null", O_WRONLY);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    assert_true(color_wanted(COLOR_ALWAYS, null));
    assert_false(color_wanted(COLOR_AUTO, null));
    if (terminal < 0)
        skip();
    assert_true(color_wanted(COLOR_AUTO, terminal));
    assert_false(color_wanted(COLOR_NEVER, terminal));
    setenv("NO_COLOR", "1", 1);
    assert_false(color_wanted(COLOR_AUTO, terminal));
    assert_true(color_wanted(COLOR_ALWAYS, terminal));
    assert_true(is_live_terminal(terminal));
    setenv("NO_COLOR", "", 1); // empty counts as not set
    assert_true(color_wanted(COLOR_AUTO, terminal));
    setenv("TERM", "dumb", 1);
    assert_false(color_wanted(COLOR_AUTO, terminal));
    assert_false(is_live_terminal(terminal));
}

static void locales(void **state)
{
    (void)state;
    unsetenv("LC_CTYPE");
    unsetenv("LANG");
    setenv("LC_ALL", "C", 1);
    assert_false(locale_utf8());
    setenv("LC_ALL", "xx_YY.UTF-8", 1); // named, but not installed
    assert_true(locale_utf8());
    unsetenv("LC_ALL");
    assert_false(locale_utf8());
    setenv("LANG", "C.UTF-8", 1);
    assert_true(locale_utf8());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locales), // leaves UTF-8 for the others
        cmocka_unit_test(utf8_stays),
        cmocka_unit_test(ascii_fallbacks),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(what_is_not_seen),
        cmocka_unit_test(broken_utf8),
        cmocka_unit_test(columns),
        cmocka_unit_test(bytes_in_columns),
        cmocka_unit_test(color_names),
        cmocka_unit_test(when_to_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
