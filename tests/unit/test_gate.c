// SPDX-License-Identifier: MIT
// The gate, with a host that is told when to fail: nothing is changed before the journal tells of it, and
// what was changed is undone.
#include "base/interrupt.h"
#include "base/io.h"
#include "base/mask.h"
#include "run/change.h"
#include "run/gate.h"
#include "run/journal.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

// ---- a host (its functions stand in for those of src/world/host.c) ----

struct host {
    json_t *files, *kept;  // {path: {text, mode}}, {"RUN/N": the same, or null}
    json_t *asked;         // what was asked for that changes something: ["write /etc/a", …]
    const char *service;   // its state
    bool on_its_way;       // what starts or stops does not get there
    const char *word;      // systemd's own, where the state is unknown
    int start_ms, stop_ms; // how long its unit lets it take; 0: it does not say
    json_int_t allowed;    // how long the last action was given
    const char *fails;     // this operation does
    const char *fails_at;  // but only of this path
    bool half;             // but only after it did what it should
    struct error refusal;  // with this, NULL domain: the connection is lost
    bool lost;             // nothing is answered any more
};

static struct run run;
static struct host host;
static struct run_host there = {.run = &run, .agent = &host};
static char *state_dir;

// How much of the journal is on the disk: the rest a power cut takes.
static off_t synced;

int fdatasync(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    synced = st.st_size;
    return 0;
}

static json_t *records(void)
{
    struct story story;
    struct error err;
    if (journal_read(state_dir, run.id, &story, &err) < 0)
        fail_msg("%s", err.message);
    json_t *all = json_incref(story.records);
    story_free(&story);
    return all;
}

static int lost(struct error *err)
{
    return error_set(err, ERR_HOST, HOST_LOST, "compute-1: the connection is lost");
}

// What a change is asked for with: its effect, which the journal holds already. An undo's tells of the change
// that it undoes.
static void is_noted(const json_t *request)
{
    const json_t *note = json_object_get(request, "note");
    const char *keep = json_str(request, "keep", "");
    size_t len = strlen(run.id), i, found = 0;
    assert_true(strncmp(keep, run.id, len) == 0 && keep[len] == '/');
    auto_json json_t *all = records();
    json_t *record;
    json_array_foreach(all, i, record)
        if (STREQ(json_str(record, "type", ""), "about") &&
            json_int(record, "number", 0) == atoi(keep + len + 1)) {
            assert_true(json_equal(json_object_get(record, "effect"), note));
            found++;
        }
    assert_int_equal(found, 1);
    auto_free char *path = xasprintf("%s/runs/%s/journal.jsonl", state_dir, run.id), *text = NULL;
    auto_free char *about = xasprintf("\"type\":\"about\",\"number\":%d,", atoi(keep + len + 1));
    assert_int_equal(read_whole_file(path, 1 << 20, &text, &i), 0);
    text[synced] = '\0';
    assert_non_null(strstr(text, about));
}

static bool matches(const json_t *file, const json_t *expect)
{
    char hash[65];
    if (!file || json_flag(expect, "absent", false))
        return !file && json_flag(expect, "absent", false);
    sha256_hex(json_str(file, "text", ""), json_string_length(json_object_get(file, "text")), hash);
    return STREQ(json_str(expect, "sha256", ""), hash);
}

static void set_text(const char *path, const char *text)
{
    json_object_set_new(host.files, path,
                        json_pack("{s:s, s:i, s:i, s:i}", "text", text, "mode", 0644, "uid", 0, "gid", 0));
}

// A change of owner takes the set-id bits away, as the kernel does.
static int serve_members(const char *op, json_t *file, const json_t *request, struct error *err)
{
    static const char *const members[] = {"mode", "uid", "gid"};
    const json_t *expect = json_object_get(request, "expect");
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (json_object_get(expect, members[i]) &&
            json_int(expect, members[i], -1) != json_int(file, members[i], -1))
            return error_set(err, ERR_REFUSED, REFUSED_CHANGED, "changed since");
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (json_object_get(request, members[i]))
            json_object_set(file, members[i], json_object_get(request, members[i]));
    if (STREQ(op, "chown"))
        json_object_set_new(file, "mode", json_integer(json_int(file, "mode", 0) & 0777));
    return 0;
}

static int serve_change(const char *op, const json_t *request, const char *body, struct error *err)
{
    const char *path = json_str(request, "path", ""), *keep = json_str(request, "keep", "");
    json_t *file = json_object_get(host.files, path), *expect = json_object_get(request, "expect");
    if (STREQ(op, "chmod") || STREQ(op, "chown"))
        return serve_members(op, file, request, err);
    if (!matches(file, expect))
        return error_set(err, ERR_REFUSED, REFUSED_CHANGED, "changed since");
    if (STREQ(op, "restore")) {
        json_t *old = json_object_get(host.kept, keep);
        return json_is_object(old) ? json_object_set(host.files, path, old)
                                   : json_object_del(host.files, path);
    }
    json_object_set_new(host.kept, keep, file ? json_deep_copy(file) : json_null());
    if (STREQ(op, "remove"))
        return json_object_del(host.files, path);
    auto_json json_t *old = json_incref(file);
    set_text(path, body);
    const json_t *from[] = {old, request};
    static const char *const members[] = {"mode", "uid", "gid"};
    for (size_t i = 0; i < COUNT_OF(from) * COUNT_OF(members); i++) {
        json_t *given = json_object_get(from[i / 3], members[i % 3]);
        if (given)
            json_object_set(json_object_get(host.files, path), members[i % 3], given);
    }
    return 0;
}

static int serve_look(const char *op, const json_t *request, struct message *answer, struct error *err)
{
    const json_t *file = json_object_get(host.files, json_str(request, "path", ""));
    if (!file)
        return error_errno(err, ENOENT, "compute-1");
    answer->head = json_pack("{s:{s:s, s:O, s:O, s:O, s:i, s:i}}", "result", "type", "file", "mode",
                             json_object_get(file, "mode"), "uid", json_object_get(file, "uid"), "gid",
                             json_object_get(file, "gid"), "device", 1, "inode", 2);
    if (STREQ(op, "read")) {
        answer->body = xstrdup(json_str(file, "text", ""));
        answer->body_len = strlen(answer->body);
    }
    return 0;
}

static int serve_service(const char *action)
{
    if (STREQ(action, "state"))
        return 0;
    if (host.on_its_way) {
        host.service = "unknown";
        return 0;
    }
    static const char *const words[][2] = {{"start", "active"}, {"restart", "active"}, {"stop", "inactive"}};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (STREQ(words[i][0], action))
            host.service = words[i][1];
    return 0;
}

