// SPDX-License-Identifier: MIT
// Run and Instance.
#include "base/xml.h"
#include "lua/bindings.h"
#include "run/change.h"
#include "run/cloud.h"

#include <stdlib.h>
#include <string.h>

#define RUN_KEY "migrun.run"
#define INSTANCE_KEY "migrun.instance"

static const struct class_of run_class, instance_class;

// Keys of Lua's registry: run.saved, run.params, marks in logs (of QEMU at both ends, of nova-compute), and
// run.site.
static const char saved_key = 's', params_key = 'p', qemu_log_key = 'q', source_log_key = 'o',
                  nova_log_key = 'n', site_key = 'c';

// ---- Run ----

static int run_refuse(lua_State *L)
{
    class_check(L, 1, &run_class);
    struct error err;
    error_set(&err, ERR_REFUSED, REFUSED_CHECK, "%s", luaL_checkstring(L, 2));
    return lua_raise(L, &err);
}

static int tell(lua_State *L, const char *level)
{
    class_check(L, 1, &run_class);
    run_message(run_of(L), level, "%s", luaL_checkstring(L, 2));
    return 0;
}

static int run_warn(lua_State *L) { return tell(L, "warning"); }
static int run_say(lua_State *L) { return tell(L, "info"); }

static int field_source(lua_State *L, void *self)
{
    (void)self;
    push_host(L, run_of(L)->source);
    return 1;
}
static int field_dest(lua_State *L, void *self)
{
    (void)self;
    push_host(L, run_of(L)->dest);
    return 1;
}

static int field_hosts(lua_State *L, void *self)
{
    (void)self;
    struct run *run = run_of(L);
    lua_newtable(L);
    lua_Integer n = 0;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (!run->hosts[i]->apart) {
            push_host(L, run->hosts[i]);
            lua_rawseti(L, -2, ++n);
        }
    return 1;
}

static int field_here(lua_State *L, void *self)
{
    (void)self;
    struct run_host *here;
    struct error err;
    if (run_here(run_of(L), &here, &err) < 0)
        return lua_raise(L, &err);
    push_host(L, here);
    return 1;
}

static int field_instance(lua_State *L, void *self)
{
    (void)self;
    if (run_of(L)->instance)
        push_instance(L);
    else
        lua_pushnil(L);
    return 1;
}

static int field_nova(lua_State *L, void *self)
{
    (void)self;
    push_nova(L);
    return 1;
}

static int field_params(lua_State *L, void *self)
{
    (void)self;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &params_key);
    return 1;
}

static int field_saved(lua_State *L, void *self)
{
    (void)self;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &saved_key) == LUA_TNIL) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &saved_key);
    }
    return 1;
}

static int field_preview(lua_State *L, void *self)
{
    (void)self;
    lua_pushboolean(L, run_of(L)->options->preview);
    return 1;
}

static int field_site(lua_State *L, void *self)
{
    (void)self;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &site_key) == LUA_TNIL) {
        lua_push_json(L, run_of(L)->site->json);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &site_key);
    }
    return 1;
}

static const luaL_Reg run_methods[] = {
    {"refuse", run_refuse}, {"warn", run_warn}, {"say", run_say}, {NULL, NULL}};
static const struct class_field run_fields[] = {
    {"source", field_source},
    {"dest", field_dest},
    {"hosts", field_hosts},
    {"here", field_here},
    {"instance", field_instance},
    {"params", field_params},
    {"saved", field_saved},
    {"preview", field_preview},
    {"site", field_site},
    {"nova", field_nova},
    {NULL, NULL},
};
static const struct class_of run_class = {
    .key = RUN_KEY, .noun = "the run", .methods = run_methods, .fields = run_fields};

void push_run(lua_State *L) { class_new(L, RUN_KEY, 1); }

void set_params(lua_State *L) { lua_rawsetp(L, LUA_REGISTRYINDEX, &params_key); }

int take_saved(lua_State *L, json_t **saved, struct error *err)
{
    int type = lua_rawgetp(L, LUA_REGISTRYINDEX, &saved_key);
    int rc = 0;
    if (type == LUA_TNIL)
        *saved = json_object();
    else
        rc = lua_to_json(L, -1, saved, err);
    lua_pop(L, 1);
    return rc < 0 ? error_prefix(err, "run.saved") : 0;
}

