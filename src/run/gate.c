// SPDX-License-Identifier: MIT
#include "run/gate.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/interrupt.h"
#include "base/mask.h"
#include "run/journal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const phase_names[4] = {"check", "prepare", "migrate", "fixup"};

#define KIND(name) [OF_##name] = &effect_##name,
static const struct effect_kind *const kinds[] = {EFFECT_KINDS(KIND)};
#undef KIND

struct effect *effect_new(enum effect_kind_of kind, struct run_host *host, const char *target, json_t *before,
                          json_t *after)
{
    struct effect *e = xcalloc(1, sizeof *e);
    e->kind = kinds[kind];
    e->host = host;
    e->made = NOT_MADE;
    const struct step *step = host->run->step;
    e->of_fixup = step && host->run->phase == PHASE_FIXUP;
    e->temporary = step && step->temporary && !e->of_fixup;
    e->data = json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", e->kind->name, "host", run_host_name(host),
                        "target", json_text(target), "before", before, "after", after);
    json_object_set_new(e->data, "step", json_text(step ? step->title : ""));
    if (e->of_fixup)
        json_object_set_new(e->data, "fixup", json_true());
    if (e->temporary)
        json_object_set_new(e->data, "temporary", json_true());
    return e;
}

void effect_free(struct effect *e)
{
    if (!e)
        return;
    json_decref(e->data);
    json_decref(e->result);
    if (e->own)
        e->kind->free_own(e->own);
    free(e);
}

const char *effect_target(const struct effect *e) { return json_str(e->data, "target", ""); }
const json_t *effect_before(const struct effect *e) { return json_object_get(e->data, "before"); }
const json_t *effect_after(const struct effect *e) { return json_object_get(e->data, "after"); }

static bool same_thing(const struct effect *a, const struct effect *b)
{
    return a->host == b->host && STREQ(effect_target(a), effect_target(b));
}

bool effect_is_secret(const struct effect *e)
{
    const struct run *run = e->host->run;
    bool secret = json_flag(effect_after(e), "secret", false);
    bool is_file = *effect_target(e) == '/'; // whose content is secret since an earlier change
    for (size_t i = 0; is_file && i < run->n_effects && !secret; i++)
        secret = same_thing(run->effects[i], e) && json_flag(effect_after(run->effects[i]), "secret", false);
    return secret;
}

json_t *effect_words(const struct run *run, const json_t *argv, bool secret)
{
    json_t *words = run_masked(run, argv);
    for (size_t i = 1; secret && i < json_array_size(words); i++)
        json_array_set_new(words, i, json_string(MASK));
    return words;
}

// The effect as others may read it. Its other members have nothing secret: a kind whose target may (a
// command) makes it without.
static json_t *masked(const struct effect *e)
{
    json_t *data = json_copy(e->data);
    json_object_set_new(data, "before", run_masked(e->host->run, effect_before(e)));
    json_t *after = run_masked(e->host->run, effect_after(e));
    static const char *const commands[] = {"argv", "undo"};
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (json_is_array(json_object_get(after, commands[i])))
            json_object_set_new(after, commands[i],
                                effect_words(e->host->run, json_object_get(effect_after(e), commands[i]),
                                             effect_is_secret(e)));
    json_object_set_new(data, "after", after);
    return data;
}

void effect_note(const struct effect *e, json_t *request)
{
    auto_free char *keep = xasprintf("%s/%d", e->host->run->id, e->number);
    json_object_set_new(request, "keep", json_string(keep));
    json_object_set_new(request, "note", masked(e));
    if (e->undoing)
        json_object_set_new(request, "undoes", json_true());
}

enum note_place effect_note_place(const char *kind)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (STREQ(kinds[i]->name, kind))
            return kinds[i]->note;
    return NOTE_NOWHERE;
}

