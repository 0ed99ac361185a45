// SPDX-License-Identifier: MIT
// Why a migration failed, by lua/migrun/diagnose.lua: it says which lines of which logs it wants to see, is
// given them, and ends with an answer.
#ifndef MIGRUN_LUA_DIAGNOSIS_H
#define MIGRUN_LUA_DIAGNOSIS_H

#include "lua/interp.h"

struct diagnosis {
    struct interp in;
    int state; // in Lua's registry
};
// request: {subject, offline, folders, hosts, since, until, ahead, places, facts, told} (diagnose.begin).
// *next is a question {query} of all hosts, or {queries: {host: query}} (world/logs/search.h), or {answer}.
// catalogue: a site's own, or NULL: /etc/migrun/catalogue.lua where there is one. ERR_SITE: a mistake in it.
int diagnosis_begin(struct diagnosis *d, const char *catalogue, const json_t *request, json_t **next,
                    struct error *err);
// answers: {host: what it found, or {error: text}}.
int diagnosis_take(struct diagnosis *d, const json_t *answers, json_t **next, struct error *err);
void diagnosis_end(struct diagnosis *d);

#endif
