// SPDX-License-Identifier: MIT
#include "world/openstack/session.h"

#include "base/clock.h"
#include "base/text.h"
#include "world/openstack/config.h"
#include "world/openstack/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REASON_MAX = 600, SECRET_MIN = 6 };

// One service as it was found: where it is, and the microversions it speaks.
struct service {
    char *type, *url;
    int newest;
    bool asked;
};

struct cloud {
    struct cloud_config config;
    struct http *http;
    char *token, *project, *warning;
    json_t *catalog;
    struct service services[8];
    size_t n_services;
    int64_t asks_ahead; // for so long an answer counts; 0: it does not
    struct ahead {
        char *what; // its URL and microversion
        struct http_ahead *http;
        json_t *answer; // once it has come
        int64_t until;
    } ahead[16];
    size_t n_ahead;
};

static const struct {
    const char *type, *name, *old_type;
} known[] = {
    {"compute", "Nova", NULL},
    {"placement", "Placement", NULL},
    {"network", "Neutron", NULL},
    {"identity", "Keystone", NULL},
};

const char *cloud_service_name(const char *service)
{
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (STREQ(known[i].type, service))
            return known[i].name;
    return service;
}

int cloud_open(struct cloud **result, struct error *err)
{
    struct cloud *c = xcalloc(1, sizeof *c);
    *result = NULL;
    if (cloud_config_load(&c->config, err) < 0) {
        free(c);
        return -1;
    }
    const struct cloud_config *config = &c->config;
    bool verify = cloud_config_flag(config, "verify", true) && !cloud_config_flag(config, "insecure", false);
    struct http_tls tls = {.verify = verify,
                           .cacert = cloud_config_value(config, "cacert"),
                           .cert = cloud_config_value(config, "cert"),
                           .key = cloud_config_value(config, "key")};
    if (!cloud_config_auth(config, "auth_url"))
        error_set(err, ERR_USAGE, 0, "cloud '%s' (%s) has no auth_url", config->name, config->where);
    else if (http_open(&tls, &c->http, err) == 0) {
        if (!verify)
            c->warning = xasprintf("the certificates of cloud '%s' are not verified (verify: false in %s): "
                                   "anyone in between can impersonate it",
                                   config->name, config->where);
        *result = c;
        return 0;
    }
    cloud_close(c);
    return -1;
}

static void drop_ahead(struct cloud *c, size_t i)
{
    free(c->ahead[i].what);
    json_decref(c->ahead[i].answer);
    if (c->ahead[i].http)
        http_finish(c->ahead[i].http, NULL, NULL);
    memmove(&c->ahead[i], &c->ahead[i + 1], (--c->n_ahead - i) * sizeof *c->ahead);
}

void cloud_ahead_drop(struct cloud *c)
{
    while (c->n_ahead)
        drop_ahead(c, c->n_ahead - 1);
}

static void forget_login(struct cloud *c)
{
    cloud_ahead_drop(c);
    for (size_t i = 0; i < c->n_services; i++) {
        free(c->services[i].type);
        free(c->services[i].url);
    }
    c->n_services = 0;
    free(c->token);
    free(c->project);
    json_decref(c->catalog);
    c->token = c->project = NULL;
    c->catalog = NULL;
}

void cloud_close(struct cloud *c)
{
    if (!c)
        return;
    forget_login(c);
    http_close(c->http);
    cloud_config_free(&c->config);
    free(c->warning);
    free(c);
}

const char *cloud_name(const struct cloud *c) { return c->config.name; }
const char *cloud_warning(const struct cloud *c) { return c->warning; }

// ---- reasons in answers ----

static const char *request_id_of(const struct http_answer *answer)
{
    const char *id = http_header(answer, "x-openstack-request-id");
    return id                                            ? id
           : http_header(answer, "x-compute-request-id") ? http_header(answer, "x-compute-request-id")
                                                         : "";
}

