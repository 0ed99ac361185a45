// SPDX-License-Identifier: MIT
// Keystone, Nova, Placement and Neutron of the fake world: what they answer, by what fake_cloud.c keeps.
#include "fake_cloud.h"

#include <stdlib.h>
#include <string.h>

#define REGION "RegionOne"
#define TENANT "72c2a85804654865a9bbcfce54053112"

enum { PARTS = 2, VCPUS = 1, MEMORY_MB = 256, DISK_GB = 1 };

// One request as it is served.
struct asked {
    json_t *w, *cloud, *server;
    char *path, *query, *parts[PARTS]; // parts: what stands for each '*' of its route
    json_t *body;
    char *request_id; // of what changes something; else NULL
    struct http_answer *answer;
};

// ---- answers ----

static void say(struct http_answer *answer, int status, json_t *body)
{
    answer->status = status;
    answer->body = body ? json_dumps(body, JSON_COMPACT) : xstrdup("");
    answer->len = strlen(answer->body);
    if (!answer->headers)
        answer->headers = json_object();
    json_decref(body);
}

void fake_nova_refuse(struct http_answer *answer, int status, const char *fault, const char *message)
{
    say(answer, status, json_pack("{s:{s:i, s:s}}", fault, "code", status, "message", message));
}

static void not_found(const struct asked *a, const char *what)
{
    auto_free char *text = xasprintf("%s could not be found.", what);
    fake_nova_refuse(a->answer, 404, "itemNotFound", text);
}

// ---- Keystone ----

static int tokens, revoked;

void fake_nova_revoke_tokens(void) { revoked = tokens; }

static bool is_known(const struct http_request *request)
{
    const char *token = json_str(request->headers, "X-Auth-Token", ""), *number = strrchr(token, '-');
    return number && atoi(number + 1) > revoked && atoi(number + 1) <= tokens;
}

static void log_in(const struct asked *a)
{
    static const char *const services[][2] = {{"compute", "http://cloud:8774/v2.1"},
                                              {"placement", "http://cloud:8778"},
                                              {"network", "http://cloud:9696"}};
    const json_t *identity = json_object_get(json_object_get(a->body, "auth"), "identity");
    const json_t *user = json_object_get(json_object_get(identity, "password"), "user");
    if (!STREQ(json_str(user, "password", ""), CLOUD_PASSWORD)) {
        fake_nova_refuse(a->answer, 401, "error", "The request you have made requires authentication.");
        return;
    }
    json_t *catalog = json_array();
    for (size_t i = 0; i < COUNT_OF(services); i++)
        json_array_append_new(catalog,
                              json_pack("{s:s, s:[{s:s, s:s, s:s}]}", "type", services[i][0], "endpoints",
                                        "interface", "public", "region_id", REGION, "url", services[i][1]));
    auto_free char *token = xasprintf("token-%d", ++tokens);
    a->answer->headers = json_pack("{s:s}", "x-subject-token", token);
    say(a->answer, 201,
        json_pack("{s:{s:{s:s, s:s}, s:o}}", "token", "project", "id", TENANT, "name", "demo", "catalog",
                  catalog));
}

// ---- Nova: versions, servers ----

static void nova_version(const struct asked *a)
{
    say(a->answer, 200,
        json_pack("{s:{s:s, s:s, s:s, s:s}}", "version", "id", "v2.1", "status", "CURRENT", "version", "2.93",
                  "min_version", "2.1"));
}

