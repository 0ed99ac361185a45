// SPDX-License-Identifier: MIT
// The guard of a surgery: how it is armed where there is a systemd, and what it does when the lock comes
// free. The systemd-run is a script. A guard without a systemd is in test_agent_surgery.c.
#include "base/io.h"
#include "base/spawn.h"
#include "world/agent/surgery.h"

#include "own_run.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "remove_all.h"

static bool have_run;
static char *folder, *path_before;

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static void put(const char *name, const char *text)
{
    auto_free char *path = at(name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

// Caller frees; "" when it is not there.
static char *text_of(const char *name)
{
    auto_free char *path = at(name);
    char *text = NULL;
    size_t len;
    return read_whole_file(path, 1 << 20, &text, &len) == 0 ? text : xstrdup("");
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    folder = xstrdup(name);
    agent_keep_dir = at("kept");
    agent_claim_dir = at("claims");
    path_before = xstrdup(getenv("PATH"));
    auto_free char *path = xasprintf("%s:%s", folder, path_before);
    setenv("PATH", path, 1);
    auto_json json_t *note = json_pack("{s:s, s:{s:s}}", "keep", "r/1", "note", "kind", "surgery");
    struct error err;
    return note_effect(note, &err);
}

static int teardown(void **state)
{
    (void)state;
    setenv("PATH", path_before, 1);
    remove_all(folder);
    free((char *)(uintptr_t)agent_keep_dir);
    free((char *)(uintptr_t)agent_claim_dir);
    free(path_before);
    free(folder);
    return 0;
}

// ---- armed ----

static int begin(struct error *err)
{
    struct agent agent = {.stdin_fd = -1};
    auto_free char *stopped = at("stopped");
    auto_json json_t *result = NULL,
                     *request = json_pack("{s:s, s:s, s:s, s:{s:[s,s], s:[s]}}", "action", "begin", "keep",
                                          "r/1", "unit", "daemon", "commands", "stop", "touch", stopped,
                                          "start", "true");
    *err = (struct error){0};
    int rc = op_find("surgery")->serve(&agent, request, NULL, 0, &result, NULL, err);
    surgery_leave(&agent);
    return rc;
}

static bool is_there(const char *name)
{
    auto_free char *path = at(name);
    return access(path, F_OK) == 0;
}

static void it_is_a_unit_of_systemd(void **state)
{
    (void)state;
    struct error err;
    if (!have_run)
        skip();
    put("systemd-run", "#!/bin/sh\nfor word; do echo \"$word\"; done >$(dirname $0)/words\n");
    if (begin(&err) < 0)
        fail_msg("%s", err.message);
    assert_true(is_there("stopped"));
    auto_free char *words = text_of("words");
    says(words, "--unit=migrun-guard-r-1\n");
    says(words, "--service-type=notify\n");
    says(words, "test_agent_guard\n--guard\nr/1\n");
}

// Then nothing is stopped, and nothing of it stays.
static void it_cannot_be_armed(void **state)
{
    (void)state;
    static const char *const scripts[] = {"#!/bin/sh\necho 'Failed to start transient unit' >&2\nexit 1\n",
                                          "#!/no/such/interpreter\n"};
    if (!have_run)
        skip();
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        struct error err;
        put("systemd-run", scripts[i]);
        assert_int_equal(begin(&err), -1);
        if (i == 0)
            says(err.message, "cannot start its watchdog (systemd-run: Failed to start transient unit)");
        assert_false(is_there("stopped"));
        assert_false(is_there("kept/r/1.surgery"));
    }
}

// ---- its own life ----

// Starts a guard and waits until it has said that it waits.
static pid_t start_guard(void)
{
    auto_free char *path = at("notify");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    auto_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    pid_t pid = spawn(&(struct spawn){.in = -1, .out = -1, .err = -1, .dies_by = SIGKILL});
    if (pid == 0)
        _exit(guard_main("r/1"));
    unsetenv("NOTIFY_SOCKET");
    char text[16] = "";
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), strlen("READY=1"));
    assert_string_equal(text, "READY=1");
    return pid;
}

static int end_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

// A surgery of ours that is open, and locked. Its service is started by touching a file.
static void open_surgery(struct surgery *s)
{
    struct error err;
    auto_free char *started = at("started");
    assert_int_equal(surgery_load("r/1", s, &err), 0);
    s->manifest = json_pack("{s:s, s:s, s:i, s:[], s:{s:[s], s:[s,s]}}", "unit", "daemon", "phase", "open",
                            "agent", 0, "edits", "commands", "stop", "true", "start", "touch", started);
    assert_int_equal(surgery_lock(s, false, &err), 1);
    assert_int_equal(surgery_store(s, &err), 0);
}

static void it_starts_the_service_of_a_surgery_that_is_open(void **state)
{
    (void)state;
    struct surgery cleanup(surgery_free) s = NO_SURGERY;
    open_surgery(&s);
    pid_t pid = start_guard();
    assert_false(is_there("started"));
    surgery_free(&s); // as its agent's death does
    assert_int_equal(end_of(pid), 0);
    assert_true(is_there("started"));
    auto_free char *manifest = text_of("kept/r/1.surgery");
    says(manifest, "\"phase\":\"put back\"");
    says(manifest, "its guard started it again");
}

static void it_leaves_a_surgery_that_has_ended(void **state)
{
    (void)state;
    struct error err;
    struct surgery cleanup(surgery_free) s = NO_SURGERY;
    open_surgery(&s);
    pid_t pid = start_guard();
    surgery_set_end(&s, "committed", "was away", json_array());
    assert_int_equal(surgery_store(&s, &err), 0);
    surgery_free(&s);
    assert_int_equal(end_of(pid), 0);
    assert_false(is_there("started"));
    auto_free char *manifest = text_of("kept/r/1.surgery");
    says(manifest, "\"phase\":\"committed\"");
}

// What was kept was removed, and another surgery of the same name is open: it is not this guard's.
static void it_leaves_another_surgery_of_its_name(void **state)
{
    (void)state;
    struct error err;
    struct surgery cleanup(surgery_free) own = NO_SURGERY, cleanup(surgery_free) other = NO_SURGERY;
    open_surgery(&own);
    pid_t pid = start_guard();
    auto_free char *kept = at("kept/r");
    assert_int_equal(remove_all(kept), 0);
    auto_json json_t *note = json_pack("{s:s, s:{s:s}}", "keep", "r/1", "note", "kind", "surgery");
    assert_int_equal(note_effect(note, &err), 0);
    open_surgery(&other);
    surgery_free(&own);
    assert_int_equal(end_of(pid), 0);
    assert_false(is_there("started"));
    auto_free char *manifest = text_of("kept/r/1.surgery");
    says(manifest, "\"phase\":\"open\"");
}

static void there_is_nothing_to_guard(void **state)
{
    (void)state;
    put("kept/r/1.surgery", "{\"phase\": ");
    assert_int_equal(guard_main("r/1"), 1);
    assert_int_equal(guard_main("../r/1"), 1);
}

int main(void)
{
    have_run = own_run() && mkdir("/run/systemd", 0755) == 0 && mkdir("/run/systemd/system", 0755) == 0;
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_a_unit_of_systemd),
        TEST(it_cannot_be_armed),
        TEST(it_starts_the_service_of_a_surgery_that_is_open),
        TEST(it_leaves_a_surgery_that_has_ended),
        TEST(it_leaves_another_surgery_of_its_name),
        TEST(there_is_nothing_to_guard),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
