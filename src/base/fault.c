// SPDX-License-Identifier: MIT
// Test builds only: MIGRUN_FAULT="N:fail" lets the N-th point that is passed fail, "N:kill" has migrun killed
// there, "N:stop" stops it, so that a test can interfere and then resume it; with MIGRUN_FAULT_LOG=FILE each
// point that is passed is logged as a line.
#ifdef MIGRUN_FAULTS
#include "base/fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fault_point(const char *what, struct error *err)
{
    static long count;
    const char *wanted = getenv("MIGRUN_FAULT"), *log = getenv("MIGRUN_FAULT_LOG");
    count++;
    FILE *file = log ? fopen(log, "a") : NULL;
    if (file) {
        fprintf(file, "%ld %s\n", count, what);
        fclose(file);
    }
    char *action = NULL;
    if (!wanted || strtol(wanted, &action, 10) != count)
        return 0;
    if (strcmp(action, ":kill") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(action, ":stop") == 0)
        return raise(SIGSTOP);
    return error_set(err, ERR_SYSTEM, 5, "a test's fault at %s", what);
}
#else
typedef int fault_nothing; // an empty file is none to ISO C
#endif