// The reason in the body, in the dialects of the services: {"badRequest": {"message"}}, {"NeutronError":
// {…}}, {"errors": [{"detail"}]}.
static const char *reason_of(const json_t *body)
{
    const json_t *list = json_object_get(body, "errors");
    if (json_array_size(list))
        return json_str(json_array_get(list, 0), "detail", json_str(json_array_get(list, 0), "title", NULL));
    const char *key, *found = json_str(body, "message", NULL);
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, key, value) {
        if (!found && json_is_object(value))
            found = json_str(value, "message", NULL);
        if (!found && STREQ(key, "NeutronError"))
            found = json_string_value(value);
    }
    return found;
}

// One line, without the markup that some reasons bring along, and without the full stop.
static char *one_line(const char *text)
{
    auto_buf struct buf line = {0};
    bool tag = false, space = false;
    for (const char *p = text; *p && line.len < REASON_MAX; p++) {
        bool opens = *p == '<' && (p[1] == '/' || p[1] == '!' || (p[1] | 32) >= 'a'),
             white = strchr(" \t\r\n", *p) || opens;
        if (opens)
            tag = true;
        space = space || white;
        if (!white && !tag) {
            if (space && line.len)
                buf_add(&line, " ", 1);
            space = false;
            buf_add(&line, p, 1);
        }
        if (*p == '>')
            tag = false;
    }
    while (line.len && line.data[line.len - 1] == '.')
        line.data[--line.len] = '\0';
    char *plain = buf_take(&line), *shown = printable(plain);
    free(plain);
    return shown;
}

// The text without our secrets, in case a service (or a proxy before it) echoes them. One
// that is shorter could be a part of any word.
static char *without_secrets(const struct cloud *c, const char *text)
{
    const char *const secrets[] = {c->token, cloud_config_auth(&c->config, "password"),
                                   cloud_config_auth(&c->config, "application_credential_secret"),
                                   cloud_config_auth(&c->config, "token"),
                                   cloud_config_auth(&c->config, "passcode")};
    auto_buf struct buf plain = {0};
    for (const char *p = text; *p;) {
        size_t hidden = 0;
        for (size_t i = 0; i < COUNT_OF(secrets) && !hidden; i++) {
            size_t len = secrets[i] ? strlen(secrets[i]) : 0;
            hidden = len >= SECRET_MIN && strncmp(p, secrets[i], len) == 0 ? len : 0;
        }
        buf_add(&plain, hidden ? "***" : p, hidden ? 3 : 1);
        p += hidden ? hidden : 1;
    }
    return buf_take(&plain);
}

static char *request_id_text(const struct cloud *c, const struct http_answer *answer)
{
    auto_free char *plain = without_secrets(c, request_id_of(answer));
    return printable(plain);
}

// "HTTP 404, req-…"
static char *status_text(const struct cloud *c, const struct http_answer *answer)
{
    auto_free char *id = request_id_text(c, answer);
    return xasprintf("HTTP %d%s%s", answer->status, *id ? ", " : "", id);
}

static int refuse(const struct cloud *c, const struct cloud_request *request, const char *server,
                  const struct http_answer *answer, const json_t *body, struct error *err)
{
    const char *name = cloud_service_name(request->service), *reason = reason_of(body);
    auto_free char *plain = without_secrets(c, reason ? reason
                                               : body ? ""
                                                      : answer->body),
                   *said = one_line(plain), *status = status_text(c, answer);
    if (!reason && !body && *said)
        return error_set(err, ERR_OPENSTACK, answer->status,
                         "%s at %s answered %s with a page instead of JSON: %s (%s)", name, server,
                         request->what, said, status);
    return error_set(err, ERR_OPENSTACK, answer->status, "%s %s %s: %s (%s)", name,
                     answer->status >= 500 ? "failed at" : "refuses", request->what,
                     *said ? said : "no reason given", status);
}

// ---- Keystone ----

