// SPDX-License-Identifier: MIT
#include "run/journal.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mask.h"
#include "base/text.h"
#include "base/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOURNAL_MAX = 1 << 30, NUMBER_MOST = 1 << 24, THE_PARAMETERS = 0 };

struct journal {
    int fd;
    int n_saved; // how often run.saved was kept beside it
    char *path, *run;
};

bool journal_is_run_name(const char *name)
{
    return *name && *name != '.' && strlen(name) <= 64 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] == '\0';
}

// A name reaches paths that are opened and removed.
static int check_run_name(const char *name, struct error *err)
{
    if (journal_is_run_name(name))
        return 0;
    auto_free char *shown = printable(name);
    return error_set(err, ERR_USAGE, 0, "invalid run name '%s' (migrun history lists the runs)", shown);
}

// ---- where ----

static char *default_state(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (geteuid() == 0)
        return xstrdup("/var/lib/migrun");
    if (state && *state == '/')
        return xasprintf("%s/migrun", state);
    return home && *home == '/' ? xasprintf("%s/.local/state/migrun", home) : xstrdup("/var/lib/migrun");
}

static char *state_path(const char *state) { return state ? xstrdup(state) : default_state(); }

// A run's folder, or a file in it; run NULL: the folder of all. Caller frees.
static char *run_path(const char *state, const char *run, const char *file)
{
    auto_free char *dir = state_path(state);
    return xasprintf("%s/runs%s%s%s%s", dir, run ? "/" : "", run ? run : "", file ? "/" : "",
                     file ? file : "");
}

// Whoever may write a journal orders what is undone as this user.
static int check_owner(const char *path, bool may_be_sticky, struct error *err)
{
    struct stat st;
    if ((may_be_sticky ? stat(path, &st) : lstat(path, &st)) < 0)
        return 0; // whoever opens it will say so
    bool ours = st.st_uid == geteuid() || st.st_uid == 0, open = st.st_mode & (S_IWGRP | S_IWOTH);
    if (may_be_sticky && (st.st_mode & S_ISVTX))
        open = false; // what we make there is nobody else's to replace
    if (S_ISLNK(st.st_mode))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "refusing to follow the symbolic link %s", path);
    if (ours && !open)
        return 0;
    return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                     "%s is writable by other users (owner %u, mode %o), so its contents are not trusted: "
                     "chown and chmod it, or name another folder with --state",
                     path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
}

// The folders of a run (NULL: of all) and its journal.
static int check_owners(const char *state, const char *run, struct error *err)
{
    auto_free char *dir = state_path(state), *runs = run_path(state, NULL, NULL);
    if (check_owner(dir, true, err) < 0 || check_way(dir, err) < 0 || check_owner(runs, false, err) < 0)
        return -1;
    if (!run)
        return 0;
    auto_free char *own = run_path(state, run, NULL), *journal = run_path(state, run, "journal.jsonl");
    return check_owner(own, false, err) < 0 ? -1 : check_owner(journal, false, err);
}

// A run that was killed between making its folder and its journal had changed nothing yet.
static int fail_no_run(const char *state, const char *run, struct error *err)
{
    auto_free char *dir = state_path(state), *own = run_path(state, run, NULL);
    struct stat st;
    if (lstat(own, &st) == 0 && S_ISDIR(st.st_mode))
        return error_set(err, ERR_SYSTEM, EILSEQ, "%s has no journal: the run had changed nothing yet", own);
    return error_set(err, ERR_USAGE, 0, "no run %s in %s (migrun history lists the runs)", run, dir);
}

// ---- writing ----

// Whoever writes a journal has it locked. A reader can ask for such a lock without one of its own, which
// another run that is about to begin could take for a writer's.
static int lock_journal(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
        return -1;
    return flock(fd, LOCK_EX | LOCK_NB); // the lock of a migrun of before
}

