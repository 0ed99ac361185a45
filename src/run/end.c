// SPDX-License-Identifier: MIT
// How a run ends, in words: its verdict.
#include "run/end.h"

#include "base/clock.h"
#include "run/cloud.h"
#include "run/verdict.h"

#include <stdlib.h>
#include <string.h>

static const char *instance_name(const struct run *run) { return run_instance_name(run); }

static size_t count_effects(const struct run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->n_effects; i++)
        n += !run->effects[i]->undone && run->effects[i]->kind != &effect_migrate &&
             run->effects[i]->kind != &effect_nova_migrate && !run->effects[i]->kind->promise;
    return n;
}

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

// "5 checks passed, 1 with a warning (memory fits)". Caller frees.
static char *passed_text(const struct tally *tally)
{
    auto_free char *warned = tally->warned
                                 ? xasprintf(", %zu with a warning (%s)", tally->warned, tally->warning.data)
                                 : xstrdup("");
    return xasprintf("%zu check%s passed%s", tally->checks, plural(tally->checks), warned);
}

// The same and ", ", or nothing where a policy asks none. Caller frees.
static char *checks_text(const struct tally *tally)
{
    auto_free char *passed = passed_text(tally);
    return tally->checks ? xasprintf("%s, ", passed) : xstrdup("");
}

bool only_checks(const struct procedure *procedure)
{
    return procedure->n_steps == 0 || procedure->steps[procedure->n_steps - 1].phase == PHASE_CHECK;
}

static void add_more(struct run *run, struct tally *tally)
{
    auto_free char *command = xasprintf("migrun show %s", run->id);
    if (run->journal)
        verdict_detail(tally->details, "More", command);
}

// told: the verdict's own line tells the failure.
static void add_cause(struct run *run, struct tally *tally, const struct error *failure, bool told)
{
    auto_json json_t *explained = run->procedure->explain
                                      ? run->procedure->explain(run->procedure->data, failure)
                                      : NULL;
    size_t i;
    json_t *detail;
    if (!json_array_size(explained) && !told)
        verdict_detail(tally->details, "Cause", failure->message);
    json_array_foreach(explained, i, detail)
        if (!told || !STREQ(json_str(detail, "text", ""), failure->message))
            json_array_append(tally->details, detail);
}

int end_mistaken(struct run *run, struct tally *tally, const struct error *err)
{
    if (err->domain == ERR_INTERRUPTED)
        return verdict_tell(run, OUTCOME_INTERRUPTED, "interrupted", steal(&tally->details),
                            "Interrupted: nothing was touched.");
    return verdict_tell(run, OUTCOME_MISTAKE, "mistake", steal(&tally->details),
                        "Refused, nothing was touched: the policy has a mistake: %s", err->message);
}

int end_refused(struct run *run, struct tally *tally)
{
    auto_buf struct buf topics = {0};
    const char *topic;
    json_t *unused;
    json_object_foreach(tally->topics, topic, unused)
        buf_printf(&topics, "%s%s", topics.len ? "," : "", topic);
    if (topics.len) {
        auto_free char *advice = xasprintf("-p i_know=%s, where you know better than such a check",
                                           topics.data);
        verdict_detail(tally->details, "Or", advice);
    }
    return verdict_tell(run, OUTCOME_REFUSED, "refused", steal(&tally->details),
                        "Refused, nothing was touched: %zu of %zu check%s say%s no (%s).", tally->refused,
                        tally->checks, plural(tally->checks), tally->refused == 1 ? "s" : "",
                        tally->refusing.data);
}

// A policy of checks has nothing else to say.
static int end_checked(struct run *run, struct tally *tally)
{
    auto_free char *passed = passed_text(tally);
    return verdict_tell(run, OUTCOME_MOVED, "done", steal(&tally->details), "Done: %s.", passed);
}