// A user, a project: by id, or by name and domain.
static json_t *named(const struct cloud_config *config, const char *kind)
{
    char key[64];
    json_t *result = json_object();
    snprintf(key, sizeof key, "%s_id", kind);
    const char *id = cloud_config_auth(config, key);
    if (id) {
        json_object_set_new(result, "id", json_text(id));
        return result;
    }
    snprintf(key, sizeof key, STREQ(kind, "user") ? "username" : "%s_name", kind);
    const char *name = cloud_config_auth(config, key);
    json_object_set_new(result, "name", json_text(name ? name : ""));
    snprintf(key, sizeof key, "%s_domain_id", kind);
    const char *domain_id = cloud_config_auth(config, key);
    snprintf(key, sizeof key, "%s_domain_name", kind);
    const char *domain = cloud_config_auth(config, key);
    const char *default_id = cloud_config_auth(config, "default_domain_id"),
               *default_name = cloud_config_auth(config, "default_domain_name");
    bool by_id = domain_id || (!domain && (default_id || !default_name));
    const char *value = by_id    ? domain_id    ? domain_id
                                   : default_id ? default_id
                                                : "default"
                        : domain ? domain
                                 : default_name;
    json_object_set_new(result, "domain", json_pack("{s:o}", by_id ? "id" : "name", json_text(value)));
    return result;
}

static json_t *scope_of(const struct cloud_config *config)
{
    const char *domain_id = cloud_config_auth(config, "domain_id"),
               *domain = cloud_config_auth(config, "domain_name");
    if (cloud_config_auth(config, "system_scope"))
        return json_pack("{s:{s:b}}", "system", "all", 1);
    if (cloud_config_auth(config, "trust_id"))
        return json_pack("{s:{s:o}}", "OS-TRUST:trust", "id",
                         json_text(cloud_config_auth(config, "trust_id")));
    if (cloud_config_auth(config, "project_id") || cloud_config_auth(config, "project_name"))
        return json_pack("{s:o}", "project", named(config, "project"));
    if (domain_id || domain)
        return json_pack("{s:{s:o}}", "domain", domain_id ? "id" : "name",
                         json_text(domain_id ? domain_id : domain));
    return NULL;
}

static int missing(const struct cloud_config *config, const char *what, struct error *err)
{
    return error_set(err, ERR_USAGE, 0, "cloud '%s' (%s) has no %s", config->name, config->where, what);
}

// The body that asks for a token. It holds secrets: it goes to Keystone, and nowhere else.
static int credentials(const struct cloud_config *config, json_t **body, struct error *err)
{
    const char *type = cloud_config_value(config, "auth_type"),
               *password = cloud_config_auth(config, "password"), *token = cloud_config_auth(config, "token");
    const char *app_id = cloud_config_auth(config, "application_credential_id"),
               *app_name = cloud_config_auth(config, "application_credential_name");
    const char *secret = cloud_config_auth(config, "application_credential_secret");
    bool user = cloud_config_auth(config, "username") || cloud_config_auth(config, "user_id");
    json_t *identity = NULL;
    if (!type)
        type = "password";
    if (strstr(type, "applicationcredential") || (secret && (app_id || app_name))) {
        if (!secret || !(app_id || (app_name && user)))
            return missing(config,
                           secret ? "application_credential_id (or its name and the user)"
                                  : "application_credential_secret",
                           err);
        json_t *credential = json_pack("{s:o}", "secret", json_text(secret));
        json_object_set_new(credential, app_id ? "id" : "name", json_text(app_id ? app_id : app_name));
        if (!app_id)
            json_object_set_new(credential, "user", named(config, "user"));
        *body = json_pack("{s:{s:{s:[s], s:o}}}", "auth", "identity", "methods", "application_credential",
                          "application_credential", credential);
        return 0; // it has a scope of its own
    }
    if (STREQ(type, "token") || STREQ(type, "v3token") || (token && !password)) {
        if (!token)
            return missing(config, "token", err);
        identity = json_pack("{s:[s], s:{s:o}}", "methods", "token", "token", "id", json_text(token));
    } else if (STREQ(type, "password") || STREQ(type, "v3password")) {
        if (!user || !password)
            return missing(config, user ? "password" : "username", err);
        json_t *who = named(config, "user");
        json_object_set_new(who, "password", json_text(password));
        identity = json_pack("{s:[s], s:{s:o}}", "methods", "password", "password", "user", who);
    } else {
        return error_set(
            err, ERR_USAGE, 0,
            "cloud '%s' (%s) has auth_type %s; migrun knows password, v3applicationcredential and token",
            config->name, config->where, type);
    }
    *body = json_pack("{s:{s:o, s:o*}}", "auth", "identity", identity, "scope", scope_of(config));
    return 0;
}