static int make_dirs(const char *path)
{
    auto_free char *copy = xstrdup(path);
    for (char *p = copy + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            if (mkdir(copy, 0700) < 0 && errno != EEXIST)
                return -1;
            *p = '/';
        }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

// A file's name is on the disk only when its folder is.
static int sync_dir(const char *path)
{
    auto_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

static struct journal *journal_new(int fd, const char *path, const char *run)
{
    struct journal *journal = xcalloc(1, sizeof *journal);
    *journal = (struct journal){.fd = fd, .path = xstrdup(path), .run = xstrdup(run)};
    return journal;
}

static int add(struct journal *journal, const json_t *record, bool sync, struct error *err)
{
    auto_free char *text = json_line(record);
    if (!text)
        return error_set(err, ERR_BUG, 0, "a line for the journal %s is not valid JSON", journal->path);
    auto_free char *line = xasprintf("%s\n", text);
    off_t before = lseek(journal->fd, 0, SEEK_END);
    if (write_all(journal->fd, line, strlen(line)) == 0 && (!sync || fdatasync(journal->fd) == 0))
        return 0;
    error_errno(err, errno, "the journal %s cannot be written", journal->path);
    // Half a line would spoil the next one.
    if (before >= 0 && ftruncate(journal->fd, before) < 0)
        error_prefix(err, "and the part of a line that was written cannot be removed");
    return -1;
}

// A line's first members.
static json_t *line_of(const struct journal *journal, const char *type)
{
    return json_pack("{s:f, s:s, s:s}", "time", wall_time(), "run", journal->run, "type", type);
}

static void set_text(json_t *record, const char *key, const char *text)
{
    if (text)
        json_object_set_new(record, key, json_text(text));
}

static void set_json(json_t *record, const char *key, const json_t *value)
{
    if (value)
        json_object_set(record, key, (json_t *)(uintptr_t)value);
}

static char *secret_name(int number)
{
    return number < 0 ? xasprintf("secret-saved-%d.json", -number) : xasprintf("secret-%d.json", number);
}

int journal_secret(struct journal *journal, int number, const json_t *effect, struct error *err)
{
    auto_free char *folder = xstrndup(journal->path, (size_t)(strrchr(journal->path, '/') - journal->path)),
                   *name = secret_name(number), *path = xasprintf("%s/%s", folder, name),
                   *text = json_dumps(effect, JSON_COMPACT);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    auto_fd int above = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || above < 0 || write_all(fd, text, strlen(text)) < 0 || fsync(fd) < 0 || fsync(above) < 0)
        return error_errno(err, errno, "%s cannot be written, and nothing is changed without it", path);
    return 0;
}

json_t *journal_whole(const char *state, const char *run, int number)
{
    auto_free char *name = secret_name(number), *path = run_path(state, run, name), *text = NULL;
    size_t len;
    return check_owner(path, false, NULL) == 0 && read_whole_file(path, JOURNAL_MAX, &text, &len) == 0
               ? json_loadb(text, len, 0, NULL)
               : NULL;
}

// Without what is secret in it.
static json_t *line_of_opening(const struct opening *o, const json_t *params)
{
    auto_free char *command = o->command ? mask_secrets(o->command) : NULL;
    json_t *line = json_pack("{s:f, s:s, s:s, s:i, s:s, s:i}", "time", o->time, "run", o->run, "type", "open",
                             "format", JOURNAL_FORMAT, "migrun", MIGRUN_VERSION, "pid", (int)getpid());
    const char *const texts[][2] = {{"command", command},    {"by", o->by},     {"policy", o->policy},
                                    {"summary", o->summary}, {"text", o->text}, {"xml", o->xml},
                                    {"source", o->source},   {"dest", o->dest}, {"here", o->here}};
    const struct {
        const char *key;
        const json_t *value;
    } objects[] = {{"modules", o->modules},
                   {"params", params},
                   {"instance", o->instance},
                   {"server", o->server},
                   {"hosts", o->hosts}};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        set_text(line, texts[i][0], texts[i][1]);
    for (size_t i = 0; i < COUNT_OF(objects); i++)
        set_json(line, objects[i].key, objects[i].value);
    return line;
}

int journal_open(const char *state, const struct opening *opening, struct journal **result, struct error *err)
{
    const char *run = opening->run, *text = opening->text ? opening->text : "";
    auto_free char *runs = run_path(state, NULL, NULL), *dir = run_path(state, run, NULL),
                   *path = run_path(state, run, "journal.jsonl"),
                   *policy = run_path(state, run, "policy.lua");
    if (make_dirs(dir) < 0)
        return error_errno(err, errno,
                           "cannot create the journal's folder %s, so nothing was changed (--state FOLDER "
                           "names another)",
                           dir);
    if (check_owners(state, run, err) < 0)
        return -1;
    auto_fd int copy = open(policy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (copy < 0 || fd < 0 || write_all(copy, text, strlen(text)) < 0 || lock_journal(fd) < 0 ||
        sync_dir(runs) < 0 || sync_dir(dir) < 0)
        return error_errno(err, errno, "the journal %s cannot be written, so nothing was changed", path);
    struct journal *journal = journal_new(steal_fd(&fd), path, run);
    auto_json json_t *params = mask_json(opening->params), *line = line_of_opening(opening, params);
    if ((opening->params && !json_equal(params, opening->params) &&
         journal_secret(journal, THE_PARAMETERS, opening->params, err) < 0) ||
        add(journal, line, true, err) < 0) {
        journal_close(journal);
        return -1;
    }
    *result = journal;
    return 0;
}

int journal_resume(const char *state, const char *run, struct journal **result, struct error *err)
{
    if (check_run_name(run, err) < 0 || check_owners(state, run, err) < 0)
        return -1;
    auto_free char *path = run_path(state, run, "journal.jsonl");
    auto_fd int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? fail_no_run(state, run, err)
                               : error_errno(err, errno, "the journal %s", path);
    if (lock_journal(fd) < 0)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "run %s is still going on here", run);
    // What a power cut tore stays where it is, on a line of its own, and does not become a record by that.
    static const char torn[] = " (cut off)\n";
    char last = '\n';
    off_t size = lseek(fd, 0, SEEK_END);
    if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n' &&
        write_all(fd, torn, strlen(torn)) < 0)
        return error_errno(err, errno, "the journal %s cannot be written", path);
    *result = journal_new(steal_fd(&fd), path, run);
    return 0;
}

