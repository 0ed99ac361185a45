// SPDX-License-Identifier: MIT
// A run that was cut off is opened again, from its journal or from what its hosts keep of it, and ended where
// a failure would have ended it; and one that has ended is opened again to be undone.
#include "run/recover.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/mask.h"
#include "base/spawn.h"
#include "run/facts.h"
#include "run/gate.h"
#include "run/hosts.h"
#include "run/notes.h"
#include "run/open.h"
#include "run/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct recovery {
    const struct recover_options *options;
    const struct listener *listener;
    size_t ended, moved, not_moved, in_doubt, left;
    int worst;
};

// ---- a run, opened again ----

static int take_effect(struct run *run, const struct told_effect *told, struct error *err)
{
    const char *host = json_str(told->data, "host", "");
    struct run_host *h = run_find_host(run, host);
    auto_json json_t *whole = journal_whole(run->options->state, run->id, told->number);
    struct effect *e = h ? effect_from(h, whole ? whole : told->data, told->number) : NULL;
    if (!e)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "change %d of the run (%s on %s) is of an unknown kind", told->number,
                         json_str(told->data, "kind", "?"), host);
    bool moves = e->kind == &effect_migrate || e->kind == &effect_nova_migrate;
    if (moves && (!run->instance || !run->source || (e->kind == &effect_migrate && !run->dest))) {
        effect_free(e);
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "change %d of the run moves a guest, but the guest, its source or its destination "
                         "is not recorded",
                         told->number);
    }
    if (told->number > (int)run->next_effect)
        run->next_effect = (size_t)told->number;
    // A migration that failed was attempted all the same: what it took from the guest's files is given back.
    run->by_nova = run->by_nova || e->kind == &effect_nova_migrate;
    run->migration_attempted = run->migration_attempted || moves;
    if (e->kind == &effect_nova_migrate)
        run->nova_record.before = json_int(effect_before(e), "migration", 0);
    e->undone = told->over;
    if (told->done)
        e->made = MADE;
    e->result = json_incref((json_t *)(uintptr_t)told->result);
    gate_remember(run, e);
    return 0;
}

// Whether a host is the machine that the run was on, and nothing else to it: it changed something there.
static bool is_apart(const struct opening *opening, const char *host)
{
    size_t i;
    json_t *name;
    if (opening->here && STREQ(opening->here, host))
        return true;
    json_array_foreach((json_t *)(uintptr_t)opening->hosts, i, name)
        if (STREQ(json_string_value(name), host))
            return false;
    return json_array_size(opening->hosts) > 0 && !(opening->source && STREQ(opening->source, host)) &&
           !(opening->dest && STREQ(opening->dest, host));
}

static int start_hosts(struct run *run, const struct story *story, struct error *err)
{
    const struct opening *opening = &story->opening;
    char own[256] = "";
    size_t i;
    json_t *name;
    gethostname(own, sizeof own - 1);
    json_array_foreach(story->hosts, i, name) {
        const char *host = json_string_value(name);
        struct run_host *h;
        bool apart = is_apart(opening, host);
        if (run_start_host(run, host, apart && STREQ(host, own), &h, err) < 0)
            return -1;
        h->apart = apart;
    }
    run->source = opening->source ? run_find_host(run, opening->source) : NULL;
    run->dest = opening->dest ? run_find_host(run, opening->dest) : NULL;
    return 0;
}

// Its hosts, its instance, its effects. run->options, site, procedure, listener are set by the caller.
static int reopen(struct run *run, const struct story *story, bool undoes, struct error *err)
{
    const struct opening *opening = &story->opening;
    run->recovers = true;
    run->claimed = !run->options->preview && !undoes; // one that has ended has none any more
    if (run_prepare(run, err) < 0)
        return -1;
    snprintf(run->id, sizeof run->id, "%s", opening->run);
    run->instance = json_deep_copy(opening->instance);
    run->server = json_incref((json_t *)(uintptr_t)opening->server);
    run->instance_xml = opening->xml ? xstrdup(opening->xml) : NULL;
    if (story->saved) {
        json_decref(run->saved);
        run->saved = json_incref((json_t *)(uintptr_t)story->saved);
    }
    if (start_hosts(run, story, err) < 0 || run_connect(run, err) < 0 || run_gather_facts(run, err) < 0)
        return -1;
    for (size_t i = 0; i < story->n_effects; i++)
        if (take_effect(run, &story->effects[i], err) < 0)
            return -1;
    return 0;
}