// "http://host:5000/v3" from the configured auth_url, with or without its version.
static char *identity_url(const char *auth_url)
{
    size_t len = strlen(auth_url);
    while (len && auth_url[len - 1] == '/')
        len--;
    if (len > 5 && strncmp(auth_url + len - 5, "/v2.0", 5) == 0)
        len -= 5;
    bool has = len > 3 && strncmp(auth_url + len - 3, "/v3", 3) == 0;
    return xasprintf("%.*s%s", (int)len, auth_url, has ? "" : "/v3");
}

static void take_token(struct cloud *c, const struct http_answer *answer, const json_t *body)
{
    const json_t *token = json_object_get(body, "token");
    forget_login(c);
    c->token = xstrdup(http_header(answer, "x-subject-token"));
    c->project = xstrdup(json_str(json_object_get(token, "project"), "id", ""));
    c->catalog = json_is_array(json_object_get(token, "catalog"))
                     ? json_incref(json_object_get(token, "catalog"))
                     : json_array();
}

// The path of a URL.
static const char *path_of(const char *url)
{
    const char *server = strstr(url, "://"), *path = strchr(server ? server + 3 : url, '/');
    return path ? path : "";
}

// The meaning of a 401 for these credentials.
static const char *what_is_wrong(const json_t *body)
{
    const json_t *identity = json_object_get(json_object_get(body, "auth"), "identity");
    return json_object_get(identity, "application_credential")
               ? "the application credential is wrong, has expired or was deleted"
           : json_object_get(identity, "token")
               ? "the token is wrong or has expired, or its user has no role in that project"
               : "user, password, project or a domain of them is wrong";
}

static int log_in_once(struct cloud *c, struct error *err)
{
    const struct cloud_config *config = &c->config;
    auto_json json_t *body = NULL, *said = NULL;
    auto_answer struct http_answer answer = {0};
    if (credentials(config, &body, err) < 0)
        return -1;
    auto_free char *base = identity_url(cloud_config_auth(config, "auth_url")),
                   *url = xasprintf("%s/auth/tokens", base);
    auto_free char *text = json_dumps(body, JSON_COMPACT), *server = http_server_of(url);
    const struct http_request request = {.method = "POST", .url = url, .body = text, .harmless = true};
    int rc = http_send(c->http, &request, &answer, err);
    memset(text, 0, strlen(text));
    if (rc < 0)
        return error_prefix(err, "Keystone of cloud '%s'", config->name);
    said = json_foreign(answer.body, answer.len, JSON_DECODE_ANY, NULL);
    const struct cloud_request what = {.service = "identity", .what = "logging in"};
    auto_free char *status = status_text(c, &answer);
    if (answer.status == 401)
        return error_set(err, ERR_OPENSTACK, 401,
                         "Keystone at %s rejects the credentials of cloud '%s' (%s): %s (%s)", server,
                         config->name, config->where, what_is_wrong(body), status);
    if (answer.status == 404)
        return error_set(err, ERR_OPENSTACK, 404,
                         "there is no Keystone v3 at %s%s, the auth_url of cloud '%s' (%s)", server,
                         path_of(base), config->name, status);
    if (answer.status >= 400)
        return refuse(c, &what, server, &answer, said, err);
    if (answer.status >= 300 || !http_header(&answer, "x-subject-token") ||
        !json_is_object(json_object_get(said, "token")))
        return error_set(err, ERR_OPENSTACK, answer.status,
                         "the server at %s, the auth_url of cloud '%s', is not Keystone (%s)", server,
                         config->name, status);
    take_token(c, &answer, said);
    return 0;
}

