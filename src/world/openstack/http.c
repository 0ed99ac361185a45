// SPDX-License-Identifier: MIT
#include "world/openstack/http.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "base/thread.h"

#include <ctype.h>
#include <curl/curl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    WHOLE_MS = 60000,
    TRY_MS = 20000,
    CONNECT_MS = 10000,
    TRIES = 5,
    FIRST_PAUSE_MS = 250,
    UNWANTED_MS = 1500,
    BODY_MAX = 16 << 20,
    HEADERS_MAX = 200,
    HEADER_BYTES_MAX = 1 << 18
};

struct http {
    CURLM *multi;
    CURL *easy; // kept, and with it its connections
    char *cacert, *cert, *key;
    bool verify;
};

// The answer of one try. whole: its headers are complete.
struct incoming {
    struct buf body;
    json_t *headers;
    size_t header_bytes;
    bool whole;
};

int http_open(const struct http_tls *tls, struct http **result, struct error *err)
{
    static bool ready; // libcurl's own state: set up once, on first use
    if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERR_BUG, 0, "libcurl could not be set up");
    ready = true;
    struct http *h = xcalloc(1, sizeof *h);
    h->multi = curl_multi_init();
    h->easy = curl_easy_init();
    h->verify = tls->verify;
    h->cacert = tls->cacert ? xstrdup(tls->cacert) : NULL;
    h->cert = tls->cert ? xstrdup(tls->cert) : NULL;
    h->key = tls->key ? xstrdup(tls->key) : NULL;
    *result = h;
    if (!h->multi || !h->easy) {
        http_close(h);
        *result = NULL;
        return error_set(err, ERR_BUG, 0, "libcurl could not be set up");
    }
    return 0;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->easy);
    curl_multi_cleanup(h->multi);
    free(h->cacert);
    free(h->cert);
    free(h->key);
    free(h);
}

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

double http_retry_after(const struct http_answer *answer)
{
    const char *text = http_header(answer, "retry-after");
    char *end;
    if (!text)
        return -1;
    double seconds = strtod(text, &end);
    if (end != text && !*end)
        return seconds >= 0 && seconds < 1e6 ? seconds : -1;
    time_t at = curl_getdate(text, NULL);
    double wait = difftime(at, time(NULL));
    return at < 0 ? -1 : wait > 0 ? wait : 0;
}

char *http_server_of(const char *url)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    size_t len = strcspn(start, "/?#");
    auto_free char *host = xstrndup(start, len), *scheme = xstrndup(url, (size_t)(start - url));
    const char *at = strrchr(host, '@');
    auto_free char *whole = xasprintf("%s%s", scheme, at ? at + 1 : host);
    return printable(whole);
}

// ---- receiving ----

static size_t take_body(char *data, size_t one, size_t count, void *arg)
{
    struct incoming *in = arg;
    if (in->body.len + count > BODY_MAX)
        return 0;
    buf_add(&in->body, data, count);
    return one * count;
}

static size_t take_header(char *data, size_t one, size_t count, void *arg)
{
    struct incoming *in = arg;
    const char *colon = memchr(data, ':', count);
    if (count >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        json_object_clear(in->headers); // of this answer, not of a "100 Continue" before it
        in->whole = false;
    }
    if ((in->header_bytes += count) > HEADER_BYTES_MAX)
        return 0;
    in->whole = in->whole || (count && (*data == '\r' || *data == '\n'));
    if (!colon || json_object_size(in->headers) >= HEADERS_MAX)
        return one * count;
    auto_free char *name = xstrndup(data, (size_t)(colon - data)), *value = NULL;
    for (char *p = name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    const char *from = colon + 1, *to = data + count;
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    value = xstrndup(from, (size_t)(to - from));
    json_object_set_new(in->headers, name,
                        json_text(value)); // jansson refuses a name that is no UTF-8: it is left out
    return one * count;
}

// ---- one try ----

static struct curl_slist *header_list(const struct http_request *request)
{
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
    if (request->body)
        list = curl_slist_append(list, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)request->headers, name, value) {
        auto_free char *line = xasprintf("%s: %s", name, json_string_value(value));
        if (!strpbrk(line, "\r\n"))
            list = curl_slist_append(list, line);
    }
    return list;
}

