// SPDX-License-Identifier: MIT
// Whole reads and writes of file descriptors, and the digest of what was read.
#ifndef MIGRUN_BASE_IO_H
#define MIGRUN_BASE_IO_H

#include <stddef.h>

// Whole file into memory (NUL-terminated past *len). limit in bytes. -1 with errno (EFBIG over the limit).
int read_whole_fd(int fd, size_t limit, char **data, size_t *len);
int read_whole_file(const char *path, size_t limit, char **data, size_t *len);
int write_all(int fd, const void *data, size_t len); // -1 with errno
// Lower-case hex of the SHA-256 of data. out needs 65 bytes.
void sha256_hex(const void *data, size_t len, char out[65]);

#endif
