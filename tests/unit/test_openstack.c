// SPDX-License-Identifier: MIT
// clouds.yaml and OS_*, Keystone, Nova and Placement, over answers that a real cloud gave
// (tests/unit/exchanges/cloud.json).
#include "world/openstack/config.h"
#include "world/openstack/nova.h"
#include "world/openstack/yaml.h"

#include "base/clock.h"
#include "base/io.h"
#include "cloud_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char here[4096]; // here: the checkout, where tests are run
static const char *server_id;

// ---- the configuration ----

static void loads(struct cloud_config *config)
{
    struct error err = {0};
    if (cloud_config_load(config, &err) < 0)
        fail_msg("%s", err.message);
}

static void does_not_load(const char *says)
{
    struct cloud_config config;
    struct error err = {0};
    assert_int_equal(cloud_config_load(&config, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    if (!strstr(err.message, says))
        fail_msg("does not say '%s': %s", says, err.message);
}

static void nothing_is_configured(void **state)
{
    (void)state;
    does_not_load("there are no OpenStack credentials");
    setenv("OS_CLOUD", "mine", 1);
    does_not_load("there is no clouds.yaml");
}

static const char two_clouds[] =
    "clouds:\n"
    "  one: &one\n    auth: {auth_url: 'http://a/v3', username: u, tenant-name: p, domain_name: D}\n"
    "    regions: [North, {name: South, values: {interface: internal}}]\n    verify: false\n"
    "  two:\n    <<: *one\n    profile: vendor\n    cacert: /c\n";

static void the_cloud_that_is_named(void **state)
{
    (void)state;
    struct cloud_config config;
    put("clouds.yaml", two_clouds);
    put("secure.yaml", "clouds: {one: {auth: {password: '0123'}}}");
    does_not_load("which cloud? ./clouds.yaml has 2");
    setenv("OS_CLOUD", "three", 1);
    does_not_load("it has one, two");
    setenv("OS_CLOUD", "one", 1);
    setenv("OS_USERNAME", "ignored", 1); // another cloud's, as OS_CLOUD names this one
    loads(&config);
    assert_string_equal(config.name, "one");
    assert_string_equal(cloud_config_auth(&config, "username"), "u");
    assert_string_equal(cloud_config_auth(&config, "project_name"), "p");
    assert_string_equal(cloud_config_auth(&config, "user_domain_name"), "D");
    assert_string_equal(cloud_config_auth(&config, "project_domain_name"), "D");
    assert_string_equal(cloud_config_auth(&config, "password"), "0123");
    assert_string_equal(cloud_config_value(&config, "region_name"), "North");
    assert_string_equal(cloud_config_value(&config, "interface"), "public");
    assert_false(cloud_config_flag(&config, "verify", true));
    cloud_config_free(&config);
    setenv("OS_REGION_NAME", "South", 1);
    loads(&config);
    assert_string_equal(cloud_config_value(&config, "interface"), "internal");
    cloud_config_free(&config);
    setenv("OS_REGION_NAME", "West", 1);
    does_not_load("has no region 'West' (OS_REGION_NAME); it lists North, South");
}

static void a_profile_lies_below(void **state)
{
    (void)state;
    struct cloud_config config;
    put("clouds.yaml", two_clouds);
    setenv("OS_CLOUD", "two", 1);
    does_not_load("the profile 'vendor', which no clouds-public.yaml has");
    put("clouds-public.yaml",
        "public-clouds: {vendor: {cacert: /v, cert: /t, auth: {auth_url: 'http://v', user_domain_id: x}}}");
    loads(&config);
    assert_string_equal(cloud_config_value(&config, "cacert"), "/c");
    assert_string_equal(cloud_config_value(&config, "cert"), "/t");
    assert_string_equal(cloud_config_auth(&config, "auth_url"), "http://a/v3");
    assert_string_equal(cloud_config_auth(&config, "user_domain_id"), "x");
    cloud_config_free(&config);
}

static void the_environment_alone(void **state)
{
    (void)state;
    struct cloud_config config;
    put("clouds.yaml", two_clouds);
    setenv("OS_AUTH_URL", "http://e:5000", 1);
    setenv("OS_TENANT_NAME", "t", 1);
    setenv("OS_ENDPOINT_TYPE", "internalURL", 1);
    setenv("OS_USERNAME", "e", 1);
    loads(&config);
    assert_string_equal(config.name, "envvars");
    assert_string_equal(cloud_config_auth(&config, "auth_url"), "http://e:5000");
    assert_string_equal(cloud_config_auth(&config, "project_name"), "t");
    assert_string_equal(cloud_config_value(&config, "interface"), "internalURL");
    cloud_config_free(&config);
}

static void what_is_no_yaml_keeps_its_secrets(void **state)
{
    (void)state;
    put("clouds.yaml", "clouds:\n  a:\n    auth: {password: hunter2\n  b: ]");
    struct cloud_config config;
    struct error err = {0};
    assert_int_equal(cloud_config_load(&config, &err), -1);
    assert_non_null(strstr(err.message, "./clouds.yaml: line "));
    assert_null(strstr(err.message, "hunter2"));
}

static void yaml_is_data(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "{}"},
        {"a: [1, 'yes', yes, ~, null, \"x\\ty\"]", "{\"a\":[\"1\",\"yes\",true,null,null,\"x\\ty\"]}"},
        {"b: &x {c: d}\ne: {<<: *x, f: g}", "{\"b\":{\"c\":\"d\"},\"e\":{\"f\":\"g\",\"c\":\"d\"}}"},
        {"a: {<<: [{x: '1'}, {x: '2', y: '3'}], y: z}", "{\"a\":{\"y\":\"z\",\"x\":\"1\"}}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *json = NULL;
        struct error err = {0};
        if (yaml_parse(rows[i][0], strlen(rows[i][0]), &json, &err) < 0)
            fail_msg("%s", err.message);
        auto_free char *text = json_dumps(json, JSON_COMPACT);
        assert_string_equal(text, rows[i][1]);
        json_decref(json);
    }
    auto_buf struct buf deep = {0};
    for (int i = 0; i < 100; i++)
        buf_puts(&deep, "[");
    for (int i = 0; i < 100; i++)
        buf_puts(&deep, "]");
    json_t *json;
    struct error err = {0};
    assert_int_equal(yaml_parse(deep.data, deep.len, &json, &err), -1);
}

// ---- a cloud ----

// The recorded cloud; more answers come before its own. minor: of Nova's newest microversion, 0: as recorded.
static void begin_cloud(const char *first, int minor)
{
    auto_free char *text = NULL, *path = xasprintf("%s/tests/unit/exchanges/cloud.json", here);
    size_t len;
    json_t *all = json_loads(first, 0, NULL), *recorded;
    server_id = NULL;
    assert_int_equal(read_whole_file(path, 1 << 20, &text, &len), 0);
    recorded = json_loads(text, 0, NULL);
    assert_non_null(all);
    assert_non_null(recorded);
    json_array_extend(all, recorded);
    json_decref(recorded);
    fake_cloud_start(all);
    size_t i;
    json_t *answer;
    json_array_foreach(fake.answers, i, answer) {
        json_t *version = json_object_get(json_object_get(answer, "body"), "version");
        if (version && minor)
            json_object_set_new(version, "version", json_sprintf("2.%d", minor));
        const json_t *servers = json_object_get(json_object_get(answer, "body"), "servers");
        if (!server_id && json_array_size(servers))
            server_id = json_str(json_array_get(servers, 0), "id", NULL);
    }
    auto_free char *yaml = xasprintf(
        "clouds: {c: {auth: {auth_url: '%s/5000', username: admin, password: hunter2, project_name: demo,\n"
        "  user_domain_name: Default, project_domain_name: Default}}}",
        fake.url);
    put("clouds.yaml", yaml);
    struct error err = {0};
    if (cloud_open(&cloud, &err) < 0)
        fail_msg("%s", err.message);
}

static void fails(int rc, const struct error *err, int code, const char *says)
{
    assert_int_equal(rc, -1);
    if (!strstr(err->message, says))
        fail_msg("does not say '%s': %s", says, err->message);
    assert_int_equal(err->code, code);
    assert_null(strstr(err->message, "hunter2"));
    assert_null(strstr(err->message, "TOKEN"));
}

static void logs_in_by_password(void **state)
{
    (void)state;
    begin_cloud("[]", 0);
    struct error err = {0};
    if (cloud_log_in(cloud, &err) < 0)
        fail_msg("%s", err.message);
    const json_t *asked = fake_http_asked(&fake, 0);
    assert_string_equal(json_str(asked, "path", ""), "/5000/v3/auth/tokens");
    auto_json json_t
        *body = json_loads(json_str(asked, "body", ""), 0, NULL),
        *expected = json_loads(
            "{\"auth\": {\"identity\": {\"methods\": [\"password\"], \"password\": {\"user\": {\"name\": "
            "\"admin\", \"domain\": {\"name\": \"Default\"}, \"password\": \"hunter2\"}}},"
            "\"scope\": {\"project\": {\"name\": \"demo\", \"domain\": {\"name\": \"Default\"}}}}}",
            0, NULL);
    assert_true(json_equal(body, expected));
}

static void a_wrong_password(void **state)
{
    (void)state;
    begin_cloud("[{\"path\": \"/5000/v3/auth/tokens\", \"status\": 401, \"headers\": "
                "{\"x-openstack-request-id\": \"req-9\"}, "
                "\"body\": {\"error\": {\"code\": 401, \"message\": \"no\"}}}]",
                0);
    struct error err = {0};
    fails(cloud_log_in(cloud, &err), &err, 401, "rejects the credentials of cloud 'c' (./clouds.yaml)");
    assert_non_null(strstr(err.message, "req-9"));
}

static void a_server_by_name_and_id(void **state)
{
    (void)state;
    begin_cloud("[]", 0);
    auto_json json_t *by_name = NULL, *by_id = NULL, *none = NULL;
    struct error err = {0};
    if (nova_find(cloud, "one", &by_name, &err) < 0 || nova_find(cloud, server_id, &by_id, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(json_equal(by_name, by_id));
    assert_string_equal(json_str(by_name, "name", ""), "one");
    assert_string_equal(json_str(by_name, "task_state", "?"), "");
    assert_true(strncmp(json_str(by_name, "host", ""), "compute-", 8) == 0);
    assert_true(json_int(json_object_get(by_name, "flavor"), "ram", 0) == 256);
    fails(nova_find(cloud, "00000000-0000-0000-0000-000000000000", &none, &err), &err, REFUSED_OTHER,
          "has no instance '00000000-0000-0000-0000-000000000000'");
    json_decref(by_id);
    by_id = NULL;
    if (nova_find(cloud, json_str(by_name, "libvirt_name", ""), &by_id, &err) ==
        0) // its own name is asked for first, and nobody has recorded that
        assert_true(json_equal(by_name, by_id));
}

static void two_of_one_name(void **state)
{
    (void)state;
    begin_cloud("[{\"path\": \"/8774/v2.1/servers?all_tenants=1&limit=1000&name=%5Ea%5C.b%24\", "
                "\"status\": 200, \"body\": {\"servers\": [{\"id\": \"1\", \"name\": \"a.b\"}, "
                "{\"id\": \"2\", \"name\": \"a.b\"}, {\"id\": \"3\", \"name\": \"axb\"}]}}, "
                "{\"path\": \"/8774/v2.1/servers/detail?all_tenants=1&limit=1000&name=%5Ea%5C.b%24\", "
                "\"status\": 200, \"body\": {\"servers\": ["
                "{\"id\": \"1\", \"name\": \"a.b\", \"status\": \"ACTIVE\", \"OS-EXT-SRV-ATTR:host\": "
                "\"h\"}, {\"id\": \"2\", \"name\": \"a.b\", \"status\": \"ERROR\"},"
                "{\"id\": \"3\", \"name\": \"axb\"}]}}]",
                0);
    json_t *server;
    struct error err = {0};
    fails(nova_find(cloud, "a.b", &server, &err), &err, REFUSED_OTHER,
          "2 instances have the name 'a.b': name one by its id: 1 (ACTIVE on h), 2 (ERROR on a host that is "
          "not told)");
}

static void a_token_that_expires(void **state)
{
    (void)state;
    begin_cloud(
        "[{\"path\": \"/8774/v2.1/os-services\", \"status\": 401, \"body\": {\"error\": {\"code\": 401}}}]",
        0);
    auto_json json_t *services = NULL;
    struct error err = {0};
    if (nova_services(cloud, NULL, &services, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(json_array_size(services), 4);
    assert_int_equal(asked_for("/5000/v3/auth/tokens"), 2);
    assert_int_equal(asked_for("/8774/v2.1/os-services"), 2);
}

static void a_token_that_is_never_good(void **state)
{
    (void)state;
    begin_cloud("[{\"path\": \"/8774/v2.1/os-services\", \"status\": 401, \"body\": {\"error\": "
                "{\"message\": \"Go away.\"}}}, "
                "{\"path\": \"/8774/v2.1/os-services\", \"status\": 401, \"body\": {\"error\": {\"message\": "
                "\"Go away.\"}}}]",
                0);
    json_t *services = NULL;
    struct error err = {0};
    fails(nova_services(cloud, NULL, &services, &err), &err, 401,
          "Nova refuses listing services: Go away (HTTP 401");
}

static void what_nova_refuses(void **state)
{
    (void)state;
    begin_cloud("[]", 0);
    auto_json json_t *server = NULL;
    char id[REQUEST_ID_MAX];
    struct error err = {0};
    assert_int_equal(nova_find(cloud, "one", &server, &err), 0);
    fails(nova_live_migrate(cloud, server, "nonsense", id, &err), &err, 400,
          "Nova refuses live-migrating one to nonsense: Compute host nonsense could not be found (HTTP "
          "400, req-");
    assert_non_null(strstr(err.message, id));
    const json_t *asked = fake_http_asked(&fake, json_array_size(fake.asked) - 1);
    assert_string_equal(json_str(json_object_get(asked, "headers"), "openstack-api-version", ""),
                        "compute 2.68");
    assert_string_equal(json_str(asked, "body", ""),
                        "{\"os-migrateLive\":{\"host\":\"nonsense\",\"block_migration\":\"auto\"}}");
}

static void an_old_nova(void **state)
{
    (void)state;
    begin_cloud("[]", 1);
    auto_json json_t *server = NULL, *progress = NULL;
    char id[REQUEST_ID_MAX];
    struct error err = {0};
    assert_int_equal(nova_find(cloud, "one", &server, &err), 0);
    assert_int_equal(nova_live_migrate(cloud, server, NULL, id, &err), -1);
    const json_t *asked = fake_http_asked(&fake, json_array_size(fake.asked) - 1);
    assert_null(json_object_get(json_object_get(asked, "headers"), "openstack-api-version"));
    assert_string_equal(
        json_str(asked, "body", ""),
        "{\"os-migrateLive\":{\"host\":null,\"block_migration\":false,\"disk_over_commit\":false}}");
    fails(nova_progress(cloud, server_id, 1, &progress, &err), &err, 406,
          "speaks microversions up to 2.1; showing the migration needs 2.23");
}

static void pages_instead_of_json(void **state)
{
    (void)state;
    begin_cloud(
        "[{\"path\": \"/8774/v2.1/os-services\", \"status\": 500, \"body\": "
        "\"<html><head><title>500</title></head>\\n<body> <h1>Server Error.</h1></body></html>\"}, "
        "{\"path\": \"/8774/v2.1/os-services?host=x\", \"status\": 200, \"body\": \"<html>hello</html>\"}]",
        0);
    json_t *services = NULL;
    struct error err = {0};
    fails(nova_services(cloud, NULL, &services, &err), &err, 500,
          "with a page instead of JSON: 500 Server Error (HTTP 500)");
    fails(nova_services(cloud, "x", &services, &err), &err, 200, "something that is not JSON");
}

static void placement_tells_who_holds_what(void **state)
{
    (void)state;
    begin_cloud("[]", 0);
    auto_json json_t *server = NULL, *held = NULL, *provider = NULL, *none = NULL;
    struct error err = {0};
    if (nova_find(cloud, "one", &server, &err) < 0 ||
        placement_allocations(cloud, server_id, &held, &err) < 0 ||
        placement_provider(cloud, "compute-2", &provider, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(json_array_size(held), 1);
    assert_string_equal(json_str(json_array_get(held, 0), "name", ""), json_str(server, "hypervisor", "?"));
    assert_true(json_int(json_object_get(json_object_get(provider, "inventories"), "MEMORY_MB"), "total", 0) >
                0);
    fails(placement_provider(cloud, "none", &none, &err), &err, 404, "");
}

// Where a port is, and its addresses.
static void neutron_tells_of_ports(void **state)
{
    (void)state;
    begin_cloud("[{\"path\": \"/9696/v2.0/ports?device_id=s\", \"status\": 200, \"body\": "
                "{\"ports\": [{\"id\": \"p\", \"mac_address\": \"fa:16:3e:00:00:01\", \"fixed_ips\": "
                "[{\"ip_address\": \"10.0.0.5\"}, {\"subnet_id\": \"x\"}, {\"ip_address\": \"fd00::5\"}]}, "
                "{\"id\": \"q\"}]}}, "
                "{\"path\": \"/9696/v2.0/ports/p/bindings\", \"status\": 404, \"body\": {}}, "
                "{\"path\": \"/9696/v2.0/ports/q/bindings\", \"status\": 404, \"body\": {}}]",
                0);
    auto_json json_t *ports = NULL, *expected = json_pack("[s,s]", "10.0.0.5", "fd00::5");
    struct error err = {0};
    if (neutron_ports(cloud, "s", &ports, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(json_array_size(ports), 2);
    assert_string_equal(json_str(json_array_get(ports, 0), "mac", ""), "fa:16:3e:00:00:01");
    assert_true(json_equal(json_object_get(json_array_get(ports, 0), "addresses"), expected));
    assert_int_equal(json_array_size(json_object_get(json_array_get(ports, 1), "addresses")), 0);
}

static char *server_path(void) { return xasprintf("/8774/v2.1/servers/%s", server_id); }

// Asks for the server and a provider, where one answer leads to the next question, until all have come.
static void ask_ahead(int64_t ms)
{
    for (bool all = false; !all; usleep(1000)) {
        auto_json json_t *server = NULL, *provider = NULL;
        cloud_ahead_begin(cloud, ms);
        all = nova_server(cloud, server_id, &server, NULL) == 0;
        all = placement_provider(cloud, "compute-2", &provider, NULL) == 0 && all;
        cloud_ahead_end(cloud);
    }
}

static void begin_with_server(json_t **server)
{
    struct error err = {0};
    begin_cloud("[]", 0);
    if (nova_find(cloud, "one", server, &err) < 0)
        fail_msg("%s", err.message);
}

static void asked_ahead(void **state)
{
    (void)state;
    static const char list[] = "/8778/resource_providers?name=compute-2";
    auto_json json_t *found = NULL, *server = NULL, *again = NULL, *provider = NULL;
    struct error err = {0};
    begin_with_server(&found);
    auto_free char *path = server_path();
    size_t before = asked_for(path);
    ask_ahead(60000);
    assert_int_equal(asked_for(path), before + 1);
    assert_int_equal(asked_for(list), 1);
    // Each answer is given once, and asked for anew after that.
    assert_int_equal(nova_server(cloud, server_id, &server, &err), 0);
    assert_true(json_equal(server, found));
    assert_int_equal(asked_for(path), before + 1);
    assert_int_equal(placement_provider(cloud, "compute-2", &provider, &err), 0);
    assert_true(json_int(json_object_get(json_object_get(provider, "inventories"), "MEMORY_MB"), "total", 0) >
                0);
    assert_int_equal(asked_for(list), 1);
    assert_int_equal(nova_server(cloud, server_id, &again, &err), 0);
    assert_int_equal(asked_for(path), before + 2);
}

// None is given after a change, nor after its time, nor once it was dropped.
static void what_was_asked_ahead_grows_old(void **state)
{
    (void)state;
    enum { CHANGED, DROPPED, LATE };
    for (int late = CHANGED; late <= LATE; late++) {
        auto_json json_t *found = NULL, *server = NULL;
        struct error err = {0};
        begin_with_server(&found);
        auto_free char *path = server_path();
        size_t before = asked_for(path);
        ask_ahead(late == LATE ? 2000 : 60000);
        size_t asked = asked_for(path);
        if (late == LATE)
            nap_ms(2000);
        else if (late == DROPPED)
            cloud_ahead_drop(cloud);
        else
            nova_set_lock(cloud, server_id, false, NULL, NULL, NULL);
        assert_true(asked > before);
        assert_int_equal(nova_server(cloud, server_id, &server, &err), 0);
        assert_int_equal(asked_for(path), asked + 1);
        if (late != LATE)
            end_cloud();
    }
}

// An answer that is no good, or none, is nobody's trouble: it is asked for again.
static void no_good_answer_ahead(void **state)
{
    (void)state;
    static const char *const bad[] = {"'status': 500", "'status': 401", "'status': 200, 'body': '<html>'",
                                      "'status': 200, 'body': {}, 'cut': 1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        auto_json json_t *found = NULL, *server = NULL, *none = NULL;
        struct error err = {0};
        begin_with_server(&found);
        auto_free char *text = xasprintf("[{'path': '/8774/v2.1/servers/%s', %s}]", server_id, bad[i]);
        auto_json json_t *first = json_of(text);
        pthread_mutex_lock(&fake.lock);
        json_array_insert(fake.answers, 0, json_array_get(first, 0));
        pthread_mutex_unlock(&fake.lock);
        cloud_ahead_begin(cloud, 60000);
        assert_int_equal(nova_server(cloud, server_id, &none, NULL), -1);
        cloud_ahead_end(cloud);
        if (nova_server(cloud, server_id, &server, &err) < 0)
            fail_msg("%s: %s", bad[i], err.message);
        assert_true(json_equal(server, found));
        if (i + 1 < COUNT_OF(bad))
            end_cloud();
    }
}

static void why_an_action_failed(void **state)
{
    (void)state;
    begin_cloud("[]", 0);
    size_t i;
    json_t *answer;
    const char *request = NULL;
    json_array_foreach(fake.answers, i, answer) {
        const char *at = strstr(json_str(answer, "path", ""), "os-instance-actions/");
        request = at ? at + strlen("os-instance-actions/") : request;
    }
    assert_non_null(request);
    auto_json json_t *action = NULL;
    struct error err = {0};
    if (nova_action(cloud, server_id, request, &action, &err) < 0)
        fail_msg("%s", err.message);
    auto_free char *reason = nova_reason(action);
    assert_non_null(reason);
    assert_non_null(strstr(reason, "No valid host was found"));
    auto_json json_t *silent = json_pack("{s:[{s:s, s:s}]}", "events", "result", "Success", "details", "");
    assert_null(nova_reason(silent));
}

// What a newer Nova tells more of is left out where an older one does not; texts alone are taken.
static void what_was_done_to_a_server(void **state)
{
    (void)state;
    begin_cloud("[]", 0);
    auto_free char *text = xasprintf(
        "[{'path': '/8774/v2.1/servers/%s/os-instance-actions?limit=20', 'status': 200, 'body': "
        "{'instanceActions': [{'action': 'live-migration', 'request_id': 'req-2', 'start_time': "
        "'2026-11-24T03:44:59.000000', 'updated_at': '2026-11-24T03:45:09.000000', 'message': 'Error'}, "
        "{'action': 'create', 'request_id': 'req-1', 'start_time': 7}]}}]",
        server_id);
    auto_json json_t *first = json_of(text), *actions = NULL;
    pthread_mutex_lock(&fake.lock);
    json_array_insert(fake.answers, 0, json_array_get(first, 0));
    pthread_mutex_unlock(&fake.lock);
    struct error err = {0};
    if (nova_actions(cloud, server_id, &actions, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(json_array_size(actions), 2);
    const json_t *migration = json_array_get(actions, 0), *creation = json_array_get(actions, 1);
    assert_string_equal(json_str(migration, "action", ""), "live-migration");
    assert_string_equal(json_str(migration, "request_id", ""), "req-2");
    assert_string_equal(json_str(migration, "start", ""), "2026-11-24T03:44:59.000000");
    assert_string_equal(json_str(migration, "updated", ""), "2026-11-24T03:45:09.000000");
    assert_null(json_object_get(creation, "updated"));
    assert_string_equal(json_str(creation, "start", "none"), "");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_cloud)
    if (!getcwd(here, sizeof here))
        return 1;
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_configured),
        TEST(the_cloud_that_is_named),
        TEST(a_profile_lies_below),
        TEST(the_environment_alone),
        TEST(what_is_no_yaml_keeps_its_secrets),
        TEST(yaml_is_data),
        TEST(logs_in_by_password),
        TEST(a_wrong_password),
        TEST(a_server_by_name_and_id),
        TEST(two_of_one_name),
        TEST(a_token_that_expires),
        TEST(a_token_that_is_never_good),
        TEST(what_nova_refuses),
        TEST(an_old_nova),
        TEST(pages_instead_of_json),
        TEST(placement_tells_who_holds_what),
        TEST(neutron_tells_of_ports),
        TEST(asked_ahead),
        TEST(what_was_asked_ahead_grows_old),
        TEST(no_good_answer_ahead),
        TEST(why_an_action_failed),
        TEST(what_was_done_to_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
