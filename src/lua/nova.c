// SPDX-License-Identifier: MIT
// Nova, with Placement and Neutron: run.nova.
#include "base/clock.h"
#include "lua/bindings.h"
#include "run/change.h"
#include "run/cloud.h"

#include <stdlib.h>
#include <string.h>

#define NOVA_KEY "migrun.nova"

static const struct class_of nova_class;

static struct cloud *check_cloud(lua_State *L)
{
    class_check(L, 1, &nova_class);
    struct cloud *cloud;
    struct error err;
    if (run_cloud(run_of(L), &cloud, &err) < 0)
        lua_raise(L, &err);
    return cloud;
}

static int answer(lua_State *L, void **box, int rc, const struct error *err)
{
    if (rc < 0)
        return lua_raise(L, err);
    lua_push_json(L, *box);
    return 1;
}

// The text at index, or the id of the run's instance.
static const char *server_or_own(lua_State *L, int index)
{
    if (!lua_isnoneornil(L, index))
        return luaL_checkstring(L, index);
    const struct run *run = run_of(L);
    if (!run->server && !run->instance)
        lua_mistake(L, "this run has no instance: name one");
    return run_server_id(run);
}

// A host of the run, or Nova's name of any.
static const char *host_name_at(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : run_nova_name(check_host(L, index));
}

// ---- reads ----

static int nova_server_method(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    bool own = lua_isnoneornil(L, 2);
    const char *name = server_or_own(L, 2);
    void **box = lua_box(L, box_json);
    struct error err;
    int rc = own ? nova_server(cloud, name, (json_t **)box, &err)
                 : nova_find(cloud, name, (json_t **)box, &err);
    return answer(L, box, rc, &err);
}

static int nova_services_method(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    const char *host = lua_isnoneornil(L, 2) ? NULL : host_name_at(L, 2);
    void **box = lua_box(L, box_json);
    struct error err;
    return answer(L, box, nova_services(cloud, host, (json_t **)box, &err), &err);
}

static int nova_hypervisor_method(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    const char *host = host_name_at(L, 2);
    void **box = lua_box(L, box_json);
    struct error err;
    return answer(L, box, nova_hypervisor_of(cloud, host, (json_t **)box, &err), &err);
}

static int nova_migrations_method(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    const char *server = server_or_own(L, 2);
    void **box = lua_box(L, box_json);
    struct error err;
    return answer(L, box, nova_migrations(cloud, server, (json_t **)box, &err), &err);
}

static int nova_progress_method(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    lua_Integer id = luaL_checkinteger(L, 2);
    const char *server = server_or_own(L, 3);
    void **box = lua_box(L, box_json);
    struct error err;
    return answer(L, box, nova_progress(cloud, server, id, (json_t **)box, &err), &err);
}

static int nova_action_method(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    const char *request = luaL_checkstring(L, 2), *server = server_or_own(L, 3);
    void **box = lua_box(L, box_json);
    struct error err;
    return answer(L, box, nova_action(cloud, server, request, (json_t **)box, &err), &err);
}

static int nova_provider(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    const char *name = host_name_at(L, 2);
    bool host = lua_type(L, 2) != LUA_TSTRING;
    void **box = lua_box(L, box_json);
    struct error err;
    int rc = host ? placement_provider_of(cloud, name, (json_t **)box, &err)
                  : placement_provider(cloud, name, (json_t **)box, &err);
    return answer(L, box, rc, &err);
}

static int nova_allocations(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    const char *consumer = server_or_own(L, 2);
    void **box = lua_box(L, box_json);
    struct error err;
    return answer(L, box, placement_allocations(cloud, consumer, (json_t **)box, &err), &err);
}

static int nova_ports(lua_State *L)
{
    struct cloud *cloud = check_cloud(L);
    const char *server = server_or_own(L, 2);
    void **box = lua_box(L, box_json);
    struct error err;
    return answer(L, box, neutron_ports(cloud, server, (json_t **)box, &err), &err);
}

// ---- changes ----

static int nova_live_migrate_method(lua_State *L)
{
    static const char *const names[] = {"timeout"};
    class_check(L, 1, &nova_class);
    struct run *run = run_of(L);
    struct run_host *dest = lua_isnoneornil(L, 2) ? NULL : check_host(L, 2);
    lua_settop(L, 3);
    void **box = lua_box(L, box_json);
    json_t *options = read_options(L, 3, "live_migrate", names, COUNT_OF(names), NULL, box);
    const json_t *outcome = NULL;
    check_timeout(L, options, "live_migrate");
    mark_logs(L, run);
    struct error err;
    if (change_nova_migrate(run, dest, options, &outcome, &err) < 0)
        return lua_raise(L, &err);
    if (outcome)
        lua_push_json(L, outcome);
    else
        lua_newtable(L);
    return 1;
}

