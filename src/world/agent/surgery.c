// SPDX-License-Identifier: MIT
// The surgery: libvirtd is stopped, files are changed, libvirtd is started, as one transaction on the host.
// It ends with every guest managed as before, or with the originals restored; if the agent dies in it, its
// guard (guard.c) ends it. This file has its parts: the manifest, stopping and starting, the log, restoring.
// Its actions are in surgery_serve.c.
#include "world/agent/surgery.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ACT_MS = 90000,
    LOOK_MS = 10000,
    SETTLE_MS = 30000,
    MANIFEST_MOST = 16 << 20,
    LOG_MOST = 1 << 20, // bytes of the log that are looked through
    LOG_LINES = 3
};

// ---- the manifest ----

int surgery_load(const char *keep, struct surgery *s, struct error *err)
{
    struct error failure;
    *s = (struct surgery)NO_SURGERY;
    if (keep_parse(keep, s->run, s->number, err) < 0)
        return -1;
    s->folder = keep_folder(s->run, false, &failure);
    return s->folder < 0 ? unless_absent(&failure, err) : surgery_read(s, err);
}

int surgery_read(struct surgery *s, struct error *err)
{
    auto_free char *name = xasprintf("%s.surgery", s->number), *text = NULL;
    size_t len;
    json_decref(s->manifest);
    s->manifest = NULL;
    if (kept_bytes(s->folder, name, MANIFEST_MOST, &text, &len) < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "%s/%s/%s", agent_keep_dir, s->run, name);
    s->manifest = json_loadb(text, len, 0, NULL);
    return s->manifest
               ? 0
               : error_set(err, ERR_SYSTEM, EILSEQ, "%s/%s/%s is damaged", agent_keep_dir, s->run, name);
}

int surgery_store(const struct surgery *s, struct error *err)
{
    auto_free char *text = json_dumps(s->manifest, JSON_COMPACT), *name = xasprintf("%s.surgery", s->number),
                   *fresh = xasprintf("%s.new", name);
    unlinkat(s->folder, fresh, 0);
    if (keep_bytes(s->folder, fresh, text, strlen(text)) < 0 ||
        renameat(s->folder, fresh, s->folder, name) < 0 || fsync(s->folder) < 0)
        return error_errno(err, errno, "%s/%s/%s cannot be written", agent_keep_dir, s->run, name);
    return 0;
}

int surgery_lock(struct surgery *s, bool wait, struct error *err)
{
    auto_free char *name = xasprintf("%s.lock", s->number);
    if (s->lock < 0)
        s->lock = openat(s->folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock < 0)
        return error_errno(err, errno, "%s/%s/%s", agent_keep_dir, s->run, name);
    int64_t deadline = deadline_in(wait ? SETTLE_MS : 0);
    do {
        if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
            return 1;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_errno(err, errno, "%s/%s/%s", agent_keep_dir, s->run, name);
    } while (wait && now_ms() < deadline && (nap_ms(50), true));
    return 0;
}

void surgery_free(struct surgery *s)
{
    json_decref(s->manifest);
    s->manifest = NULL;
    util_close_fd(&s->folder);
    util_close_fd(&s->lock);
}

bool surgery_is_open(const struct surgery *s) { return STREQ(json_str(s->manifest, "phase", ""), "open"); }

void surgery_set_end(struct surgery *s, const char *phase, const char *text, json_t *lost)
{
    json_object_set_new(s->manifest, "phase", json_string(phase));
    json_object_set_new(s->manifest, "text", json_text(text));
    json_object_set_new(s->manifest, "at", json_real(wall_time()));
    json_object_set_new(s->manifest, "lost", lost);
}

// ---- units ----

const char *surgery_unit(const struct surgery *s) { return json_str(s->manifest, "unit", ""); }

static int run_words(const char *const *argv, int64_t timeout, struct process_result *ended,
                     struct error *err)
{
    return process_run(
        &(struct process_request){.argv = argv, .deadline = deadline_in(timeout), .watch_fd = -1}, ended,
        err);
}