struct effect *effect_from(struct run_host *host, const json_t *data, int number)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (!STREQ(kinds[i]->name, json_str(data, "kind", "")))
            continue;
        struct effect *e = xcalloc(1, sizeof *e);
        *e = (struct effect){.kind = kinds[i],
                             .host = host,
                             .number = number,
                             .data = json_deep_copy(data),
                             .made = MADE_UNKNOWN,
                             .of_fixup = json_flag(data, "fixup", false),
                             .temporary = json_flag(data, "temporary", false)};
        return e;
    }
    return NULL;
}

// What the cloud calls the request that made it, or undid it; NULL: there was none.
static const char *request_id_of(const struct effect *e)
{
    const char *id = json_str(e->result, "request_id", "");
    return *id ? id : NULL;
}

static void tell(const struct effect *e, const char *status, const char *summary, const char *detail,
                 const char *error)
{
    run_emit(e->host->run, "effect",
             json_pack("{s:O, s:i, s:O, s:O, s:O, s:s, s:o*, s:o*, s:o*, s:s*}", "step",
                       json_object_get(e->data, "step"), "number", e->number, "kind",
                       json_object_get(e->data, "kind"), "host", json_object_get(e->data, "host"), "target",
                       json_object_get(e->data, "target"), "status", status, "summary",
                       summary ? json_text(summary) : NULL, "detail",
                       detail && *detail ? json_text(detail) : NULL, "error", error ? json_text(error) : NULL,
                       "request_id", request_id_of(e)));
}

// The journal is shown, and copied into reports: what is secret in an effect lies beside it.
static int record_about(const struct effect *e, struct error *err)
{
    struct journal *journal = e->host->run->journal;
    auto_json json_t *data = masked(e);
    if (!json_equal(data, e->data) && journal_secret(journal, e->number, e->data, err) < 0)
        return -1;
    return journal_about(journal, e->number, data, err);
}

// What became of an effect, for the journal.
static int record(const struct effect *e, enum fate fate, struct error *err)
{
    struct run *run = e->host->run;
    if (!run->journal && run->recovers) // of another controller's run: what its hosts keep is all there is
        return 0;
    if (fate == FATE_ABOUT)
        return record_about(e, err);
    const json_t *result = fate == FATE_DONE && e->kind->result_kept ? e->result : NULL;
    return journal_fate(run->journal, e->number, fate, result, request_id_of(e), err);
}

int gate_open(struct run *run, const char *what, struct error *err)
{
    if (run->pure)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE,
                         "%s: a function that edits must change nothing else; do it before or after", what);
    if (!run->step)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE, "%s: only a step may change things", what);
    if (run->phase == PHASE_CHECK)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE,
                         "%s: a check may not change anything; make it a step of the phase prepare", what);
    // Once the guest has moved there is no way back, so what is left is finished.
    if (interrupt_count > 0 && !run->moved && run->phase != PHASE_FIXUP)
        return error_set(err, ERR_INTERRUPTED, 0, "%s: not begun, as migrun was interrupted", what);
    return 0;
}

static int preview(struct effect *e, struct error *err)
{
    auto_free char *summary = NULL, *detail = NULL;
    if (e->kind->describe(e, &summary, &detail, err) < 0)
        return -1;
    auto_free char *text = xasprintf("%s%s", summary, e->temporary ? " (undone at the end)" : "");
    tell(e, "would", text, detail, NULL);
    e->host->run->n_would += !e->kind->promise;
    if (e->kind->imagine)
        e->kind->imagine(e);
    return 0;
}

void gate_remember(struct run *run, struct effect *e)
{
    run->effects = xrealloc(run->effects, (run->n_effects + 1) * sizeof(struct effect *));
    run->effects[run->n_effects++] = e;
}

