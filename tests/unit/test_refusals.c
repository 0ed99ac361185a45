// SPDX-License-Identifier: MIT
// What services say no with, in each one's own form; tokens that end meanwhile, what is asked twice, and what
// no sentence may hold.
#include "world/openstack/nova.h"

#include "cloud_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TOKEN "gAAAAABl-a-token-of-keystone"
#define NEXT_TOKEN "gAAAAABl-another-token"
#define PASSWORD "hunter2hunter2"
#define SECRET "secret-of-a-credential"
#define OLD_TOKEN "gAAAAABl-a-token-of-ours"

static const char by_password[] = "user_id: i, password: " PASSWORD ", project_id: p";

// Services at /compute and so on. first and last: answers that come before and after those of a good cloud.
static void open_between(const char *first, const char *last, const char *auth)
{
    end_cloud();
    auto_free char *answers = xasprintf(
        "[%s {'path': '/v3/auth/tokens', 'status': 201, 'headers': {'X-Subject-Token': '" TOKEN
        "'}, 'body': {'token': {'project': {'id': 'p'}, 'catalog': ["
        "{'type': 'compute', 'endpoints': [{'interface': 'public', 'url': 'FAKE/compute/v2.1'}]}, {'type': "
        "'placement', 'endpoints': [{'interface': 'public', 'url': 'FAKE/placement'}]},"
        "{'type': 'network', 'endpoints': [{'interface': 'public', 'url': 'FAKE/network'}]}, {'type': "
        "'identity', 'endpoints': [{'interface': 'public', 'url': 'FAKE/v3'}]}]}}},"
        "{'path': '/compute/v2.1/', 'status': 200, 'body': {'version': {'id': 'v2.1', 'version': '2.90'}}},"
        "{'path': '/placement/', 'status': 200, 'body': {'versions': [{'id': 'v1.0', 'max_version': "
        "'1.39'}]}}%s]",
        first, last);
    fake_cloud_start(json_of(answers));
    auto_free char *yaml = xasprintf("clouds: {c: {auth: {auth_url: 'FAKE/v3', %s}}}", auth),
                   *whole = with_url(yaml);
    struct error err = {0};
    put("clouds.yaml", whole);
    if (cloud_open(&cloud, &err) < 0)
        fail_msg("%s", err.message);
}

static void open_cloud(const char *first, const char *auth) { open_between(first, "", auth); }

static int ask(const char *service, const char *method, bool harmless, json_t **answer, char *request_id,
               struct error *err)
{
    auto_json json_t *body = STREQ(method, "GET") ? NULL : json_pack("{s:s}", "a", "b");
    const struct cloud_request request = {.service = service,
                                          .method = method,
                                          .path = "/thing",
                                          .what = "asking",
                                          .body = body,
                                          .harmless = harmless};
    *err = (struct error){0};
    return cloud_send(cloud, &request, answer, request_id, err);
}

static const char *path_of(const char *service)
{
    return STREQ(service, "compute")     ? "/compute/v2.1/thing"
           : STREQ(service, "placement") ? "/placement/thing"
           : STREQ(service, "network")   ? "/network/v2.0/thing"
                                         : "/v3/thing";
}

// ---- no, in each form ----

#define NOVA(kind, code, text) \
    "'status': " #code ", 'body': {'" kind "': {'code': " #code ", 'message': '" text "'}}"
#define PLACEMENT(code, title, text)                                                                        \
    "'status': " #code ", 'body': {'errors': [{'status': " #code ", 'title': '" title "', 'detail': '" text \
    "', 'request_id': 'req-in-body'}]}"
#define NEUTRON(code, type, text)                                                                          \
    "'status': " #code ", 'body': {'NeutronError': {'type': '" type "', 'message': '" text "', 'detail': " \
    "''}}"
#define KEYSTONE(code, title, text)                                                                          \
    "'status': " #code ", 'body': {'error': {'code': " #code ", 'title': '" title "', 'message': '" text "'" \
    "}"                                                                                                      \
    "}"

