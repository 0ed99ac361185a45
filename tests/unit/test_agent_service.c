// SPDX-License-Identifier: MIT
// Services: the states that systemctl tells, its actions, and how long they may take. The systemctl is a
// script in PATH that answers from files.
#include "base/clock.h"
#include "base/io.h"
#include "world/agent/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "old_kernel.h"
#include "remove_all.h"

static char *folder;

static void put(const char *name, const char *text, mode_t mode)
{
    auto_free char *path = xasprintf("%s/%s", folder, name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

// What systemctl was called with, one line a call. Caller frees.
static char *calls(void)
{
    auto_free char *path = xasprintf("%s/calls", folder);
    char *text = NULL;
    size_t len;
    return read_whole_file(path, 1 << 20, &text, &len) == 0 ? text : xstrdup("");
}

static char *path_before;

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    folder = xstrdup(name);
    path_before = xstrdup(getenv("PATH"));
    auto_free char *path = xasprintf("%s:%s", folder, path_before);
    auto_free char *script = xasprintf("#!/bin/sh\ncd %s; echo \"$@\" >>calls\n"
                                       "case $1 in show) cat show ;; *) . ./act ;; esac\n",
                                       folder);
    setenv("PATH", path, 1);
    put("systemctl", script, 0755);
    put("act", "true\n", 0644);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    setenv("PATH", path_before, 1);
    remove_all(folder);
    free(path_before);
    free(folder);
    return 0;
}

static int serve_by(bool read_only, json_t *request, json_t **result, struct error *err)
{
    struct agent agent = {.stdin_fd = -1, .read_only = read_only};
    auto_json json_t *args = request;
    *result = NULL;
    *err = (struct error){0};
    return op_find("service")->serve(&agent, args, NULL, 0, result, NULL, err);
}

static int serve(json_t *request, json_t **result, struct error *err)
{
    return serve_by(false, request, result, err);
}

static void is(const char *load, const char *active, const char *sub, int pid)
{
    auto_free char *text = xasprintf("LoadState=%s\nActiveState=%s\nSubState=%s\nMainPID=%d\n", load, active,
                                     sub, pid);
    put("show", text, 0644);
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

// ---- states ----

// A unit on its way is neither there nor away: who stops it, or undoes its start, must not take it for done.
static void states_of_a_unit(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"active", "active"},        {"reloading", "active"},    {"refreshing", "active"},
        {"inactive", "inactive"},    {"failed", "failed"},       {"activating", "unknown"},
        {"deactivating", "unknown"}, {"maintenance", "unknown"}, {"something-new", "unknown"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_json json_t *result = NULL;
        struct error err;
        is("loaded", rows[i][0], "sub", 7);
        assert_int_equal(serve(json_pack("{s:s, s:s}", "action", "state", "unit", "d"), &result, &err), 0);
        assert_string_equal(json_str(result, "state", ""), rows[i][1]);
        assert_string_equal(json_str(result, "sub", ""), "sub");
        assert_int_equal(json_int(result, "pid", 0), 7);
        assert_string_equal(json_str(result, "word", rows[i][0]), rows[i][0]);
        assert_int_equal(json_object_get(result, "word") != NULL, STREQ(rows[i][1], "unknown"));
    }
}

static void a_unit_that_is_not_there(void **state)
{
    (void)state;
    static const char *const actions[] = {"state", "start", "stop", "restart", "wait"};
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        auto_json json_t *result = NULL;
        struct error err;
        is("not-found", "inactive", "dead", 0);
        assert_int_equal(serve(json_pack("{s:s, s:s}", "action", actions[i], "unit", "d"), &result, &err),
                         -1);
        assert_int_equal(err.domain, ERR_SYSTEM);
        assert_int_equal(err.code, ENOENT);
        says(err.message, "there is no unit d");
    }
}

// The sentence has systemd's own word.
static void a_wait_that_is_too_long(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    is("loaded", "activating", "start-pre", 0);
    assert_int_equal(
        serve(json_pack("{s:s, s:s, s:i}", "action", "wait", "unit", "d", "timeout", 1), &result, &err), -1);
    assert_int_equal(err.domain, ERR_TIMEOUT);
    says(err.message, "d is activating (start-pre)");
}

static void a_wait_for_what_has_failed(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    is("loaded", "failed", "failed", 0);
    assert_int_equal(serve(json_pack("{s:s, s:s}", "action", "wait", "unit", "d"), &result, &err), -1);
    assert_int_equal(err.domain, ERR_COMMAND);
    says(err.message, "systemctl status d says why");
}

