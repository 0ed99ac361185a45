// SPDX-License-Identifier: MIT
#include "world/openstack/nova.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, PAGES_MAX = 100, LISTED = 8, REASON_MAX = 500 };

// The newest of those microversions that both sides speak; 0: none.
static int best_of(int newest, const int *wanted, size_t count)
{
    for (size_t i = count; i-- > 0;)
        if (wanted[i] <= newest)
            return wanted[i];
    return 0;
}
#define BEST(newest, ...) \
    best_of(newest, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

static int get(struct cloud *cloud, const char *service, int minor, const char *what, json_t **answer,
               struct error *err, const char *format, ...) __attribute__((format(printf, 7, 8)));
static int get(struct cloud *cloud, const char *service, int minor, const char *what, json_t **answer,
               struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *path = xvasprintf(format, args);
    va_end(args);
    const struct cloud_request request = {
        .service = service, .method = "GET", .path = path, .minor = minor, .what = what};
    int rc = cloud_send(cloud, &request, answer, NULL, err);
    free(path);
    return rc;
}

// A text as a part of a URL.
static char *url_text(const char *text)
{
    auto_buf struct buf b = {0};
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (isalnum(*p) || strchr("-._~", *p))
            buf_add(&b, p, 1);
        else
            buf_printf(&b, "%%%02X", *p);
    return buf_take(&b);
}

static bool is_uuid(const char *text)
{
    size_t len = strlen(text);
    return (len == 36 || len == 32) && strspn(text, "0123456789abcdefABCDEF-") == len;
}

// ---- servers ----

static void copy_text(json_t *to, const char *as, const json_t *from, const char *name)
{
    const json_t *value = json_object_get(from, name);
    if (value)
        json_object_set_new(to, as,
                            json_is_string(value) ? json_text(json_string_value(value)) : json_string(""));
}

static json_t *flavor_of(const json_t *server)
{
    const json_t *flavor = json_object_get(server, "flavor");
    json_t *result = json_pack("{s:o}", "name",
                               json_text(json_str(flavor, "original_name", json_str(flavor, "id", ""))));
    static const char *const numbers[] = {"vcpus", "ram", "disk"};
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        if (json_is_integer(json_object_get(flavor, numbers[i])))
            json_object_set(result, numbers[i], json_object_get(flavor, numbers[i]));
    if (json_is_object(json_object_get(flavor, "extra_specs")))
        json_object_set(result, "extra", json_object_get(flavor, "extra_specs"));
    return result;
}

static json_t *server_from(const json_t *given)
{
    static const char *const names[][2] = {
        {"id", "id"},
        {"name", "name"},
        {"status", "status"},
        {"vm_state", "OS-EXT-STS:vm_state"},
        {"task_state", "OS-EXT-STS:task_state"},
        {"host", "OS-EXT-SRV-ATTR:host"},
        {"hypervisor", "OS-EXT-SRV-ATTR:hypervisor_hostname"},
        {"libvirt_name", "OS-EXT-SRV-ATTR:instance_name"},
        {"locked_reason", "locked_reason"},
        {"created", "created"},
        {"az", "OS-EXT-AZ:availability_zone"},
        {"project", "tenant_id"},
        {"host_status", "host_status"},
    };
    json_t *server = json_object();
    for (size_t i = 0; i < COUNT_OF(names); i++)
        copy_text(server, names[i][0], given, names[i][1]);
    if (json_is_boolean(json_object_get(given, "locked")))
        json_object_set(server, "locked", json_object_get(given, "locked"));
    if (json_is_integer(json_object_get(given, "OS-EXT-STS:power_state")))
        json_object_set(server, "power_state", json_object_get(given, "OS-EXT-STS:power_state"));
    json_object_set_new(server, "fault", json_text(json_str(json_object_get(given, "fault"), "message", "")));
    json_object_set_new(server, "volumes",
                        json_integer((json_int_t)json_array_size(
                            json_object_get(given, "os-extended-volumes:volumes_attached"))));
    json_object_set_new(server, "flavor", flavor_of(given));
    if (json_is_array(json_object_get(given, "server_groups")))
        json_object_set(server, "groups", json_object_get(given, "server_groups"));
    return server;
}

// What a server shows: its lock since 2.9, its flavor whole since 2.47, its groups since 2.71, the lock's
// reason since 2.73.
static int server_minor(struct cloud *cloud, int *minor, struct error *err)
{
    int newest;
    if (cloud_newest(cloud, "compute", &newest, err) < 0)
        return -1;
    *minor = BEST(newest, 9, 47, 71, 73);
    return 0;
}

static int show(struct cloud *cloud, const char *id, json_t **answer, struct error *err)
{
    int minor;
    auto_free char *part = url_text(id);
    return server_minor(cloud, &minor, err) < 0
               ? -1
               : get(cloud, "compute", minor, "showing the instance", answer, err, "/servers/%s", part);
}

int nova_server(struct cloud *cloud, const char *id, json_t **server, struct error *err)
{
    auto_json json_t *answer = NULL;
    if (show(cloud, id, &answer, err) < 0)
        return -1;
    const json_t *found = json_object_get(answer, "server");
    if (!json_is_object(found))
        return error_set(err, ERR_OPENSTACK, 200, "Nova's answer about %s contains no server", id);
    *server = server_from(found);
    return 0;
}

// A name as the regular expression that Nova's database takes names for.
static char *exactly(const char *name)
{
    auto_buf struct buf b = {0};
    buf_puts(&b, "^");
    for (const char *p = name; *p; p++) {
        if (strchr("\\^$.|?*+()[]{}", *p))
            buf_puts(&b, "\\");
        buf_add(&b, p, 1);
    }
    buf_puts(&b, "$");
    return url_text(b.data);
}

// One page of servers (of all projects, unless these credentials may not look there), after marker. detail:
// "" for their names alone, which Nova tells in half the time, or "/detail".
static int list_page(struct cloud *cloud, const char *detail, const char *filter, const char *marker,
                     json_t **answer, struct error *err)
{
    int minor;
    auto_free char *after = marker ? xasprintf("&marker=%s", marker) : xstrdup("");
    if (server_minor(cloud, &minor, err) < 0)
        return -1;
    int rc = get(cloud, "compute", minor, "listing instances", answer, err,
                 "/servers%s?all_tenants=1&limit=%d%s%s", detail, PAGE, filter, after);
    if (rc < 0 && err->domain == ERR_OPENSTACK && err->code == 403)
        rc = get(cloud, "compute", minor, "listing instances", answer, err, "/servers%s?limit=%d%s%s", detail,
                 PAGE, filter, after);
    return rc;
}

// All servers of a filter whose member is the text.
static int find_all(struct cloud *cloud, const char *detail, const char *filter, const char *member,
                    const char *text, json_t **found, struct error *err)
{
    auto_json json_t *all = json_array();
    auto_free char *marker = NULL;
    for (int page = 0; page < PAGES_MAX; page++) {
        auto_json json_t *answer = NULL;
        if (list_page(cloud, detail, filter, marker, &answer, err) < 0)
            return -1;
        const json_t *servers = json_object_get(answer, "servers");
        for (size_t i = 0; i < json_array_size(servers); i++)
            if (STREQ(json_str(json_array_get(servers, i), member, ""), text))
                json_array_append_new(all, server_from(json_array_get(servers, i)));
        const char *last = json_str(json_array_get(servers, json_array_size(servers) - 1), "id", NULL);
        if (!json_array_size(json_object_get(answer, "servers_links")) || !last ||
            (marker && STREQ(last, marker)))
            break;
        free(marker);
        marker = url_text(last);
    }
    *found = steal(&all);
    return 0;
}

static int several(const char *name, const json_t *found, struct error *err)
{
    auto_buf struct buf list = {0};
    size_t count = json_array_size(found);
    for (size_t i = 0; i < count && i < LISTED; i++) {
        const json_t *server = json_array_get(found, i);
        buf_printf(&list, "%s%s (%s on %s)", i ? ", " : "", json_str(server, "id", "?"),
                   json_str(server, "status", "?"), json_str(server, "host", "a host that is not told"));
    }
    return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                     "%zu instances have the name '%s': name one by its id: %s%s", count, name, list.data,
                     count > LISTED ? ", …" : "");
}

