// SPDX-License-Identifier: MIT
// Logs are searched by their times.
#include "base/text.h"
#include "remove_all.h"
#include "world/logs/search.h"
#include "world/logs/stamp.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static double stamp_of(const char *line)
{
    struct stamp stamp;
    return stamp_read(line, strlen(line), &stamp) ? stamp_time(&stamp, 0, 1795490000) : NAN;
}

// 2026-11-24 03:44:59 UTC
#define THEN 1795491899.0

static void every_form_of_time(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        double time;
    } all[] = {
        {"2026-11-24 03:44:59.500 1234 ERROR nova.compute.manager [-] x", THEN + 0.5},
        {"2026-11-24 03:44:59,500 x", THEN + 0.5},
        {"2026-11-24 03:44:59.500+0000: 99: error : f:1 : x", THEN + 0.5},
        {"2026-11-24 03:44:59.500+0100: x", THEN + 0.5 - 3600},
        {"2026-11-24T03:44:59.500000Z qemu-system-x86_64: x", THEN + 0.5},
        {"2026-11-24T03:44:59.500000-05:30 host kernel: x", THEN + 0.5 + 5 * 3600 + 1800},
        {"2026/11/24 03:44:59 x", THEN},
        {"1795491899.500000 host systemd[1]: x", THEN + 0.5},
        {"Nov 24 03:44:59 host libvirtd[12]: x", THEN},
        {"Nov  4 03:44:59 host libvirtd[12]: x", THEN - 20 * 86400},
        {"[Tue Nov 24 03:44:59.500000 2026] [wsgi:error] x", THEN + 0.5},
        {"[pid: 254|app: 0] 10.77.0.10 () {34 vars} [Tue Nov 24 03:44:59 2026] GET /v2.0/ports", THEN},
        {"10.0.0.1 - - [24/Nov/2026:03:44:59 +0000] \"GET / HTTP/1.1\" 200", THEN},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (fabs(stamp_of(all[i].line) - all[i].time) > 0.001)
            fail_msg("%s: %.3f, not %.3f", all[i].line, stamp_of(all[i].line), all[i].time);
}

static void what_has_no_time(void **state)
{
    (void)state;
    static const char *const all[] = {"",
                                      "-uuid 1234",
                                      "2026-11-24",
                                      "2026-13-24 03:44:59",
                                      "Foo 24 1:2",
                                      "2026-11-24 25:44:59",
                                      "[12345.678901]",
                                      "17954918990.5 x",
                                      "[Tue Nov",
                                      "Nov 24",
                                      "2026-11-24 03:4"};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (!isnan(stamp_of(all[i])))
            fail_msg("%s has a time: %f", all[i], stamp_of(all[i]));
}

// A line without a year is of the year that is nearest.
static void the_year_that_is_missing(void **state)
{
    (void)state;
    static const char line[] = "Dec 31 23:59:59 host x";
    struct stamp stamp;
    assert_true(stamp_read(line, strlen(line), &stamp));
    assert_true(stamp_time(&stamp, 0, 1798761600) == 1798761599); // 2027-01-01
    assert_true(stamp_time(&stamp, 0, 1798700000) == 1798761599); // 2026-12-31
}

// ---- searching ----

struct world {
    char root[64];
};

static int make_world(void **state)
{
    struct world *world = xcalloc(1, sizeof *world);
    strcpy(world->root, "/tmp/migrun-test-logs-XXXXXX");
    assert_non_null(mkdtemp(world->root));
    auto_free char *folder = xasprintf("%s/log", world->root);
    assert_int_equal(mkdir(folder, 0755), 0);
    *state = world;
    return 0;
}

static int remove_world(void **state)
{
    struct world *world = *state;
    remove_all(world->root);
    free(world);
    return 0;
}