// What a surgery is asked for: "stage /a" with what else than contents is to change.
static int serve_surgery(const char *action, json_t *request, struct message *answer)
{
    static const char *const plain[] = {"action", "surgery", "keep", "expect", "path"};
    auto_json json_t *rest = json_copy(request);
    const json_t *path = json_object_get(request, "path");
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        json_object_del(rest, plain[i]);
    auto_free char *options = STREQ(action, "stage") && json_object_size(rest)
                                  ? json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS)
                                  : xstrdup("");
    json_array_append_new(host.asked,
                          json_sprintf("%s%s%s%s%s", action, path ? " " : "",
                                       path ? json_string_value(path) : "", *options ? " " : "", options));
    answer->head = json_pack("{s:{s:s, s:s}}", "result", "phase",
                             STREQ(action, "commit") ? "committed" : "open", "text", "");
    return 0;
}

int host_call(struct host *h, const char *op, json_t *args, const void *body, size_t body_len,
              int64_t timeout_ms, struct message *answer, struct error *err)
{
    (void)h;
    (void)body_len;
    (void)timeout_ms;
    auto_json json_t *request = args;
    *answer = (struct message){0};
    assert_non_null(request);
    if (host.lost)
        return lost(err);
    if (STREQ(op, "stat") || STREQ(op, "read"))
        return serve_look(op, request, answer, err);
    if (STREQ(op, "tidy")) { // asked before a change is looked at
        assert_non_null(json_object_get(request, "path"));
        assert_true(strncmp(json_str(request, "keep", ""), run.id, strlen(run.id)) == 0);
        return 0;
    }
    const char *action = json_str(request, "action", "");
    if (STREQ(op, "surgery"))
        return serve_surgery(action, request, answer);
    if (!STREQ(action, "state")) {
        auto_free char *what = xasprintf("%s %s", *action ? action : op,
                                         json_str(request, "path", json_str(request, "unit", "")));
        json_array_append_new(host.asked, json_string(what));
        is_noted(request);
    }
    bool fails = host.fails && STREQ(host.fails, op) && !STREQ(action, "state") &&
                 (!host.fails_at || STREQ(host.fails_at, json_str(request, "path", "")));
    if (fails && host.refusal.domain) {
        *err = host.refusal;
        return -1;
    }
    if (fails && !host.half)
        return lost(err);
    bool is_service = STREQ(op, "service"), is_command = STREQ(op, "command");
    if (is_service && !STREQ(action, "state"))
        host.allowed = json_int(request, "timeout", -1);
    if (is_service ? serve_service(action) < 0 : !is_command && serve_change(op, request, body, err) < 0)
        return -1;
    if (fails)
        return lost(err);
    answer->head = json_pack("{s:{s:s*, s:i}}", "result", "state", host.service, "status", 0);
    if (is_service && host.word && STREQ(action, "state") && STREQ(host.service, "unknown"))
        json_object_set_new(json_object_get(answer->head, "result"), "word", json_string(host.word));
    if (is_service && host.start_ms)
        json_object_update_new(
            json_object_get(answer->head, "result"),
            json_pack("{s:i, s:i}", "start_timeout", host.start_ms, "stop_timeout", host.stop_ms));
    return 0;
}

const char *host_name(const struct host *h)
{
    (void)h;
    return "compute-1";
}

const struct host_spec *host_spec(const struct host *h)
{
    static struct host_spec spec;
    (void)h;
    return &spec;
}

// The rest of host.h, so that the true one is not linked: nothing here connects.
#define NOT_CALLED \
    {              \
        fail();    \
        return 0;  \
    }
#define UNUSED __attribute__((unused))
int host_start(UNUSED const struct host_spec *s, UNUSED const char *d, UNUSED bool r, UNUSED struct host **h,
               UNUSED struct error *e) NOT_CALLED
    int host_finish(UNUSED struct host *h, UNUSED int64_t deadline, UNUSED struct error *e) NOT_CALLED
    int host_keep_alive(UNUSED struct host *h, UNUSED struct error *e) NOT_CALLED
    void host_leave(UNUSED struct host *h)
{
    fail();
}
void host_close(UNUSED struct host *h) { fail(); }
int host_check_login(UNUSED struct host *h, UNUSED struct error *e) NOT_CALLED
    void host_end_login(UNUSED struct host *h)
{
    fail();
}
int host_revive(UNUSED struct host *h, UNUSED int64_t deadline, UNUSED struct error *e) NOT_CALLED const
    char *host_missing(UNUSED const struct host *h) NOT_CALLED const
    char *host_hostname(UNUSED const struct host *h) NOT_CALLED

    bool host_is_root(UNUSED const struct host *h) NOT_CALLED
    int host_send(UNUSED struct host *h, UNUSED const char *op, UNUSED json_t *args, UNUSED const void *body,
                  UNUSED size_t len, UNUSED struct error *e) NOT_CALLED
    int host_receive(UNUSED struct host *h, UNUSED int64_t timeout_ms, UNUSED struct message *answer,
                     UNUSED struct error *e) NOT_CALLED
    int host_connect_libvirt(UNUSED struct host *h, UNUSED struct error *e) NOT_CALLED
    char *host_libvirt_uri(UNUSED const struct host *h, UNUSED bool read_only) NOT_CALLED

    // ---- a run ----

    static json_t *events;
static struct step prepare = {.title = "Change things", .phase = PHASE_PREPARE},
                   fixup = {.title = "Put things right", .phase = PHASE_FIXUP};
static struct run_options options;

static void hear(void *data, const json_t *event)
{
    (void)data;
    json_array_append(events, (json_t *)(uintptr_t)event);
}

static int setup(void **state)
{
    (void)state;
    state_dir = xstrdup("/tmp/migrun-test-XXXXXX");
    if (!mkdtemp(state_dir))
        return -1;
    options = (struct run_options){0};
    events = json_array();
    host = (struct host){
        .files = json_object(), .kept = json_object(), .asked = json_array(), .service = "active"};
    run = (struct run){.options = &options,
                       .listener = {.event = hear},
                       .id = "run-1",
                       .overlay = json_object(),
                       .kept = json_array()};
    run.step = &prepare;
    run.phase = PHASE_PREPARE;
    interrupt_count = 0;
    return journal_open(state_dir, &(struct opening){.run = run.id}, &run.journal, NULL);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < run.n_effects; i++)
        effect_free(run.effects[i]);
    free(run.effects);
    journal_close(run.journal);
    json_t *all[] = {run.overlay, run.kept, host.files, host.kept, host.asked, events};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        json_decref(all[i]);
    remove_all(state_dir);
    free(state_dir);
    return 0;
}