int journal_about(struct journal *journal, int number, const json_t *effect, struct error *err)
{
    auto_json json_t *line = line_of(journal, "about");
    json_object_set_new(line, "number", json_integer(number));
    set_json(line, "effect", effect);
    return add(journal, line, true, err);
}

static const char *const fates[] = {
    [FATE_ABOUT] = "about",         [FATE_DONE] = "done",     [FATE_NOT_MADE] = "not made",
    [FATE_UNCERTAIN] = "uncertain", [FATE_UNDONE] = "undone", [FATE_UNDO_FAILED] = "undo failed"};

int journal_fate(struct journal *journal, int number, enum fate fate, const json_t *result,
                 const char *request_id, struct error *err)
{
    auto_json json_t *line = line_of(journal, fates[fate]);
    json_object_set_new(line, "number", json_integer(number));
    set_json(line, "result", result);
    set_text(line, "request_id", request_id);
    return add(journal, line, false, err);
}

int journal_saved(struct journal *journal, const json_t *saved, const json_t *masked, struct error *err)
{
    auto_json json_t *line = line_of(journal, "saved");
    set_json(line, "saved", masked);
    if (!json_equal(saved, masked)) { // fix-ups that a recovery runs again need all of it
        struct error own;
        int rc;
        do // those of a run that is recovered are there
            rc = journal_secret(journal, -++journal->n_saved, saved, err ? err : &own);
        while (rc < 0 && (err ? err : &own)->code == EEXIST && journal->n_saved < NUMBER_MOST);
        if (rc < 0)
            return -1;
        json_object_set_new(line, "whole", json_integer(-journal->n_saved));
    }
    return add(journal, line, false, err);
}

int journal_dest(struct journal *journal, const char *dest, struct error *err)
{
    auto_json json_t *line = line_of(journal, "dest");
    set_text(line, "dest", dest);
    return add(journal, line, true, err);
}

int journal_recovery(struct journal *journal, const char *by, bool undoes, struct error *err)
{
    auto_json json_t *line = line_of(journal, "recover");
    set_text(line, "by", by);
    json_object_set_new(line, "undoes", json_boolean(undoes));
    return add(journal, line, true, err);
}

int journal_event(struct journal *journal, const json_t *event, struct error *err)
{
    return add(journal, event, false, err);
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    free(journal->path);
    free(journal->run);
    free(journal);
}

// ---- reading ----

