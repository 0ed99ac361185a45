// SPDX-License-Identifier: MIT
// Changes in the cloud, and what the journal and --json tell of them: the cloud's request id, and no secret.
#include "run/change.h"
#include "run/cloud.h"
#include "run/gate.h"
#include "run/journal.h"

#include "fake_cloud.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// ---- a host, which nothing is asked of (its functions stand in for those of src/world/host.c) ----

struct host {
    int unused;
};
const char *host_name(const struct host *h)
{
    (void)h;
    return "compute-1";
}

#define NOT_CALLED \
    {              \
        fail();    \
        return 0;  \
    }
#define UNUSED __attribute__((unused))
int host_start(UNUSED const struct host_spec *s, UNUSED const char *d, UNUSED bool r, UNUSED struct host **h,
               UNUSED struct error *e) NOT_CALLED
    int host_finish(UNUSED struct host *h, UNUSED int64_t deadline, UNUSED struct error *e) NOT_CALLED
    int host_keep_alive(UNUSED struct host *h, UNUSED struct error *e) NOT_CALLED
    void host_leave(UNUSED struct host *h)
{
    fail();
}
void host_close(UNUSED struct host *h) { fail(); }
int host_check_login(UNUSED struct host *h, UNUSED struct error *e) NOT_CALLED
    void host_end_login(UNUSED struct host *h)
{
    fail();
}
int host_revive(UNUSED struct host *h, UNUSED int64_t deadline, UNUSED struct error *e) NOT_CALLED const
    struct host_spec *host_spec(UNUSED const struct host *h) NOT_CALLED const
    char *host_missing(UNUSED const struct host *h) NOT_CALLED const
    char *host_hostname(UNUSED const struct host *h) NOT_CALLED

    bool host_is_root(UNUSED const struct host *h) NOT_CALLED
    int host_call(UNUSED struct host *h, UNUSED const char *op, UNUSED json_t *args, UNUSED const void *body,
                  UNUSED size_t len, UNUSED int64_t timeout_ms, UNUSED struct message *answer,
                  UNUSED struct error *e) NOT_CALLED
    int host_send(UNUSED struct host *h, UNUSED const char *op, UNUSED json_t *args, UNUSED const void *body,
                  UNUSED size_t len, UNUSED struct error *e) NOT_CALLED
    int host_receive(UNUSED struct host *h, UNUSED int64_t timeout_ms, UNUSED struct message *answer,
                     UNUSED struct error *e) NOT_CALLED
    int host_connect_libvirt(UNUSED struct host *h, UNUSED struct error *e) NOT_CALLED
    char *host_libvirt_uri(UNUSED const struct host *h, UNUSED bool read_only) NOT_CALLED

    // ---- a run ----

    static struct host host;
static struct run run;
static struct run_host there = {.run = &run, .agent = &host};
static struct run_options options;
static struct step prepare = {.title = "Change things", .phase = PHASE_PREPARE};
static json_t *events;

#define PASSWORD "hunter2hunter2"
#define TOKEN "gAAAAABl-a-token-of-keystone"

static void hear(void *data, const json_t *event)
{
    (void)data;
    json_array_append(events, (json_t *)(uintptr_t)event);
}

static int setup(void **state)
{
    if (enter_folder(state) < 0)
        return -1;
    options = (struct run_options){0};
    events = json_array();
    run = (struct run){.options = &options,
                       .listener = {.event = hear},
                       .id = "run-1",
                       .overlay = json_object(),
                       .kept = json_array(),
                       .source = &there,
                       .step = &prepare,
                       .phase = PHASE_PREPARE};
    run.server = json_of("{'id': '1', 'name': 'one', 'locked': false}");
    return journal_open(folder, &(struct opening){.run = run.id}, &run.journal, NULL);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < run.n_effects; i++)
        effect_free(run.effects[i]);
    free(run.effects);
    journal_close(run.journal);
    cloud_close(run.cloud);
    json_t *all[] = {run.overlay, run.kept, run.server, events};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        json_decref(all[i]);
    return leave_folder();
}

