// SPDX-License-Identifier: MIT
// A fake HTTP server on loopback, for unit tests: it gives the answers it was told to, and writes down what
// it was asked.
#ifndef MIGRUN_TESTS_FAKE_HTTP_H
#define MIGRUN_TESTS_FAKE_HTTP_H

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

// What the bytes of a connection pass through, when that is not the socket alone (fake_tls.h).
struct fake_http_wire {
    void *(*open)(void *arg, int fd); // NULL: nothing comes of this connection
    ssize_t (*take)(void *line, void *data, size_t len);
    ssize_t (*give)(void *line, const void *data, size_t len);
    void (*close)(void *line);
};

// Answers: [{method, path, status, headers: {…}, body (JSON, or a text as it is), cut: bytes (the connection
// breaks then), silent: true (no answer), trickle: true (a byte in a while, without end), unframed: true (no
// length, the connection ends), raw: text (sent as it is, each character below U+0100 as one byte; then the
// connection ends)}]. The first that fits and was not given yet is given; the last that fits is given again
// and again. path "*" fits any.
enum { FAKE_HTTP_CONNECTIONS = 64 };
struct fake_http {
    json_t *answers;
    json_t *asked; // [{method, path, headers: {small: text}, body: text}]
    int listener, stop[2];
    pthread_t thread;
    char url[64];
    int connections;
    pthread_mutex_t lock;
    const struct fake_http_wire *wire; // NULL: none
    void *wire_arg;
    struct fake_http_connection {
        struct fake_http *fake;
        int fd;
        void *line;
        pthread_t thread;
    } each[FAKE_HTTP_CONNECTIONS];
};

static ssize_t fake_http_take(const struct fake_http_connection *c, void *data, size_t len)
{
    return c->fake->wire ? c->fake->wire->take(c->line, data, len) : recv(c->fd, data, len, 0);
}

static bool fake_http_put(const struct fake_http_connection *c, const void *data, size_t len)
{
    return (c->fake->wire ? c->fake->wire->give(c->line, data, len) : send(c->fd, data, len, MSG_NOSIGNAL)) ==
           (ssize_t)len;
}

static const char *fake_http_path(const char *line, char *method, char *path)
{
    return sscanf(line, "%15s %1023s", method, path) == 2 ? path : NULL;
}

static json_t *fake_http_choose(struct fake_http *f, const char *method, const char *path)
{
    json_t *chosen = NULL, *answer;
    size_t i;
    json_array_foreach(f->answers, i, answer) {
        const char *wanted = json_str(answer, "path", "*");
        if (!STREQ(json_str(answer, "method", method), method) ||
            (!STREQ(wanted, "*") && !STREQ(wanted, path)))
            continue;
        chosen = answer;
        if (!json_flag(answer, "given", false))
            break;
    }
    if (chosen)
        json_object_set_new(chosen, "given", json_true());
    return chosen;
}

// Reads one request whole. false: the connection has ended.
static bool fake_http_read(const struct fake_http_connection *c, struct buf *in, json_t **asked)
{
    char method[16], path[1024];
    const char *end;
    while (!in->data || !(end = strstr(in->data, "\r\n\r\n"))) {
        char piece[4096];
        ssize_t n = fake_http_take(c, piece, sizeof piece);
        if (n <= 0)
            return false;
        buf_add(in, piece, (size_t)n);
        if (*in->data < 'A' || *in->data > 'Z') { // TLS, where nobody speaks it
            static const char no[] = "HTTP/1.1 400 Told\r\n\r\n";
            fake_http_put(c, no, sizeof no - 1);
            return false;
        }
    }
    if (!fake_http_path(in->data, method, path))
        return false;
    json_t *headers = json_object();
    size_t length = 0, head = (size_t)(end - in->data) + 4;
    for (const char *line = strstr(in->data, "\r\n") + 2; line < end; line = strstr(line, "\r\n") + 2) {
        size_t len = strcspn(line, "\r"), name = strcspn(line, ":");
        auto_free char *key = xstrndup(line, name), *value = xstrndup(line + name + 2, len - name - 2);
        for (char *p = key; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        if (STREQ(key, "content-length"))
            length = strtoul(value, NULL, 10);
        json_object_set_new(headers, key, json_text(value));
    }
    while (in->len < head + length) {
        char piece[4096];
        ssize_t n = fake_http_take(c, piece, sizeof piece);
        if (n <= 0)
            break;
        buf_add(in, piece, (size_t)n);
    }
    auto_free char *body = xstrndup(in->data + head, in->len >= head + length ? length : 0);
    *asked = json_pack("{s:s, s:s, s:o, s:s}", "method", method, "path", path, "headers", headers, "body",
                       body);
    buf_free(in);
    *in = (struct buf){0};
    return true;
}

// UTF-8 of characters below U+0100 as a byte each.
static bool fake_http_give_raw(const struct fake_http_connection *c, const char *text)
{
    auto_buf struct buf out = {0};
    for (const char *p = text; *p; p++) {
        bool two = (*p & 0xe0) == 0xc0 && p[1];
        char byte = two ? (char)((*p & 3) << 6 | (p[1] & 0x3f)) : *p;
        p += two;
        buf_add(&out, &byte, 1);
    }
    fake_http_put(c, out.data, out.len);
    return false;
}

// A byte in a while, until the client has enough of it.
static bool fake_http_trickle(const struct fake_http_connection *c)
{
    static const char head[] = "HTTP/1.1 200 Told\r\nContent-Length: 1000000\r\n\r\n";
    for (bool taken = fake_http_put(c, head, sizeof head - 1); taken; taken = fake_http_put(c, " ", 1))
        usleep(2000);
    return false;
}

// false: the connection ends with it.
static bool fake_http_give(const struct fake_http_connection *c, const json_t *answer)
{
    if (json_str(answer, "raw", NULL))
        return fake_http_give_raw(c, json_str(answer, "raw", ""));
    const json_t *body = json_object_get(answer, "body");
    auto_free char *text = json_is_string(body)          ? xstrdup(json_string_value(body))
                           : body && !json_is_null(body) ? json_dumps(body, JSON_COMPACT)
                                                         : xstrdup("");
    auto_buf struct buf out = {0};
    bool unframed = json_flag(answer, "unframed", false);
    buf_printf(&out, "HTTP/1.1 %d Told\r\n", (int)json_int(answer, "status", 404));
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(answer, "headers"), name, value)
        if (strcasecmp(name, "content-length") != 0 && strcasecmp(name, "connection") != 0 &&
            strcasecmp(name, "transfer-encoding") != 0)
            buf_printf(&out, "%s: %s\r\n", name, json_string_value(value));
    if (!unframed)
        buf_printf(&out, "Content-Length: %zu\r\n", strlen(text));
    buf_printf(&out, "\r\n%s", text);
    size_t cut = (size_t)json_int(answer, "cut", 0), len = cut && cut < out.len ? out.len - cut : out.len;
    return fake_http_put(c, out.data, len) && !cut && !unframed;
}