// detail: of the list by name, as list_page's. *shown: it is the server itself, and no entry of a list.
static int find(struct cloud *cloud, const char *name, const char *detail, json_t **server, bool *shown,
                struct error *err)
{
    if ((*shown = is_uuid(name))) {
        int rc = nova_server(cloud, name, server, err);
        if (rc == 0 || err->domain != ERR_OPENSTACK || err->code != 404)
            return rc;
        *shown = false;
    }
    auto_json json_t *found = NULL;
    auto_free char *pattern = exactly(name), *filter = xasprintf("&name=%s", pattern),
                   *plain = printable(name);
    if (find_all(cloud, detail, filter, "name", name, &found, err) < 0)
        return -1;
    if (json_array_size(found) > 1 && !*detail) {
        json_decref(found);
        found = NULL;
        if (find_all(cloud, "/detail", filter, "name", name, &found, err) < 0)
            return -1;
    }
    // libvirt's name is made of the number in Nova's database, which no filter asks for.
    if (!json_array_size(found) && strchr(name, '-')) {
        json_decref(found);
        found = NULL;
        if (find_all(cloud, "/detail", "", "OS-EXT-SRV-ATTR:instance_name", name, &found, err) < 0)
            return -1;
    }
    if (json_array_size(found) > 1)
        return several(plain, found, err);
    if (!json_array_size(found))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "Nova of cloud '%s' has no instance '%.80s', neither by id nor by name nor by "
                         "libvirt's name of it",
                         cloud_name(cloud), plain);
    *server = json_incref(json_array_get(found, 0));
    return 0;
}

