// SPDX-License-Identifier: MIT
// What the fuzzers share: a condition that holds whatever comes, and a folder of one's own.
#ifndef MIGRUN_FUZZ_H
#define MIGRUN_FUZZ_H

#include "base/memory.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The fuzzer keeps the input of a process that aborts.
#define HOLDS(condition)   \
    ((condition) ? (void)0 \
                 : (fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition), abort()))

// In TMPDIR, which tests/fuzz/run makes and removes.
static inline char *own_folder(void)
{
    const char *above = getenv("TMPDIR");
    char *path = xasprintf("%s/migrun-fuzz-XXXXXX", above ? above : "/tmp");
    HOLDS(mkdtemp(path));
    return path;
}

#endif
