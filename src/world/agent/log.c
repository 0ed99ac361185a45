// SPDX-License-Identifier: MIT
// Logs of the host, piece by piece.
#include "world/agent/ops_internal.h"

#include "base/clock.h"
#include "world/logs/search.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEASURE_MS = 20000 }; // migrun waits for 30 s

static int64_t count_lines(const char *text, size_t len)
{
    int64_t n = 0;
    for (const char *p = text; (p = memchr(p, '\n', len - (size_t)(p - text))); p++)
        n++;
    return n;
}

// How far the file reaches, and in how many lines, of which a hole has none. It may be larger than anybody
// waits for.
static int measure(int fd, int client, int64_t *size, int64_t *lines)
{
    auto_free char *chunk = xmalloc(WIRE_LOG_MOST);
    struct pollfd gone = {.fd = client};
    int64_t deadline = deadline_in(MEASURE_MS);
    for (*size = *lines = 0;;) {
        off_t data = lseek(fd, (off_t)*size, SEEK_DATA);
        if (data < 0 && errno == ENXIO) { // a hole to the end
            off_t end = lseek(fd, 0, SEEK_END);
            *size = end > *size ? end : *size;
            return 0;
        }
        if (data > *size)
            *size = data;
        ssize_t n = pread(fd, chunk, WIRE_LOG_MOST, (off_t)*size);
        if (n <= 0)
            return (int)n;
        *lines += count_lines(chunk, (size_t)n);
        *size += n;
        if (now_ms() >= deadline || poll(&gone, 1, 0) > 0) {
            errno = EFBIG;
            return -1;
        }
    }
}

// At most WIRE_LOG_MOST bytes from offset; what does not end the file ends with a line, so that the next
// piece begins with one.
static int piece(int fd, int64_t offset, struct buf *body)
{
    auto_free char *chunk = xmalloc(WIRE_LOG_MOST);
    ssize_t n;
    while (body->len < WIRE_LOG_MOST &&
           (n = pread(fd, chunk, WIRE_LOG_MOST - body->len, offset + (int64_t)body->len)) != 0) {
        if (n < 0)
            return -1;
        buf_add(body, chunk, (size_t)n);
    }
    const char *last = body->len == WIRE_LOG_MOST ? memrchr(body->data, '\n', body->len) : NULL;
    if (last)
        body->len = (size_t)(last + 1 - body->data);
    return 0;
}

// size and lines of one answer are offset and line of the next question: they tell how far it was read.
SERVE(serve_log)
{
    struct stat st;
    int64_t offset = json_int(request, "offset", -1), before = json_int(request, "line", 0), size, lines;
    auto_free char *shown = NULL;
    auto_fd int fd = file_open(request, &shown, &st, err);
    if (fd < 0)
        return -1;
    if (offset > st.st_size) // a new log in the old one's place
        offset = before = 0;
    if (offset < 0 ? measure(fd, agent->stdin_fd, &size, &lines) < 0 : piece(fd, offset, result_body) < 0)
        return error_errno(err, errno, "cannot read %s", shown);
    if (offset >= 0) {
        size = offset + (int64_t)result_body->len;
        lines = before + (result_body->len ? count_lines(result_body->data, result_body->len) : 0);
    }
    *result = json_pack("{s:I, s:I, s:I}", "size", (json_int_t)size, "lines", (json_int_t)lines, "inode",
                        (json_int_t)st.st_ino);
    if (offset >= 0)
        json_object_set_new(*result, "line", json_integer((json_int_t)before + 1));
    return 0;
}

SERVE(serve_search)
{
    const struct search_way way = {.root = "", .client_fd = agent->stdin_fd};
    return search_logs(&way, request, result, err);
}

SERVE(serve_count)
{
    const struct search_way way = {.root = "", .client_fd = agent->stdin_fd};
    return search_count(&way, request, result, err);
}