static json_t *server_of(const struct asked *a)
{
    const char *task = json_str(a->server, "task", ""), *fault = json_str(a->server, "fault", ""),
               *reason = json_str(a->server, "reason", "");
    const json_t *host = json_object_get(a->server, "host");
    bool active = STREQ(json_str(a->server, "status", ""), "ACTIVE");
    json_t *server = json_pack("{s:s, s:s, s:O, s:s, s:s, s:i, s:[], s:s, s:O, s:s*, s:[]}", "id", WORLD_UUID,
                               "name", CLOUD_SERVER, "status", json_object_get(a->server, "status"),
                               "tenant_id", TENANT, "OS-EXT-AZ:availability_zone", "nova",
                               "OS-EXT-STS:power_state", 1, "os-extended-volumes:volumes_attached",
                               "host_status", "UP", "locked", json_object_get(a->server, "locked"),
                               "locked_reason", *reason ? reason : NULL, "server_groups");
    json_object_update_new(server, json_pack("{s:O, s:O, s:s, s:s?, s:s}", "OS-EXT-SRV-ATTR:host", host,
                                             "OS-EXT-SRV-ATTR:hypervisor_hostname", host,
                                             "OS-EXT-SRV-ATTR:instance_name", WORLD_GUEST,
                                             "OS-EXT-STS:task_state", *task ? task : NULL,
                                             "OS-EXT-STS:vm_state", active ? "active" : "error"));
    json_object_set_new(server, "flavor",
                        json_pack("{s:s, s:i, s:i, s:i, s:{}}", "original_name", "small", "vcpus", VCPUS,
                                  "ram", MEMORY_MB, "disk", DISK_GB, "extra_specs"));
    if (*fault)
        json_object_set_new(server, "fault", json_pack("{s:i, s:s}", "code", 500, "message", fault));
    return server;
}

static bool is_server(const struct asked *a)
{
    if (STREQ(a->parts[0], WORLD_UUID) && !json_flag(a->server, "deleted", false))
        return true;
    auto_free char *what = xasprintf("Instance %s", a->parts[0]);
    not_found(a, what);
    return false;
}

static void nova_show(const struct asked *a)
{
    if (is_server(a))
        say(a->answer, 200, json_pack("{s:o}", "server", server_of(a)));
}

static void nova_list(const struct asked *a)
{
    bool fits = !strstr(a->query, "name=") || strstr(a->query, "name=%5E" CLOUD_SERVER "%24");
    json_t *servers = json_array();
    if (fits && !json_flag(a->server, "deleted", false))
        json_array_append_new(servers, server_of(a));
    say(a->answer, 200, json_pack("{s:o}", "servers", servers));
}

// ---- Nova: what is done to a server ----

static void conflict(const struct asked *a, const char *text)
{
    fake_nova_refuse(a->answer, 409, "conflictingRequest", text);
}

static void ask_for_migration(const struct asked *a, const json_t *options)
{
    const char *host = json_str(options, "host", "");
    bool known = !*host || json_object_get(json_object_get(a->cloud, "services"), host);
    if (world_outcome(a->w)->refused)
        conflict(a, "Cannot 'os-migrateLive' instance " WORLD_UUID " while it is in task_state rebooting");
    else if (*json_str(a->server, "task", ""))
        conflict(a, "Cannot 'os-migrateLive' instance " WORLD_UUID " while it is in task_state migrating");
    else if (!known)
        fake_nova_refuse(a->answer, 400, "badRequest", "Compute host could not be found.");
    else {
        fake_cloud_ask(a->w, host, a->request_id);
        say(a->answer, 202, NULL);
    }
}

static void set_lock(const struct asked *a, bool locked)
{
    json_object_set_new(a->server, "locked", json_boolean(locked));
    json_object_set_new(
        a->server, "reason",
        json_string(locked ? json_str(json_object_get(a->body, "lock"), "locked_reason", "") : ""));
    say(a->answer, 202, NULL);
}

static void nova_act(const struct asked *a)
{
    if (!is_server(a))
        return;
    if (json_object_get(a->body, "os-migrateLive"))
        ask_for_migration(a, json_object_get(a->body, "os-migrateLive"));
    else if (json_object_get(a->body, "lock") || json_object_get(a->body, "unlock"))
        set_lock(a, json_object_get(a->body, "lock") != NULL);
    else
        fake_nova_refuse(a->answer, 400, "badRequest", "There is no such action");
}

// ---- Nova: migrations ----

