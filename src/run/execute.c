// SPDX-License-Identifier: MIT
// The steps of a run in order, by the rules of their phases (the design's table).
#include "base/clock.h"
#include "base/interrupt.h"
#include "run/change.h"
#include "run/cloud.h"
#include "run/gate.h"
#include "run/journal.h"
#include "run/verdict.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum answer { ANSWER_YES, ANSWER_NO, ANSWER_SKIPPED, ANSWER_LEFT_OUT };

// What the steps came to.
struct tally {
    enum answer *answers; // of each step
    size_t checks, refused;
    size_t fixed, not_fixed; // fix-ups
    char *after_move;        // what failed of the migrate step once the guest had moved, or NULL
    enum whereabouts where;  // the guest is
    struct seen_guest seen;  // by whom
    size_t disagree;         // points in which Nova, Placement and Neutron say otherwise
    json_t *details;         // for the verdict
    struct buf refusing;     // titles of the checks that said no
    struct buf verified;     // what the fix-ups see at the end
};

static const char *instance_name(const struct run *run) { return run_instance_name(run); }

static void tell_a_step(struct run *run, const struct step *step, size_t i, const char *status,
                        const char *text, double since)
{
    json_t *fields = json_pack("{s:s, s:s, s:i, s:s, s:o*}", "phase", phase_names[step->phase], "title",
                               step->title, "index", (int)i, "status", status, "text",
                               text ? json_text(text) : NULL);
    if (since > 0)
        json_object_set_new(fields, "seconds", json_real(wall_time() - since));
    run_emit(run, "step", fields);
}

static void tell_step(struct run *run, size_t i, const char *status, const char *text, double since)
{
    tell_a_step(run, &run->procedure->steps[i], i, status, text, since);
}

// Runs a step: 0 done or left out, -1 failed.
static int perform(struct run *run, size_t i, struct tally *tally, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    auto_free char *why = NULL, *text = NULL;
    bool wanted = true;
    double since = wall_time();
    run->step = &procedure->steps[i];
    run->phase = run->step->phase;
    int rc = procedure->wanted(procedure->data, i, &wanted, &why, err);
    if (rc == 0 && !wanted) {
        tally->answers[i] = ANSWER_LEFT_OUT;
        tell_step(run, i, "skipped", "not needed here", 0);
        run->step = NULL;
        return 0;
    }
    if (rc == 0) {
        tell_step(run, i, "start", why, 0);
        rc = gate_enter(run, err) < 0 ? -1 : procedure->perform(procedure->data, i, &text, err);
    }
    run->step = NULL;
    tally->answers[i] = rc == 0 ? ANSWER_YES : ANSWER_NO;
    if (rc == 0)
        tell_step(run, i, "ok", text ? text : why, since);
    return rc;
}

// ---- check ----

static bool may_ask(const struct run *run, size_t i, const struct tally *tally, char **why)
{
    const struct procedure *procedure = run->procedure;
    const struct step *step = &procedure->steps[i];
    for (size_t n = 0; n < step->n_needs; n++)
        for (size_t j = 0; j < procedure->n_steps; j++)
            if (STREQ(procedure->steps[j].title, step->needs[n]) &&
                (tally->answers[j] == ANSWER_NO || tally->answers[j] == ANSWER_SKIPPED)) {
                *why = xasprintf("'%s' must be answered first", step->needs[n]);
                return false;
            }
    return true;
}

// All checks are asked before anything is said of the whole. -1: a mistake or an interrupt, which ends it.
static int ask_checks(struct run *run, struct tally *tally, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    for (size_t i = 0; i < procedure->n_steps && procedure->steps[i].phase == PHASE_CHECK; i++) {
        auto_free char *why = NULL;
        tally->checks++;
        if (!may_ask(run, i, tally, &why)) {
            tally->answers[i] = ANSWER_SKIPPED;
            tell_step(run, i, "skipped", why, 0);
            continue;
        }
        if (perform(run, i, tally, err) == 0) {
            tally->checks -= tally->answers[i] == ANSWER_LEFT_OUT;
            continue;
        }
        if (err->domain == ERR_INTERRUPTED || err->domain == ERR_POLICY || err->domain == ERR_BUG) {
            tell_step(run, i, "failed", err->message, 0);
            return -1;
        }
        bool refusal = err->domain == ERR_REFUSED && err->code == REFUSED_CHECK;
        auto_free char *text = refusal ? xstrdup(err->message)
                                       : xasprintf("cannot be known: %s", err->message);
        tell_step(run, i, "refused", text, 0);
        buf_printf(&tally->refusing, "%s%s", tally->refused++ ? ", " : "", procedure->steps[i].title);
    }
    return 0;
}