// ---- one run ----

static char *names_of(const struct run *run)
{
    struct buf names = {0};
    for (size_t i = 0; i < run->n_hosts; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", run_host_name(run->hosts[i]));
    return buf_take(&names);
}

static void tell_begin(struct run *run, const struct story *story, bool undoes)
{
    const struct opening *opening = &story->opening;
    auto_free char *cut = story->cut_off ? xasprintf(", cut off during '%s'", story->cut_off) : xstrdup("");
    auto_free char *what = run->source && run->dest
                               ? xasprintf(
                                     "%s from %s to %s",
                                     json_str(run->instance, "title", json_str(run->instance, "name", "?")),
                                     run_host_name(run->source), run_host_name(run->dest))
                           : run->instance ? xstrdup(json_str(run->instance, "name", "?"))
                                           : names_of(run);
    auto_free char *sentence = xasprintf("%s run %s: %s, by %s (%s%s)", undoes ? "Undoing" : "Recovering",
                                         run->id, what, opening->policy, opening->by, cut);
    run_emit(run, "begin",
             json_pack("{s:O?, s:O?, s:s?, s:s?, s:s, s:b, s:b, s:f, s:I, s:o}", "instance",
                       json_object_get(run->instance, "name"), "uuid", json_object_get(run->instance, "uuid"),
                       "source", opening->source, "dest", opening->dest, "policy", opening->policy, "preview",
                       run->options->preview, "recovers", 1, "memory", json_num(run->instance, "memory", 0),
                       "vcpus", (json_int_t)json_int(run->instance, "vcpus", 0), "sentence",
                       json_text(sentence)));
}

// A run whose hosts cannot be asked stays as it is.
static int stay(struct run *run, const struct error *err)
{
    if (err->domain == ERR_INTERRUPTED)
        return verdict_tell(run, OUTCOME_INTERRUPTED, "in_doubt", NULL,
                            "Interrupted: run %s is as unfinished as before.", run->id);
    return verdict_tell(run, OUTCOME_IN_DOUBT, "in_doubt", NULL, "In doubt: cannot end run %s now: %s",
                        run->id, err->message);
}

// Whether Nova was asked for a migration: also to a host that only Nova knows.
static bool has_migrated(const struct story *story)
{
    for (size_t i = 0; i < story->n_effects; i++)
        if (STREQ(json_str(story->effects[i].data, "kind", ""), effect_nova_migrate.name))
            return true;
    return false;
}

// A policy that this migrun does not understand any more has no fix-ups; what was changed can be undone all
// the same.
static const struct procedure *bare_procedure(const struct story *story, struct procedure *bare)
{
    const struct opening *opening = &story->opening;
    *bare = (struct procedure){.name = opening->policy,
                               .summary = "",
                               .text = "",
                               .takes_instance = opening->instance != NULL,
                               .takes_host = opening->dest != NULL,
                               .migrates = opening->dest || has_migrated(story)};
    return bare;
}

static int finish(struct run *run, const struct story *story, bool undoes, const struct error *no_policy)
{
    tell_begin(run, story, undoes);
    if (no_policy->domain)
        run_message(run, "warning",
                    "its policy is missing or can no longer be read (%.*s), so it has no fix-ups "
                    "(fix-ownership.lua restores the ownership of a guest's files)",
                    (int)strcspn(no_policy->message, "\n"), no_policy->message);
    return undoes ? run_undo(run) : run_finish(run, story->cause);
}

// One that cannot be undone now stays as it was: done.
static int stay_done(struct run *run, const struct story *story, struct journal *journal,
                     const struct error *err)
{
    run->journal = NULL;
    if (journal)
        journal_event(journal, story->verdict, NULL);
    if (err->domain == ERR_INTERRUPTED)
        return verdict_tell(run, OUTCOME_INTERRUPTED, "interrupted", NULL,
                            "Interrupted: nothing was touched.");
    return verdict_tell(run, OUTCOME_REFUSED, "refused", NULL, "Refused, nothing was touched: %s",
                        err->message);
}

static int end_run(struct recovery *r, const struct story *story, struct journal *journal)
{
    const struct recover_options *how = r->options;
    struct run_options options = {.state = how->state,
                                  .preview = how->preview,
                                  .unlocked = how->unlocked,
                                  .params = (json_t *)(uintptr_t)story->opening.params};
    bool undoes = how->undoes || story->undoes;
    struct procedure bare;
    struct error err = {0}, no_policy = {0};
    const struct procedure *restored = NULL;
    if (mask_is_in(story->opening.params))
        error_set(&no_policy, ERR_POLICY, 0, "its secret parameters are not here");
    else if (story->opening.text)
        restored = how->policies->restore(&story->opening, &no_policy);
    else
        error_set(&no_policy, ERR_POLICY, 0, "hosts do not keep it");
    struct run run = {.options = &options,
                      .site = how->site,
                      .listener = *r->listener,
                      .janitor = -1,
                      .procedure = restored ? restored : bare_procedure(story, &bare)};
    int opened = reopen(&run, story, how->undoes, &err);
    snprintf(run.id, sizeof run.id, "%s", story->opening.run);
    run.journal = journal;
    if (journal && opened == 0)
        opened = journal_recovery(journal, run_author(), undoes, &err);
    if (opened == 0 && how->undoes)
        opened = run_claim(&run, false, &err);
    int status = opened == 0   ? finish(&run, story, undoes, &no_policy)
                 : how->undoes ? stay_done(&run, story, journal, &err)
                               : stay(&run, &err);
    if (!run.journal)
        journal_close(journal);
    run_close(&run);
    interrupts_release();
    if (restored)
        how->policies->forget(restored);
    return status;
}

// A preview locks its process in, so each run is previewed by a process of its own.
static int preview_run(struct recovery *r, const struct story *story)
{
    int ended = 0;
    pid_t pid = spawn_copy();
    if (pid == 0)
        _exit(end_run(r, story, NULL));
    while (pid > 0 && waitpid(pid, &ended, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(ended) ? WEXITSTATUS(ended) : OUTCOME_IN_DOUBT;
}

// How bad an exit status is, of those that a recovery can have.
static int badness(int status)
{
    static const int order[] = {OUTCOME_MOVED,        OUTCOME_NOT_MOVED, OUTCOME_MOVED_BUT,
                                OUTCOME_NOT_RESTORED, OUTCOME_IN_DOUBT,  OUTCOME_INTERRUPTED};
    for (size_t i = 0; i < COUNT_OF(order); i++)
        if (order[i] == status)
            return (int)i;
    return COUNT_OF(order);
}

static void count(struct recovery *r, int status)
{
    r->ended++;
    r->moved += status == OUTCOME_MOVED || status == OUTCOME_MOVED_BUT;
    r->not_moved += status == OUTCOME_NOT_MOVED || status == OUTCOME_NOT_RESTORED;
    r->in_doubt += status == OUTCOME_IN_DOUBT || status == OUTCOME_INTERRUPTED;
    r->left += status == OUTCOME_NOT_RESTORED || status == OUTCOME_MOVED_BUT || status == OUTCOME_IN_DOUBT ||
               status == OUTCOME_INTERRUPTED;
    if (badness(status) > badness(r->worst))
        r->worst = status;
}

static void end_one(struct recovery *r, const struct story *story, struct journal *journal)
{
    count(r, r->options->preview ? preview_run(r, story) : end_run(r, story, journal));
}

// ---- runs that this controller began ----

// The recovery itself speaks as a run of nothing: no hosts, no journal, and (as in a preview) no ID in its
// events.
static struct run speaker_of(const struct recovery *r)
{
    static const struct run_options options = {.preview = true};
    return (struct run){
        .options = &options, .listener = *r->listener, .started = wall_time(), .downtime = -1};
}

// A run that has ended, but left something that another try may put right, is tried again only when it is
// named.
static void tell_left(const struct recovery *r, const struct story *story)
{
    struct run speaker = speaker_of(r);
    json_int_t status = json_int(story->verdict, "status", 0);
    bool undone = STREQ(json_str(story->verdict, "outcome", ""), "undone");
    if (status == OUTCOME_NOT_RESTORED || status == OUTCOME_IN_DOUBT)
        run_message(&speaker, "warning", "run %s left something behind (%s): migrun %s %s tries again",
                    story->opening.run, json_str(story->verdict, "line", "?"), undone ? "undo" : "recover",
                    story->opening.run);
}

// Only what has ended well, and moved nothing, is undone; what an undo left is tried again. A guest is moved
// back by another move.
static int check_undoable(const struct story *story, struct error *err)
{
    const struct opening *o = &story->opening;
    int64_t status = json_int(story->verdict, "status", OUTCOME_IN_DOUBT);
    bool undone = STREQ(json_str(story->verdict, "outcome", ""), "undone"), left = undone;
    for (size_t i = 0; i < story->n_effects; i++)
        left = left || !story->effects[i].over;
    if (!left && story->verdict)
        status = OUTCOME_NOT_MOVED; // it changed nothing
    if (undone ? status != OUTCOME_NOT_RESTORED
               : status == OUTCOME_NOT_MOVED || status == OUTCOME_INTERRUPTED)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "nothing of run %s is left to undo: %s", o->run,
                         json_str(story->verdict, "line", "?"));
    if (!undone && (status == OUTCOME_IN_DOUBT || status == OUTCOME_NOT_RESTORED))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "run %s has not ended: migrun recover %s ends it",
                         o->run, o->run);
    for (size_t i = 0; i < story->n_effects; i++) {
        const char *kind = json_str(story->effects[i].data, "kind", ""),
                   *guest = json_str(o->instance, "name", "a guest");
        if (STREQ(kind, effect_migrate.name) || STREQ(kind, effect_nova_migrate.name))
            return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                             "run %s moved %s to %s: migrun %s %s %s moves it back", o->run, guest,
                             o->dest ? o->dest : "another host", o->policy, guest,
                             o->source ? o->source : "HOST");
    }
    return 0;
}