int nova_find(struct cloud *cloud, const char *name, json_t **server, struct error *err)
{
    auto_json json_t *found = NULL;
    bool shown;
    if (find(cloud, name, "", &found, &shown, err) < 0)
        return -1;
    if (!shown)
        return nova_server(cloud, json_str(found, "id", ""), server, err);
    *server = steal(&found);
    return 0;
}

int nova_find_listed(struct cloud *cloud, const char *name, json_t **server, struct error *err)
{
    bool shown;
    return find(cloud, name, "/detail", server, &shown, err);
}

// ---- services and hypervisors ----

int nova_services(struct cloud *cloud, const char *host, json_t **services, struct error *err)
{
    int newest;
    auto_json json_t *answer = NULL;
    auto_free char *part = host ? url_text(host) : NULL;
    if (cloud_newest(cloud, "compute", &newest, err) < 0 ||
        get(cloud, "compute", BEST(newest, 11, 53), "listing services", &answer, err,
            part ? "/os-services?host=%s" : "/os-services%s", part ? part : "") < 0)
        return -1;
    *services = json_array();
    size_t i;
    json_t *given;
    json_array_foreach(json_object_get(answer, "services"), i, given) {
        json_t *service = json_object();
        static const char *const names[][2] = {{"host", "host"},   {"binary", "binary"},
                                               {"state", "state"}, {"status", "status"},
                                               {"zone", "zone"},   {"reason", "disabled_reason"}};
        for (size_t j = 0; j < COUNT_OF(names); j++)
            copy_text(service, names[j][0], given, names[j][1]);
        static const char *const plain[] = {"id", "forced_down"};
        for (size_t j = 0; j < COUNT_OF(plain); j++)
            if (json_object_get(given, plain[j]))
                json_object_set(service, plain[j], json_object_get(given, plain[j]));
        json_array_append_new(*services, service);
    }
    return 0;
}

static json_t *hypervisor_from(const json_t *given)
{
    json_t *result = json_object();
    static const char *const names[][2] = {{"name", "hypervisor_hostname"},
                                           {"state", "state"},
                                           {"status", "status"},
                                           {"type", "hypervisor_type"},
                                           {"ip", "host_ip"}};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        copy_text(result, names[i][0], given, names[i][1]);
    copy_text(result, "host", json_object_get(given, "service"), "host");
    if (json_is_integer(json_object_get(given, "hypervisor_version")))
        json_object_set(result, "version", json_object_get(given, "hypervisor_version"));
    if (json_object_get(given, "id"))
        json_object_set(result, "id", json_object_get(given, "id"));
    return result;
}

