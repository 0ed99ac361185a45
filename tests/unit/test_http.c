// SPDX-License-Identifier: MIT
// Requests: deadlines, what is tried again and what is not, bodies of each kind.
#include "world/openstack/http.h"

#include "base/interrupt.h"
#include "fake_http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct fake_http fake;
static struct http *http;

static void begin(const char *answers)
{
    json_error_t wrong;
    json_t *json = json_loads(answers, 0, &wrong);
    if (!json)
        fail_msg("%s", wrong.text);
    fake_http_start(&fake, json);
    const struct http_tls tls = {.verify = true};
    assert_int_equal(http_open(&tls, &http, NULL), 0);
}

static int end(void **state)
{
    (void)state;
    http_close(http);
    http = NULL;
    fake_http_stop(&fake);
    return 0;
}

static int ask(const char *method, int64_t timeout_ms, struct http_answer *answer, struct error *err)
{
    auto_free char *url = xasprintf("%s/a?secret=b", fake.url);
    const struct http_request request = {.method = method,
                                         .url = url,
                                         .harmless = STREQ(method, "GET"),
                                         .timeout_ms = timeout_ms,
                                         .body = STREQ(method, "GET") ? NULL : "{}"};
    return http_send(http, &request, answer, err);
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    begin("[{\"status\": 200, \"body\": {\"a\": 1}, \"headers\": {\"X-OpenStack-Request-Id\": \"req-1\"}}]");
    for (int i = 0; i < 3; i++) {
        auto_answer struct http_answer answer = {0};
        assert_int_equal(ask("GET", 0, &answer, NULL), 0);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "{\"a\":1}");
        assert_string_equal(http_header(&answer, "x-openstack-request-id"), "req-1");
    }
    assert_int_equal(fake.connections, 1);
}

static void a_write_has_its_own(void **state)
{
    (void)state;
    begin("[{\"status\": 200, \"body\": {}}]");
    for (int i = 0; i < 2; i++) {
        auto_answer struct http_answer answer = {0};
        assert_int_equal(ask(i ? "POST" : "GET", 0, &answer, NULL), 0);
    }
    assert_int_equal(fake.connections, 2);
    assert_string_equal(json_str(fake_http_asked(&fake, 1), "body", ""), "{}");
}

static void a_body_may_end_with_the_connection(void **state)
{
    (void)state;
    begin("[{\"status\": 200, \"body\": {\"a\": 1}, \"unframed\": true}]");
    auto_answer struct http_answer answer = {0};
    assert_int_equal(ask("GET", 0, &answer, NULL), 0);
    assert_string_equal(answer.body, "{\"a\":1}");
}

static void a_read_is_tried_again(void **state)
{
    (void)state;
    static const char *const first[] = {
        "{\"status\": 503, \"body\": \"<html>\"}",
        "{\"status\": 502, \"body\": \"\"}",
        "{\"status\": 504, \"body\": \"\"}",
        "{\"status\": 429, \"headers\": {\"Retry-After\": \"0\"}, \"body\": \"\"}",
        "{\"status\": 200, \"body\": {\"a\": \"long\"}, \"cut\": 4}",
        "{\"status\": 200, \"body\": {}, \"cut\": 30}",
    };
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        auto_free char *answers = xasprintf("[%s, {\"status\": 200, \"body\": {\"a\": 2}}]", first[i]);
        begin(answers);
        auto_answer struct http_answer answer = {0};
        assert_int_equal(ask("GET", 0, &answer, NULL), 0);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, "{\"a\":2}");
        assert_int_equal(json_array_size(fake.asked), 2);
        if (i + 1 < COUNT_OF(first))
            end(NULL);
    }
}

static void a_write_is_not(void **state)
{
    (void)state;
    begin("[{\"status\": 503, \"body\": \"down\"}, {\"status\": 202, \"body\": \"\"}]");
    auto_answer struct http_answer answer = {0};
    assert_int_equal(ask("POST", 0, &answer, NULL), 0);
    assert_int_equal(answer.status, 503);
    assert_int_equal(json_array_size(fake.asked), 1);
}

static void a_write_that_was_cut_is_an_error(void **state)
{
    (void)state;
    begin("[{\"status\": 202, \"body\": {\"a\": \"long\"}, \"cut\": 4}]");
    auto_answer struct http_answer answer = {0};
    struct error err = {0};
    assert_int_equal(ask("POST", 0, &answer, &err), -1);
    assert_int_equal(err.domain, ERR_OPENSTACK);
    assert_int_equal(err.code, 0);
    assert_int_equal(json_array_size(fake.asked), 1);
    assert_false(err.unsent);
    assert_null(strstr(err.message, "secret")); // what follows a '?' is not told
}

static void each_has_its_deadline(void **state)
{
    (void)state;
    begin("[{\"silent\": true}]");
    auto_answer struct http_answer answer = {0};
    struct error err = {0};
    assert_int_equal(ask("POST", 300, &answer, &err), -1);
    assert_int_equal(err.domain, ERR_TIMEOUT);
    assert_false(err.unsent);
    assert_non_null(strstr(err.message, "127.0.0.1"));
}