static void begin(const char *answers)
{
    auto_free char *all = xasprintf(
        "[%s, {'path': '/v3/auth/tokens', 'status': 201, 'headers': {'X-Subject-Token': '" TOKEN
        "'}, 'body': {'token': {'project': {'id': 'p'}, 'catalog': ["
        "{'type': 'compute', 'endpoints': [{'interface': 'public', 'url': 'FAKE/v2.1'}]}, {'type': "
        "'network', 'endpoints': [{'interface': 'public', 'url': 'FAKE/n'}]}]}}},"
        "{'path': '/v2.1/', 'status': 200, 'body': {'version': {'id': 'v2.1', 'version': '2.90'}}},"
        "{'path': '/v2.1/servers/1', 'status': 200, 'body': {'server': {'id': '1', 'name': 'one', 'locked': "
        "false}}},"
        "{'path': '/v2.1/servers/1', 'status': 200, 'body': {'server': {'id': '1', 'name': 'one', 'locked': "
        "true}}}]",
        answers);
    fake_cloud_start(json_of(all));
    auto_free char *yaml = with_url("clouds: {c: {auth: {auth_url: 'FAKE/v3', user_id: i, password: " PASSWORD
                                    "}}}");
    put("clouds.yaml", yaml);
}

// "done req-1, undone req-2" of the journal's own records, or of what --json prints (which the journal has,
// too).
static void tells(const json_t *from, bool printed, const char *expected)
{
    auto_buf struct buf text = {0};
    size_t i;
    json_t *line;
    json_array_foreach((json_t *)(uintptr_t)from, i, line) {
        const char *type = json_str(line, "type", "");
        if (json_object_get(line, "number") && STREQ(type, "effect") == printed)
            buf_printf(&text, "%s%s %s", text.len ? ", " : "", json_str(line, "status", type),
                       json_str(line, "request_id", "none"));
    }
    assert_string_equal(text.data ? text.data : "", expected);
}

static void journal_and_json_tell(const char *journal, const char *json)
{
    struct story auto_story story = {0};
    struct error err = {0};
    if (journal_read(folder, run.id, &story, &err) < 0)
        fail_msg("%s", err.message);
    tells(story.records, false, journal);
    tells(events, true, json);
    auto_free char *written = json_dumps(story.records, 0), *printed = json_dumps(events, 0);
    static const char *const secrets[] = {PASSWORD, TOKEN};
    for (size_t i = 0; i < COUNT_OF(secrets); i++) {
        assert_null(strstr(written, secrets[i]));
        assert_null(strstr(printed, secrets[i]));
    }
}

static void undo_all(size_t failed)
{
    auto_json json_t *problems = json_array();
    size_t undone;
    assert_int_equal(gate_undo(&run, &undone, problems), failed);
}

#define ANSWER(method, path, status, id)                              \
    "{'method': '" method "', 'path': '" path "', 'status': " #status \
    ", 'headers': {'x-openstack-request-id': '" id "'}, 'body': ''}"