int cloud_log_in(struct cloud *c, struct error *err) { return c->token ? 0 : log_in_once(c, err); }

// ---- the catalog ----

// A setting of one service, else that of all.
static const char *service_setting(const struct cloud *c, const char *type, const char *setting)
{
    auto_free char *key = xasprintf("%s_%s", type, setting);
    const char *own = cloud_config_value(&c->config, key);
    return own ? own : cloud_config_value(&c->config, setting);
}

static bool same_interface(const char *entry, const char *wanted)
{
    size_t len = strlen(wanted);
    if (len > 3 && STREQ(wanted + len - 3, "URL"))
        len -= 3;
    return strncmp(entry, wanted, len) == 0 && (!entry[len] || STREQ(entry + len, "URL"));
}

static const char *endpoint_of(const struct cloud *c, const char *type, const char *interface,
                               const char *region, struct buf *others)
{
    size_t i, j;
    json_t *entry, *endpoint;
    json_array_foreach(c->catalog, i, entry) {
        if (!STREQ(json_str(entry, "type", ""), type))
            continue;
        json_array_foreach(json_object_get(entry, "endpoints"), j, endpoint) {
            const char *its = json_str(endpoint, "region_id", json_str(endpoint, "region", ""));
            if (same_interface(json_str(endpoint, "interface", ""), interface) &&
                (!region || STREQ(its, region)) && json_str(endpoint, "url", NULL))
                return json_str(endpoint, "url", NULL);
            buf_printf(others, "%s%s in %s", others->len ? ", " : "", json_str(endpoint, "interface", "?"),
                       *its ? its : "no region");
        }
    }
    return NULL;
}

static char *without_slash(const char *url)
{
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    return xstrndup(url, len);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && STREQ(text + len - n, end);
}

static int find_service(struct cloud *c, const char *type, struct service **found, struct error *err)
{
    for (size_t i = 0; i < c->n_services; i++)
        if (STREQ(c->services[i].type, type)) {
            *found = &c->services[i];
            return 0;
        }
    const char *override = service_setting(c, type, "endpoint_override"),
               *interface = service_setting(c, type, "interface");
    const char *region = service_setting(c, type, "region_name");
    if (!interface) // OS_INTERFACE may be there and empty
        interface = "public";
    auto_free char *endpoint_key = xasprintf("%s_endpoint", type);
    auto_buf struct buf others = {0};
    if (!override)
        override = cloud_config_value(&c->config, endpoint_key);
    const char *url = override ? override : endpoint_of(c, type, interface, region, &others);
    if (!url && !json_array_size(c->catalog))
        return error_set(err, ERR_USAGE, 0,
                         "cloud '%s' (%s) names no project (or its user has no role there), so Keystone "
                         "lists no service",
                         c->config.name, c->config.where);
    if (!url)
        return error_set(err, ERR_USAGE, 0,
                         "the catalog of cloud '%s' has no endpoint of %s (%s, interface %s%s%s)%s%s",
                         c->config.name, cloud_service_name(type), type, interface, region ? ", region " : "",
                         region ? region : "", others.len ? "; it has " : "", others.len ? others.data : "");
    if (c->n_services == COUNT_OF(c->services))
        return error_set(err, ERR_USAGE, 0, "more than %zu services are asked for", COUNT_OF(c->services));
    struct service *s = &c->services[c->n_services++];
    *s = (struct service){.type = xstrdup(type), .url = without_slash(url)};
    if (STREQ(type, "network") && !ends_with(s->url, "/v2.0")) {
        char *versioned = xasprintf("%s/v2.0", s->url);
        free(s->url);
        s->url = versioned;
    }
    *found = s;
    return 0;
}

