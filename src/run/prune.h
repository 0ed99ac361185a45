// SPDX-License-Identifier: MIT
// Forgets runs: their journals here, and the originals and notes on their hosts.
#ifndef MIGRUN_RUN_PRUNE_H
#define MIGRUN_RUN_PRUNE_H

#include "run/run.h"

// The runs that may be forgotten, by name (an array): those that ended at least age seconds ago and left
// nothing to be done. Those that left something are told to the listener, as kept.
int prune_by_age(const char *state, double age, const struct listener *listener, json_t **names,
                 struct error *err);
// The same of runs that are named: whatever they left. ERR_USAGE for one that is not there, ERR_REFUSED for
// one that is unfinished.
int prune_by_name(const char *state, const char *const *runs, size_t n_runs, json_t **names,
                  struct error *err);
// Forgets them. A run whose hosts cannot all be reached is kept, which the listener is told; *pruned and
// *kept are how many.
int prune_runs(const struct site *site, const char *state, const json_t *names,
               const struct listener *listener, size_t *pruned, size_t *kept, struct error *err);

#endif
