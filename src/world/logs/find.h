// SPDX-License-Identifier: MIT
// Which logs a host has.
#ifndef MIGRUN_WORLD_LOGS_FIND_H
#define MIGRUN_WORLD_LOGS_FIND_H

#include "base/json.h"

#include <sys/types.h>

struct log_file {
    char *path;   // below the root, with its '/'
    char *as;     // the same without the prefix of its name
    size_t stem;  // of path: the length of the name that it has in common with what it was rotated to
    size_t set;   // the index of its set
    double mtime; // seconds since the epoch
    double begin; // the time of its first line; NAN: not known yet, or it has none
    dev_t device;
    ino_t inode;
};
struct log_files {
    struct log_file *v;
    size_t n;
};
// Regular files below folders that a set's paths name; prefix: with which their names begin, and which is no
// part of what the paths name. Links are not followed below the folders, and neither are more than FIND_DEPTH
// folders in each other. Sorted by stem.
enum { FIND_DEPTH = 12, FIND_MOST = 20000 };
void find_logs(const char *root, const json_t *folders, const json_t *sets, const char *prefix,
               struct log_files *found);
void log_files_free(struct log_files *files);

#endif