// All whole lines of a file.
static json_t *lines_of(const char *text, size_t len)
{
    json_t *all = json_array();
    for (const char *line = text, *end;
         line < text + len && (end = memchr(line, '\n', len - (size_t)(line - text))); line = end + 1) {
        json_t *record = json_loadb(line, (size_t)(end - line), JSON_ALLOW_NUL, NULL);
        if (json_is_object(record) && json_is_string(json_object_get(record, "type")))
            json_array_append(all, record);
        json_decref(record);
    }
    return all;
}

static const char *type_of(const json_t *record) { return json_str(record, "type", ""); }

// A member that is to be an object, or absent.
static int take_object(const json_t *record, const char *key, const json_t **value, struct error *err)
{
    *value = json_object_get(record, key);
    if (*value && !json_is_object(*value))
        return error_set(err, ERR_SYSTEM, EBADMSG, "'%s' must be an object", key);
    return 0;
}

static int take_opening(const json_t *line, struct story *story, struct error *err)
{
    struct opening *o = &story->opening;
    story->migrun = json_str(line, "migrun", "?");
    *o = (struct opening){.run = json_str(line, "run", ""),
                          .command = json_str(line, "command", "?"),
                          .by = json_str(line, "by", "?"),
                          .policy = json_str(line, "policy", "?"),
                          .summary = json_str(line, "summary", ""),
                          .text = json_str(line, "text", ""),
                          .xml = json_str(line, "xml", NULL),
                          .source = json_str(line, "source", NULL),
                          .dest = json_str(line, "dest", NULL),
                          .here = json_str(line, "here", NULL),
                          .time = json_num(line, "time", 0)};
    if (take_object(line, "modules", &o->modules, err) < 0 ||
        take_object(line, "params", &o->params, err) < 0 ||
        take_object(line, "instance", &o->instance, err) < 0 ||
        take_object(line, "server", &o->server, err) < 0)
        return -1;
    if (o->instance && (!json_str(o->instance, "uuid", NULL) || !o->source))
        return error_set(err, ERR_SYSTEM, EBADMSG, "the instance lacks a uuid or a source");
    o->hosts = json_object_get(line, "hosts");
    return 0;
}

static int take_hosts(struct story *story, struct error *err)
{
    const struct opening *o = &story->opening;
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)o->hosts, i, name) {
        if (!json_is_string(name))
            return error_set(err, ERR_SYSTEM, EBADMSG, "'hosts' must be a list of names");
        json_add_once(story->hosts, json_string_value(name));
    }
    if (o->source)
        json_add_once(story->hosts, o->source);
    if (o->dest)
        json_add_once(story->hosts, o->dest);
    return 0;
}

static struct told_effect *find_effect(const struct story *story, int64_t number)
{
    for (size_t i = 0; i < story->n_effects; i++)
        if (story->effects[i].number == number)
            return &story->effects[i];
    return NULL;
}

// Every kind of effect has these, so none of them need ask for them again.
static int take_effect(struct story *story, int64_t number, const json_t *data, struct error *err)
{
    bool shaped = json_str(data, "kind", NULL) && json_str(data, "host", NULL) &&
                  json_str(data, "target", NULL) && json_is_object(json_object_get(data, "before")) &&
                  json_is_object(json_object_get(data, "after"));
    if (number < 1 || number > NUMBER_MOST || find_effect(story, number))
        return error_set(err, ERR_SYSTEM, EBADMSG, "invalid or repeated number %lld of a change",
                         (long long)number);
    if (!shaped)
        return error_set(err, ERR_SYSTEM, EBADMSG, "change %lld is not an effect", (long long)number);
    story->effects = xrealloc(story->effects, (story->n_effects + 1) * sizeof *story->effects);
    story->effects[story->n_effects++] = (struct told_effect){.number = (int)number, .data = data};
    json_add_once(story->hosts, json_str(data, "host", ""));
    return 0;
}

static void take_fate(struct told_effect *effect, const json_t *record)
{
    const char *type = type_of(record);
    effect->over = effect->over || STREQ(type, fates[FATE_UNDONE]) || STREQ(type, fates[FATE_NOT_MADE]);
    if (!STREQ(type, fates[FATE_DONE]))
        return;
    effect->done = true;
    effect->result = json_object_get(record, "result");
}

// Nobody knows more of a run that has no verdict than that it stopped.
static const char *cause_in(const json_t *verdict)
{
    size_t i;
    const json_t *detail;
    json_array_foreach(json_object_get(verdict, "details"), i, detail)
        if (STREQ(json_str(detail, "label", ""), "Cause"))
            return json_str(detail, "text", "?");
    return "the run was interrupted";
}

