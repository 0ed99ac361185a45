// SPDX-License-Identifier: MIT
// What a run leaves on the host that it changes: the notes of its changes, and its claim.
#include "base/io.h"
#include "world/agent/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

static char *folder, *keep_dir, *claim_dir;

static const char *const no_names[] = {
    "",     ".",   "..", "../x",     "a/../b",
    "/etc", "/",   "a/", ".hidden",  "a b",
    "a\nb", "a;b", "%s", "\xc3\xa4", "12345678901234567890123456789012345678901234567890123456789012345",
};

static int serve(const char *op, json_t *request, json_t **result, struct error *err)
{
    struct agent agent = {.stdin_fd = -1};
    auto_json json_t *args = request;
    auto_buf struct buf body = {0};
    assert_non_null(request);
    *result = NULL;
    *err = (struct error){0};
    int rc = op_find(op)->serve(&agent, args, NULL, 0, result, &body, err);
    assert_int_equal(rc == 0, *result != NULL);
    assert_int_equal(body.len, 0);
    return rc;
}

// Its result; the caller frees.
static json_t *must(const char *op, json_t *request)
{
    json_t *result;
    struct error err;
    if (serve(op, request, &result, &err) < 0)
        fail_msg("%s: %s", op, err.message);
    return result;
}

static void fails(const char *op, json_t *request, enum error_domain domain, int code)
{
    json_t *result;
    struct error err;
    assert_int_equal(serve(op, request, &result, &err), -1);
    assert_int_equal(err.domain, domain);
    assert_int_equal(err.code, code);
    assert_string_not_equal(err.message, "");
}

static char *at(const char *above, const char *name) { return xasprintf("%s/%s", above, name); }

