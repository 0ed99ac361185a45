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

#endif