static int act_failed(const struct surgery *s, const char *action, const struct process_result *ended,
                      struct error *err)
{
    auto_free char *said = process_said(ended);
    return error_set(err, ended->timed_out ? ERR_TIMEOUT : ERR_COMMAND, ended->status, "%s of %s %s%s%.300s",
                     action, surgery_unit(s), ended->timed_out ? "did not end in time" : "failed",
                     *said ? ": " : "", said);
}

// Stops or starts all that was active (systemd orders sockets and service), or what the site's command does
// for it.
static int act_on(const struct surgery *s, const char *action, const json_t *units, struct error *err)
{
    const json_t *words = json_object_get(json_object_get(s->manifest, "commands"), action);
    const json_t *list = words ? words : units;
    size_t n = 0, count = json_array_size(list);
    auto_free const char **argv = xcalloc(count + 4, sizeof *argv);
    if (!words) {
        argv[n++] = "systemctl";
        argv[n++] = action;
        argv[n++] = "--";
    }
    for (size_t i = 0; i < count; i++)
        argv[n++] = json_string_value(json_array_get(list, i));
    struct process_result cleanup(process_result_free) ended = {0};
    if (run_words(argv, ACT_MS, &ended, err) < 0)
        return -1;
    return ended.status == 0 && !ended.timed_out ? 0 : act_failed(s, action, &ended, err);
}

static int act(const struct surgery *s, const char *action, struct error *err)
{
    return act_on(s, action, json_object_get(s->manifest, "units"), err);
}

// The values of some of systemctl's properties of a unit, as words. Caller frees.
static json_t *property_words(const char *unit, const char *properties, struct error *err)
{
    auto_free char *property = xasprintf("--property=%s", properties);
    const char *const argv[] = {"systemctl", "show", property, "--value", "--", unit, NULL};
    struct process_result cleanup(process_result_free) ended = {0};
    if (run_words(argv, LOOK_MS, &ended, err) < 0)
        return NULL;
    json_t *words = json_array();
    char *state, *text = ended.out.data;
    for (char *word = text ? strtok_r(text, " \n", &state) : NULL; word; word = strtok_r(NULL, " \n", &state))
        json_array_append_new(words, json_text(word));
    return words;
}

// Active, or on its way up or down: such a unit must not be taken for stopped.
static bool may_run(const struct unit_state *unit)
{
    return unit->found && !STREQ(unit->state, "inactive") && !STREQ(unit->state, "failed");
}

static int running_among(const json_t *names, json_t *running, struct error *err)
{
    size_t count = json_array_size(names);
    auto_free const char **list = xcalloc(count + 1, sizeof *list);
    auto_free struct unit_state *states = xcalloc(count + 1, sizeof *states);
    for (size_t i = 0; i < count; i++)
        list[i] = json_string_value(json_array_get(names, i));
    if (units_show(NULL, list, count, deadline_in(LOOK_MS), states, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (may_run(&states[i]))
            json_array_append_new(running, json_string(list[i]));
    return 0;
}

static bool holds(const json_t *list, const char *word)
{
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)list, i, entry)
        if (STREQ(json_string_value(entry), word))
            return true;
    return false;
}