static void enter(const struct step *step)
{
    run.step = step;
    run.phase = step->phase;
}

static int write_text(const char *path, const char *text, struct error *err)
{
    auto_free char *old = NULL;
    auto_json json_t *stat = NULL;
    size_t len;
    if (run_read(&there, path, &old, &len, &stat, err) < 0)
        return -1;
    return change_write(&there, path, old, len, stat, text, strlen(text), NULL, err);
}

static void must_write(const char *path, const char *text)
{
    struct error err;
    if (write_text(path, text, &err) < 0)
        fail_msg("%s", err.message);
}

static void fails_to_write(const char *path, const char *text, enum error_domain domain)
{
    struct error err = {0};
    assert_int_equal(write_text(path, text, &err), -1);
    assert_int_equal(err.domain, domain);
}

// "" tells of a file that is not there.
static void holds(const char *path, const char *text)
{
    assert_string_equal(json_str(json_object_get(host.files, path), "text", ""), text);
}

static void asked_for(const char *json)
{
    auto_json json_t *expected = json_loads(json, 0, NULL);
    assert_non_null(expected);
    auto_free char *asked = json_dumps(host.asked, 0);
    if (!json_equal(expected, host.asked))
        fail_msg("asked for %s", asked);
    json_array_clear(host.asked);
}

// The journal's records of effects, "about 1, done 1".
static void journal_tells(const char *expected)
{
    auto_json json_t *all = records();
    auto_buf struct buf text = {0};
    size_t i;
    json_t *record;
    json_array_foreach(all, i, record)
        if (json_object_get(record, "number") && !STREQ(json_str(record, "type", ""), "effect"))
            buf_printf(&text, "%s%s %d", text.len ? ", " : "", json_str(record, "type", ""),
                       (int)json_int(record, "number", 0));
    assert_string_equal(text.data ? text.data : "", expected);
}

// The same of what the operator is told: "done 1, undone 1".
static void operator_hears(const char *expected)
{
    auto_buf struct buf text = {0};
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
        if (STREQ(json_str(event, "type", ""), "effect"))
            buf_printf(&text, "%s%s %d", text.len ? ", " : "", json_str(event, "status", ""),
                       (int)json_int(event, "number", 0));
    assert_string_equal(text.data ? text.data : "", expected);
}

// The problems, for the caller to free.
static json_t *undo(size_t undone, size_t failed)
{
    json_t *problems = json_array();
    size_t count = 99;
    json_array_clear(host.asked);
    assert_int_equal(gate_undo(&run, &count, problems), failed);
    assert_int_equal(count, undone);
    assert_int_equal(json_array_size(problems), failed);
    return problems;
}

static void all_is_undone(size_t undone) { json_decref(undo(undone, 0)); }

// ---- when it is open ----

static void refused(enum error_domain domain, int code, const char *word)
{
    struct error err = {0};
    assert_int_equal(gate_open(&run, "a change", &err), -1);
    assert_int_equal(err.domain, domain);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, word));
    fails_to_write("/a", "x", domain);
    asked_for("[]");
    assert_int_equal(run.n_effects, 0);
}

static void only_steps_change_things(void **state)
{
    (void)state;
    struct step check = {.title = "Look", .phase = PHASE_CHECK};
    assert_int_equal(gate_open(&run, "a change", NULL), 0);
    run.pure = 1;
    refused(ERR_REFUSED, REFUSED_PHASE, "edits");
    run.pure = 0;
    run.step = NULL;
    refused(ERR_REFUSED, REFUSED_PHASE, "only a step");
    enter(&check);
    refused(ERR_REFUSED, REFUSED_PHASE, "a check");
    journal_tells("");
}

static void nothing_is_begun_once_interrupted(void **state)
{
    (void)state;
    interrupt_count = 1;
    refused(ERR_INTERRUPTED, 0, "not begun");
    run.moved = true; // there is no way back
    assert_int_equal(gate_open(&run, "a change", NULL), 0);
    run.moved = false;
    enter(&fixup);
    assert_int_equal(gate_open(&run, "a change", NULL), 0);
}

// ---- a change ----

static void the_journal_is_first(void **state)
{
    (void)state;
    set_text("/a", "old secret");
    must_write("/a", "new secret"); // the host looks into the journal: is_noted
    holds("/a", "new secret");
    asked_for("[\"write /a\"]");
    journal_tells("about 1, done 1");
    operator_hears("done 1");
    must_write("/a", "new secret");
    asked_for("[]");
    assert_int_equal(run.n_effects, 1);
    auto_json json_t *all = records(),
                     *about = json_incref(json_object_get(json_array_get(all, 1), "effect"));
    auto_free char *text = json_dumps(about, 0);
    assert_null(strstr(text, "secret"));
    assert_string_equal(json_str(about, "kind", ""), "file.write");
    assert_string_equal(json_str(about, "step", ""), "Change things");
    assert_string_equal(json_str(about, "target", ""), "/a");
}