static void set_up(CURL *c, const struct http *h, const struct http_request *request,
                   struct curl_slist *headers, struct incoming *in, int64_t timeout_ms, char *words)
{
    curl_easy_reset(c); // its connections stay
    curl_easy_setopt(c, CURLOPT_URL, request->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "migrun/" MIGRUN_VERSION);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, words);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, in);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, in);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, h->verify ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, h->verify ? 2L : 0L);
    if (h->cacert)
        curl_easy_setopt(c, CURLOPT_CAINFO, h->cacert);
    if (h->cert)
        curl_easy_setopt(c, CURLOPT_SSLCERT, h->cert);
    if (h->key)
        curl_easy_setopt(c, CURLOPT_SSLKEY, h->key);
    if (request->body)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, request->body);
    if (STREQ(request->method, "HEAD"))
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L); // else it waits for one
    else if (!STREQ(request->method, "GET"))
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, request->method);
    // On a kept connection, libcurl itself would send a lost request again.
    if (!request->harmless)
        curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
}

// Drives the transfer to its end. An interrupt that comes meanwhile ends a harmless one (*interrupted).
static CURLcode drive(struct http *h, bool harmless, bool *interrupted)
{
    sig_atomic_t interrupts = interrupt_count;
    CURLcode rc = CURLE_FAILED_INIT;
    if (curl_multi_add_handle(h->multi, h->easy) != CURLM_OK)
        return rc;
    for (int running = 1; running;) {
        int pending;
        if (curl_multi_perform(h->multi, &running) != CURLM_OK)
            break;
        for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &pending));)
            if (m->msg == CURLMSG_DONE)
                rc = m->data.result;
        if (!running)
            break;
        bool watch = harmless && interrupts == 0 && interrupt_fd() >= 0;
        struct curl_waitfd stop = {.fd = interrupt_fd(), .events = CURL_WAIT_POLLIN};
        if (curl_multi_poll(h->multi, &stop, watch ? 1 : 0, 1000, NULL) != CURLM_OK)
            break;
        interrupts_notice();
        if (harmless && interrupt_count > interrupts) {
            *interrupted = true;
            break;
        }
    }
    curl_multi_remove_handle(h->multi, h->easy);
    return rc;
}

// A TLS alert: the server's own refusal, which it would repeat.
static bool is_alert(const char *words) { return strstr(words, " alert ") != NULL; }

// Whether naming a CA would help: not where the certificate has expired, or is another host's.
static bool is_unknown_issuer(const char *words)
{
    return strstr(words, "self-signed") || strstr(words, "self signed") || strstr(words, "issuer") ||
           strstr(words, "verify the first certificate");
}

static bool was_sent(const struct http *h)
{
    long sent = 0;
    return curl_easy_getinfo(h->easy, CURLINFO_REQUEST_SIZE, &sent) == CURLE_OK && sent > 0;
}