void set_saved(lua_State *L, const json_t *saved)
{
    lua_push_json(L, saved);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &saved_key);
}

void push_qemu_log(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &qemu_log_key); }

void push_source_log(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &source_log_key); }

void push_nova_log(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &nova_log_key); }

// ---- Instance ----

static struct run *instance_run(lua_State *L)
{
    class_check(L, 1, &instance_class);
    return run_of(L);
}

static int instance_xml(lua_State *L)
{
    struct run *run = instance_run(L);
    struct xml **slot = push_document(L);
    struct error err;
    if (xml_parse(run->instance_xml, strlen(run->instance_xml), slot, &err) < 0)
        return lua_raise(L, &err);
    return 1;
}

static int instance_status_file(lua_State *L)
{
    lua_pushfstring(L, "/run/libvirt/qemu/%s.xml", json_str(instance_run(L)->instance, "name", ""));
    return 1;
}

static int instance_definition_file(lua_State *L)
{
    const struct run *run = instance_run(L);
    const struct run_host *h = run->source;
    const json_t *libvirt = json_object_get(host_spec(h->agent)->settings, "libvirt");
    lua_pushfstring(L, "%s/%s.xml", json_str(libvirt, "definitions", "/etc/libvirt/qemu"),
                    json_str(run->instance, "name", ""));
    return 1;
}

// Nova names it by the uuid, others by the name.
static int instance_directory(lua_State *L)
{
    struct run *run = instance_run(L);
    struct run_host *h = run_instance_host(run);
    const char *folder = json_str(host_spec(h->agent)->settings, "instances", "");
    static const char *const members[] = {"uuid", "name"};
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        const char *name = json_str(run->instance, members[i], "");
        if (!*name || strchr(name, '/') || STREQ(name, ".") || STREQ(name, ".."))
            continue;
        const char *path = lua_pushfstring(L, "%s/%s", folder, name);
        void **box = lua_box(L, box_json);
        struct error err;
        if (run_stat(h, path, (json_t **)box, &err) < 0)
            return lua_raise(L, &err);
        if (STREQ(json_str(*box, "type", ""), "directory")) {
            lua_pop(L, 1);
            return 1;
        }
        lua_pop(L, 2);
    }
    lua_pushnil(L);
    return 1;
}

static int instance_host(lua_State *L)
{
    push_host(L, run_instance_host(instance_run(L)));
    return 1;
}

// Marks the end of the log in which the destination's QEMU will say why it cannot start.
static void mark_log_of(lua_State *L, struct run_host *h, const void *key)
{
    const struct run *run = h->run;
    const char *pattern = json_str(json_object_get(host_spec(h->agent)->settings, "logs"), "qemu", "");
    const char *hole = strstr(pattern, "%s"), *name = json_str(run->instance, "name", "");
    if (run->options->preview || !hole || strchr(name, '/'))
        return;
    lua_pushlstring(L, pattern, (size_t)(hole - pattern));
    const char *path = lua_pushfstring(L, "%s%s%s", lua_tostring(L, -1), name, hole + 2);
    push_log(L, h, path);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    lua_pop(L, 2);
}

static void mark_qemu_logs(lua_State *L, struct run *run)
{
    mark_log_of(L, run->dest, &qemu_log_key);
    if (run->source)
        mark_log_of(L, run->source, &source_log_key);
}

// The same, and of the source's nova-compute, which will log what libvirt said.
void mark_logs(lua_State *L, struct run *run)
{
    if (!run->source)
        return;
    const char *path = json_str(json_object_get(host_spec(run->source->agent)->settings, "logs"),
                                "nova_compute", NULL);
    if (run->dest)
        mark_qemu_logs(L, run);
    if (run->options->preview || !path)
        return;
    push_log(L, run->source, path);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &nova_log_key);
}

// The options of migrate as JSON, but for xml, which is a change.
static json_t *migrate_options(lua_State *L, int index, void **box)
{
    static const char *const names[] = {"xml", "uri", "flags", "params", "timeout"};
    json_t *options = read_options(L, index, "migrate", names, COUNT_OF(names), "xml", box);
    check_timeout(L, options, "migrate");
    const json_t *flags = json_object_get(options, "flags");
    bool fits = !flags || json_is_array(flags) || json_object_size(flags) == 0;
    for (size_t i = 0; i < json_array_size(flags); i++)
        fits = fits && json_is_string(json_array_get(flags, i));
    if (!fits)
        lua_mistake(L, "flags are a list of libvirt's names, as { \"UNSAFE\" }");
    if (json_is_object(flags)) // an empty list
        json_object_del(options, "flags");
    return options;
}

