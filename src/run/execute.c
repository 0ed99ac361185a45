// SPDX-License-Identifier: MIT
// The steps of a run in order, by the rules of their phases (the design's table).
#include "base/clock.h"
#include "base/interrupt.h"
#include "run/change.h"
#include "run/checks.h"
#include "run/cloud.h"
#include "run/end.h"
#include "run/gate.h"
#include "run/hosts.h"
#include "run/journal.h"
#include "run/survey.h"
#include "run/verdict.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *instance_name(const struct run *run) { return run_instance_name(run); }

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
        if (step_perform(run, i, tally, err) < 0) {
            step_tell(run, i, "failed", err->message, 0);
            return -1;
        }
    }
    return 0;
}

// A fix-up that says no (run:refuse) says so in the verdict's own line, by its words before a colon: "its
// network is silent: …".
static void take_refusal(struct tally *tally, const struct error *err)
{
    if (err->domain != ERR_REFUSED || err->code != REFUSED_CHECK)
        return;
    const char *colon = strstr(err->message, ": ");
    free(tally->refusal);
    tally->refusal = xstrndup(err->message, colon ? (size_t)(colon - err->message) : strlen(err->message));
}

// Every fix-up runs, whatever became of the others; then each is asked whether all is right now.
static void run_fixups(struct run *run, struct tally *tally)
{
    const struct procedure *procedure = run->procedure;
    for (size_t i = 0; i < procedure->n_steps; i++) {
        struct error err = {0};
        if (procedure->steps[i].phase != PHASE_FIXUP)
            continue;
        if (step_perform(run, i, tally, &err) < 0) {
            step_tell(run, i, "failed", err.message, 0);
            auto_free char *text = xasprintf("'%s' failed: %s", procedure->steps[i].title, err.message);
            verdict_detail(tally->details, "", text);
            take_refusal(tally, &err);
            tally->not_fixed++;
            continue;
        }
        if (tally->answers[i] != ANSWER_YES)
            continue;
        auto_free char *seen = NULL;
        int rc = run->options->preview ? 1 : procedure->verify(procedure->data, i, &seen, &err);
        if (rc < 0) {
            auto_free char *text = xasprintf("'%s': %s", procedure->steps[i].title, err.message);
            step_tell(run, i, "failed", err.message, 0);
            verdict_detail(tally->details, "", text);
            take_refusal(tally, &err);
            tally->not_fixed++;
        } else {
            tally->fixed++;
            if (rc == 0 && seen)
                buf_printf(&tally->verified, ", %s", seen);
        }
    }
    if (!run->options->preview && gate_has_left(run)) {
        run_reconnect(run);
        gate_settle_left(run);
    }
}

// ---- the ends ----

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

// Asks where the guest is, once its migration was asked for.
static void look(struct run *run, struct tally *tally)
{
    tally->where = run->migration_attempted ? run_whereabouts(run, &tally->seen) : GUEST_AT_SOURCE;
}

static bool has_moved(enum whereabouts where)
{
    return where == GUEST_AT_DEST || where == GUEST_STANDS_AT_DEST || where == GUEST_STOPPED_AT_DEST;
}

// The undo and the fix-ups take their time, in which the guest may have been stopped or paused. What Nova
// moved is asked of Nova at the end.
static void look_again(struct run *run, struct tally *tally)
{
    struct seen_guest seen = {0};
    if (!run->migration_attempted || run->by_nova)
        return;
    enum whereabouts now = run_whereabouts(run, &seen);
    if (now != GUEST_UNCLEAR && has_moved(now) == has_moved(tally->where)) {
        tally->where = now;
        seen_guest_free(&tally->seen);
        tally->seen = seen;
        seen = (struct seen_guest){0};
    }
    seen_guest_free(&seen);
}

// What was made is undone, last first.
static struct undone undo_all(struct run *run)
{
    struct undone all = {.problems = json_array()};
    all.failed = gate_undo(run, &all.undone, all.problems);
    return all;
}