// ---- versions ----

static int minor_of(const char *version)
{
    const char *dot = strchr(version, '.');
    return dot ? atoi(dot + 1) : 0;
}

// The version's entry in a document: {"version": {…}}, {"versions": […]}, {"versions": {"values": […]}};
// NULL: none that we speak.
static const json_t *version_entry(const json_t *document, const char *major)
{
    const json_t *one = json_object_get(document, "version"), *list = json_object_get(document, "versions");
    if (json_is_object(one))
        return one;
    if (json_is_object(list))
        list = json_object_get(list, "values");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strncmp(json_str(json_array_get(list, i), "id", ""), major, strlen(major)) == 0)
            return json_array_get(list, i);
    return NULL;
}

// Asks a service which microversions it speaks. An endpoint without a version gets the one that we speak.
static int discover(struct cloud *c, struct service *s, struct error *err)
{
    bool compute = STREQ(s->type, "compute");
    auto_answer struct http_answer answer = {0};
    auto_free char *url = NULL;
    // Old catalogs have the project's id at the end.
    auto_free char *end = xasprintf("/%s", c->project);
    if (compute && *c->project && ends_with(s->url, end))
        s->url[strlen(s->url) - strlen(end)] = '\0';
    url = xasprintf("%s/", s->url);
    const struct http_request request = {.method = "GET", .url = url, .harmless = true};
    if (http_send(c->http, &request, &answer, err) < 0)
        return error_prefix(err, "%s", cloud_service_name(s->type));
    auto_json json_t *document = json_foreign(answer.body, answer.len, JSON_DECODE_ANY, NULL);
    const json_t *entry = version_entry(document, compute ? "v2.1" : "v1");
    auto_free char *server = http_server_of(url);
    const struct cloud_request what = {.service = s->type, .what = "telling its versions"};
    if (answer.status >= 400)
        return refuse(c, &what, server, &answer, document, err);
    auto_free char *status = status_text(c, &answer);
    if (!entry)
        return error_set(err, ERR_OPENSTACK, answer.status,
                         "the server at %s is not a %s that migrun knows: it does not offer version %s (%s)",
                         server, cloud_service_name(s->type), compute ? "2.1" : "1", status);
    const char *newest = json_str(entry, "version", ""), *max = json_str(entry, "max_version", newest);
    s->newest = minor_of(*max ? max : newest);
    if (compute && json_object_get(document, "versions") && !ends_with(s->url, "/v2.1")) {
        char *versioned = xasprintf("%s/v2.1", s->url);
        free(s->url);
        s->url = versioned;
    }
    s->asked = true;
    return 0;
}

static int ready_service(struct cloud *c, const char *type, struct service **s, struct error *err)
{
    if (cloud_log_in(c, err) < 0 || find_service(c, type, s, err) < 0)
        return -1;
    bool has_versions = STREQ(type, "compute") || STREQ(type, "placement");
    if (c->asks_ahead && has_versions && !(*s)->asked)
        return error_set(err, ERR_OPENSTACK, 0, "%s was not asked yet", cloud_service_name(type));
    return has_versions && !(*s)->asked ? discover(c, *s, err) : 0;
}

int cloud_newest(struct cloud *c, const char *service, int *minor, struct error *err)
{
    struct service *s;
    if (ready_service(c, service, &s, err) < 0)
        return -1;
    *minor = s->newest;
    return 0;
}

// ---- requests ----

static json_t *headers_of(const struct cloud *c, const struct service *s, int minor)
{
    json_t *headers = json_pack("{s:s}", "X-Auth-Token", c->token);
    if (minor > 0 && STREQ(s->type, "compute")) {
        json_object_set_new(headers, "OpenStack-API-Version", json_sprintf("compute 2.%d", minor));
        json_object_set_new(headers, "X-OpenStack-Nova-API-Version",
                            json_sprintf("2.%d", minor)); // all that releases before Newton knew
    } else if (minor > 0 && STREQ(s->type, "placement")) {
        json_object_set_new(headers, "OpenStack-API-Version", json_sprintf("placement 1.%d", minor));
    }
    return headers;
}

