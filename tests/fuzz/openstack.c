// What a cloud, or what stands in its place, answers; or, after a line "yaml", a clouds.yaml of anything. Nothing is asked of a network:
// src/world/openstack/http.c is not linked.
#include "fuzz.h"
#include "world/openstack/http.h"
#include "world/openstack/nova.h"
#include "world/openstack/yaml.h"

#include <stdlib.h>
#include <string.h>

struct http { int unused; };
static const uint8_t *left;
static size_t left_len, asked;

int http_open(const struct http_tls *tls, struct http **http, struct error *err)
{
    (void)tls;
    (void)err;
    *http = xcalloc(1, sizeof **http);
    return 0;
}

void http_close(struct http *http) { free(http); }
const char *http_header(const struct http_answer *answer, const char *name) { return json_str(answer->headers, name, NULL); }
char *http_server_of(const char *url) { return printable(url); }

void http_answer_free(struct http_answer *answer)
{
    json_decref(answer->headers);
    free(answer->body);
    *answer = (struct http_answer){0};
}

// The next piece of the input, up to a NUL, is the next body; its first byte says the status. The first is a good login.
int http_send(struct http *http, const struct http_request *request, struct http_answer *answer, struct error *err)
{
    (void)http;
    static const int statuses[] = {200, 202, 204, 300, 400, 401, 403, 404, 409, 500, 503};
    static const char login[] = "{\"token\":{\"project\":{\"id\":\"p\"},\"catalog\":[{\"type\":\"compute\",\"endpoints\":[{\"interface\":\"public\",\"url\":\"http://c/v2.1/p\"}]},"
                                "{\"type\":\"placement\",\"endpoints\":[{\"interface\":\"public\",\"url\":\"http://p\"}]},{\"type\":\"network\",\"endpoints\":[{\"interface\":"
                                "\"public\",\"url\":\"http://n\"}]}]}}";
    static const char versions[] = "{\"version\":{\"id\":\"v2.1\",\"version\":\"2.93\"},\"versions\":[{\"id\":\"v1.0\",\"max_version\":\"1.39\"}]}";
    HOLDS(request->url && request->method);
    if (asked++ > 200)
        return error_set(err, ERR_OPENSTACK, 0, "enough");
    bool is_login = strstr(request->url, "/auth/tokens") != NULL, is_root = request->url[strlen(request->url) - 1] == '/';
    *answer = (struct http_answer){.status = 200, .headers = json_pack("{s:s}", "x-subject-token", "TOKEN")};
    if (is_login || is_root) {
        answer->body = xstrdup(is_login ? login : versions);
        answer->len = strlen(answer->body);
        return 0;
    }
    if (!left_len)
        return error_set(err, ERR_OPENSTACK, 0, "no more");
    answer->status = statuses[*left % COUNT_OF(statuses)];
    const uint8_t *end = memchr(left + 1, 0, left_len - 1);
    size_t len = end ? (size_t)(end - left - 1) : left_len - 1;
    answer->body = xstrndup((const char *)left + 1, len);
    answer->len = len;
    left += 1 + len + (end ? 1 : 0);
    left_len -= 1 + len + (end ? 1 : 0);
    return 0;
}

static void holds(int rc, const struct error *err, json_t *value)
{
    HOLDS(rc == 0 ? value != NULL : err->domain != ERR_NONE && *err->message && !strstr(err->message, "TOKEN"));
    json_decref(value);
}

static void ask_all(struct cloud *cloud)
{
    struct error err = {0};
    char id[REQUEST_ID_MAX];
    json_t *value = NULL;
#define ASK(call) do { value = NULL; err = (struct error){0}; int rc = call; holds(rc, &err, value); } while (0)
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
    setenv("OS_PASSWORD", "p", 1);
    setenv("OS_PROJECT_NAME", "p", 1);
    struct cloud *cloud;
    HOLDS(cloud_open(&cloud, &err) == 0);
    left = data;
    left_len = size;
    asked = 0;
    ask_all(cloud);
    cloud_close(cloud);
    return 0;
}
