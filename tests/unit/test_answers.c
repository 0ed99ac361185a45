// SPDX-License-Identifier: MIT
// Answers that are broken, or strange: headers, status lines and bodies of each kind.
#include "world/openstack/http.h"

#include "base/interrupt.h"
#include "fake_cloud.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct http *http;

static int end(void **state)
{
    (void)state;
    http_close(http);
    http = NULL;
    fake_cloud_stop();
    return 0;
}

static void begin(json_t *answers)
{
    end(NULL);
    fake_http_start(&fake, answers);
    const struct http_tls tls = {.verify = true};
    assert_int_equal(http_open(&tls, &http, NULL), 0);
}

static int ask(const char *method, bool harmless, struct http_answer *answer, struct error *err)
{
    const struct http_request request = {
        .method = method, .url = fake.url, .harmless = harmless, .body = STREQ(method, "POST") ? "{}" : NULL};
    *err = (struct error){0};
    return http_send(http, &request, answer, err);
}

static int ask_raw(const char *raw, struct http_answer *answer, struct error *err)
{
    begin(json_pack("[{s:s}]", "raw", raw));
    return ask("POST", false, answer, err); // once
}

// ---- headers ----

#define OK "HTTP/1.1 200 OK\r\n"
#define BODY "Content-Length: 2\r\n\r\n{}"

static void headers_that_are_strange(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *name, *value;
    } rows[] = {
        {OK "A: b\r\n" BODY, "a", "b"},
        {OK "A:b\r\n" BODY, "a", "b"},
        {OK "A: \t b \t\r\n" BODY, "a", "b"},
        {OK "A: b: c\r\n" BODY, "a", "b: c"},
        {OK "A:\r\n" BODY, "a", ""},
        {OK "A: b\r\nA: c\r\n" BODY, "a", "c"},
        {OK "A: b\nC: d\r\n" BODY, "c", "d"},
        {OK "A: \u00ff\u00fe\r\n" BODY, "a", "\\xff\\xfe"},
        {OK "A\u00ff: b\r\nC: d\r\n" BODY, "c", "d"},
        {OK ": b\r\nC: d\r\n" BODY, "c", "d"},
        {OK "A: b\r\n c\r\nD: e\r\n" BODY, "d", "e"},
        {OK "\x01\x02: b\r\nC: d\r\n" BODY, "c", "d"},
        {"HTTP/1.1 100 Continue\r\nA: of this\r\n\r\n" OK "B: c\r\n" BODY, "a", NULL},
        {OK "Transfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n", "trailer", "A"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_answer struct http_answer answer = {0};
        struct error err;
        if (ask_raw(rows[i].raw, &answer, &err) < 0)
            fail_msg("%s: %s", rows[i].raw, err.message);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "{}");
        const char *value = http_header(&answer, rows[i].name);
        assert_string_equal(value ? value : "none", rows[i].value ? rows[i].value : "none");
    }
}