static void a_request_has_its_id(void **state)
{
    (void)state;
    begin(ANSWER("POST", "/n/v2.0/things", 201, "req-1") ", " ANSWER("DELETE", "/n/v2.0/things/1", 204,
                                                                     "req-2"));
    auto_json json_t *how = json_of(
                         "{'service': 'network', 'undo': {'method': 'DELETE', 'path': '/things/1'}}"),
                     *body = json_of("{'changePassword': {'adminPass': '" PASSWORD "'}}");
    const json_t *result;
    struct error err = {0};
    if (change_nova_request(&run, "POST", "/things", body, how, &result, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(json_str(result, "request_id", ""), "req-1");
    undo_all(0);
    journal_and_json_tell("about none, done req-1, undone req-2", "done req-1, undone req-2");
}

static void a_request_that_is_refused_has_its_id(void **state)
{
    (void)state;
    begin(ANSWER("POST", "/n/v2.0/things", 409, "req-1"));
    auto_json json_t *how = json_of("{'service': 'network'}");
    const json_t *result;
    struct error err = {0};
    assert_int_equal(change_nova_request(&run, "POST", "/things", NULL, how, &result, &err), -1);
    assert_string_equal(err.message, "Neutron refuses POST /things: no reason given (HTTP 409, req-1)");
    journal_and_json_tell("about none, not made req-1", "failed req-1");
}

// In a preview and in a run, before anything is sent; the undo's, too.
static void a_request_stays_below_its_endpoint(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"POST\r\nX-Roles: admin", "/things"},
        {"GET /v3/users", "/things"},
        {"", "/things"},
        {"POST", "/../v3/users"},
        {"POST", "/a/..?b=c"},
        {"POST", "/a/%2e%2E/b"},
        {"POST", "/a/.%2e%2fb"},
        {"POST", "/a\\..\\b"},
        {"POST", "/a b"},
        {"POST", "/a\r\nX: y"},
        {"POST", "/a#b"},
        {"POST", "things"},
    };
    begin(ANSWER("POST", "/n/v2.0/things", 201, "req-1"));
    for (size_t i = 0; i < COUNT_OF(rows) * 2; i++) {
        const char *method = rows[i / 2][0], *path = rows[i / 2][1];
        auto_json json_t *how = i % 2 ? json_pack("{s:s, s:{s:s, s:s}}", "service", "network", "undo",
                                                  "method", method, "path", path)
                                      : json_of("{'service': 'network'}");
        const json_t *result;
        struct error err = {0};
        if (change_nova_request(&run, i % 2 ? "POST" : method, i % 2 ? "/things" : path, NULL, how, &result,
                                &err) == 0 ||
            err.domain != ERR_REFUSED)
            fail_msg("%s %s: %s", method, path, err.message);
    }
    assert_int_equal(asked_for("/n/v2.0/things"), 0);
    auto_json json_t *how = json_of("{'service': 'network'}");
    const json_t *result;
    struct error err = {0};
    assert_int_equal(change_nova_request(&run, "POST", "/things", NULL, how, &result, &err), 0);
}

// What is asked for with an undo; how often the undo is sent.
static size_t undone_after(const char *answers, const char *journal, const char *json)
{
    begin(answers);
    auto_json json_t *how = json_of("{'undo': {'method': 'POST', 'path': '/os-aggregates/1/remove'}}");
    const json_t *result;
    struct error err = {0};
    assert_int_equal(change_nova_request(&run, "POST", "/os-aggregates/1/add", NULL, how, &result, &err), -1);
    undo_all(0);
    journal_and_json_tell(journal, json);
    return asked_for("/v2.1/os-aggregates/1/remove");
}

static void a_request_that_is_refused_is_not_undone(void **state)
{
    (void)state;
    assert_int_equal(undone_after(ANSWER("POST", "/v2.1/os-aggregates/1/add", 409, "req-1"),
                                  "about none, not made req-1", "failed req-1"),
                     0);
}

static void a_request_whose_end_is_not_known_is_undone(void **state)
{
    (void)state;
    assert_int_equal(undone_after(ANSWER("POST", "/v2.1/os-aggregates/1/add", 500, "req-1") ", " ANSWER(
                                      "POST", "/v2.1/os-aggregates/1/remove", 200, "req-2"),
                                  "about none, uncertain req-1, undone req-2", "failed req-1, undone req-2"),
                     1);
}

// Keystone fails, so nobody is logged in: the request itself was never sent.
static void a_request_that_was_never_sent_is_not_undone(void **state)
{
    (void)state;
    assert_int_equal(undone_after(ANSWER("POST", "/v3/auth/tokens", 500, "req-1"),
                                  "about none, not made none", "failed none"),
                     0);
}

static void a_lock_that_is_refused_is_not_undone(void **state)
{
    (void)state;
    struct error err = {0};
    begin(ANSWER("POST", "/v2.1/servers/1/action", 403, "req-1"));
    assert_int_equal(change_nova_lock(&run, true, "moving", &err), -1);
    undo_all(0);
    journal_and_json_tell("about none, not made req-1", "failed req-1");
}