// A file of another hand.
static void put(const char *above, const char *name, const char *text)
{
    auto_free char *path = at(above, name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static bool is_there(const char *above, const char *name)
{
    auto_free char *path = at(above, name);
    struct stat st;
    return lstat(path, &st) == 0;
}

static mode_t mode_of(const char *above, const char *name)
{
    auto_free char *path = at(above, name);
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static int setup(void **state)
{
    (void)state;
    folder = xstrdup("/tmp/migrun-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    agent_keep_dir = keep_dir = at(folder, "var/kept");
    agent_claim_dir = claim_dir = at(folder, "var/claims");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(folder);
    free(folder);
    free(keep_dir);
    free(claim_dir);
    return 0;
}

// ---- names ----

static void names_are_plain(void **state)
{
    (void)state;
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1];
    static const char *const no_keeps[] = {
        "",         "/",        "run",    "run/",   "/1",
        "run/x",    "run/1/2",  "run/-1", "run/1x", "run/1234567890",
        "../run/1", "run/../1", ".run/1",
    };
    struct error err = {0};
    assert_int_equal(keep_parse("run-1_a.b/007", run, number, &err), 0);
    assert_string_equal(run, "run-1_a.b");
    assert_string_equal(number, "007");
    assert_int_equal(keep_parse(no_names[COUNT_OF(no_names) - 1] + 1, run, NULL, &err),
                     0); // as long as a name may be
    assert_int_equal(strlen(run), RUN_NAME_MAX);
    for (size_t i = 0; i < COUNT_OF(no_names); i++) {
        assert_int_equal(keep_parse(no_names[i], run, NULL, &err), -1);
        assert_int_equal(err.domain, ERR_REFUSED);
    }
    for (size_t i = 0; i < COUNT_OF(no_keeps); i++)
        assert_int_equal(keep_parse(no_keeps[i], run, number, &err), -1);
    assert_int_equal(keep_parse("run/1", run, NULL, &err), -1);
}

// ---- notes ----

static int note(const char *keep, json_t *effect, struct error *err)
{
    auto_json json_t *request = json_pack("{s:s, s:o}", "keep", keep, "note", effect);
    return note_effect(request, err);
}

static void must_note(const char *keep, const char *kind)
{
    struct error err;
    if (note(keep, json_pack("{s:s}", "kind", kind), &err) < 0)
        fail_msg("%s", err.message);
}

static void notes_are(const char *run, const char *text)
{
    auto_json json_t *result = must("notes", json_pack("{s:s}", "run", run)),
                     *expected = json_loads(text, 0, NULL);
    assert_non_null(expected);
    assert_true(json_equal(json_object_get(result, "notes"), expected));
}

// Of the run "run".
static void unreadable_are(const char *text)
{
    auto_json json_t *result = must("notes", json_pack("{s:s}", "run", "run"));
    auto_free char *seen = json_dumps(json_object_get(result, "unreadable"), JSON_COMPACT);
    assert_string_equal(seen, text);
}

static void notes_are_kept(void **state)
{
    (void)state;
    notes_are("run", "{}");
    assert_false(is_there(folder, "var")); // who only looks makes nothing
    must_note("run/1", "service");
    must_note("run/10", "file.write");
    must_note("other/1", "command");
    notes_are("run", "{\"1\": {\"kind\": \"service\"}, \"10\": {\"kind\": \"file.write\"}}");
    notes_are("other", "{\"1\": {\"kind\": \"command\"}}");
    notes_are("ru", "{}");
    assert_int_equal(mode_of(keep_dir, "run/1.note"), 0600);
    assert_int_equal(mode_of(keep_dir, "run"), 0700);
    assert_int_equal(mode_of(keep_dir, "."), 0700);
}

static void the_first_note_stays(void **state)
{
    (void)state;
    must_note("run/1", "service");
    must_note("run/1", "command"); // its undo comes with the same note
    notes_are("run", "{\"1\": {\"kind\": \"service\"}}");
}

static void a_note_is_an_effect(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(note("run/1", json_string("x"), &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    assert_int_equal(note("run/1", json_null(), &err), -1);
    assert_int_equal(note("run/1", json_array(), &err), -1);
    notes_are("run", "{}");
}

static void notes_stay_in_their_folder(void **state)
{
    (void)state;
    static const char *const keeps[] = {"run", "run/", "../run/1", "run/../../1", "/tmp/1", "run/1.note", ""};
    struct error err = {0};
    for (size_t i = 0; i < COUNT_OF(keeps); i++) {
        assert_int_equal(note(keeps[i], json_object(), &err), -1);
        assert_int_equal(err.domain, ERR_REFUSED);
        assert_int_equal(err.code, REFUSED_OTHER);
    }
    auto_json json_t *without = json_pack("{s:{}}", "note"),
                     *number = json_pack("{s:{}, s:i}", "note", "keep", 1);
    assert_int_equal(note_effect(without, &err), -1);
    assert_int_equal(note_effect(number, &err), -1);
    assert_false(is_there(folder, "var"));
    for (size_t i = 0; i < COUNT_OF(no_names); i++) {
        fails("notes", json_pack("{s:s}", "run", no_names[i]), ERR_REFUSED, REFUSED_OTHER);
        fails("forget", json_pack("{s:s}", "run", no_names[i]), ERR_REFUSED, REFUSED_OTHER);
    }
    fails("notes", json_object(), ERR_REFUSED, REFUSED_OTHER);
}

static void torn_notes_are_left_out(void **state)
{
    (void)state;
    static const char *const torn[] = {"", "{", "{\"kind\":\"serv"};
    must_note("run/1", "service");
    auto_free char *dir = at(keep_dir, "run");
    for (size_t i = 0; i < COUNT_OF(torn); i++) {
        put(dir, "2.note", torn[i]);
        notes_are("run", "{\"1\": {\"kind\": \"service\"}}");
        unreadable_are("[]");
    }
    put(dir, "3", "the bytes of an original");
    put(dir, "3.json", "{}");
    put(dir, ".note", "{}");
    notes_are("run", "{\"1\": {\"kind\": \"service\"}}");
    unreadable_are("[]");
}

static void notes_that_cannot_be_read_are_named(void **state)
{
    (void)state;
    static const char *const foreign[] = {"[]", "3", "{}x", "\xff", "{\"kind\" 3}"};
    must_note("run/1", "service");
    auto_free char *dir = at(keep_dir, "run"), *link = at(dir, "4.note"), *inner = at(dir, "5.note");
    for (size_t i = 0; i < COUNT_OF(foreign); i++) {
        put(dir, "2.note", foreign[i]);
        notes_are("run", "{\"1\": {\"kind\": \"service\"}}");
        unreadable_are("[\"2.note\"]");
    }
    put(dir, "2.note", "");
    assert_int_equal(symlink("1.note", link), 0);
    unreadable_are("[\"4.note\"]");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(mkdir(inner, 0700), 0);
    unreadable_are("[\"5.note\"]");
}

// A change that was undone is told no more; one whose undo failed is.
static void undone_changes_are_told_no_more(void **state)
{
    (void)state;
    struct agent agent = {.stdin_fd = -1};
    for (int fails = 1; fails >= 0; fails--) {
        auto_buf struct buf body = {0};
        struct message request = {.head = json_pack("{s:s, s:[s], s:i, s:s, s:{s:s}, s:b}", "op", "command",
                                                    "argv", fails ? "false" : "true", "timeout", 10000,
                                                    "keep", "run/1", "note", "kind", "command", "undoes", 1)};
        json_t *result = NULL;
        struct error err = {0};
        if (agent_serve(&agent, &request, &result, &body, &err) < 0)
            fail_msg("%s", err.message);
        notes_are("run", fails ? "{\"1\": {\"kind\": \"command\"}}" : "{}");
        json_decref(result);
        json_decref(request.head);
    }
    json_decref(must("forget", json_pack("{s:s}", "run", "run")));
    assert_false(is_there(keep_dir, "run"));
}

static void half_a_note_is_none(void **state)
{
    (void)state;
    auto_free char *text = xmalloc(8193);
    memset(text, 'x', 8192);
    text[8192] = '\0';
    must_note("run/1", "service");
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct error err = {0};
    int rc = note("run/2", json_pack("{s:s}", "kind", text), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(rc, -1);
    assert_int_equal(err.domain, ERR_SYSTEM);
    assert_int_equal(err.code, EFBIG);
    assert_false(is_there(keep_dir, "run/2.note"));
    must_note("run/2", "command"); // and room for it again
    notes_are("run", "{\"1\": {\"kind\": \"service\"}, \"2\": {\"kind\": \"command\"}}");
}

static void what_is_open_to_others_is_no_place(void **state)
{
    (void)state;
    must_note("run/1", "service");
    auto_free char *dir = at(keep_dir, "run"), *linked = at(keep_dir, "linked");
    struct error err = {0};
    const char *const paths[] = {dir, keep_dir};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        assert_int_equal(chmod(paths[i], 0750), 0);
        fails("notes", json_pack("{s:s}", "run", "run"), ERR_REFUSED, REFUSED_OTHER);
        fails("forget", json_pack("{s:s}", "run", "run"), ERR_REFUSED, REFUSED_OTHER);
        assert_int_equal(note("run/2", json_object(), &err), -1);
        assert_int_equal(err.domain, ERR_REFUSED);
        assert_int_equal(chmod(paths[i], 0700), 0);
    }
    if (geteuid() == 0) {
        assert_int_equal(chown(dir, 12, 34), 0);
        fails("notes", json_pack("{s:s}", "run", "run"), ERR_REFUSED, REFUSED_OTHER);
        assert_int_equal(chown(dir, 0, 0), 0);
    }
    assert_int_equal(symlink("run", linked), 0);
    fails("notes", json_pack("{s:s}", "run", "linked"), ERR_SYSTEM, ENOTDIR);
    assert_int_equal(note("linked/2", json_object(), &err), -1);
    notes_are("run", "{\"1\": {\"kind\": \"service\"}}");
}

static void forgotten(void **state)
{
    (void)state;
    json_decref(must("forget", json_pack("{s:s}", "run", "run"))); // there was nothing
    must_note("run/1", "service");
    must_note("run/2", "service");
    must_note("other/1", "service");
    json_decref(must("forget", json_pack("{s:s}", "run", "run")));
    assert_false(is_there(keep_dir, "run"));
    json_decref(must("forget", json_pack("{s:s}", "run", "run")));
    notes_are("run", "{}");
    notes_are("other", "{\"1\": {\"kind\": \"service\"}}");
}

static void only_a_run_s_files_are_forgotten(void **state)
{
    (void)state;
    must_note("run/1", "service");
    auto_free char *dir = at(keep_dir, "run"), *inner = at(keep_dir, "run/foreign");
    assert_int_equal(mkdir(inner, 0700), 0);
    put(inner, "file", "x");
    struct error err;
    json_t *result;
    assert_int_equal(serve("forget", json_pack("{s:s}", "run", "run"), &result, &err), -1);
    assert_int_equal(err.domain, ERR_SYSTEM);
    assert_true(is_there(inner, "file"));
}

// ---- claims ----

static json_t *claim_of(const char *run, const char *instance, bool exclusive)
{
    return json_pack("{s:{s:s, s:s*, s:b}}", "claim", "run", run, "instance", instance, "exclusive",
                     exclusive);
}

// Whose claim excludes this one; "": it was taken.
static void claims(const char *run, const char *instance, bool exclusive, const char *holder)
{
    auto_json json_t *result = must("claim", claim_of(run, instance, exclusive));
    assert_string_equal(json_str(json_object_get(result, "held"), "run", ""), holder);
}

static void unclaim(const char *run) { json_decref(must("unclaim", json_pack("{s:s}", "run", run))); }

// The runs whose claims are there, in any order: as many as count, and each of those that are named.
static void claimed_by(size_t count, const char *one, const char *other)
{
    auto_json json_t *result = must("claims", json_object());
    const json_t *list = json_object_get(result, "claims");
    size_t i, found = 0;
    json_t *claim;
    assert_int_equal(json_array_size(list), count);
    json_array_foreach(list, i, claim)
        found += STREQ(json_str(claim, "run", ""), one ? one : "?") ||
                 STREQ(json_str(claim, "run", ""), other ? other : "?");
    assert_int_equal(found, (one != NULL) + (other != NULL));
}

static void a_claim_is_taken_and_given_back(void **state)
{
    (void)state;
    claimed_by(0, NULL, NULL);
    unclaim("one");
    assert_false(is_there(folder, "var")); // who only looks makes nothing
    claims("one", "a", false, "");
    claimed_by(1, "one", NULL);
    assert_int_equal(mode_of(claim_dir, "one.json"), 0600);
    assert_int_equal(mode_of(claim_dir, "."), 0700);
    unclaim("one");
    unclaim("one");
    claimed_by(0, NULL, NULL);
}

static void one_run_an_instance(void **state)
{
    (void)state;
    claims("one", "a", false, "");
    claims("two", "a", false, "one");
    claimed_by(1, "one", NULL);
    claims("two", "b", false, "");
    claimed_by(2, "one", "two");
    unclaim("one");
    claims("three", "a", false, "");
    claimed_by(2, "three", "two");
}

static void a_host_for_oneself(void **state)
{
    (void)state;
    claims("one", "a", true, "");
    claims("two", "b", false, "one");
    claims("two", "b", true, "one");
    unclaim("one");
    claims("two", "b", false, "");
    claims("one", "a", true, "two");
    claims("one", "a", false, "");
    claims("one", "a", true, "two");
    claimed_by(2, "one", "two"); // the claim that it has stays
    unclaim("two");
    claims("one", "a", true, "");
    claims("two", "b", false, "one");
}

static void the_same_run_again(void **state)
{
    (void)state;
    claims("one", "a", false, "");
    claims("one", "a", false, "");
    claims("one", "a", true, "");
    claims("one", "b", true, "");
    claimed_by(1, "one", NULL);
    claims("two", "a", false, "one");
    claims("one", "a", false, "");
    claims("two", "b", false, "");
}

static void a_run_without_an_instance(void **state)
{
    (void)state;
    claims("one", NULL, false, "");
    claims("two", NULL, false, "");
    claims("three", "a", false, "");
    claims("four", NULL, true, "three"); // or of another: that which is found first
}

static void an_answer_tells_the_whole_claim(void **state)
{
    (void)state;
    auto_json json_t *first = json_pack("{s:{s:s, s:s, s:s, s:s}}", "claim", "run", "one", "instance", "a",
                                        "user", "alice", "controller", "ctl-1");
    json_decref(must("claim", json_deep_copy(first)));
    auto_json json_t *result = must("claim", claim_of("two", "a", false));
    assert_true(json_equal(json_object_get(result, "held"), json_object_get(first, "claim")));
    auto_json json_t *all = must("claims", json_object());
    assert_true(
        json_equal(json_array_get(json_object_get(all, "claims"), 0), json_object_get(first, "claim")));
}

static void torn_claims_hold_nothing(void **state)
{
    (void)state;
    static const char *const torn[] = {
        "", "{", "{\"run\":\"torn\",\"instance\":\"a\",\"excl", "[]", "\"torn\"", "{}x", "\xff"};
    claims("one", "b", false, "");
    for (size_t i = 0; i < COUNT_OF(torn); i++) {
        put(claim_dir, "torn.json", torn[i]);
        claims("two", "a", true, "one");
        claims("two", "a", false, "");
        claimed_by(2, "one", "two");
        unclaim("two");
    }
    put(claim_dir, ".two.new", "{\"run\":\"tw"); // the agent died while it wrote
    put(claim_dir, "README", "{\"run\":\"readme\",\"exclusive\":true}");
    claims("two", "a", false, "");
    assert_false(is_there(claim_dir, ".two.new"));
    claimed_by(2, "one", "two");
    claims("torn", "c", false, "");
    claimed_by(3, "one", "torn");
    unclaim("torn");
    claimed_by(2, "one", "two");
}

static void claims_stay_in_their_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(no_names); i++) {
        fails("claim", claim_of(no_names[i], "a", false), ERR_REFUSED, REFUSED_OTHER);
        fails("unclaim", json_pack("{s:s}", "run", no_names[i]), ERR_REFUSED, REFUSED_OTHER);
    }
    fails("claim", json_object(), ERR_REFUSED, REFUSED_OTHER);
    fails("claim", json_pack("{s:s}", "claim", "one"), ERR_REFUSED, REFUSED_OTHER);
    fails("claim", json_pack("{s:{s:i}}", "claim", "run", 1), ERR_REFUSED, REFUSED_OTHER);
    fails("unclaim", json_object(), ERR_REFUSED, REFUSED_OTHER);
    assert_false(is_there(folder, "var"));
}

static void links_are_not_followed(void **state)
{
    (void)state;
    auto_free char *elsewhere = at(folder, "elsewhere"), *link = at(claim_dir, "one.json");
    put(folder, "elsewhere", "{\"run\":\"evil\",\"instance\":\"a\"}");
    claims("two", "b", false, "");
    assert_int_equal(symlink(elsewhere, link), 0);
    claimed_by(1, "two", NULL);
    claims("one", "a", false, ""); // in the link's place
    claimed_by(2, "one", "two");
    unclaim("one");
    assert_true(is_there(folder, "elsewhere"));
    unclaim("two");
    assert_int_equal(rmdir(claim_dir), 0);
    assert_int_equal(symlink(folder, claim_dir), 0);
    fails("claims", json_object(), ERR_SYSTEM, ENOTDIR);
    fails("claim", claim_of("one", "a", false), ERR_SYSTEM, ENOTDIR);
    fails("unclaim", json_pack("{s:s}", "run", "one"), ERR_SYSTEM, ENOTDIR);
}

static void claims_that_others_may_write(void **state)
{
    (void)state;
    auto_free char *above = at(folder, "var");
    const struct {
        const char *path;
        mode_t open, closed;
    } folders[] = {
        {claim_dir, 0770, 0700}, {claim_dir, 0750, 0700}, {above, 0770, 0755}, {folder, 0777, 0700}};
    claims("one", "a", false, "");
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        assert_int_equal(chmod(folders[i].path, folders[i].open), 0);
        fails("claims", json_object(), ERR_REFUSED, REFUSED_OTHER);
        fails("claim", claim_of("two", "b", false), ERR_REFUSED, REFUSED_OTHER);
        fails("unclaim", json_pack("{s:s}", "run", "one"), ERR_REFUSED, REFUSED_OTHER);
        assert_int_equal(chmod(folders[i].path, folders[i].closed), 0);
    }
    const char *const paths[] = {claim_dir, above, folder};
    for (size_t i = 0; geteuid() == 0 && i < COUNT_OF(paths); i++) {
        assert_int_equal(chown(paths[i], 12, 34), 0);
        fails("claims", json_object(), ERR_REFUSED, REFUSED_OTHER);
        assert_int_equal(chown(paths[i], 0, 0), 0);
    }
    claimed_by(1, "one", NULL);
}

static void of_many_at_once_one_has_it(void **state)
{
    (void)state;
    enum { MANY = 8 };
    pid_t pids[MANY];
    int taken = 0;
    for (int i = 0; i < MANY; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            char name[8];
            snprintf(name, sizeof name, "run-%d", i);
            json_t *result = NULL;
            struct error err;
            int rc = serve("claim", claim_of(name, "a", false), &result, &err);
            _exit(rc < 0 ? 2 : json_object_get(result, "held") ? 1 : 0);
        }
        assert_true(pids[i] > 0);
    }
    for (int i = 0; i < MANY; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        taken += WEXITSTATUS(status) == 0;
    }
    assert_int_equal(taken, 1);
    claimed_by(1, NULL, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_are_plain),
        TEST(notes_are_kept),
        TEST(the_first_note_stays),
        TEST(a_note_is_an_effect),
        TEST(notes_stay_in_their_folder),
        TEST(torn_notes_are_left_out),
        TEST(notes_that_cannot_be_read_are_named),
        TEST(undone_changes_are_told_no_more),
        TEST(half_a_note_is_none),
        TEST(what_is_open_to_others_is_no_place),
        TEST(forgotten),
        TEST(only_a_run_s_files_are_forgotten),
        TEST(a_claim_is_taken_and_given_back),
        TEST(one_run_an_instance),
        TEST(a_host_for_oneself),
        TEST(the_same_run_again),
        TEST(a_run_without_an_instance),
        TEST(an_answer_tells_the_whole_claim),
        TEST(torn_claims_hold_nothing),
        TEST(claims_stay_in_their_folder),
        TEST(links_are_not_followed),
        TEST(claims_that_others_may_write),
        TEST(of_many_at_once_one_has_it),
    };
    return cmocka_run_group_tests_name("agent_kept", tests, NULL, NULL);
}
