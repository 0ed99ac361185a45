// SPDX-License-Identifier: MIT
// A claim as it lies on a host.
#ifndef MIGRUN_RUN_CLAIM_H
#define MIGRUN_RUN_CLAIM_H

#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>

// Its texts are borrowed from its JSON.
struct claim {
    const char *run, *instance, *name, *by; // instance: a uuid, or "" (of a run without one)
    const char *source, *dest;              // names of hosts, or NULL
    double since;
    bool exclusive; // of the whole host
};
// ERR_REFUSED with what is wrong with it: a host's root may have written anything there.
int claim_read(const json_t *json, struct claim *claim, struct error *err);

#endif
