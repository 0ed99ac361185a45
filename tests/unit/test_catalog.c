// SPDX-License-Identifier: MIT
// Where a service is: the catalog's interface and region, what overrides it, and which versions are spoken
// there.
#include "cloud_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// Each service has a path for each interface and region: /compute/internal/Two. Neutron is in one region
// alone, and one entry names its region in the old way, its interface too.
static const char catalog[] =
    "[{'type': 'compute', 'endpoints': ["
    "  {'interface': 'admin', 'region_id': 'One', 'url': 'FAKE/compute/admin/One/v2.1'}, {'interface': "
    "'internal', 'region_id': 'One', 'url': 'FAKE/compute/internal/One/v2.1'},"
    "  {'interface': 'public', 'region_id': 'One', 'url': 'FAKE/compute/public/One/v2.1/'}, {'interface': "
    "'internal', 'region_id': 'Two', 'url': 'FAKE/compute/internal/Two/v2.1'},"
    "  {'interface': 'public', 'region_id': 'Two', 'url': 'FAKE/compute/public/Two/v2.1'}]},"
    " {'type': 'network', 'endpoints': [{'interface': 'public', 'region': 'One', 'url': "
    "'FAKE/network/public/One'}, {'interface': 'internalURL', 'region': 'One', "
    "  'url': 'FAKE/network/internal/One/v2.0'}]},"
    " {'type': 'placement', 'endpoints': []}]";

static void open_cloud(const char *endpoints, const char *first, const char *more)
{
    end_cloud();
    auto_free char *answers = xasprintf(
        "[%s {'path': '/v3/auth/tokens', 'status': 201, 'headers': {'X-Subject-Token': 'TOKEN'}, 'body': "
        "{'token': {'project': {'id': 'PROJECT'}, "
        "'catalog': %s}}}, {'method': 'GET', 'status': 200, 'body': {'version': {'id': 'v2.1', 'version': "
        "'2.93'}}}]",
        first, endpoints);
    fake_cloud_start(json_of(answers));
    auto_free char *yaml = xasprintf(
                       "clouds: {c: {auth: {auth_url: 'FAKE/v3', user_id: i, password: hunter2}%s}}", more),
                   *whole = with_url(yaml);
    struct error err = {0};
    put("clouds.yaml", whole);
    if (cloud_open(&cloud, &err) < 0)
        fail_msg("%s", err.message);
}

static int ask(const char *service, struct error *err)
{
    const struct cloud_request request = {
        .service = service, .method = "GET", .path = "/thing", .what = "asking"};
    *err = (struct error){0};
    return cloud_send(cloud, &request, NULL, NULL, err);
}

static void is_asked_at(const char *service, const char *path)
{
    struct error err;
    if (ask(service, &err) < 0)
        fail_msg("%s: %s", service, err.message);
    assert_string_equal(json_str(fake_http_asked(&fake, json_array_size(fake.asked) - 1), "path", ""), path);
}

static void is_not_found(const char *service, enum error_domain domain, const char *says)
{
    struct error err;
    assert_int_equal(ask(service, &err), -1);
    if (!strstr(err.message, says))
        fail_msg("does not say '%s': %s", says, err.message);
    assert_int_equal(err.domain, domain);
}

// ---- the catalog ----

static void the_interface_and_the_region(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"", "compute", "/compute/public/One/v2.1/thing"},
        {", interface: internal", "compute", "/compute/internal/One/v2.1/thing"},
        {", interface: adminURL", "compute", "/compute/admin/One/v2.1/thing"},
        {", endpoint_type: internalURL", "compute", "/compute/internal/One/v2.1/thing"},
        {", interface: ''", "compute", "/compute/public/One/v2.1/thing"},
        {", interface: ~", "compute", "/compute/public/One/v2.1/thing"},
        {", region_name: Two", "compute", "/compute/public/Two/v2.1/thing"},
        {", region_name: Two, interface: internal", "compute", "/compute/internal/Two/v2.1/thing"},
        {", region_name: One, compute_region_name: Two", "compute", "/compute/public/Two/v2.1/thing"},
        {", region_name: One, compute_region_name: Two", "network", "/network/public/One/v2.0/thing"},
        {", interface: internal", "network", "/network/internal/One/v2.0/thing"},
        {", interface: admin, network_interface: public", "network", "/network/public/One/v2.0/thing"},
        {", interface: admin, network_interface: public", "compute", "/compute/admin/One/v2.1/thing"},
        {", compute_endpoint_type: internalURL", "compute", "/compute/internal/One/v2.1/thing"},
        {", regions: [{name: Two, values: {interface: internal}}, One]", "compute",
         "/compute/internal/Two/v2.1/thing"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        open_cloud(catalog, "", rows[i][0]);
        is_asked_at(rows[i][1], rows[i][2]);
    }
}

