// SPDX-License-Identifier: MIT
// Stands in for src/world/openstack/http.c: each request is a point, and comes to the fake cloud. A request
// lets a migration in Nova go on by a step. The tries of a harmless request are one point: a fault that
// another try gets over is none for its caller.
#include "base/interrupt.h"
#include "clock.h"
#include "fake_cloud.h"
#include "fault.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAUSE_MS = 500,
    NO_ANSWER_MS = 8000,
    LONG_WAIT_MS = 100000
}; // between tries; until all have failed; of a look at what takes long

struct http {
    int requests;
};

int http_open(const struct http_tls *tls, struct http **http, struct error *err)
{
    (void)tls;
    (void)err;
    *http = xcalloc(1, sizeof **http);
    return 0;
}

void http_close(struct http *http) { free(http); }

void http_answer_free(struct http_answer *answer)
{
    json_decref(answer->headers);
    free(answer->body);
    *answer = (struct http_answer){0};
}

const char *http_header(const struct http_answer *answer, const char *name)
{
    return json_str(answer->headers, name, NULL);
}

char *http_server_of(const char *url)
{
    const char *host = strstr(url, "://");
    return xstrndup(url, host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/") : strlen(url));
}

// ---- what may go wrong ----

static int no_connection(const struct http_request *request, struct error *err)
{
    auto_free char *server = http_server_of(request->url);
    clock_skip(request->harmless ? NO_ANSWER_MS : 0);
    error_set(err, ERR_OPENSTACK, 0, "%s cannot be reached: Connection refused", server);
    if (err)
        err->unsent = true;
    return -1;
}

static int lost(const struct http_request *request, struct error *err)
{
    auto_free char *server = http_server_of(request->url);
    return error_set(err, ERR_OPENSTACK, 0,
                     "the connection to %s broke before its answer was complete: Empty reply from server",
                     server);
}

static void page(struct http_answer *answer)
{
    answer->status = 200;
    answer->headers = json_pack("{s:s}", "content-type", "text/html");
    answer->body = xstrdup("<html><body><h1>Maintenance</h1></body></html>");
    answer->len = strlen(answer->body);
}

// ---- requests ----

static void serve(const struct http_request *request, struct http_answer *answer)
{
    bool moves = world_moves(world()), secret = json_flag(fake_cloud(world()), "secret", false);
    bool long_wait = world_outcome(world())->endless || world_outcome(world())->stuck || secret;
    if (moves)
        world_look(world());
    fake_nova_answer(world(), request, answer);
    if (moves && long_wait && strstr(request->url, "/os-migrations"))
        clock_skip(LONG_WAIT_MS);
    if (moves || !STREQ(request->method, "GET"))
        if (!STREQ(fake_nova_service(request->url), "keystone"))
            world_changed();
}

static void serve_again(const struct http_request *request, struct http_answer *answer)
{
    clock_skip(PAUSE_MS);
    http_answer_free(answer);
    serve(request, answer);
}

static int perform(const struct http_request *request, enum fault fault, struct http_answer *answer,
                   struct error *err)
{
    if (fault == FAULT_FAIL || fault_is_gone(fake_nova_service(request->url)))
        return no_connection(request, err);
    if (fault == FAULT_ERROR || (fault == FAULT_BUSY && !request->harmless)) {
        fake_nova_refuse(answer, fault == FAULT_ERROR ? 500 : 503, "computeFault", "Unexpected API Error");
        return 0;
    }
    if (fault == FAULT_PAGE) {
        page(answer);
        return 0;
    }
    if (fault == FAULT_TOKEN)
        fake_nova_revoke_tokens();
    serve(request, answer);
    if (fault == FAULT_BUSY || (fault == FAULT_AFTER && request->harmless))
        serve_again(request, answer);
    else if (fault == FAULT_AFTER)
        return lost(request, err);
    if (fault == FAULT_CUT)
        answer->body[answer->len /= 2] = '\0';
    return 0;
}

// What a point shows of a request: its path, or the action that a server is asked for.
static char *shown_of(const struct http_request *request, const char *server)
{
    const char *path = request->url + strlen(server);
    size_t len = strcspn(path, "?");
    auto_json json_t *body = request->body ? json_loads(request->body, 0, NULL) : NULL;
    bool action = len > 7 && strncmp(path + len - 7, "/action", 7) == 0 && json_object_size(body) > 0;
    return action ? xstrdup(json_object_iter_key(json_object_iter(body))) : xstrndup(path, len);
}

int http_send(struct http *http, const struct http_request *request, struct http_answer *answer,
              struct error *err)
{
    auto_free char *server = http_server_of(request->url), *shown = shown_of(request, server);
    sig_atomic_t interrupts = interrupt_count;
    *answer = (struct http_answer){0};
    http->requests++;
    enum fault fault = fault_begin("http", fake_nova_service(request->url), "%s %s", request->method, shown);
    int rc = perform(request, fault, answer, err);
    fault_end();
    if (!request->harmless || interrupts > 0 || interrupt_count == 0)
        return rc;
    http_answer_free(answer);
    return error_set(err, ERR_INTERRUPTED, 0, "interrupted while %s was asked", server);
}

// ---- ahead of the question: the answer is that of the moment of asking ----

struct http_ahead {
    struct http_answer answer;
    struct error failure;
    int rc;
};

struct http_ahead *http_begin(const struct http *http, const struct http_request *request)
{
    struct http_ahead *ahead = xcalloc(1, sizeof *ahead);
    ahead->rc = http_send((struct http *)(uintptr_t)http, request, &ahead->answer, &ahead->failure);
    return ahead;
}

bool http_is_done(struct http_ahead *ahead)
{
    (void)ahead;
    return true;
}

int http_finish(struct http_ahead *ahead, struct http_answer *answer, struct error *err)
{
    int rc = ahead->rc;
    if (answer)
        *answer = ahead->answer;
    else
        http_answer_free(&ahead->answer);
    if (err)
        *err = ahead->failure;
    free(ahead);
    return answer ? rc : -1;
}
