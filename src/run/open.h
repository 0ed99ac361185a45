// SPDX-License-Identifier: MIT
// The parts of opening a run that a recovery shares.
#ifndef MIGRUN_RUN_OPEN_H
#define MIGRUN_RUN_OPEN_H

#include "run/run.h"

// What every run has; its private folder.
int run_prepare(struct run *run, struct error *err);
// Begins to connect to a host (or finds it among the open ones). started may be NULL.
int run_start_host(struct run *run, const char *name, bool local, struct run_host **started,
                   struct error *err);
// Waits for the agents that were started, locks a preview in, connects to the libvirtds. A host that the run
// can do without may be away.
int run_connect(struct run *run, struct buf *away, struct error *err);
// The same for one host while the run goes on; its facts, too, and the run's claim.
int run_join_host(struct run *run, const char *name, struct run_host **joined, struct error *err);
int run_gather_facts(struct run *run, struct error *err);

#endif