static json_t *migration_of(const json_t *m, const char *server_key)
{
    const char *dest = json_str(m, "dest", "");
    auto_free char *updated = xasprintf("2026-11-23T17:52:%02d.000000", 35 + (int)json_int(m, "moves", 0));
    return json_pack("{s:O, s:O, s:O, s:O, s:s*, s:s, s:s, s:s, s:s}", "id", json_object_get(m, "id"), "uuid",
                     json_object_get(m, "uuid"), "status", json_object_get(m, "status"), "source_compute",
                     json_object_get(m, "source"), "dest_compute", *dest ? dest : NULL, server_key,
                     WORLD_UUID, "migration_type", "live-migration", "created_at",
                     "2026-11-23T17:52:28.000000", "updated_at", updated);
}

static void nova_migrations(const struct asked *a)
{
    json_t *list = json_array();
    const json_t *all = json_object_get(a->cloud, "migrations");
    for (size_t i = json_array_size(all); i-- > 0;)
        json_array_append_new(list, migration_of(json_array_get(all, i), "instance_uuid"));
    say(a->answer, 200, json_pack("{s:o}", "migrations", list));
}

// The one that goes on, under the number in the path.
static json_t *going_on(const struct asked *a)
{
    json_t *m = fake_cloud_migration(a->w);
    if (!is_server(a))
        return NULL;
    if (m && json_int(m, "id", 0) == atoi(a->parts[1]))
        return m;
    fake_nova_refuse(a->answer, 404, "itemNotFound", "Live migration is not in progress.");
    return NULL;
}

static void nova_progress(const struct asked *a)
{
    const json_t *m = going_on(a);
    if (!m)
        return;
    json_t *shown = migration_of(m, "server_uuid");
    json_object_update_new(shown, json_pack("{s:i, s:i, s:i}", "memory_total_bytes", MEMORY_MB << 20,
                                            "memory_processed_bytes", MEMORY_MB << 19,
                                            "memory_remaining_bytes", MEMORY_MB << 19));
    say(a->answer, 200, json_pack("{s:o}", "migration", shown));
}

static void nova_progresses(const struct asked *a)
{
    json_t *list = json_array(), *m = fake_cloud_migration(a->w);
    if (m)
        json_array_append_new(list, migration_of(m, "server_uuid"));
    say(a->answer, 200, json_pack("{s:o}", "migrations", list));
}

static void nova_abort(const struct asked *a)
{
    if (!is_server(a))
        return;
    if (!fake_cloud_abort(a->w))
        conflict(a, "Instance " WORLD_UUID " is in an invalid state for 'abort live migration'");
    else
        say(a->answer, 202, NULL);
}

static void nova_force(const struct asked *a)
{
    const json_t *m = going_on(a);
    json_t *migration = json_object_get(a->w, "migration");
    if (!m)
        return;
    if (!STREQ(json_str(m, "status", ""), "running")) {
        fake_nova_refuse(a->answer, 400, "badRequest", "Migration is not running");
        return;
    }
    if (json_is_object(migration))
        json_object_set_new(migration, "left", json_integer(1));
    say(a->answer, 202, NULL);
}

// What was done to a server stays on record when it is deleted.
static void nova_actions(const struct asked *a)
{
    if (STREQ(a->parts[0], WORLD_UUID) || is_server(a))
        say(a->answer, 200,
            json_pack("{s:[{s:s}, {s:s}]}", "instanceActions", "action", "live-migration", "action",
                      "create"));
}

static void nova_action(const struct asked *a)
{
    const char *reason = json_str(json_object_get(a->cloud, "refused"), a->parts[1], NULL);
    if (!is_server(a))
        return;
    json_t *event = json_pack("{s:s, s:s, s:s, s:s*, s:n}", "event", "conductor_live_migrate_instance",
                              "result", reason ? "Error" : "Success", "host", "controller", "details", reason,
                              "traceback");
    say(a->answer, 200,
        json_pack("{s:{s:s, s:s, s:s*, s:[o]}}", "instanceAction", "action", "live-migration", "request_id",
                  a->parts[1], "message", reason ? "Error" : NULL, "events", event));
}

