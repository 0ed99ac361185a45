// SPDX-License-Identifier: MIT
// What Keystone is asked for with each kind of credentials and scope, and what is said when it says no.
#include "cloud_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// auth, more: what clouds.yaml has of the cloud, after its auth_url and after its auth.
static int log_in(const char *answers, const char *auth_url, const char *auth, const char *more,
                  struct error *err)
{
    end_cloud();
    fake_cloud_start(json_of(answers));
    auto_free char *yaml = xasprintf("clouds: {c: {auth: {auth_url: '%s', %s}%s}}", auth_url, auth, more),
                   *whole = with_url(yaml);
    put("clouds.yaml", whole);
    *err = (struct error){0};
    return cloud_open(&cloud, err) < 0 ? -1 : cloud_log_in(cloud, err);
}

#define GOOD                                                                                           \
    "{'path': '/v3/auth/tokens', 'status': 201, 'headers': {'X-Subject-Token': 'TOKEN-OF-KEYSTONE'}, " \
    "'body': {'token': {'catalog': []}}}"
static const char good[] = "[" GOOD "]";

static void asks(const char *auth, const char *more, const char *identity, const char *scope)
{
    struct error err;
    if (log_in(good, "FAKE/v3", auth, more, &err) < 0)
        fail_msg("%s: %s", auth, err.message);
    assert_int_equal(json_array_size(fake.asked), 1);
    const json_t *asked = last_asked("/v3/auth/tokens");
    assert_string_equal(json_str(asked, "method", ""), "POST");
    assert_string_equal(json_str(json_object_get(asked, "headers"), "content-type", ""), "application/json");
    auto_json json_t *body = json_loads(json_str(asked, "body", ""), 0, NULL), *wanted = json_of(identity);
    wanted = json_pack("{s:{s:o}}", "auth", "identity", wanted);
    if (*scope)
        json_object_set_new(json_object_get(wanted, "auth"), "scope", json_of(scope));
    auto_free char *is = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS),
                   *should = json_dumps(wanted, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(is, should);
}

static void is_refused(const char *answers, const char *auth, const char *more, enum error_domain domain,
                       int code, const char *says)
{
    struct error err;
    assert_int_equal(log_in(answers, "FAKE/v3", auth, more, &err), -1);
    if (!strstr(err.message, says))
        fail_msg("does not say '%s': %s", says, err.message);
    assert_int_equal(err.domain, domain);
    assert_int_equal(err.code, code);
    assert_null(strstr(err.message, "hunter2"));
}

// ---- who ----

static void a_password(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"username: u, password: p", "{'name': 'u', 'domain': {'id': 'default'}, 'password': 'p'}"},
        {"username: u, password: p, user_domain_name: D",
         "{'name': 'u', 'domain': {'name': 'D'}, 'password': 'p'}"},
        {"username: u, password: p, user_domain_id: d, user_domain_name: D",
         "{'name': 'u', 'domain': {'id': 'd'}, 'password': 'p'}"},
        {"username: u, password: p, default_domain_name: D",
         "{'name': 'u', 'domain': {'name': 'D'}, 'password': 'p'}"},
        {"username: u, password: p, default_domain_id: d, user_domain_name: D",
         "{'name': 'u', 'domain': {'name': 'D'}, 'password': 'p'}"},
        {"user_id: i, password: p, username: u", "{'id': 'i', 'password': 'p'}"},
        {"username: \"\\u00fc\", password: \"a\\\"b\\\\\"",
         "{'name': '\\u00fc', 'domain': {'id': 'default'}, 'password': 'a\\\"b\\\\'}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_free char *identity = xasprintf("{'methods': ['password'], 'password': {'user': %s}}",
                                             rows[i][1]);
        asks(rows[i][0], "", identity, "");
        asks(rows[i][0], ", auth_type: v3password", identity, "");
    }
}