static void a_lock_has_its_id(void **state)
{
    (void)state;
    struct error err = {0};
    begin(ANSWER("POST", "/v2.1/servers/1/action", 202, "req-1") ", " ANSWER("POST", "/v2.1/servers/1/action",
                                                                             202, "req-2"));
    if (change_nova_lock(&run, true, "moving", &err) < 0)
        fail_msg("%s", err.message);
    undo_all(0);
    journal_and_json_tell("about none, done req-1, undone req-2", "done req-1, undone req-2");
}

static void an_undo_that_is_refused_has_its_id(void **state)
{
    (void)state;
    struct error err = {0};
    begin(ANSWER("POST", "/v2.1/servers/1/action", 202, "req-1") ", " ANSWER("POST", "/v2.1/servers/1/action",
                                                                             403, "req-2"));
    if (change_nova_lock(&run, true, "moving", &err) < 0)
        fail_msg("%s", err.message);
    undo_all(1);
    journal_and_json_tell("about none, done req-1, undo failed req-2", "done req-1, failed req-2");
}

static void a_preview_asks_for_no_change(void **state)
{
    (void)state;
    struct error err = {0};
    options.preview = true;
    begin(ANSWER("POST", "/n/v2.0/things", 201, "req-1"));
    auto_json json_t *how = json_of("{'service': 'network'}"), *body = json_of("{'a': 'b'}");
    const json_t *result;
    assert_int_equal(change_nova_request(&run, "POST", "/things", body, how, &result, &err), 0);
    assert_int_equal(change_nova_lock(&run, true, "moving", &err), 0);
    assert_int_equal(asked_for("/n/v2.0/things"), 0);
    assert_int_equal(asked_for("/v2.1/servers/1/action"), 0);
    journal_and_json_tell("", "would none, would none");
}

static void a_migration_tells_novas_names_of_its_hosts(void **state)
{
    (void)state;
    auto_json json_t *migration = NULL;
    struct error err = {0};
    begin("{'path': '/v2.1/os-migrations?instance_uuid=1&limit=20', 'status': 200, 'body': {'migrations': "
          "[{'id': 7, 'instance_uuid': '1', 'status': 'running', "
          "'migration_type': 'live-migration', 'source_compute': 'compute-1.example.org', 'dest_compute': "
          "'compute-2.example.org'}]}}");
    if (run_nova_migration(&run, &migration, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(run_nova_name(run.source), "compute-1.example.org");
    free(steal(&there.nova_name));
}

static void what_is_not_verified_is_warned_of_once(void **state)
{
    (void)state;
    struct cloud *cloud;
    struct error err = {0};
    put("clouds.yaml",
        "clouds: {c: {auth: {auth_url: u, user_id: i, password: " PASSWORD "}, verify: false}}");
    for (int i = 0; i < 2; i++)
        assert_int_equal(run_cloud(&run, &cloud, &err), 0);
    assert_int_equal(json_array_size(events), 1);
    assert_string_equal(json_str(json_array_get(events, 0), "level", ""), "warning");
    assert_non_null(strstr(json_str(json_array_get(events, 0), "text", ""),
                           "are not verified (verify: false in ./clouds.yaml)"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_has_its_id),
        TEST(a_request_stays_below_its_endpoint),
        TEST(a_request_that_is_refused_has_its_id),
        TEST(a_request_that_is_refused_is_not_undone),
        TEST(a_request_whose_end_is_not_known_is_undone),
        TEST(a_request_that_was_never_sent_is_not_undone),
        TEST(a_lock_that_is_refused_is_not_undone),
        TEST(a_lock_has_its_id),
        TEST(an_undo_that_is_refused_has_its_id),
        TEST(a_preview_asks_for_no_change),
        TEST(a_migration_tells_novas_names_of_its_hosts),
        TEST(what_is_not_verified_is_warned_of_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