// ---- Nova: services and hypervisors ----

static json_t *service_of(const struct asked *a, const char *host)
{
    const json_t *service = json_object_get(json_object_get(a->cloud, "services"), host);
    auto_free char *id = xasprintf("0746b9cb-b1dc-4535-9116-%s", host);
    bool seems_down = world_outcome(a->w)->seems_down && fake_cloud_is_busy(a->w);
    return json_pack("{s:s, s:s, s:s, s:s, s:O, s:s, s:O, s:b}", "binary", "nova-compute", "host", host, "id",
                     id, "zone", "nova", "status", json_object_get(service, "status"), "state",
                     world_serves(host, "nova-compute") && !seems_down ? "up" : "down", "disabled_reason",
                     json_object_get(service, "reason"), "forced_down", 0);
}

static void nova_services(const struct asked *a)
{
    json_t *list = json_array(), *service;
    const char *host, *wanted = strstr(a->query, "host=");
    if (json_flag(a->cloud, "secret", false) && fake_cloud_is_busy(a->w)) {
        json_decref(list);
        fake_nova_refuse(a->answer, 403, "forbidden",
                         "Policy doesn't allow os_compute_api:os-services:list to be performed.");
        return;
    }
    json_object_foreach(json_object_get(a->cloud, "services"), host, service)
        if (!wanted || STREQ(wanted + strlen("host="), host))
            json_array_append_new(list, service_of(a, host));
    say(a->answer, 200, json_pack("{s:o}", "services", list));
}

static void nova_set_service(const struct asked *a)
{
    const char *number = strstr(a->parts[0], "compute-");
    json_t *service = number ? json_object_get(json_object_get(a->cloud, "services"), number) : NULL;
    if (!service) {
        not_found(a, "The service");
        return;
    }
    json_object_set(service, "status", json_object_get(a->body, "status"));
    json_object_set_new(service, "reason", json_string(json_str(a->body, "disabled_reason", "")));
    say(a->answer, 200, json_pack("{s:o}", "service", service_of(a, number)));
}

static void nova_hypervisors(const struct asked *a)
{
    json_t *list = json_array(), *service;
    const char *host;
    json_object_foreach(json_object_get(a->cloud, "services"), host, service)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:O, s:s, s:i, s:{s:s}}", "id", host,
                                              "hypervisor_hostname", host, "state", "up", "status",
                                              json_object_get(service, "status"), "hypervisor_type", "QEMU",
                                              "hypervisor_version", 7002022, "service", "host", host));
    say(a->answer, 200, json_pack("{s:o}", "hypervisors", list));
}

// ---- Placement ----

static void placement_version(const struct asked *a)
{
    say(a->answer, 200,
        json_pack("{s:[{s:s, s:s, s:s, s:s}]}", "versions", "id", "v1.0", "max_version", "1.39",
                  "min_version", "1.0", "status", "CURRENT"));
}

// A provider's uuid, by the name of its host.
static char *provider_id(const char *host) { return xasprintf("2ebc6ee8-f587-424b-9552-%s", host); }

static const char *provider_name(const struct asked *a)
{
    const char *name = strstr(a->parts[0], "compute-");
    if (name && world_host(a->w, name))
        return name;
    say(a->answer, 404,
        json_pack("{s:[{s:i, s:s, s:s}]}", "errors", "status", 404, "title", "Not Found", "detail",
                  "No resource provider is there."));
    return NULL;
}

static json_t *provider_of(const char *name)
{
    auto_free char *id = provider_id(name);
    return json_pack("{s:s, s:s, s:s}", "uuid", id, "name", name, "root_provider_uuid", id);
}

static void placement_providers(const struct asked *a)
{
    const char *name = strstr(a->query, "name=");
    bool known = name && world_host(a->w, name + strlen("name="));
    json_t *list = json_array();
    if (known)
        json_array_append_new(list, provider_of(name + strlen("name=")));
    say(a->answer, 200, json_pack("{s:o}", "resource_providers", list));
}

