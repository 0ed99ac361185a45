// SPDX-License-Identifier: MIT
// Messages between migrun and its agent: whole, in pieces, broken.
#include "world/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static size_t bytes_of(const json_t *head, const char *body, size_t body_len, char *out, size_t room)
{
    int pair[2];
    assert_int_equal(pipe(pair), 0);
    assert_int_equal(wire_send(pair[1], head, body, body_len, NULL), 0);
    ssize_t n = read(pair[0], out, room);
    assert_true(n > 0);
    close(pair[0]);
    close(pair[1]);
    return (size_t)n;
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    char bytes[512];
    auto_json json_t *head = json_pack("{s:i, s:s}", "id", 7, "op", "write");
    size_t len = bytes_of(head, "a\0b\n", 4, bytes, sizeof bytes);
    struct wire_reader reader = {0};
    auto_message struct message m = {0};
    for (size_t i = 0; i + 1 < len; i++) {
        wire_feed(&reader, bytes + i, 1);
        assert_int_equal(wire_take(&reader, &m, NULL), 0);
    }
    wire_feed(&reader, bytes + len - 1, 1);
    assert_int_equal(wire_take(&reader, &m, NULL), 1);
    assert_true(json_equal(m.head, head));
    assert_int_equal(m.body_len, 4);
    assert_memory_equal(m.body, "a\0b\n", 5);
    wire_reader_free(&reader);
}

static void test_two_at_once(void **state)
{
    (void)state;
    char bytes[1024];
    auto_json json_t *first = json_pack("{s:i}", "id", 1), *second = json_pack("{s:i}", "id", 2);
    size_t len = bytes_of(first, NULL, 0, bytes, sizeof bytes);
    len += bytes_of(second, "x", 1, bytes + len, sizeof bytes - len);
    struct wire_reader reader = {0};
    wire_feed(&reader, bytes, len);
    for (int id = 1; id <= 2; id++) {
        auto_message struct message m = {0};
        assert_int_equal(wire_take(&reader, &m, NULL), 1);
        assert_int_equal(json_int(m.head, "id", 0), id);
        assert_int_equal(m.body_len, id - 1);
    }
    auto_message struct message none = {0};
    assert_int_equal(wire_take(&reader, &none, NULL), 0);
    wire_reader_free(&reader);
}

static void refused(const void *bytes, size_t len)
{
    struct wire_reader reader = {0};
    auto_message struct message m = {0};
    struct error err = {0};
    wire_feed(&reader, bytes, len);
    assert_int_equal(wire_take(&reader, &m, &err), -1);
    assert_int_equal(err.domain, ERR_HOST);
    assert_null(m.head);
    wire_reader_free(&reader);
}

static void test_no_message(void **state)
{
    (void)state;
    refused("Welcome to compute-1!", 21); // a login shell that talks
    refused("\0\0\0\2\0\0\0\0[]", 10);    // no object
    refused("\0\0\0\2\0\0\0\0{{", 10);
    refused("\0\0\0\0\0\0\0\0", 8);
    refused("\0\0\0\2\xff\xff\xff\xff{}", 10); // a body without end
}

static int take(const void *bytes, size_t len, const struct wire_bounds *bounds)
{
    struct wire_reader reader = {.bounds = bounds};
    auto_message struct message m = {0};
    struct error err = {0};
    wire_feed(&reader, bytes, len);
    int rc = wire_take(&reader, &m, &err);
    assert_true(rc >= 0 || err.domain == ERR_HOST);
    wire_reader_free(&reader);
    return rc;
}

static void test_more_than_was_asked_for(void **state)
{
    (void)state;
    const struct wire_bounds bounds = {.head = 3, .body = 1};
    assert_int_equal(take("\0\0\0\3\0\0\0\1{ }x", 12, &bounds), 1);
    assert_int_equal(take("\0\0\0\4\0\0\0\0", 8, &bounds), -1); // as soon as it says so
    assert_int_equal(take("\0\0\0\3\0\0\0\2", 8, &bounds), -1);
}

// A small text may be much memory: each of these takes over a hundred times its text.
static void test_json_of_much_memory(void **state)
{
    (void)state;
    enum { SIZE = 8 << 20 };
    static const struct {
        const char *of;
        bool fits;
    } rows[] = {{"{},", false}, {"[],", false}, {"1,", false}, {"\"[{,\\\"\",", true}};
    auto_free char *text = xmalloc(SIZE);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t len = 0, step = strlen(rows[i].of);
        text[len++] = '[';
        for (; len + step < SIZE && (!rows[i].fits || len < SIZE / 16); len += step)
            memcpy(text + len, rows[i].of, step);
        text[len - 1] = ']';
        json_error_t why;
        auto_json json_t *json = json_foreign(text, len, 0, &why);
        if ((json != NULL) != rows[i].fits)
            fail_msg("[%s…]: %s", rows[i].of, json ? "taken" : why.text);
    }
    memset(text, '[', SIZE);
    memset(text + JSON_DEPTH_MOST, ']', JSON_DEPTH_MOST);
    auto_json json_t *deep = json_foreign(text, 2 * JSON_DEPTH_MOST, 0, NULL);
    assert_non_null(deep);
    memset(text, '[', SIZE);
    memset(text + JSON_DEPTH_MOST + 1, ']', JSON_DEPTH_MOST + 1);
    assert_null(json_foreign(text, 2 * JSON_DEPTH_MOST + 2, 0, NULL));
}

static void test_numbers_of_any_size(void **state)
{
    (void)state;
    auto_json json_t *head = json_loads("{\"whole\": 7, \"real\": 7.9, \"low\": -3e85, \"high\": 9.3e18}", 0,
                                        NULL);
    assert_int_equal(json_int(head, "whole", -1), 7);
    assert_int_equal(json_int(head, "real", -1), 7);
    assert_int_equal(json_int(head, "low", -1), -1);
    assert_int_equal(json_int(head, "high", -1), -1);
    assert_int_equal(json_int(head, "none", -1), -1);
}

static void test_errors_travel(void **state)
{
    (void)state;
    struct error before = {0}, after = {0};
    error_set(&before, ERR_REFUSED, REFUSED_CHANGED, "the file was changed meanwhile");
    auto_json json_t *json = wire_error(&before);
    wire_error_from(json, "compute-2", &after);
    assert_int_equal(after.domain, ERR_REFUSED);
    assert_int_equal(after.code, REFUSED_CHANGED);
    assert_string_equal(after.message, "compute-2: the file was changed meanwhile");
    assert_string_equal(after.source, "compute-2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_by_byte),        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_no_message),          cmocka_unit_test(test_errors_travel),
        cmocka_unit_test(test_numbers_of_any_size), cmocka_unit_test(test_more_than_was_asked_for),
        cmocka_unit_test(test_json_of_much_memory),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