static void without_a_journal_nothing_is_changed(void **state)
{
    (void)state;
    struct rlimit before, none;
    must_write("/a", "one");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){.rlim_cur = 1, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct error err = {0};
    int rc = write_text("/b", "two", &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(rc, -1);
    assert_int_equal(err.code, EFBIG);
    holds("/b", "");
    asked_for("[\"write /a\"]");
    journal_tells("about 1, done 1");
    all_is_undone(1);
    holds("/a", "");
}

static void what_was_not_made_is_not_undone(void **state)
{
    (void)state;
    set_text("/a", "old");
    host.fails = "write";
    fails_to_write("/a", "new", ERR_HOST);
    holds("/a", "old");
    journal_tells("about 1, not made 1");
    operator_hears("failed 1");
    all_is_undone(0);
    asked_for("[]");
}

static void what_was_made_though_it_failed_is_undone(void **state)
{
    (void)state;
    set_text("/a", "old");
    host.fails = "write";
    host.half = true;
    fails_to_write("/a", "new", ERR_HOST);
    holds("/a", "new");
    journal_tells("about 1, uncertain 1");
    all_is_undone(1);
    asked_for("[\"restore /a\"]");
    holds("/a", "old");
    journal_tells("about 1, uncertain 1, undone 1");
    operator_hears("failed 1, undone 1");
    all_is_undone(0);
}

// A start that failed for us may still succeed for systemd: it is stopped again.
static void a_unit_that_is_on_its_way_is_no_unit_that_was_not_started(void **state)
{
    (void)state;
    struct error err;
    host.service = "inactive";
    host.fails = "service";
    host.half = host.on_its_way = true;
    assert_int_equal(change_service(&there, "nova-compute", "start", NULL, 0, &err), -1);
    journal_tells("about 1, uncertain 1");
    host.fails = NULL;
    host.on_its_way = false;
    all_is_undone(1);
    asked_for("[\"stop nova-compute\"]");
    assert_string_equal(host.service, "inactive");
}

static void what_is_refused_is_not_undone(void **state)
{
    (void)state;
    set_text("/a", "old");
    host.fails = "write";
    error_set(&host.refusal, ERR_REFUSED, REFUSED_CHANGED, "/a was changed since it was looked at");
    fails_to_write("/a", "new", ERR_REFUSED);
    set_text("/a", "theirs");
    journal_tells("about 1, not made 1");
    all_is_undone(0);
    asked_for("[]");
    holds("/a", "theirs");
}

static void what_is_refused_because_of_others_is_not_undone(void **state)
{
    (void)state;
    struct error err = {0};
    auto_json json_t *stat = NULL;
    auto_free char *old = NULL;
    size_t len;
    set_text("/a", "old");
    assert_int_equal(run_read(&there, "/a", &old, &len, &stat, &err), 0);
    set_text("/a", "theirs");
    assert_int_equal(change_write(&there, "/a", old, len, stat, "new", 3, NULL, &err), -1);
    assert_int_equal(err.code, REFUSED_CHANGED);
    journal_tells("about 1, not made 1");
    all_is_undone(0);
    holds("/a", "theirs");
}

static json_t *command(const char *undo_by)
{
    return undo_by ? json_pack("{s:[s], s:[s]}", "argv", "make", "undo", undo_by)
                   : json_pack("{s:[s]}", "argv", "make");
}

static void fails_to_run(const char *undo_by)
{
    struct error err = {0};
    auto_message struct message answer = {0};
    assert_int_equal(change_command(&there, command(undo_by), NULL, 0, &answer, &err), -1);
}

static void a_program_that_cannot_start_is_neither_undone_nor_kept(void **state)
{
    (void)state;
    host.fails = "command";
    error_errno(&host.refusal, ENOENT, "cannot start make");
    fails_to_run("unmake");
    fails_to_run(NULL);
    journal_tells("about 1, not made 1, about 2, not made 2");
    operator_hears("failed 1, failed 2");
    all_is_undone(0);
    asked_for("[]");
    assert_int_equal(json_array_size(run.kept), 0);
}

static bool is_told(const char *text)
{
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
        if (strstr(json_str(event, "text", ""), text))
            return true;
    return false;
}

static void a_command_whose_answer_is_lost_is_undone_and_that_is_said(void **state)
{
    (void)state;
    host.fails = "command";
    host.half = true;
    fails_to_run("unmake");
    fails_to_run(NULL);
    host.fails = NULL;
    journal_tells("about 1, uncertain 1, about 2, uncertain 2");
    all_is_undone(1);
    asked_for("[\"command \"]");
    assert_true(is_told("make on compute-1: it is not known whether it was made, so it is undone"));
    assert_int_equal(json_array_size(run.kept), 1);
    assert_non_null(
        strstr(json_string_value(json_array_get(run.kept, 0)), "it is not known whether it was made"));
}

static void what_cannot_be_asked_is_no_success(void **state)
{
    (void)state;
    set_text("/a", "old");
    must_write("/a", "new");
    host.lost = true;
    auto_json json_t *problems = undo(0, 1);
    assert_non_null(strstr(json_string_value(json_array_get(problems, 0)),
                           "/a on compute-1: compute-1: the connection is lost"));
    assert_non_null(strstr(json_string_value(json_array_get(problems, 0)), KEEP_DIR "/run-1/1"));
    journal_tells("about 1, done 1, undo failed 1");
    host.lost = false;
    all_is_undone(1); // and again, once it answers
    holds("/a", "old");
}

// A unit on its way gets there again when what stopped or started it is undone; what its state was otherwise
// nobody knows.
static void a_unit_on_its_way_gets_there_again(void **state)
{
    (void)state;
    static const struct {
        const char *word, *action, *undo;
    } rows[] = {
        {"activating", "stop", "[\"start nova-compute\"]"},
        {"deactivating", "start", "[\"stop nova-compute\"]"},
    };
    struct error err;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        host.service = "unknown";
        host.word = rows[i].word;
        assert_int_equal(change_service(&there, "nova-compute", rows[i].action, NULL, 0, &err), 0);
        all_is_undone(1);
        asked_for(rows[i].undo);
    }
    host.service = "unknown";
    host.word = "maintenance";
    assert_int_equal(change_service(&there, "nova-compute", "stop", NULL, 0, &err), 0);
    auto_json json_t *problems = undo(0, 1);
    assert_non_null(strstr(json_string_value(json_array_get(problems, 0)), "its state before is not known"));
}

// A service is given the time that its unit gives it, and a little more.
static void a_service_has_the_time_that_its_unit_gives(void **state)
{
    (void)state;
    static const struct {
        const char *action, *service;
        int start_ms, stop_ms, asked_ms;
        json_int_t allowed, undo;
    } rows[] = {
        {"stop", "active", 90000, 160000, 0, 170000, 100000},
        {"start", "inactive", 90000, 160000, 0, 100000, 170000},
        {"stop", "active", 90000, 160000, 5000, 5000, 100000},
        {"stop", "active", 0, 0, 0, 100000, 100000},
        {"restart", "active", 90000, 160000, 0, 260000, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err;
        host.service = rows[i].service;
        host.start_ms = rows[i].start_ms;
        host.stop_ms = rows[i].stop_ms;
        assert_int_equal(change_service(&there, "nova-compute", rows[i].action, NULL, rows[i].asked_ms, &err),
                         0);
        assert_int_equal(host.allowed, rows[i].allowed);
        if (!rows[i].undo)
            continue;
        all_is_undone(1);
        assert_int_equal(host.allowed, rows[i].undo);
    }
}

// Who stops libvirtd, by whatever name, has the host for itself.
static void who_stops_libvirtd_has_the_host_for_itself(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        bool exclusive;
    } rows[] = {{"libvirtd", true},          {"libvirtd.service", true}, {"virtqemud", true},
                {"virtqemud.service", true}, {"virtlogd", false},        {"nova-compute", false},
                {"virtqemud-sock", false}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err;
        run.exclusive = false;
        assert_int_equal(change_service(&there, rows[i].unit, "restart", NULL, 0, &err), 0);
        if (run.exclusive != rows[i].exclusive)
            fail_msg("%s", rows[i].unit);
    }
}

