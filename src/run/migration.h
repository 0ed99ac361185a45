// SPDX-License-Identifier: MIT
// What the two ways of migrating share, by libvirt (change_migrate.c) and by Nova (change_nova.c).
#ifndef MIGRUN_RUN_MIGRATION_H
#define MIGRUN_RUN_MIGRATION_H

#include "run/gate.h"

// Refuses a migration that this run may not begin now. what: for the sentence; dest NULL: where Nova's
// scheduler likes.
int migration_open(struct run *run, const struct run_host *dest, const char *what, struct error *err);
// How long it may take, in seconds: options.timeout, else by the guest's memory. ERR_POLICY where the option
// is not a duration.
int migration_timeout(const struct run *run, const json_t *options, double *seconds, struct error *err);
// The source keeps a note of it as of every change, for a recovery without this controller.
int migration_note(const struct effect *e, struct error *err);
// In post-copy the guest runs at the destination already, and its memory follows: there is no way back, and
// an abort would break it (libvirt refuses one). *known: libvirt has told which of the two it is.
bool migration_in_post_copy(struct run *run, bool *known);
// Post-copy broke, seconds ago: libvirt's own call may wait for an end that does not come.
bool migration_is_broken(struct run *run);
// libvirt's job as progress.
void migration_tell_progress(struct run *run, const json_t *job, bool last);
// After it, in e->result: {seconds, downtime, total}. started: wall_time().
void migration_take_result(struct effect *e, double started);
// Why it is stopped: an interrupt, or its timeout (seconds).
void migration_stopped(double timeout, struct error *why);
// Says so ("Stopping: …"): as the answer to an interrupt, where it was one.
void migration_tell_stopping(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