// Whether a part of the path is "..", however it is written.
static bool leaves(const char *path)
{
    auto_buf struct buf plain = {0};
    for (const char *p = path; *p && *p != '?';) {
        bool dot = strncasecmp(p, "%2e", 3) == 0, slash = strncasecmp(p, "%2f", 3) == 0;
        buf_add(&plain, dot ? "." : slash || *p == '\\' ? "/" : p, 1);
        p += dot || slash ? 3 : 1;
    }
    char *rest = plain.data;
    for (char *part; (part = strsep(&rest, "/"));)
        if (STREQ(part, ".."))
            return true;
    return false;
}

int cloud_check_request(const char *method, const char *path, struct error *err)
{
    auto_free char *shown = printable(path), *word = printable(method);
    bool plain = *path == '/';
    for (const unsigned char *p = (const unsigned char *)path; *p; p++)
        plain = plain && *p > ' ' && *p != 0x7f && *p != '#';
    if (!*method || method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "'%.40s' is not a method of HTTP", word);
    if (!plain)
        return error_set(
            err, ERR_REFUSED, REFUSED_OTHER,
            "'%.300s' is not a path of a request: it begins with '/', and has no blanks, control "
            "characters and '#'",
            shown);
    if (leaves(path))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "the path '%.300s' leaves the service's endpoint ('..')", shown);
    return 0;
}

