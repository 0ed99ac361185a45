// SPDX-License-Identifier: MIT
#ifndef MIGRUN_CLI_CONFIRM_H
#define MIGRUN_CLI_CONFIRM_H

#include "base/error.h"

#include <stdbool.h>

// Asks on the terminal ("forget these 2 runs": "Forget these 2 runs? [y/N]"). yes: it was said already
// (--yes). 1 yes, 0 no; -1, ERR_USAGE, where nobody can be asked.
int confirm(const char *what, bool yes, struct error *err);

#endif