static void *fake_http_connection(void *arg)
{
    struct fake_http_connection *c = arg;
    struct buf in = {0};
    json_t *asked;
    const struct fake_http_wire *wire = c->fake->wire;
    bool open = !wire || (c->line = wire->open(c->fake->wire_arg, c->fd));
    while (open && fake_http_read(c, &in, &asked)) {
        pthread_mutex_lock(&c->fake->lock);
        json_array_append_new(c->fake->asked, asked);
        const json_t *answer = fake_http_choose(c->fake, json_str(asked, "method", ""),
                                                json_str(asked, "path", ""));
        // The silent one waits until the client gives up.
        bool trickles = json_flag(answer, "trickle", false),
             goes_on = trickles || json_flag(answer, "silent", false) || fake_http_give(c, answer);
        pthread_mutex_unlock(&c->fake->lock);
        goes_on = trickles ? fake_http_trickle(c) : goes_on;
        if (!goes_on)
            break;
    }
    buf_free(&in);
    if (c->line)
        wire->close(c->line);
    close(c->fd);
    return NULL;
}

static void *fake_http_serve(void *arg)
{
    struct fake_http *f = arg;
    for (int fd; f->connections < FAKE_HTTP_CONNECTIONS && (fd = accept(f->listener, NULL, NULL)) >= 0;) {
        struct fake_http_connection *c = &f->each[f->connections++]; // counted before it is answered
        *c = (struct fake_http_connection){.fake = f, .fd = fd};
        pthread_create(&c->thread, NULL, fake_http_connection, c);
    }
    return NULL;
}

static void fake_http_start_over(struct fake_http *f, json_t *answers, const struct fake_http_wire *wire,
                                 void *wire_arg)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    *f = (struct fake_http){.answers = answers,
                            .asked = json_array(),
                            .wire = wire,
                            .wire_arg = wire_arg,
                            .listener = socket(AF_INET, SOCK_STREAM, 0)};
    if (!answers || bind(f->listener, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(f->listener, FAKE_HTTP_CONNECTIONS) < 0 ||
        getsockname(f->listener, (struct sockaddr *)&at, &len) < 0)
        abort();
    snprintf(f->url, sizeof f->url, "%s://127.0.0.1:%d", wire ? "https" : "http", ntohs(at.sin_port));
    pthread_mutex_init(&f->lock, NULL);
    pthread_create(&f->thread, NULL, fake_http_serve, f);
}

static inline void fake_http_start(struct fake_http *f, json_t *answers)
{
    fake_http_start_over(f, answers, NULL, NULL);
}

// To be called when the clients have closed their connections.
static void fake_http_stop(struct fake_http *f)
{
    shutdown(f->listener, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    for (int i = 0; i < f->connections; i++)
        pthread_join(f->each[i].thread, NULL);
    close(f->listener);
    json_decref(f->answers);
    json_decref(f->asked);
}

// The request number n, or NULL.
static inline const json_t *fake_http_asked(const struct fake_http *f, size_t n)
{
    return json_array_get(f->asked, n);
}

#endif