static FILE *begin_file(const struct world *world, const char *name)
{
    auto_free char *path = xasprintf("%s/log/%s", world->root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    return file;
}

// A line a second, from so many seconds after THEN on.
static void write_lines(const struct world *world, const char *name, long from, long count, const char *rest)
{
    FILE *file = begin_file(world, name);
    for (long i = from; i < from + count; i++) {
        time_t seconds = (time_t)THEN + i;
        struct tm parts;
        char text[32];
        gmtime_r(&seconds, &parts);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
        fprintf(file, "%s.000+0000: line %ld%s\n", text, i, rest);
    }
    fclose(file);
}

static json_t *search(const struct world *world, double since, double until, const char *needle, bool all)
{
    auto_json json_t *query = json_pack("{s:[s], s:[{s:s, s:[s], s:b}], s:[s*], s:f, s:f, s:i}", "folders",
                                        "/log", "sets", "name", "any", "paths", "*.log*", "all", all,
                                        "needles", needle, "since", since, "until", until, "zone", 0);
    const struct search_way way = {.root = world->root, .client_fd = -1};
    json_t *result = NULL;
    struct error err;
    if (isnan(since))
        json_object_del(query, "since");
    if (isnan(until))
        json_object_del(query, "until");
    assert_int_equal(search_logs(&way, query, &result, &err), 0);
    return result;
}

static size_t count_of(const json_t *result) { return json_array_size(json_object_get(result, "lines")); }

static const char *text_of(const json_t *result, size_t i)
{
    return json_str(json_array_get(json_object_get(result, "lines"), i), "text", "");
}

static void assert_text(const json_t *result, size_t i, const char *part)
{
    if (!strstr(text_of(result, i), part))
        fail_msg("line %zu is '%s', without '%s'", i, text_of(result, i), part);
}

static void the_window_alone(void **state)
{
    write_lines(*state, "a.log", 0, 1000, "");
    auto_json json_t *result = search(*state, THEN + 500, THEN + 502, NULL, true);
    assert_int_equal(count_of(result), 3);
    assert_text(result, 0, "line 500");
    assert_int_equal(json_int(json_array_get(json_object_get(result, "lines"), 0), "line", 0), 501);
}

// The rotated ones are read where the window is theirs; packed or not, and all of them once.
static void over_a_rotation(void **state)
{
    struct world *world = *state;
    write_lines(world, "a.log.2", 0, 100, "");
    write_lines(world, "a.log.1", 100, 100, "");
    write_lines(world, "a.log", 200, 100, "");
    auto_free char *pack = xasprintf("gzip %s/log/a.log.2", world->root);
    assert_int_equal(system(pack), 0);
    auto_json json_t *result = search(world, THEN + 95, THEN + 204, NULL, true);
    assert_int_equal(count_of(result), 110);
    assert_text(result, 0, "line 95");
    assert_text(result, 109, "line 204");
    auto_json json_t *other = search(world, THEN + 210, THEN + 220, NULL, true);
    assert_int_equal(count_of(other), 11);
    assert_int_equal(json_array_size(json_object_get(other, "files")), 1);
}

// A large file is not read to the window, but searched.
static void a_large_file_by_its_times(void **state)
{
    struct world *world = *state;
    char rest[401];
    memset(rest, 'x', 400);
    rest[400] = '\0';
    write_lines(world, "a.log", 0, 60000, rest); // 26 MB
    auto_json json_t *result = search(world, THEN + 30000, THEN + 30009, NULL, true);
    assert_int_equal(count_of(result), 10);
    assert_text(result, 0, "line 30000");
    const json_t *line = json_array_get(json_object_get(result, "lines"), 0);
    assert_true(json_is_null(json_object_get(line, "line")));
    auto_json json_t *query = json_pack("{s:s, s:[I]}", "path", "/log/a.log", "at",
                                        (json_int_t)json_int(line, "at", 0)),
                     *numbers = NULL;
    const struct search_way way = {.root = world->root, .client_fd = -1};
    assert_int_equal(search_count(&way, query, &numbers, NULL), 0);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(numbers, "lines"), 0)), 30001);
}

static void needles_and_what_follows_them(void **state)
{
    struct world *world = *state;
    FILE *file = begin_file(world, "a.log");
    fprintf(file, "2026-11-24 03:44:59.000 one\n2026-11-24 03:45:00.000 the needle\n  that goes on\nand on\n"
                  "2026-11-24 03:45:01.000 two\n  of its own\n");
    fclose(file);
    auto_json json_t *result = search(world, THEN - 10, THEN + 10, "needle", false);
    assert_int_equal(count_of(result), 3);
    assert_text(result, 2, "and on");
}