int gate_begin(struct effect *e, struct error *err)
{
    struct run *run = e->host->run;
    gate_remember(run, e); // whatever happens, its end is the run's end
    e->number = (int)++run->next_effect;
    e->made = NOT_MADE;
    e->undone = true; // nothing was made
    if (run->options->preview)
        return 0;
    if (fault_point("before the journal", err) < 0 || record(e, FATE_ABOUT, err) < 0)
        return -1;
    e->made = MADE_UNKNOWN;
    e->undone = false;
    return 0;
}

enum made made_of(int rc, const struct error *err)
{
    if (rc == 0)
        return MADE;
    bool refused = err->domain == ERR_REFUSED || err->unsent ||
                   (err->domain == ERR_OPENSTACK && err->code >= 400 && err->code < 500);
    return refused ? NOT_MADE : MADE_UNKNOWN;
}

// What is there of it; what may still be under way is brought to its end first.
static int look_at(struct effect *e, enum observed *seen, struct error *err)
{
    *seen = SEEN_UNKNOWN;
    if (e->kind->settle && !e->host->run->options->preview && e->kind->settle(e, err) < 0)
        return -1;
    return e->kind->observe(e, seen, err);
}

// It was not made, as far as is known. What is not known is looked at, so that the undo neither misses a
// change nor undoes one that was never made.
static int fail(struct effect *e, enum made made, const char *summary, const struct error *err)
{
    enum observed seen;
    struct error ignored;
    if (made == MADE_UNKNOWN && look_at(e, &seen, &ignored) == 0 && seen == SEEN_BEFORE)
        made = NOT_MADE;
    e->made = made;
    e->undone = made == NOT_MADE;
    record(e, made == NOT_MADE ? FATE_NOT_MADE : FATE_UNCERTAIN, NULL);
    tell(e, "failed", summary, NULL, err->message);
    return -1;
}

int gate_end(struct effect *e, enum made made, const json_t **result, struct error *err)
{
    if (e->host->run->options->preview)
        return made == MADE ? preview(e, err) : -1;
    auto_free char *summary = NULL, *detail = NULL;
    struct error ignored, own;
    if (!err)
        err = &own;
    if (e->kind->describe(e, &summary, &detail, &ignored) < 0)
        summary = xstrdup("");
    if (made == MADE && fault_point("after the change", err) < 0)
        made = MADE_UNKNOWN;
    if (made != MADE)
        return fail(e, made, summary, err);
    e->made = MADE;
    if (!e->kind->promise)
        tell(e, "done", summary, detail, NULL);
    if (result)
        *result = e->result;
    return record(e, FATE_DONE, err);
}

int gate_pass(struct effect *e, const json_t **result, struct error *err)
{
    struct error own;
    if (!err)
        err = &own;
    if (gate_begin(e, err) < 0)
        return -1;
    enum made made = e->host->run->options->preview              ? MADE
                     : fault_point("before the change", err) < 0 ? NOT_MADE
                                                                 : e->kind->apply(e, err);
    return gate_end(e, made, result, err);
}

#define NOT_KNOWN "it is not known whether it was made"

enum undoing { UNDO_FAILED, UNDO_DONE, UNDO_KEPT, UNDO_NOTHING };

static void keep_as_it_is(struct effect *e, const char *summary)
{
    auto_free char *text = xasprintf("%s on %s (%s%s)", effect_target(e), run_host_name(e->host), summary,
                                     e->made == MADE ? "" : "; " NOT_KNOWN);
    json_array_append_new(e->host->run->kept, json_text(text));
    tell(e, "kept", summary, NULL, NULL);
}

static bool waits(const struct effect *e) { return !e->undone && !e->of_fixup; }

// Whether a later change of the same thing could not be undone: what was before that one would be put back
// over what was before this one. wanted: the changes that are undone now.
static bool waits_for_later(const struct run *run, size_t i, bool (*wanted)(const struct effect *))
{
    for (size_t later = i + 1; later < run->n_effects; later++)
        if (wanted(run->effects[later]) && same_thing(run->effects[later], run->effects[i]))
            return true;
    return false;
}