static int agree_to_undo(struct recovery *r, const struct story *story, struct error *err)
{
    struct recover_options shown = *r->options;
    struct recovery show = {.options = &shown, .listener = r->listener};
    if (shown.preview || !shown.agree)
        return 1;
    shown.preview = true;
    if (preview_run(&show, story) != 0)
        return 1; // nothing can be undone: that is told again
    return shown.agree(shown.agree_data, "undo these changes", err);
}

static int undo_named(struct recovery *r, const char *name, struct error *err)
{
    struct story auto_story story = {0};
    struct journal *journal = NULL;
    struct run speaker = speaker_of(r);
    if (journal_read(r->options->state, name, &story, err) < 0)
        return -1;
    if (check_undoable(&story, err) < 0) {
        r->worst = verdict_tell(&speaker, OUTCOME_REFUSED, "refused", NULL,
                                "Refused, nothing was touched: %s", err->message);
        return 0;
    }
    int agreed = agree_to_undo(r, &story, err);
    if (agreed <= 0) {
        r->worst = OUTCOME_REFUSED;
        return agreed;
    }
    if (!r->options->preview && journal_resume(r->options->state, name, &journal, err) < 0)
        return -1;
    r->worst = r->options->preview ? preview_run(r, &story) : end_run(r, &story, journal);
    return 0;
}

