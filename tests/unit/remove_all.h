// SPDX-License-Identifier: MIT
// A test's folder, with all that is in it, is gone. -1 with errno: not all of it.
#ifndef MIGRUN_TESTS_REMOVE_ALL_H
#define MIGRUN_TESTS_REMOVE_ALL_H

#include <ftw.h>
#include <stdio.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int remove_all(const char *path) { return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

#endif
