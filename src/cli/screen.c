// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/screen.h"
#include "cli/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

// Columns. A step's line is its phase, its title and the answer; the time it took stands at the right.
enum {
    REASON_SHOWN = 80,
    TITLE_AT = 9,
    ANSWER_AT = 40,
    BELOW_AT = 11,
    SECONDS_END = 95,
    LABEL_WIDTH = 8,
    ANSWER_WIDTH = 11, // of a survey
    NARROWEST = 20
};
enum { NO_LIMIT = 1 << 20, TERMINAL_COLUMNS = 80, PROGRESS_COLUMNS = 76, PROGRESS_EVERY = 5 };

enum hue { PLAIN, RED, GREEN, YELLOW, CYAN, DIM };

// ---- text ----

static char *shown(const struct screen *s, const char *text) { return shown_text(text, s->utf8); }

static void paint(struct screen *s, enum hue hue)
{
    static const char *const codes[] = {
        [PLAIN] = "0", [RED] = "31", [GREEN] = "32", [YELLOW] = "33", [CYAN] = "36", [DIM] = "2"};
    if (s->color)
        buf_printf(&s->out, "\033[%sm", codes[hue]);
}

static void put_painted(struct screen *s, const char *bytes, size_t len, enum hue hue)
{
    if (hue != PLAIN)
        paint(s, hue);
    buf_add(&s->out, bytes, len);
    if (hue != PLAIN)
        paint(s, PLAIN);
}

