// SPDX-License-Identifier: MIT
// HTTP requests with a deadline each, over connections that are kept (libcurl). Knows no OpenStack, but for
// the request id.
#ifndef MIGRUN_WORLD_OPENSTACK_HTTP_H
#define MIGRUN_WORLD_OPENSTACK_HTTP_H

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

struct http;

// Verification of servers, and the client certificate. Texts are copied.
struct http_tls {
    bool verify;
    const char *cacert, *cert, *key;
};
int http_open(const struct http_tls *tls, struct http **http, struct error *err);
void http_close(struct http *http);

struct http_request {
    const char *method, *url;
    const json_t *headers; // {name: text}, or NULL
    const char *body;      // JSON, or NULL
    // It may be made twice: after 429, 502, 503, 504 or a lost connection it is tried again, and an interrupt
    // ends it. Any other request is sent once, on a connection of its own, and waited for.
    bool harmless;
    int64_t timeout_ms; // of the whole, with all tries; 0: 60 s
};

struct http_answer {
    int status;
    json_t *headers; // {name in small letters: text}
    char *body;      // NUL-terminated, never NULL
    size_t len;
};
// 0: an answer came, whatever its status. ERR_OPENSTACK with code 0 when none did, ERR_TIMEOUT,
// ERR_INTERRUPTED; err->unsent when no try sent any of the request. The message begins with the host
// ("http://10.0.0.1:8774 …"): never a header, a body or what follows a '?'.
int http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
              struct error *err);
void http_answer_free(struct http_answer *answer);

// A harmless request that goes its way beside what the caller does meanwhile, once, on a connection and a
// thread of its own. NULL: none can be begun.
struct http_ahead;
struct http_ahead *http_begin(const struct http *http, const struct http_request *request);
bool http_is_done(struct http_ahead *ahead);
// Waits for its end as http_send does, and ends with it. NULL answer: without waiting, as nobody wants it.
int http_finish(struct http_ahead *ahead, struct http_answer *answer, struct error *err);
#define auto_answer cleanup(http_answer_free)
const char *http_header(const struct http_answer *answer, const char *name); // or NULL
// The seconds that an answer asks to wait, by its Retry-After (seconds or a date); -1: it does not say.
double http_retry_after(const struct http_answer *answer);
// "scheme://host:port" of a URL, without user and password. Caller frees.
char *http_server_of(const char *url);

#endif