// What is of no use though it has a needle, but for those lines of it that have a word.
static void lines_that_are_left_out(void **state)
{
    struct world *world = *state;
    FILE *file = begin_file(world, "a.log");
    fprintf(file,
            "2026-11-24 03:44:59.000 7 DEBUG x needle one\n2026-11-24 03:44:59.500 7 INFO x needle two\n"
            "2026-11-24 03:45:00.000 7 DEBUG x Skipping needle three\n2026-11-24 03:45:00.500 7 INFO four\n");
    fclose(file);
    auto_json json_t *query = json_pack("{s:[s], s:[{s:s, s:[s], s:[s], s:[s]}], s:[s], s:f, s:i}", "folders",
                                        "/log", "sets", "name", "any", "paths", "*.log", "words", "Skipping",
                                        "without", " DEBUG ", "needles", "needle", "since", THEN - 10, "zone",
                                        0),
                     *result = NULL;
    const struct search_way way = {.root = world->root, .client_fd = -1};
    assert_int_equal(search_logs(&way, query, &result, NULL), 0);
    assert_int_equal(count_of(result), 2);
    assert_text(result, 0, "two");
    assert_text(result, 1, "three");
}

// Junk, a line of 3 MB, NULs, no times at all, an empty file, a folder, a link: nothing stops it.
static void whatever_lies_there(void **state)
{
    struct world *world = *state;
    FILE *file = begin_file(world, "junk.log");
    for (int i = 0; i < 300000; i++)
        fputc((int)(i * 7919L % 256), file);
    fclose(file);
    file = begin_file(world, "long.log");
    fprintf(file, "2026-11-24 03:44:59.000 needle ");
    for (int i = 0; i < 3000000; i++)
        fputc('y', file);
    fprintf(file, "\n2026-11-24 03:45:00.000 needle after\n");
    fclose(file);
    file = begin_file(world, "timeless.log");
    fprintf(file, "no time, a needle\nno time\n");
    fclose(file);
    fclose(begin_file(world, "empty.log"));
    auto_free char *folder = xasprintf("%s/log/folder.log", world->root),
                   *link = xasprintf("%s/log/link.log", world->root),
                   *packed = xasprintf("%s/log/broken.log.1.gz", world->root);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    file = fopen(packed, "w");
    fprintf(file, "not packed at all");
    fclose(file);
    auto_json json_t *result = search(world, THEN - 10, THEN + 10, "needle", false);
    assert_int_equal(count_of(result), 3);
    assert_text(result, 0, "needle yyy");
    assert_int_equal(strlen(text_of(result, 0)), SEARCH_LINE_MOST);
    assert_text(result, 1, "needle after");
    assert_text(result, 2, "no time, a needle");
}

static void a_clock_that_jumped(void **state)
{
    struct world *world = *state;
    FILE *file = begin_file(world, "a.log");
    fprintf(file, "2026-11-24 03:44:58.000 a needle\n2026-11-24 05:00:00.000 b needle\n"
                  "2026-11-24 03:44:59.000 c needle\n");
    fclose(file);
    auto_json json_t *result = search(world, THEN - 10, THEN + 10, "needle", false);
    assert_int_equal(count_of(result), 2);
    assert_text(result, 1, "c needle");
}

// Of more than it may answer with: the first of a window, the last where nobody knows when.
static void no_more_than_it_may(void **state)
{
    write_lines(*state, "a.log", 0, 5000, " needle");
    auto_json json_t *first = search(*state, THEN, THEN + 5000, "needle", false);
    assert_int_equal(count_of(first), SEARCH_MOST);
    assert_int_equal(json_int(first, "left", 0), 5000 - SEARCH_MOST);
    assert_text(first, 0, "line 0 ");
    auto_json json_t *query = json_pack("{s:[s], s:[{s:s, s:[s]}], s:[s], s:b}", "folders", "/log", "sets",
                                        "name", "any", "paths", "*.log", "needles", "needle", "last", true),
                     *last = NULL;
    const struct search_way way = {.root = ((struct world *)*state)->root, .client_fd = -1};
    assert_int_equal(search_logs(&way, query, &last, NULL), 0);
    assert_int_equal(count_of(last), SEARCH_MOST);
    assert_text(last, SEARCH_MOST - 1, "line 4999 ");
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, remove_world)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_time),
        cmocka_unit_test(what_has_no_time),
        cmocka_unit_test(the_year_that_is_missing),
        IN_A_WORLD(the_window_alone),
        IN_A_WORLD(over_a_rotation),
        IN_A_WORLD(a_large_file_by_its_times),
        IN_A_WORLD(needles_and_what_follows_them),
        IN_A_WORLD(lines_that_are_left_out),
        IN_A_WORLD(whatever_lies_there),
        IN_A_WORLD(a_clock_that_jumped),
        IN_A_WORLD(no_more_than_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
