// SPDX-License-Identifier: MIT
// ssh's arguments, and which runs share a login. That logins work: tests/e2e/ssh.bats.
#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"
#include "world/ssh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    ssh_words(&words, spec, NULL, false);
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
    struct host_spec *spec = spec_of("{}");
    auto_words struct words words = {0};
    ssh_forward_words(&words, spec, "/x/control", "/x/rw", "/x/ro");
    assert_true(holds(&words, "-S", "/x/control") && holds(&words, "-O", "forward"));
    assert_true(holds(&words, "-L", "/x/rw:/run/libvirt/libvirt-sock"));
    assert_true(holds(&words, "-L", "/x/ro:/run/libvirt/libvirt-sock-ro"));
    host_spec_free(spec);
}

// ---- a user's configuration that opens doors ----

static const char open_doors[] = "Host *\n"
                                 "  ForwardAgent yes\n"
                                 "  ForwardX11 yes\n"
                                 "  PermitLocalCommand yes\n"
                                 "  LocalCommand touch /tmp/migrun-test-local\n"
                                 "  RemoteCommand id\n"
                                 "  RequestTTY force\n"
                                 "  LocalForward 127.0.0.1:2222 127.0.0.1:22\n"
                                 "  RemoteForward 2223 127.0.0.1:22\n"
                                 "  DynamicForward 1080\n"
                                 "  Tunnel point-to-point\n"
                                 "  UpdateHostKeys yes\n"
                                 "  ControlMaster auto\n"
                                 "  ControlPersist 600\n";

// What ssh itself makes of the words: its options, a line each.
static char *options_of(struct words *words, const char *config)
{
    auto_words struct words all = {0};
    words_add(&all, words->v[0]);
    words_add(&all, "-F");
    words_add(&all, config);
    words_add(&all, "-G");
    for (size_t i = 1; i < words->n; i++)
        words_add(&all, words->v[i]);
    struct process_result result;
    struct error err = {0};
    if (process_run(&(struct process_request){.argv = (const char *const *)all.v,
                                              .deadline = deadline_in(60000),
                                              .watch_fd = -1},
                    &result, &err) < 0 ||
        result.status != 0)
        fail_msg("ssh -G: %s%s", err.message, result.err.data ? result.err.data : "");
    char *text = xasprintf("\n%s", result.out.data ? result.out.data : "");
    process_result_free(&result);
    return text;
}

static void test_doors_stay_shut(void **state)
{
    (void)state;
    static const char *const shut[] = {
        "forwardagent no", "forwardx11 no", "permitlocalcommand no", "requesttty false",
        "tunnel false",    "batchmode yes", "updatehostkeys false",  "clearallforwardings yes",
    };
    static const char *const absent[] = {"\nlocalforward ", "\nremoteforward ", "\ndynamicforward ",
                                         "\nremotecommand id"};
    char config[] = "/tmp/migrun-test-XXXXXX";
    auto_fd int fd = mkstemp(config);
    assert_true(fd >= 0 && write_all(fd, open_doors, strlen(open_doors)) == 0);
    struct host_spec *spec = spec_of("{}");
    struct login login = {.control = "/x/control"};
    struct words words[3] = {0};
    ssh_words(&words[0], spec, NULL, false);
    ssh_words(&words[1], spec, "/x/control", true);
    ssh_login_words(&words[2], spec, &login);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (i < 2) {
            words_add(&words[i], "--");
            words_add(&words[i], "a");
            words_add(&words[i], "agent");
        }
        auto_free char *options = options_of(&words[i], config);
        for (size_t k = 0; k < COUNT_OF(shut); k++) {
            auto_free char *line = xasprintf("\n%s\n", shut[k]);
            if (!strstr(options, line))
                fail_msg("not '%s' but:%s", shut[k], options);
        }
        for (size_t k = 0; k < COUNT_OF(absent); k++)
            if (strstr(options, absent[k]))
                fail_msg("'%s' is there:%s", absent[k] + 1, options);
        assert_int_equal(strstr(options, "\ncontrolpersist no\n") != NULL, i < 2);
        words_free(&words[i]);
    }
    unlink(config);
    host_spec_free(spec);
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
        cmocka_unit_test(test_doors_stay_shut),
        cmocka_unit_test(test_the_remote_command),
        cmocka_unit_test(test_which_login),
    };
    return cmocka_run_group_tests_name("ssh", tests, NULL, NULL);
}