// It has a scope of its own: Keystone refuses another.
static void an_application_credential(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"application_credential_id: a, application_credential_secret: s", "{'id': 'a', 'secret': 's'}"},
        {"application_credential_id: a, application_credential_name: n, application_credential_secret: s, "
         "project_name: p",
         "{'id': 'a', 'secret': 's'}"},
        {"application_credential_name: n, application_credential_secret: s, username: u, user_domain_name: D",
         "{'name': 'n', 'secret': 's', 'user': {'name': 'u', 'domain': {'name': 'D'}}}"},
        {"application_credential_name: n, application_credential_secret: s, user_id: i",
         "{'name': 'n', 'secret': 's', 'user': {'id': 'i'}}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_free char *identity = xasprintf(
            "{'methods': ['application_credential'], 'application_credential': %s}", rows[i][1]);
        asks(rows[i][0], ", auth_type: v3applicationcredential", identity, "");
        asks(rows[i][0], "", identity, "");
    }
}

static void a_token(void **state)
{
    (void)state;
    static const char identity[] = "{'methods': ['token'], 'token': {'id': 't'}}",
                      scope[] = "{'project': {'id': 'p'}}";
    static const char *const types[] = {", auth_type: token", ", auth_type: v3token", ""};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        asks("token: t", types[i], identity, "");
        asks("token: t, project_id: p", types[i], identity, scope);
    }
    asks("token: t, username: u, password: p", ", auth_type: v3token", identity, "");
}

static void by_the_environment_alone(void **state)
{
    (void)state;
    struct error err = {0};
    fake_cloud_start(json_of(good));
    setenv("OS_AUTH_URL", fake.url, 1);
    setenv("OS_AUTH_TYPE", "v3applicationcredential", 1);
    setenv("OS_APPLICATION_CREDENTIAL_ID", "a", 1);
    setenv("OS_APPLICATION_CREDENTIAL_SECRET", "s", 1);
    assert_int_equal(cloud_open(&cloud, &err), 0);
    if (cloud_log_in(cloud, &err) < 0)
        fail_msg("%s", err.message);
    auto_json json_t *body = json_loads(json_str(last_asked("/v3/auth/tokens"), "body", ""), 0, NULL),
                     *wanted = json_of("{'auth': {'identity': {'methods': ['application_credential'], "
                                       "'application_credential': {'id': 'a', 'secret': 's'}}}}");
    assert_true(json_equal(body, wanted));
}

// ---- what for ----

static void a_scope(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {", project_id: p", "{'project': {'id': 'p'}}"},
        {", project_id: p, project_name: q", "{'project': {'id': 'p'}}"},
        {", project_name: q", "{'project': {'name': 'q', 'domain': {'id': 'default'}}}"},
        {", project_name: q, project_domain_name: D", "{'project': {'name': 'q', 'domain': {'name': 'D'}}}"},
        {", project_name: q, project_domain_id: d", "{'project': {'name': 'q', 'domain': {'id': 'd'}}}"},
        {", tenant_name: q, default_domain_id: d", "{'project': {'name': 'q', 'domain': {'id': 'd'}}}"},
        {", domain_id: d", "{'domain': {'id': 'd'}}"},
        {", domain_name: D", "{'domain': {'name': 'D'}}"},
        {", system_scope: all", "{'system': {'all': true}}"},
        {", trust_id: t", "{'OS-TRUST:trust': {'id': 't'}}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_free char *auth = xasprintf("user_id: i, password: p%s", rows[i][0]);
        asks(auth, "", "{'methods': ['password'], 'password': {'user': {'id': 'i', 'password': 'p'}}}",
             rows[i][1]);
    }
}

static void where_keystone_is(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"FAKE", "/v3/auth/tokens"},
        {"FAKE/", "/v3/auth/tokens"},
        {"FAKE/v3", "/v3/auth/tokens"},
        {"FAKE/v3//", "/v3/auth/tokens"},
        {"FAKE/v2.0/", "/v3/auth/tokens"},
        {"FAKE/identity", "/identity/v3/auth/tokens"},
        {"FAKE/identity/v3/", "/identity/v3/auth/tokens"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err;
        log_in(good, rows[i][0], "user_id: i, password: p", "", &err);
        assert_int_equal(json_array_size(fake.asked), 1);
        assert_int_equal(asked_for(rows[i][1]), 1);
    }
}