static void take_event(struct story *story, const json_t *record)
{
    const char *type = type_of(record);
    if (STREQ(type, "step"))
        story->cut_off = STREQ(json_str(record, "status", ""), "start") ? json_str(record, "title", NULL)
                                                                        : NULL;
    if (!STREQ(type, "verdict"))
        return;
    story->cause = cause_in(record);
    const char *outcome = json_str(record, "outcome", "");
    if (STREQ(outcome, "in_doubt"))
        return;
    story->verdict = record;
    story->undoes = story->undoes && STREQ(outcome, "undone");
}

static int take_record(struct story *story, const json_t *record, struct error *err)
{
    const char *type = type_of(record);
    int64_t number = json_int(record, "number", 0);
    struct told_effect *effect = find_effect(story, number);
    if (STREQ(type, fates[FATE_ABOUT]))
        return take_effect(story, number, json_object_get(record, "effect"), err);
    if (STREQ(type, "saved")) {
        story->saved_whole = (int)json_int(record, "whole", 0);
        return take_object(record, "saved", &story->saved, err);
    }
    if (STREQ(type, "dest")) {
        story->opening.dest = json_str(record, "dest", "?");
        json_add_once(story->hosts, story->opening.dest);
    } else if (STREQ(type, "recover")) {
        story->verdict = NULL;
        story->undoes = json_flag(record, "undoes", false);
    } else if (effect) {
        take_fate(effect, record);
    }
    take_event(story, record);
    return 0;
}

static void begin_story(struct story *story)
{
    *story = (struct story){.hosts = json_array(),
                            .cause = "the run was cut off: it was killed, or its machine or its connections "
                                     "went down"};
}

static int take_records(struct story *story, const char *path, const char *run, struct error *err)
{
    const json_t *first = json_array_get(story->records, 0);
    int64_t format = json_int(first, "format", 0);
    if (!STREQ(type_of(first), "open") || !STREQ(json_str(first, "run", ""), run))
        return error_set(err, ERR_SYSTEM, EILSEQ,
                         "the journal %s has no complete first line: the run had changed nothing yet, or "
                         "this is not a journal",
                         path);
    if (format < 0 || format > JOURNAL_FORMAT) {
        auto_free char *version = printable(json_str(first, "migrun", "?"));
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "the journal %s was written by another migrun (%.40s, format %lld), and this one "
                         "(" MIGRUN_VERSION ") reads up to format %d: use that one, or a newer one",
                         path, version, (long long)format, JOURNAL_FORMAT);
    }
    int rc = take_opening(first, story, err) < 0 || take_hosts(story, err) < 0 ? -1 : 0;
    for (size_t i = 1; rc == 0 && i < json_array_size(story->records); i++)
        rc = take_record(story, json_array_get(story->records, i), err);
    return rc;
}

// The true ones, where the first line has them masked.
static void take_parameters(struct story *story, const char *state, const char *run)
{
    auto_json json_t *params = mask_is_in(story->opening.params) ? journal_whole(state, run, THE_PARAMETERS)
                                                                 : NULL;
    if (!json_is_object(params))
        return;
    story->opening.params = params;
    json_array_append(story->records, params); // which holds it
}

// The same of run.saved.
static void take_whole_saved(struct story *story, const char *state, const char *run)
{
    auto_json json_t *saved = story->saved_whole < 0 ? journal_whole(state, run, story->saved_whole) : NULL;
    if (!json_is_object(saved))
        return;
    story->saved = saved;
    json_array_append(story->records, saved); // which holds it
}

int journal_read(const char *state, const char *run, struct story *story, struct error *err)
{
    auto_free char *path = run_path(state, run, "journal.jsonl"), *text = NULL;
    size_t len;
    begin_story(story);
    if (check_run_name(run, err) < 0 || check_owners(state, run, err) < 0)
        return -1;
    if (read_whole_file(path, JOURNAL_MAX, &text, &len) < 0)
        return errno == ENOENT ? fail_no_run(state, run, err)
                               : error_errno(err, errno, "the journal %s", path);
    struct error failure = {0};
    story->records = lines_of(text, len);
    if (take_records(story, path, run, &failure) == 0) {
        take_parameters(story, state, run);
        take_whole_saved(story, state, run);
        return 0;
    }
    if (failure.code == EBADMSG)
        return error_set(err, ERR_SYSTEM, EBADMSG, "the journal %s is malformed: %s", path, failure.message);
    if (err)
        *err = failure;
    return -1;
}

