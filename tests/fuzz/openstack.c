// SPDX-License-Identifier: MIT
// What a cloud, or what stands in its place, answers: headers and bodies, after a line "login" those of
// Keystone too; or, after a line "yaml", a clouds.yaml of anything. Nothing is asked of a network: the
// libcurl that src/world/openstack/http.c finds here gives it the input.
#define CURL_DISABLE_TYPECHECK // it would make macros of what is defined here
#include "fuzz.h"
#include "world/openstack/http.h"
#include "world/openstack/nova.h"
#include "world/openstack/yaml.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef curl_easy_setopt
#undef curl_easy_getinfo

static const uint8_t *left;
static size_t left_len, asked;
static bool logs_in; // the logins and the versions are of the input, too

// ---- the next answer ----

// Up to a NUL, its first byte says what it is: the status in the low bits, and
enum {
    HEADERS = 0x80,    // it begins with headers, up to an empty line
    BROKEN_OFF = 0x40, // the headers have no end
    LOST = 0x20
}; // the connection is lost after it
struct piece {
    int kind;
    const char *text;
    size_t len;
};

static const char good_login[] = "X-Subject-Token: TOKEN-OF-KEYSTONE\r\n\n"
                                 "{\"token\":{\"project\":{\"id\":\"p\"},\"catalog\":[{\"type\":\"compute\","
                                 "\"endpoints\":[{\"interface\":\"public\",\"url\":\"http://c/v2.1/p\"}]},"
                                 "{\"type\":\"placement\",\"endpoints\":[{\"interface\":\"public\",\"url\":"
                                 "\"http://p\"}]},{\"type\":\"network\",\"endpoints\":[{\"interface\":"
                                 "\"public\",\"url\":\"http://n\"}]}]}}";
static const char good_versions[] = "{\"version\":{\"id\":\"v2.1\",\"version\":\"2.93\"},\"versions\":[{"
                                    "\"id\":\"v1.0\",\"max_version\":\"1.39\"}]}";

static bool next_piece(const char *url, struct piece *piece)
{
    bool is_login = strstr(url, "/auth/tokens") != NULL, is_root = url[strlen(url) - 1] == '/';
    if (!logs_in && (is_login || is_root)) {
        *piece = (struct piece){.kind = is_login ? HEADERS : 0,
                                .text = is_login ? good_login : good_versions};
        piece->len = strlen(piece->text);
        return true;
    }
    if (!left_len)
        return false;
    const uint8_t *end = memchr(left + 1, 0, left_len - 1);
    *piece = (struct piece){
        .kind = *left, .text = (const char *)left + 1, .len = end ? (size_t)(end - left - 1) : left_len - 1};
    left += 1 + piece->len + (end ? 1 : 0);
    left_len -= 1 + piece->len + (end ? 1 : 0);
    return true;
}

// ---- a libcurl of ours ----

static struct {
    curl_write_callback header, body;
    void *header_to, *body_to;
    const char *url;
    long status;
    CURLMsg done;
    bool is_told;
} transfer;

CURLcode curl_global_init(long flags)
{
    (void)flags;
    return CURLE_OK;
}
CURL *curl_easy_init(void) { return &transfer; }
CURLM *curl_multi_init(void) { return &transfer; }
void curl_easy_cleanup(CURL *easy) { (void)easy; }
CURLMcode curl_multi_cleanup(CURLM *multi)
{
    (void)multi;
    return CURLM_OK;
}
void curl_easy_reset(CURL *easy)
{
    (void)easy;
    memset(&transfer, 0, sizeof transfer);
}
CURLMcode curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    (void)multi;
    (void)easy;
    return CURLM_OK;
}
CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
    (void)multi;
    (void)easy;
    return CURLM_OK;
}

CURLMcode curl_multi_poll(CURLM *multi, struct curl_waitfd fds[], unsigned count, int timeout_ms, int *ready)
{
    (void)multi;
    (void)fds;
    (void)count;
    (void)timeout_ms;
    (void)ready;
    return CURLM_OK;
}

CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    (void)easy;
    va_list args;
    va_start(args, option);
    switch (option) {
    case CURLOPT_URL: transfer.url = va_arg(args, const char *); break;
    case CURLOPT_HEADERFUNCTION: transfer.header = va_arg(args, curl_write_callback); break;
    case CURLOPT_HEADERDATA: transfer.header_to = va_arg(args, void *); break;
    case CURLOPT_WRITEFUNCTION: transfer.body = va_arg(args, curl_write_callback); break;
    case CURLOPT_WRITEDATA: transfer.body_to = va_arg(args, void *); break;
    default: break;
    }
    va_end(args);
    return CURLE_OK;
}

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
    (void)easy;
    va_list args;
    va_start(args, info);
    if (info == CURLINFO_RESPONSE_CODE)
        *va_arg(args, long *) = transfer.status;
    va_end(args);
    return CURLE_OK;
}

// A copy of its own, so that reading past the end is seen.
static size_t give(curl_write_callback to, const char *text, size_t len, void *arg)
{
    char *copy = xmalloc(len ? len : 1);
    memcpy(copy, text, len);
    size_t taken = to(copy, 1, len, arg);
    free(copy);
    return taken;
}