static const struct {
    const char *service;
    int code;
    const char *answer, *says;
} refusals[] = {
    {"compute", 403,
     NOVA("forbidden", 403, "Policy doesn\\u0027t allow os_compute_api:os-services:list to be performed."),
     "Nova refuses asking: Policy doesn't allow os_compute_api:os-services:list to be performed (HTTP "
     "403, req-7)"},
    {"compute", 404, NOVA("itemNotFound", 404, "Instance 1 could not be found."),
     "Nova refuses asking: Instance 1 could not be found (HTTP 404, req-7)"},
    {"compute", 409,
     NOVA("conflictingRequest", 409,
          "Cannot \\u0027os-migrateLive\\u0027 instance 1 while it is in vm_state stopped"),
     "Nova refuses asking: Cannot 'os-migrateLive' instance 1 while it is in vm_state stopped (HTTP 409, "
     "req-7)"},
    {"compute", 400, NOVA("badRequest", 400, "Invalid input.\\nSecond line."),
     "Nova refuses asking: Invalid input. Second line (HTTP 400, req-7)"},
    {"compute", 413, NOVA("overLimit", 413, "This request was rate-limited."),
     "Nova refuses asking: This request was rate-limited (HTTP 413, req-7)"},
    {"compute", 500, NOVA("computeFault", 500, "Unexpected API Error."),
     "Nova failed at asking: Unexpected API Error (HTTP 500, req-7)"},
    {"placement", 403,
     PLACEMENT(403, "Forbidden", "Access was denied to this resource.\\n\\n placement:usages  "),
     "Placement refuses asking: Access was denied to this resource. placement:usages (HTTP 403, req-7)"},
    {"placement", 404, PLACEMENT(404, "Not Found", "No resource provider with uuid 1 found"),
     "Placement refuses asking: No resource provider with uuid 1 found (HTTP 404, req-7)"},
    {"placement", 409, PLACEMENT(409, "Conflict", "Unable to allocate inventory"),
     "Placement refuses asking: Unable to allocate inventory (HTTP 409, req-7)"},
    {"placement", 404, "'status': 404, 'body': {'errors': [{'title': 'Not Found'}]}",
     "Placement refuses asking: Not Found (HTTP 404, req-7)"},
    {"network", 403, NEUTRON(403, "PolicyNotAuthorized", "rule:get_network is disallowed by policy"),
     "Neutron refuses asking: rule:get_network is disallowed by policy (HTTP 403, req-7)"},
    {"network", 404, NEUTRON(404, "PortNotFound", "Port 1 could not be found."),
     "Neutron refuses asking: Port 1 could not be found (HTTP 404, req-7)"},
    {"network", 409, NEUTRON(409, "PortBindingAlreadyExists", "Binding for port 1 exists."),
     "Neutron refuses asking: Binding for port 1 exists (HTTP 409, req-7)"},
    {"network", 409, "'status': 409, 'body': {'NeutronError': 'In use.'}",
     "Neutron refuses asking: In use (HTTP 409, req-7)"},
    {"network", 404,
     "'status': 404, 'body': {'message': 'The resource could not be found.<br /><br />\\n\\n\\n', 'code': "
     "'404 Not Found', 'title': 'Not Found'}",
     "Neutron refuses asking: The resource could not be found (HTTP 404, req-7)"},
    {"identity", 403,
     KEYSTONE(403, "Forbidden",
              "You are not authorized to perform the requested action: identity:list_users."),
     "Keystone refuses asking: You are not authorized to perform the requested action: "
     "identity:list_users (HTTP 403, req-7)"},
    {"identity", 404, KEYSTONE(404, "Not Found", "Could not find user: x."),
     "Keystone refuses asking: Could not find user: x (HTTP 404, req-7)"},
    {"identity", 409, KEYSTONE(409, "Conflict", "Duplicate entry."),
     "Keystone refuses asking: Duplicate entry (HTTP 409, req-7)"},
    {"compute", 403, "'status': 403, 'body': ''", "Nova refuses asking: no reason given (HTTP 403, req-7)"},
    {"compute", 404, "'status': 404, 'body': {}", "Nova refuses asking: no reason given (HTTP 404, req-7)"},
    {"compute", 409, "'status': 409, 'body': [1]", "Nova refuses asking: no reason given (HTTP 409, req-7)"},
    {"compute", 409, "'status': 409, 'body': {'conflictingRequest': {'message': 9}}",
     "Nova refuses asking: no reason given (HTTP 409, req-7)"},
    {"compute", 409, "'status': 409, 'body': {'errors': [9]}",
     "Nova refuses asking: no reason given (HTTP 409, req-7)"},
    {"compute", 403,
     "'status': 403, 'body': '<html><head><title>403 "
     "Forbidden</title></head><body><center>nginx</center></body></html>'",
     "answered asking with a page instead of JSON: 403 Forbidden nginx (HTTP 403, req-7)"},
    {"compute", 409, NOVA("conflictingRequest", 409, "a\\u001b[31mred\\u0007"),
     "Nova refuses asking: a\\x1b[31mred\\x07 (HTTP 409, req-7)"},
    {"compute", 302, "'status': 302, 'body': ''", "Nova refuses asking: no reason given (HTTP 302, req-7)"},
};