// What the unit says of how long its start and its stop may take, in milliseconds.
static void limits_of_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *start, *stop;
        int64_t start_ms, stop_ms;
    } rows[] = {
        {"1min 30s", "2min 40s", 90000, 160000},
        {"500ms", "1h 5min", 500, 3900000},
        {"infinity", "5s", 600000, 5000},
        {"", "nonsense", -1, -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_json json_t *result = NULL;
        struct error err;
        auto_free char *text = xasprintf("LoadState=loaded\nActiveState=active\nTimeoutStartUSec=%s\n"
                                         "TimeoutStopUSec=%s\n",
                                         rows[i].start, rows[i].stop);
        put("show", text, 0644);
        assert_int_equal(serve(json_pack("{s:s, s:s}", "action", "state", "unit", "d"), &result, &err), 0);
        assert_int_equal(json_int(result, "start_timeout", -1), rows[i].start_ms);
        assert_int_equal(json_int(result, "stop_timeout", -1), rows[i].stop_ms);
    }
}

// ---- actions ----

static void an_action_tells_the_state_after_it(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    is("loaded", "active", "running", 7);
    put("act", "printf 'LoadState=loaded\\nActiveState=inactive\\nSubState=dead\\nMainPID=0\\n' >show\n",
        0644);
    assert_int_equal(serve(json_pack("{s:s, s:s}", "action", "stop", "unit", "d"), &result, &err), 0);
    assert_string_equal(json_str(result, "state", ""), "inactive");
    auto_free char *called = calls();
    says(called, "stop -- d\n");
}

static void an_action_that_fails(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    is("loaded", "inactive", "dead", 0);
    put("act", "echo 'Job for d failed.' >&2; exit 5\n", 0644);
    assert_int_equal(serve(json_pack("{s:s, s:s}", "action", "start", "unit", "d"), &result, &err), -1);
    assert_int_equal(err.domain, ERR_COMMAND);
    assert_int_equal(err.code, 5);
    says(err.message, "Job for d failed.");
}

// ---- what only tells a state changes nothing ----

static json_t *asked(const char *script, bool sockets, bool unlocked)
{
    return json_pack("{s:s, s:s, s:[s,s,s], s:b, s:b}", "action", "state", "unit", "d", "command", "sh", "-c",
                     script, "sockets", sockets, "unlocked", unlocked);
}

// Through a socket of this host it could do anything: only where the site says that it needs one.
static void a_state_command_only_reads(void **state)
{
    (void)state;
    auto_free char *made = xasprintf("%s/made", folder), *make = xasprintf("echo x >%s", made);
    static const char pair[] = "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) or exit 1'";
    for (int read_only = 0; read_only < 2; read_only++) {
        struct error err;
        const struct {
            const char *script, *state;
            bool sockets;
        } rows[] = {{make, "inactive", false},
                    {"test -r /etc/passwd", "active", false},
                    {pair, "inactive", false},
                    {pair, "active", true}};
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            auto_json json_t *result = NULL;
            assert_int_equal(
                serve_by(read_only, asked(rows[i].script, rows[i].sockets, false), &result, &err), 0);
            if (!STREQ(json_str(result, "state", ""), rows[i].state))
                fail_msg("%s: %s", rows[i].script, json_str(result, "state", ""));
            assert_null(json_object_get(result, "unlocked"));
        }
        assert_int_equal(access(made, F_OK), -1);
    }
}

static void systemctl_of_a_reading_agent_only_reads(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    is("loaded", "active", "running", 7);
    assert_int_equal(serve_by(true, json_pack("{s:s, s:s}", "action", "state", "unit", "d"), &result, &err),
                     0);
    assert_string_equal(json_str(result, "state", ""), "active");
    auto_free char *text = calls(); // which the script could not write
    assert_string_equal(text, "");
}

// Runs in a process of its own.
static int ask_where_nothing_is_enforced(const char *script, const char *made)
{
    static const int lacks[] = {SYS_seccomp};
    auto_json json_t *result = NULL;
    struct error err;
    refuse_calls(lacks, COUNT_OF(lacks));
    if (serve(asked(script, false, false), &result, &err) == 0)
        return 1;
    if (!strstr(err.message, "this kernel cannot keep it from writing") || !strstr(err.message, "--unlocked"))
        return 2;
    if (access(made, F_OK) == 0)
        return 3;
    if (serve(asked(script, false, true), &result, &err) < 0 || !json_flag(result, "unlocked", false))
        return 4;
    return access(made, F_OK) == 0 ? 0 : 5;
}

static void what_cannot_be_enforced_is_refused(void **state)
{
    (void)state;
    auto_free char *made = xasprintf("%s/made", folder), *make = xasprintf("echo x >%s", made);
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(ask_where_nothing_is_enforced(make, made));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(states_of_a_unit),
        TEST(a_unit_that_is_not_there),
        TEST(a_wait_that_is_too_long),
        TEST(a_wait_for_what_has_failed),
        TEST(limits_of_a_unit),
        TEST(an_action_tells_the_state_after_it),
        TEST(an_action_that_fails),
        TEST(a_state_command_only_reads),
        TEST(systemctl_of_a_reading_agent_only_reads),
        TEST(what_cannot_be_enforced_is_refused),
    };
    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