// Line by line, as libcurl does.
static const char *give_headers(const struct piece *piece)
{
    const char *from = piece->text, *end = piece->text + piece->len;
    while (from < end && *from != '\n') {
        const char *newline = memchr(from, '\n', (size_t)(end - from)), *to = newline ? newline + 1 : end;
        HOLDS(give(transfer.header, from, (size_t)(to - from), transfer.header_to) == (size_t)(to - from));
        from = to;
    }
    return from < end ? from + 1 : end;
}

static CURLcode play(const struct piece *piece)
{
    static const int statuses[] = {200, 202, 204, 300, 400, 401, 403, 404, 409, 500, 503};
    static const char first[] = "HTTP/1.1 200 OK\r\n";
    transfer.status = statuses[(piece->kind & 0x1f) % (int)COUNT_OF(statuses)];
    give(transfer.header, first, sizeof first - 1, transfer.header_to);
    const char *body = piece->kind & HEADERS ? give_headers(piece) : piece->text;
    if (!(piece->kind & BROKEN_OFF))
        give(transfer.header, "\r\n", 2, transfer.header_to);
    size_t len = (size_t)(piece->text + piece->len - body);
    if (give(transfer.body, body, len, transfer.body_to) != len)
        return CURLE_WRITE_ERROR;
    return piece->kind & LOST ? CURLE_GOT_NOTHING : CURLE_OK;
}

CURLMcode curl_multi_perform(CURLM *multi, int *running)
{
    (void)multi;
    struct piece piece;
    HOLDS(transfer.url && transfer.header && transfer.body);
    transfer.done = (CURLMsg){.msg = CURLMSG_DONE};
    transfer.done.data.result = asked++ > 200 || !next_piece(transfer.url, &piece) ? CURLE_URL_MALFORMAT
                                                                                   : play(&piece);
    transfer.is_told = false;
    *running = 0;
    return CURLM_OK;
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *pending)
{
    (void)multi;
    *pending = 0;
    bool is_new = !transfer.is_told;
    transfer.is_told = true;
    return is_new ? &transfer.done : NULL;
}

// The pauses between tries.
int __wrap_nanosleep(const struct timespec *pause, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *rest)
{
    (void)rest;
    HOLDS(pause->tv_sec >= 0 && pause->tv_nsec >= 0 && pause->tv_nsec < 1000000000);
    return 0;
}

// ---- what is asked ----

static bool holds_secret(const char *text)
{
    return strstr(text, "TOKEN-OF-KEYSTONE") || strstr(text, "PASSWORD-OF-OURS");
}

static void holds(int rc, const struct error *err, json_t *value)
{
    HOLDS(rc == 0 ? value != NULL : err->domain != ERR_NONE && *err->message);
    // A service's own no. Who gives the catalog may write what it likes into it, and is told of the password
    // anyway.
    HOLDS(rc == 0 || logs_in || err->domain != ERR_OPENSTACK || !holds_secret(err->message));
    json_decref(value);
}

static void ask_all(struct cloud *cloud)
{
    struct error err = {0};
    char id[REQUEST_ID_MAX];
    json_t *value = NULL;
#define ASK(call)                \
    do {                         \
        value = NULL;            \
        err = (struct error){0}; \
        int rc = call;           \
        holds(rc, &err, value);  \
    } while (0)
    ASK(nova_find(cloud, "na-me", &value, &err));
    ASK(nova_find(cloud, "e9d8c4e3-490c-45ed-b62e-4f97e693e2a1", &value, &err));
    ASK(nova_services(cloud, NULL, &value, &err));
    ASK(nova_hypervisor_of(cloud, "h", &value, &err));
    ASK(nova_migrations(cloud, "s", &value, &err));
    ASK(nova_progress(cloud, "s", 1, &value, &err));
    ASK(placement_provider(cloud, "h", &value, &err));
    ASK(placement_allocations(cloud, "s", &value, &err));
    ASK(neutron_ports(cloud, "s", &value, &err));
    auto_json json_t *action = NULL, *server = json_pack("{s:s}", "id", "s");
    if (nova_action(cloud, "s", "r", &action, &err) == 0)
        free(nova_reason(action));
    nova_live_migrate(cloud, server, "h", id, &err);
    HOLDS(logs_in || !holds_secret(id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    if (size > 5 && memcmp(data, "yaml\n", 5) == 0) {
        json_t *json = NULL;
        if (yaml_parse((const char *)data + 5, size - 5, &json, &err) < 0)
            HOLDS(*err.message && !json);
        json_decref(json);
        return 0;
    }
    setenv("OS_AUTH_URL", "http://k", 1);
    setenv("OS_USERNAME", "u", 1);
    setenv("OS_PASSWORD", "PASSWORD-OF-OURS", 1);
    setenv("OS_PROJECT_NAME", "p", 1);
    struct cloud *cloud;
    HOLDS(cloud_open(&cloud, &err) == 0);
    logs_in = size > 6 && memcmp(data, "login\n", 6) == 0;
    left = data + (logs_in ? 6 : 0);
    left_len = size - (logs_in ? 6 : 0);
    asked = 0;
    ask_all(cloud);
    cloud_close(cloud);
    return 0;
}
