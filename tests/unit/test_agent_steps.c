// SPDX-License-Identifier: MIT
// A surgery that is cut off, or whose disk fails, at each of its own steps on files: whatever the step, the
// service runs again, on the originals or on all edits, and what is told is true. The agent and its guard are
// the ones that ship; a step is a call that changes a folder or syncs a file.
#include "base/clock.h"
#include "base/io.h"
#include "world/agent/surgery.h"

#include "own_run.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "remove_all.h"

enum fault { DIES_BEFORE, DIES_AFTER, FAILS };
enum { PATIENCE_MS = 60000 };

static char *folder;
static bool counting;
static int steps, fault_at;
static enum fault fault;

// ---- the steps (these stand before libc's) ----

static bool step(void)
{
    if (!counting || ++steps != fault_at)
        return true;
    if (fault == DIES_BEFORE)
        kill(getpid(), SIGKILL);
    errno = EIO;
    return fault != FAILS;
}

static int after(long rc)
{
    if (counting && steps == fault_at && fault == DIES_AFTER)
        kill(getpid(), SIGKILL);
    return (int)rc;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return step() ? after(syscall(SYS_renameat2, from_folder, from, to_folder, to, 0)) : -1;
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags)
{
    return step() ? after(syscall(SYS_renameat2, from_folder, from, to_folder, to, flags)) : -1;
}

int unlinkat(int at_folder, const char *name, int flags)
{
    return step() ? after(syscall(SYS_unlinkat, at_folder, name, flags)) : -1;
}

int fsync(int fd) { return step() ? after(syscall(SYS_fsync, fd)) : -1; }

// ---- the service ----

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static void put(const char *name, const char *text)
{
    auto_free char *path = at(name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static bool holds(const char *name, const char *text)
{
    auto_free char *path = at(name), *is = NULL;
    size_t len;
    return read_whole_file(path, 1 << 20, &is, &len) == 0 && STREQ(is, text);
}

static void use_folder(const char *path)
{
    folder = xstrdup(path);
    agent_keep_dir = at("kept");
    agent_claim_dir = at("claims");
}

static void make_world(void)
{
    char name[] = "/tmp/migrun-test-XXXXXX";
    assert_non_null(mkdtemp(name));
    use_folder(name);
    setenv("MIGRUN_TEST_FOLDER", name, 1); // the guard is this program too
    put("f", "ORIGINAL");
    put("g", "OTHER");
    put("state", "running");
}

static void end_world(void)
{
    remove_all(folder);
    free((char *)(uintptr_t)agent_keep_dir);
    free((char *)(uintptr_t)agent_claim_dir);
    free(folder);
}

// ---- a surgery ----

static int act(struct agent *agent, json_t *request, const char *body, json_t **result)
{
    auto_json json_t *unused = NULL;
    struct message message = {
        .head = request, .body = body ? xstrdup(body) : NULL, .body_len = body ? strlen(body) : 0};
    struct error err;
    int rc = agent_serve(agent, &message, result ? result : &unused, NULL, &err);
    message_free(&message);
    return rc;
}

static int stage(struct agent *agent, int number, const char *name, const char *old, const char *text)
{
    char hash[65];
    auto_free char *path = at(name), *keep = xasprintf("r/%d", number);
    sha256_hex(old, strlen(old), hash);
    return act(agent,
               json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s}, s:{}}", "op", "surgery", "action", "stage",
                         "surgery", "r/1", "path", path, "keep", keep, "expect", "sha256", hash, "note"),
               text, NULL);
}