static void what_each_service_says(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST"};
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        auto_free char *first = xasprintf(
            "{'path': '%s', 'headers': {'x-openstack-request-id': 'req-7'}, %s},",
            path_of(refusals[i].service), refusals[i].answer);
        open_cloud(first, by_password);
        for (size_t j = 0; j < COUNT_OF(methods); j++) {
            struct error err;
            char id[REQUEST_ID_MAX] = "none";
            json_t *answer = (json_t *)&err;
            assert_int_equal(ask(refusals[i].service, methods[j], false, &answer, id, &err), -1);
            assert_null(answer);
            assert_int_equal(err.domain, ERR_OPENSTACK);
            assert_int_equal(err.code, refusals[i].code);
            if (!strstr(err.message, refusals[i].says))
                fail_msg("does not say '%s': %s", refusals[i].says, err.message);
            assert_string_equal(id, "req-7");
        }
        assert_int_equal(asked_for(path_of(refusals[i].service)), 2);
    }
}

static void the_request_id_by_its_names(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"'x-compute-request-id': 'req-old'", "req-old"},
        {"'X-OpenStack-Request-ID': 'req-new', 'x-compute-request-id': 'req-old'", "req-new"},
        {"'a': 'b'", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err;
        char id[REQUEST_ID_MAX] = "none";
        auto_free char *first = xasprintf(
            "{'path': '/compute/v2.1/thing', 'status': 202, 'headers': {%s}, 'body': ''},", rows[i][0]);
        open_cloud(first, by_password);
        assert_int_equal(ask("compute", "POST", false, NULL, id, &err), 0);
        assert_string_equal(id, rows[i][1]);
    }
}

// What Nova's own functions make of a no.
static void a_plain_user(void **state)
{
    (void)state;
    json_t *services = NULL;
    struct error err = {0};
    open_cloud("{'path': '/compute/v2.1/os-services', 'headers': {'x-openstack-request-id': 'req-7'}, " NOVA(
                   "forbidden", 403, "Policy says no.") "},",
               by_password);
    assert_int_equal(nova_services(cloud, NULL, &services, &err), -1);
    assert_string_equal(err.message, "Nova refuses listing services: Policy says no (HTTP 403, req-7)");
    assert_int_equal(err.code, 403);
}

// ---- tokens ----

