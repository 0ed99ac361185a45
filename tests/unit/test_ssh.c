// SPDX-License-Identifier: MIT
// ssh's arguments, and which runs share a login. That logins work: tests/e2e/ssh.bats.
#include "world/ssh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// The spec of host a at a site.
static struct host_spec *spec_of(const char *text)
{
    auto_json json_t *json = json_loads(text, 0, NULL);
    struct site *site;
    struct host_spec *spec;
    assert_int_equal(site_from_json(json, "site.lua", NULL, &site, NULL), 0);
    assert_int_equal(site_host(site, "a", &spec, NULL), 0);
    site_free(site);
    return spec;
}

static bool holds(const struct words *w, const char *first, const char *second)
{
    for (size_t i = 0; i + 1 < w->n; i++)
        if (STREQ(w->v[i], first) && STREQ(w->v[i + 1], second))
            return true;
    return false;
}

static void test_a_connection_of_its_own(void **state)
{
    (void)state;
    struct host_spec *spec = spec_of("{\"ssh\": {\"user\": \"op\", \"options\": [\"-p\", \"2222\"]}}");
    auto_words struct words words = {0};
    ssh_words(&words, spec, NULL);
    assert_string_equal(words.v[0], "ssh");
    assert_null(words.v[words.n]);
    assert_true(holds(&words, "-S", "none") && holds(&words, "-o", "ControlMaster=no") &&
                holds(&words, "-o", "BatchMode=yes"));
    assert_true(holds(&words, "-p", "2222") && holds(&words, "-l", "op"));
    host_spec_free(spec);
}

static void test_what_is_forwarded(void **state)
{
    (void)state;
    static const struct {
        const char *site;
        bool forwards;
    } rows[] = {
        {"{}", true},
        {"{\"ssh\": {\"become\": \"sudo\"}}", false},
        {"{\"ssh\": {\"relay\": \"agent\"}}", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct host_spec *spec = spec_of(rows[i].site);
        auto_words struct words words = {0};
        words_add(&words, "ssh");
        ssh_forward_words(&words, spec, "/x/rw", "/x/ro");
        assert_int_equal(holds(&words, "-L", "/x/rw:/run/libvirt/libvirt-sock"), rows[i].forwards);
        assert_int_equal(holds(&words, "-L", "/x/ro:/run/libvirt/libvirt-sock-ro"), rows[i].forwards);
        host_spec_free(spec);
    }
}

static void test_the_remote_command(void **state)
{
    (void)state;
    struct host_spec *spec = spec_of("{\"ssh\": {\"become\": \"sudo\", \"agent\": \"/opt/agent\"}}");
    auto_free char *command = ssh_agent_command(spec, "--serve");
    assert_string_equal(command, "sudo -n '/opt/agent' --serve");
    auto_buf struct buf quoted = {0};
    ssh_quote(&quoted, "it's");
    assert_string_equal(quoted.data, "'it'\\''s'");
    host_spec_free(spec);
}

static void test_which_login(void **state)
{
    (void)state;
    static const char *const sites[] = {
        "{}",
        "{\"ssh\": {\"user\": \"op\"}}",
        "{\"ssh\": {\"options\": [\"-p\", \"2222\"]}}",
        "{\"hosts\": {\"a\": {\"address\": \"b\"}}}",
        "{\"libvirt\": {\"socket\": \"/run/libvirt/virtqemud-sock\"}}",
    };
    char names[COUNT_OF(sites)][65];
    for (size_t i = 0; i < COUNT_OF(sites); i++) {
        struct host_spec *spec = spec_of(sites[i]);
        ssh_login_name(spec, names[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
        host_spec_free(spec);
    }
    struct host_spec *spec = spec_of("{\"ssh\": {\"keep\": 0}}"),
                     *local = spec_of("{\"hosts\": {\"a\": {\"local\": true}}}");
    assert_null(ssh_login(spec));
    assert_null(ssh_login(local));
    host_spec_free(spec);
    host_spec_free(local);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_of_its_own),
        cmocka_unit_test(test_what_is_forwarded),
        cmocka_unit_test(test_the_remote_command),
        cmocka_unit_test(test_which_login),
    };
    return cmocka_run_group_tests_name("ssh", tests, NULL, NULL);
}
