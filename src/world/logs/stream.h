// SPDX-License-Identifier: MIT
// The bytes of a log: of a plain file, or what a program makes of one (gzip, zstd, xz, bzip2), or tells
// (journalctl).
#ifndef MIGRUN_WORLD_LOGS_STREAM_H
#define MIGRUN_WORLD_LOGS_STREAM_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct stream {
    int fd;
    pid_t pid;     // the program's, or 0
    int64_t size;  // of a plain file, else -1
    bool is_plain; // it can be read from any place
};
// A regular file, by its name's end. ERR_SYSTEM with errno where it cannot be opened.
int stream_open(const char *path, struct stream *stream, struct error *err);
int stream_program(const char *const *argv, int in, struct stream *stream, struct error *err);
// Ends the program. -1: it had failed by itself (err: why).
int stream_close(struct stream *stream, struct error *err);
// The length of a path without what a compressed file's name ends with.
size_t stream_plain_length(const char *path);

#endif