static int send_once(struct cloud *c, const struct cloud_request *request, struct http_answer *answer,
                     struct error *err)
{
    struct service *s;
    if (cloud_check_request(request->method, request->path, err) < 0 ||
        ready_service(c, request->service, &s, err) < 0) {
        err->unsent = true;
        return -1;
    }
    if (request->minor > s->newest && s->asked)
        return error_set(err, ERR_OPENSTACK, 406,
                         "%s of cloud '%s' speaks microversions up to %s.%d; %s needs %s.%d",
                         cloud_service_name(s->type), c->config.name, STREQ(s->type, "compute") ? "2" : "1",
                         s->newest, request->what, STREQ(s->type, "compute") ? "2" : "1", request->minor);
    auto_json json_t *headers = headers_of(c, s, request->minor);
    auto_free char *url = xasprintf("%s%s", s->url, request->path),
                   *text = request->body ? json_dumps(request->body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const struct http_request http = {.method = request->method,
                                      .url = url,
                                      .headers = headers,
                                      .body = text,
                                      .timeout_ms = request->timeout_ms,
                                      .harmless = request->harmless || STREQ(request->method, "GET") ||
                                                  STREQ(request->method, "HEAD")};
    if (http_send(c->http, &http, answer, err) < 0)
        return err && err->domain != ERR_INTERRUPTED
                   ? error_prefix(err, "%s, asked for %s", cloud_service_name(s->type), request->what)
                   : -1;
    return 0;
}

// ---- ahead of the question ----

void cloud_ahead_begin(struct cloud *c, int64_t ms) { c->asks_ahead = ms; }
void cloud_ahead_end(struct cloud *c) { c->asks_ahead = 0; }

// Only where nothing has to be asked before it. Caller frees; NULL: something has to be.
static char *ahead_url(struct cloud *c, const struct cloud_request *request)
{
    struct service *s;
    if (!c->token || find_service(c, request->service, &s, NULL) < 0 ||
        (!s->asked && (request->minor || STREQ(request->service, "compute"))))
        return NULL;
    return xasprintf("%s%s", s->url, request->path);
}

static void begin_ahead(struct cloud *c, const struct cloud_request *request, const char *url,
                        const char *what)
{
    struct service *s;
    if (c->n_ahead == COUNT_OF(c->ahead) || find_service(c, request->service, &s, NULL) < 0)
        return;
    auto_json json_t *headers = headers_of(c, s, request->minor);
    const struct http_request http = {
        .method = "GET", .url = url, .headers = headers, .harmless = true, .timeout_ms = c->asks_ahead};
    struct http_ahead *begun = http_begin(c->http, &http);
    if (begun)
        c->ahead[c->n_ahead++] = (struct ahead){
            .what = xstrdup(what), .http = begun, .until = deadline_in(c->asks_ahead)};
}

// The answer, where it is a good one. wait: until it has come.
static json_t *take_ahead(struct ahead *a, bool wait)
{
    auto_answer struct http_answer answer = {0};
    if (a->http && (wait || http_is_done(a->http)) && http_finish(steal(&a->http), &answer, NULL) == 0 &&
        answer.status < 300)
        a->answer = json_foreign(answer.body, answer.len, 0, NULL);
    return a->answer ? json_incref(a->answer) : NULL;
}

// Answers a GET by what was asked ahead; in between, begins it. NULL: there is nothing.
static json_t *ask_ahead(struct cloud *c, const struct cloud_request *request)
{
    auto_free char *url = ahead_url(c, request);
    if (!url || (!c->n_ahead && !c->asks_ahead))
        return NULL;
    auto_free char *what = xasprintf("%d %s", request->minor, url);
    for (size_t i = 0; i < c->n_ahead; i++) {
        struct ahead *a = &c->ahead[i];
        if (!STREQ(a->what, what))
            continue;
        bool late = now_ms() >= a->until;
        json_t *answer = late ? NULL : take_ahead(a, !c->asks_ahead);
        if (late || !c->asks_ahead)
            drop_ahead(c, i);
        if (!late)
            return answer;
        break;
    }
    if (c->asks_ahead)
        begin_ahead(c, request, url, what);
    return NULL;
}

int cloud_send(struct cloud *c, const struct cloud_request *request, json_t **result, char *request_id,
               struct error *err)
{
    bool reads = STREQ(request->method, "GET") && !request->body && !request_id && result;
    auto_json json_t *early = reads ? ask_ahead(c, request) : NULL;
    if (early) {
        *result = steal(&early);
        return 0;
    }
    if (c->asks_ahead)
        return error_set(err, ERR_OPENSTACK, 0, "%s has not answered yet",
                         cloud_service_name(request->service));
    if (!reads)
        cloud_ahead_drop(c);
    auto_answer struct http_answer answer = {0};
    struct error ignored;
    if (request_id)
        *request_id = '\0';
    if (result)
        *result = NULL;
    if (!err)
        err = &ignored;
    if (send_once(c, request, &answer, err) < 0)
        return -1;
    if (answer.status == 401) {
        // The token has expired or was revoked: nothing was done, so it is asked once more with a new one.
        http_answer_free(&answer);
        free(c->token);
        c->token = NULL;
        if (send_once(c, request, &answer, err) < 0)
            return -1;
    }
    auto_free char *id = request_id_text(c, &answer);
    if (request_id)
        snprintf(request_id, REQUEST_ID_MAX, "%s", id);
    auto_json json_t *body = json_foreign(answer.body, answer.len, JSON_DECODE_ANY, NULL);
    struct service *s;
    auto_free char *server = find_service(c, request->service, &s, NULL) == 0 ? http_server_of(s->url)
                                                                              : xstrdup("?");
    if (answer.status >= 300)
        return refuse(c, request, server, &answer, body, err);
    auto_free char *status = status_text(c, &answer);
    if (!body && answer.len) // a proxy's page: whether the service has done anything is not known
        return error_set(err, ERR_OPENSTACK, answer.status,
                         "%s at %s answered %s with something that is not JSON (%s)",
                         cloud_service_name(request->service), server, request->what, status);
    if (result)
        *result = steal(&body);
    return 0;
}
