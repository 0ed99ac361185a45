// SPDX-License-Identifier: MIT
#ifndef MIGRUN_RUN_VERDICT_H
#define MIGRUN_RUN_VERDICT_H

#include "run/run.h"

#include <stdarg.h>

// Where the guest is by its source's libvirtd, asked once: "NAME runs on HOST", or what else it says. Caller
// frees.
char *verdict_at_source(struct run *run);
// After a move: whether the source still knows the guest. text (caller frees) says how.
bool verdict_source_has_left_over(struct run *run, char **text);
void verdict_detail(json_t *details, const char *label, const char *text);
// Emits the verdict's event (events.h) and returns status. details is stolen, NULL: none.
int verdict_tell(struct run *run, enum outcome status, const char *outcome, json_t *details,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