static void the_environment_chooses_the_region(void **state)
{
    (void)state;
    setenv("OS_REGION_NAME", "Two", 1);
    open_cloud(catalog, "", ", region_name: One");
    is_asked_at("compute", "/compute/public/Two/v2.1/thing");
}

static void what_is_not_in_the_catalog(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {", region_name: Three", "compute",
         "the catalog of cloud 'c' has no endpoint of Nova (compute, interface public, region Three); it has "
         "admin in One, internal in One, "
         "public in One, internal in Two, public in Two"},
        {", region_name: Two, interface: admin", "compute",
         "has no endpoint of Nova (compute, interface admin, region Two); it has"},
        {", interface: publi", "compute", "has no endpoint of Nova (compute, interface publi); it has"},
        {", interface: admin", "network",
         "has no endpoint of Neutron (network, interface admin); it has public in One, internalURL in One"},
        {"", "placement",
         "the catalog of cloud 'c' has no endpoint of Placement (placement, interface public)"},
        {"", "identity", "the catalog of cloud 'c' has no endpoint of Keystone (identity, interface public)"},
        {"", "volumev3", "the catalog of cloud 'c' has no endpoint of volumev3 (volumev3, interface public)"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        open_cloud(catalog, "", rows[i][0]);
        is_not_found(rows[i][1], ERR_USAGE, rows[i][2]);
        assert_int_equal(json_array_size(fake.asked), 1); // Keystone alone
    }
}

static void a_catalog_of_nothing(void **state)
{
    (void)state;
    static const char *const catalogs[] = {"[]", "null", "'x'", "{}"};
    for (size_t i = 0; i < COUNT_OF(catalogs); i++) {
        open_cloud(catalogs[i], "", "");
        is_not_found("compute", ERR_USAGE,
                     "cloud 'c' (./clouds.yaml) names no project (or its user has no role there), so "
                     "Keystone lists no service");
    }
}

static void a_catalog_of_nonsense(void **state)
{
    (void)state;
    static const char *const catalogs[] = {
        "[1, null, 'x', []]",
        "[{'type': 'compute'}]",
        "[{'type': 'compute', 'endpoints': {'interface': 'public'}}]",
        "[{'type': 'compute', 'endpoints': [null, 1, {}]}]",
        "[{'type': ['compute'], 'endpoints': [{'interface': 'public', 'url': 'FAKE'}]}]",
        "[{'type': 'compute', 'endpoints': [{'interface': 'public', 'url': null}]}]",
        "[{'type': 'compute', 'endpoints': [{'interface': 1, 'url': 'FAKE'}]}]",
    };
    for (size_t i = 0; i < COUNT_OF(catalogs); i++) {
        open_cloud(catalogs[i], "", "");
        is_not_found("compute", ERR_USAGE, "has no endpoint of Nova (compute, interface public)");
    }
    open_cloud("[{'type': 'compute', 'endpoints': [{'interface': 'public', 'url': ''}]}]", "", "");
    is_not_found("compute", ERR_OPENSTACK, "is not the URL of a service");
    // The project's id and nothing else: there is no '/' before it to cut the URL at.
    open_cloud("[{'type': 'compute', 'endpoints': [{'interface': 'public', 'url': 'PROJECT'}]}]", "", "");
    is_not_found("compute", ERR_OPENSTACK, "");
}

static void what_overrides_the_catalog(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {", compute_endpoint_override: 'FAKE/mine/v2.1'", "compute", "/mine/v2.1/thing"},
        {", compute_endpoint: 'FAKE/mine/v2.1/'", "compute", "/mine/v2.1/thing"},
        {", compute_endpoint_override: 'FAKE/mine/v2.1', region_name: Nowhere, interface: nonsense",
         "compute", "/mine/v2.1/thing"},
        {", compute_endpoint_override: 'FAKE/mine/v2.1'", "network", "/network/public/One/v2.0/thing"},
        {", network_endpoint_override: 'FAKE/mine'", "network", "/mine/v2.0/thing"},
        {", identity_endpoint_override: 'FAKE/v3'", "identity", "/v3/thing"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        open_cloud(catalog, "", rows[i][0]);
        is_asked_at(rows[i][1], rows[i][2]);
    }
    open_cloud("[]", "",
               ", compute_endpoint_override: 'FAKE/mine/v2.1'"); // without a project there is no catalog
    is_asked_at("compute", "/mine/v2.1/thing");
}

// ---- versions ----

static const char both[] =
    "{'versions': [{'id': 'v2.0', 'version': ''}, {'id': 'v2.1', 'version': '2.90', 'min_version': '2.1'}]}";

static void serve_at(const char *service, const char *url, const char *first)
{
    auto_free char *endpoints = xasprintf(
        "[{'type': '%s', 'endpoints': [{'interface': 'public', 'url': '%s'}]}]", service, url);
    open_cloud(endpoints, first, "");
}