// ---- reads in a preview ----

static void a_preview_reads_what_it_would_have_written(void **state)
{
    (void)state;
    struct error err;
    auto_message struct message log = {0}, rest = {0}, none = {0};
    options.preview = true;
    set_text("/b", "old");
    must_write("/a", "one\ntwo\nthree\n");
    assert_int_equal(run_log(&there, "/a", -1, 0, &log, &err), 0);
    assert_int_equal(json_int(json_object_get(log.head, "result"), "size", -1), 14);
    assert_int_equal(json_int(json_object_get(log.head, "result"), "lines", -1), 3);
    assert_int_equal(run_log(&there, "/a", 4, 1, &rest, &err), 0);
    assert_string_equal(rest.body, "two\nthree\n");
    assert_int_equal(json_int(json_object_get(rest.head, "result"), "line", -1), 2);
    assert_int_equal(change_remove(&there, "/b", &err), 0);
    assert_int_equal(run_log(&there, "/b", -1, 0, &none, &err), -1);
    assert_int_equal(err.code, ENOENT);
    asked_for("[]");
}

static void a_preview_waits_for_no_service_that_it_would_have_stopped(void **state)
{
    (void)state;
    struct error err;
    options.preview = true;
    assert_int_equal(change_service(&there, "nova-compute", "stop", NULL, 0, &err), 0);
    assert_int_equal(run_service_wait(&there, "nova-compute", NULL, 1000, &err), -1);
    assert_string_equal(
        err.message, "nova-compute on compute-1 would not become active: it would have been stopped before");
    assert_int_equal(change_service(&there, "nova-compute", "start", NULL, 0, &err), 0);
    assert_int_equal(run_service_wait(&there, "nova-compute", NULL, 1000, &err), 0);
    asked_for("[]");
}

// ---- undoing ----

static void the_last_is_undone_first(void **state)
{
    (void)state;
    struct error err;
    set_text("/a", "one");
    set_text("/c", "gone");
    must_write("/a", "two");
    must_write("/b", "new");
    must_write("/a", "three");
    assert_int_equal(change_mode(&there, "/a", 0600, &err), 0);
    assert_int_equal(change_remove(&there, "/c", &err), 0);
    assert_int_equal(change_service(&there, "nova-compute", "stop", NULL, 0, &err), 0);
    asked_for(
        "[\"write /a\", \"write /b\", \"write /a\", \"chmod /a\", \"remove /c\", \"stop nova-compute\"]");
    all_is_undone(6);
    asked_for("[\"start nova-compute\", \"restore /c\", \"chmod /a\", \"restore /a\", \"restore /b\", "
              "\"restore /a\"]");
    holds("/a", "one");
    holds("/b", "");
    holds("/c", "gone");
    assert_int_equal(json_int(json_object_get(host.files, "/a"), "mode", 0), 0644);
    assert_string_equal(host.service, "active");
}

static void what_another_changed_stays(void **state)
{
    (void)state;
    set_text("/a", "old");
    must_write("/a", "new");
    must_write("/b", "new");
    set_text("/a", "theirs");
    json_object_del(host.files, "/b"); // as it was before
    auto_json json_t *problems = undo(1, 1);
    assert_non_null(strstr(json_string_value(json_array_get(problems, 0)), "somebody else changed it since"));
    asked_for("[]");
    holds("/a", "theirs");
    journal_tells("about 1, done 1, about 2, done 2, undone 2, undo failed 1");
}

static void a_failure_does_not_stop_the_others(void **state)
{
    (void)state;
    set_text("/b", "old");
    must_write("/a", "new");
    must_write("/b", "new");
    must_write("/c", "new");
    json_object_del(host.kept, "run-1/2");
    json_object_del(host.files, "/b");
    set_text("/b", "theirs");
    json_decref(undo(2, 1));
    asked_for("[\"restore /c\", \"restore /a\"]");
}

static void a_failure_stops_what_was_before_of_the_same_file(void **state)
{
    (void)state;
    set_text("/a", "first");
    must_write("/a", "second");
    must_write("/b", "other");
    must_write("/a", "third");
    host.fails = "restore";
    host.fails_at = "/a";
    auto_json json_t *problems = undo(1, 1); // of /b
    assert_non_null(strstr(json_string_value(json_array_get(problems, 0)),
                           "what was changed of it before waits for that"));
    holds("/a", "third");
    host.fails = NULL;
    all_is_undone(2);
    asked_for("[\"restore /a\", \"restore /a\"]");
    holds("/a", "first");
}

static void fix_ups_stay(void **state)
{
    (void)state;
    must_write("/a", "new");
    enter(&fixup);
    must_write("/b", "new");
    all_is_undone(1);
    holds("/a", "");
    holds("/b", "new");
}

static void commands_are_undone_by_theirs(void **state)
{
    (void)state;
    struct message auto_message one = {0}, auto_message two = {0};
    assert_int_equal(change_command(&there, command("unmake"), NULL, 0, &one, NULL), 0);
    assert_int_equal(json_int(json_object_get(one.head, "result"), "status", -1), 0);
    assert_int_equal(change_command(&there, command(NULL), NULL, 0, &two, NULL), 0);
    asked_for("[\"command \", \"command \"]");
    all_is_undone(1); // the one that nothing undoes is kept
    asked_for("[\"command \"]");
    assert_int_equal(json_array_size(run.kept), 1);
    assert_string_equal(json_string_value(json_array_get(run.kept, 0)), "make on compute-1 (run)");
}

// All that is written down of a run or told, but for the file that is there for secrets.
static void nowhere_is(const char *secret)
{
    auto_free char *path = xasprintf("%s/runs/%s/journal.jsonl", state_dir, run.id), *text = NULL,
                   *told = json_dumps(events, 0);
    size_t len;
    assert_int_equal(read_whole_file(path, 1 << 20, &text, &len), 0);
    assert_null(strstr(text, secret));
    assert_null(strstr(told, secret));
}

static void a_secret_of_a_command_is_kept_apart(void **state)
{
    (void)state;
    struct message auto_message answer = {0};
    json_t *args = json_pack("{s:[s,s,s], s:[s,s]}", "argv", "set", "--password", "sesame", "undo", "set",
                             "--password=simsim");
    assert_int_equal(change_command(&there, args, NULL, 0, &answer, NULL), 0); // whose note is the journal's
    nowhere_is("sesame");
    nowhere_is("simsim");
    auto_free char *path = xasprintf("%s/runs/%s/secret-1.json", state_dir, run.id);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    auto_json json_t *whole = journal_whole(state_dir, run.id, 1);
    assert_true(json_equal(whole, run.effects[0]->data));
    assert_null(journal_whole(state_dir, run.id, 2));
    all_is_undone(1);
    nowhere_is("simsim");
}