// Bytes that keep coming put no deadline off.
static void one_byte_after_another(void **state)
{
    (void)state;
    begin("[{\"trickle\": true}]");
    static const char *const methods[] = {"GET", "POST"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        auto_answer struct http_answer answer = {0};
        struct error err = {0};
        assert_int_equal(ask(methods[i], 300, &answer, &err), -1);
        assert_int_equal(err.domain, ERR_TIMEOUT);
    }
}

static void *interrupt_once_asked(void *unused)
{
    (void)unused;
    for (bool asked = false; !asked; usleep(1000)) {
        pthread_mutex_lock(&fake.lock);
        asked = json_array_size(fake.asked) > 0;
        pthread_mutex_unlock(&fake.lock);
    }
    kill(getpid(), SIGINT);
    return NULL;
}

// Nor Ctrl-C, but in the middle of a change.
static void an_interrupt_in_the_middle(void **state)
{
    (void)state;
    util_signals();
    static const struct {
        const char *method;
        int timeout;
        enum error_domain domain;
    } rows[] = {{"GET", 600000, ERR_INTERRUPTED}, {"POST", 500, ERR_TIMEOUT}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin("[{\"trickle\": true}]");
        auto_answer struct http_answer answer = {0};
        struct error err = {0};
        pthread_t thread;
        interrupt_count = 0;
        assert_int_equal(pthread_create(&thread, NULL, interrupt_once_asked, NULL), 0);
        int rc = ask(rows[i].method, rows[i].timeout, &answer, &err);
        pthread_join(thread, NULL);
        assert_int_equal(rc, -1);
        assert_int_equal(err.domain, rows[i].domain);
        if (i == 0)
            end(NULL);
    }
    interrupt_count = 0;
}

static void nobody_there(void **state)
{
    (void)state;
    begin("[{\"status\": 200}]");
    const struct http_request request = {
        .method = "POST", .url = "http://user:pw@127.0.0.1:1/x", .body = "{}"};
    auto_answer struct http_answer answer = {0};
    struct error err = {0};
    assert_int_equal(http_send(http, &request, &answer, &err), -1);
    assert_int_equal(err.domain, ERR_OPENSTACK);
    assert_true(err.unsent);
    assert_non_null(strstr(err.message, "http://127.0.0.1:1 cannot be reached"));
    assert_null(strstr(err.message, "pw"));
}

static void retry_after_in_words(void **state)
{
    (void)state;
    begin("[{\"status\": 200}]");
    static const struct {
        const char *text;
        double wait;
    } rows[] = {
        {"3", 3}, {"0", 0}, {"-1", -1}, {"soon", -1}, {"Mon, 01 Jan 2001 00:00:00 GMT", 0}, {"1e99", -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct http_answer answer = {.headers = json_pack("{s:s}", "retry-after", rows[i].text)};
        assert_true(http_retry_after(&answer) == rows[i].wait);
        http_answer_free(&answer);
    }
}

// A header of one letter, many times.
static void an_answer_is_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        auto_json json_t *answer = json_pack("{s:i, s:s}", "status", 200, "body", "{}");
        auto_free char *much = xmalloc((17 << 20) + 1), *name = NULL;
        memset(much, 'x', 17 << 20);
        much[17 << 20] = '\0';
        if (i == 0)
            json_object_set_new(answer, "body", json_string(much));
        much[60000] = '\0';
        json_t *headers = json_object();
        for (int n = 0; i == 1 && n < 20; n++) {
            free(name);
            name = xasprintf("X-%d", n);
            json_object_set_new(headers, name, json_string(much));
        }
        json_object_set_new(answer, "headers", headers);
        auto_json json_t *answers = json_pack("[O]", answer);
        auto_free char *text = json_dumps(answers, 0);
        begin(text);
        auto_answer struct http_answer got = {0};
        struct error err = {0};
        assert_int_equal(ask("GET", 0, &got, &err), -1);
        if (!strstr(err.message, "answered with more than"))
            fail_msg("%s", err.message);
        assert_true(got.len <= 16 << 20);
        if (i == 0)
            end(NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_connection_is_kept, end),
        cmocka_unit_test_teardown(a_write_has_its_own, end),
        cmocka_unit_test_teardown(a_body_may_end_with_the_connection, end),
        cmocka_unit_test_teardown(a_read_is_tried_again, end),
        cmocka_unit_test_teardown(a_write_is_not, end),
        cmocka_unit_test_teardown(a_write_that_was_cut_is_an_error, end),
        cmocka_unit_test_teardown(each_has_its_deadline, end),
        cmocka_unit_test_teardown(one_byte_after_another, end),
        cmocka_unit_test_teardown(an_interrupt_in_the_middle, end),
        cmocka_unit_test_teardown(nobody_there, end),
        cmocka_unit_test_teardown(retry_after_in_words, end),
        cmocka_unit_test_teardown(an_answer_is_bounded, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
