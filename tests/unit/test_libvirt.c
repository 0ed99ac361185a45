// SPDX-License-Identifier: MIT
// A libvirt connection, against libvirt's own test driver.
#include "world/libvirt.h"

#include <libvirt/virterror.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct virt *connected(bool read_only)
{
    struct virt *virt;
    struct error err = {0};
    if (virt_start("test:///default", read_only, "compute-1", &virt, &err) < 0 ||
        virt_finish(virt, 0, &err) < 0)
        fail_msg("%s", err.message);
    return virt;
}

static void test_domain(void **state)
{
    (void)state;
    struct virt *virt = connected(true);
    auto_json json_t *by_name = NULL, *by_uuid = NULL, *none = NULL;
    struct error err = {0};
    assert_int_equal(virt_domain(virt, "test", &by_name, NULL), 0);
    assert_string_equal(json_str(by_name, "state", ""), "running");
    assert_int_equal(virt_domain(virt, json_str(by_name, "uuid", ""), &by_uuid, NULL), 0);
    assert_true(json_equal(by_name, by_uuid));
    assert_int_equal(virt_domain(virt, "no such", &none, &err), -1);
    assert_int_equal(err.domain, ERR_LIBVIRT);
    assert_int_equal(err.code, VIR_ERR_NO_DOMAIN);
    virt_close(virt);
}

static void test_xml(void **state)
{
    (void)state;
    struct virt *virt = connected(true);
    auto_json json_t *domain = NULL;
    auto_free char *xml = NULL;
    assert_int_equal(virt_domain(virt, "test", &domain, NULL), 0);
    assert_int_equal(virt_domain_xml(virt, json_str(domain, "uuid", ""), 0, &xml, NULL), 0);
    assert_non_null(strstr(xml, "<name>test</name>"));
    virt_close(virt);
}

// A read-only connection refuses what changes something: the preview's promise rests on libvirt here, not on
// us.
static void test_read_only(void **state)
{
    (void)state;
    struct virt *virt = connected(true);
    auto_json json_t *domain = NULL;
    struct error err = {0};
    assert_int_equal(virt_domain(virt, "test", &domain, NULL), 0);
    assert_int_equal(virt_set_autostart(virt, json_str(domain, "uuid", ""), true, &err), -1);
    assert_int_equal(err.code, VIR_ERR_OPERATION_DENIED);
    virt_close(virt);
}

static void test_no_connection(void **state)
{
    (void)state;
    struct virt *virt;
    struct error err = {0};
    assert_int_equal(
        virt_start("qemu+unix:///system?socket=/nonexistent/libvirt-sock", false, "compute-1", &virt, NULL),
        0);
    assert_int_equal(virt_finish(virt, 0, &err), -1);
    assert_int_equal(err.domain, ERR_LIBVIRT);
    assert_non_null(strstr(err.message, "compute-1"));
    virt_close(virt);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *params, *flags, *says;
    } rows[] = {
        {"{}", "[\"LIVE\", \"PEER2PEER\"]", NULL},
        {"{\"bandwidth\": 10, \"migrate_uri\": \"tcp://x\"}", "[\"LIVE\", \"PEER2PEER\", \"UNSAFE\"]", NULL},
        {"{}", "[\"LIVE\", \"PEER2PEER\", \"UNSAVE\"]", "did you mean 'UNSAFE'?"},
        {"{}", "[\"VIR_MIGRATE_LIVE\"]", "did you mean 'LIVE'?"},
        {"{\"bandwith\": 1}", "[\"PEER2PEER\"]", "did you mean 'bandwidth'?"},
        {"{\"bandwidth\": \"fast\"}", "[\"PEER2PEER\"]", "'bandwidth' is a whole number"},
        {"{}", "[\"LIVE\"]", "needs the flag PEER2PEER"},
        {"{}", "[\"PEER2PEER\", \"OFFLINE\"]", "OFFLINE moves a definition"},
        {"{\"bandwidth\": -5}", "[\"PEER2PEER\"]", "'bandwidth' is a whole number, 0 or more"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_json json_t *params = json_loads(rows[i].params, 0, NULL),
                         *flags = json_loads(rows[i].flags, 0, NULL);
        struct error err = {0};
        assert_int_equal(virt_migrate_check(params, flags, &err), rows[i].says ? -1 : 0);
        if (rows[i].says && !strstr(err.message, rows[i].says))
            fail_msg("%s", err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domain),        cmocka_unit_test(test_xml),   cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_no_connection), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("libvirt", tests, NULL, NULL);
}
