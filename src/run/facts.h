// SPDX-License-Identifier: MIT
// The facts of a run's hosts (world/agent/ops.h), with libvirt's and the storage of the guest's files.
#ifndef MIGRUN_RUN_FACTS_H
#define MIGRUN_RUN_FACTS_H

#include "run/run.h"

// Asks a host's agent for its facts, and takes them (once) when it has answered: so several answer at once.
int facts_ask(struct run_host *h, struct error *err);
int facts_take(struct run_host *h, struct error *err);
// All facts of all hosts, side by side; their agents have been asked.
int run_gather_facts(struct run *run, struct error *err);
// The same of the spares, side by side; one that cannot be asked is away, and no spare any more.
int run_gather_spares(struct run *run, struct error *err);
// All facts of a host that came later. Its libvirtd has been asked.
int facts_of_one(struct run_host *h, struct error *err);
// Adds to the run's instance what its source knows of its QEMU: pid, user, the files that it holds open.
void facts_add_process(struct run *run);

#endif