static int set_lock(lua_State *L, bool locked, const char *reason)
{
    class_check(L, 1, &nova_class);
    struct error err;
    if (!run_of(L)->server)
        lua_mistake(L, "the policy must say that it uses Nova: nova = true");
    if (change_nova_lock(run_of(L), locked, reason, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static int nova_lock(lua_State *L) { return set_lock(L, true, luaL_optstring(L, 2, NULL)); }
static int nova_unlock(lua_State *L) { return set_lock(L, false, NULL); }

static int push_result(lua_State *L, const json_t *result)
{
    lua_push_json(L, json_object_get(result, "body"));
    lua_pushstring(L, json_str(result, "request_id", ""));
    return 2;
}

// The second number of "2.84", or 0.
static int minor_of(lua_State *L, json_t *options)
{
    const json_t *given = json_object_get(options, "microversion");
    const char *text = json_string_value(given), *dot = text ? strchr(text, '.') : NULL;
    int minor = dot ? atoi(dot + 1) : 0;
    if (given && !minor)
        lua_mistake(L, "microversion is a text, as in \"2.84\"");
    json_object_set_new(options, "microversion", json_integer(minor));
    return minor;
}

static int read_request(lua_State *L, const char *method, const char *path, const json_t *options, int minor,
                        void **box)
{
    struct cloud *cloud = check_cloud(L);
    struct error err;
    const char *what = lua_pushfstring(L, "%s %s", method, path);
    const struct cloud_request request = {.service = json_str(options, "service", "compute"),
                                          .method = method,
                                          .path = path,
                                          .minor = minor,
                                          .what = what,
                                          .timeout_ms = ms_of_seconds(json_num(options, "timeout", 0))};
    char request_id[REQUEST_ID_MAX];
    if (cloud_send(cloud, &request, (json_t **)box, request_id, &err) < 0)
        return lua_raise(L, &err);
    lua_push_json(L, *box);
    lua_pushstring(L, request_id);
    return 2;
}

static int nova_request(lua_State *L)
{
    static const char *const names[] = {"service", "microversion", "timeout", "undo"};
    class_check(L, 1, &nova_class);
    const char *method = luaL_checkstring(L, 2), *path = luaL_checkstring(L, 3);
    lua_settop(L, 5);
    void **options_box = lua_box(L, box_json), **body_box = lua_box(L, box_json);
    json_t *options = read_options(L, 5, "request", names, COUNT_OF(names), NULL, options_box);
    check_timeout(L, options, "request");
    int minor = minor_of(L, options);
    const json_t *result = NULL;
    struct error err;
    if (*path != '/')
        lua_mistake(L,
                    "a path begins with '/', and goes on from the service's endpoint: \"/servers/detail\"");
    if (STREQ(method, "GET") || STREQ(method, "HEAD"))
        return read_request(L, method, path, options, minor, body_box);
    if (!lua_isnil(L, 4) && lua_to_json(L, 4, (json_t **)body_box, &err) < 0)
        return lua_raise(L, &err);
    if (change_nova_request(run_of(L), method, path, *body_box, options, &result, &err) < 0)
        return lua_raise(L, &err);
    return push_result(L, result);
}

// A request about one live migration of the run's instance.
static int about_migration(lua_State *L, const char *method, const char *format, const json_t *body,
                           int minor, void **box)
{
    const json_t *result = NULL;
    struct error err;
    const char *path = lua_pushfstring(L, format, run_server_id(run_of(L)), luaL_checkinteger(L, 2));
    json_t *options = *box = json_pack("{s:i}", "microversion", minor);
    if (change_nova_request(run_of(L), method, path, body, options, &result, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static int nova_abort_method(lua_State *L)
{
    class_check(L, 1, &nova_class);
    return about_migration(L, "DELETE", "/servers/%s/migrations/%I", NULL, 24, lua_box(L, box_json));
}

static int nova_force_complete_method(lua_State *L)
{
    class_check(L, 1, &nova_class);
    void **options = lua_box(L, box_json), **body = lua_box(L, box_json);
    *body = json_pack("{s:n}", "force_complete");
    return about_migration(L, "POST", "/servers/%s/migrations/%I/action", *body, 22, options);
}

static int field_cloud(lua_State *L, void *self)
{
    (void)self;
    struct cloud *cloud;
    struct error err;
    if (run_cloud(run_of(L), &cloud, &err) < 0)
        return lua_raise(L, &err);
    lua_pushstring(L, cloud_name(cloud));
    return 1;
}

static int field_instance(lua_State *L, void *self)
{
    (void)self;
    lua_push_json(L, run_of(L)->server);
    return 1;
}

static const luaL_Reg nova_methods[] = {
    {"server", nova_server_method},
    {"services", nova_services_method},
    {"hypervisor", nova_hypervisor_method},
    {"migrations", nova_migrations_method},
    {"progress", nova_progress_method},
    {"action", nova_action_method},
    {"provider", nova_provider},
    {"allocations", nova_allocations},
    {"ports", nova_ports},
    {"live_migrate", nova_live_migrate_method},
    {"lock", nova_lock},
    {"unlock", nova_unlock},
    {"abort", nova_abort_method},
    {"force_complete", nova_force_complete_method},
    {"request", nova_request},
    {NULL, NULL},
};
static const struct class_field nova_fields[] = {
    {"cloud", field_cloud}, {"instance", field_instance}, {NULL, NULL}};
static const struct class_of nova_class = {
    .key = NOVA_KEY, .noun = "Nova", .methods = nova_methods, .fields = nova_fields};

void push_nova(lua_State *L) { class_new(L, NOVA_KEY, 1); }

void register_nova(lua_State *L) { class_register(L, &nova_class); }
