// SPDX-License-Identifier: MIT
// The journal: who writes it, what is left of it after a power cut, a full disk or an editor, and what ends a
// run.
#include "base/io.h"
#include "base/text.h"
#include "run/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

static json_t *opening(void) { return json_pack("{s:f, s:s, s:s}", "time", 1.5, "run", run, "type", "open"); }

static struct journal *open_journal(void)
{
    auto_json json_t *first = opening();
    struct journal *journal;
    struct error err;
    if (journal_open(state_dir, run, first, "return {}", &journal, &err) < 0)
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

static int add_to(struct journal *journal, const char *type, int number, struct error *err)
{
    auto_json json_t *line = json_pack("{s:s, s:i}", "type", type, "number", number);
    return journal_add(journal, line, number % 2, err);
}

static void add(struct journal *journal, const char *type, int number)
{
    assert_int_equal(add_to(journal, type, number, NULL), 0);
}

static json_t *records_of(void)
{
    json_t *records;
    struct error err;
    if (journal_read(state_dir, run, &records, &err) < 0)
        fail_msg("%s", err.message);
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
    json_t *records = NULL;
    struct error err = {0};
    assert_int_equal(journal_read(state_dir, name, &records, &err), -1);
    assert_int_equal(err.domain, domain);
    assert_int_equal(err.code, code);
    assert_null(records);
}

static void put(const char *path, const void *data, size_t len, int flags)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, data, len), 0);
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

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    state_dir = xstrdup("/tmp/migrun-test-XXXXXX");
    return mkdtemp(state_dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    nftw(state_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(state_dir);
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
    auto_json json_t *first = opening(), *records = NULL;
    struct journal *journal;
    assert_int_equal(journal_open(deep, run, first, "", &journal, NULL), 0);
    journal_close(journal);
    assert_int_equal(journal_read(deep, run, &records, NULL), 0);
    assert_true(json_equal(json_array_get(records, 0), first));
}

// Writes a run's journal where a user's runs are recorded, and reads it there.
static int record_at_home(const char *home, const char *state_home)
{
    auto_json json_t *first = opening(), *names = NULL, *records = NULL;
    struct journal *journal;
    if (setuid(65534) < 0 || setenv("HOME", home, 1) < 0 ||
        (state_home ? setenv("XDG_STATE_HOME", state_home, 1) : unsetenv("XDG_STATE_HOME")) < 0 ||
        journal_open(NULL, run, first, "", &journal, NULL) < 0)
        return 1;
    journal_close(journal);
    return journal_runs(NULL, &names, NULL) < 0 || json_array_size(names) != 1 ||
           journal_read(NULL, run, &records, NULL) < 0;
}

static void a_users_runs_are_in_their_home(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    for (int i = 0; i < 2; i++) {
        auto_free char *home = at(i ? "a" : "b"), *state_home = at("c"),
                       *in_home = at("b/.local/state/migrun/runs"), *in_state = at("c/migrun/runs");
        assert_int_equal(chmod(state_dir, 0777), 0);
        assert_int_equal(mkdir(home, 0777) | chmod(home, 0777), 0);
        int how;
        pid_t pid = fork();
        if (pid == 0)
            _exit(record_at_home(home, i ? state_home : NULL));
        assert_int_equal(waitpid(pid, &how, 0), pid);
        assert_int_equal(how, 0);
        assert_int_equal(access(i ? in_state : in_home, F_OK), 0);
    }
}

static void opens_once(void **state)
{
    (void)state;
    auto_json json_t *first = opening();
    for (int ended = 0; ended < 2; ended++) {
        struct journal *journal = ended ? resume() : open_journal(), *second = NULL;
        if (ended)
            journal_close(journal);
        struct error err = {0};
        assert_int_equal(journal_open(state_dir, run, first, "other", &second, &err), -1);
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
        add(journal, types[i], (int)i);
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
        assert_int_equal(journal_verdict(records) != NULL, lines == COUNT_OF(types) + 1);
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
    auto_json json_t *first = opening();
    auto_free char *line = json_dumps(first, JSON_COMPACT);
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
    assert_int_equal(journal_add(journal, line, true, NULL), 0);
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
    auto_json json_t *first = opening();
    auto_free char *line = json_dumps(first, JSON_COMPACT);
    auto_free char *after = xasprintf("%s\n{\"type\":\"done\"}\n{\"type\":\"about\"}\n", line);
    auto_free char *before = xasprintf("{\"type\":\"done\"}\n%s\n", line);
    write_text(after);
    reads_as("oda");
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
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
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
    auto_json json_t *first = json_pack("{s:s, s:s}", "run", "another", "type", "open");
    struct journal *other = NULL;
    struct error err = {0};
    assert_int_equal(journal_open(state_dir, "another", first, "return {}", &other, &err), -1);
    assert_int_equal(err.code, ENOSPC);
    assert_null(other);
    assert_false(journal_is_live(state_dir, "another"));
    assert_int_equal(mount("none", state_dir, NULL, MS_REMOUNT, "size=1m"), 0);
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
    auto_json json_t *first = opening();
    struct journal *journal = NULL;
    struct error err = {0};
    assert_int_equal(journal_open(state_dir, run, first, "", &journal, &err), -1);
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
    assert_int_equal(journal_add(journal, text, false, &err), -1);
    assert_int_equal(err.domain, ERR_BUG);
    assert_int_equal(journal_add(journal, NULL, false, &err), -1);
    reads_as("o");
    journal_close(journal);
}

// ---- what ends a run ----

static void ends_with(const char *records_text, const char *outcome)
{
    auto_json json_t *records = json_loads(records_text, 0, NULL);
    assert_non_null(records);
    const json_t *verdict = journal_verdict(records);
    assert_string_equal(verdict ? json_str(verdict, "outcome", "") : "(none)", outcome);
}

#define MOVED "{\"type\":\"verdict\",\"outcome\":\"moved\"}"
#define RESTORED "{\"type\":\"verdict\",\"outcome\":\"not_moved\"}"
#define DOUBT "{\"type\":\"verdict\",\"outcome\":\"in_doubt\"}"
#define RECOVER "{\"type\":\"recover\"}"

static void the_last_verdict(void **state)
{
    (void)state;
    ends_with("[]", "(none)");
    ends_with("[{\"type\":\"open\"}]", "(none)");
    ends_with("[" MOVED "]", "moved");
    ends_with("[" MOVED ", {\"type\":\"message\"}]", "moved");
    ends_with("[" DOUBT "]", "(none)");
    ends_with("[" DOUBT "," RECOVER "," MOVED "]", "moved");
    ends_with("[" RECOVER "," DOUBT "]", "(none)");
    ends_with("[" RESTORED "," RECOVER "]", "(none)");
    ends_with("[" RESTORED "," RECOVER "," DOUBT "]", "(none)");
    ends_with("[" RESTORED "," RECOVER "," MOVED "]", "moved");
    ends_with("[3, null, [], {}, {\"type\":4}, {\"type\":\"verdict\",\"outcome\":[]}, " MOVED "]", "moved");
    assert_null(journal_verdict(NULL));
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
        TEST(one_writer),
        TEST(a_killed_writer_is_gone),
        TEST(a_look_locks_nothing),
        TEST(a_users_runs_are_in_their_home),
        TEST(nothing_lives_where_nothing_is),
        TEST(names_stay_in_the_folder),
        TEST(a_torn_end),
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
        TEST(runs_by_age),
        TEST(runs_that_cannot_be_listed),
        TEST(removed),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