// Records the units to stop and start again: the sockets that start the service for a client, and the
// service, which is started even if it was asleep behind its sockets, so that its guests can be seen. Refuses
// if systemd would stop other units with it.
int surgery_record_units(struct surgery *s, struct error *err)
{
    auto_json json_t *sockets = property_words(surgery_unit(s), "TriggeredBy", err), *units = json_array(),
                     *along = json_array();
    auto_json json_t *dependents = sockets
                                       ? property_words(surgery_unit(s), "RequiredBy,BoundBy,ConsistsOf", err)
                                       : NULL;
    if (!dependents || running_among(sockets, units, err) < 0 || running_among(dependents, along, err) < 0)
        return -1;
    auto_json json_t *service = json_pack("[s]", surgery_unit(s)), *itself = json_array();
    if (running_among(service, itself, err) < 0)
        return -1;
    bool modular = STREQ(surgery_unit(s), "libvirtd") && access("/run/libvirt/virtqemud-sock", F_OK) == 0;
    if (!json_array_size(units) && !json_array_size(itself) && modular)
        return error_set(
            err, ERR_REFUSED, REFUSED_OTHER,
            "libvirtd is not running, so there is nothing to stop: virtqemud has the guests here, and "
            "the site file is to say so: services = { libvirtd = \"virtqemud\" }, libvirt = { socket "
            "= \"/run/libvirt/virtqemud-sock\", socket_ro = \"/run/libvirt/virtqemud-sock-ro\" }");
    if (!json_array_size(units) && !json_array_size(itself))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s is not running, so there is nothing to stop; first run systemctl start %s and "
                         "check its guests",
                         surgery_unit(s), surgery_unit(s));
    size_t i;
    json_t *unit;
    json_array_foreach(along, i, unit)
        if (!holds(sockets, json_string_value(unit)))
            return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                             "refusing to stop %s: systemd would stop %s with it", surgery_unit(s),
                             json_string_value(unit));
    json_array_append_new(units, json_string(surgery_unit(s)));
    json_object_set(s->manifest, "units", units);
    return 0;
}

static int check_stopped(const struct surgery *s, struct error *err)
{
    auto_json json_t *active = json_array();
    // Guests were queried through this socket. If nothing listens there now, libvirtd is down, and systemd
    // need not be asked while it is.
    int failed = json_array_size(json_object_get(s->manifest, "guests"))
                     ? socket_connects(json_str(s->manifest, "socket", "/run/libvirt/libvirt-sock"))
                     : 0;
    if (json_object_get(s->manifest, "commands"))
        return 0; // the site's command said so
    if (failed == ENOENT || failed == ECONNREFUSED)
        return 0;
    if (running_among(json_object_get(s->manifest, "units"), active, err) < 0)
        return -1;
    return json_array_size(active) == 0
               ? 0
               : error_set(err, ERR_COMMAND, 0, "%s was stopped, but %s runs again: something started it",
                           surgery_unit(s), json_string_value(json_array_get(active, 0)));
}

int surgery_stop(const struct surgery *s, struct error *err)
{
    return act(s, "stop", err) < 0 ? -1 : check_stopped(s, err);
}

// ---- what libvirtd's log says ----

void surgery_mark_log(struct surgery *s, const char *path)
{
    struct stat st;
    json_object_set_new(s->manifest, "log",
                        json_pack("{s:s, s:I, s:f}", "path", path, "size",
                                  (json_int_t)(stat(path, &st) == 0 ? st.st_size : -1), "since",
                                  wall_time()));
}

// The log's end at a moment, so that it can be read up to there once the service runs again.
struct log_end {
    int64_t size; // -1: there is no file
    double time;
};

static struct log_end log_now(const struct surgery *s)
{
    struct stat st;
    const char *path = json_str(json_object_get(s->manifest, "log"), "path", "");
    return (struct log_end){.size = stat(path, &st) == 0 ? st.st_size : -1, .time = wall_time()};
}

// The last LOG_MOST bytes of a file's part. Caller frees; NULL when it cannot be read.
static char *file_part(const char *path, int64_t from, int64_t to)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf struct buf text = {0};
    if (to - from > LOG_MOST)
        from = to - LOG_MOST;
    while (fd >= 0 && from < to) {
        char chunk[65536];
        size_t left = (size_t)(to - from);
        ssize_t n = pread(fd, chunk, left < sizeof chunk ? left : sizeof chunk, from);
        if (n <= 0)
            break;
        buf_add(&text, chunk, (size_t)n);
        from += n;
    }
    return fd >= 0 ? buf_take(&text) : NULL;
}