// Whether changes of the same thing, made before, wait for this one.
static bool holds_up(const struct effect *e)
{
    const struct run *run = e->host->run;
    for (size_t i = 0; i < run->n_effects && run->effects[i] != e; i++)
        if (waits(run->effects[i]) && same_thing(run->effects[i], e))
            return true;
    return false;
}

static bool is_promised_by(const struct effect *e, const struct effect *promise)
{
    return promise->kind->promise && STREQ(json_str(e->data, "step", ""), effect_target(promise));
}

// Whether its step takes it back by an undo of its own, which is yet to be called.
static bool is_promised(const struct effect *e)
{
    const struct run *run = e->host->run;
    for (size_t i = 0; i < run->n_effects && run->effects[i] != e; i++)
        if (is_promised_by(e, run->effects[i]) && !run->effects[i]->undone)
            return true;
    return false;
}

// Whether it is still as it was made: what its step was to take back and what its undo itself has made.
static bool still_stands(const struct effect *e)
{
    return e->made != NOT_MADE && !(e->of_fixup && e->undone) &&
           (e->of_fixup || (e->kind->stays && e->kind->stays(e)));
}

int gate_leave(struct run *run, struct error *err)
{
    struct effect *promise = NULL;
    if (!run->step->undoes || run->options->preview)
        return 0;
    for (size_t i = run->n_effects; i-- > 0 && !promise;) {
        struct effect *e = run->effects[i];
        if (e->kind->promise && STREQ(effect_target(e), run->step->title))
            promise = e;
        else if (STREQ(json_str(e->data, "step", ""), run->step->title))
            return 0;
    }
    if (!promise)
        return 0;
    promise->undone = true;
    return record(promise, FATE_NOT_MADE, err);
}

// A step that was to take these back did not.
static void keep_promised(const struct effect *promise)
{
    const struct run *run = promise->host->run;
    for (size_t i = 0; i < run->n_effects; i++) {
        struct effect *e = run->effects[i];
        auto_free char *summary = NULL, *detail = NULL;
        if (e != promise && is_promised_by(e, promise) && still_stands(e) &&
            e->kind->describe(e, &summary, &detail, NULL) == 0)
            keep_as_it_is(e, summary);
    }
}

static enum undoing fail_undo(struct effect *e, const char *summary, const struct error *err,
                              json_t *problems)
{
    auto_free char *text = NULL;
    if (json_object_get(effect_before(e), "sha256"))
        text = xasprintf("%s on %s: %s (its original is kept there in %s/%s/%d)", effect_target(e),
                         run_host_name(e->host), err->message,
                         e->host == e->host->run->here && geteuid() != 0 ? KEEP_DIR_OF_USER : KEEP_DIR,
                         e->host->run->id, e->number);
    else
        text = xasprintf("%s on %s (%s): %s", effect_target(e), run_host_name(e->host), summary,
                         err->message);
    auto_free char *whole = xasprintf("%s%s", text,
                                      holds_up(e) ? "; what was changed of it before waits for that" : "");
    json_array_append_new(problems, json_text(whole));
    record(e, FATE_UNDO_FAILED, NULL);
    tell(e, "failed", summary, NULL, err->message);
    if (e->kind->promise)
        keep_promised(e);
    return UNDO_FAILED;
}

// Nothing of it is there (any more). Nobody says that it was undone where it may never have been made.
static enum undoing nothing_there(struct effect *e, const char *summary)
{
    bool never_made = e->made != MADE;
    e->undone = true;
    if (e->host->run->options->preview)
        return UNDO_NOTHING;
    record(e, never_made ? FATE_NOT_MADE : FATE_UNDONE, NULL);
    if (never_made)
        return UNDO_NOTHING;
    tell(e, "undone", summary, NULL, NULL);
    return UNDO_DONE;
}