// What a step says and fails with, too; and a value that was declared secret has no name.
static void what_a_run_tells_holds_no_secret(void **state)
{
    (void)state;
    auto_json json_t *secrets = json_array();
    const struct procedure procedure = {.secrets = secrets};
    struct message auto_message answer = {0};
    run.procedure = &procedure;
    mask_forms("simsalabim", secrets);
    run_message(&run, "warning", "cannot log in to mysql://u:sesame@h, Authorization: Bearer sesame42X");
    run_emit(&run, "step",
             json_pack("{s:s, s:[{s:s}]}", "text", "tried simsalabim", "details", "text", "password=sesame"));
    json_t *args = json_pack("{s:[s,s], s:[s,s]}", "argv", "open", "simsalabim", "undo", "shut",
                             "simsalabim");
    assert_int_equal(change_command(&there, args, NULL, 0, &answer, NULL), 0);
    nowhere_is("sesame");
    nowhere_is("simsalabim");
    all_is_undone(1); // by the true word: the host compares
    nowhere_is("simsalabim");
    run.procedure = NULL;
}

// Another controller has the masked one alone.
static void an_undo_whose_secret_is_elsewhere_is_refused(void **state)
{
    (void)state;
    auto_json json_t *data = json_pack("{s:s, s:s, s:s, s:{}, s:{s:[s], s:[s,s]}}", "kind", "command", "host",
                                       "compute-1", "target", "make", "before", "after", "argv", "make",
                                       "undo", "set", "--password=simsim"),
                     *masked = mask_json(data), *problems = NULL;
    gate_remember(&run, effect_from(&there, masked, 1));
    problems = undo(0, 1);
    assert_non_null(strstr(json_string_value(json_array_get(problems, 0)),
                           "needs a secret that only the controller of the run keeps"));
    asked_for("[]");
}

static void an_interrupt_is_answered_with_what_is_left(void **state)
{
    (void)state;
    must_write("/a", "new");
    must_write("/b", "new");
    util_signals();
    run_answer_interrupts(&run);
    interrupts_hold(); // as at every undo
    raise(SIGINT);
    all_is_undone(2);
    run_answer_interrupts(NULL);
    size_t i, told = 0;
    json_t *event;
    json_array_foreach(events, i, event)
        told += strstr(json_str(event, "text", ""),
                       "Still to be undone: 2 changes, now /b on compute-1. Twice more leaves at once") !=
                NULL;
    assert_int_equal(told, 1);
}

// ---- all that a change of a file changes ----

static void write_with(const char *path, const char *text, const char *options_json)
{
    struct error err = {0};
    auto_free char *old = NULL;
    auto_json json_t *stat = NULL, *given = json_loads(options_json, 0, NULL);
    size_t len;
    if (run_read(&there, path, &old, &len, &stat, &err) < 0 ||
        change_write(&there, path, old, len, stat, text, strlen(text), given, &err) < 0)
        fail_msg("%s", err.message);
}

static void what_is_said_to_be_secret_is_not_shown(void **state)
{
    (void)state;
    struct message auto_message answer = {0};
    json_t *args = json_pack("{s:[s,s], s:[s,s], s:b}", "argv", "open", "sesame", "undo", "shut", "simsim",
                             "secret", 1);
    assert_int_equal(change_command(&there, args, NULL, 0, &answer, NULL), 0);
    assert_string_equal(effect_target(run.effects[0]), "open '********'");
    write_with("/s", "plain words\n", "{\"secret\": true}");
    must_write("/s", "plain words, and more\n"); // nor what is there since
    nowhere_is("sesame");
    nowhere_is("simsim");
    nowhere_is("plain words");
    auto_json json_t *whole = journal_whole(state_dir, run.id, 1);
    assert_true(json_equal(whole, run.effects[0]->data));
    all_is_undone(3);
    nowhere_is("plain words");
}

static void belongs(const char *path, int mode, int uid, int gid)
{
    const json_t *file = json_object_get(host.files, path);
    assert_int_equal(json_int(file, "mode", -1), mode);
    assert_int_equal(json_int(file, "uid", -1), uid);
    assert_int_equal(json_int(file, "gid", -1), gid);
}

static void the_same_text_with_another_owner_is_put_back(void **state)
{
    (void)state;
    set_text("/a", "same");
    write_with("/a", "same", "{\"mode\": 384, \"uid\": 5, \"gid\": 6}");
    belongs("/a", 0600, 5, 6);
    assert_string_equal(json_str(json_array_get(events, 0), "summary", ""),
                        "modify, 0:0 → 5:6, mode 0644 → 0600");
    all_is_undone(1);
    asked_for("[\"restore /a\"]");
    belongs("/a", 0644, 0, 0);
    holds("/a", "same");
}

static void the_same_text_with_the_same_owner_is_no_change(void **state)
{
    (void)state;
    set_text("/a", "same");
    write_with("/a", "same", "{\"mode\": 420, \"uid\": 0}");
    assert_int_equal(run.n_effects, 0);
}

static void another_owner_that_is_not_known_to_be_given_is_looked_at(void **state)
{
    (void)state;
    struct error err = {0};
    auto_json json_t *given = json_pack("{s:i}", "mode", 0600), *stat = NULL;
    auto_free char *old = NULL;
    size_t len;
    set_text("/a", "same");
    assert_int_equal(run_read(&there, "/a", &old, &len, &stat, &err), 0);
    host.fails = "write";
    host.half = true;
    assert_int_equal(change_write(&there, "/a", old, len, stat, "same", 4, given, &err), -1);
    journal_tells("about 1, uncertain 1");
    all_is_undone(1);
    belongs("/a", 0644, 0, 0);
}

static void who_gave_it_another_mode_since_is_not_overwritten(void **state)
{
    (void)state;
    set_text("/a", "old");
    must_write("/a", "new");
    json_object_set_new(json_object_get(host.files, "/a"), "mode", json_integer(0640));
    json_decref(undo(0, 1));
    holds("/a", "new");
}

static void the_set_id_bits_that_go_with_an_owner_come_back_with_it(void **state)
{
    (void)state;
    struct error err = {0};
    set_text("/a", "a program");
    json_object_set_new(json_object_get(host.files, "/a"), "mode", json_integer(04755));
    if (change_owner(&there, "/a", 5, 6, &err) < 0)
        fail_msg("%s", err.message);
    belongs("/a", 0755, 5, 6);
    all_is_undone(1);
    belongs("/a", 04755, 0, 0);
}