static int explain(const struct http *h, const char *server, CURLcode rc, const char *words,
                   int64_t timeout_ms, struct error *err)
{
    const char *said = *words ? words : curl_easy_strerror(rc);
    auto_free char *shown = printable(said);
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT: {
        auto_free char *after = duration_text((double)timeout_ms / 1000);
        return error_set(err, ERR_TIMEOUT, 0, "%s did not answer within %s", server, after);
    }
    case CURLE_PEER_FAILED_VERIFICATION:
        return error_set(
            err, ERR_OPENSTACK, 0, "%s cannot be trusted: %s%s", server, shown,
            is_unknown_issuer(said) ? " (name the CA's file as cacert in clouds.yaml, or in OS_CACERT)" : "");
    case CURLE_SSL_CACERT_BADFILE:
        return error_set(err, ERR_OPENSTACK, 0,
                         "%s cannot be asked: the file cacert, %s, contains no readable certificate", server,
                         h->cacert ? h->cacert : "");
    case CURLE_SSL_CERTPROBLEM:
        return error_set(
            err, ERR_OPENSTACK, 0,
            "%s cannot be asked: the client's certificate (cert and key in clouds.yaml) is not usable: %s",
            server, shown);
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, ERR_OPENSTACK, 0, "%s cannot be reached: its name does not resolve here",
                         server);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        if (was_sent(h)) // it is the answer's, not the URL's
            return error_set(err, ERR_OPENSTACK, 0, "the server at %s does not speak HTTP: %s", server,
                             shown);
        return error_set(err, ERR_OPENSTACK, 0, "'%s' is not the URL of a service (http://… or https://…)",
                         server);
    case CURLE_COULDNT_CONNECT:
        return error_set(err, ERR_OPENSTACK, 0, "%s cannot be reached: %s", server, shown);
    case CURLE_WRITE_ERROR:
        return error_set(err, ERR_OPENSTACK, 0, "%s answered with more than %d MiB, or %d KiB of headers",
                         server, BODY_MAX >> 20, HEADER_BYTES_MAX >> 10);
    default:
        if (is_alert(said))
            return error_set(
                err, ERR_OPENSTACK, 0,
                "%s refuses the TLS handshake: %s (if it requires a client certificate, name cert "
                "and key in clouds.yaml, or OS_CERT and OS_KEY)",
                server, shown);
        return error_set(err, ERR_OPENSTACK, 0,
                         "the connection to %s broke before its answer was complete: %s", server, shown);
    }
}

// *again: it may be worth another try.
static int try_once(struct http *h, const struct http_request *request, int64_t timeout_ms,
                    struct http_answer *answer, bool *again, struct error *err)
{
    char words[CURL_ERROR_SIZE] = "";
    auto_free char *server = http_server_of(request->url);
    struct incoming in = {.headers = json_object()};
    struct curl_slist *headers = header_list(request);
    bool interrupted = false;
    set_up(h->easy, h, request, headers, &in, timeout_ms, words);
    CURLcode rc = drive(h, request->harmless, &interrupted);
    if (rc == CURLE_OK && !in.whole) { // libcurl takes the end of the connection for the end of the headers
        rc = CURLE_PARTIAL_FILE;
        snprintf(words, sizeof words, "its headers broke off");
    }
    long status = 0;
    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    *answer = (struct http_answer){.status = (int)status, .headers = in.headers, .len = in.body.len};
    answer->body = buf_take(&in.body);
    if (interrupted) {
        *again = false;
        return error_set(err, ERR_INTERRUPTED, 0, "interrupted while %s was asked", server);
    }
    *again = status == 429 || status == 502 || status == 503 || status == 504;
    if (rc == CURLE_OK)
        return 0;
    *again = (rc == CURLE_OPERATION_TIMEDOUT || rc == CURLE_COULDNT_CONNECT || rc == CURLE_GOT_NOTHING ||
              rc == CURLE_SEND_ERROR || rc == CURLE_RECV_ERROR || rc == CURLE_PARTIAL_FILE ||
              rc == CURLE_HTTP2 || rc == CURLE_HTTP2_STREAM) &&
             !is_alert(words);
    return explain(h, server, rc, words, timeout_ms, err);
}

// Waits before the next try; false: there is none any more.
static bool pause_before(int try, const struct http_answer *answer, int64_t deadline)
{
    double asked = http_retry_after(answer);
    int64_t wait = asked >= 0 ? ms_of_seconds(asked) : FIRST_PAUSE_MS << try;
    if (try + 1 >= TRIES || interrupt_count > 0 || now_ms() + wait >= deadline)
        return false;
    nap_ms(wait);
    return interrupt_count == 0;
}

int http_send(struct http *h, const struct http_request *request, struct http_answer *answer,
              struct error *err)
{
    int64_t whole = request->timeout_ms > 0 ? request->timeout_ms : WHOLE_MS, deadline = deadline_in(whole);
    bool sent = false;
    for (int try = 0;; try++) {
        bool again;
        int64_t left = deadline - now_ms(), limit = request->harmless && left > TRY_MS ? TRY_MS
                                                    : left > 1                         ? left
                                                                                       : 1;
        int rc = try_once(h, request, limit, answer, &again, err);
        sent = sent || was_sent(h);
        if (rc < 0 && err)
            err->unsent = !sent;
        if (!again || !request->harmless || !pause_before(try, answer, deadline))
            return rc;
        http_answer_free(answer);
    }
}

