// SPDX-License-Identifier: MIT
// Forgets finished runs: their journals here, and the originals and notes on their hosts.
#include "base/clock.h"
#include "base/interrupt.h"
#include "lua/lua.h"
#include "lua/policy.h"
#include "run/journal.h"
#include "run/open.h"

#include <string.h>

// The hosts that a run changed something on keep something of it: those that it had, and those of its
// changes.
static json_t *hosts_of(const json_t *records)
{
    json_t *hosts = json_object(), *entry;
    size_t i;
    json_array_foreach(json_object_get(json_array_get(records, 0), "hosts"), i, entry)
        json_object_set_new(hosts, json_string_value(entry), json_true());
    json_array_foreach((json_t *)(uintptr_t)records, i, entry)
        if (json_str(json_object_get(entry, "effect"), "host", NULL))
            json_object_set_new(hosts, json_str(json_object_get(entry, "effect"), "host", NULL), json_true());
    return hosts;
}

static int forget_on_hosts(struct run *run, const char *name, const json_t *records, struct error *err)
{
    auto_json json_t *hosts = hosts_of(records);
    const char *host;
    json_t *unused;
    json_object_foreach(hosts, host, unused) {
        struct run_host *h;
        size_t open = run->n_hosts;
        if (run_start_host(run, host, false, &h, err) < 0 ||
            (run->n_hosts > open && host_finish(h->agent, deadline_in(20000), err) < 0))
            return -1;
        auto_message struct message answer = {0};
        if (host_call(h->agent, "forget", json_pack("{s:s}", "run", name), NULL, 0, 0, &answer, err) < 0)
            return -1;
    }
    return 0;
}

// What such a run left, and its verdict's advice, still count: it is forgotten by nobody but its operator.
static bool left_something(const json_t *verdict)
{
    int64_t status = json_int(verdict, "status", 0);
    return status == OUTCOME_MOVED_BUT || status == OUTCOME_IN_DOUBT || status == OUTCOME_NOT_RESTORED;
}

// 1: forgotten, 0: it is to stay, -1: it could not be.
static int prune_one(struct run *run, const char *state, const char *name, double age, struct error *err)
{
    auto_json json_t *records = NULL;
    if (journal_read(state, name, &records, err) < 0)
        return 0;
    const json_t *verdict = journal_verdict(records);
    if (!verdict || wall_time() - json_num(verdict, "time", wall_time()) < age)
        return 0;
    if (left_something(verdict)) {
        run_message(run, "info", "Run %s is kept: it left something to be done (migrun show %s)", name, name);
        return 0;
    }
    if (forget_on_hosts(run, name, records, err) < 0 || journal_remove(state, name, err) < 0)
        return -1;
    return 1;
}

int migrun_lua_prune(const char *site_path, const char *state, double age, const struct listener *listener,
                     size_t *pruned, size_t *kept, struct error *err)
{
    auto_json json_t *names = NULL;
    struct site *site;
    if (site_load(site_path, &site, err) < 0)
        return -1;
    struct run_options options = {.state = state};
    struct run run = {.options = &options, .site = site, .listener = *listener, .janitor = -1};
    int rc = journal_runs(state, &names, err) < 0 || run_prepare(&run, err) < 0 ? -1 : 0;
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name) {
        if (rc < 0 || interrupt_count > 0)
            break;
        struct error failure = {0};
        int done = prune_one(&run, state, json_string_value(name), age, &failure);
        *pruned += done > 0;
        *kept += done < 0;
        if (done < 0)
            run_message(&run, "warning", "run %s is kept: %s", json_string_value(name), failure.message);
    }
    run_close(&run);
    site_free(site);
    return rc;
}
