// SPDX-License-Identifier: MIT
#include "base/io.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <sys/stat.h>
#include <unistd.h>

int read_whole_fd(int fd, size_t limit, char **data, size_t *len)
{
    auto_buf struct buf b = {0};
    struct stat st;
    // The size is a hint at most: a file of sysfs says a page, one of procfs nothing, whatever they hold.
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        buf_reserve(&b, ((uint64_t)st.st_size < limit ? (size_t)st.st_size : limit) + 1);
    for (;;) {
        buf_reserve(&b, 65536);
        ssize_t n = read(fd, b.data + b.len, b.cap - b.len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        b.len += (size_t)n;
        if (b.len > limit) {
            errno = EFBIG;
            return -1;
        }
    }
    b.data[b.len] = '\0';
    *len = b.len;
    *data = buf_take(&b);
    return 0;
}

int read_whole_file(const char *path, size_t limit, char **data, size_t *len)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : read_whole_fd(fd, limit, data, len);
}

int write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

void sha256_hex(const void *data, size_t len, char out[65]) { SHA256Data(data, len, out); }