// ---- the other phases ----

// Steps of one phase in order, up to the first that fails.
static int run_phase(struct run *run, enum phase phase, struct tally *tally, struct error *err)
{
    for (size_t i = 0; i < run->procedure->n_steps; i++) {
        if (run->procedure->steps[i].phase != phase)
            continue;
        if (interrupt_count > 0)
            return error_set(err, ERR_INTERRUPTED, 0, "interrupted before '%s'",
                             run->procedure->steps[i].title);
        if (perform(run, i, tally, err) < 0) {
            tell_step(run, i, "failed", err->message, 0);
            return -1;
        }
    }
    return 0;
}

// Every fix-up runs, whatever became of the others; then each is asked whether all is right now.
static void run_fixups(struct run *run, struct tally *tally)
{
    const struct procedure *procedure = run->procedure;
    for (size_t i = 0; i < procedure->n_steps; i++) {
        struct error err = {0};
        if (procedure->steps[i].phase != PHASE_FIXUP)
            continue;
        if (perform(run, i, tally, &err) < 0) {
            tell_step(run, i, "failed", err.message, 0);
            auto_free char *text = xasprintf("'%s' failed: %s", procedure->steps[i].title, err.message);
            verdict_detail(tally->details, "", text);
            tally->not_fixed++;
            continue;
        }
        if (tally->answers[i] != ANSWER_YES)
            continue;
        auto_free char *seen = NULL;
        int rc = run->options->preview ? 1 : procedure->verify(procedure->data, i, &seen, &err);
        if (rc < 0) {
            auto_free char *text = xasprintf("'%s': %s", procedure->steps[i].title, err.message);
            tell_step(run, i, "failed", err.message, 0);
            verdict_detail(tally->details, "", text);
            tally->not_fixed++;
        } else {
            tally->fixed++;
            if (rc == 0 && seen)
                buf_printf(&tally->verified, ", %s", seen);
        }
    }
}

// ---- the ends ----

static size_t count_effects(const struct run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->n_effects; i++)
        n += !run->effects[i]->undone && run->effects[i]->kind != &effect_migrate &&
             run->effects[i]->kind != &effect_nova_migrate && !run->effects[i]->kind->promise;
    return n;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

// "5 checks passed, ", or nothing where a policy asks none. Caller frees.
static char *checks_text(const struct tally *tally)
{
    return tally->checks ? xasprintf("%zu check%s passed, ", tally->checks, plural(tally->checks))
                         : xstrdup("");
}

static bool only_checks(const struct procedure *procedure)
{
    return procedure->n_steps == 0 || procedure->steps[procedure->n_steps - 1].phase == PHASE_CHECK;
}

static void add_more(struct run *run, struct tally *tally)
{
    auto_free char *command = xasprintf("migrun show %s", run->id);
    if (run->journal)
        verdict_detail(tally->details, "More", command);
}

static void add_cause(struct run *run, struct tally *tally, const struct error *failure)
{
    auto_json json_t *explained = run->procedure->explain
                                      ? run->procedure->explain(run->procedure->data, failure)
                                      : NULL;
    if (json_array_size(explained))
        json_array_extend(tally->details, explained);
    else
        verdict_detail(tally->details, "Cause", failure->message);
}

static int end_mistaken(struct run *run, struct tally *tally, const struct error *err)
{
    if (err->domain == ERR_INTERRUPTED)
        return verdict_tell(run, OUTCOME_INTERRUPTED, "interrupted", steal(&tally->details),
                            "Interrupted: nothing was touched.");
    return verdict_tell(run, OUTCOME_MISTAKE, "mistake", steal(&tally->details),
                        "Refused, nothing was touched: the policy has a mistake: %s", err->message);
}

