// SPDX-License-Identifier: MIT
// A policy's file, loaded and checked whole, as a procedure that a run performs.
#ifndef MIGRUN_LUA_POLICY_H
#define MIGRUN_LUA_POLICY_H

#include "lua/interp.h"

struct policy {
    struct interp in;
    char *path, *text;
    struct procedure procedure;
    int steps; // registry reference: the checked steps
};

// given: a file, or a name in the policy folders. params: what the command line gives. Errors: ERR_USAGE (no
// such policy, wrong parameters), ERR_POLICY (its mistakes, each with its place and line of text).
int policy_load(struct policy *policy, const char *given, const json_t *params, struct error *err);
// The policy of a journal's first line, with the modules that it had then. opening must outlive it.
int policy_restore(struct policy *policy, const json_t *opening, struct error *err);
void policy_free(struct policy *policy);

// The site file's values. path NULL: $MIGRUN_SITE, else /etc/migrun/site.lua where there is one, else the
// defaults.
struct site;
int site_load(const char *path, struct site **site, struct error *err);

#endif
