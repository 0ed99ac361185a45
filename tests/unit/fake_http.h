// A fake HTTP server on loopback, for unit tests: it gives the answers it was told to, and writes down what it was asked.
#ifndef MIGRUN_TESTS_FAKE_HTTP_H
#define MIGRUN_TESTS_FAKE_HTTP_H

#include "base/util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

// Answers: [{method, path, status, headers: {…}, body (JSON, or a text as it is), cut: bytes (the connection breaks then), silent: true
// (no answer), unframed: true (no length, the connection ends)}]. The first that fits and was not given yet is given; the last that
// fits is given again and again. path "*" fits any.
enum { FAKE_HTTP_CONNECTIONS = 32 };
struct fake_http {
    json_t *answers;
    json_t *asked;       // [{method, path, headers: {small: text}, body: text}]
    int listener, stop[2];
    pthread_t thread;
    char url[64];
    int connections;
    pthread_mutex_t lock;
    struct fake_http_connection { struct fake_http *fake; int fd; pthread_t thread; } each[FAKE_HTTP_CONNECTIONS];
};

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
        if (!STREQ(json_str(answer, "method", method), method) || (!STREQ(wanted, "*") && !STREQ(wanted, path)))
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
static bool fake_http_read(int fd, struct buf *in, json_t **asked)
{
    char method[16], path[1024];
    const char *end;
    while (!in->data || !(end = strstr(in->data, "\r\n\r\n"))) {
        char piece[4096];
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0)
            return false;
        buf_add(in, piece, (size_t)n);
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
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0)
            break;
        buf_add(in, piece, (size_t)n);
    }
    auto_free char *body = xstrndup(in->data + head, in->len >= head + length ? length : 0);
    *asked = json_pack("{s:s, s:s, s:o, s:s}", "method", method, "path", path, "headers", headers, "body", body);
    buf_free(in);
    *in = (struct buf){0};
    return true;
}

// false: the connection ends with it.
static bool fake_http_give(int fd, const json_t *answer)
{
    const json_t *body = json_object_get(answer, "body");
    auto_free char *text = json_is_string(body) ? xstrdup(json_string_value(body)) : body && !json_is_null(body) ? json_dumps(body, JSON_COMPACT) : xstrdup("");
    auto_buf struct buf out = {0};
    bool unframed = json_flag(answer, "unframed", false);
    buf_printf(&out, "HTTP/1.1 %d Told\r\n", (int)json_int(answer, "status", 404));
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(answer, "headers"), name, value)
        if (strcasecmp(name, "content-length") != 0 && strcasecmp(name, "connection") != 0 && strcasecmp(name, "transfer-encoding") != 0)
            buf_printf(&out, "%s: %s\r\n", name, json_string_value(value));
    if (!unframed)
        buf_printf(&out, "Content-Length: %zu\r\n", strlen(text));
    buf_printf(&out, "\r\n%s", text);
    size_t cut = (size_t)json_int(answer, "cut", 0), len = cut && cut < out.len ? out.len - cut : out.len;
    return send(fd, out.data, len, MSG_NOSIGNAL) == (ssize_t)len && !cut && !unframed;
}

static void *fake_http_connection(void *arg)
{
    struct fake_http_connection *c = arg;
    struct buf in = {0};
    json_t *asked;
    while (fake_http_read(c->fd, &in, &asked)) {
        pthread_mutex_lock(&c->fake->lock);
        json_array_append_new(c->fake->asked, asked);
        const json_t *answer = fake_http_choose(c->fake, json_str(asked, "method", ""), json_str(asked, "path", ""));
        // The silent one waits until the client gives up.
        bool goes_on = json_flag(answer, "silent", false) || fake_http_give(c->fd, answer);
        pthread_mutex_unlock(&c->fake->lock);
        if (!goes_on)
            break;
    }
    buf_free(&in);
    close(c->fd);
    return NULL;
}

static void *fake_http_serve(void *arg)
{
    struct fake_http *f = arg;
    for (int fd; f->connections < FAKE_HTTP_CONNECTIONS && (fd = accept(f->listener, NULL, NULL)) >= 0; f->connections++) {
        struct fake_http_connection *c = &f->each[f->connections];
        *c = (struct fake_http_connection){.fake = f, .fd = fd};
        pthread_create(&c->thread, NULL, fake_http_connection, c);
    }
    return NULL;
}

static void fake_http_start(struct fake_http *f, json_t *answers)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    *f = (struct fake_http){.answers = answers, .asked = json_array(), .listener = socket(AF_INET, SOCK_STREAM, 0)};
    if (!answers || bind(f->listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(f->listener, FAKE_HTTP_CONNECTIONS) < 0 || getsockname(f->listener, (struct sockaddr *)&at, &len) < 0)
        abort();
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d", ntohs(at.sin_port));
    pthread_mutex_init(&f->lock, NULL);
    pthread_create(&f->thread, NULL, fake_http_serve, f);
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