int nova_hypervisor_of(struct cloud *cloud, const char *host, json_t **hypervisor, struct error *err)
{
    int newest;
    auto_json json_t *answer = NULL;
    if (cloud_newest(cloud, "compute", &newest, err) < 0 ||
        get(cloud, "compute", BEST(newest, 1, 53), "listing hypervisors", &answer, err,
            "/os-hypervisors/detail") < 0)
        return -1;
    size_t i;
    json_t *given;
    json_array_foreach(json_object_get(answer, "hypervisors"), i, given) {
        if (STREQ(json_str(json_object_get(given, "service"), "host", ""), host)) {
            *hypervisor = hypervisor_from(given);
            return 0;
        }
    }
    return error_set(err, ERR_OPENSTACK, 404, "Nova of cloud '%s' has no hypervisor on host %s",
                     cloud_name(cloud), host);
}

// ---- live migrations ----

static int newest_first(const void *a, const void *b)
{
    int64_t one = json_int(*(json_t *const *)a, "id", 0), other = json_int(*(json_t *const *)b, "id", 0);
    return one > other ? -1 : one < other;
}

int nova_migrations(struct cloud *cloud, const char *server, json_t **migrations, struct error *err)
{
    int newest;
    auto_json json_t *answer = NULL;
    auto_free char *id = url_text(server);
    if (cloud_newest(cloud, "compute", &newest, err) < 0)
        return -1;
    // Pages (and uuids) since 2.59, the type since 2.23.
    int minor = BEST(newest, 1, 23, 59);
    if (get(cloud, "compute", minor, "listing the instance's migrations", &answer, err,
            "/os-migrations?instance_uuid=%s%s", id, minor >= 59 ? "&limit=20" : "") < 0)
        return -1;
    const json_t *given = json_object_get(answer, "migrations");
    size_t count = json_array_size(given), kept = 0;
    auto_free json_t **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        json_t *entry = json_array_get(given, i);
        if (STREQ(json_str(entry, "instance_uuid", ""), server) &&
            STREQ(json_str(entry, "migration_type", "live-migration"), "live-migration"))
            list[kept++] = entry;
    }
    qsort(list, kept, sizeof *list, newest_first);
    *migrations = json_array();
    for (size_t i = 0; i < kept; i++) {
        json_t *entry = json_pack("{s:I}", "id", (json_int_t)json_int(list[i], "id", 0));
        static const char *const names[][2] = {
            {"uuid", "uuid"},         {"status", "status"},      {"source", "source_compute"},
            {"dest", "dest_compute"}, {"created", "created_at"}, {"updated", "updated_at"}};
        for (size_t j = 0; j < COUNT_OF(names); j++)
            copy_text(entry, names[j][0], list[i], names[j][1]);
        json_array_append_new(*migrations, entry);
    }
    return 0;
}

int nova_progress(struct cloud *cloud, const char *server, json_int_t migration, json_t **progress,
                  struct error *err)
{
    auto_json json_t *answer = NULL;
    auto_free char *id = url_text(server);
    if (get(cloud, "compute", 23, "showing the migration", &answer, err,
            "/servers/%s/migrations/%" JSON_INTEGER_FORMAT, id, migration) < 0)
        return -1;
    const json_t *given = json_object_get(answer, "migration");
    *progress = json_object();
    copy_text(*progress, "status", given, "status");
    static const char *const numbers[][2] = {
        {"memory_total", "memory_total_bytes"},         {"memory_processed", "memory_processed_bytes"},
        {"memory_remaining", "memory_remaining_bytes"}, {"disk_total", "disk_total_bytes"},
        {"disk_processed", "disk_processed_bytes"},     {"disk_remaining", "disk_remaining_bytes"}};
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        if (json_is_integer(json_object_get(given, numbers[i][1])))
            json_object_set(*progress, numbers[i][0], json_object_get(given, numbers[i][1]));
    return 0;
}

static int act(struct cloud *cloud, const char *server, const char *path, int minor, json_t *body,
               const char *what, char *request_id, struct error *err)
{
    auto_json json_t *owned = body;
    auto_free char *id = url_text(server), *whole = xasprintf("/servers/%s/%s", id, path);
    const struct cloud_request request = {
        .service = "compute", .method = "POST", .path = whole, .body = owned, .minor = minor, .what = what};
    return cloud_send(cloud, &request, NULL, request_id, err);
}