static void placement_provider(const struct asked *a)
{
    if (provider_name(a))
        say(a->answer, 200, provider_of(provider_name(a)));
}

static void placement_inventories(const struct asked *a)
{
    if (provider_name(a))
        say(a->answer, 200,
            json_pack("{s:{s:{s:i, s:i, s:f}, s:{s:i, s:i, s:f}}}", "inventories", "VCPU", "total", 4,
                      "reserved", 0, "allocation_ratio", 16.0, "MEMORY_MB", "total", 8154, "reserved", 512,
                      "allocation_ratio", 1.0));
}

static void placement_usages(const struct asked *a)
{
    int count = 0;
    const char *name = provider_name(a), *consumer;
    json_t *held;
    if (!name)
        return;
    json_object_foreach(json_object_get(a->cloud, "holds"), consumer, held)
        count += json_object_get(held, name) != NULL;
    say(a->answer, 200,
        json_pack("{s:{s:i, s:i, s:i}}", "usages", "VCPU", VCPUS * count, "MEMORY_MB", MEMORY_MB * count,
                  "DISK_GB", DISK_GB * count));
}

static void placement_allocations(const struct asked *a)
{
    json_t *all = json_object(), *flag;
    const char *host;
    json_object_foreach(json_object_get(json_object_get(a->cloud, "holds"), a->parts[0]), host, flag) {
        auto_free char *id = provider_id(host);
        json_object_set_new(all, id,
                            json_pack("{s:{s:i, s:i, s:i}}", "resources", "VCPU", VCPUS, "MEMORY_MB",
                                      MEMORY_MB, "DISK_GB", DISK_GB));
    }
    say(a->answer, 200, json_pack("{s:o}", "allocations", all));
}

// ---- Neutron ----

// The host where the port is bound: that of its active binding.
static const char *bound_to(const struct asked *a)
{
    const char *host;
    json_t *status;
    json_object_foreach(json_object_get(a->cloud, "bindings"), host, status)
        if (STREQ(json_string_value(status), "ACTIVE"))
            return host;
    return "";
}

static void neutron_ports(const struct asked *a)
{
    say(a->answer, 200,
        json_pack("{s:[{s:s, s:s, s:s, s:s, s:s}]}", "ports", "id", CLOUD_PORT, "mac_address",
                  "fa:16:3e:00:00:01", "binding:host_id", bound_to(a), "status", "ACTIVE", "binding:vif_type",
                  "ovs"));
}

static void neutron_bindings(const struct asked *a)
{
    json_t *list = json_array(), *status;
    const char *host;
    json_object_foreach(json_object_get(a->cloud, "bindings"), host, status)
        json_array_append_new(list, json_pack("{s:s, s:O}", "host", host, "status", status));
    say(a->answer, 200, json_pack("{s:o}", "bindings", list));
}

// ---- routes ----

static const struct route {
    const char *service, *method, *path;
    void (*serve)(const struct asked *a);
} routes[] = {
    {"keystone", "POST", "/v3/auth/tokens", log_in},
    {"nova", "GET", "/v2.1/", nova_version},
    {"nova", "GET", "/v2.1/servers", nova_list},
    {"nova", "GET", "/v2.1/servers/detail", nova_list},
    {"nova", "GET", "/v2.1/servers/*", nova_show},
    {"nova", "POST", "/v2.1/servers/*/action", nova_act},
    {"nova", "GET", "/v2.1/servers/*/migrations", nova_progresses},
    {"nova", "GET", "/v2.1/servers/*/migrations/*", nova_progress},
    {"nova", "DELETE", "/v2.1/servers/*/migrations/*", nova_abort},
    {"nova", "POST", "/v2.1/servers/*/migrations/*/action", nova_force},
    {"nova", "GET", "/v2.1/servers/*/os-instance-actions", nova_actions},
    {"nova", "GET", "/v2.1/servers/*/os-instance-actions/*", nova_action},
    {"nova", "GET", "/v2.1/os-migrations", nova_migrations},
    {"nova", "GET", "/v2.1/os-services", nova_services},
    {"nova", "PUT", "/v2.1/os-services/*", nova_set_service},
    {"nova", "GET", "/v2.1/os-hypervisors/detail", nova_hypervisors},
    {"placement", "GET", "/", placement_version},
    {"placement", "GET", "/resource_providers", placement_providers},
    {"placement", "GET", "/resource_providers/*", placement_provider},
    {"placement", "GET", "/resource_providers/*/inventories", placement_inventories},
    {"placement", "GET", "/resource_providers/*/usages", placement_usages},
    {"placement", "GET", "/allocations/*", placement_allocations},
    {"neutron", "GET", "/v2.0/ports", neutron_ports},
    {"neutron", "GET", "/v2.0/ports/*/bindings", neutron_bindings},
};

