// SPDX-License-Identifier: MIT
// A surgery on a service that the site's own commands stop and start: every way in which it ends.
#include "base/io.h"
#include "world/agent/surgery.h"

#include "own_run.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "remove_all.h"

static char *folder;

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static void put(const char *name, const char *text)
{
    auto_free char *path = at(name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

// Caller frees; NULL: it is not there.
static char *text_of(const char *name)
{
    auto_free char *path = at(name);
    char *text = NULL;
    size_t len;
    return read_whole_file(path, 1 << 20, &text, &len) == 0 ? text : NULL;
}

static void holds(const char *name, const char *expected)
{
    auto_free char *text = text_of(name);
    assert_string_equal(text ? text : "(absent)", expected);
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static char *hash_of(const char *text)
{
    char *hex = xmalloc(65);
    sha256_hex(text, strlen(text), hex);
    return hex;
}

static void use_folder(const char *path)
{
    folder = xstrdup(path);
    agent_keep_dir = at("kept");
    agent_claim_dir = at("claims");
}

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    use_folder(name);
    setenv("MIGRUN_TEST_FOLDER", name, 1); // the guard is this program too
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(folder);
    free((char *)(uintptr_t)agent_keep_dir);
    free((char *)(uintptr_t)agent_claim_dir);
    free(folder);
    return 0;
}

static int serve(struct agent *agent, json_t *request, const char *body, json_t **result, struct error *err)
{
    auto_json json_t *args = request, *unused = NULL;
    *err = (struct error){0};
    return op_find("surgery")->serve(agent, args, body, body ? strlen(body) : 0, result ? result : &unused,
                                     NULL, err);
}

static void leave_note(const char *keep)
{
    struct error err;
    auto_json json_t *request = json_pack("{s:s, s:{s:s}}", "keep", keep, "note", "kind", "surgery");
    assert_int_equal(note_effect(request, &err), 0);
}

// Stops by nothing, starts by a script of the shell's, run in the folder.
static int begin(struct agent *agent, const char *start, const char *log, struct error *err)
{
    auto_free char *script = xasprintf("cd %s; %s", folder, start), *log_path = at(log);
    *agent = (struct agent){.stdin_fd = -1};
    leave_note("r/1");
    return serve(agent,
                 json_pack("{s:s, s:s, s:s, s:s, s:{s:[s], s:[s,s,s]}}", "action", "begin", "keep", "r/1",
                           "unit", "daemon", "log", log_path, "commands", "stop", "true", "start", "/bin/sh",
                           "-c", script),
                 NULL, NULL, err);
}

static void stage_with(struct agent *agent, int number, const char *name, const char *old, const char *text,
                       const char *mode_of)
{
    struct error err;
    auto_free char *path = at(name), *keep = xasprintf("r/%d", number), *hash = hash_of(old);
    json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "action", "stage", "surgery", "r/1", "path",
                                path, "keep", keep, "expect", "sha256", hash);
    leave_note(keep);
    if (mode_of)
        json_object_set_new(request, "mode", json_integer(strtol(mode_of, NULL, 8)));
    if (serve(agent, request, text, NULL, &err) < 0)
        fail_msg("%s", err.message);
}

static void stage(struct agent *agent, int number, const char *name, const char *old, const char *text)
{
    stage_with(agent, number, name, old, text, NULL);
}

static void has_mode(const char *name, mode_t mode)
{
    struct stat st;
    auto_free char *path = at(name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static int commit(struct agent *agent, json_t **result, struct error *err)
{
    return serve(agent, json_pack("{s:s, s:s}", "action", "commit", "surgery", "r/1"), NULL, result, err);
}

static void must_begin(struct agent *agent, const char *start, const char *log)
{
    struct error err;
    if (begin(agent, start, log, &err) < 0)
        fail_msg("%s", err.message);
}

// ---- ends ----

static void it_is_committed(void **state)
{
    (void)state;
    struct agent agent;
    struct error err;
    auto_json json_t *result = NULL;
    put("f", "one");
    must_begin(&agent, "true", "log");
    stage(&agent, 2, "f", "one", "two");
    holds("f", "one");
    assert_int_equal(commit(&agent, &result, &err), 0);
    holds("f", "two");
    assert_string_equal(json_str(result, "phase", ""), "committed");
    assert_null(agent.surgery);
}

static void a_mode_is_committed_and_put_back(void **state)
{
    (void)state;
    struct agent agent;
    struct error err;
    put("f", "same");
    must_begin(&agent, "true", "log");
    stage_with(&agent, 2, "f", "same", "same", "600");
    assert_int_equal(commit(&agent, NULL, &err), 0);
    has_mode("f", 0600);
    put("g", "same");
    auto_free char *kept = at("kept/r");
    assert_int_equal(remove_all(kept), 0);
    must_begin(&agent, "test $(stat -c %a g) = 644", "log");
    stage_with(&agent, 2, "g", "same", "same", "600");
    assert_int_equal(commit(&agent, NULL, &err), -1);
    has_mode("g", 0644);
    says(err.message, "with the original restored");
}

// A later edit of a file is put back before an earlier one.
static void two_edits_of_one_file(void **state)
{
    (void)state;
    struct agent agent;
    struct error err;
    put("f", "ORIGINAL");
    must_begin(&agent, "grep -q ORIGINAL f", "log");
    stage(&agent, 2, "f", "ORIGINAL", "FIRST EDIT");
    stage(&agent, 3, "f", "FIRST EDIT", "SECOND EDIT");
    assert_int_equal(commit(&agent, NULL, &err), -1);
    holds("f", "ORIGINAL");
    says(err.message, "with the originals restored");
    assert_null(strstr(err.message, "NOT restored"));
}

// Its agent is killed once the edits are in place: the guard puts all of them back.
static void the_guard_puts_back(void **state)
{
    (void)state;
    put("f", "ORIGINAL");
    pid_t pid = fork();
    if (pid == 0) {
        struct agent agent;
        auto_free char *start = xasprintf("grep -q ORIGINAL f || kill -KILL %d", (int)getpid());
        must_begin(&agent, start, "log");
        stage(&agent, 2, "f", "ORIGINAL", "FIRST EDIT");
        stage(&agent, 3, "f", "FIRST EDIT", "SECOND EDIT");
        struct error err;
        commit(&agent, NULL, &err);
        _exit(1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    auto_free char *manifest = NULL;
    while (!(manifest = text_of("kept/r/1.surgery")) || strstr(manifest, "\"phase\":\"open\"")) {
        free(steal(&manifest));
        usleep(10000);
    }
    says(manifest, "its guard started it again");
    holds("f", "ORIGINAL");
}

// ---- what the log says ----

// With commands of the site's, and a log that is not there.
static void a_log_that_is_not_there(void **state)
{
    (void)state;
    struct agent agent;
    struct error err;
    put("f", "one");
    must_begin(&agent, "grep -q one f", "log");
    stage(&agent, 2, "f", "one", "two");
    assert_int_equal(commit(&agent, NULL, &err), -1);
    says(err.message, "start of daemon failed");
    assert_null(strstr(err.message, "its log"));
    holds("f", "one");
}

// However long it is, what came since is read, and no more; and not before the service runs again.
static void a_log_of_a_gigabyte(void **state)
{
    (void)state;
    struct agent agent;
    struct error err;
    put("log", "error: qemu long ago\n");
    put("f", "one");
    auto_free char *log = at("log");
    assert_int_equal(truncate(log, (1L << 30) + 1), 0);
    must_begin(&agent,
               "if grep -q one f; then echo 'error: qemu now, when it runs' >>log; "
               "printf after | dd of=log bs=1 seek=1073741837 conv=notrunc 2>/dev/null; "
               "else echo 'error: qemu early' >>log; exit 1; fi",
               "log");
    stage(&agent, 2, "f", "one", "two");
    assert_int_equal(commit(&agent, NULL, &err), -1);
    says(err.message, "its log: error: qemu after; error: qemu early)");
    assert_null(strstr(err.message, "long ago"));
    assert_null(strstr(err.message, "when it runs"));
    holds("f", "one");
}

// ---- what is there already ----

// What another surgery of that number has left stays.
static void a_number_that_was_used(void **state)
{
    (void)state;
    static const char *const left[] = {"{\"phase\": \"committed\", \"unit\": \"daemon\"}", "{\"phase\": "};
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        struct agent agent;
        struct error err;
        leave_note("r/1");
        put("kept/r/1.surgery", left[i]);
        assert_int_equal(begin(&agent, "true", "log", &err), -1);
        assert_null(agent.surgery);
        holds("kept/r/1.surgery", left[i]);
    }
}

static void a_number_that_somebody_uses(void **state)
{
    (void)state;
    struct agent one, other;
    struct error err;
    put("f", "one");
    must_begin(&one, "true", "log");
    auto_free char *open_one = text_of("kept/r/1.surgery");
    assert_int_equal(begin(&other, "true", "log", &err), -1);
    holds("kept/r/1.surgery", open_one);
    stage(&one, 2, "f", "one", "two");
    assert_int_equal(commit(&one, NULL, &err), 0);
    holds("f", "two");
}

// Only while libvirtd is stopped are its records changed, and only by the surgery.
static void records(void **state)
{
    (void)state;
    struct agent agent;
    struct error err;
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/var/lib", "tmpfs", 0, "mode=755") < 0)
        skip();
    assert_int_equal(mkdir("/var/lib/libvirt", 0755) | mkdir("/var/lib/libvirt/qemu", 0755) |
                         mkdir("/var/lib/libvirt/qemu/save", 0755),
                     0);
    auto_free char *link_name = at("records");
    assert_int_equal(symlink("/var/lib/libvirt/qemu/save", link_name), 0);
    put("records/g", "one");
    must_begin(&agent, "true", "log");
    stage(&agent, 2, "records/g", "one", "two");
    auto_free char *path = at("records/g");
    auto_json json_t *request = json_pack("{s:s}", "path", path), *result = NULL;
    assert_int_equal(op_find("write")->serve(&agent, request, "two", 3, &result, NULL, &err), -1);
    says(err.message, "is a record of libvirt's");
    assert_int_equal(commit(&agent, NULL, &err), -1);
    says(err.message, "is a record of libvirt's");
    holds("records/g", "one");
    umount2("/var/lib", MNT_DETACH);
}

int main(int argc, char **argv)
{
    if (argc == 3 && STREQ(argv[1], "--guard")) {
        use_folder(getenv("MIGRUN_TEST_FOLDER"));
        return guard_main(argv[2]);
    }
    own_run(); // no systemd: the guard is a process
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_is_committed),        TEST(a_mode_is_committed_and_put_back), TEST(two_edits_of_one_file),
        TEST(the_guard_puts_back),    TEST(a_log_that_is_not_there),          TEST(a_log_of_a_gigabyte),
        TEST(a_number_that_was_used), TEST(a_number_that_somebody_uses),      TEST(records),
    };
    return cmocka_run_group_tests_name("surgery", tests, NULL, NULL);
}
