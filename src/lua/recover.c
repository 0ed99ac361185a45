// SPDX-License-Identifier: MIT
// Ends runs that were cut off, each with its own policy, as its journal keeps it.
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/spawn.h"
#include "lua/lua.h"
#include "lua/policy.h"
#include "run/journal.h"
#include "run/hosts.h"
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
    const struct site *site;
    size_t ended, moved, not_moved, in_doubt, left;
    int worst;
};

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

// The title of the step that was at work when the run was cut off, or NULL.
static const char *last_step(const json_t *records)
{
    for (size_t i = json_array_size(records); i-- > 0;) {
        const json_t *record = json_array_get(records, i);
        if (STREQ(json_str(record, "type", ""), "step"))
            return STREQ(json_str(record, "status", ""), "start") ? json_str(record, "title", NULL) : NULL;
    }
    return NULL;
}

static void tell_begin(struct run *run, const json_t *records)
{
    const json_t *open = json_array_get(records, 0);
    const char *step = last_step(records);
    auto_free char *cut = step ? xasprintf(", cut off during '%s'", step) : xstrdup("");
    auto_free char *what = run->source && run->dest
                               ? xasprintf(
                                     "%s from %s to %s",
                                     json_str(run->instance, "title", json_str(run->instance, "name", "?")),
                                     run_host_name(run->source), run_host_name(run->dest))
                               : xstrdup(json_str(run->instance, "name", "no instance"));
    auto_free char *sentence = xasprintf("Recovering run %s: %s, by %s (%s%s)", run->id, what,
                                         json_str(open, "policy", "?"), json_str(open, "by", "?"), cut);
    run_emit(run, "begin",
             json_pack("{s:O?, s:O?, s:O?, s:O?, s:O?, s:b, s:b, s:f, s:I, s:o}", "instance",
                       json_object_get(run->instance, "name"), "uuid", json_object_get(run->instance, "uuid"),
                       "source", json_object_get(open, "source"), "dest", json_object_get(open, "dest"),
                       "policy", json_object_get(open, "policy"), "preview", run->options->preview,
                       "recovers", 1, "memory", json_num(run->instance, "memory", 0), "vcpus",
                       (json_int_t)json_int(run->instance, "vcpus", 0), "sentence", json_text(sentence)));
}

// A run whose hosts cannot be asked stays as it is.
static int stay(struct run *run, const struct error *err)
{
    if (err->domain == ERR_INTERRUPTED)
        return verdict_tell(run, OUTCOME_INTERRUPTED, "in_doubt", NULL,
                            "Interrupted: run %s is as unfinished as before.", run->id);
    return verdict_tell(run, OUTCOME_IN_DOUBT, "in_doubt", NULL, "In doubt: run %s cannot be ended now: %s",
                        run->id, err->message);
}

// Why the run stopped: by its last verdict that has a cause, and else nobody knows more than that it did.
static const char *cause_of(const json_t *records)
{
    for (size_t i = json_array_size(records); i-- > 0;) {
        const json_t *record = json_array_get(records, i), *detail;
        size_t n;
        if (!STREQ(json_str(record, "type", ""), "verdict"))
            continue;
        json_array_foreach(json_object_get(record, "details"), n, detail)
            if (STREQ(json_str(detail, "label", ""), "Cause"))
                return json_str(detail, "text", "?");
        return "the run was interrupted";
    }
    return "the run was cut off: it was killed, or its machine or its connections went down";
}

// Whether a migration was asked for: also to a host that only Nova knows.
static bool has_migrated(const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records); i++)
        if (STREQ(json_str(json_object_get(json_array_get(records, i), "effect"), "kind", ""),
                  "nova.live_migrate"))
            return true;
    return false;
}

// A policy that this migrun does not understand any more has no fix-ups; what was changed can be undone all
// the same.
static const struct procedure *bare_procedure(const json_t *records, struct procedure *bare)
{
    const json_t *open = json_array_get(records, 0);
    bool has_dest = json_object_get(open, "dest") != NULL;
    *bare = (struct procedure){.name = json_str(open, "policy", "?"),
                               .summary = "",
                               .text = "",
                               .takes_instance = json_is_object(json_object_get(open, "instance")),
                               .takes_host = has_dest,
                               .migrates = has_dest || has_migrated(records)};
    return bare;
}