// Two edits of one file, and one of another. The service starts on the originals, and on this.
static void operate(const char *accepted)
{
    struct agent agent = {.stdin_fd = -1};
    auto_free char *stop = xasprintf("printf stopped >%s/state", folder),
                   *start = xasprintf(
                       "cd %s; case $(cat f) in ORIGINAL|%s) printf running >state;; *) exit 1;; esac",
                       folder, accepted);
    counting = true;
    int rc = act(&agent,
                 json_pack("{s:s, s:s, s:s, s:s, s:{}, s:{s:[s,s,s], s:[s,s,s]}}", "op", "surgery", "action",
                           "begin", "keep", "r/1", "unit", "daemon", "note", "commands", "stop", "/bin/sh",
                           "-c", stop, "start", "/bin/sh", "-c", start),
                 NULL, NULL);
    if (rc == 0 && stage(&agent, 2, "f", "ORIGINAL", "FIRST") == 0 &&
        stage(&agent, 3, "f", "FIRST", "SECOND") == 0 && stage(&agent, 4, "g", "OTHER", "EDITED") == 0)
        act(&agent, json_pack("{s:s, s:s, s:s}", "op", "surgery", "action", "commit", "surgery", "r/1"), NULL,
            NULL);
    surgery_leave(&agent);
}

// Runs it in a process of its own; how many steps it made, or 0 when it died.
static int operate_apart(const char *accepted)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        operate(accepted);
        _exit(steps);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

// What recover asks in the end.
static json_t *settle(void)
{
    struct agent agent = {.stdin_fd = -1};
    json_t *result = NULL;
    if (act(&agent, json_pack("{s:s, s:s, s:s}", "op", "surgery", "action", "settle", "surgery", "r/1"), NULL,
            &result) < 0)
        fail_msg("it cannot be settled");
    return result;
}

// Its end after a fault: what is wrong with it, or NULL.
static const char *wrong_end(bool is_told)
{
    // A service that was stopped comes back even if nobody asks.
    bool runs = fault == FAILS;
    for (int64_t deadline = deadline_in(PATIENCE_MS); !runs && now_ms() < deadline; nap_ms(10))
        runs = holds("state", "running");
    if (!runs)
        return "nobody has started it again";
    auto_json json_t *end = settle();
    const char *phase = json_str(end, "phase", "");
    if (is_told && json_array_size(json_object_get(end, "lost")))
        return NULL; // the disk failed while the originals were restored, and this is said
    if (json_array_size(json_object_get(end, "lost")))
        return "something is lost";
    if (!holds("state", "running"))
        return "it does not run";
    if (STREQ(phase, "committed"))
        return holds("f", "SECOND") && holds("g", "EDITED") ? NULL
                                                            : "it is committed, but not all edits are there";
    if (!STREQ(phase, "none") && !STREQ(phase, "put back"))
        return "it has not ended";
    return holds("f", "ORIGINAL") && holds("g", "OTHER") ? NULL
                                                         : "it is over, but the originals are not there";
}

static void fault_at_each_step(const char *accepted)
{
    static const char *const names[] = {"dies before", "dies after", "fails"};
    make_world();
    fault_at = 0;
    int all = operate_apart(accepted);
    end_world();
    assert_in_range(all, 20, 250);
    for (fault_at = 1; fault_at <= all; fault_at++)
        for (fault = DIES_BEFORE; fault <= FAILS; fault++) {
            make_world();
            operate_apart(accepted);
            const char *wrong = wrong_end(fault == FAILS && !STREQ(accepted, "SECOND"));
            if (wrong)
                fail_msg("step %d of %d %s: %s (%s)", fault_at, all, names[fault], wrong, folder);
            end_world();
        }
}

static void an_edit_that_the_service_takes_over(void **state)
{
    (void)state;
    fault_at_each_step("SECOND");
}

static void an_edit_that_the_service_does_not_take(void **state)
{
    (void)state;
    fault_at_each_step("NOTHING-ELSE");
}

int main(int argc, char **argv)
{
    if (argc == 3 && STREQ(argv[1], "--guard")) {
        use_folder(getenv("MIGRUN_TEST_FOLDER"));
        return guard_main(argv[2]);
    }
    own_run(); // no systemd: the guard is a process
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_that_the_service_takes_over),
        cmocka_unit_test(an_edit_that_the_service_does_not_take),
    };
    return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