static int end_refused(struct run *run, struct tally *tally)
{
    return verdict_tell(run, OUTCOME_REFUSED, "refused", steal(&tally->details),
                        "Refused, nothing was touched: %zu of %zu check%s say%s no (%s).", tally->refused,
                        tally->checks, plural(tally->checks), tally->refused == 1 ? "s" : "",
                        tally->refusing.data);
}

// A policy of checks has nothing else to say.
static int end_checked(struct run *run, struct tally *tally)
{
    return verdict_tell(run, OUTCOME_MOVED, "done", steal(&tally->details), "Done: %zu check%s passed.",
                        tally->checks, plural(tally->checks));
}

// A preview ends with the exit status that the run would end with.
static int end_preview(struct run *run, struct tally *tally, const struct error *failure)
{
    size_t n = run->n_would;
    auto_free char *checks = checks_text(tally);
    if (failure && ((failure->domain == ERR_POLICY && n == 0) || failure->domain == ERR_INTERRUPTED))
        return end_mistaken(run, tally, failure);
    if (failure)
        return verdict_tell(run, OUTCOME_NOT_MOVED, "would_not", steal(&tally->details),
                            "Would stop: %s; %zu change%s would be undone.", failure->message, n, plural(n));
    if (tally->not_fixed)
        return verdict_tell(
            run, OUTCOME_MOVED_BUT, "would", steal(&tally->details),
            "Would %s%s%s%s, but %zu fix-up%s would fail.", run->procedure->migrates ? "move " : "be done",
            run->procedure->migrates ? instance_name(run) : "", run->procedure->migrates ? " to " : "",
            run->procedure->migrates ? run_dest_name(run) : "", tally->not_fixed, plural(tally->not_fixed));
    if (run->procedure->migrates)
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would move %s to %s: %s%zu change%s. Run it without --dry-run.",
                            instance_name(run), run_dest_name(run), checks, n, plural(n));
    if (only_checks(run->procedure))
        return end_checked(run, tally);
    if (n == 0)
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would change nothing: %severything is right already%s.", checks,
                            tally->verified.data ? tally->verified.data : "");
    return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                        "Would make %zu change%s. Run it without --dry-run.", n, plural(n));
}

static int end_done(struct run *run, struct tally *tally)
{
    size_t n = count_effects(run);
    auto_free char *checks = checks_text(tally);
    const char *verified = tally->verified.data ? tally->verified.data : "";
    if (tally->not_fixed)
        return verdict_tell(run, OUTCOME_MOVED_BUT, "done", steal(&tally->details),
                            "Done, but %zu step%s failed; %zu change%s made%s.", tally->not_fixed,
                            plural(tally->not_fixed), n, plural(n), verified);
    if (only_checks(run->procedure))
        return end_checked(run, tally);
    if (n == 0)
        return verdict_tell(run, OUTCOME_MOVED, "done", steal(&tally->details),
                            "Done: %snothing had to be changed%s.", checks, verified);
    return verdict_tell(run, OUTCOME_MOVED, "done", steal(&tally->details), "Done: %s%zu change%s made%s.",
                        checks, n, plural(n), verified);
}

// After a move, and after one that did not happen: do Nova, Placement and Neutron know the same?
static void ask_cloud(struct run *run, struct tally *tally, struct run_host *at)
{
    if (!run->server && !run->by_nova) // a recovery by what hosts keep knows the instance's id alone
        return;
    bool runs = tally->where == GUEST_AT_SOURCE || tally->where == GUEST_AT_DEST;
    tally->disagree = verdict_cloud(run, at, runs, tally->details);
    if (!tally->disagree)
        buf_puts(&tally->verified, ", Nova agrees");
}

// ---- where the guest is, in words ----

// The first of two parts of "paused (I/O error)", and the other with its blank: " (I/O error)", or "".
static char *state_of(const struct tally *tally, const char **reason)
{
    const char *bracket = strstr(tally->seen.state, " (");
    *reason = bracket ? bracket : "";
    return xstrndup(tally->seen.state, strlen(tally->seen.state) - strlen(*reason));
}

// "NAME stands paused on HOST (I/O error)".
static char *stands_text(struct run *run, const struct tally *tally, const char *verb, const char *host)
{
    const char *reason;
    auto_free char *state = state_of(tally, &reason);
    return xasprintf("%s %s %s on %s%s", instance_name(run), verb, state, host, reason);
}

