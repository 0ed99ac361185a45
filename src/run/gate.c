#include "run/gate.h"
#include "run/journal.h"

#include <stdlib.h>
#include <string.h>

const char *const phase_names[4] = {"check", "prepare", "migrate", "fixup"};

struct effect *effect_new(const struct effect_kind *kind, struct run_host *host, const char *target, json_t *before, json_t *after)
{
    struct effect *e = xcalloc(1, sizeof *e);
    e->kind = kind;
    e->host = host;
    e->step = host->run->step;
    e->data = json_pack("{s:s, s:s, s:o, s:o, s:o}", "kind", kind->name, "host", run_host_name(host), "target", json_text(target),
                        "before", before, "after", after);
    return e;
}

void effect_free(struct effect *e)
{
    if (!e)
        return;
    json_decref(e->data);
    json_decref(e->result);
    free(e->body);
    free(e->original);
    free(e);
}

const char *effect_target(const struct effect *e) { return json_str(e->data, "target", ""); }
const json_t *effect_before(const struct effect *e) { return json_object_get(e->data, "before"); }
const json_t *effect_after(const struct effect *e) { return json_object_get(e->data, "after"); }

char *effect_keep(const struct effect *e)
{
    return xasprintf("%s/%d", e->host->run->id, e->number);
}

static void tell(const struct effect *e, const char *status, const char *summary, const char *detail, const char *error)
{
    run_emit(e->host->run, "effect",
             json_pack("{s:s, s:i, s:O, s:O, s:O, s:s, s:o*, s:o*, s:o*}", "step", e->step ? e->step->title : "", "number", e->number,
                       "kind", json_object_get(e->data, "kind"), "host", json_object_get(e->data, "host"),
                       "target", json_object_get(e->data, "target"), "status", status,
                       "summary", summary ? json_text(summary) : NULL, "detail", detail && *detail ? json_text(detail) : NULL,
                       "error", error ? json_text(error) : NULL));
}

// The journal's own records of an effect: "about" is on the disk before the change is made.
static int record(const struct effect *e, const char *type, bool sync, struct error *err)
{
    struct run *run = e->host->run;
    auto_json json_t *line = json_pack("{s:f, s:s, s:s, s:i, s:s, s:O}", "time", wall_time(), "run", run->id, "type", type,
                                       "number", e->number, "step", e->step ? e->step->title : "", "effect", e->data);
    return journal_add(run->journal, line, sync, err);
}

int gate_open(struct run *run, const char *what, struct error *err)
{
    if (run->pure)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE, "%s: a function that edits must change nothing else; do it before or after", what);
    if (!run->step)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE, "%s: only a step may change things", what);
    if (run->phase == PHASE_CHECK)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE, "%s: a check may not change anything; make it a step of the phase prepare", what);
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
    tell(e, "would", summary, detail, NULL);
    e->host->run->n_would++;
    if (e->kind->imagine)
        e->kind->imagine(e);
    return 0;
}

static void remember(struct run *run, struct effect *e)
{
    run->effects = xrealloc(run->effects, (run->n_effects + 1) * sizeof(struct effect *));
    run->effects[run->n_effects++] = e;
}

int gate_pass(struct effect *e, const json_t **result, struct error *err)
{
    struct run *run = e->host->run;
    remember(run, e); // whatever happens, its end is the run's end
    e->number = (int)++run->next_effect;
    if (run->options->preview) {
        e->undone = true; // nothing was made
        return preview(e, err);
    }
    auto_free char *summary = NULL, *detail = NULL;
    e->undone = true;
    if (e->kind->describe(e, &summary, &detail, err) < 0 || record(e, "about", true, err) < 0)
        return -1;
    e->undone = false;
    if (e->kind->apply(e, err) < 0) {
        // "About to" and no "done": ask what is there, so that the undo neither misses a change nor undoes what was never made.
        enum observed seen = SEEN_UNKNOWN;
        struct error ignored;
        if (e->kind->observe(e, &seen, &ignored) < 0)
            seen = SEEN_UNKNOWN;
        e->undone = seen == SEEN_BEFORE;
        record(e, seen == SEEN_BEFORE ? "not made" : "uncertain", false, NULL);
        tell(e, "failed", summary, NULL, err ? err->message : NULL);
        return -1;
    }
    tell(e, "done", summary, detail, NULL);
    if (result)
        *result = e->result;
    return record(e, "done", false, err);
}

static bool undo_one(struct effect *e, json_t *problems)
{
    auto_free char *summary = NULL, *detail = NULL;
    struct error err = {0};
    enum observed seen = SEEN_UNKNOWN;
    struct run *run = e->host->run;
    if (e->kind->describe(e, &summary, &detail, &err) < 0)
        summary = xstrdup("");
    if (!e->kind->undo) {
        if (e->kind->leaves) {
            auto_free char *text = xasprintf("%s: %s", run_host_name(e->host), effect_target(e));
            json_array_append_new(run->kept, json_text(text));
            tell(e, "kept", summary, NULL, NULL);
        }
        e->undone = true;
        return true;
    }
    bool ok = e->kind->observe(e, &seen, &err) == 0;
    if (ok && seen == SEEN_OTHER)
        ok = error_set(&err, ERR_REFUSED, REFUSED_CHANGED, "somebody else changed it since, so it was left as it is") == 0;
    else if (ok && seen != SEEN_BEFORE)
        ok = e->kind->undo(e, &err) == 0;
    if (!ok) {
        auto_free char *keep = effect_keep(e);
        auto_free char *text = xasprintf("%s on %s: %s (what was there lies on that host in " KEEP_DIR "/%s)", effect_target(e),
                                         run_host_name(e->host), err.message, keep);
        if (e->original || json_object_get(effect_before(e), "sha256"))
            json_array_append_new(problems, json_text(text));
        else {
            auto_free char *plain = xasprintf("%s on %s (%s): %s", effect_target(e), run_host_name(e->host), summary, err.message);
            json_array_append_new(problems, json_text(plain));
        }
        record(e, "undo failed", false, NULL);
        tell(e, "failed", summary, NULL, err.message);
        return false;
    }
    e->undone = true;
    record(e, "undone", true, NULL);
    tell(e, "undone", summary, NULL, NULL);
    return true;
}

size_t gate_undo(struct run *run, size_t *undone, json_t *problems)
{
    size_t failed = 0;
    *undone = 0;
    for (size_t i = run->n_effects; i-- > 0;) {
        struct effect *e = run->effects[i];
        if (e->undone || (e->step && e->step->phase == PHASE_FIXUP))
            continue;
        bool counts = e->kind->undo != NULL;
        if (!undo_one(e, problems))
            failed++;
        else if (counts)
            ++*undone;
    }
    return failed;
}