static const struct {
    const char *port, *service;
} ports[] = {{":5000/", "keystone"}, {":8774/", "nova"}, {":8778/", "placement"}, {":9696/", "neutron"}};

const char *fake_nova_service(const char *url)
{
    for (size_t i = 0; i < COUNT_OF(ports); i++)
        if (strstr(url, ports[i].port))
            return ports[i].service;
    return "nobody";
}

// Whether a path is the route's; parts: what stands for each '*'.
static bool follows(const char *path, const char *route, char *parts[PARTS])
{
    for (int n = 0; *route; route++) {
        if (*route != '*') {
            if (*path++ != *route)
                return false;
            continue;
        }
        size_t len = strcspn(path, "/");
        free(parts[n]);
        parts[n++] = xstrndup(path, len);
        path += len;
    }
    return !*path;
}

static const struct route *find_route(const char *service, const char *method, struct asked *a)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        if (STREQ(routes[i].service, service) && STREQ(routes[i].method, method) &&
            follows(a->path, routes[i].path, a->parts))
            return &routes[i];
    return NULL;
}

static void serve(const char *service, const struct http_request *request, struct asked *a)
{
    const struct route *route = find_route(service, request->method, a);
    bool open = STREQ(service, "keystone") ||
                (route && (route->serve == nova_version || route->serve == placement_version));
    if (!open && !is_known(request))
        fake_nova_refuse(a->answer, 401, "error", "The request you have made requires authentication.");
    else if (!route)
        fake_nova_refuse(a->answer, 404, "itemNotFound", "The resource could not be found.");
    else
        route->serve(a);
    json_object_set_new(a->answer->headers, "x-openstack-request-id",
                        json_string(a->request_id ? a->request_id : "req-of-a-look"));
}

static char *new_request_id(json_t *cloud)
{
    json_int_t number = json_int(cloud, "requests", 0) + 1;
    json_object_set_new(cloud, "requests", json_integer(number));
    return xasprintf("req-%d", (int)number);
}

void fake_nova_answer(json_t *w, const struct http_request *request, struct http_answer *answer)
{
    const char *service = fake_nova_service(request->url), *from = strstr(request->url, "://");
    const char *path = from ? strchr(from + 3, '/') : NULL, *query = strchr(request->url, '?');
    bool changes = !STREQ(service, "keystone") && !STREQ(request->method, "GET");
    struct asked a = {
        .w = w, .cloud = fake_cloud(w), .server = json_object_get(fake_cloud(w), "server"), .answer = answer};
    a.path = path ? xstrndup(path, strcspn(path, "?")) : xstrdup("/");
    a.query = xstrdup(query ? query + 1 : "");
    a.body = request->body ? json_loads(request->body, 0, NULL) : NULL;
    if (changes)
        a.request_id = new_request_id(a.cloud);
    serve(service, request, &a);
    for (size_t i = 0; i < PARTS; i++)
        free(a.parts[i]);
    free(a.path);
    free(a.query);
    json_decref(a.body);
    free(a.request_id);
}
