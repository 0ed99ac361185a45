// SPDX-License-Identifier: MIT
// The agent's surgery (world/agent/surgery.c) on the fake world. What is open is a member of its host, by
// "RUN/N": {phase, unit, edits:
// [{path, expect, content}], text, at, lost}; what a real host's agent or guard does when migrun is silent is
// done when it is looked at next.
#ifndef MIGRUN_TESTS_FAKE_SURGERY_H
#define MIGRUN_TESTS_FAKE_SURGERY_H

#include "world.h"

// half: the agent dies in it.
int fake_surgery(json_t *w, const char *host, const json_t *request, const char *body, size_t len, bool half,
                 json_t **result, struct error *err);
// Whoever carried one out there is gone: its guard puts back.
void fake_surgery_guard(json_t *w, const char *host);

#endif
