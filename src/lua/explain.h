// SPDX-License-Identifier: MIT
// Why a run's migration failed, for its verdict.
#ifndef MIGRUN_LUA_EXPLAIN_H
#define MIGRUN_LUA_EXPLAIN_H

#include "lua/interp.h"

// Cause and remedy: an array of {label, text}. The logs of both QEMUs are asked first; where they do not
// know, all logs of both hosts and, of a migration by Nova, of the control nodes. NULL: nothing is to be
// said.
json_t *explain_failure(struct interp *in, const struct error *failure);

#endif