// Since 2.25 Nova finds out by itself whether disks are to be copied; since 2.30 its scheduler checks a host
// that is named (and 2.68 has no force). Before 2.25 the storage is taken for shared.
int nova_live_migrate(struct cloud *cloud, const json_t *server, const char *host, char *request_id,
                      struct error *err)
{
    int newest;
    if (cloud_newest(cloud, "compute", &newest, err) < 0)
        return -1;
    int minor = BEST(newest, 25, 30, 34, 68);
    json_t *options = json_pack("{s:o}", "host", host ? json_text(host) : json_null());
    json_object_set_new(options, "block_migration", minor ? json_string("auto") : json_false());
    if (!minor)
        json_object_set_new(options, "disk_over_commit", json_false());
    auto_free char *what = xasprintf("live-migrating %s to %s", json_str(server, "name", "?"),
                                     host ? host : "a host of the scheduler's choice");
    return act(cloud, json_str(server, "id", ""), "action", minor,
               json_pack("{s:o}", "os-migrateLive", options), what, request_id, err);
}

int nova_abort(struct cloud *cloud, const char *server, json_int_t migration, struct error *err)
{
    auto_free char *id = url_text(server),
                   *path = xasprintf("/servers/%s/migrations/%" JSON_INTEGER_FORMAT, id, migration);
    int newest;
    if (cloud_newest(cloud, "compute", &newest, err) < 0)
        return -1;
    // Since 2.65 one that is queued or being prepared, too. Asking twice does no harm.
    const struct cloud_request request = {.service = "compute",
                                          .method = "DELETE",
                                          .path = path,
                                          .minor = newest >= 65 ? 65 : 24,
                                          .what = "aborting the migration",
                                          .harmless = true};
    return cloud_send(cloud, &request, NULL, NULL, err);
}

int nova_action(struct cloud *cloud, const char *server, const char *request_id, json_t **action,
                struct error *err)
{
    int newest;
    auto_json json_t *answer = NULL;
    auto_free char *id = url_text(server), *request = url_text(request_id);
    if (cloud_newest(cloud, "compute", &newest, err) < 0 ||
        get(cloud, "compute", BEST(newest, 1, 51, 62, 84), "showing the instance's action", &answer, err,
            "/servers/%s/os-instance-actions/%s", id, request) < 0)
        return -1;
    const json_t *given = json_object_get(answer, "instanceAction");
    *action = json_object();
    copy_text(*action, "action", given, "action");
    copy_text(*action, "message", given, "message");
    json_t *events = json_array(), *event;
    size_t i;
    json_array_foreach(json_object_get(given, "events"), i, event) {
        json_t *entry = json_object();
        static const char *const names[] = {"event", "result", "host", "details", "traceback"};
        for (size_t j = 0; j < COUNT_OF(names); j++)
            copy_text(entry, names[j], event, names[j]);
        json_array_append_new(events, entry);
    }
    json_object_set_new(*action, "events", events);
    return 0;
}

int nova_actions(struct cloud *cloud, const char *server, json_t **actions, struct error *err)
{
    int newest;
    auto_json json_t *answer = NULL;
    auto_free char *id = url_text(server);
    if (cloud_newest(cloud, "compute", &newest, err) < 0)
        return -1;
    int minor = BEST(newest, 1, 21, 58);
    if (get(cloud, "compute", minor, "listing the instance's actions", &answer, err,
            "/servers/%s/os-instance-actions%s", id, minor >= 58 ? "?limit=20" : "") < 0)
        return -1;
    size_t i;
    json_t *given;
    *actions = json_array();
    json_array_foreach(json_object_get(answer, "instanceActions"), i, given) {
        static const char *const names[][2] = {{"action", "action"},
                                               {"request_id", "request_id"},
                                               {"start", "start_time"},
                                               {"updated", "updated_at"},
                                               {"message", "message"}};
        json_t *entry = json_object();
        for (size_t j = 0; j < COUNT_OF(names); j++)
            copy_text(entry, names[j][0], given, names[j][1]);
        json_array_append_new(*actions, entry);
    }
    return 0;
}