// The log from the surgery's beginning to end, from its file or the journal. Caller frees.
static char *log_text(const struct surgery *s, const struct log_end *end)
{
    const json_t *log = json_object_get(s->manifest, "log");
    int64_t size = json_int(log, "size", -1);
    char *text = end->size >= 0 ? file_part(json_str(log, "path", ""), size < 0 ? 0 : size, end->size) : NULL;
    if (text)
        return text;
    auto_free char *since = xasprintf("--since=@%.3f", json_num(log, "since", 0)),
                   *until = xasprintf("--until=@%.3f", end->time);
    const char *const argv[] = {"journalctl", "--quiet",       "--no-pager", "--output=cat", since, until,
                                "-u",         surgery_unit(s), NULL};
    struct process_result cleanup(process_result_free) ended = {0};
    if (json_object_get(s->manifest, "commands") || run_words(argv, LOOK_MS, &ended, NULL) < 0)
        return xstrdup("");
    return xstrdup(ended.out.data ? ended.out.data : "");
}

// Lines about guests and their records explain most. A starting libvirtd always complains about features that
// the host lacks.
static bool is_of_guests(const char *line)
{
    static const char *const words[] = {"qemu", "domain", "monitor", "status", "capabilit"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strcasestr(line, words[i]))
            return true;
    return false;
}

// "2026-11-24 19:55:50.270+0000: 587: error : virXMLParse:1936 : what it says" without its head.
static const char *without_head(const char *line)
{
    const char *error = strstr(line, ": error : "), *place = error ? strstr(error + 10, " : ") : NULL;
    return place ? place + 3 : line;
}

// Its error lines: those about guests, or else the last one. Caller frees.
static char *log_errors(const struct surgery *s, const struct log_end *end)
{
    struct buf said = {0};
    auto_free char *text = log_text(s, end);
    const char *last = NULL;
    size_t n = 0;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!strcasestr(line, "error") || strstr(line, "Input/output error"))
            continue;
        last = line;
        if (is_of_guests(without_head(line)) && n < LOG_LINES) {
            auto_free char *shown = printable(without_head(line));
            buf_printf(&said, "%s%.200s", n++ ? "; " : "", shown);
        }
    }
    if (n == 0 && last) {
        auto_free char *shown = printable(without_head(last));
        buf_printf(&said, "%.300s", shown);
    }
    return buf_take(&said);
}

// ---- restoring ----

static char *clock_text(void)
{
    char text[16];
    time_t now = time(NULL);
    struct tm local;
    strftime(text, sizeof text, "%H:%M:%S", localtime_r(&now, &local));
    return xstrdup(text);
}

// Whether a file still is as the edit left it (or was removed), and so must be restored. A record that
// libvirtd accepted has been rewritten by it.
static bool is_in_place(struct agent *agent, const json_t *edit)
{
    auto_json json_t *request = json_pack("{s:O}", "path", json_object_get(edit, "path")), *stat = NULL;
    auto_buf struct buf body = {0};
    struct error err;
    if (serve_read(agent, request, NULL, 0, &stat, &body, &err) < 0)
        return err.domain == ERR_SYSTEM && err.code == ENOENT;
    return STREQ(json_str(stat, "sha256", ""), json_str(edit, "sha256", "-"));
}

// Its original is kept before an edit goes into place.
static bool was_kept(const json_t *edit)
{
    auto_free char *kept = xasprintf("%s/%s.json", agent_keep_dir, json_str(edit, "keep", ""));
    return access(kept, F_OK) == 0;
}

