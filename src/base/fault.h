// SPDX-License-Identifier: MIT
// Places where a test can have migrun fail or die (MIGRUN_FAULT, see fault.c). Nothing of it is in what users
// get.
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