static void a_new_token_is_used_from_then_on(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct error err;
        open_cloud("{'path': '/network/v2.0/thing', 'status': 200, 'body': {}}, {'path': "
                   "'/network/v2.0/thing', 'status': 401, 'body': ''}, "
                   "{'path': '/network/v2.0/thing', 'status': 200, 'body': {}},",
                   by_password);
        assert_int_equal(ask("network", "GET", false, NULL, NULL, &err), 0);
        // The second login gives another token, and a catalog of another place.
        json_array_append_new(
            fake.answers,
            json_of("{'path': '/v3/auth/tokens', 'status': 201, 'headers': {'X-Subject-Token': '" NEXT_TOKEN
                    "'}, 'body': {'token': {'catalog': "
                    "[{'type': 'network', 'endpoints': [{'interface': 'public', 'url': 'x'}]}]}}}"));
        json_t *there = json_array_get(fake.answers, json_array_size(fake.answers) - 1);
        auto_free char *url = xasprintf("%s/network", fake.url);
        json_t *endpoint = json_array_get(
            json_object_get(
                json_array_get(
                    json_object_get(json_object_get(json_object_get(there, "body"), "token"), "catalog"), 0),
                "endpoints"),
            0);
        json_object_set_new(endpoint, "url", json_string(url));
        if (ask("network", methods[i], false, NULL, NULL, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(asked_for("/v3/auth/tokens"), 2);
        assert_int_equal(asked_for("/network/v2.0/thing"), 3);
        assert_string_equal(
            json_str(json_object_get(last_asked("/network/v2.0/thing"), "headers"), "x-auth-token", ""),
            NEXT_TOKEN);
        assert_int_equal(ask("network", "GET", false, NULL, NULL, &err), 0);
        assert_string_equal(
            json_str(json_object_get(last_asked("/network/v2.0/thing"), "headers"), "x-auth-token", ""),
            NEXT_TOKEN);
        assert_int_equal(asked_for("/v3/auth/tokens"), 2);
    }
}

static void a_user_who_is_locked_out_meanwhile(void **state)
{
    (void)state;
    struct error err;
    open_cloud("{'path': '/network/v2.0/thing', 'status': 401, 'body': ''},", by_password);
    assert_int_equal(cloud_log_in(cloud, &err), 0);
    json_array_append_new(fake.answers, json_of("{'path': '/v3/auth/tokens', 'status': 401, 'body': ''}"));
    assert_int_equal(ask("network", "POST", false, NULL, NULL, &err), -1);
    assert_int_equal(err.code, 401);
    assert_non_null(strstr(err.message, "rejects the credentials of cloud 'c' (./clouds.yaml)"));
    assert_int_equal(asked_for("/network/v2.0/thing"), 1);
}

// ---- what is asked twice ----

static void only_what_is_harmless_is_asked_twice(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        bool harmless;
        size_t times;
    } rows[] = {
        {"GET", false, 2},    {"HEAD", false, 2},  {"POST", false, 1}, {"PUT", false, 1},
        {"DELETE", false, 1}, {"PATCH", false, 1}, {"POST", true, 2},
    };
    static const char *const first[] = {"'status': 503, 'body': {'a': 'b'}",
                                        "'status': 429, 'headers': {'Retry-After': '0'}, 'body': ''",
                                        "'status': 200, 'raw': 'HTTP/1.1 200 OK\\r\\nA: b'"};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t j = 0; j < COUNT_OF(first); j++) {
            struct error err;
            auto_free char *answers = xasprintf("{'path': '/network/v2.0/thing', %s}, {'path': "
                                                "'/network/v2.0/thing', 'status': 204, 'body': ''},",
                                                first[j]);
            open_cloud(answers, by_password);
            assert_int_equal(ask("network", rows[i].method, rows[i].harmless, NULL, NULL, &err),
                             rows[i].times == 2 ? 0 : -1);
            assert_int_equal(asked_for("/network/v2.0/thing"), rows[i].times);
            if (rows[i].times == 1)
                assert_int_equal(err.code, j == 0   ? 503
                                           : j == 1 ? 429
                                                    : 0); // 0: whether it was done, nobody has said
        }
}

// ---- secrets ----

static void holds_no_secret(const char *text)
{
    static const char *const secrets[] = {TOKEN, NEXT_TOKEN, PASSWORD, SECRET, OLD_TOKEN};
    for (size_t i = 0; i < COUNT_OF(secrets); i++)
        if (text && strstr(text, secrets[i]))
            fail_msg("holds %s: %s", secrets[i], text);
}

static void ask_everything(const char *first, const char *last, const char *auth)
{
    struct error err = {0};
    char id[REQUEST_ID_MAX] = "";
    json_t *answer = NULL;
    auto_json json_t *server = json_pack("{s:s, s:s}", "id", "1", "name", "one");
    open_between(first, last, auth);
    holds_no_secret(cloud_name(cloud));
    holds_no_secret(cloud_warning(cloud));
#define ASK(call)                                                   \
    do {                                                            \
        err = (struct error){0};                                    \
        *id = '\0';                                                 \
        answer = NULL;                                              \
        call;                                                       \
        holds_no_secret(err.message);                               \
        holds_no_secret(err.source);                                \
        holds_no_secret(id);                                        \
        auto_free char *text = json_dumps(answer, JSON_ENCODE_ANY); \
        holds_no_secret(text);                                      \
        json_decref(answer);                                        \
    } while (0)
    ASK(cloud_log_in(cloud, &err));
    ASK(nova_find(cloud, "one", &answer, &err));
    ASK(nova_services(cloud, NULL, &answer, &err));
    ASK(nova_migrations(cloud, "1", &answer, &err));
    ASK(nova_actions(cloud, "1", &answer, &err));
    ASK(nova_live_migrate(cloud, server, "h", id, &err));
    ASK(nova_set_lock(cloud, "1", true, "why", id, &err));
    ASK(placement_provider(cloud, "h", &answer, &err));
    ASK(placement_allocations(cloud, "1", &answer, &err));
    ASK(neutron_ports(cloud, "1", &answer, &err));
}

