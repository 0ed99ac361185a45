// SPDX-License-Identifier: MIT
// The connections of a run to its hosts.
#ifndef MIGRUN_RUN_HOSTS_H
#define MIGRUN_RUN_HOSTS_H

#include "run/run.h"

// Makes the run's private folder for sockets; a process that outlives this one removes it.
int run_make_folder(struct run *run, struct error *err);
// Begins to connect to a host (or finds it among the open ones). started may be NULL.
int run_start_host(struct run *run, const char *name, bool local, struct run_host **started,
                   struct error *err);
// Waits for the agents that were started, locks a preview in, connects to the libvirtds. A host that the run
// can do without may be away (run->away says why).
int run_connect(struct run *run, struct error *err);
// Connects to the agents of hosts (an object's keys), side by side: all are waited for once. A host that
// cannot be reached gets its sentence in away (an object); -1 when it was interrupted.
int run_meet(struct run *run, const json_t *hosts, json_t *away, struct error *err);
// The one of that name that is open, or NULL.
struct run_host *run_find_host(const struct run *run, const char *name);
// Connects to one host while the run goes on, and gathers its facts.
int run_join_host(struct run *run, const char *name, struct run_host **joined, struct error *err);
// Closes the connections to one host, by its place among the run's; to all.
void run_drop_host(struct run *run, size_t i);
// Puts one of the run's hosts among its spares, behind those that are there.
void run_spare_host(struct run *run, size_t i);
void run_drop_spare(struct run *run, size_t i);
void run_drop_spares(struct run *run);
void run_leave_hosts(struct run *run);

#endif