// "NAME was shut down on HOST meanwhile (shutdown)".
static char *stopped_text(struct run *run, const struct tally *tally, const char *host)
{
    static const struct {
        const char *reason, *words;
    } all[] = {
        {" (shutdown)", "was shut down"}, {" (destroyed)", "was destroyed"}, {" (crashed)", "crashed"},
        {" (failed)", "failed"},          {" (saved)", "was saved"},
    };
    const char *reason, *words = "was stopped";
    auto_free char *state = state_of(tally, &reason);
    if (!STREQ(state, "shut off"))
        return xasprintf(
            "%s has ended meanwhile: neither %s nor %s has it, and no QEMU process of it is left",
            instance_name(run), run_host_name(run->source), run_dest_name(run));
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (STREQ(reason, all[i].reason))
            words = all[i].words;
    return xasprintf("%s %s on %s meanwhile%s", instance_name(run), words, host, reason);
}

// A guest that has not moved. Caller frees.
static char *stayed_text(struct run *run, const struct tally *tally)
{
    const char *host = run->source ? run_host_name(run->source) : "";
    if (!run->instance)
        return xstrdup("it stopped half way");
    if (tally->where == GUEST_STOPPED)
        return stopped_text(run, tally, host);
    if (tally->where != GUEST_STANDS_AT_SOURCE)
        return xasprintf("%s runs on %s as before", instance_name(run), host);
    auto_free char *stands = stands_text(run, tally, "is", host);
    return xasprintf("%s%s", stands, strstr(stands, "(user)") ? ", as somebody left it" : "");
}

// A migration that was asked to leave it paused, or a guest that was when it began.
static bool was_to_stand(const struct run *run)
{
    bool asked = STREQ(json_str(run->instance, "state", ""), "paused");
    for (size_t i = 0; i < run->n_effects; i++) {
        size_t n;
        json_t *flag;
        if (run->effects[i]->kind == &effect_migrate)
            json_array_foreach(json_object_get(effect_after(run->effects[i]), "flags"), n, flag)
                asked = asked || STREQ(json_string_value(flag), "PAUSED");
    }
    return asked;
}

// ---- a guest that has moved ----

static void advise_resume(struct run *run, struct tally *tally)
{
    auto_free char *disks = verdict_broken_disks(run, run->dest),
                   *then = xasprintf("once its cause is gone, on %s: virsh resume %s", run_dest_name(run),
                                     json_str(run->instance, "name", ""));
    if (disks)
        verdict_detail(tally->details, "Disk", disks);
    verdict_detail(tally->details, "Then", then);
}

// What is not right about the guest itself after a move: it stands, or was stopped. NULL: nothing. Caller
// frees.
static char *guest_but(struct run *run, struct tally *tally)
{
    if (tally->where == GUEST_STOPPED_AT_DEST)
        return stopped_text(run, tally, run_dest_name(run));
    if (tally->where != GUEST_STANDS_AT_DEST || was_to_stand(run))
        return NULL;
    advise_resume(run, tally);
    return stands_text(run, tally, "stands", run_dest_name(run));
}

// What else is not, the gravest alone; left_over: what the source still has of it, or NULL. Caller frees.
static char *rest_but(const struct tally *tally, const char *left_over)
{
    if (left_over)
        return xstrdup(left_over);
    if (tally->after_move)
        return xasprintf("the migrate step failed once it had moved (%s)", tally->after_move);
    if (tally->not_fixed)
        return xasprintf("%zu fix-up%s failed", tally->not_fixed, plural(tally->not_fixed));
    if (tally->disagree)
        return xasprintf("Nova does not agree in %zu point%s", tally->disagree, plural(tally->disagree));
    return NULL;
}