static void an_owner_that_is_back_without_its_set_id_bits_is_not_back(void **state)
{
    (void)state;
    struct error err = {0};
    set_text("/a", "a program");
    json_object_set_new(json_object_get(host.files, "/a"), "mode", json_integer(04755));
    if (change_owner(&there, "/a", 5, 6, &err) < 0)
        fail_msg("%s", err.message);
    host.fails = "chmod";
    json_decref(undo(0, 1));
    belongs("/a", 0755, 0, 0);
    host.fails = NULL;
    all_is_undone(1);
    belongs("/a", 04755, 0, 0);
}

static const char *would(size_t i) { return json_str(json_array_get(events, i), "summary", ""); }

static void a_preview_knows_what_a_new_file_would_be(void **state)
{
    (void)state;
    struct error err = {0};
    options.preview = true;
    there.facts = json_loads("{\"users\": {\"root\": {\"uid\": 0}, \"nova\": {\"uid\": 64060}}, "
                             "\"groups\": {\"root\": 0, \"nova\": 64060}}",
                             0, NULL);
    write_with("/a", "new", "{\"uid\": 64060, \"gid\": 64060}");
    assert_int_equal(change_owner(&there, "/a", 0, 0, &err), 0);
    assert_int_equal(change_mode(&there, "/a", 0600, &err), 0);
    write_with("/b", "new", "{}");
    assert_int_equal(change_owner(&there, "/b", 64060, -1, &err), 0);
    assert_string_equal(would(0), "create, nova:nova");
    assert_string_equal(would(1), "nova:nova → root:root");
    assert_string_equal(would(2), "0644 → 0600");
    assert_string_equal(would(3), "create");
    assert_string_equal(would(4), "root:root → nova:root");
    json_decref(there.facts);
    there.facts = NULL;
}

