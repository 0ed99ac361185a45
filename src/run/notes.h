// SPDX-License-Identifier: MIT
// What hosts keep of a run whose controller is gone for good: its claims and notes take the journal's place.
// A host's root may have written them, so they are read as what an enemy says: a host is believed about
// itself alone.
#ifndef MIGRUN_RUN_NOTES_H
#define MIGRUN_RUN_NOTES_H

#include "run/journal.h"
#include "run/run.h"

// The claims on a host, as it gives them. The run's connections are used, or made.
int notes_claims(struct run *run, const char *host, json_t **claims, struct error *err);
// The story of the run that a host's claim is of, by the notes of the hosts that the claim names.
// ERR_REFUSED, with what is wrong, where one of them cannot be believed, or read.
int notes_story(struct run *run, const char *host, const json_t *claim, struct story *story,
                struct error *err);

#endif