// ---- ahead of the question ----

// Caller and thread each hold it; whoever lets go last frees it.
struct http_ahead {
    CURL *easy;
    struct curl_slist *headers;
    struct incoming in;
    char words[CURL_ERROR_SIZE], *server;
    CURLcode rc;
    int done; // an eventfd that the thread writes once
    int holders, unwanted;
};

static void let_go(struct http_ahead *a)
{
    if (__atomic_sub_fetch(&a->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    curl_easy_cleanup(a->easy);
    curl_slist_free_all(a->headers);
    json_decref(a->in.headers);
    buf_free(&a->in.body);
    if (a->done >= 0)
        close(a->done);
    free(a->server);
    free(a);
}

// libcurl asks this at least once a second.
static int is_unwanted(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct http_ahead *ahead = arg;
    (void)a, (void)b, (void)c, (void)d;
    return __atomic_load_n(&ahead->unwanted, __ATOMIC_ACQUIRE);
}

static void *perform_ahead(void *arg)
{
    struct http_ahead *a = arg;
    a->rc = curl_easy_perform(a->easy);
    eventfd_write(a->done, 1);
    let_go(a);
    return NULL;
}

struct http_ahead *http_begin(const struct http *h, const struct http_request *request)
{
    struct http_ahead *a = xcalloc(1, sizeof *a);
    pthread_t thread;
    *a = (struct http_ahead){.easy = curl_easy_init(),
                             .headers = header_list(request),
                             .in = {.headers = json_object()},
                             .server = http_server_of(request->url),
                             .done = eventfd(0, EFD_CLOEXEC),
                             .holders = 2};
    if (a->easy) {
        set_up(a->easy, h, request, a->headers, &a->in,
               request->timeout_ms > 0 ? request->timeout_ms : TRY_MS, a->words);
        curl_easy_setopt(a->easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(a->easy, CURLOPT_XFERINFOFUNCTION, is_unwanted);
        curl_easy_setopt(a->easy, CURLOPT_XFERINFODATA, a);
    }
    if (a->easy && a->done >= 0 && thread_start(&thread, perform_ahead, a) == 0) {
        pthread_detach(thread);
        return a;
    }
    a->holders = 1;
    let_go(a);
    return NULL;
}

static bool is_done_within(struct http_ahead *a, int ms, int interrupts)
{
    struct pollfd fds[] = {{.fd = a->done, .events = POLLIN}, {.fd = interrupts, .events = POLLIN}};
    poll(fds, interrupts < 0 ? 1 : 2, ms);
    return fds[0].revents != 0;
}

bool http_is_done(struct http_ahead *a) { return is_done_within(a, 0, -1); }

int http_finish(struct http_ahead *a, struct http_answer *answer, struct error *err)
{
    sig_atomic_t interrupts = interrupt_count;
    bool wanted = answer != NULL, done = false;
    while (wanted && !(done = is_done_within(a, 1000, interrupts == 0 ? interrupt_fd() : -1))) {
        interrupts_notice();
        wanted = interrupt_count == interrupts;
    }
    int rc = -1;
    if (answer)
        *answer = (struct http_answer){0};
    if (!done) {
        __atomic_store_n(&a->unwanted, 1, __ATOMIC_RELEASE);
        is_done_within(a, UNWANTED_MS, -1); // no thread goes on when the program ends
        if (answer)
            error_set(err, ERR_INTERRUPTED, 0, "interrupted while %s was asked", a->server);
    } else if (a->rc != CURLE_OK || !a->in.whole) {
        error_set(err, ERR_OPENSTACK, 0, "%s did not answer", a->server);
    } else {
        long status = 0;
        curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
        *answer = (struct http_answer){
            .status = (int)status, .headers = json_incref(a->in.headers), .len = a->in.body.len};
        answer->body = buf_take(&a->in.body);
        rc = 0;
    }
    let_go(a);
    return rc;
}