static void owner_and_mode_in_a_surgery_are_staged(void **state)
{
    (void)state;
    struct error err = {0};
    set_text("/b", "there");
    if (surgery_begin(&there, "cron", NULL, NULL, &err) < 0)
        fail_msg("%s", err.message);
    write_with("/a", "new", "{\"mode\": 384}");
    if (change_owner(&there, "/a", 5, 6, &err) < 0 || change_mode(&there, "/a", 0640, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(change_mode(&there, "/a", 0640, &err), 0);
    write_with("/b", "there", "{\"uid\": 5}");
    if (surgery_end(&run, NULL, &err) < 0)
        fail_msg("%s", err.message);
    asked_for("[\"begin\", \"stage /a {\\\"mode\\\":384}\", \"stage /a {\\\"gid\\\":6,\\\"uid\\\":5}\", "
              "\"stage /a {\\\"mode\\\":416}\", \"stage /b {\\\"uid\\\":5}\", \"commit\"]");
    const char *detail = json_str(json_array_get(events, json_array_size(events) - 1), "detail", "");
    assert_non_null(strstr(detail, "/a on compute-1: root:root → 5:6\n"));
    assert_non_null(strstr(detail, "/a on compute-1: mode 0600 → 0640\n"));
}

// ---- temporary changes ----

static struct step silence = {.title = "Silence it", .phase = PHASE_PREPARE, .temporary = true};

static size_t taken_back(size_t failed)
{
    auto_json json_t *problems = json_array();
    size_t count = 99;
    json_array_clear(host.asked);
    assert_int_equal(gate_take_back(&run, &count, problems), failed);
    assert_int_equal(json_array_size(problems), failed);
    return count;
}

static void what_is_temporary_is_taken_back_at_a_good_end(void **state)
{
    (void)state;
    must_write("/a", "new");
    enter(&silence);
    must_write("/b", "new");
    must_write("/c", "new");
    enter(&fixup);
    must_write("/d", "new");
    assert_int_equal(taken_back(0), 2);
    asked_for("[\"restore /c\", \"restore /b\"]");
    journal_tells("about 1, done 1, about 2, done 2, about 3, done 3, about 4, done 4, undone 3, undone 2");
    assert_int_equal(taken_back(0), 0);
    all_is_undone(1);
    holds("/a", "");
    holds("/d", "new");
}

static void what_is_temporary_is_undone_at_a_bad_end(void **state)
{
    (void)state;
    enter(&silence);
    must_write("/b", "new");
    enter(&prepare);
    must_write("/a", "new");
    all_is_undone(2);
    asked_for("[\"restore /a\", \"restore /b\"]");
}

static void what_is_temporary_and_was_changed_again_is_left_and_named(void **state)
{
    (void)state;
    enter(&silence);
    must_write("/b", "new");
    enter(&prepare);
    must_write("/b", "newer");
    assert_int_equal(taken_back(1), 0);
    holds("/b", "newer");
}

static void what_is_temporary_is_known_from_the_journal(void **state)
{
    (void)state;
    enter(&silence);
    must_write("/b", "new");
    auto_json json_t *all = records();
    struct effect *e = effect_from(&there, json_object_get(json_array_get(all, 1), "effect"), 1);
    assert_true(e->temporary && !e->of_fixup);
    effect_free(e);
}

// A policy whose steps say how they are taken back.
static struct {
    int asked;
    bool fails;
} policy;

static int take_back(void *data, size_t step, char **text, struct error *err)
{
    (void)data;
    (void)text;
    assert_ptr_equal(run.step, &run.procedure->steps[step]);
    policy.asked++;
    if (policy.fails)
        return error_set(err, ERR_POLICY, 0, "it is stuck");
    must_write("/taken-back", "yes");
    return 0;
}

static struct step own_steps[] = {{.title = "Ask for it", .phase = PHASE_PREPARE, .undoes = true}};
static struct procedure own = {.steps = own_steps, .n_steps = 1, .undo = take_back};

static void enter_own(bool temporary)
{
    struct error err = {0};
    own_steps[0].temporary = temporary;
    policy.asked = 0;
    policy.fails = false;
    run.procedure = &own;
    run.source = &there;
    enter(&own_steps[0]);
    if (gate_enter(&run, &err) < 0)
        fail_msg("%s", err.message);
}

static void a_step_that_says_how_is_asked_to_undo(void **state)
{
    (void)state;
    enter_own(false);
    must_write("/a", "new");
    run.step = NULL;
    assert_int_equal(taken_back(0), 0);
    assert_int_equal(policy.asked, 0);
    interrupt_count = 1; // taking back is never refused
    all_is_undone(2);
    interrupt_count = 0;
    assert_int_equal(policy.asked, 1);
    asked_for("[\"restore /a\", \"write /taken-back\"]");
    journal_tells("about 1, done 1, about 2, done 2, undone 2, about 3, done 3, undone 1");
    operator_hears("done 2, undone 2, done 3, undone 1");
    assert_null(run.step);
    all_is_undone(0); // what it did is not undone in its turn
    holds("/taken-back", "yes");
}

static void a_temporary_step_that_says_how_is_asked_at_a_good_end(void **state)
{
    (void)state;
    enter_own(true);
    run.step = NULL;
    policy.fails = true;
    assert_int_equal(taken_back(1), 0);
    policy.fails = false;
    assert_int_equal(taken_back(0), 1);
    assert_int_equal(policy.asked, 2);
    all_is_undone(0);
}

static void a_step_that_is_not_there_any_more_is_named(void **state)
{
    (void)state;
    enter_own(true);
    struct procedure empty = {.undo = NULL};
    run.procedure = &empty;
    assert_int_equal(taken_back(1), 0);
}

static void a_preview_tells_what_is_taken_back(void **state)
{
    (void)state;
    options.preview = true;
    enter_own(true);
    must_write("/b", "new");
    assert_int_equal(taken_back(0), 0);
    operator_hears("would 1, would 2");
    for (size_t i = 0; i < 2; i++)
        assert_non_null(strstr(json_str(json_array_get(events, i), "summary", ""), "undone at the end"));
    assert_int_equal(run.n_would, 1);
    options.preview = false;
}

// ---- previews ----

static void a_preview_only_tells(void **state)
{
    (void)state;
    struct error err;
    auto_free char *data = NULL;
    size_t len;
    options.preview = true;
    set_text("/a", "old");
    must_write("/a", "new");
    must_write("/a", "newer");
    assert_int_equal(change_mode(&there, "/a", 0600, &err), 0);
    assert_int_equal(change_service(&there, "nova-compute", "stop", NULL, 0, &err), 0);
    assert_int_equal(run_read(&there, "/a", &data, &len, NULL, NULL), 0);
    assert_string_equal(data, "newer");
    assert_int_equal(change_remove(&there, "/a", &err), 0);
    assert_int_equal(change_remove(&there, "/a", &err), -1);
    assert_int_equal(err.code, ENOENT);
    all_is_undone(0);
    asked_for("[]");
    holds("/a", "old");
    journal_tells("");
    operator_hears("would 1, would 2, would 3, would 4, would 5");
    assert_int_equal(run.n_would, 5);
}

// ---- effects as data ----

static void effects_come_back_from_the_journal(void **state)
{
    (void)state;
    set_text("/a", "old");
    enter(&fixup);
    must_write("/b", "new");
    enter(&prepare);
    must_write("/a", "new");
    auto_json json_t *all = records(), *unknown = json_pack("{s:s}", "kind", "disk.format");
    struct run later = run;
    later.effects = NULL;
    later.n_effects = 0;
    struct run_host same = {.run = &later, .agent = &host};
    size_t i, undone;
    json_t *record;
    json_array_foreach(all, i, record)
        if (STREQ(json_str(record, "type", ""), "about"))
            gate_remember(&later, effect_from(&same, json_object_get(record, "effect"),
                                              (int)json_int(record, "number", 0)));
    assert_int_equal(later.n_effects, 2);
    assert_true(later.effects[0]->of_fixup && !later.effects[1]->of_fixup);
    assert_null(effect_from(&same, unknown, 1));
    auto_json json_t *problems = json_array();
    assert_int_equal(gate_undo(&later, &undone, problems), 0);
    assert_int_equal(undone, 1);
    holds("/a", "old");
    holds("/b", "new");
    for (i = 0; i < later.n_effects; i++)
        effect_free(later.effects[i]);
    free(later.effects);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_steps_change_things),
        TEST(nothing_is_begun_once_interrupted),
        TEST(the_journal_is_first),
        TEST(without_a_journal_nothing_is_changed),
        TEST(what_was_not_made_is_not_undone),
        TEST(what_was_made_though_it_failed_is_undone),
        TEST(a_unit_on_its_way_gets_there_again),
        TEST(a_service_has_the_time_that_its_unit_gives),
        TEST(who_stops_libvirtd_has_the_host_for_itself),
        TEST(a_preview_reads_what_it_would_have_written),
        TEST(a_preview_waits_for_no_service_that_it_would_have_stopped),
        TEST(a_unit_that_is_on_its_way_is_no_unit_that_was_not_started),
        TEST(what_is_refused_is_not_undone),
        TEST(what_is_refused_because_of_others_is_not_undone),
        TEST(a_program_that_cannot_start_is_neither_undone_nor_kept),
        TEST(a_command_whose_answer_is_lost_is_undone_and_that_is_said),
        TEST(what_cannot_be_asked_is_no_success),
        TEST(the_last_is_undone_first),
        TEST(what_another_changed_stays),
        TEST(a_failure_does_not_stop_the_others),
        TEST(a_failure_stops_what_was_before_of_the_same_file),
        TEST(fix_ups_stay),
        TEST(commands_are_undone_by_theirs),
        TEST(a_secret_of_a_command_is_kept_apart),
        TEST(what_a_run_tells_holds_no_secret),
        TEST(what_is_said_to_be_secret_is_not_shown),
        TEST(an_undo_whose_secret_is_elsewhere_is_refused),
        TEST(an_interrupt_is_answered_with_what_is_left),
        TEST(the_same_text_with_another_owner_is_put_back),
        TEST(the_same_text_with_the_same_owner_is_no_change),
        TEST(another_owner_that_is_not_known_to_be_given_is_looked_at),
        TEST(who_gave_it_another_mode_since_is_not_overwritten),
        TEST(the_set_id_bits_that_go_with_an_owner_come_back_with_it),
        TEST(an_owner_that_is_back_without_its_set_id_bits_is_not_back),
        TEST(a_preview_knows_what_a_new_file_would_be),
        TEST(owner_and_mode_in_a_surgery_are_staged),
        TEST(what_is_temporary_is_taken_back_at_a_good_end),
        TEST(what_is_temporary_is_undone_at_a_bad_end),
        TEST(what_is_temporary_and_was_changed_again_is_left_and_named),
        TEST(what_is_temporary_is_known_from_the_journal),
        TEST(a_step_that_says_how_is_asked_to_undo),
        TEST(a_temporary_step_that_says_how_is_asked_at_a_good_end),
        TEST(a_step_that_is_not_there_any_more_is_named),
        TEST(a_preview_tells_what_is_taken_back),
        TEST(a_preview_only_tells),
        TEST(effects_come_back_from_the_journal),
    };
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