static int recover_named(struct recovery *r, const char *name, struct error *err)
{
    struct story auto_story story = {0};
    struct journal *journal = NULL;
    if (r->options->undoes)
        return undo_named(r, name, err);
    if (journal_read(r->options->state, name, &story, err) < 0 ||
        (!r->options->preview && journal_resume(r->options->state, name, &journal, err) < 0))
        return -1;
    end_one(r, &story, journal);
    return 0;
}

// Ends a run that is unfinished. One that cannot be read keeps no other from being ended.
static void recover_unfinished(struct recovery *r, const char *name)
{
    struct story auto_story story = {0};
    struct journal *journal = NULL;
    struct error err = {0};
    struct run speaker = speaker_of(r);
    if (journal_read(r->options->state, name, &story, &err) < 0) {
        if (err.code == EILSEQ)
            return; // it was cut off before anything was changed
        run_message(&speaker, "warning", "%s", err.message);
        count(r, OUTCOME_IN_DOUBT);
    } else if (story.verdict) {
        tell_left(r, &story);
    } else if (r->options->preview ? journal_is_live(r->options->state, name)
                                   : journal_resume(r->options->state, name, &journal, &err) < 0) {
        if (err.domain != ERR_NONE && err.domain != ERR_REFUSED) // else it still goes on
            run_message(&speaker, "warning", "%s", err.message);
    } else {
        end_one(r, &story, journal);
    }
}

static int recover_all(struct recovery *r, struct error *err)
{
    auto_json json_t *names = NULL;
    size_t i;
    json_t *name;
    if (journal_runs(r->options->state, &names, err) < 0)
        return -1;
    json_array_foreach(names, i, name)
        if (interrupt_count == 0)
            recover_unfinished(r, json_string_value(name));
    return 0;
}

// ---- a controller that is gone for good: what a host keeps takes the journal's place ----

