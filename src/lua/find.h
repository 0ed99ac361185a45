// SPDX-License-Identifier: MIT
// Where policies are: /etc/migrun/policies, and those that came with migrun.
#ifndef MIGRUN_LUA_FIND_H
#define MIGRUN_LUA_FIND_H

#include "base/error.h"
#include "base/json.h"

// The file of a policy: a path as it is given; a bare name, with .lua or without, is looked up in the policy
// folders, and never in the current folder, which may be another user's. NULL: ERR_USAGE, with the nearest
// name. Caller frees.
char *policy_find(const char *given, struct error *err);
// The policy folders, each with the names of the files there that end in .lua, sorted: [{folder, names}].
json_t *policy_folders(void);

#endif
