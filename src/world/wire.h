// SPDX-License-Identifier: MIT
// The protocol of migrun and migrun-agent on the agent's stdin and stdout.
//
// The agent first sends one line, "migrun-agent VERSION PROTOCOL\n" (what a login shell printed before is
// skipped). Then messages, both ways: two unsigned 32-bit big-endian lengths, a JSON object of the first
// length, and bytes of the second (a file's contents need no encoding). The agent's first message is
// {"hello":{read_only, root, hostname, missing}}. Requests {"id":N,"op":"…",…} are answered in order by
// {"id":N,"result":…} or
// {"id":N,"error":{"domain":"…","code":N,"message":"…"}}. A message without an id ({"op":"ping"}) gets no
// answer. The agent ends when its stdin ends, or when nothing came for WIRE_SILENCE_MS (migrun pings
// meanwhile).
#ifndef MIGRUN_WORLD_WIRE_H
#define MIGRUN_WORLD_WIRE_H

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

#define WIRE_PROTOCOL 1
#define WIRE_HEAD_MAX (16u << 20)
#define WIRE_BODY_MAX (256u << 20)
#define WIRE_LOG_MOST (1u << 20)     // bytes of a log in one answer
#define WIRE_OUTPUT_MOST (16u << 20) // of a command's output
#define WIRE_PING_MS 2000
#define WIRE_SILENCE_MS 15000
#define KEEP_DIR \
    "/var/lib/migrun/kept" // where a host keeps the originals of what was changed there (agent/ops.h)
#define KEEP_DIR_OF_USER "~/.local/state/migrun/kept" // where an agent that is not root keeps them
#define CLAIM_DIR "/var/lib/migrun/claims"            // and the claims of the runs that change it

struct message {
    json_t *head;
    char *body;
    size_t body_len;
}; // body is NUL-terminated past body_len
void message_free(struct message *m);
#define auto_message cleanup(message_free)

// Whole message to fd. -1: ERR_SYSTEM with errno; EMSGSIZE: it is too large, and nothing was sent.
int wire_send(int fd, const json_t *head, const void *body, size_t body_len, struct error *err);
// The bytes of a message up to its body, for a caller that sends them itself. -1: ERR_SYSTEM EMSGSIZE.
int wire_frame(const json_t *head, size_t body_len, struct buf *frame, struct error *err);
// How large a message may be: bytes of JSON, and of contents.
struct wire_bounds {
    size_t head, body;
};
// Bytes that arrived, cut into messages: feed what was read, take messages until it returns 0. A message that
// is larger than its bounds (NULL: WIRE_HEAD_MAX, WIRE_BODY_MAX) is refused as soon as it says so.
struct wire_reader {
    struct buf pending;
    size_t used;
    const struct wire_bounds *bounds;
};
void wire_feed(struct wire_reader *r, const void *bytes, size_t len);
// 1: a message was taken; 0: more bytes are needed; -1: not a message, or too large a one (ERR_HOST).
int wire_take(struct wire_reader *r, struct message *m, struct error *err);
void wire_reader_free(struct wire_reader *r);
json_t *wire_error(const struct error *err);                                   // struct error as JSON
void wire_error_from(const json_t *json, const char *host, struct error *err); // and back; source = host

#endif
