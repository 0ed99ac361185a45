// SPDX-License-Identifier: MIT
// Places where a test can make migrun fail or die (MIGRUN_FAULT, see fault.c). Release builds contain none.
#ifndef MIGRUN_BASE_FAULT_H
#define MIGRUN_BASE_FAULT_H

#include "base/error.h"

#ifdef MIGRUN_FAULTS
int fault_point(const char *what, struct error *err);
#else
static inline int fault_point(const char *what, struct error *err)
{
    (void)what;
    (void)err;
    return 0;
}
#endif

#endif