static int end_moved(struct run *run, struct tally *tally)
{
    const char *is = tally->where == GUEST_STANDS_AT_DEST ? "is paused, as it was to be," : "runs";
    auto_free char *left_over = NULL, *all = duration_text(wall_time() - run->started),
                   *guest = guest_but(run, tally);
    bool gone = !verdict_source_has_left_over(run, &left_over);
    auto_free char *but = rest_but(tally, left_over),
                   *paused = run->downtime >= 0 ? xasprintf(", paused %.2f s", run->downtime) : xstrdup(""),
                   *where = xasprintf("%s %s on %s%s%s", instance_name(run), is, run_dest_name(run),
                                      gone ? " and is gone from " : "",
                                      gone ? run_host_name(run->source) : ""),
                   *rest = xasprintf("%s in all%s%s", all, paused,
                                     tally->verified.data ? tally->verified.data : "");
    if (!guest && !but)
        return verdict_tell(run, OUTCOME_MOVED, "moved", steal(&tally->details), "Moved: %s; %s.", where,
                            rest);
    add_more(run, tally);
    if (guest)
        return verdict_tell(run, OUTCOME_MOVED_BUT, "moved_but", steal(&tally->details),
                            "Moved, but %s%s%s; %s.", guest, but ? ", and " : "", but ? but : "", rest);
    return verdict_tell(run, OUTCOME_MOVED_BUT, "moved_but", steal(&tally->details), "Moved, but %s: %s; %s.",
                        but, where, rest);
}

// ---- one that has not ----

static void add_kept(struct run *run, struct tally *tally)
{
    auto_buf struct buf kept = {0};
    size_t i;
    json_t *text;
    json_array_foreach(run->kept, i, text)
        buf_printf(&kept, "%s%s", i ? "\n" : "", json_string_value(text));
    verdict_detail(tally->details, "Kept", kept.len ? kept.data : "nothing");
}

static void add_not_undone(struct tally *tally, const json_t *problems)
{
    size_t i;
    json_t *problem;
    json_array_foreach((json_t *)(uintptr_t)problems, i, problem)
        verdict_detail(tally->details, "Not undone", json_string_value(problem));
}

// "2 changes undone". Caller frees.
static char *undone_text(size_t undone)
{
    return undone ? xasprintf("%zu change%s undone", undone, plural(undone))
                  : xstrdup("nothing had to be undone");
}

// Some of what was to be put back was not: no word on how little else there was to do.
static int end_not_restored(struct run *run, struct tally *tally, size_t failed, size_t undone)
{
    size_t left = failed + tally->not_fixed + tally->disagree;
    const char *not = run->procedure->migrates ? "Not moved" : "Not done";
    bool certain = tally->where == GUEST_STOPPED || tally->where == GUEST_STANDS_AT_SOURCE || !run->instance;
    auto_free char *now = certain ? stayed_text(run, tally) : verdict_at_source(run);
    auto_free char *changes = undone ? xasprintf("; %zu change%s undone", undone, plural(undone))
                                     : xstrdup("");
    auto_free char *again = xasprintf("migrun recover %s tries again", run->id);
    verdict_detail(tally->details, "Then", again);
    add_more(run, tally);
    return verdict_tell(run, OUTCOME_NOT_RESTORED, "not_moved", steal(&tally->details),
                        "%s, and %zu thing%s could not be put back: %s%s.", not, left, plural(left), now,
                        changes);
}

// Nothing moved (or there was nothing to move): what was made is undone, last first.
static int end_undone(struct run *run, struct tally *tally, const struct error *failure, bool fixups)
{
    auto_json json_t *problems = json_array();
    size_t undone = 0, failed = gate_undo(run, &undone, problems);
    if (fixups)
        run_fixups(run, tally);
    if (fixups && run->by_nova)
        ask_cloud(run, tally, run->source);
    bool interrupted = failure->domain == ERR_INTERRUPTED;
    if (!interrupted)
        add_cause(run, tally, failure);
    add_not_undone(tally, problems);
    add_kept(run, tally);
    if (failed || tally->not_fixed || tally->disagree)
        return end_not_restored(run, tally, failed, undone);
    auto_free char *where = stayed_text(run, tally), *changes = undone_text(undone);
    add_more(run, tally);
    if (interrupted)
        return verdict_tell(run, OUTCOME_INTERRUPTED, "interrupted", steal(&tally->details),
                            "Interrupted: %s; %s.", where, changes);
    if (!run->procedure->migrates)
        return verdict_tell(run, OUTCOME_NOT_MOVED, "not_moved", steal(&tally->details), "Not done: %s; %s.",
                            failure->message, changes);
    return verdict_tell(run, OUTCOME_NOT_MOVED, "not_moved", steal(&tally->details), "Not moved: %s; %s.",
                        where, changes);
}