static int put_back_one(struct agent *agent, const json_t *edit, json_t *lost)
{
    auto_json json_t *tidied = NULL;
    serve_tidy(agent, edit, NULL, 0, &tidied, NULL, NULL); // what its agent left when it died
    if (!was_kept(edit) || !is_in_place(agent, edit))
        return 0;
    struct stat st;
    const char *path = json_str(edit, "path", "");
    json_t *expect = lstat(path, &st) == 0 ? json_pack("{s:O}", "sha256", json_object_get(edit, "sha256"))
                                           : json_pack("{s:b}", "absent", 1);
    auto_json json_t *request = json_pack("{s:s, s:O, s:o}", "path", path, "keep",
                                          json_object_get(edit, "keep"), "expect", expect),
                     *result = NULL;
    struct error err;
    if (serve_restore(NULL, request, NULL, 0, &result, NULL, &err) == 0)
        return 1;
    json_array_append_new(lost, json_text(err.message));
    return 0;
}

static bool any_in_place(const struct surgery *s, struct agent *agent)
{
    size_t i;
    json_t *edit;
    json_array_foreach(json_object_get(s->manifest, "edits"), i, edit)
        if (is_in_place(agent, edit))
            return true;
    return false;
}

// Tries again with the failure counter reset, in case systemd refuses to start it so often.
int surgery_start(const struct surgery *s, struct error *err)
{
    if (act(s, "start", err) == 0)
        return 0;
    if (!json_object_get(s->manifest, "commands"))
        act(s, "reset-failed", NULL);
    return act(s, "start", err);
}

int surgery_start_changed(const struct surgery *s, struct error *err)
{
    const json_t *without = json_object_get(s->manifest, "without");
    auto_json json_t *units = json_copy(json_object_get(s->manifest, "with"));
    size_t i;
    json_t *unit;
    if (json_object_get(s->manifest, "commands"))
        return surgery_start(s, err);
    json_array_foreach(json_object_get(s->manifest, "units"), i, unit)
        if (!holds(without, json_string_value(unit)))
            json_array_append(units, unit);
    if (act_on(s, "start", units, err) == 0)
        return 0;
    act_on(s, "reset-failed", units, NULL);
    return act_on(s, "start", units, err);
}

// Starts what was stopped and checks the guests; adds a sentence for each problem to lost. Returns how many
// guests are managed.
static size_t start_and_look(struct surgery *s, json_t *lost)
{
    struct error err;
    size_t guests = json_array_size(json_object_get(s->manifest, "guests"));
    bool down = surgery_start(s, &err) < 0;
    json_object_set_new(s->manifest, "down", json_boolean(down));
    if (down) {
        struct log_end end = log_now(s);
        auto_free char *said = log_errors(s, &end);
        auto_free char *line = xasprintf(
            "%s does not start (%s%s%s): its %zu guests run on, unmanaged; repair it and start it by hand",
            surgery_unit(s), err.message, *said ? "; " : "", said, guests);
        json_array_append_new(lost, json_text(line));
        return 0;
    }
    auto_json json_t *gone = guests_lost(s->manifest);
    json_array_extend(lost, gone);
    return guests - json_array_size(gone);
}

void surgery_put_back(struct surgery *s, const char *who, const char *why)
{
    struct agent agent = {.stdin_fd = -1};
    json_t *unrestored = json_array();
    struct error err = {0};
    const json_t *edits = json_object_get(s->manifest, "edits");
    size_t back = 0;
    const json_t *with = json_object_get(s->manifest, "with");
    // A service that was started with a record it could not accept would overwrite the original, and one that
    // got a socket which it was to get would keep it.
    if (any_in_place(s, &agent) || json_array_size(with))
        act(s, "stop", &err);
    if (json_array_size(with))
        act_on(s, "stop", with, &err);
    // Last first: undoing the second edit of a file leaves the first one's result.
    for (size_t i = json_array_size(edits); i-- > 0;)
        back += (size_t)put_back_one(&agent, json_array_get(edits, i), unrestored);
    json_object_set_new(s->manifest, "unrestored", unrestored);
    auto_json json_t *lost = json_copy(unrestored);
    size_t managed = start_and_look(s, lost);
    auto_free char *at = clock_text();
    auto_free char *text = xasprintf(
        "was stopped; %s started it again at %s%s (%s); %zu of %zu guests are managed as before", who, at,
        back == 1 ? ", with the original restored"
        : back    ? ", with the originals restored"
                  : "",
        why, managed, json_array_size(json_object_get(s->manifest, "guests")));
    surgery_set_end(s, "put back", text, steal(&lost));
    surgery_store(s, &err);
    claim_tell(s->run, text);
}