bool nova_was_deleted(struct cloud *cloud, const char *server)
{
    int newest;
    struct error err = {0};
    auto_json json_t *there = NULL, *answer = NULL;
    auto_free char *id = url_text(server);
    if (nova_server(cloud, server, &there, &err) == 0 || err.domain != ERR_OPENSTACK || err.code != 404 ||
        cloud_newest(cloud, "compute", &newest, NULL) < 0 || newest < 21)
        return false;
    return get(cloud, "compute", 21, "listing the instance's actions", &answer, NULL,
               "/servers/%s/os-instance-actions", id) == 0 &&
           json_array_size(json_object_get(answer, "instanceActions")) > 0;
}

// The last line of a traceback, which names the error.
static const char *last_line(const char *text)
{
    const char *last = text;
    for (const char *p = text; *p; p++)
        if (*p == '\n' && p[1] && p[1] != ' ' && p[1] != '\n')
            last = p + 1;
    return last;
}

char *nova_reason(const json_t *action)
{
    const char *found = NULL;
    size_t i;
    json_t *event;
    // The newest event comes first; the one that failed first (the last here) is where the reason was born.
    json_array_foreach(json_object_get(action, "events"), i, event) {
        const char *details = json_str(event, "details", ""), *traceback = json_str(event, "traceback", "");
        if (STREQ(json_str(event, "result", ""), "Error") && (*details || *traceback))
            found = *details ? details : last_line(traceback);
    }
    if (!found)
        return NULL;
    size_t len = strlen(found);
    while (len && strchr(". \n", found[len - 1]))
        len--;
    auto_free char *text = xasprintf("%.*s", (int)(len < REASON_MAX ? len : REASON_MAX), found);
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return printable(text);
}

int nova_set_lock(struct cloud *cloud, const char *server, bool locked, const char *reason, char *request_id,
                  struct error *err)
{
    int newest;
    if (cloud_newest(cloud, "compute", &newest, err) < 0)
        return -1;
    json_t *body = locked && reason && *reason && newest >= 73
                       ? json_pack("{s:{s:o}}", "lock", "locked_reason", json_text(reason))
                       : json_pack("{s:n}", locked ? "lock" : "unlock");
    return act(cloud, server, "action", locked && reason && *reason && newest >= 73 ? 73 : 0, body,
               locked ? "locking the instance" : "unlocking the instance", request_id, err);
}

// ---- Placement ----

int placement_provider(struct cloud *cloud, const char *name, json_t **provider, struct error *err)
{
    auto_json json_t *list = NULL, *inventories = NULL, *usages = NULL;
    auto_free char *part = url_text(name);
    if (get(cloud, "placement", 0, "listing resource providers", &list, err, "/resource_providers?name=%s",
            part) < 0)
        return -1;
    const json_t *found = json_array_get(json_object_get(list, "resource_providers"), 0);
    const char *uuid = json_str(found, "uuid", NULL);
    if (!uuid)
        return error_set(err, ERR_OPENSTACK, 404, "Placement of cloud '%s' has no resource provider %s",
                         cloud_name(cloud), name);
    auto_free char *id = url_text(uuid);
    int rc = get(cloud, "placement", 0, "showing inventories", &inventories, err,
                 "/resource_providers/%s/inventories", id);
    if (get(cloud, "placement", 0, "showing usages", &usages, rc < 0 ? NULL : err,
            "/resource_providers/%s/usages", id) < 0 ||
        rc < 0)
        return -1;
    *provider = json_pack("{s:s, s:O, s:O?, s:O?}", "uuid", uuid, "name", json_object_get(found, "name"),
                          "inventories", json_object_get(inventories, "inventories"), "usages",
                          json_object_get(usages, "usages"));
    if (!*provider)
        return error_set(err, ERR_OPENSTACK, 200, "Placement's answer about %s is malformed", name);
    return 0;
}

int placement_provider_of(struct cloud *cloud, const char *host, json_t **provider, struct error *err)
{
    auto_json json_t *hypervisor = NULL;
    struct error none = {0};
    int rc = placement_provider(cloud, host, provider, &none);
    if (rc == 0 || none.domain != ERR_OPENSTACK || none.code != 404) {
        if (rc < 0 && err)
            *err = none;
        return rc;
    }
    return nova_hypervisor_of(cloud, host, &hypervisor, err) < 0
               ? -1
               : placement_provider(cloud, json_str(hypervisor, "name", ""), provider, err);
}