static int end_run(struct recovery *r, const char *name, const json_t *records, struct journal *journal)
{
    const json_t *open = json_array_get(records, 0);
    struct run_options options = {.state = r->options->state,
                                  .preview = r->options->preview,
                                  .params = json_object_get(open, "params")};
    struct policy policy;
    struct procedure bare;
    struct error err = {0}, no_policy = {0};
    bool restored = policy_restore(&policy, open, &no_policy) == 0;
    struct run run = {.options = &options,
                      .site = r->site,
                      .listener = *r->listener,
                      .janitor = -1,
                      .procedure = restored ? &policy.procedure : bare_procedure(records, &bare)};
    policy.in.run = &run;
    int status;
    int opened = run_reopen(&run, records, &err);
    snprintf(run.id, sizeof run.id, "%s", name);
    run.journal = journal;
    if (journal && opened == 0) {
        auto_json json_t *line = json_pack("{s:f, s:s, s:s, s:s}", "time", wall_time(), "run", name, "type",
                                           "recover", "by", run_author());
        opened = journal_add(journal, line, true, &err);
    }
    if (opened == 0) {
        tell_begin(&run, records);
        if (!restored)
            run_message(&run, "warning",
                        "its policy is not here or not understood any more, so it has no fix-ups "
                        "(fix-ownership.lua puts a guest's files right)");
        policy_give_saved(&policy, run.saved, NULL);
        status = run_finish(&run, cause_of(records));
    } else {
        status = stay(&run, &err);
    }
    policy.in.run = NULL;
    run_close(&run);
    policy_free(&policy);
    return status;
}

