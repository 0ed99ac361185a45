// SPDX-License-Identifier: MIT
// Which hosts can take the guest: a policy's checks, asked of several.
#ifndef MIGRUN_RUN_SURVEY_H
#define MIGRUN_RUN_SURVEY_H

#include "run/end.h"

// Asks the checks of every spare, tells an event of each (events.h: host) and the verdict; returns the exit
// status: 0 where one at least can take it.
int survey(struct run *run, struct tally *tally);
// The names of the hosts that a survey is about, in order. Caller owns them.
json_t *survey_names(const struct run *run);
// After the named host was refused: adds to the verdict which of the spares could take the guest instead.
void survey_others(struct run *run, struct tally *tally);

#endif