static void more_headers_than_anyone_needs(void **state)
{
    (void)state;
    auto_buf struct buf many = {0};
    buf_puts(&many, OK);
    for (int i = 0; i < 1000; i++)
        buf_printf(&many, "H%d: x\r\n", i);
    buf_puts(&many, BODY);
    auto_answer struct http_answer answer = {0};
    struct error err;
    if (ask_raw(many.data, &answer, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(json_object_size(answer.headers), 200);
    assert_string_equal(answer.body, "{}");
}

static void a_header_without_end(void **state)
{
    (void)state;
    auto_buf struct buf large = {0};
    buf_puts(&large, OK "A: ");
    for (int i = 0; i < 400 * 1024; i++)
        buf_puts(&large, "x");
    auto_answer struct http_answer answer = {0};
    struct error err;
    assert_int_equal(ask_raw(large.data, &answer, &err), -1);
    assert_int_equal(err.domain, ERR_OPENSTACK);
    assert_true(strlen(err.message) < 400);
}

// ---- what is no answer ----

static void answers_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *says;
    } rows[] = {
        {"", "broke before its answer was complete"},
        {"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP: "},
        {"\x15\x03\x03\x01\x02\x02\x46", "does not speak HTTP: "},
        {"<html>hello</html>", "does not speak HTTP: "},
        {"HTTP/1.1", "broke before its answer was complete"},
        {"HTTP/1.1 2", "broke before its answer was complete"},
        {"HTTP/1.1 abc OK\r\n\r\n", "does not speak HTTP: "},
        {"HTTP/1.1 200 OK", "broke before its answer was complete"},
        {OK "A: b", "broke before its answer was complete: its headers broke off"},
        {OK "A: b\r\n", "broke before its answer was complete: its headers broke off"},
        {OK "Content-Length: 9\r\n\r\n{}", "broke before its answer was complete"},
        {OK "Content-Length: -1\r\n\r\n{}", "broke before its answer was complete"},
        {OK "Content-Length: many\r\n\r\n{}", "broke before its answer was complete"},
        {OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "broke before its answer was complete"},
        {OK "Transfer-Encoding: chunked\r\n\r\n9\r\n{}", "broke before its answer was complete"},
        {OK "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "broke before its answer was complete"},
        {OK "no colon, and no end", "broke before its answer was complete"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_answer struct http_answer answer = {0};
        struct error err;
        if (ask_raw(rows[i].raw, &answer, &err) == 0)
            fail_msg("%s: taken for an answer of status %d", rows[i].raw, answer.status);
        assert_int_equal(err.domain, ERR_OPENSTACK);
        assert_int_equal(err.code, 0);
        if (!strstr(err.message, rows[i].says) || !strstr(err.message, fake.url))
            fail_msg("%s: does not say '%s': %s", rows[i].raw, rows[i].says, err.message);
        auto_free char *shown = printable(err.message);
        assert_string_equal(err.message, shown);
        assert_int_equal(json_array_size(fake.asked), 1);
    }
}

static void headers_that_broke_off_are_asked_for_again(void **state)
{
    (void)state;
    auto_answer struct http_answer answer = {0};
    struct error err;
    begin(json_pack("[{s:s}, {s:i, s:{s:i}}]", "raw", OK "A: b\r\n", "status", 200, "body", "a", 1));
    assert_int_equal(ask("GET", true, &answer, &err), 0);
    assert_string_equal(answer.body, "{\"a\":1}");
    assert_int_equal(json_array_size(fake.asked), 2);
}

static void an_answer_that_is_larger_than_any(void **state)
{
    (void)state;
    char *half = xmalloc((33u << 20) + 1);
    memset(half, 'x', 33u << 20);
    half[33u << 20] = '\0';
    auto_free char *raw = xasprintf(OK "\r\n%s%s", half, half);
    free(half);
    auto_answer struct http_answer answer = {0};
    struct error err;
    assert_int_equal(ask_raw(raw, &answer, &err), -1);
    assert_non_null(strstr(err.message, "answered with more than 16 MiB"));
}

// ---- how often ----

static void who_asks_for_too_long_a_wait_is_not_asked_again(void **state)
{
    (void)state;
    auto_answer struct http_answer answer = {0};
    struct error err;
    begin(json_of("[{'status': 429, 'headers': {'Retry-After': '3600'}, 'body': 'later'}]"));
    assert_int_equal(ask("GET", true, &answer, &err), 0);
    assert_int_equal(answer.status, 429);
    assert_string_equal(answer.body, "later");
    assert_int_equal(json_array_size(fake.asked), 1);
}

// The fifth is the last; what it said is the answer.
static void there_is_an_end_of_tries(void **state)
{
    (void)state;
    auto_answer struct http_answer answer = {0};
    struct error err;
    begin(json_of("[{'status': 503, 'headers': {'Retry-After': '0'}, 'body': 'down'}]"));
    assert_int_equal(ask("GET", true, &answer, &err), 0);
    assert_int_equal(answer.status, 503);
    assert_int_equal(json_array_size(fake.asked), 5);
}

static void other_answers_are_taken_at_once(void **state)
{
    (void)state;
    static const int statuses[] = {200, 201, 204, 300, 302, 400, 401, 403, 404, 409, 413, 500, 501};
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        auto_answer struct http_answer answer = {0};
        struct error err;
        begin(json_pack("[{s:i, s:s}]", "status", statuses[i], "body", ""));
        assert_int_equal(ask("GET", true, &answer, &err), 0);
        assert_int_equal(answer.status, statuses[i]);
        assert_int_equal(json_array_size(fake.asked), 1);
    }
}

static void an_answer_may_have_no_body_by_its_method(void **state)
{
    (void)state;
    auto_answer struct http_answer answer = {0};
    struct error err;
    begin(json_pack("[{s:s}]", "raw", OK "A: b\r\nContent-Length: 12\r\n\r\n"));
    assert_int_equal(ask("HEAD", true, &answer, &err), 0);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_header(&answer, "a"), "b");
    assert_int_equal(json_array_size(fake.asked), 1);
}

// An interrupt ends what only asks; a write is waited for.
static void an_interrupt(void **state)
{
    (void)state;
    auto_answer struct http_answer answer = {0}, written = {0};
    struct error err;
    begin(json_of(
        "[{'method': 'GET', 'status': 503, 'body': ''}, {'method': 'POST', 'status': 202, 'body': ''}]"));
    interrupt_count = 1; // as if it had come just before
    assert_int_equal(ask("GET", true, &answer, &err), 0);
    assert_int_equal(answer.status, 503);
    assert_int_equal(json_array_size(fake.asked), 1);
    assert_int_equal(ask("POST", false, &written, &err), 0);
    assert_int_equal(written.status, 202);
    interrupt_count = 0;
}

int main(void)
{
#define TEST(test) cmocka_unit_test_teardown(test, end)
    const struct CMUnitTest tests[] = {
        TEST(headers_that_are_strange),
        TEST(more_headers_than_anyone_needs),
        TEST(a_header_without_end),
        TEST(answers_that_are_none),
        TEST(headers_that_broke_off_are_asked_for_again),
        TEST(an_answer_that_is_larger_than_any),
        TEST(who_asks_for_too_long_a_wait_is_not_asked_again),
        TEST(there_is_an_end_of_tries),
        TEST(other_answers_are_taken_at_once),
        TEST(an_answer_may_have_no_body_by_its_method),
        TEST(an_interrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
