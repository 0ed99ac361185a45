// SPDX-License-Identifier: MIT
// The site file's values: checked whole, defaults filled in, each mistake one sentence.
#include "world/site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct site *site_of(const char *text)
{
    auto_json json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    struct site *site = NULL;
    struct error err = {0};
    if (site_from_json(json, "site.lua", NULL, &site, &err) < 0)
        fail_msg("%s", err.message);
    return site;
}

static void test_defaults(void **state)
{
    (void)state;
    struct site *site;
    assert_int_equal(site_from_json(NULL, NULL, NULL, &site, NULL), 0);
    assert_int_equal(json_array_size(site_host_names(site)), 0);
    struct host_spec *spec;
    assert_int_equal(site_host(site, "compute-1", &spec, NULL), 0);
    assert_string_equal(spec->address, "compute-1");
    assert_string_equal(spec->agent, "migrun-agent");
    assert_null(spec->become);
    assert_int_equal(spec->keep, 60);
    assert_false(spec->local);
    assert_string_equal(json_str(spec->settings, "instances", ""), "/var/lib/nova/instances");
    host_spec_free(spec);
    site_free(site);
}

static void test_a_host_of_its_own(void **state)
{
    (void)state;
    struct site *site = site_of("{\"hosts\": {\"1\": \"a\", \"b\": {\"address\": \"10.0.0.2\", \"become\": "
                                "\"sudo\", \"instances\": \"/srv\"}},"
                                "\"ssh\": {\"user\": \"op\", \"options\": [\"-p\", \"22\"], \"keep\": 0}}");
    struct host_spec *spec;
    assert_string_equal(json_string_value(json_array_get(site_host_names(site), 0)), "a");
    assert_string_equal(json_string_value(json_array_get(site_host_names(site), 1)), "b");
    assert_int_equal(site_host(site, "b", &spec, NULL), 0);
    assert_string_equal(spec->address, "10.0.0.2");
    assert_string_equal(spec->user, "op");
    assert_string_equal(spec->become, "sudo");
    assert_int_equal(json_array_size(spec->ssh_options), 2);
    assert_int_equal(spec->keep, 0);
    assert_string_equal(json_str(spec->settings, "instances", ""), "/srv");
    host_spec_free(spec);
    site_free(site);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"hosst\": []}", "site.lua: unknown key 'hosst'; did you mean 'hosts'?"},
        {"{\"hosts\": 3}", "site.lua: hosts should be a table of host names, but is 3"},
        {"{\"hosts\": [\"a b\"]}", "'a b' is not a host's name"},
        {"{\"hosts\": [\"-oProxyCommand=x\"]}", "is not a host's name"},
        {"{\"hosts\": {\"a\": {\"adress\": \"b\"}}}",
         "unknown key 'adress' of hosts.a; did you mean 'address'?"},
        {"{\"ssh\": {\"agent\": \"a; reboot\"}}", "ssh.agent should be the name or path of a program"},
        {"{\"ssh\": {\"keep\": -1}}", "ssh.keep should be a whole number of seconds, 0 to 3600, but is -1"},
        {"{\"hosts\": {\"a\": {\"keep\": \"60\"}}}",
         "hosts.a.keep should be a whole number of seconds, 0 to 3600, but is '60'"},
        {"{\"libvirt\": {\"uri\": \"qemu+tcp://%s/%s\"}}", "libvirt.uri should be a libvirt URI with one %s"},
        {"{\"instances\": \"relative\"}", "instances should be an absolute path, but is 'relative'"},
        {"{\"libvirt\": {\"uri\": \"qemu+tls://compute-2/system\"}}",
         "libvirt.uri should be a libvirt URI with one %s for the host"},
        {"{\"libvirt\": {\"migrate_uri\": \"tcp://compute-2\"}}",
         "libvirt.migrate_uri should be a migration URI with one %s for the host"},
        {"{\"libvirt\": {\"uri\": \"qemu+ttls://%s/system\"}}",
         "(transports: tls, tcp, ssh, libssh, libssh2, ext, unix), but is 'qemu+ttls://%s/system'"},
        {"{\"hosts\": {\"a\": {\"libvirt\": {\"uri\": \"qemu+t://a/system\"}}}}",
         "hosts.a.libvirt.uri should be a libvirt URI with at most one %s"},
        {"{\"network\": {\"probes\": 1}}", "unknown key 'probes' of network; did you mean 'probe'?"},
        {"{\"network\": {\"within\": 0}}", "network.within should be a whole number of seconds, 1 to 60"},
        {"{\"network\": {\"announce\": -1}}", "network.announce should be a whole number, 0 to 100"},
        {"{\"network\": {\"probe\": \"ping\"}}",
         "network.probe should be { ping = true }, { tcp = PORT } or { session = PORT }"},
        {"{\"network\": {\"probe\": {}}}", "network.probe should be { ping = true }"},
        {"{\"network\": {\"probe\": {\"ping\": true, \"tcp\": 22}}}", "network.probe should be"},
        {"{\"network\": {\"probe\": {\"ping\": false}}}", "network.probe should be"},
        {"{\"network\": {\"probe\": {\"tcp\": 65536}}}", "network.probe should be"},
        {"{\"network\": {\"probe\": {\"tcp\": 22, \"from\": \"compute-1\"}}}", "network.probe should be"},
        {"{\"network\": {\"probe\": {\"tcp\": 22, \"address\": \"%s.%s\"}}}", "network.probe should be"},
        {"{\"network\": {\"probe\": {\"tcp\": 22, \"prot\": 1}}}", "network.probe should be"},
        {"{\"services\": {\"libvirtd\": {\"restrat\": [\"x\"]}}}", "did you mean 'restart'?"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_json json_t *json = json_loads(rows[i][0], 0, NULL);
        struct site *site = NULL;
        struct error err = {0};
        assert_int_equal(site_from_json(json, "site.lua", NULL, &site, &err), -1);
        assert_int_equal(err.domain, ERR_SITE);
        if (!strstr(err.message, rows[i][1]))
            fail_msg("%s: %s", rows[i][0], err.message);
    }
}

