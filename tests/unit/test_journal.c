// SPDX-License-Identifier: MIT
// The journal: who writes it, what is left of it after a power cut, a full disk or an editor, and what ends a
// run.
#include "base/io.h"
#include "base/mask.h"
#include "base/text.h"
#include "run/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

static const char run[] = "20260101-120000-abcd";
static char *state_dir;

// How often the disk was waited for, and how much of the journal it holds: a power cut takes the rest.
static size_t syncs;
static off_t synced;

int fsync(int fd)
{
    (void)fd;
    syncs++;
    return 0;
}

// Who only looks must lock nothing, not even for a moment.
static size_t locks;

int flock(int fd, int operation)
{
    locks++;
    return (int)syscall(SYS_flock, fd, operation);
}

int fdatasync(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    synced = st.st_size;
    syncs++;
    return 0;
}

static char *at(const char *name) { return xasprintf("%s/%s", state_dir, name); }

static char *in_run(const char *name) { return xasprintf("%s/runs/%s/%s", state_dir, run, name); }

static const struct opening opening = {.run = run, .time = 1.5, .text = "return {}"};

static struct journal *open_journal(void)
{
    struct journal *journal;
    struct error err;
    if (journal_open(state_dir, &opening, &journal, &err) < 0)
        fail_msg("%s", err.message);
    return journal;
}

static struct journal *resume(void)
{
    struct journal *journal;
    struct error err;
    if (journal_resume(state_dir, run, &journal, &err) < 0)
        fail_msg("%s", err.message);
    return journal;
}

static json_t *effect; // any

static int add_to(struct journal *journal, const char *type, int number, struct error *err)
{
    if (STREQ(type, "about"))
        return journal_about(journal, number, effect, err);
    if (STREQ(type, "done") || STREQ(type, "undone"))
        return journal_fate(journal, number, *type == 'd' ? FATE_DONE : FATE_UNDONE, NULL, NULL, err);
    if (STREQ(type, "recover"))
        return journal_recovery(journal, "somebody", false, err);
    auto_json json_t *event = json_pack("{s:s, s:i}", "type", type, "number", number);
    return journal_event(journal, event, err);
}

static void add(struct journal *journal, const char *type, int number)
{
    assert_int_equal(add_to(journal, type, number, NULL), 0);
}

static json_t *records_of(void)
{
    struct story story;
    struct error err;
    if (journal_read(state_dir, run, &story, &err) < 0)
        fail_msg("%s", err.message);
    json_t *records = json_incref(story.records);
    story_free(&story);
    return records;
}

// Their types, by the first letters: "oad".
static void reads_as(const char *letters)
{
    auto_json json_t *records = records_of();
    auto_buf struct buf text = {0};
    size_t i;
    json_t *record;
    json_array_foreach(records, i, record)
        buf_add(&text, json_str(record, "type", "?"), 1);
    assert_string_equal(text.data, letters);
}

static void reading_fails(const char *name, enum error_domain domain, int code)
{
    struct story story;
    struct error err = {0};
    assert_int_equal(journal_read(state_dir, name, &story, &err), -1);
    assert_int_equal(err.domain, domain);
    assert_int_equal(err.code, code);
    story_free(&story);
}

static void put(const char *path, const void *data, size_t len, int flags)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, data, len), 0);
}