// A preview locks its process in, so each run is previewed by a process of its own.
static int preview_run(struct recovery *r, const char *name, const json_t *records)
{
    int ended = 0;
    pid_t pid = spawn_copy();
    if (pid == 0)
        _exit(end_run(r, name, records, NULL));
    while (pid > 0 && waitpid(pid, &ended, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(ended) ? WEXITSTATUS(ended) : OUTCOME_IN_DOUBT;
}

static void end_one(struct recovery *r, const char *name, const json_t *records, struct journal *journal)
{
    count(r, r->options->preview ? preview_run(r, name, records) : end_run(r, name, records, journal));
}

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
static void tell_left(const struct recovery *r, const char *name, const json_t *verdict)
{
    struct run speaker = speaker_of(r);
    json_int_t status = json_int(verdict, "status", 0);
    if (status == OUTCOME_NOT_RESTORED || status == OUTCOME_IN_DOUBT)
        run_message(&speaker, "warning",
                    "run %s has ended, but left something (%s): migrun recover %s tries again", name,
                    json_str(verdict, "line", "?"), name);
}

// Ends one run, when there is something to end.
static int recover_one(struct recovery *r, const char *name, bool named, struct error *err)
{
    auto_json json_t *records = NULL;
    struct journal *journal = NULL;
    struct error failure;
    if (journal_read(r->options->state, name, &records, &failure) < 0) {
        if (!named && failure.domain == ERR_SYSTEM && failure.code == EILSEQ)
            return 0; // it was cut off before anything was changed
        *err = failure;
        return -1;
    }
    if (!named && journal_verdict(records)) {
        tell_left(r, name, journal_verdict(records));
        return 0;
    }
    if (!r->options->preview && journal_resume(r->options->state, name, &journal, &failure) < 0) {
        if (!named && failure.domain == ERR_REFUSED)
            return 0; // it still goes on
        *err = failure;
        return -1;
    }
    end_one(r, name, records, journal);
    return 0;
}

// ---- a controller that is gone for good: what a host keeps takes the journal's place ----

static int add_notes(struct run *scout, const char *host, const char *run, json_t *records, struct error *err)
{
    struct run_host *h;
    size_t open = scout->n_hosts;
    if (run_start_host(scout, host, false, &h, err) < 0 ||
        (scout->n_hosts > open && host_finish(h->agent, deadline_in(20000), err) < 0))
        return -1;
    auto_message struct message answer = {0};
    if (host_call(h->agent, "notes", json_pack("{s:s}", "run", run), NULL, 0, 0, &answer, err) < 0)
        return -1;
    const char *number;
    json_t *effect;
    json_object_foreach(json_object_get(json_object_get(answer.head, "result"), "notes"), number, effect)
        json_array_append_new(records, json_pack("{s:s, s:s, s:i, s:O}", "type", "about", "run", run,
                                                 "number", atoi(number), "effect", effect));
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t one = json_int(*(json_t *const *)a, "number", 0),
            other = json_int(*(json_t *const *)b, "number", 0);
    return one < other ? -1 : one > other;
}

// A journal's records from a claim and the notes of the hosts that it names.
static int records_of(struct run *scout, const char *host, const json_t *claim, json_t **result,
                      struct error *err)
{
    const char *run = json_str(claim, "run", ""),
               *names[] = {host, json_str(claim, "source", NULL), json_str(claim, "dest", NULL)};
    auto_json json_t *notes = json_array(), *hosts = json_array();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!names[i] || (i > 0 && STREQ(names[i], host)))
            continue;
        json_array_append_new(hosts, json_string(names[i]));
        if (add_notes(scout, names[i], run, notes, err) < 0)
            return -1;
    }
    size_t count = json_array_size(notes);
    auto_free json_t **sorted = xcalloc(count + 1, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(notes, i);
    qsort(sorted, count, sizeof *sorted, compare_numbers);
    json_t *open = json_pack("{s:s, s:s, s:O, s:O, s:s, s:{s:O, s:O}, s:O}", "type", "open", "run", run,
                             "time", json_object_get(claim, "since"), "by", json_object_get(claim, "by"),
                             "policy", "a policy that is not here", "instance", "name",
                             json_object_get(claim, "name"), "uuid", json_object_get(claim, "instance"),
                             "hosts", hosts);
    for (size_t i = 1; i < COUNT_OF(names); i++)
        if (names[i])
            json_object_set_new(open, i == 1 ? "source" : "dest", json_string(names[i]));
    *result = json_pack("[o]", open);
    for (size_t i = 0; i < count; i++)
        json_array_append(*result, sorted[i]);
    return 0;
}

static int recover_host(struct recovery *r, struct error *err)
{
    struct run_options options = {.state = r->options->state, .preview = r->options->preview};
    struct run scout = {.options = &options, .site = r->site, .listener = *r->listener, .janitor = -1};
    struct run_host *h;
    auto_message struct message answer = {0};
    auto_json json_t *all = json_array();
    int rc = run_prepare(&scout, err) < 0 || run_start_host(&scout, r->options->host, false, &h, err) < 0 ||
                     host_finish(h->agent, deadline_in(20000), err) < 0 ||
                     host_call(h->agent, "claims", NULL, NULL, 0, 0, &answer, err) < 0
                 ? -1
                 : 0;
    size_t i;
    json_t *claim, *records;
    json_array_foreach(json_object_get(json_object_get(answer.head, "result"), "claims"), i, claim) {
        struct error none;
        if (rc == 0 && journal_read(options.state, json_str(claim, "run", ""), &records, &none) == 0) {
            json_decref(records); // it has its journal here, which tells more
            run_message(&scout, "warning", "run %s is this controller's own: migrun recover %s",
                        json_str(claim, "run", ""), json_str(claim, "run", ""));
        } else if (rc == 0 && (rc = records_of(&scout, r->options->host, claim, &records, err)) == 0) {
            json_array_append_new(all, records);
        }
    }
    run_close(&scout);
    json_array_foreach(all, i, records)
        if (rc == 0)
            end_one(r, json_str(json_array_get(records, 0), "run", ""), records, NULL);
    return rc;
}

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

int migrun_lua_recover(const struct recover_options *options, const struct listener *listener,
                       struct error *err)
{
    struct site *site = NULL;
    auto_json json_t *names = NULL;
    struct recovery r = {.options = options, .listener = listener};
    if (site_load(options->site, &site, err) < 0 ||
        (!options->n_runs && !options->host && journal_runs(options->state, &names, err) < 0)) {
        site_free(site);
        return -1;
    }
    r.site = site;
    int rc = options->host ? recover_host(&r, err) : 0;
    for (size_t i = 0; rc == 0 && i < options->n_runs; i++)
        rc = recover_one(&r, options->runs[i], true, err);
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
        if (rc == 0 && interrupt_count == 0)
            rc = recover_one(&r, json_string_value(name), false, err);
    site_free(site);
    if (rc < 0)
        return -1;
    tell_end(&r);
    return r.worst;
}
