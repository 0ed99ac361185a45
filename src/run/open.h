// SPDX-License-Identifier: MIT
// What opening a run and a recovery share.
#ifndef MIGRUN_RUN_OPEN_H
#define MIGRUN_RUN_OPEN_H

#include "run/run.h"

// What every run has; its private folder.
int run_prepare(struct run *run, struct error *err);

#endif
