// SPDX-License-Identifier: MIT
// Whether other users could have put there what is at a path, as ssh's StrictModes asks of its files.
#ifndef MIGRUN_BASE_TRUST_H
#define MIGRUN_BASE_TRUST_H

#include "base/error.h"

// Every part of a path, and of where links on it lead, belongs to root or this user, and nobody else may
// exchange it: it is not writable by others, or it is sticky as /tmp is. Parts that are not there yet pass.
// -1: ERR_REFUSED, REFUSED_OTHER, with the part.
int check_way(const char *path, struct error *err);

#endif