static int undo_it(struct effect *e, enum observed seen, struct error *err)
{
    if (mask_is_in(effect_before(e)) || mask_is_in(json_object_get(effect_after(e), "undo")))
        return error_set(
            err, ERR_REFUSED, REFUSED_OTHER,
            "undoing it needs a secret that only the controller of the run keeps: recover it there");
    if (seen == SEEN_OTHER)
        return error_set(err, ERR_REFUSED, REFUSED_CHANGED,
                         "somebody else changed it since, so it was left as it is");
    if (seen == SEEN_UNKNOWN && e->made != MADE)
        run_message(e->host->run, "warning", "%s on %s: " NOT_KNOWN ", so it is undone", effect_target(e),
                    run_host_name(e->host));
    e->undoing = true; // its host remembers that, for a controller that knows it by its notes alone
    int rc = e->kind->undo(e, err);
    e->undoing = false;
    return rc;
}

static enum undoing undo_one(struct effect *e, json_t *problems)
{
    bool preview = e->host->run->options->preview;
    auto_free char *summary = NULL, *detail = NULL;
    struct error err = {0};
    enum observed seen = SEEN_UNKNOWN;
    bool ok = !e->kind->undo || look_at(e, &seen, &err) == 0;
    if (e->kind->describe(e, &summary, &detail, NULL) < 0)
        summary = xstrdup("");
    if (!e->kind->undo || (ok && e->kind->stays && e->kind->stays(e))) {
        e->undone = true;
        if (!e->kind->undo || is_promised(e))
            return UNDO_NOTHING;
        keep_as_it_is(e, summary);
        return UNDO_KEPT;
    }
    if (ok && seen == SEEN_BEFORE)
        return nothing_there(e, summary);
    if (preview) {
        e->undone = true;
        if (ok)
            tell(e, "would", summary, NULL, NULL);
        return ok ? UNDO_DONE : UNDO_NOTHING;
    }
    if (!ok || undo_it(e, seen, &err) < 0)
        return fail_undo(e, summary, &err, problems);
    e->undone = true;
    record(e, FATE_UNDONE, NULL);
    tell(e, "undone", summary, NULL, NULL);
    return UNDO_DONE;
}

static size_t undo_all(struct run *run, bool (*wanted)(const struct effect *), size_t *undone,
                       json_t *problems)
{
    size_t failed = 0;
    *undone = 0;
    run->to_undo = 0;
    for (size_t i = 0; i < run->n_effects; i++)
        run->to_undo += wanted(run->effects[i]);
    if (!run->options->preview)
        interrupts_hold(); // half undone is worse than either
    for (size_t i = run->n_effects; i-- > 0;) {
        struct effect *e = run->effects[i];
        if (!wanted(e))
            continue;
        run->undoing = e;
        interrupts_notice();
        enum undoing came_to = waits_for_later(run, i, wanted) ? UNDO_NOTHING : undo_one(e, problems);
        failed += came_to == UNDO_FAILED;
        *undone += came_to == UNDO_DONE;
        run->to_undo--;
    }
    run->undoing = NULL;
    return failed;
}

static bool is_borrowed(const struct effect *e) { return e->temporary && waits(e); }

size_t gate_undo(struct run *run, size_t *undone, json_t *problems)
{
    return undo_all(run, waits, undone, problems);
}

static bool is_left(const struct effect *e)
{
    return e->of_fixup && e->made == MADE_UNKNOWN && e->kind->settle;
}

bool gate_has_left(const struct run *run)
{
    for (size_t i = 0; i < run->n_effects; i++)
        if (is_left(run->effects[i]))
            return true;
    return false;
}

void gate_settle_left(struct run *run)
{
    struct error ignored; // the fix-up's own failure is told
    for (size_t i = 0; i < run->n_effects; i++)
        if (is_left(run->effects[i]))
            run->effects[i]->kind->settle(run->effects[i], &ignored);
}

size_t gate_take_back(struct run *run, size_t *undone, json_t *problems)
{
    return undo_all(run, is_borrowed, undone, problems);
}
