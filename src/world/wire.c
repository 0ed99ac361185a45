// SPDX-License-Identifier: MIT
#include "world/wire.h"

#include "base/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void message_free(struct message *m)
{
    json_decref(m->head);
    free(m->body);
    *m = (struct message){0};
}

int wire_frame(const json_t *head, size_t body_len, struct buf *frame, struct error *err)
{
    auto_free char *text = json_dumps(head, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    if (!text || len > WIRE_HEAD_MAX || body_len > WIRE_BODY_MAX)
        return error_set(
            err, ERR_SYSTEM, EMSGSIZE,
            "%zu bytes of JSON and %zu bytes of contents are too large to be sent (at most %u and "
            "%u)",
            len, body_len, WIRE_HEAD_MAX, WIRE_BODY_MAX);
    uint32_t lengths[2] = {htonl((uint32_t)len), htonl((uint32_t)body_len)};
    buf_add(frame, lengths, sizeof lengths);
    buf_add(frame, text, len);
    return 0;
}

int wire_send(int fd, const json_t *head, const void *body, size_t body_len, struct error *err)
{
    // One write for a message without a body, so that a request is one packet.
    auto_buf struct buf frame = {0};
    if (wire_frame(head, body_len, &frame, err) < 0)
        return -1;
    if (write_all(fd, frame.data, frame.len) < 0 || (body_len && write_all(fd, body, body_len) < 0))
        return error_errno(err, errno, "sending a message");
    return 0;
}

void wire_feed(struct wire_reader *r, const void *bytes, size_t len)
{
    if (r->used) {
        memmove(r->pending.data, r->pending.data + r->used, r->pending.len - r->used);
        r->pending.len -= r->used;
        r->used = 0;
    }
    buf_add(&r->pending, bytes, len);
}

int wire_take(struct wire_reader *r, struct message *m, struct error *err)
{
    size_t there = r->pending.len - r->used;
    uint32_t lengths[2];
    *m = (struct message){0};
    if (there < sizeof lengths)
        return 0;
    const char *at = r->pending.data + r->used;
    memcpy(lengths, at, sizeof lengths);
    size_t head = ntohl(lengths[0]), body = ntohl(lengths[1]);
    const struct wire_bounds all = {WIRE_HEAD_MAX, WIRE_BODY_MAX}, *most = r->bounds ? r->bounds : &all;
    if (head < 2 || head > WIRE_HEAD_MAX || body > WIRE_BODY_MAX)
        return error_set(
            err, ERR_HOST, HOST_OTHER,
            "received something that is not a migrun message (does the login shell there print something?)");
    if (head > most->head || body > most->body)
        return error_set(
            err, ERR_HOST, HOST_OTHER,
            "received %zu bytes of JSON and %zu of contents, more than was asked for (at most %zu "
            "and %zu)",
            head, body, most->head, most->body);
    if (there < sizeof lengths + head + body)
        return 0;
    at += sizeof lengths;
    m->head = json_foreign(at, head, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(m->head)) {
        message_free(m);
        return error_set(err, ERR_HOST, HOST_OTHER,
                         "received something that is not a migrun message: its head is not a JSON object, or "
                         "is nested too deeply or has too many members");
    }
    if (body) {
        m->body = xmalloc(body + 1);
        memcpy(m->body, at + head, body);
        m->body[body] = '\0';
        m->body_len = body;
    }
    r->used += sizeof lengths + head + body;
    return 1;
}

void wire_reader_free(struct wire_reader *r)
{
    buf_free(&r->pending);
    r->used = 0;
}

json_t *wire_error(const struct error *err)
{
    return json_pack("{s:s, s:i, s:o}", "domain", error_domain_name(err->domain), "code", err->code,
                     "message", json_text(err->message));
}

void wire_error_from(const json_t *json, const char *host, struct error *err)
{
    error_set(err, error_domain_from_name(json_str(json, "domain", "")), (int)json_int(json, "code", 0),
              "%s: %s", host, json_str(json, "message", "an error without a message"));
    if (err)
        snprintf(err->source, sizeof err->source, "%s", host);
}