static void box_pair(void *p)
{
    struct text_pair *pair = p;
    free(pair->before);
    free(pair->after);
    free(pair);
}

// The guest's migratable XML, live or as it is defined, before and after the change at index.
static void change_xml(lua_State *L, int index, struct run *run, bool inactive, struct text_pair *pair)
{
    struct error err;
    if (virt_migratable_xml(run->source->virt, json_str(run->instance, "uuid", ""), inactive, &pair->before,
                            &err) < 0)
        lua_raise(L, &err);
    int top = lua_gettop(L);
    struct xml **slot = push_document(L), **before = push_document(L);
    if (xml_parse(pair->before, strlen(pair->before), slot, &err) < 0)
        lua_raise(L, &err);
    *before = xml_copy(*slot);
    apply_change(L, index, top + 1, *before, false, "the destination's XML");
    pair->after = xml_text(*slot);
    // Nothing to change: libvirt then takes its own, and there is one thing less that could be wrong.
    if (STREQ(pair->after, pair->before)) {
        free(pair->after);
        pair->after = NULL;
    }
    lua_settop(L, top);
}

static int instance_migrate(lua_State *L)
{
    struct run *run = instance_run(L);
    struct run_host *dest = check_host(L, 2);
    lua_settop(L, 3);
    void **options_box = lua_box(L, box_json), **live_box = lua_box(L, box_pair),
         **persistent_box = lua_box(L, box_pair);
    struct text_pair *live = *live_box = xcalloc(1, sizeof *live),
                     *persistent = *persistent_box = xcalloc(1, sizeof *persistent);
    json_t *options = migrate_options(L, 3, options_box);
    struct error err;
    // The definition that the destination keeps is changed too: its next start must find the same addresses
    // there.
    if (lua_istable(L, 3) && lua_getfield(L, 3, "xml") != LUA_TNIL) {
        change_xml(L, lua_gettop(L), run, false, live);
        if (json_flag(run->instance, "persistent", false))
            change_xml(L, lua_gettop(L), run, true, persistent);
    }
    if (run->dest) // change_migrate refuses
        mark_qemu_logs(L, run);
    const json_t *outcome = NULL;
    if (change_migrate(dest, options, live, persistent, &outcome, &err) < 0)
        return lua_raise(L, &err);
    if (outcome)
        lua_push_json(L, outcome);
    else
        lua_newtable(L);
    return 1;
}

static int field_name(lua_State *L, void *self)
{
    (void)self;
    lua_pushstring(L, json_str(run_of(L)->instance, "name", ""));
    return 1;
}
static int field_uuid(lua_State *L, void *self)
{
    (void)self;
    lua_pushstring(L, json_str(run_of(L)->instance, "uuid", ""));
    return 1;
}
static int field_facts(lua_State *L, void *self)
{
    (void)self;
    lua_push_json(L, run_of(L)->instance);
    return 1;
}

static const luaL_Reg instance_methods[] = {
    {"xml", instance_xml},
    {"status_file", instance_status_file},
    {"definition_file", instance_definition_file},
    {"directory", instance_directory},
    {"host", instance_host},
    {"migrate", instance_migrate},
    {NULL, NULL},
};
static int field_title(lua_State *L, void *self)
{
    (void)self;
    lua_pushstring(L, run_instance_name(run_of(L)));
    return 1;
}
static const struct class_field instance_fields[] = {
    {"name", field_name}, {"title", field_title}, {"uuid", field_uuid}, {"facts", field_facts}, {NULL, NULL}};
static const struct class_of instance_class = {
    .key = INSTANCE_KEY, .noun = "the instance", .methods = instance_methods, .fields = instance_fields};

void push_instance(lua_State *L) { class_new(L, INSTANCE_KEY, 1); }

void register_run(lua_State *L)
{
    class_register(L, &run_class);
    class_register(L, &instance_class);
}
