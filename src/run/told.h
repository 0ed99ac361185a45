// SPDX-License-Identifier: MIT
// What is known of a migration before any log is read: by the journal of a run, or by Nova.
#ifndef MIGRUN_RUN_TOLD_H
#define MIGRUN_RUN_TOLD_H

#include "world/site.h"

// subject: a run's name, an instance's, its uuid, or a request id. *told: NULL, or {began, ended (epoch),
// source, dest, uuid, name (libvirt's), request, moved, running (Nova's word for how far it is), verdict (a
// run's line), migration (its uuid), by_nova}, each where it is known. *hosts: the names of those whose logs
// can tell of it. Without credentials of a cloud, Nova is not asked. ERR_INTERRUPTED. nova: NULL, or why Nova
// could not be asked (caller frees).
int told_of(const struct site *site, const char *state, const char *subject, json_t **told, json_t **hosts,
            char **nova, struct error *err);

// The memory of a host as Placement counts it, as a sum; NULL where no cloud can be asked. Caller frees.
char *told_memory(const char *host);

#endif
