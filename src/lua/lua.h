// SPDX-License-Identifier: MIT
// The way in: a policy, run.
#ifndef MIGRUN_LUA_LUA_H
#define MIGRUN_LUA_LUA_H

#include "run/run.h"

// Site, policy, run, verdict: all of one `migrun POLICY …`. Returns the exit status; -1 with err when the
// command line, the site or the policy has a mistake (nothing was touched, and nothing was told to the
// listener).
int migrun_lua_move(const struct run_options *options, const struct listener *listener, struct error *err);

struct recover_options {
    const char *const *runs; // names; none: every run that is unfinished
    size_t n_runs;
    const char *host; // end what this host keeps of a run whose controller is gone for good
    const char *site, *state;
    bool preview;
};
// Ends runs that were cut off. Returns the worst of their exit statuses, 0 when there was none; -1 with err
// for a mistake.
int migrun_lua_recover(const struct recover_options *options, const struct listener *listener,
                       struct error *err);

// Forgets finished runs older than age (seconds), here and on their hosts. pruned, kept (a host could not be
// asked): how many.
int migrun_lua_prune(const char *site, const char *state, double age, const struct listener *listener,
                     size_t *pruned, size_t *kept, struct error *err);

#endif