struct stories {
    struct story *all;
    size_t count;
};

static void stories_free(struct stories *stories)
{
    for (size_t i = 0; i < stories->count; i++)
        story_free(&stories->all[i]);
    free(stories->all);
}
#define auto_stories cleanup(stories_free)

static bool is_own(const struct recovery *r, const char *run)
{
    struct story auto_story story = {0};
    return journal_read(r->options->state, run, &story, NULL) == 0;
}

// The run of one claim. A claim that cannot be believed keeps no other run from being ended.
static void take_claim(struct recovery *r, struct run *scout, const json_t *claim, struct stories *stories)
{
    struct story story = {0};
    struct error err = {0};
    struct run speaker = speaker_of(r);
    const char *run = json_str(claim, "run", "?");
    if (journal_is_run_name(run) && is_own(r, run)) { // its journal tells more
        run_message(&speaker, "warning", "run %s is this controller's own: migrun recover %s", run, run);
    } else if (notes_story(scout, r->options->host, claim, &story, &err) < 0) {
        run_message(&speaker, "error", "%s", err.message);
        count(r, OUTCOME_IN_DOUBT);
        story_free(&story);
    } else {
        stories->all = xrealloc(stories->all, (stories->count + 1) * sizeof story);
        stories->all[stories->count++] = story;
    }
}

static int ask_host(struct recovery *r, struct stories *stories, struct error *err)
{
    struct run_options options = {
        .state = r->options->state, .preview = true, .unlocked = r->options->unlocked};
    struct run scout = {
        .options = &options, .site = r->options->site, .listener = *r->listener, .janitor = -1};
    auto_json json_t *claims = NULL;
    size_t i;
    json_t *claim;
    int rc = run_prepare(&scout, err) < 0 || notes_claims(&scout, r->options->host, &claims, err) < 0 ? -1
                                                                                                      : 0;
    json_array_foreach(claims, i, claim)
        take_claim(r, &scout, claim, stories);
    run_close(&scout);
    return rc;
}

// What would be undone is shown before it is. 1: it shall be, 0: it shall not, -1 with err.
static int show_and_ask(struct recovery *r, const struct stories *stories, struct error *err)
{
    const struct recover_options *given = r->options;
    struct recover_options shown = *given;
    struct recovery show = {.options = &shown, .listener = r->listener};
    if (given->preview || !given->agree || stories->count == 0)
        return 1;
    shown.preview = true;
    for (size_t i = 0; i < stories->count; i++)
        preview_run(&show, &stories->all[i]);
    return given->agree(given->agree_data, "do this", err);
}

static int recover_host(struct recovery *r, struct error *err)
{
    struct stories auto_stories stories = {0};
    if (ask_host(r, &stories, err) < 0)
        return -1;
    int agreed = show_and_ask(r, &stories, err);
    if (agreed < 0)
        return -1;
    for (size_t i = 0; i < stories.count; i++)
        if (agreed && interrupt_count == 0)
            end_one(r, &stories.all[i], NULL);
        else
            count(r, OUTCOME_INTERRUPTED);
    return 0;
}

// ---- the whole ----

static void tell_end(const struct recovery *r)
{
    struct run speaker = speaker_of(r);
    auto_free char *how = xasprintf("%zu moved, %zu not moved, %zu in doubt", r->moved, r->not_moved,
                                    r->in_doubt);
    if (r->ended == 0)
        verdict_tell(&speaker, OUTCOME_MOVED, "recovered", NULL, "Nothing to recover: no run is unfinished.");
    else if (!r->options->preview)
        verdict_tell(&speaker, (enum outcome)r->worst, "recovered", NULL,
                     "Recovered: %zu run%s ended (%s); %s.", r->ended, r->ended == 1 ? "" : "s", how,
                     r->left ? "what is left to do stands above" : "nothing is left to do");
}

int recover_runs(const struct recover_options *options, const struct listener *listener, struct error *err)
{
    struct recovery r = {.options = options, .listener = listener};
    interrupts_last_words("\nmigrun was left at once. What is left to do: migrun recover\n");
    int rc = options->host ? recover_host(&r, err) : options->n_runs == 0 ? recover_all(&r, err) : 0;
    for (size_t i = 0; rc == 0 && i < options->n_runs; i++)
        rc = recover_named(&r, options->runs[i], err);
    if (rc < 0)
        return -1;
    if (!options->undoes)
        tell_end(&r);
    return r.worst;
}