// What a site says of the guests' network is taken, with the defaults of what it does not say.
static void test_network(void **state)
{
    (void)state;
    struct site *site = site_of("{\"network\": {\"probe\": {\"session\": 7, \"address\": "
                                "\"%s.example.org\", \"from\": \"here\"}, \"announce\": 5}}");
    const json_t *network = json_object_get(site->json, "network");
    assert_int_equal(json_int(json_object_get(network, "probe"), "session", 0), 7);
    assert_int_equal(json_int(network, "announce", 0), 5);
    assert_int_equal(json_int(network, "within", 0), 10);
    site_free(site);
}

// A host of its own may name itself in its URI.
static void test_a_uri_of_one_host(void **state)
{
    (void)state;
    struct site *site = site_of(
        "{\"hosts\": {\"a\": {\"libvirt\": {\"uri\": \"qemu+ssh://a.example.org/system\"}}}}");
    site_free(site);
}

// The line of a mistake, where the file has the word only once.
static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text, *says;
    } rows[] = {
        {"{\"ssh\": {\"usr\": \"x\"}}", "return {\n  ssh = { usr = \"x\" },\n}\n",
         "site.lua:2: unknown key 'usr' of ssh; did you mean 'user'?"},
        {"{\"ssh\": {\"keep\": -1}}", "-- keep\nreturn {\n  keeper = 1,\n  ssh = { keep = -1 } }",
         "site.lua:4: ssh.keep should be a whole number of seconds, 0 to 3600, but is -1"},
        {"{\"hosts\": {\"a\": {\"keep\": -1}}}",
         "return { ssh = { keep = 1 },\n hosts = { a = { keep = -1 } } }",
         "site.lua: hosts.a.keep should be a whole number"},
        {"{\"ssh\": {\"keep\": -1}}", "", "site.lua: ssh.keep should be a whole number"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_json json_t *json = json_loads(rows[i].json, 0, NULL);
        struct site *site = NULL;
        struct error err = {0};
        assert_int_equal(site_from_json(json, "site.lua", rows[i].text, &site, &err), -1);
        if (strncmp(err.message, rows[i].says, strlen(rows[i].says)) != 0)
            fail_msg("%zu: %s", i, err.message);
    }
}

static void test_bad_host_names(void **state)
{
    (void)state;
    struct site *site = site_of("{}");
    static const char *const names[] = {
        "-oProxyCommand=reboot", "a b", "a/b", "..", "", "a\nb", "$(reboot)", "a;b", "root@a", "[fd00::12]"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct host_spec *spec = NULL;
        struct error err = {0};
        assert_int_equal(site_host(site, names[i], &spec, &err), -1);
        assert_int_equal(err.domain, ERR_USAGE);
    }
    site_free(site);
}

static void test_an_ipv6_address_is_a_name(void **state)
{
    (void)state;
    struct site *site = site_of("{\"hosts\": [\"fd00::12\", \"fe80::12%eth0\"]}");
    struct host_spec *spec = NULL;
    struct error err;
    assert_int_equal(site_host(site, "fd00::12", &spec, &err), 0);
    assert_string_equal(spec->address, "fd00::12"); // as ssh takes it
    host_spec_free(spec);
    site_free(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_a_host_of_its_own),
        cmocka_unit_test(test_mistakes),       cmocka_unit_test(test_a_uri_of_one_host),
        cmocka_unit_test(test_network),        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bad_host_names), cmocka_unit_test(test_an_ipv6_address_is_a_name),
    };
    return cmocka_run_group_tests_name("site", tests, NULL, NULL);
}
