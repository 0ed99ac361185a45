// SPDX-License-Identifier: MIT
#ifndef MIGRUN_RUN_VERDICT_H
#define MIGRUN_RUN_VERDICT_H

#include "run/gate.h"

#include <stdarg.h>

// Where the guest is by its source's libvirtd, asked once: "NAME runs on HOST" and as, or what else it says.
// Caller frees.
char *verdict_at_source(struct run *run, const char *as);
// After a move: whether the source still knows the guest. text (caller frees) says how.
bool verdict_source_has_left_over(struct run *run, char **text);
// What is there of a migration, for its effect. Returns 0.
int run_observe_migration(struct run *run, enum observed *seen);
// Whether the migration's time is over (or somebody stopped it): the run is to end soon, whatever hangs.
bool run_is_stopped(const struct run *run);
// While it hurries, neither libvirtd is waited for long.
void run_hurry(struct run *run, bool hurries);
// The disks that stopped the guest on a host ("vda: no space"), or NULL. Caller frees.
char *verdict_broken_disks(struct run *run, struct run_host *h);
void verdict_detail(json_t *details, const char *label, const char *text);
// Emits the verdict's event (events.h) and returns status. details is stolen, NULL: none.
int verdict_tell(struct run *run, enum outcome status, const char *outcome, json_t *details,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