// A journal's first line as it is written. Caller frees.
static char *first_line(void)
{
    auto_free char *path = in_run("journal.jsonl");
    char *text;
    size_t len;
    if (access(path, F_OK) < 0)
        journal_close(open_journal());
    assert_int_equal(read_whole_file(path, 1 << 20, &text, &len), 0);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void ends_with(const char *outcome)
{
    struct story auto_story story = {0};
    struct error err;
    if (journal_read(state_dir, run, &story, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(story.verdict ? json_str(story.verdict, "outcome", "?") : "(none)", outcome);
}

// A journal of another hand.
static void write_journal(const void *data, size_t len)
{
    auto_free char *runs = at("runs"), *dir = in_run(""), *path = in_run("journal.jsonl");
    assert_true(mkdir(runs, 0700) == 0 || errno == EEXIST);
    assert_true(mkdir(dir, 0700) == 0 || errno == EEXIST);
    put(path, data, len, O_TRUNC);
}

static void write_text(const char *text) { write_journal(text, strlen(text)); }

static void append(const char *text)
{
    auto_free char *path = in_run("journal.jsonl");
    put(path, text, strlen(text), O_APPEND);
}

static char *contents(const char *name, size_t *len)
{
    auto_free char *path = in_run(name);
    char *data;
    assert_int_equal(read_whole_file(path, 1 << 20, &data, len), 0);
    return data;
}

static int setup(void **state)
{
    (void)state;
    effect = json_pack("{s:s, s:s, s:s, s:{}, s:{}}", "kind", "k", "host", "h", "target", "t", "before",
                       "after");
    state_dir = xstrdup("/tmp/migrun-test-XXXXXX");
    return mkdtemp(state_dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(state_dir);
    free(state_dir);
    json_decref(effect);
    return 0;
}

// ---- who writes ----

static void opening_is_there_at_once(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    size_t len;
    auto_free char *path = in_run("journal.jsonl"), *dir = in_run("");
    auto_free char *text = contents("journal.jsonl", &len), *policy = contents("policy.lua", &len);
    assert_true(strchr(text, '\n') && !strchr(text, '\n')[1]);
    assert_string_equal(policy, "return {}");
    reads_as("o");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    add(journal, "about", 1);
    add(journal, "done", 2);
    reads_as("oad");
    journal_close(journal);
    journal_close(NULL);
}

static void makes_the_folders_above(void **state)
{
    (void)state;
    auto_free char *deep = at("var/lib/migrun");
    struct story auto_story story = {0};
    struct journal *journal;
    assert_int_equal(journal_open(deep, &opening, &journal, NULL), 0);
    journal_close(journal);
    assert_int_equal(journal_read(deep, run, &story, NULL), 0);
    assert_string_equal(story.opening.text, opening.text);
}

// Writes a run's journal where a user's runs are recorded, and reads it there.
static int record_at_home(const char *home, const char *state_home)
{
    auto_json json_t *names = NULL;
    struct story auto_story story = {0};
    struct journal *journal;
    if (setuid(65534) < 0 || setenv("HOME", home, 1) < 0 ||
        (state_home ? setenv("XDG_STATE_HOME", state_home, 1) : unsetenv("XDG_STATE_HOME")) < 0 ||
        journal_open(NULL, &opening, &journal, NULL) < 0)
        return 1;
    journal_close(journal);
    return journal_runs(NULL, &names, NULL) < 0 || json_array_size(names) != 1 ||
           journal_read(NULL, run, &story, NULL) < 0;
}

static void a_users_runs_are_in_their_home(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    for (int i = 0; i < 2; i++) {
        auto_free char *home = at(i ? "a" : "b"), *state_home = at("c"),
                       *in_home = at("b/.local/state/migrun/runs"), *in_state = at("c/migrun/runs");
        assert_int_equal(chmod(state_dir, 01777), 0);
        assert_int_equal(mkdir(home, 0700) | chown(home, 65534, 65534), 0);
        int how;
        pid_t pid = fork();
        if (pid == 0)
            _exit(record_at_home(home, i ? state_home : NULL));
        assert_int_equal(waitpid(pid, &how, 0), pid);
        assert_int_equal(how, 0);
        assert_int_equal(access(i ? in_state : in_home, F_OK), 0);
    }
}

// Killed between making its folder and its journal.
static void a_folder_without_a_journal(void **state)
{
    (void)state;
    auto_free char *runs = at("runs"), *dir = in_run("");
    struct story auto_story story = {0};
    struct error err = {0};
    assert_int_equal(mkdir(runs, 0700) | mkdir(dir, 0700), 0);
    assert_int_equal(journal_read(state_dir, run, &story, &err), -1);
    assert_int_equal(err.domain, ERR_SYSTEM);
    assert_int_equal(err.code, EILSEQ);
    assert_int_equal(journal_remove(state_dir, run, NULL), 0);
    assert_int_equal(access(dir, F_OK), -1);
}

// The undo of a run that had ended is gone on with until it has a verdict of its own.
static void an_undo_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *outcome; // of a verdict, NULL: an undo begins
        bool undoes, ended;
    } rows[] = {{"done", false, true}, {NULL, true, false},    {"in_doubt", true, false},
                {NULL, true, false},   {"undone", true, true}, {"done", false, true}};
    struct journal *journal = open_journal();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct story auto_story story = {0};
        auto_json json_t *event = json_pack("{s:s, s:s*, s:i}", "type", "verdict", "outcome", rows[i].outcome,
                                            "status", 0);
        if (rows[i].outcome)
            assert_int_equal(journal_event(journal, event, NULL), 0);
        else
            assert_int_equal(journal_recovery(journal, "somebody", true, NULL), 0);
        assert_int_equal(journal_read(state_dir, run, &story, NULL), 0);
        assert_int_equal(story.undoes, rows[i].undoes);
        assert_int_equal(story.verdict != NULL, rows[i].ended);
    }
    journal_close(journal);
}

static void opens_once(void **state)
{
    (void)state;
    const struct opening other = {.run = run, .text = "other"};
    for (int ended = 0; ended < 2; ended++) {
        struct journal *journal = ended ? resume() : open_journal(), *second = NULL;
        if (ended)
            journal_close(journal);
        struct error err = {0};
        assert_int_equal(journal_open(state_dir, &other, &second, &err), -1);
        assert_int_equal(err.domain, ERR_SYSTEM);
        assert_int_equal(err.code, EEXIST);
        assert_null(second);
        reads_as("o");
        if (!ended)
            journal_close(journal);
    }
    size_t len;
    auto_free char *policy = contents("policy.lua", &len);
    assert_string_equal(policy, "return {}");
}

static void refuses_while_it_is_written(void)
{
    struct journal *second = NULL;
    struct error err = {0};
    assert_true(journal_is_live(state_dir, run));
    assert_int_equal(journal_resume(state_dir, run, &second, &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    assert_null(second);
    assert_int_equal(journal_remove(state_dir, run, &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    reads_as("o");
}

static void one_writer(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    refuses_while_it_is_written();
    journal_close(journal);
    assert_false(journal_is_live(state_dir, run));
    journal = resume();
    refuses_while_it_is_written();
    journal_close(journal);
    assert_int_equal(journal_remove(state_dir, run, NULL), 0);
}

static void a_killed_writer_is_gone(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        open_journal();
        _exit(write(ready[1], "", 1) == 1 && pause() ? 1 : 0);
    }
    assert_true(pid > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    refuses_while_it_is_written();
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_false(journal_is_live(state_dir, run));
    journal_close(resume());
    close(ready[0]);
    close(ready[1]);
}

static void is_not_trusted(void)
{
    struct journal *journal = NULL;
    struct error err = {0};
    reading_fails(run, ERR_REFUSED, REFUSED_OTHER);
    assert_int_equal(journal_resume(state_dir, run, &journal, &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    assert_int_equal(journal_remove(state_dir, run, &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
}

static void a_look_locks_nothing(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    locks = 0;
    assert_true(journal_is_live(state_dir, run));
    journal_close(journal);
    assert_false(journal_is_live(state_dir, run));
    assert_int_equal(locks, 0);
}

// What a stranger could have written is neither read nor gone on with.
static void what_others_could_write_is_not_trusted(void **state)
{
    (void)state;
    journal_close(open_journal());
    auto_free char *runs = at("runs"), *dir = in_run(""), *path = in_run("journal.jsonl");
    const char *const places[] = {state_dir, runs, dir, path};
    static const mode_t open_modes[] = {0777, 0770, 0722};
    for (size_t i = 0; i < COUNT_OF(places) * COUNT_OF(open_modes); i++) {
        const char *place = places[i % COUNT_OF(places)];
        assert_int_equal(chmod(place, open_modes[i / COUNT_OF(places)]), 0);
        is_not_trusted();
        assert_int_equal(chmod(place, 0700), 0);
    }
    for (size_t i = 0; geteuid() == 0 && i < COUNT_OF(places); i++) {
        assert_int_equal(chown(places[i], 65534, 65534), 0);
        is_not_trusted();
        assert_int_equal(chown(places[i], 0, 0), 0);
    }
    auto_free char *elsewhere = at("elsewhere");
    assert_int_equal(rename(path, elsewhere) | symlink(elsewhere, path), 0);
    is_not_trusted();
    assert_int_equal(unlink(path) | rename(elsewhere, path), 0);
    assert_int_equal(rename(runs, elsewhere) | symlink(elsewhere, runs), 0);
    is_not_trusted();
    assert_int_equal(unlink(runs) | rename(elsewhere, runs), 0);
    assert_int_equal(chmod(state_dir, 01777), 0); // as /tmp: what lies in it is still ours
    reads_as("o");
    if (geteuid() != 0)
        return;
    auto_free char *others = at("others"), *within = at("others/state"), *was = state_dir;
    assert_int_equal(mkdir(others, 0755) | mkdir(within, 0700), 0);
    auto_free char *runs_within = at("others/state/runs");
    assert_int_equal(rename(runs, runs_within), 0);
    state_dir = within;
    reads_as("o");
    assert_int_equal(chown(others, 65534, 65534), 0);
    is_not_trusted();
    assert_int_equal(chown(others, 0, 0), 0);
    reads_as("o");
    state_dir = steal(&was);
}

static void nothing_lives_where_nothing_is(void **state)
{
    (void)state;
    struct journal *journal = NULL;
    struct error err = {0};
    assert_false(journal_is_live(state_dir, run));
    assert_int_equal(journal_resume(state_dir, run, &journal, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    assert_int_equal(journal_remove(state_dir, run, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    reading_fails(run, ERR_USAGE, 0);
}

static void names_stay_in_the_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"",     ".",       "..",  "../outside", "a/b",
                                        "/etc", ".hidden", "a b", "a\n",        "\xff"};
    journal_close(open_journal());
    auto_free char *runs = at("runs"), *outside = at("outside"), *inside = at("outside/journal.jsonl"),
                   *above = at("journal.jsonl");
    assert_int_equal(mkdir(outside, 0700), 0);
    put(inside, "{}\n", 3, 0);
    put(above, "{}\n", 3, 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct journal *journal = NULL;
        struct error err = {0};
        reading_fails(names[i], ERR_USAGE, 0);
        assert_int_equal(journal_resume(state_dir, names[i], &journal, &err), -1);
        assert_int_equal(err.domain, ERR_USAGE);
        assert_int_equal(journal_remove(state_dir, names[i], &err), -1);
        assert_int_equal(err.domain, ERR_USAGE);
    }
    assert_int_equal(access(inside, F_OK), 0);
    assert_int_equal(access(above, F_OK), 0);
}

// ---- what is left of it ----

static void a_torn_end(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    add(journal, "about", 1);
    journal_close(journal);
    append("{\"type\":\"done\",\"num");
    reads_as("oa");
    journal = resume();
    add(journal, "recover", 0);
    reads_as("oar");
    journal_close(journal);
    append("{\"type\":\"verdict\"}"); // whole, but for its end: it may be half of a longer one
    reads_as("oar");
    journal = resume();
    reads_as("oar");
    add(journal, "recover", 0);
    reads_as("oarr");
    journal_close(journal);
}

// Neither the command line nor the parameters stand in it; who reads it has them.
static void secret_parameters_stand_apart(void **state)
{
    (void)state;
    struct error err;
    struct journal *journal;
    struct story auto_story story = {0};
    auto_json json_t *params = json_pack("{s:s, s:s}", "api_token", "sesame", "timeout", "5m");
    const struct opening told = {
        .run = run, .command = "migrun p.lua -p api_token=sesame x y", .params = params};
    assert_int_equal(journal_open(state_dir, &told, &journal, &err), 0);
    journal_close(journal);
    auto_free char *text = first_line(), *secret = in_run("secret-0.json");
    assert_null(strstr(text, "sesame"));
    assert_non_null(strstr(text, "-p api_token=********"));
    assert_int_equal(journal_read(state_dir, run, &story, &err), 0);
    assert_true(json_equal(story.opening.params, params));
    struct story auto_story without = {0};
    assert_int_equal(unlink(secret), 0);
    assert_int_equal(journal_read(state_dir, run, &without, &err), 0);
    assert_true(mask_is_in(without.opening.params));
}

// Of run.saved, too; also where a recovery goes on with the journal.
static void secrets_that_are_saved_stand_apart(void **state)
{
    (void)state;
    struct error err;
    struct story auto_story story = {0};
    for (int i = 0; i < 2; i++) {
        struct journal *journal = i ? resume() : open_journal();
        auto_json json_t *saved = json_pack("{s:s, s:i}", "token", "sesame", "i", i),
                         *masked = mask_json(saved);
        assert_int_equal(journal_saved(journal, saved, masked, &err), 0);
        journal_close(journal);
    }
    auto_free char *path = in_run("journal.jsonl"), *text = NULL;
    size_t len;
    assert_int_equal(read_whole_file(path, 1 << 20, &text, &len), 0);
    assert_null(strstr(text, "sesame"));
    assert_int_equal(journal_read(state_dir, run, &story, &err), 0);
    assert_string_equal(json_str(story.saved, "token", ""), "sesame");
    assert_int_equal(json_int(story.saved, "i", 0), 1);
}

static void secrets_go_with_it(void **state)
{
    (void)state;
    struct error err;
    struct journal *journal = open_journal();
    auto_json json_t *secret = json_pack("{s:s}", "token", "x");
    assert_int_equal(journal_secret(journal, 1, secret, &err), 0);
    assert_int_equal(journal_secret(journal, 1, secret, &err), -1); // the first is the true one
    journal_close(journal);
    auto_json json_t *whole = journal_whole(state_dir, run, 1);
    assert_true(json_equal(whole, secret));
    assert_int_equal(journal_remove(state_dir, run, &err), 0);
    assert_null(journal_whole(state_dir, run, 1));
}

static void resumed_where_it_ended(void **state)
{
    (void)state;
    journal_close(open_journal());
    size_t before, after;
    auto_free char *old = contents("journal.jsonl", &before);
    journal_close(resume());
    auto_free char *now = contents("journal.jsonl", &after);
    assert_int_equal(before, after);
    assert_string_equal(old, now);
}

static void cut_anywhere(void **state)
{
    (void)state;
    static const char *const types[] = {"about", "done", "message", "undone", "verdict"};
    struct journal *journal = open_journal();
    for (size_t i = 0; i < COUNT_OF(types); i++)
        add(journal, types[i], (int)i + 1);
    journal_close(journal);
    size_t len, lines = 0;
    auto_free char *text = contents("journal.jsonl", &len);
    for (size_t cut = 0; cut <= len; cut++) {
        lines += cut && text[cut - 1] == '\n';
        write_journal(text, cut);
        if (!lines) {
            reading_fails(run, ERR_SYSTEM, EILSEQ);
            continue;
        }
        auto_json json_t *records = records_of();
        assert_int_equal(json_array_size(records), lines);
        ends_with(lines == COUNT_OF(types) + 1 ? "?" : "(none)");
    }
}

static void a_power_cut_takes_what_was_not_synced(void **state)
{
    (void)state;
    auto_free char *path = in_run("journal.jsonl");
    syncs = 0;
    struct journal *journal = open_journal();
    assert_int_equal(syncs, 3); // the folder's name, its files' names, what is in the journal
    add(journal, "about", 1);
    assert_int_equal(syncs, 4);
    add(journal, "done", 2);
    assert_int_equal(syncs, 4);
    reads_as("oad");
    assert_int_equal(truncate(path, synced), 0);
    reads_as("oa");
    add(journal, "about", 3); // with what came before it
    add(journal, "done", 4);
    assert_int_equal(truncate(path, synced), 0);
    reads_as("oaa");
    journal_close(journal);
}

static void foreign_lines(void **state)
{
    (void)state;
    auto_free char *line = first_line();
    static const char *const foreign[] = {
        "",
        "\r",
        "no JSON",
        "[1]",
        "3",
        "null",
        "\"open\"",
        "{}",
        "{\"type\":3}",
        "{\"type\":null}",
        "{\"Type\":\"verdict\"}",
        "{\"type\":\"verdict\"",
        "{\"type\":\"verdict\"} x",
        "\xff\xfe",
        "{\"type\":\"\xff\"}",
        "{\"type\":\"a\",\"type\":",
    };
    for (size_t i = 0; i < COUNT_OF(foreign); i++) {
        auto_free char *text = xasprintf("%s\n%s\n{\"type\":\"done\"}\n", line, foreign[i]),
                       *at_start = xasprintf("%s\n%s\n", foreign[i], line);
        write_text(text);
        reads_as("od");
        write_text(at_start);
        reads_as("o");
    }
    auto_free char *zeros = xasprintf("%s\n....\n{\"type\":\"done\"}\n",
                                      line); // blocks that a power cut left empty
    memset(strstr(zeros, "...."), 0, 4);
    write_journal(zeros, strlen(line) + 1 + 5 + strlen("{\"type\":\"done\"}\n"));
    reads_as("od");
}

static void deep_lines(void **state)
{
    (void)state;
    enum { DEEP = 1 << 20 };
    auto_free char *deep = xmalloc(DEEP + 1);
    memset(deep, '[', DEEP);
    deep[DEEP] = '\0';
    journal_close(open_journal());
    append("{\"type\":");
    append(deep);
    append("\n{\"type\":\"done\"}\n");
    reads_as("od");
}

static void enormous_lines(void **state)
{
    (void)state;
    enum { LONG = 50 << 20 };
    auto_free char *text = xmalloc(LONG + 1);
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    struct journal *journal = open_journal();
    auto_json json_t *line = json_pack("{s:s, s:s}", "type", "message", "text", text);
    assert_int_equal(journal_event(journal, line, NULL), 0);
    add(journal, "done", 1);
    journal_close(journal);
    append(text); // and one that is nothing
    append("\n{\"type\":\"undone\"}\n");
    auto_json json_t *records = records_of();
    assert_int_equal(json_array_size(records), 4);
    assert_true(json_equal(json_array_get(records, 1), line));
}

static void without_an_opening(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\n",
        "x\n",
        "{\"type\":\"done\"}\n",
        "{\"type\":\"open\"}\n",
        "{\"type\":\"open\",\"run\":3}\n",
        "{\"type\":\"open\",\"run\":\"another\"}\n",
        "{\"type\":\"begin\",\"run\":\"20260101-120000-abcd\"}\n{\"type\":\"open\",\"run\":\"20260101-120000-"
        "abcd\"}\n",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        write_text(rows[i]);
        reading_fails(run, ERR_SYSTEM, EILSEQ);
    }
}

static void in_another_order(void **state)
{
    (void)state;
    auto_free char *line = first_line();
    auto_free char *after = xasprintf("%s\n{\"type\":\"done\"}\n{\"type\":\"message\"}\n", line);
    auto_free char *before = xasprintf("{\"type\":\"done\"}\n%s\n", line);
    write_text(after);
    reads_as("odm");
    write_text(before);
    reading_fails(run, ERR_SYSTEM, EILSEQ);
}

// ---- a disk that takes no more ----

static struct error fill(struct journal *journal, int *number)
{
    struct error err = {0};
    while (add_to(journal, "message", *number, &err) == 0)
        assert_true(++*number < 100000);
    return err;
}

static void is_whole(int lines)
{
    size_t len;
    auto_free char *text = contents("journal.jsonl", &len);
    assert_int_equal(text[len - 1], '\n');
    auto_json json_t *records = records_of();
    assert_int_equal(json_array_size(records), lines);
}

static void limit_files(rlim_t most)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = most == RLIM_INFINITY ? limit.rlim_max : most;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_file_that_may_not_grow(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    int number = 0;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    limit_files(65530);
    struct error err = fill(journal, &number);
    limit_files(RLIM_INFINITY);
    signal(SIGXFSZ, before);
    assert_int_equal(err.domain, ERR_SYSTEM);
    assert_int_equal(err.code, EFBIG);
    is_whole(number + 1);
    add(journal, "done", number);
    is_whole(number + 2);
    journal_close(journal);
}

// Mounts a small file system of this test's own over the folder; only root may.
static bool own_disk(const char *options, unsigned long flags)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", state_dir, "tmpfs", flags, options) == 0;
}

static void a_full_disk(void **state)
{
    (void)state;
    if (!own_disk("size=64k", 0))
        skip();
    struct journal *journal = open_journal();
    int number = 0;
    for (int i = 0; i < 2; i++) {
        struct error err = fill(journal, &number);
        assert_int_equal(err.domain, ERR_SYSTEM);
        assert_int_equal(err.code, ENOSPC);
        is_whole(number + 1);
    }
    const struct opening another = {.run = "another"};
    struct journal *other = NULL;
    struct error err = {0};
    assert_int_equal(journal_open(state_dir, &another, &other, &err), -1);
    assert_int_equal(err.code, ENOSPC);
    assert_null(other);
    assert_false(journal_is_live(state_dir, "another"));
    assert_int_equal(mount("none", state_dir, "tmpfs", MS_REMOUNT, "size=1m"), 0);
    add(journal, "done", number);
    is_whole(number + 2);
    journal_close(journal);
    assert_int_equal(umount2(state_dir, MNT_DETACH), 0);
}

static void a_folder_to_read_only(void **state)
{
    (void)state;
    bool root = geteuid() == 0;
    if (root && !own_disk(NULL, MS_RDONLY))
        skip();
    assert_true(root || chmod(state_dir, 0500) == 0);
    struct journal *journal = NULL;
    struct error err = {0};
    assert_int_equal(journal_open(state_dir, &opening, &journal, &err), -1);
    assert_int_equal(err.domain, ERR_SYSTEM);
    assert_int_equal(err.code, root ? EROFS : EACCES);
    assert_non_null(strstr(err.message, "nothing was changed"));
    assert_null(journal);
    assert_int_equal(root ? umount2(state_dir, MNT_DETACH) : chmod(state_dir, 0700), 0);
}

static void what_is_no_json(void **state)
{
    (void)state;
    struct journal *journal = open_journal();
    struct error err = {0};
    auto_json json_t *text = json_string("x");
    assert_int_equal(journal_event(journal, text, &err), -1);
    assert_int_equal(err.domain, ERR_BUG);
    assert_int_equal(journal_event(journal, NULL, &err), -1);
    reads_as("o");
    journal_close(journal);
}

// ---- what ends a run ----

#define MOVED "{\"type\":\"verdict\",\"outcome\":\"moved\"}\n"
#define RESTORED "{\"type\":\"verdict\",\"outcome\":\"not_moved\"}\n"
#define DOUBT "{\"type\":\"verdict\",\"outcome\":\"in_doubt\"}\n"
#define RECOVER "{\"type\":\"recover\"}\n"

static void these_end_with(const char *lines, const char *outcome)
{
    auto_free char *first = first_line(), *text = xasprintf("%s\n%s", first, lines);
    write_text(text);
    ends_with(outcome);
}

static void the_last_verdict(void **state)
{
    (void)state;
    these_end_with("", "(none)");
    these_end_with(MOVED, "moved");
    these_end_with(MOVED "{\"type\":\"message\"}\n", "moved");
    these_end_with(DOUBT, "(none)");
    these_end_with(DOUBT RECOVER MOVED, "moved");
    these_end_with(RECOVER DOUBT, "(none)");
    these_end_with(RESTORED RECOVER, "(none)");
    these_end_with(RESTORED RECOVER DOUBT, "(none)");
    these_end_with(RESTORED RECOVER MOVED, "moved");
    these_end_with("3\nnull\n[]\n{}\n{\"type\":4}\n" MOVED, "moved");
}

// ---- what it tells ----

#define EFFECT "{\"kind\":\"k\",\"host\":\"h\",\"target\":\"t\",\"before\":{},\"after\":{}}"
#define ABOUT(number) "{\"type\":\"about\",\"number\":" #number ",\"effect\":" EFFECT "}\n"
#define FATE(type, number) "{\"type\":\"" type "\",\"number\":" #number "}\n"

static void story_of_lines(const char *members, const char *lines, struct story *story)
{
    struct error err;
    auto_free char *text = xasprintf("{\"type\":\"open\",\"run\":\"%s\"%s}\n%s", run, members, lines);
    write_text(text);
    if (journal_read(state_dir, run, story, &err) < 0)
        fail_msg("%s", err.message);
}

static void what_became_of_effects(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        bool done, over;
    } rows[] = {
        {ABOUT(1), false, false},
        {ABOUT(1) FATE("done", 1), true, false},
        {ABOUT(1) FATE("uncertain", 1), false, false},
        {ABOUT(1) FATE("not made", 1), false, true},
        {ABOUT(1) FATE("done", 1) FATE("undo failed", 1), true, false},
        {ABOUT(1) FATE("done", 1) FATE("undo failed", 1) RECOVER FATE("undone", 1), true, true},
        {ABOUT(1) FATE("done", 2) FATE("undone", 2), false, false},
        {FATE("done", 1) ABOUT(1), false, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct story auto_story story = {0};
        story_of_lines(",\"hosts\":[\"a\",\"h\"],\"source\":\"s\"", rows[i].lines, &story);
        assert_int_equal(story.n_effects, 1);
        assert_int_equal(story.effects[0].done, rows[i].done);
        assert_int_equal(story.effects[0].over, rows[i].over);
        auto_free char *hosts = json_dumps(story.hosts, JSON_COMPACT);
        assert_string_equal(hosts, "[\"a\",\"h\",\"s\"]");
    }
}

static void where_it_stopped_and_why(void **state)
{
    (void)state;
    struct story auto_story cut = {0}, auto_story ended = {0};
    story_of_lines("",
                   "{\"type\":\"step\",\"title\":\"one\",\"status\":\"start\"}\n"
                   "{\"type\":\"step\",\"title\":\"one\",\"status\":\"ok\"}\n"
                   "{\"type\":\"step\",\"title\":\"two\",\"status\":\"start\"}\n"
                   "{\"type\":\"saved\",\"saved\":{\"a\":1}}\n"
                   "{\"type\":\"dest\",\"dest\":\"chosen\"}\n",
                   &cut);
    assert_string_equal(cut.cut_off, "two");
    assert_non_null(strstr(cut.cause, "cut off"));
    assert_int_equal(json_int(cut.saved, "a", 0), 1);
    assert_string_equal(cut.opening.dest, "chosen");
    story_of_lines(
        "",
        "{\"type\":\"verdict\",\"outcome\":\"not_moved\",\"details\":[{\"label\":\"Cause\",\"text\":"
        "\"the true one\"}]}\n" RECOVER,
        &ended);
    assert_null(ended.verdict);
    assert_string_equal(ended.cause, "the true one");
}

// A journal of before there was a format is read, one of a newer is not.
static void formats(void **state)
{
    (void)state;
    static const struct {
        const char *members;
        bool is_read;
    } rows[] = {{"", true},
                {",\"format\":1", true},
                {",\"format\":2,\"migrun\":\"9.9\"", false},
                {",\"format\":-1,\"migrun\":\"9.9\"", false},
                {",\"format\":1e300,\"migrun\":\"9.9\"", true}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        auto_free char *text = xasprintf("{\"type\":\"open\",\"run\":\"%s\"%s}\n", run, rows[i].members);
        struct story auto_story story = {0};
        struct error err = {0};
        write_text(text);
        assert_int_equal(journal_read(state_dir, run, &story, &err), rows[i].is_read ? 0 : -1);
        if (rows[i].is_read)
            continue;
        assert_int_equal(err.domain, ERR_REFUSED);
        assert_non_null(strstr(err.message, "another migrun (9.9"));
    }
    auto_free char *line = NULL;
    auto_free char *dir = in_run("");
    remove_all(dir);
    line = first_line();
    assert_non_null(strstr(line, "\"format\":1,"));
}

// What no migrun writes is told, and nothing of it is acted upon.
static void journals_that_cannot_be_right(void **state)
{
    (void)state;
    static const char *const members[] = {
        ",\"hosts\":[null]",
        ",\"hosts\":[1,2]",
        ",\"instance\":\"x\"",
        ",\"instance\":{}",
        ",\"instance\":{\"uuid\":\"u\"}",
        ",\"server\":5",
        ",\"modules\":[1]",
        ",\"params\":5",
    };
    static const char *const lines[] = {
        "{\"type\":\"about\",\"number\":1,\"effect\":null}\n",
        "{\"type\":\"about\",\"number\":1,\"effect\":{\"kind\":\"k\",\"host\":\"h\",\"target\":\"t\"}}\n",
        "{\"type\":\"about\",\"number\":1,\"effect\":{\"kind\":\"k\",\"host\":5,\"target\":\"t\",\"before\":{"
        "},"
        "\"after\":{}}}\n",
        ABOUT(-5),
        ABOUT(0),
        ABOUT(1099511627776),
        ABOUT("x"),
        ABOUT(1) ABOUT(1),
        "{\"type\":\"saved\",\"saved\":[]}\n",
    };
    for (size_t i = 0; i < COUNT_OF(members) + COUNT_OF(lines); i++) {
        bool in_first = i < COUNT_OF(members);
        auto_free char *text = xasprintf("{\"type\":\"open\",\"run\":\"%s\"%s}\n%s", run,
                                         in_first ? members[i] : "",
                                         in_first ? "" : lines[i - COUNT_OF(members)]);
        write_text(text);
        reading_fails(run, ERR_SYSTEM, EBADMSG);
    }
}

// ---- all of them ----

static void runs_by_age(void **state)
{
    (void)state;
    static const char *const ours[] = {"20260102-000000-aaaa", "20251231-235959-ffff",
                                       "20260101-000000-0000"};
    static const char *const foreign[] = {
        "a b",
        ".hidden",
        "a.b",
        "\xff",
        "a\nb",
        "lost+found",
        "12345678901234567890123456789012345678901234567890123456789012345"};
    json_t *names;
    auto_free char *nowhere = at("nope");
    struct error err = {0};
    assert_int_equal(journal_runs(nowhere, &names, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    assert_non_null(strstr(err.message, "/nope"));
    assert_int_equal(journal_runs(state_dir, &names, NULL), 0);
    assert_int_equal(json_array_size(names), 0);
    json_decref(names);
    auto_free char *runs = at("runs"), *file = at("runs/file"), *link = at("runs/link");
    assert_int_equal(mkdir(runs, 0700), 0);
    assert_int_equal(journal_runs(state_dir, &names, NULL), 0);
    assert_int_equal(json_array_size(names), 0);
    json_decref(names);
    for (size_t i = 0; i < COUNT_OF(ours) + COUNT_OF(foreign); i++) {
        auto_free char *path = xasprintf("%s/%s", runs,
                                         i < COUNT_OF(ours) ? ours[i] : foreign[i - COUNT_OF(ours)]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    put(file, "x", 1, 0);
    assert_int_equal(symlink("/etc", link), 0);
    assert_int_equal(journal_runs(state_dir, &names, NULL), 0);
    auto_json json_t *expected = json_pack("[s, s, s]", ours[1], ours[2], ours[0]);
    assert_true(json_equal(names, expected));
    json_decref(names);
}

static void runs_that_cannot_be_listed(void **state)
{
    (void)state;
    auto_free char *runs = at("runs");
    put(runs, "x", 1, 0);
    json_t *names = NULL;
    struct error err = {0};
    assert_int_equal(journal_runs(state_dir, &names, &err), -1);
    assert_int_equal(err.code, ENOTDIR);
    assert_null(names);
}

static void removed(void **state)
{
    (void)state;
    journal_close(open_journal());
    auto_free char *dir = in_run(""), *policy = in_run("policy.lua"), *foreign = in_run("notes.txt");
    put(foreign, "x", 1, 0);
    struct error err = {0};
    assert_int_equal(journal_remove(state_dir, run, &err), -1); // somebody keeps something there
    assert_int_equal(err.code, ENOTEMPTY);
    assert_int_equal(access(foreign, F_OK), 0);
    write_text("");
    assert_int_equal(unlink(foreign), 0);
    assert_int_equal(journal_remove(state_dir, run, &err), 0);
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(journal_remove(state_dir, run, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    journal_close(open_journal());
    assert_int_equal(access(policy, F_OK), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(opening_is_there_at_once),
        TEST(makes_the_folders_above),
        TEST(opens_once),
        TEST(an_undo_is_told),
        TEST(a_folder_without_a_journal),
        TEST(one_writer),
        TEST(a_killed_writer_is_gone),
        TEST(a_look_locks_nothing),
        TEST(what_others_could_write_is_not_trusted),
        TEST(a_users_runs_are_in_their_home),
        TEST(nothing_lives_where_nothing_is),
        TEST(names_stay_in_the_folder),
        TEST(a_torn_end),
        TEST(secret_parameters_stand_apart),
        TEST(secrets_that_are_saved_stand_apart),
        TEST(secrets_go_with_it),
        TEST(resumed_where_it_ended),
        TEST(cut_anywhere),
        TEST(a_power_cut_takes_what_was_not_synced),
        TEST(foreign_lines),
        TEST(deep_lines),
        TEST(enormous_lines),
        TEST(without_an_opening),
        TEST(in_another_order),
        TEST(a_file_that_may_not_grow),
        TEST(a_full_disk),
        TEST(a_folder_to_read_only),
        TEST(what_is_no_json),
        TEST(the_last_verdict),
        TEST(what_became_of_effects),
        TEST(where_it_stopped_and_why),
        TEST(formats),
        TEST(journals_that_cannot_be_right),
        TEST(runs_by_age),
        TEST(runs_that_cannot_be_listed),
        TEST(removed),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