static int end_in_doubt(struct run *run, struct tally *tally, const struct error *failure, const char *seen)
{
    add_cause(run, tally, failure);
    auto_free char *look = xasprintf("start and resume nothing. On both hosts: virsh list --all; virsh "
                                     "domstate --reason %s; virsh domjobinfo %s",
                                     json_str(run->instance, "name", ""),
                                     json_str(run->instance, "name", ""));
    verdict_detail(tally->details, "Look", look);
    auto_free char *again = xasprintf(
        "migrun recover %s, once you know more: it asks again, and ends the run", run->id);
    verdict_detail(tally->details, "Then", again);
    add_more(run, tally);
    return verdict_tell(run, OUTCOME_IN_DOUBT, "in_doubt", steal(&tally->details),
                        "In doubt: where %s runs is not certain (%s); nothing more was touched.",
                        instance_name(run), seen);
}

// There is nothing left to move: what was made for it is undone, and the run is over.
static int end_deleted(struct run *run, struct tally *tally)
{
    auto_json json_t *problems = json_array();
    size_t undone = 0, failed = gate_undo(run, &undone, problems);
    auto_free char *changes = undone_text(undone);
    add_not_undone(tally, problems);
    add_kept(run, tally);
    add_more(run, tally);
    return verdict_tell(
        run, failed ? OUTCOME_NOT_RESTORED : OUTCOME_NOT_MOVED, "deleted", steal(&tally->details),
        "Not moved: somebody deleted %s in Nova meanwhile, and neither %s nor %s has it any more; %s.",
        instance_name(run), run_host_name(run->source), run_dest_name(run), changes);
}

// ---- the whole ----

static void tell_begin(struct run *run)
{
    const struct procedure *procedure = run->procedure;
    const char *name = instance_name(run);
    auto_free char *sentence = NULL;
    if (procedure->migrates)
        sentence = xasprintf("%s %s from %s to %s, by %s",
                             run->options->preview ? "Preview of moving" : "Moving", name,
                             run_host_name(run->source), run_dest_name(run), procedure->name);
    else if (run->instance && run->dest)
        sentence = xasprintf("%s%s, from %s to %s, by %s", run->options->preview ? "Preview for " : "For ",
                             name, run_host_name(run->source), run_host_name(run->dest), procedure->name);
    else
        sentence = xasprintf("%s%s%s%s, by %s", run->options->preview ? "Preview for " : "For ", name,
                             run->instance ? " on " : "",
                             run->instance  ? run_host_name(run->source)
                             : run->n_hosts ? run_host_name(run->hosts[0])
                                            : "this machine",
                             procedure->name);
    run_emit(run, "begin",
             json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:b, s:b, s:f, s:I, s:o}", "instance",
                       run->instance ? json_text(name) : json_null(), "uuid",
                       run->instance ? json_string(json_str(run->instance, "uuid", "")) : json_null(),
                       "source", run->source ? json_text(run_host_name(run->source)) : json_null(), "dest",
                       run->dest ? json_text(run_host_name(run->dest)) : json_null(), "policy",
                       procedure->name, "summary", procedure->summary, "preview", run->options->preview,
                       "asks", only_checks(procedure), "memory", json_num(run->instance, "memory", 0),
                       "vcpus", (json_int_t)json_int(run->instance, "vcpus", 0), "sentence",
                       json_text(sentence)));
}

static json_t *names_of_hosts(const struct run *run)
{
    json_t *names = json_array();
    for (size_t i = 0; i < run->n_hosts; i++)
        json_array_append_new(names, json_string(run_host_name(run->hosts[i])));
    return names;
}

static int open_journal(struct run *run, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    auto_json json_t *hosts = names_of_hosts(run);
    const struct opening opening = {.run = run->id,
                                    .command = run->options->command_line,
                                    .by = run_author(),
                                    .policy = procedure->name,
                                    .summary = procedure->summary,
                                    .text = procedure->text,
                                    .xml = run->instance_xml,
                                    .source = run->source ? run_host_name(run->source) : NULL,
                                    .dest = run->dest ? run_host_name(run->dest) : NULL,
                                    .time = run->started,
                                    .modules = procedure->modules,
                                    .params = run->options->params,
                                    .instance = run->instance,
                                    .server = run->server,
                                    .hosts = hosts};
    return journal_open(run->options->state, &opening, &run->journal, err);
}