// The name of the tree's root that a provider belongs to (a nested one since 1.14).
static int root_name(struct cloud *cloud, const char *uuid, json_t **name, struct error *err)
{
    int newest;
    auto_json json_t *answer = NULL;
    auto_free char *id = url_text(uuid), *root = NULL;
    if (cloud_newest(cloud, "placement", &newest, err) < 0 ||
        get(cloud, "placement", newest >= 14 ? 14 : 0, "showing a resource provider", &answer, err,
            "/resource_providers/%s", id) < 0)
        return -1;
    root = xstrdup(json_str(answer, "root_provider_uuid", uuid));
    if (!STREQ(root, uuid)) {
        free(id);
        id = url_text(root);
        json_decref(answer);
        answer = NULL;
        if (get(cloud, "placement", 14, "showing a resource provider", &answer, err, "/resource_providers/%s",
                id) < 0)
            return -1;
    }
    *name = json_text(json_str(answer, "name", ""));
    return 0;
}

int placement_allocations(struct cloud *cloud, const char *consumer, json_t **allocations, struct error *err)
{
    auto_json json_t *answer = NULL, *all = json_array();
    auto_free char *id = url_text(consumer);
    if (get(cloud, "placement", 0, "showing allocations", &answer, err, "/allocations/%s", id) < 0)
        return -1;
    const char *uuid;
    json_t *given;
    json_object_foreach(json_object_get(answer, "allocations"), uuid, given) {
        json_t *name;
        if (root_name(cloud, uuid, &name, err) < 0)
            return -1;
        json_t *resources = json_is_object(json_object_get(given, "resources"))
                                ? json_incref(json_object_get(given, "resources"))
                                : json_object();
        json_array_append_new(
            all, json_pack("{s:s, s:o, s:o}", "uuid", uuid, "name", name, "resources", resources));
    }
    *allocations = steal(&all);
    return 0;
}

// ---- Neutron ----

// Where a port is bound: an extension of Neutron, which tells administrators alone.
static int port_bindings(struct cloud *cloud, const char *port, json_t *entry, struct error *err)
{
    auto_json json_t *answer = NULL;
    auto_free char *id = url_text(port);
    if (get(cloud, "network", 0, "showing a port's bindings", &answer, err, "/ports/%s/bindings", id) < 0)
        return err->domain == ERR_OPENSTACK && (err->code == 404 || err->code == 403) ? 0 : -1;
    json_t *bindings = json_array(), *given;
    size_t i;
    json_array_foreach(json_object_get(answer, "bindings"), i, given)
        json_array_append_new(bindings,
                              json_pack("{s:o, s:o}", "host", json_text(json_str(given, "host", "")),
                                        "status", json_text(json_str(given, "status", ""))));
    json_object_set_new(entry, "bindings", bindings);
    return 0;
}

static json_t *fixed_addresses(const json_t *port)
{
    json_t *addresses = json_array(), *fixed;
    size_t i;
    json_array_foreach(json_object_get(port, "fixed_ips"), i, fixed) {
        const char *address = json_str(fixed, "ip_address", NULL);
        if (address)
            json_array_append_new(addresses, json_text(address));
    }
    return addresses;
}

int neutron_ports(struct cloud *cloud, const char *server, json_t **ports, struct error *err)
{
    auto_json json_t *answer = NULL, *all = json_array();
    auto_free char *part = url_text(server);
    struct error ignored;
    if (!err)
        err = &ignored;
    if (get(cloud, "network", 0, "listing the instance's ports", &answer, err, "/ports?device_id=%s", part) <
        0)
        return -1;
    size_t i;
    json_t *given;
    json_array_foreach(json_object_get(answer, "ports"), i, given) {
        json_t *entry = json_object();
        static const char *const names[][2] = {{"id", "id"},
                                               {"mac", "mac_address"},
                                               {"host", "binding:host_id"},
                                               {"status", "status"},
                                               {"vif_type", "binding:vif_type"}};
        for (size_t j = 0; j < COUNT_OF(names); j++)
            copy_text(entry, names[j][0], given, names[j][1]);
        json_object_set_new(entry, "addresses", fixed_addresses(given));
        json_array_append_new(all, entry);
        if (port_bindings(cloud, json_str(given, "id", ""), entry, err) < 0)
            return -1;
    }
    *ports = steal(&all);
    return 0;
}