// A preview ends with the exit status that the run would end with, as far as it can tell.
int end_preview(struct run *run, struct tally *tally, const struct error *failure)
{
    size_t n = run->n_would;
    auto_free char *checks = checks_text(tally);
    if (failure && ((failure->domain == ERR_POLICY && n == 0) || failure->domain == ERR_INTERRUPTED))
        return end_mistaken(run, tally, failure);
    if (failure)
        return verdict_tell(run, OUTCOME_NOT_MOVED, "would_not", steal(&tally->details),
                            "Would stop after %zu change%s: %s", n, plural(n), failure->message);
    auto_free char *what = run->procedure->migrates
                               ? xasprintf("move %s to %s", instance_name(run), run_dest_name(run))
                               : xstrdup("be done");
    if (tally->not_fixed)
        return verdict_tell(run, OUTCOME_MOVED_BUT, "would", steal(&tally->details),
                            "Would %s, but %zu fix-up%s would fail.", what, tally->not_fixed,
                            plural(tally->not_fixed));
    if (run->procedure->migrates)
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would %s: %s%zu change%s. Run it without --dry-run.", what, checks, n,
                            plural(n));
    if (only_checks(run->procedure))
        return end_checked(run, tally);
    enum outcome outcome = run->procedure->audits && tally->warned ? OUTCOME_REFUSED : OUTCOME_MOVED;
    if (n == 0)
        return verdict_tell(run, outcome, "would", steal(&tally->details),
                            "Would change nothing: %severything is right already%s.", checks,
                            tally->verified.data ? tally->verified.data : "");
    auto_free char *passed = tally->warned ? passed_text(tally) : xstrdup("");
    return verdict_tell(run, outcome, "would", steal(&tally->details),
                        "Would make %zu change%s%s%s. Run it without --dry-run.", n, plural(n),
                        tally->warned ? "; " : "", passed);
}

int end_done(struct run *run, struct tally *tally)
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
    if (!run->migration_attempted && run->source)
        return verdict_at_source(run, " as before");
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
    if (tally->not_fixed == 1 && tally->refusal)
        return xstrdup(tally->refusal);
    if (tally->not_fixed)
        return xasprintf("%zu fix-up%s failed", tally->not_fixed, plural(tally->not_fixed));
    if (tally->disagree)
        return xasprintf("Nova disagrees in %zu point%s", tally->disagree, plural(tally->disagree));
    return NULL;
}

// " (as NAME)" where the policy gave it another name there, else "". Caller frees.
static char *name_there(struct run *run)
{
    auto_json json_t *domain = NULL;
    const char *name = json_str(run->instance, "name", "");
    if (!run->dest->virt ||
        virt_domain(run->dest->virt, json_str(run->instance, "uuid", ""), &domain, NULL) < 0 ||
        STREQ(json_str(domain, "name", name), name))
        return xstrdup("");
    return xasprintf(" (as %s)", json_str(domain, "name", ""));
}

int end_moved(struct run *run, struct tally *tally)
{
    const char *is = tally->where == GUEST_STANDS_AT_DEST ? "is paused, as it was to be," : "runs";
    auto_free char *left_over = NULL, *all = duration_text(wall_time() - run->started),
                   *guest = guest_but(run, tally);
    bool gone = !verdict_source_has_left_over(run, &left_over);
    auto_free char *but = rest_but(tally, left_over),
                   *paused = run->downtime >= 0 ? xasprintf(", paused %.2f s", run->downtime) : xstrdup(""),
                   *as = name_there(run),
                   *where = xasprintf("%s %s on %s%s%s%s", instance_name(run), is, run_dest_name(run), as,
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
    verdict_detail(tally->details, "Stays", kept.len ? kept.data : "nothing");
}

void tally_not_undone(struct tally *tally, const json_t *problems)
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
    auto_free char *now = certain ? stayed_text(run, tally) : verdict_at_source(run, "");
    auto_free char *changes = undone ? xasprintf("; %zu change%s undone", undone, plural(undone))
                                     : xstrdup("");
    auto_free char *again = xasprintf("migrun recover %s tries again", run->id);
    verdict_detail(tally->details, "Then", again);
    add_more(run, tally);
    return verdict_tell(run, OUTCOME_NOT_RESTORED, "not_moved", steal(&tally->details),
                        "%s, and %zu thing%s could not be put back: %s%s.", not, left, plural(left), now,
                        changes);
}