static int compare_effects(const void *a, const void *b)
{
    const struct told_effect *one = a, *other = b;
    return one->number < other->number ? -1 : one->number > other->number;
}

int story_of(const struct opening *opening, const json_t *effects, json_t *kept, struct story *story,
             struct error *err)
{
    const char *number;
    json_t *data;
    begin_story(story);
    story->records = json_pack("[O, O]", effects, kept);
    story->opening = *opening;
    if (take_hosts(story, err) < 0)
        return -1;
    json_object_foreach((json_t *)(uintptr_t)effects, number, data)
        if (take_effect(story, strtoll(number, NULL, 10), data, err) < 0)
            return -1;
    if (story->n_effects)
        qsort(story->effects, story->n_effects, sizeof *story->effects, compare_effects);
    return 0;
}

void story_free(struct story *story)
{
    json_decref(story->records);
    json_decref(story->hosts);
    free(story->effects);
    *story = (struct story){0};
}

void story_events(const struct story *story, void (*take)(void *data, const json_t *event), void *data)
{
    static const char *const types[] = {"begin", "step", "effect", "message", "verdict"};
    size_t i;
    json_t *record;
    json_array_foreach(story->records, i, record)
        for (size_t t = 0; t < COUNT_OF(types); t++)
            if (STREQ(types[t], type_of(record)))
                take(data, record);
}

// ---- all of them ----

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(int above, const char *name)
{
    struct stat st;
    return fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

int journal_runs(const char *state, json_t **names, struct error *err)
{
    auto_free char *path = run_path(state, NULL, NULL);
    auto_json json_t *all = json_array();
    if (check_owners(state, NULL, err) < 0)
        return -1;
    DIR *folder = opendir(path);
    if (!folder && errno == ENOENT && state && access(state, F_OK) < 0)
        return error_set(err, ERR_USAGE, 0,
                         "no such folder: %s (--state names the folder that runs are recorded in)", state);
    if (!folder && errno != ENOENT)
        return error_errno(err, errno, "the runs in %s", path);
    char **found = NULL;
    size_t count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (journal_is_run_name(entry->d_name) && is_folder(dirfd(folder), entry->d_name)) {
            found = xrealloc(found, (count + 1) * sizeof *found);
            found[count++] = xstrdup(entry->d_name);
        }
    if (folder)
        closedir(folder);
    if (count)
        qsort(found, count, sizeof *found, compare_names);
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(all, json_string(found[i]));
        free(found[i]);
    }
    free(found);
    *names = steal(&all);
    return 0;
}

bool journal_is_live(const char *state, const char *run)
{
    auto_free char *path = run_path(state, run, "journal.jsonl");
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

// Before the journal that tells of them.
static int remove_secrets(const char *dir)
{
    DIR *folder = opendir(dir);
    int rc = 0;
    for (struct dirent *entry; folder && rc == 0 && (entry = readdir(folder));)
        if (strncmp(entry->d_name, "secret-", 7) == 0)
            rc = unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    return rc;
}

int journal_remove(const char *state, const char *run, struct error *err)
{
    static const char *const files[] = {"policy.lua", "journal.jsonl"};
    struct journal *journal;
    struct error failure = {0};
    if (journal_resume(state, run, &journal, &failure) < 0) {
        if (failure.code != EILSEQ) {
            if (err)
                *err = failure;
            return -1;
        }
        journal = NULL; // there is none
    }
    auto_free char *dir = run_path(state, run, NULL);
    int rc = remove_secrets(dir);
    for (size_t i = 0; rc == 0 && i < COUNT_OF(files); i++) {
        auto_free char *path = run_path(state, run, files[i]);
        rc = unlink(path) < 0 && errno != ENOENT ? -1 : 0;
    }
    if (rc < 0 || rmdir(dir) < 0)
        rc = error_errno(err, errno, "run %s cannot be removed (%s)", run, dir);
    journal_close(journal);
    return rc;
}