// From here on things change: the journal is there, and the hosts know whose run it is.
static int begin_changes(struct run *run, struct error *err)
{
    if (open_journal(run, err) < 0)
        return -1;
    auto_free char *words = xasprintf("\nmigrun was left at once. What is left to do: migrun recover %s\n",
                                      run->id);
    interrupts_last_words(words);
    return run_claim(run, false, err);
}

// libvirt does not carry it along with a persistent definition.
static void keep_autostart(struct run *run, struct tally *tally)
{
    static const struct step step = {.title = "keep its autostart", .phase = PHASE_FIXUP};
    struct error err = {0};
    double since = wall_time();
    if (!run->dest || !json_flag(run->instance, "autostart", false) ||
        !json_flag(run->instance, "persistent", false))
        return;
    run->step = &step;
    run->phase = step.phase;
    tell_a_step(run, &step, run->procedure->n_steps, "start", NULL, 0);
    int rc = change_autostart(run->dest, true, &err);
    run->step = NULL;
    tell_a_step(run, &step, run->procedure->n_steps, rc < 0 ? "failed" : "ok", rc < 0 ? err.message : NULL,
                since);
    if (rc == 0)
        return;
    auto_free char *text = xasprintf("its autostart could not be set on %s: %s", run_dest_name(run),
                                     err.message);
    verdict_detail(tally->details, "", text);
    tally->not_fixed++;
}

// What temporary steps made, at an end that undoes nothing else.
static void take_back(struct run *run, struct tally *tally)
{
    auto_json json_t *problems = json_array();
    size_t undone;
    tally->not_fixed += gate_take_back(run, &undone, problems);
    add_not_undone(tally, problems);
}

// A run that was cut off in its fix-ups had done all that it was to do before.
static bool was_in_fixups(const struct run *run)
{
    for (size_t i = 0; i < run->n_effects; i++)
        if (run->recovers && run->effects[i]->of_fixup)
            return true;
    return false;
}

// Asks where the guest is, once its migration was asked for.
static void look(struct run *run, struct tally *tally)
{
    tally->where = run->migration_attempted ? run_whereabouts(run, &tally->seen) : GUEST_AT_SOURCE;
}

static bool has_moved(enum whereabouts where)
{
    return where == GUEST_AT_DEST || where == GUEST_STANDS_AT_DEST || where == GUEST_STOPPED_AT_DEST;
}

// The steps have run, up to a failure (NULL: none): asks where the guest is, and ends the run by that.
static int conclude(struct run *run, struct tally *tally, struct error *failure)
{
    struct error err = {0};
    if (failure && failure->domain == ERR_POLICY && run->n_effects == 0)
        return end_mistaken(run, tally, failure); // found only here, but before anything was touched
    run_reconnect(run);
    if (!run->procedure->migrates) {
        if (failure && !was_in_fixups(run))
            return end_undone(run, tally, failure, false);
        run_fixups(run, tally);
        take_back(run, tally);
        return end_done(run, tally);
    }
    look(run, tally);
    if (tally->where == GUEST_DELETED)
        return end_deleted(run, tally);
    if (tally->where == GUEST_UNCLEAR && run->recovers && interrupt_count > 0)
        return verdict_tell(run, OUTCOME_INTERRUPTED, "in_doubt", steal(&tally->details),
                            "Interrupted: run %s is as unfinished as before (%s).", run->id,
                            tally->seen.text);
    if (tally->where == GUEST_UNCLEAR) {
        if (!failure)
            error_set(failure = &err, ERR_LIBVIRT, 0, "%s said that the migration succeeded",
                      run->by_nova ? "Nova" : "libvirt");
        return end_in_doubt(run, tally, failure, tally->seen.text);
    }
    bool said_moved = run->moved;
    run->moved = has_moved(tally->where);
    if (!run->moved) {
        if (!failure)
            error_set(failure = &err, ERR_LIBVIRT, 0,
                      run->by_nova ? "Nova said that the migration succeeded, but the guest is still there"
                      : run->migration_attempted
                          ? "libvirt said that the migration succeeded, but the guest is still there"
                          : "the policy's migrate step did not migrate");
        return end_undone(run, tally, failure, run->migration_attempted);
    }
    interrupts_hold(); // there is no way back any more: what is left is finished
    if (failure && said_moved) {
        tally->after_move = xstrdup(failure->message);
    } else if (failure && !run->recovers) {
        run_message(run, "info", "%s (%s), but both hosts say that the guest has moved",
                    run->by_nova ? "Nova does not say so" : "libvirt's answer was lost", failure->message);
    }
    keep_autostart(run, tally);
    run_fixups(run, tally);
    take_back(run, tally);
    ask_cloud(run, tally, run->dest);
    return end_moved(run, tally);
}