static size_t terminal_columns(const struct screen *s)
{
    struct winsize size;
    return ioctl(s->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : TERMINAL_COLUMNS;
}

// Where lines end: a terminal's are wrapped between words, a file's are left whole for those who search them.
static size_t line_columns(const struct screen *s) { return s->live ? terminal_columns(s) : NO_LIMIT; }

static void spaces(struct buf *out, size_t count) { buf_printf(out, "%*s", (int)count, ""); }

// Bytes of the next line of text that may be up to room columns wide: to the last space that fits, never
// within a word.
static size_t line_bytes(const char *text, size_t room)
{
    size_t fits = text_bytes_in(text, room), indent = strspn(text, " ");
    if (!text[fits])
        return fits;
    size_t end = fits;
    while (end > indent && text[end] != ' ')
        end--;
    while (end > indent && text[end - 1] == ' ')
        end--;
    return end > indent ? end : fits + strcspn(text + fits, " ");
}

// Text of any number of lines from column on, those that follow at indent; tail (or NULL) at the right end of
// the first. Ends the line.
static void put_text(struct screen *s, const char *text, size_t column, size_t indent, enum hue hue,
                     const char *tail)
{
    size_t columns = line_columns(s), tail_columns = tail ? text_columns(tail) : 0;
    size_t tail_end = columns < SECONDS_END ? columns : SECONDS_END;
    const char *line = text;
    do {
        size_t length = strcspn(line, "\n");
        auto_free char *raw = xstrndup(line, length), *clean = shown(s, raw);
        const char *rest = clean;
        do {
            size_t taken = column + (tail ? tail_columns + 2 : 0);
            size_t bytes = line_bytes(rest, columns > taken + NARROWEST ? columns - taken : NARROWEST);
            auto_free char *piece = xstrndup(rest, bytes);
            put_painted(s, piece, bytes, hue);
            if (tail) {
                size_t end = column + text_columns(piece) + tail_columns;
                spaces(&s->out, end + 2 <= tail_end ? tail_end - end : 2);
                buf_puts(&s->out, tail);
                tail = NULL;
            }
            rest += bytes + strspn(rest + bytes, " ");
            column = indent;
            buf_puts(&s->out, "\n");
            if (*rest)
                spaces(&s->out, indent);
        } while (*rest);
        line += length;
        line += *line == '\n';
        if (*line)
            spaces(&s->out, indent);
    } while (*line);
}

static void put_line(struct screen *s, const char *text, enum hue hue) { put_text(s, text, 0, 0, hue, NULL); }

// A cell of a table: text, and spaces up to its width; two at least. Returns the width it took.
static size_t add_cell(const struct screen *s, struct buf *out, const char *text, size_t width)
{
    auto_free char *clean = shown(s, text);
    size_t columns = text_columns(clean), gap = columns + 2 <= width ? width - columns : 2;
    buf_puts(out, clean);
    spaces(out, gap);
    return columns + gap;
}

// "0.1 s" where it is worth a look, else NULL. Who previews wants to know what would be done; times only
// where they are long.
static char *seconds_text(const struct screen *s, double seconds)
{
    return seconds >= (s->preview ? 0.95 : 0.095) ? duration_text(seconds) : NULL;
}

// One row of the table of steps.
static void put_row(struct screen *s, const char *phase, const char *title, const char *answer, enum hue hue,
                    const char *seconds)
{
    if (s->preview && (!s->phase || !STREQ(s->phase, phase)))
        buf_puts(&s->out, "\n");
    s->phase = phase;
    size_t column = add_cell(s, &s->out, phase, TITLE_AT);
    if (*answer) {
        column += add_cell(s, &s->out, title, ANSWER_AT - TITLE_AT);
        put_text(s, answer, column, ANSWER_AT, hue, seconds);
    } else {
        put_text(s, title, column, TITLE_AT, hue, seconds);
    }
}

// ---- the live line ----

static void set_live(struct screen *s, char *text)
{
    free(s->live_line);
    s->live_line = text;
}

// Prints what the event came to: the live line makes room and is put below it again.
static void send(struct screen *s)
{
    auto_buf struct buf text = {0};
    if (s->live_stands)
        buf_puts(&text, "\r\033[K");
    if (s->out.len)
        buf_add(&text, s->out.data, s->out.len);
    if (s->live_line) {
        // One column stays free, or some terminals begin a new line that could not be wiped.
        auto_free char *clean = shown(s, s->live_line);
        buf_add(&text, clean, text_bytes_in(clean, terminal_columns(s) - 1));
    }
    s->live_stands = s->live_line != NULL;
    if (!s->broken && text.len && write_all(s->fd, text.data, text.len) < 0)
        s->broken = true;
    s->printed = s->printed || s->out.len;
    s->out.len = 0;
}

// ---- effects ----

static bool shows_detail(const struct screen *s, const json_t *effect)
{
    return (s->preview || s->verbose) && json_is_string(json_object_get(effect, "detail"));
}

static bool has_component(const char *path, const char *name)
{
    size_t len = name ? strlen(name) : 0;
    for (const char *p = len ? strstr(path, name) : NULL; p; p = strstr(p + 1, name))
        if (p > path && p[-1] == '/' && p[len] == '/')
            return true;
    return false;
}

// What is changed, and where: "…/instance-00000001/disk" (brief: "disk") of the instance's own files, which
// are looked for on the host where it runs; else with the host. Nothing for a migration, whose summary says
// it all.
static char *effect_name(const struct screen *s, const json_t *effect, bool brief)
{
    const char *target = json_str(effect, "target", ""), *host = json_str(effect, "host", "");
    if (STREQ(json_str(effect, "kind", ""), "libvirt.migrate"))
        return xstrdup("");
    const char *last = *target == '/' ? strrchr(target, '/') : NULL;
    if (!last || !(has_component(target, s->instance) || has_component(target, s->uuid)))
        return *host ? xasprintf("%s on %s", target, host) : xstrdup(target);
    if (brief)
        return xstrdup(last + 1);
    const char *folder = memrchr(target, '/', (size_t)(last - target));
    return xasprintf("…%s", folder ? folder : target);
}

// What became of an effect, after its summary.
static char *effect_end(const json_t *effect, const char *said)
{
    const char *status = json_str(effect, "status", ""), *error = json_str(effect, "error", "");
    if (STREQ(status, "failed"))
        return *error && !strstr(said, error) && text_columns(error) <= REASON_SHOWN
                   ? xasprintf(": failed: %s", error)
                   : xstrdup(": failed");
    if (STREQ(status, "undone"))
        return xstrdup(": undone");
    return STREQ(status, "kept") ? xstrdup(": kept") : xstrdup("");
}

static bool is_made(const json_t *effect)
{
    const char *status = json_str(effect, "status", "");
    return STREQ(status, "done") || STREQ(status, "would");
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return STREQ(json_str(a, key, ""), json_str(b, key, ""));
}

// "disk, disk.config root:root → nova:nova": effects that are all alike, as one answer. NULL when they are
// not.
static char *effects_as_one(const struct screen *s)
{
    auto_buf struct buf names = {0};
    const json_t *first = json_array_get(s->effects, 0);
    size_t i;
    json_t *effect;
    json_array_foreach(s->effects, i, effect) {
        if (!is_made(effect) || !same(effect, first, "kind") || !same(effect, first, "host") ||
            !same(effect, first, "summary"))
            return NULL;
        auto_free char *name = effect_name(s, effect, true);
        buf_printf(&names, "%s%s", i ? ", " : "", name);
    }
    return names.len ? xasprintf("%s %s", names.data, json_str(first, "summary", ""))
                     : xstrdup(json_str(first, "summary", ""));
}

// What the step's own line tells already is not told again.
static bool is_told(const json_t *effect, const char *said)
{
    const char *told = json_str(effect, is_made(effect) ? "summary" : "error", "");
    return *told && strstr(said, told);
}

static enum hue diff_hue(const char *line)
{
    return *line == '-' ? RED : *line == '+' ? GREEN : *line == '@' ? CYAN : PLAIN;
}

static void put_diff(struct screen *s, const char *diff)
{
    while (*diff) {
        size_t length = strcspn(diff, "\n");
        auto_free char *raw = xstrndup(diff, length), *clean = shown(s, raw);
        spaces(&s->out, BELOW_AT);
        put_painted(s, clean, strlen(clean), diff_hue(clean));
        buf_puts(&s->out, "\n");
        diff += length;
        diff += *diff == '\n';
    }
}

// The step's effects, below its line. said: what the line says.
static void put_effects(struct screen *s, const char *said)
{
    size_t i, width = 0;
    json_t *effect;
    json_array_foreach(s->effects, i, effect) {
        auto_free char *name = effect_name(s, effect, false), *clean = shown(s, name);
        if (!is_told(effect, said) && text_columns(clean) + 3 > width && *clean)
            width = text_columns(clean) + 3;
    }
    json_array_foreach(s->effects, i, effect) {
        if (!is_told(effect, said)) {
            auto_free char *name = effect_name(s, effect, false), *end = effect_end(effect, said);
            auto_free char *text = xasprintf("%s%s", json_str(effect, "summary", ""), end);
            spaces(&s->out, BELOW_AT);
            size_t column = BELOW_AT + (*name ? add_cell(s, &s->out, name, width) : 0);
            put_text(s, text, column, BELOW_AT + 2, is_made(effect) ? PLAIN : RED, NULL);
        }
        if (shows_detail(s, effect))
            put_diff(s, json_str(effect, "detail", ""));
    }
}

// An effect that belongs to no step that runs: a change that is undone (or kept) at the end.
static void put_late_effect(struct screen *s, const json_t *effect)
{
    const char *status = json_str(effect, "status", "");
    bool failed = STREQ(status, "failed");
    auto_free char *name = effect_name(s, effect, false);
    auto_free char *what = xasprintf("%s%s%s", name, *name ? "   " : "", json_str(effect, "summary", ""));
    auto_free char *text = failed ? xasprintf("FAILED: %s: %s", what, json_str(effect, "error", ""))
                                  : xstrdup(what);
    put_row(s,
            failed || STREQ(status, "would") ? "undo"
            : STREQ(status, "kept")          ? "kept"
                                             : "undone",
            json_str(effect, "step", ""), text, failed ? RED : PLAIN, NULL);
}

static void on_effect(struct screen *s, const json_t *event)
{
    if (!s->step) {
        put_late_effect(s, event);
        return;
    }
    json_array_append(s->effects, (json_t *)(uintptr_t)event);
    if (s->live) {
        auto_free char *name = effect_name(s, event, true);
        set_live(s, xasprintf("%-8s %s  %s %s", json_str(s->step, "phase", ""),
                              json_str(s->step, "title", ""), name, json_str(event, "summary", "")));
    }
}

// ---- progress ----

static char *amount_text(double done, double total)
{
    const double mib = 1 << 20, gib = 1 << 30;
    return total < 10 * gib ? xasprintf("%.0f of %.0f MiB", done / mib, total / mib)
                            : xasprintf("%.1f of %.1f GiB", done / gib, total / gib);
}

static char *left_text(double seconds)
{
    long whole = (long)seconds + ((double)(long)seconds < seconds);
    return whole < 60 ? xasprintf("%ld s", whole) : duration_text((double)whole);
}

// "61 %  157 of 256 MiB  118 MiB/s  dirty 3 MiB/s  round 2  ~1 s left"
static char *progress_text(const json_t *progress)
{
    struct buf text = {0};
    double dirty = json_num(progress, "dirty_rate", 0), left = json_num(progress, "left", 0),
           stalled = json_num(progress, "stalled", 0);
    int64_t round = json_int(progress, "iteration", 0);
    auto_free char *amount = amount_text(json_num(progress, "processed", 0), json_num(progress, "total", 0));
    auto_free char *rate = bytes_text(json_num(progress, "bandwidth", 0));
    buf_printf(&text, "%.0f %%  %s", json_num(progress, "percent", 0), amount);
    if (stalled > 0) {
        auto_free char *time = left_text(stalled);
        buf_printf(&text, "  nothing sent for %s", time);
        return buf_take(&text);
    }
    buf_printf(&text, "  %s/s", rate);
    if (json_flag(progress, "post_copy", false))
        buf_puts(&text, "  post-copy");
    else if (dirty > 0) {
        auto_free char *dirtied = bytes_text(dirty);
        buf_printf(&text, "  dirty %s/s", dirtied);
    }
    if (round > 0)
        buf_printf(&text, "  round %lld", (long long)round);
    if (left > 0 && left < 1e6 && !json_flag(progress, "last", false)) {
        auto_free char *time = left_text(left);
        buf_printf(&text, "  ~%s left", time);
    }
    return buf_take(&text);
}

static void on_progress(struct screen *s, const json_t *event)
{
    json_decref(s->progress);
    s->progress = json_incref((json_t *)(uintptr_t)event);
    auto_free char *text = progress_text(event);
    const char *phase = s->step ? json_str(s->step, "phase", "") : "migrate",
               *title = s->step ? json_str(s->step, "title", "") : "";
    // The percents stand right-aligned, so that lines below each other can be compared. A narrow terminal
    // does without the title.
    auto_free char *clean_title = shown(s, title);
    bool narrow = s->live && TITLE_AT + text_columns(clean_title) + PROGRESS_COLUMNS > terminal_columns(s);
    auto_free char *line = xasprintf("%-8s %s%*s%s", phase, narrow ? "" : title,
                                     (int)((narrow ? 3 : 6) - strcspn(text, " ")), "", text);
    if (s->live) {
        set_live(s, steal(&line));
    } else if (json_num(event, "time", 0) - s->progress_told >= PROGRESS_EVERY &&
               !json_flag(event, "last", false)) {
        s->progress_told = json_num(event, "time", 0);
        put_line(s, line, PLAIN);
    }
}

// ---- steps ----

static void forget_step(struct screen *s)
{
    json_decref(s->step);
    json_decref(s->effects);
    json_decref(s->progress);
    s->step = s->effects = s->progress = NULL;
    set_live(s, NULL);
}

static void begin_step(struct screen *s, const json_t *event)
{
    forget_step(s);
    s->step = json_incref((json_t *)(uintptr_t)event);
    s->effects = json_array();
    s->progress_told = json_num(event, "time", 0);
    if (s->live)
        set_live(s, xasprintf("%-8s %s  %s", json_str(event, "phase", ""), json_str(event, "title", ""),
                              json_str(event, "text", "…")));
}

// What a step that went well says, where the policy gave it no words.
static char *default_answer(const struct screen *s, const json_t *event)
{
    size_t count = json_array_size(s->effects);
    if (STREQ(json_str(event, "phase", ""), "check"))
        return xstrdup("yes");
    if (count == 0)
        return xstrdup("nothing to change");
    char *one = effects_as_one(s);
    return one ? one : xasprintf("%zu changes", count);
}

// A long reason is left to the verdict, which tells it as the cause; a fix-up's has no other place.
static char *failure_text(const struct screen *s, const json_t *event)
{
    const char *text = json_str(event, "text", ""), *phase = json_str(event, "phase", "");
    if (!s->preview && (STREQ(phase, "prepare") || STREQ(phase, "migrate")) &&
        text_columns(text) > REASON_SHOWN)
        text = "";
    double took = s->step ? json_num(event, "time", 0) - json_num(s->step, "time", 0) : 0;
    auto_free char *seconds = took >= 0.095 ? duration_text(took) : NULL;
    return xasprintf("failed%s%s%s%s", seconds ? " after " : "", seconds ? seconds : "", *text ? ": " : "",
                     text);
}

static char *answer_text(const struct screen *s, const json_t *event, enum hue *hue)
{
    static const struct {
        const char *status, *word;
        enum hue hue;
    } answers[] = {
        {"refused", "NO", RED},
        {"accepted", "ACCEPTED", YELLOW},
        {"skipped", "skipped", DIM},
        {"not_needed", "skipped", DIM},
    };
    const char *status = json_str(event, "status", ""), *text = json_str(event, "text", "");
    *hue = PLAIN;
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        if (STREQ(status, answers[i].status)) {
            *hue = answers[i].hue;
            return xasprintf("%s%s%s", answers[i].word, *text ? ": " : "", text);
        }
    if (STREQ(status, "failed")) {
        *hue = RED;
        return failure_text(s, event);
    }
    return *text ? xstrdup(text) : default_answer(s, event);
}

// The literal phase name: rows remember it past the event.
static const char *phase_of(const json_t *event)
{
    static const char *const names[] = {"check", "prepare", "migrate", "fixup"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (STREQ(names[i], json_str(event, "phase", "")))
            return names[i];
    return "step";
}

static void put_step(struct screen *s, const json_t *event)
{
    enum hue hue;
    auto_free char *answer = answer_text(s, event, &hue);
    auto_free char *seconds = seconds_text(s, json_num(event, "seconds", 0));
    put_row(s, phase_of(event), json_str(event, "title", ""), answer, hue, seconds);
    put_effects(s, answer);
    if (s->progress) {
        auto_free char *text = progress_text(s->progress);
        spaces(&s->out, BELOW_AT);
        put_text(s, text, BELOW_AT, BELOW_AT + 2, PLAIN, NULL);
    }
}

// A run's checks, once all are answered: those that passed in one line, unless one of them says no.
static void put_checks(struct screen *s)
{
    auto_json json_t *checks = steal(&s->checks);
    size_t i, passed = 0, stopping = 0;
    json_t *check;
    json_array_foreach(checks, i, check) {
        const char *status = json_str(check, "status", "");
        passed += STREQ(status, "ok");
        stopping += STREQ(status, "refused") || STREQ(status, "failed");
    }
    if (passed && !stopping) {
        auto_free char *title = xasprintf("%zu passed", passed);
        auto_free char *seconds = seconds_text(
            s, json_num(json_array_get(checks, json_array_size(checks) - 1), "time", 0) - s->checks_begun);
        put_row(s, "check", title, "", PLAIN, seconds);
    }
    json_array_foreach(checks, i, check)
        if (stopping || !STREQ(json_str(check, "status", ""), "ok"))
            put_step(s, check);
}

static void keep_check(struct screen *s, const json_t *event)
{
    if (!s->checks)
        s->checks = json_array();
    json_array_append(s->checks, (json_t *)(uintptr_t)event);
}

static void on_step(struct screen *s, const json_t *event)
{
    bool check = STREQ(json_str(event, "phase", ""), "check"),
         starts = STREQ(json_str(event, "status", ""), "start");
    // What the guest does not have is no question.
    if (check && !s->verbose && STREQ(json_str(event, "status", ""), "not_needed"))
        return;
    if (!check)
        put_checks(s);
    else if (s->checks_begun <= 0)
        s->checks_begun = json_num(event, "time", 0);
    if (starts) {
        begin_step(s, event);
        return;
    }
    if (check && !s->preview && !s->verbose && !s->asks)
        keep_check(s, event);
    else
        put_step(s, event);
    forget_step(s);
}

// ---- the rest ----

// "instance-00000001 (256 MiB, 1 vCPU)"
static char *instance_text(const json_t *event)
{
    const char *name = json_str(event, "instance", "");
    int64_t vcpus = json_int(event, "vcpus", 0);
    auto_free char *memory = bytes_text(json_num(event, "memory", 0));
    if (json_num(event, "memory", 0) <= 0 || vcpus <= 0)
        return xstrdup(name);
    return xasprintf("%s (%s, %lld vCPU%s)", name, memory, (long long)vcpus, vcpus == 1 ? "" : "s");
}

// The sentence of a preview begins with "Preview of moving …" or "Preview for …"; that nothing is changed (or
// that nothing enforces it) is the first thing to know.
static char *preview_sentence(const json_t *event)
{
    const char *sentence = json_str(event, "sentence", "");
    const char *unlocked = json_str(event, "unlocked", NULL);
    auto_free char *instance = instance_text(event);
    auto_free char *promise = unlocked ? xasprintf("Preview, not enforced (%s).", unlocked)
                                       : xstrdup("Preview: nothing is changed.");
    if (strncmp(sentence, "Preview of moving ", 18) == 0)
        return xasprintf("%s %s from %s to %s, by %s", promise, instance, json_str(event, "source", ""),
                         json_str(event, "dest", ""), json_str(event, "policy", ""));
    if (strncmp(sentence, "Preview for ", 12) == 0)
        return xasprintf("%s For %s", promise, sentence + 12);
    return xasprintf("%s %s", promise, sentence);
}

static void on_begin(struct screen *s, const json_t *event)
{
    s->preview = json_flag(event, "preview", false);
    s->asks = json_flag(event, "asks", false);
    size_t i;
    json_t *host;
    json_array_foreach(json_object_get(event, "hosts"), i, host)
        if (text_columns(json_string_value(host)) > s->host_width)
            s->host_width = text_columns(json_string_value(host));
    free(s->instance);
    free(s->uuid);
    s->instance = xstrdup(json_str(event, "instance", ""));
    s->uuid = xstrdup(json_str(event, "uuid", ""));
    const char *run = json_str(event, "run", ""), *sentence = json_str(event, "sentence", "");
    auto_free char *text = s->preview                       ? preview_sentence(event)
                           : *run && !strstr(sentence, run) ? xasprintf("%s   run %s", sentence, run)
                                                            : xstrdup(sentence);
    put_line(s, text, PLAIN);
}

static void on_message(struct screen *s, const json_t *event)
{
    const char *level = json_str(event, "level", "info"), *text = json_str(event, "text", "");
    bool info = STREQ(level, "info");
    enum hue hue = info ? PLAIN : STREQ(level, "warning") ? YELLOW : RED;
    auto_free char *said = info ? xstrdup(text) : xasprintf("%s: %s", level, text);
    bool answers = json_flag(event, "answers", false); // a Ctrl-C
    if (s->quiet && info && !answers)
        return;
    // The answer to a Ctrl-C stands by itself; what a step has to say stands beside its title.
    if (s->step && !s->quiet && !answers)
        put_row(s, phase_of(s->step), json_str(s->step, "title", ""), said, hue, NULL);
    else
        put_line(s, said, hue);
}

// A row of a survey: a host, whether it can take the guest, and why.
static void on_host(struct screen *s, const json_t *event)
{
    static const struct {
        const char *answer, *word;
        enum hue hue;
    } words[] = {{"yes", "yes", GREEN}, {"no", "no", RED}, {"not_known", "not known", YELLOW}};
    enum hue hue = PLAIN;
    const char *word = "";
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (STREQ(words[i].answer, json_str(event, "answer", ""))) {
            word = words[i].word;
            hue = words[i].hue;
        }
    size_t width = s->host_width > LABEL_WIDTH ? s->host_width : LABEL_WIDTH;
    size_t column = add_cell(s, &s->out, json_str(event, "name", ""), width + 2);
    put_painted(s, word, strlen(word), hue);
    spaces(&s->out, ANSWER_WIDTH - strlen(word));
    put_text(s, json_str(event, "text", ""), column + ANSWER_WIDTH, column + ANSWER_WIDTH, PLAIN, NULL);
}

static enum hue verdict_hue(const json_t *event)
{
    static const struct {
        const char *outcome;
        enum hue hue;
    } hues[] = {
        {"moved", GREEN}, {"done", GREEN}, {"would", GREEN}, {"moved_but", YELLOW}, {"interrupted", YELLOW},
    };
    for (size_t i = 0; i < COUNT_OF(hues); i++)
        if (STREQ(hues[i].outcome, json_str(event, "outcome", "")))
            return json_int(event, "status", 0) == 4 ? YELLOW : hues[i].hue;
    return RED;
}

static void put_details(struct screen *s, const json_t *details)
{
    size_t i, width = LABEL_WIDTH;
    json_t *detail;
    json_array_foreach(details, i, detail) {
        size_t label = text_columns(json_str(detail, "label", "")) + 2;
        if (label > width)
            width = label;
    }
    json_array_foreach(details, i, detail) {
        const char *label = json_str(detail, "label", "");
        buf_puts(&s->out, "  ");
        size_t column = 2 + (*label ? add_cell(s, &s->out, label, width) : 0);
        put_text(s, json_str(detail, "text", ""), column, column, PLAIN, NULL);
    }
}

// Quiet: why a run was refused is told below its verdict.
static void keep_reason(struct screen *s, const json_t *event)
{
    const char *status = json_str(event, "status", "");
    if (STREQ(json_str(event, "phase", ""), "check") && (STREQ(status, "refused") || STREQ(status, "failed")))
        keep_check(s, event);
}

static void put_reasons(struct screen *s)
{
    auto_json json_t *reasons = json_array();
    size_t i;
    json_t *check;
    json_array_foreach(s->checks, i, check)
        json_array_append_new(reasons, json_pack("{s:O, s:O}", "label", json_object_get(check, "title"),
                                                 "text", json_object_get(check, "text")));
    put_details(s, reasons);
}

static void on_verdict(struct screen *s, const json_t *event)
{
    if (!s->quiet)
        put_checks(s);
    forget_step(s);
    if (!s->quiet && (s->printed || s->out.len))
        buf_puts(&s->out, "\n");
    put_line(s, json_str(event, "line", ""), verdict_hue(event));
    if (s->quiet)
        put_reasons(s);
    if (!s->quiet || json_int(event, "status", 0) != 0)
        put_details(s, json_object_get(event, "details"));
    send(s);
    if (s->broken) {
        auto_free char *clean = shown(s, json_str(event, "line", "")), *line = xasprintf("%s\n", clean);
        write_all(s->verdict_fd, line, strlen(line));
    }
}

static void on_event(void *data, const json_t *event)
{
    static const struct {
        const char *type;
        void (*show)(struct screen *s, const json_t *event);
        bool always;
    } types[] = {
        {"begin", on_begin, false},       {"step", on_step, false},      {"effect", on_effect, false},
        {"progress", on_progress, false}, {"message", on_message, true}, {"verdict", on_verdict, true},
        {"host", on_host, false},
    };
    struct screen *s = data;
    if (s->quiet && STREQ(json_str(event, "type", ""), "step"))
        keep_reason(s, event);
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (STREQ(types[i].type, json_str(event, "type", "")) && (types[i].always || !s->quiet))
            types[i].show(s, event);
    send(s);
}

struct listener screen_listener(struct screen *screen)
{
    return (struct listener){.event = on_event, .data = screen};
}

void screen_end(struct screen *s)
{
    forget_step(s);
    send(s);
    json_decref(s->checks);
    free(s->instance);
    free(s->uuid);
    buf_free(&s->out);
}
