// SPDX-License-Identifier: MIT
// What comes over the wire: any bytes, in any pieces, are the same messages as in one piece, or none.
#include "fuzz.h"

#include "base/io.h"
#include "world/wire.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// A message that was taken can be sent, and comes as it was.
static void comes_again(const struct message *m)
{
    auto_fd int fd = memfd_create("wire", MFD_CLOEXEC);
    auto_free char *bytes = NULL;
    size_t len;
    HOLDS(fd >= 0 && wire_send(fd, m->head, m->body, m->body_len, NULL) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    HOLDS(read_whole_fd(fd, WIRE_HEAD_MAX + WIRE_BODY_MAX, &bytes, &len) == 0);
    struct wire_reader reader = {0};
    auto_message struct message again = {0};
    wire_feed(&reader, bytes, len);
    HOLDS(wire_take(&reader, &again, NULL) == 1 && reader.used == len);
    HOLDS(json_equal(m->head, again.head) && m->body_len == again.body_len);
    HOLDS(!m->body_len || memcmp(m->body, again.body, m->body_len) == 0);
    wire_reader_free(&reader);
}

static void note_message(const struct message *m, struct buf *said)
{
    auto_free char *head = json_dumps(m->head, JSON_COMPACT);
    HOLDS(json_is_object(m->head) && head && (!m->body || m->body[m->body_len] == '\0'));
    buf_printf(said, "%s %zu\n", head, m->body_len);
    buf_add(said, m->body, m->body_len);
    struct error err = {0};
    wire_error_from(m->head, "compute-1", &err);
    auto_json json_t *error = wire_error(&err);
    HOLDS(json_is_object(error));
}

// Feeds the bytes in pieces as long as the bytes of cuts say (none: in one). What was taken is added to said.
static void take_all(const uint8_t *data, size_t size, const uint8_t *cuts, size_t n_cuts, struct buf *said)
{
    struct wire_reader reader = {0};
    int taken = 0;
    for (size_t at = 0, i = 0; taken == 0 && at < size; i++) {
        size_t piece = n_cuts ? (size_t)cuts[i % n_cuts] + 1 : size;
        if (piece > size - at)
            piece = size - at;
        wire_feed(&reader, data + at, piece);
        at += piece;
        struct message m = {0};
        struct error err = {0};
        while ((taken = wire_take(&reader, &m, &err)) > 0) {
            note_message(&m, said);
            if (!n_cuts)
                comes_again(&m);
            message_free(&m);
        }
        HOLDS(!m.head && !m.body && (taken == 0 || (err.domain == ERR_HOST && *err.message)));
    }
    buf_puts(said, taken < 0 ? "no message" : "more is needed");
    wire_reader_free(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n_cuts = size ? data[0] % 8 + 1u : 0;
    if (size < 1 + n_cuts)
        return 0;
    auto_buf struct buf whole = {0}, pieces = {0};
    const uint8_t *bytes = data + 1 + n_cuts;
    size_t len = size - 1 - n_cuts;
    take_all(bytes, len, NULL, 0, &whole);
    take_all(bytes, len, data + 1, n_cuts, &pieces);
    HOLDS(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
    return 0;
}