// Whether some edit of a file of this path, or what was there before the first, has this hash.
static bool is_of_surgery(const json_t *edits, const char *path, const char *hash)
{
    size_t i;
    json_t *edit;
    json_array_foreach((json_t *)(uintptr_t)edits, i, edit)
        if (STREQ(json_str(edit, "path", ""), path) &&
            (STREQ(json_str(edit, "sha256", ""), hash) ||
             STREQ(json_str(json_object_get(edit, "expect"), "sha256", ""), hash)))
            return true;
    return false;
}

// Whether the service has been started on the edits: it has written a file in words of its own since. (Who
// writes the very bytes that were put there leaves nothing to tell it by, and they are restored.)
static bool was_taken_over(const struct surgery *s, struct agent *agent)
{
    const json_t *edits = json_object_get(s->manifest, "edits");
    bool others = false; // one is neither as it was nor as it was edited
    size_t i;
    json_t *edit;
    json_array_foreach((json_t *)(uintptr_t)edits, i, edit) {
        auto_json json_t *stat = NULL;
        auto_buf struct buf body = {0};
        if (!was_kept(edit))
            return false; // before all edits were in place nobody started it
        others = others || (serve_read(agent, edit, NULL, 0, &stat, &body, NULL) == 0 &&
                            !is_of_surgery(edits, json_str(edit, "path", ""), json_str(stat, "sha256", "")));
    }
    return others;
}

void surgery_end_left(struct surgery *s, const char *who, const char *why)
{
    struct agent agent = {.stdin_fd = -1};
    struct error err;
    auto_json json_t *lost = json_array();
    if (!was_taken_over(s, &agent)) {
        surgery_put_back(s, who, why);
        return;
    }
    size_t managed = start_and_look(s, lost);
    if (json_array_size(lost) > 0) {
        surgery_put_back(s, who, why);
        return;
    }
    auto_free char *text = xasprintf(
        "had taken the edits over when %s looked (%s); %zu guest%s managed as before", who, why, managed,
        managed == 1 ? " is" : "s are");
    surgery_set_end(s, "committed", text, json_array());
    surgery_store(s, &err);
    claim_tell(s->run, text);
}

void surgery_look_again(struct surgery *s)
{
    struct error err;
    const json_t *unrestored = json_object_get(s->manifest, "unrestored");
    if (json_array_size(json_object_get(s->manifest, "lost")) == 0)
        return;
    json_t *lost = unrestored ? json_copy((json_t *)(uintptr_t)unrestored) : json_array();
    if (json_flag(s->manifest, "down", false)) {
        start_and_look(s, lost);
    } else {
        auto_json json_t *gone = guests_lost(s->manifest);
        json_array_extend(lost, gone);
    }
    json_object_set_new(s->manifest, "lost", lost);
    surgery_store(s, &err);
}

int surgery_fail(struct surgery *s, const char *why, struct error *err)
{
    auto_free char *reason = xstrdup(why);
    struct log_end end = log_now(s);
    surgery_put_back(s, "migrun", "the step failed");
    auto_free char *said = log_errors(s, &end);
    const json_t *lost = json_object_get(s->manifest, "lost");
    auto_buf struct buf all = {0};
    size_t i;
    json_t *text;
    json_array_foreach((json_t *)(uintptr_t)lost, i, text)
        buf_printf(&all, "%s%s", i ? "; " : ". NOT restored: ", json_string_value(text));
    return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%.300s%s%.400s%s; %s %.200s%.500s", reason,
                     *said ? " (its log: " : "", said, *said ? ")" : "", surgery_unit(s),
                     json_str(s->manifest, "text", ""), all.len ? all.data : "");
}