int end_undone(struct run *run, struct tally *tally, const struct error *failure, const struct undone *all)
{
    bool interrupted = failure->domain == ERR_INTERRUPTED,
         restored = !all->failed && !tally->not_fixed && !tally->disagree;
    if (!interrupted)
        add_cause(run, tally, failure, restored && !run->procedure->migrates);
    tally_not_undone(tally, all->problems);
    add_kept(run, tally);
    if (!restored)
        return end_not_restored(run, tally, all->failed, all->undone);
    auto_free char *where = stayed_text(run, tally), *changes = undone_text(all->undone);
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

int end_taken_back(struct run *run, struct tally *tally, const struct undone *all)
{
    tally_not_undone(tally, all->problems);
    add_kept(run, tally);
    if (run->options->preview)
        return verdict_tell(run, OUTCOME_MOVED, "would", steal(&tally->details),
                            "Would undo %zu change%s of run %s. Run it without --dry-run.", all->undone,
                            plural(all->undone), run->id);
    if (all->failed) {
        auto_free char *again = xasprintf("migrun undo %s tries again", run->id);
        verdict_detail(tally->details, "Then", again);
    }
    add_more(run, tally);
    if (all->failed)
        return verdict_tell(run, OUTCOME_NOT_RESTORED, "undone", steal(&tally->details),
                            "Not all undone: %zu change%s of run %s could not be put back, %zu %s.",
                            all->failed, plural(all->failed), run->id, all->undone,
                            all->undone == 1 ? "was" : "were");
    return verdict_tell(run, OUTCOME_MOVED, "undone", steal(&tally->details),
                        "Undone: %zu change%s of run %s.", all->undone, plural(all->undone), run->id);
}

static void drop_remedy(json_t *details)
{
    for (size_t i = json_array_size(details); i > 0; i--)
        if (STREQ(json_str(json_array_get(details, i - 1), "label", ""), "Remedy"))
            json_array_remove(details, i - 1);
}

int end_in_doubt(struct run *run, struct tally *tally, const struct error *failure, const char *seen)
{
    add_cause(run, tally, failure, false);
    if (tally->seen.lost) // nothing is left to be joined
        drop_remedy(tally->details);
    const char *name = json_str(run->instance, "name", "");
    auto_free char *look =
        tally->seen.lost
            ? xasprintf(
                  "its memory on %s is gone with its QEMU, so nothing can continue it: end the half that "
                  "is left (on %s: virsh destroy %s), then it can be started anew",
                  run_dest_name(run), run_host_name(run->source), name)
            : xasprintf("do not start or resume it. On both hosts: virsh list --all; virsh domstate --reason "
                        "%s; virsh domjobinfo %s",
                        name, name);
    verdict_detail(tally->details, "Look", look);
    auto_free char *again = xasprintf(
        "migrun recover %s, once you know more: it asks again, and ends the run", run->id);
    verdict_detail(tally->details, "Then", again);
    add_more(run, tally);
    return verdict_tell(run, OUTCOME_IN_DOUBT, "in_doubt", steal(&tally->details),
                        "In doubt: where %s runs is not certain (%s); nothing more was touched.",
                        instance_name(run), seen);
}

int end_deleted(struct run *run, struct tally *tally, const struct undone *all)
{
    auto_free char *changes = undone_text(all->undone);
    tally_not_undone(tally, all->problems);
    add_kept(run, tally);
    add_more(run, tally);
    return verdict_tell(
        run, all->failed ? OUTCOME_NOT_RESTORED : OUTCOME_NOT_MOVED, "deleted", steal(&tally->details),
        "Not moved: somebody deleted %s in Nova meanwhile, and neither %s nor %s has it any more; %s.",
        instance_name(run), run_host_name(run->source), run_dest_name(run), changes);
}