// Whatever goes wrong, also where what is asked tells back all that it was told.
static void no_sentence_holds_a_secret(void **state)
{
    (void)state;
    static const struct {
        const char *auth, *secret;
    } rows[] = {
        {by_password, PASSWORD},
        {"application_credential_id: a, application_credential_secret: " SECRET, SECRET},
        {"application_credential_name: a, user_id: u, application_credential_secret: " SECRET, SECRET},
        {"token: " OLD_TOKEN ", project_id: p", OLD_TOKEN},
    };
    static const char *const answers[] = {
        "'status': 400, 'body': {'badRequest': {'message': 'You said: %s'}}",
        "'status': 401, 'body': {'error': {'message': '%s'}}",
        "'status': 403, 'body': '<html>%s</html>'",
        "'status': 404, 'body': {'errors': [{'detail': '%s'}]}",
        "'status': 409, 'body': {'NeutronError': 'a%sb'}",
        "'status': 500, 'body': '%s'",
        "'status': 200, 'body': '%s'",
        "'status': 500, 'headers': {'x-openstack-request-id': 'req-%s'}, 'body': {}",
        "'raw': 'HTTP/1.1 %s\\r\\n\\r\\n'",
        "'raw': '%s'",
        "'status': 302, 'headers': {'Location': 'http://%s/'}, 'body': ''",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t j = 0; j < COUNT_OF(answers); j++) {
            const char *mark = strstr(answers[j], "%s");
            auto_free char *before = xasprintf("%.*s%s", (int)(mark - answers[j]), answers[j],
                                               rows[i].secret); // who answers the login has no token yet
            auto_free char *login = xasprintf("{'path': '/v3/auth/tokens', %s%s},", before, mark + 2);
            auto_free char *versions = xasprintf("{'path': '/compute/v2.1/', %s " TOKEN "%s},", before,
                                                 mark + 2),
                           *others = xasprintf(", {%s " TOKEN "%s}", before, mark + 2);
            ask_everything(login, "", rows[i].auth);
            ask_everything(versions, "", rows[i].auth);
            ask_everything("", others, rows[i].auth);
        }
}

// ---- an instance that is not there ----

// By a 404 alone it is not known: another cloud's Nova says that too.
static void an_instance_that_was_deleted(void **state)
{
    (void)state;
#define GONE \
    "'path': '/compute/v2.1/servers/gone', " NOVA("itemNotFound", 404, "Instance gone could not be found.")
#define ACTIONS "'path': '/compute/v2.1/servers/gone/os-instance-actions', "
    static const struct {
        const char *answers;
        bool deleted;
    } rows[] = {
        {", {" GONE "}, {" ACTIONS
         "'status': 200, 'body': {'instanceActions': [{'action': 'delete'}, {'action': 'create'}]}}",
         true},
        {", {" GONE "}, {" ACTIONS NOVA("itemNotFound", 404, "Instance gone could not be found.") "}", false},
        {", {" GONE "}, {" ACTIONS "'status': 200, 'body': {'instanceActions': []}}", false},
        {", {'path': '/compute/v2.1/servers/gone', 'status': 200, 'body': {'server': {'id': 'gone'}}}, "
         "{" ACTIONS "'status': 200, 'body': {'instanceActions': [{'action': 'create'}]}}",
         false},
        {", {'path': '/compute/v2.1/servers/gone', " NOVA(
             "forbidden", 403, "no") "}, {" ACTIONS
                                     "'status': 200, 'body': {'instanceActions': [{'action': 'create'}]}}",
         false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        open_between("", rows[i].answers, by_password);
        if (nova_was_deleted(cloud, "gone") != rows[i].deleted)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_cloud)
    const struct CMUnitTest tests[] = {
        TEST(an_instance_that_was_deleted),         TEST(what_each_service_says),
        TEST(the_request_id_by_its_names),          TEST(a_plain_user),
        TEST(a_new_token_is_used_from_then_on),     TEST(a_user_who_is_locked_out_meanwhile),
        TEST(only_what_is_harmless_is_asked_twice), TEST(no_sentence_holds_a_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
