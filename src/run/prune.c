// SPDX-License-Identifier: MIT
#include "run/prune.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "run/hosts.h"
#include "run/journal.h"
#include "run/open.h"

#include <string.h>

// ---- which ----

// What such a run left, and its verdict's advice, still count.
static bool left_something(const json_t *verdict)
{
    int64_t status = json_int(verdict, "status", 0);
    return status == OUTCOME_MOVED_BUT || status == OUTCOME_IN_DOUBT || status == OUTCOME_NOT_RESTORED;
}

static void tell_kept(const struct listener *listener, const char *name)
{
    static const struct run_options options = {.preview = true}; // its events have no run
    struct run speaker = {.options = &options, .listener = *listener};
    run_message(&speaker, "info",
                "Run %s is kept: it left something to be done (migrun show %s; migrun history --prune %s "
                "forgets it all the same)",
                name, name, name);
}

int prune_by_age(const char *state, double age, const struct listener *listener, json_t **names,
                 struct error *err)
{
    auto_json json_t *all = NULL, *chosen = json_array();
    if (journal_runs(state, &all, err) < 0)
        return -1;
    size_t i;
    json_t *name;
    json_array_foreach(all, i, name) {
        struct story auto_story story = {0};
        if (journal_read(state, json_string_value(name), &story, NULL) < 0)
            continue;
        const json_t *verdict = story.verdict;
        if (!verdict || wall_time() - json_num(verdict, "time", wall_time()) < age)
            continue;
        if (left_something(verdict))
            tell_kept(listener, json_string_value(name));
        else
            json_array_append(chosen, name);
    }
    *names = steal(&chosen);
    return 0;
}

int prune_by_name(const char *state, const char *const *runs, size_t n_runs, json_t **names,
                  struct error *err)
{
    auto_json json_t *chosen = json_array();
    for (size_t i = 0; i < n_runs; i++) {
        struct story auto_story story = {0};
        if (journal_read(state, runs[i], &story, err) < 0)
            return -1;
        if (!story.verdict)
            return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                             "run %s is unfinished: migrun recover %s must end it first", runs[i], runs[i]);
        json_array_append_new(chosen, json_string(runs[i]));
    }
    *names = steal(&chosen);
    return 0;
}

// ---- forgetting ----

// The hosts that each run changed something on, and that may keep something of it: {run: {host: true}}.
static json_t *hosts_of_runs(const char *state, const json_t *names)
{
    json_t *all = json_object(), *name, *host;
    size_t i, n;
    json_array_foreach((json_t *)(uintptr_t)names, i, name) {
        struct story auto_story story = {0};
        auto_json json_t *hosts = json_object();
        if (journal_read(state, json_string_value(name), &story, NULL) < 0)
            continue;
        json_array_foreach(story.hosts, n, host)
            json_object_set_new(hosts, json_string_value(host), json_true());
        json_object_set(all, json_string_value(name), hosts);
    }
    return all;
}

static int forget_on(struct run *run, const char *host, const char *name, const json_t *away,
                     struct error *err)
{
    auto_message struct message answer = {0};
    struct run_host *h = run_find_host(run, host);
    if (!h)
        return error_set(err, ERR_HOST, 0, "%s", json_str(away, host, "its host is not connected"));
    return host_call(h->agent, "forget", json_pack("{s:s}", "run", name), NULL, 0, 0, &answer, err);
}

static int forget(struct run *run, const char *name, const json_t *hosts, const json_t *away,
                  struct error *err)
{
    const char *host;
    json_t *unused;
    json_object_foreach((json_t *)(uintptr_t)hosts, host, unused)
        if (forget_on(run, host, name, away, err) < 0)
            return -1;
    return journal_remove(run->options->state, name, err);
}

static int forget_all(struct run *run, const json_t *runs, size_t *pruned, size_t *kept, struct error *err)
{
    auto_json json_t *together = json_object(), *away = json_object();
    const char *name;
    json_t *hosts;
    json_object_foreach((json_t *)(uintptr_t)runs, name, hosts)
        json_object_update(together, hosts);
    if (run_meet(run, together, away, err) < 0)
        return -1;
    json_object_foreach((json_t *)(uintptr_t)runs, name, hosts) {
        struct error failure = {0};
        if (interrupt_count > 0)
            return error_set(err, ERR_INTERRUPTED, 0, "interrupted: %zu runs were forgotten", *pruned);
        bool done = forget(run, name, hosts, away, &failure) == 0;
        *pruned += done;
        *kept += !done;
        if (!done)
            run_message(run, "warning", "run %s is kept: %s", name, failure.message);
    }
    return 0;
}

int prune_runs(const struct site *site, const char *state, const json_t *names,
               const struct listener *listener, size_t *pruned, size_t *kept, struct error *err)
{
    struct run_options options = {.state = state};
    struct run run = {.options = &options, .site = site, .listener = *listener, .janitor = -1};
    auto_json json_t *runs = hosts_of_runs(state, names);
    int rc = run_prepare(&run, err) < 0 ? -1 : forget_all(&run, runs, pruned, kept, err);
    run_close(&run);
    return rc;
}
