// SPDX-License-Identifier: MIT
// A policy's file, loaded and checked whole, as a procedure that a run performs.
#ifndef MIGRUN_LUA_POLICY_H
#define MIGRUN_LUA_POLICY_H

#include "base/text.h"
#include "lua/interp.h"
#include "run/recover.h"

struct policy {
    struct interp in;
    char *path, *text;
    size_t len; // of text
    struct procedure procedure;
    int steps;        // registry reference: the checked steps
    bool stranger;    // what the file returned is no policy at all: perhaps a module of one
    json_t *problems; // found in it: [{file, line, column, message, text: the line}]; 0: not known
};

// given: a file, or a name in the policy folders. params: what the command line gives. Errors: ERR_USAGE (no
// such policy, wrong parameters), ERR_POLICY (its mistakes, each with its place and line of text).
int policy_load(struct policy *policy, const char *given, const json_t *params, struct error *err);
// Looks through a policy without values for its parameters. about (the caller's): {summary, takes: [names],
// arguments: "INSTANCE HOST", topics: [words], params: [{name, required, type, default, help, choices, min,
// max, pattern, unit}]}. Errors: as policy_load's.
int policy_inspect(struct policy *policy, const char *given, json_t **about, struct error *err);
void policy_free(struct policy *policy);
// Adds a problem as it is told: "FILE:LINE:COLUMN: MESSAGE", its line, and a caret.
void policy_put_problem(struct buf *b, const json_t *problem);
// The policies of runs that were cut off, from their journals, with the modules that they had then.
extern const struct policies lua_policies;

// The site file's values. path NULL: $MIGRUN_SITE, else /etc/migrun/site.lua where there is one, else the
// defaults.
struct site;
int site_load(const char *path, struct site **site, struct error *err);

#endif