static int execute(struct run *run, struct tally *tally)
{
    const struct procedure *procedure = run->procedure;
    bool preview = run->options->preview;
    struct error err = {0};
    tell_begin(run);
    if (ask_checks(run, tally, &err) < 0)
        return end_mistaken(run, tally, &err);
    if (tally->refused)
        return end_refused(run, tally);
    if (!only_checks(procedure) && (preview ? run_claim(run, false, &err) : begin_changes(run, &err)) < 0)
        return verdict_tell(run, OUTCOME_REFUSED, "refused", steal(&tally->details),
                            "Refused, nothing was touched: %s", err.message);
    bool failed = run_phase(run, PHASE_PREPARE, tally, &err) < 0 ||
                  run_phase(run, PHASE_MIGRATE, tally, &err) < 0;
    if (!preview)
        return conclude(run, tally, failed ? &err : NULL);
    if (failed)
        return end_preview(run, tally, &err);
    if (procedure->migrates)
        keep_autostart(run, tally);
    run_fixups(run, tally);
    return end_preview(run, tally, NULL);
}

static int with_tally(struct run *run, int (*perform_all)(struct run *, struct tally *))
{
    struct tally tally = {.details = json_array()};
    tally.answers = xcalloc(run->procedure->n_steps + 1, sizeof *tally.answers);
    for (size_t i = 0; i < run->procedure->n_steps; i++)
        tally.answers[i] = ANSWER_SKIPPED;
    const struct procedure *procedure = run->procedure;
    if (procedure->attach)
        procedure->attach(procedure->data, run);
    int status = perform_all(run, &tally);
    if (procedure->attach)
        procedure->attach(procedure->data, NULL);
    free(tally.answers);
    json_decref(tally.details);
    buf_free(&tally.refusing);
    buf_free(&tally.verified);
    free(tally.after_move);
    seen_guest_free(&tally.seen);
    return status;
}

int run_execute(struct run *run) { return with_tally(run, execute); }

// What a recovery would do; nothing is changed.
static int end_forecast(struct run *run, struct tally *tally)
{
    look(run, tally);
    if (tally->where == GUEST_UNCLEAR && tally->seen.moves)
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would wait for the migration, which still runs, and end the run as that ends "
                            "(%s).",
                            tally->seen.text);
    if (tally->where == GUEST_UNCLEAR)
        return verdict_tell(run, OUTCOME_IN_DOUBT, "would_not", steal(&tally->details),
                            "Would stay in doubt: where %s runs is not certain (%s).", instance_name(run),
                            tally->seen.text);
    if (tally->where == GUEST_DELETED)
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would end: %s was deleted in Nova, and neither host has it any more.",
                            instance_name(run));
    if (has_moved(tally->where))
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would end as moved: %s is on %s; its fix-ups would run.", instance_name(run),
                            run_dest_name(run));
    if (!run->procedure->migrates && was_in_fixups(run))
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would end as done: its fix-ups would run.");
    auto_json json_t *problems = json_array();
    size_t not_there, undone;
    not_there = gate_undo(run, &undone, problems);
    (void)not_there;
    return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                        "Would end as not moved: %zu change%s would be undone.", undone, plural(undone));
}

static int finish_cut_off(struct run *run, struct tally *tally)
{
    struct error failure;
    error_set(&failure, ERR_REFUSED, REFUSED_OTHER, "%s", run->cause);
    return run->options->preview ? end_forecast(run, tally) : conclude(run, tally, &failure);
}

int run_finish(struct run *run, const char *cause)
{
    run->cause = cause;
    return with_tally(run, finish_cut_off);
}