// ---- what is missing or wrong ----

static void what_is_missing(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"username: u", "", "cloud 'c' (./clouds.yaml) has no password"},
        {"password: hunter2", "", "cloud 'c' (./clouds.yaml) has no username"},
        {"username: u", ", auth_type: token", "cloud 'c' (./clouds.yaml) has no token"},
        {"application_credential_id: a", ", auth_type: v3applicationcredential",
         "cloud 'c' (./clouds.yaml) has no application_credential_secret"},
        {"application_credential_secret: hunter2", ", auth_type: v3applicationcredential",
         "has no application_credential_id (or its name and the user)"},
        {"application_credential_name: a, application_credential_secret: hunter2", "",
         "has no application_credential_id (or its name and the user)"},
        {"username: u, password: hunter2", ", auth_type: v3oidcpassword",
         "has auth_type v3oidcpassword; migrun knows password, v3applicationcredential and token"},
        {"username: u, password: ''", "", "cloud 'c' (./clouds.yaml) has no password"},
        {"username: u, password: ~", "", "cloud 'c' (./clouds.yaml) has no password"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        is_refused(good, rows[i][0], rows[i][1], ERR_USAGE, 0, rows[i][2]);
        assert_int_equal(json_array_size(fake.asked), 0);
    }
}

static const char by_password[] = "username: u, password: hunter2, project_name: nonsense";

static void what_keystone_does_not_let_in(void **state)
{
    (void)state;
    static const char answer[] = "[{'status': 401, 'headers': {'x-openstack-request-id': 'req-9'}, 'body': "
                                 "{'error': {'code': 401, 'title': 'Unauthorized', "
                                 "'message': 'The request you have made requires authentication.'}}}]";
    static const char *const rows[][2] = {
        {by_password, "user, password, project or a domain of them is wrong (HTTP 401, req-9)"},
        {"application_credential_id: a, application_credential_secret: hunter2",
         "the application credential is wrong, has expired or was deleted (HTTP 401, req-9)"},
        {"token: hunter2, project_name: nonsense",
         "the token is wrong or has expired, or its user has no role in that project (HTTP 401, req-9)"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        is_refused(answer, rows[i][0], "", ERR_OPENSTACK, 401, rows[i][1]);
        is_refused(answer, rows[i][0], "", ERR_OPENSTACK, 401,
                   "rejects the credentials of cloud 'c' (./clouds.yaml): ");
        assert_int_equal(json_array_size(fake.asked), 1); // an account may be locked after a few
    }
}

static void what_else_keystone_may_say(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int code;
        const char *says;
    } rows[] = {
        {"{'status': 400, 'headers': {'x-openstack-request-id': 'req-1'}, 'body': {'error': {'code': 400, "
         "'message': 'Expecting to find domain in user.'}}}",
         400, "Keystone refuses logging in: Expecting to find domain in user (HTTP 400, req-1)"},
        {"{'status': 403, 'headers': {'x-openstack-request-id': 'req-2'}, 'body': {'error': {'code': 403, "
         "'message': 'You are not authorized.'}}}",
         403, "Keystone refuses logging in: You are not authorized (HTTP 403, req-2)"},
        {"{'status': 404, 'body': {'error': {'message': 'no'}}}", 404,
         "/v3, the auth_url of cloud 'c' (HTTP 404)"},
        {"{'status': 409, 'body': {'error': {'message': 'Conflict occurred.'}}}", 409,
         "Keystone refuses logging in: Conflict occurred (HTTP 409)"},
        {"{'status': 500, 'body': '<html><h1>Oh no</h1></html>'}", 500,
         "answered logging in with a page instead of JSON: Oh no (HTTP 500)"},
        {"{'status': 300, 'body': {}}", 300, "the auth_url of cloud 'c', is not Keystone (HTTP 300)"},
        {"{'status': 302, 'headers': {'Location': 'https://elsewhere/'}, 'body': ''}", 302,
         "the auth_url of cloud 'c', is not Keystone (HTTP 302)"},
        {"{'status': 200, 'body': '<html>hello</html>'}", 200, "is not Keystone (HTTP 200)"},
        {"{'status': 201, 'body': {'token': {}}}", 201, "is not Keystone (HTTP 201)"},
        {"{'status': 201, 'headers': {'X-Subject-Token': 't'}, 'body': ''}", 201,
         "is not Keystone (HTTP 201)"},
        {"{'status': 201, 'headers': {'X-Subject-Token': 't'}, 'body': {'token': 'hunter2'}}", 201,
         "is not Keystone (HTTP 201)"},
        {"{'status': 201, 'headers': {'X-Subject-Token': 't'}, 'body': '[{'}", 201,
         "is not Keystone (HTTP 201)"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_free char *answers = xasprintf("[%s]", rows[i].answer);
        is_refused(answers, by_password, "", ERR_OPENSTACK, rows[i].code, rows[i].says);
        assert_int_equal(json_array_size(fake.asked), 1);
    }
}

// It is a POST, but gives no more than a token.
static void a_login_is_tried_again(void **state)
{
    (void)state;
    static const char *const first[] = {"{'status': 503, 'body': ''}",
                                        "{'status': 429, 'headers': {'Retry-After': '0'}, 'body': ''}",
                                        "{'status': 201, 'body': {}, 'cut': 4}"};
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        struct error err;
        auto_free char *answers = xasprintf("[%s, " GOOD "]", first[i]);
        if (log_in(answers, "FAKE/v3", by_password, "", &err) < 0)
            fail_msg("%s: %s", first[i], err.message);
        assert_int_equal(json_array_size(fake.asked), 2);
    }
}

