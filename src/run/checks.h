// SPDX-License-Identifier: MIT
// The steps of a policy one by one, and its checks, which are all asked before anything is said of the whole.
#ifndef MIGRUN_RUN_CHECKS_H
#define MIGRUN_RUN_CHECKS_H

#include "run/end.h"

void tally_begin(struct tally *tally, const struct run *run);
void tally_free(struct tally *tally);

// Tells what became of a step (events.h); since: when it began, or 0.
void step_tell(struct run *run, size_t i, const char *status, const char *text, double since);
void step_tell_of(struct run *run, const struct step *step, size_t i, const char *status, const char *text,
                  double since);
// Runs a step: 0 done or left out, -1 failed.
int step_perform(struct run *run, size_t i, struct tally *tally, struct error *err);
// Asks all checks. before: NULL, or answers of those that are not asked again (but for those that were left
// out then). -1: a mistake of the policy or an interrupt, which ends it.
int checks_ask(struct run *run, struct tally *tally, const enum answer *before, struct error *err);

#endif