// fixups: the guest's files may have been touched by a migration that was asked for.
static int undo(struct run *run, struct tally *tally, const struct error *failure, bool fixups)
{
    struct undone all = undo_all(run);
    if (fixups)
        run_fixups(run, tally);
    if (all.undone || all.failed)
        run_reconnect(run); // it may have restarted libvirtd
    look_again(run, tally);
    if (fixups && run->by_nova)
        ask_cloud(run, tally, run->source);
    int status = end_undone(run, tally, failure, &all);
    json_decref(all.problems);
    return status;
}

static int undo_for_deleted(struct run *run, struct tally *tally)
{
    struct undone all = undo_all(run);
    int status = end_deleted(run, tally, &all);
    json_decref(all.problems);
    return status;
}

// ---- the whole ----

static void tell_begin(struct run *run)
{
    const struct procedure *procedure = run->procedure;
    const char *name = instance_name(run);
    auto_free char *sentence = NULL;
    auto_buf struct buf hosts = {0};
    for (size_t i = 0; i < run->n_hosts && (i == 0 || procedure->takes_hosts); i++)
        buf_printf(&hosts, "%s%s", i ? ", " : "", run_host_name(run->hosts[i]));
    auto_json json_t *asked = run->surveys ? survey_names(run) : NULL;
    if (run->surveys)
        sentence = xasprintf("Which of %zu host%s can take %s, on %s now, by %s", json_array_size(asked),
                             json_array_size(asked) == 1 ? "" : "s", name, run_host_name(run->source),
                             procedure->name);
    else if (procedure->migrates)
        sentence = xasprintf("%s %s from %s to %s, by %s",
                             run->options->preview ? "Preview of moving" : "Moving", name,
                             run_host_name(run->source), run_dest_name(run), procedure->name);
    else if (run->instance && run->dest)
        sentence = xasprintf("%s%s, from %s to %s, by %s", run->options->preview ? "Preview for " : "For ",
                             name, run_host_name(run->source), run_host_name(run->dest), procedure->name);
    else
        sentence = xasprintf("%s%s%s%s, by %s", run->options->preview ? "Preview for " : "For ", name,
                             run->instance ? " on " : "",
                             run->instance ? run_host_name(run->source)
                             : hosts.len   ? hosts.data
                                           : "this machine",
                             procedure->name);
    run_emit(run, "begin",
             json_pack("{s:o, s:o, s:o, s:o, s:s, s:s, s:b, s:b, s:f, s:I, s:o, s:O*}", "instance",
                       run->instance ? json_text(name) : json_null(), "uuid",
                       run->instance ? json_string(json_str(run->instance, "uuid", "")) : json_null(),
                       "source", run->source ? json_text(run_host_name(run->source)) : json_null(), "dest",
                       run->dest ? json_text(run_host_name(run->dest)) : json_null(), "policy",
                       procedure->name, "summary", procedure->summary, "preview", run->options->preview,
                       "asks", only_checks(procedure), "memory", json_num(run->instance, "memory", 0),
                       "vcpus", (json_int_t)json_int(run->instance, "vcpus", 0), "sentence",
                       json_text(sentence), "hosts", asked));
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
                                    .here = run->here && run->here->apart ? run_host_name(run->here) : NULL,
                                    .time = run->started,
                                    .modules = procedure->modules,
                                    .params = run->options->params,
                                    .instance = run->instance,
                                    .server = run->server,
                                    .hosts = hosts};
    return journal_open(run->options->state, &opening, &run->journal, err);
}

static int keep_what_checks_saved(struct run *run, struct error *err)
{
    if (json_object_size(run->saved) == 0)
        return 0;
    auto_json json_t *masked = run_masked(run, run->saved);
    return journal_saved(run->journal, run->saved, masked, err);
}