static void versions_of_an_endpoint(void **state)
{
    (void)state;
    static const struct {
        const char *service, *url, *asked, *document;
        int newest;
        const char *thing;
    } rows[] = {
        {"compute", "FAKE/c/v2.1", "/c/v2.1/", "{'version': {'id': 'v2.1', 'version': '2.93'}}", 93,
         "/c/v2.1/thing"},
        {"compute", "FAKE/c/v2.1/PROJECT", "/c/v2.1/", "{'version': {'id': 'v2.1', 'version': '2.1'}}", 1,
         "/c/v2.1/thing"},
        {"compute", "FAKE/c", "/c/", both, 90, "/c/v2.1/thing"},
        {"compute", "FAKE", "/", both, 90, "/v2.1/thing"},
        {"compute", "FAKE/c/v2.1", "/c/v2.1/", "{'version': {'id': 'v2.1'}}", 0, "/c/v2.1/thing"},
        {"compute", "FAKE/c/v2.1", "/c/v2.1/", "{'version': {'id': 'v2.1', 'version': 2.93}}", 0,
         "/c/v2.1/thing"},
        {"placement", "FAKE/p", "/p/",
         "{'versions': [{'id': 'v1.0', 'max_version': '1.39', 'min_version': '1.0'}]}", 39, "/p/thing"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int newest = -1;
        struct error err = {0};
        auto_free char *first = xasprintf("{'path': '%s', 'status': 200, 'body': %s},", rows[i].asked,
                                          rows[i].document);
        serve_at(rows[i].service, rows[i].url, first);
        if (cloud_newest(cloud, rows[i].service, &newest, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(newest, rows[i].newest);
        is_asked_at(rows[i].service, rows[i].thing);
        assert_int_equal(asked_for(rows[i].asked), 1); // once for all
    }
}

static void an_endpoint_that_is_no_such_service(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *says;
        int code;
    } rows[] = {
        {"'status': 200, 'body': {'versions': [{'id': 'v2.0'}]}",
         "is not a Nova that migrun knows: it does not offer version 2.1 (HTTP 200)", 200},
        {"'status': 200, 'headers': {'x-openstack-request-id': 'req-1'}, 'body': '<html>hello</html>'",
         "is not a Nova that migrun knows: it does not offer version 2.1 (HTTP 200, req-1)", 200},
        {"'status': 200, 'body': ''", "is not a Nova that migrun knows", 200},
        {"'status': 200, 'body': [1]", "is not a Nova that migrun knows", 200},
        {"'status': 404, 'body': '404 page not found'",
         "answered telling its versions with a page instead of JSON: 404 page not found (HTTP 404)", 404},
        {"'status': 403, 'body': {'forbidden': {'message': 'No.'}}",
         "Nova refuses telling its versions: No (HTTP 403)", 403},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int newest;
        struct error err = {0};
        auto_free char *first = xasprintf("{'path': '/c/v2.1/', %s},", rows[i].answer);
        serve_at("compute", "FAKE/c/v2.1", first);
        assert_int_equal(cloud_newest(cloud, "compute", &newest, &err), -1);
        if (!strstr(err.message, rows[i].says))
            fail_msg("does not say '%s': %s", rows[i].says, err.message);
        assert_int_equal(err.code, rows[i].code);
    }
}

// Each service is told the microversion in its own words; none, where none is needed.
static void the_microversion_that_is_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *service;
        int minor;
        const char *header, *old;
    } rows[] = {
        {"compute", 23, "compute 2.23", "2.23"},
        {"compute", 0, "", ""},
        {"placement", 10, "placement 1.10", ""},
        {"network", 5, "", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err = {0};
        const struct cloud_request request = {.service = rows[i].service,
                                              .method = "GET",
                                              .path = "/thing",
                                              .what = "asking",
                                              .minor = rows[i].minor};
        auto_free char *endpoint = xasprintf("FAKE/%s", rows[i].service);
        serve_at(rows[i].service, endpoint,
                 "{'path': '/placement/', 'status': 200, 'body': {'versions': [{'id': 'v1.0', 'max_version': "
                 "'1.39'}]}},");
        if (cloud_send(cloud, &request, NULL, NULL, &err) < 0)
            fail_msg("%s", err.message);
        const json_t *headers = json_object_get(fake_http_asked(&fake, json_array_size(fake.asked) - 1),
                                                "headers");
        assert_string_equal(json_str(headers, "openstack-api-version", ""), rows[i].header);
        assert_string_equal(json_str(headers, "x-openstack-nova-api-version", ""), rows[i].old);
        assert_string_equal(json_str(headers, "x-auth-token", ""), "TOKEN");
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_cloud)
    const struct CMUnitTest tests[] = {
        TEST(the_interface_and_the_region),
        TEST(the_environment_chooses_the_region),
        TEST(what_is_not_in_the_catalog),
        TEST(a_catalog_of_nothing),
        TEST(a_catalog_of_nonsense),
        TEST(what_overrides_the_catalog),
        TEST(versions_of_an_endpoint),
        TEST(an_endpoint_that_is_no_such_service),
        TEST(the_microversion_that_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
