// SPDX-License-Identifier: MIT
// Why a migration failed, by lua/migrun/diagnose/inquire.lua: it says which lines of which logs it wants to
// see, is given them, and ends with an answer.
#ifndef MIGRUN_LUA_DIAGNOSIS_H
#define MIGRUN_LUA_DIAGNOSIS_H

#include "lua/interp.h"
#include "run/inquiry.h"

// Puts a site's own catalogue (path, or NULL: /etc/migrun/catalogue.lua where there is one) before migrun's,
// for what an interpreter explains. ERR_SITE: a mistake in it.
int diagnosis_catalogue(struct interp *in, const char *path, struct error *err);

// request: {subject, offline, folders, hosts, since, until, ahead, places, facts, told, now}; answer: {kind,
// cause, remedy, evidence, story, not_read, known, …} (inquire.begin and .conclude). catalogue: a site's
// own, or NULL: /etc/migrun/catalogue.lua where there is one; a mistake in it is ERR_SITE.
// read: NULL, or what the hosts answered last: {host: {lines, files}}.
int diagnosis_make(const char *catalogue, struct inquiry *inquiry, const json_t *request, json_t **answer,
                   json_t **read, struct error *err);

// Which hosts could take the guest: answer's need, and {host: facts}. An array of texts, or NULL.
json_t *diagnosis_fits(const json_t *need, const json_t *facts);

#endif