// From here on things change: the journal is there, and the hosts know whose run it is.
static int begin_changes(struct run *run, struct error *err)
{
    if (open_journal(run, err) < 0 || keep_what_checks_saved(run, err) < 0)
        return -1;
    auto_free char *words = xasprintf("\nmigrun was left at once. What is left to do: migrun recover %s\n",
                                      run->id);
    interrupts_last_words(words);
    if (run->cloud) // what was asked ahead was for the checks
        cloud_ahead_drop(run->cloud);
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
    step_tell_of(run, &step, run->procedure->n_steps, "start", NULL, 0);
    int rc = change_autostart(run->dest, true, &err);
    run->step = NULL;
    step_tell_of(run, &step, run->procedure->n_steps, rc < 0 ? "failed" : "ok", rc < 0 ? err.message : NULL,
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
    tally_not_undone(tally, problems);
}

// What a step's own undo changes is no fix-up, though no undo takes it back either.
static bool is_of_undo(const struct run *run, const struct effect *e)
{
    for (size_t i = 0; i < run->n_effects; i++)
        if (run->effects[i]->kind->promise &&
            STREQ(effect_target(run->effects[i]), json_str(e->data, "step", "")))
            return true;
    return false;
}

// A run that was cut off in its fix-ups had done all that it was to do before.
static bool was_in_fixups(const struct run *run)
{
    for (size_t i = 0; i < run->n_effects; i++)
        if (run->recovers && run->effects[i]->of_fixup && !is_of_undo(run, run->effects[i]))
            return true;
    return false;
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
            return undo(run, tally, failure, false);
        interrupts_hold();
        run_fixups(run, tally);
        take_back(run, tally);
        return end_done(run, tally);
    }
    verdict_cloud_ahead(run); // the answers come while hosts are asked
    look(run, tally);
    verdict_cloud_ahead(run);
    if (tally->where == GUEST_DELETED)
        return undo_for_deleted(run, tally);
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
        return undo(run, tally, failure, run->migration_attempted);
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
    look_again(run, tally);
    ask_cloud(run, tally, run->dest);
    return end_moved(run, tally);
}

static int execute(struct run *run, struct tally *tally)
{
    const struct procedure *procedure = run->procedure;
    bool preview = run->options->preview;
    struct error err = {0};
    tell_begin(run);
    if (run->surveys)
        return survey(run, tally);
    if (checks_ask(run, tally, NULL, &err) < 0)
        return end_mistaken(run, tally, &err);
    if (tally->refused && procedure->migrates)
        survey_others(run, tally);
    if (tally->refused)
        return end_refused(run, tally);
    run_drop_spares(run);
    bool begun = only_checks(procedure) ||
                 (preview ? run_claim(run, false, &err) : begin_changes(run, &err)) == 0;
    if (!begun && err.domain == ERR_INTERRUPTED)
        return end_mistaken(run, tally, &err);
    if (!begun)
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
    struct tally tally;
    tally_begin(&tally, run);
    const struct procedure *procedure = run->procedure;
    if (procedure->attach)
        procedure->attach(procedure->data, run);
    run_answer_interrupts(run);
    int status = perform_all(run, &tally);
    run_answer_interrupts(NULL);
    if (procedure->attach)
        procedure->attach(procedure->data, NULL);
    tally_free(&tally);
    return status;
}

int run_execute(struct run *run) { return with_tally(run, execute); }

// What a recovery would do; nothing is changed. It ends with the status that the recovery would end with, as
// far as that can be told.
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
        return verdict_tell(run, OUTCOME_NOT_MOVED, "would", steal(&tally->details),
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
    size_t undone;
    gate_undo(run, &undone, problems);
    return verdict_tell(run, OUTCOME_NOT_MOVED, "would", steal(&tally->details),
                        "Would end as not moved: %zu change%s would be undone.", undone,
                        undone == 1 ? "" : "s");
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

static int undo_ended(struct run *run, struct tally *tally)
{
    struct undone all = undo_all(run);
    int status = end_taken_back(run, tally, &all);
    json_decref(all.problems);
    return status;
}

int run_undo(struct run *run) { return with_tally(run, undo_ended); }