static void an_address_that_is_none(void **state)
{
    (void)state;
    static const char *const addresses[] = {"ftp://127.0.0.1", "file:///etc/passwd", "http://[::1",
                                            "http://127.0.0.1:port"};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct error err;
        assert_int_equal(log_in(good, addresses[i], by_password, "", &err), -1);
        if (!strstr(err.message, "is not the URL of a service (http://… or https://…)"))
            fail_msg("%s: %s", addresses[i], err.message);
    }
}

// Whoever writes it into the address has it in each sentence about that, were it not left out.
static void a_password_in_the_address(void **state)
{
    (void)state;
    static const char *const answers[] = {"[{'status': 404, 'body': ''}]", "[{'status': 401, 'body': ''}]",
                                          "[{'status': 200, 'body': ''}]", "[{'status': 500, 'body': '<p>'}]",
                                          "[{'raw': 'nonsense'}]"};
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct error err;
        fake_cloud_start(json_of(answers[i]));
        auto_free char *yaml = xasprintf(
            "clouds: {c: {auth: {auth_url: 'http://someone:hunter2@%s/x', user_id: i, password: p}}}",
            fake.url + strlen("http://"));
        put("clouds.yaml", yaml);
        assert_int_equal(cloud_open(&cloud, &err), 0);
        assert_int_equal(cloud_log_in(cloud, &err), -1);
        assert_null(strstr(err.message, "hunter2"));
        assert_true(i > 0 || strstr(err.message, "there is no Keystone v3 at http://127.0.0.1:"));
        end_cloud();
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_cloud)
    const struct CMUnitTest tests[] = {
        TEST(a_password),
        TEST(an_application_credential),
        TEST(a_token),
        TEST(by_the_environment_alone),
        TEST(a_scope),
        TEST(where_keystone_is),
        TEST(what_is_missing),
        TEST(what_keystone_does_not_let_in),
        TEST(what_else_keystone_may_say),
        TEST(a_login_is_tried_again),
        TEST(an_address_that_is_none),
        TEST(a_password_in_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
