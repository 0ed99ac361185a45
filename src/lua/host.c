// SPDX-License-Identifier: MIT
// Host, Service and Log.
#include "base/clock.h"
#include "base/xml.h"
#include "lua/bindings.h"
#include "run/change.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define HOST_KEY "migrun.host"
// The userdata of each host: one a host, so that they compare equal and keep the table of their facts.
#define HOSTS_KEY "migrun.hosts"
#define SERVICE_KEY "migrun.service"
#define LOG_KEY "migrun.log"

struct host_ref {
    struct run_host *h;
};
struct service {
    struct run_host *h;
    const json_t *commands;
    char unit[256];
};
struct log {
    struct run_host *h;
    int64_t offset, line;
    char path[4096];
};

static const struct class_of host_class, service_class, log_class;

struct run_host *check_host(lua_State *L, int index)
{
    return ((struct host_ref *)class_check(L, index, &host_class))->h;
}

void push_host(lua_State *L, struct run_host *h)
{
    if (!h) {
        lua_pushnil(L);
        return;
    }
    lua_getfield(L, LUA_REGISTRYINDEX, HOSTS_KEY);
    if (lua_rawgetp(L, -1, h) == LUA_TNIL) {
        lua_pop(L, 1);
        ((struct host_ref *)class_new(L, HOST_KEY, sizeof(struct host_ref)))->h = h;
        lua_pushvalue(L, -1);
        lua_rawsetp(L, -3, h);
    }
    lua_remove(L, -2);
}

// The path at index, which is replaced by its one spelling: no part is empty or ".".
static const char *check_path(lua_State *L, int index)
{
    size_t len;
    const char *path = luaL_checklstring(L, index, &len);
    if (*path != '/' || strlen(path) != len || len >= PATH_MAX)
        lua_mistake(L, "a path on a host begins with '/', not '%s'", path);
    char plain[PATH_MAX];
    size_t n = 0;
    while (*(path += strspn(path, "/"))) {
        size_t part = strcspn(path, "/");
        if (part != 1 || *path != '.') {
            plain[n++] = '/';
            memcpy(plain + n, path, part);
            n += part;
        }
        path += part;
    }
    lua_pushlstring(L, n ? plain : "/", n ? n : 1);
    lua_replace(L, index);
    return lua_tostring(L, index);
}

// ---- reading ----

static void box_message(void *p)
{
    message_free(p);
    free(p);
}

static int host_stat(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_path(L, 2);
    void **box = lua_box(L, box_json);
    struct error err;
    if (run_stat(h, path, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_push_json(L, *box);
    return 1;
}

static int host_storage(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    int64_t wait = lua_isnoneornil(L, 3) ? 0 : read_seconds(L, 3, "storage", 0);
    void **paths = lua_box(L, box_json), **box = lua_box(L, box_json);
    struct error err;
    if (lua_to_json(L, 2, (json_t **)paths, &err) < 0)
        return lua_raise(L, &err);
    for (size_t i = 0; i < json_array_size(*paths); i++)
        if (!json_is_string(json_array_get(*paths, i)))
            return lua_mistake(L, "paths are a list of strings");
    if (run_storage(h, *paths, wait, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_push_json(L, *box);
    return 1;
}

// The contents of a file in a box; data NULL: there is none.
struct contents {
    char *data;
    size_t len;
    json_t *stat;
};

static void box_contents(void *p)
{
    struct contents *c = p;
    free(c->data);
    json_decref(c->stat);
    free(c);
}

static const struct contents *read_contents(lua_State *L, struct run_host *h, const char *path)
{
    void **box = lua_box(L, box_contents);
    struct contents *c = *box = xcalloc(1, sizeof *c);
    struct error err;
    if (run_read(h, path, &c->data, &c->len, &c->stat, &err) < 0)
        lua_raise(L, &err);
    return c;
}

static int raise_absent(lua_State *L, struct run_host *h, const char *path)
{
    struct error err;
    error_errno(&err, ENOENT, "%s: %s", run_host_name(h), path);
    snprintf(err.source, sizeof err.source, "%s", run_host_name(h));
    return lua_raise(L, &err);
}

static int host_read(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_path(L, 2);
    const struct contents *c = read_contents(L, h, path);
    if (!c->data)
        return raise_absent(L, h, path);
    lua_pushlstring(L, c->data, c->len);
    return 1;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(json_str(*(json_t *const *)a, "name", ""), json_str(*(json_t *const *)b, "name", ""));
}

static int host_list(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_path(L, 2);
    void **box = lua_box(L, box_json), **order = lua_box(L, box_free);
    struct error err;
    if (run_list(h, path, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    size_t count = json_array_size(*box);
    json_t **entries = *order = xcalloc(count + 1, sizeof *entries);
    for (size_t i = 0; i < count; i++)
        entries[i] = json_array_get(*box, i);
    qsort(entries, count, sizeof *entries, compare_names);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_push_json(L, entries[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

// ---- changing files ----

enum change_of { OF_CONTENTS, OF_XML, OF_OWNER };

static bool begins_with(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (!path[len] || path[len] == '/');
}

static bool is_state_of_libvirt(const struct run_host *h, const char *path, enum change_of change)
{
    static const char *const folders[] = {"/run/libvirt", "/var/run/libvirt", "/var/lib/libvirt/qemu",
                                          "/etc/libvirt/qemu"};
    if (change == OF_OWNER && begins_with(path, "/var/lib/libvirt/qemu/nvram"))
        return false; // QEMU's, and a migration may leave it to root
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        if (begins_with(path, folders[i]))
            return true;
    const json_t *libvirt = json_object_get(host_spec(h->agent)->settings, "libvirt");
    return begins_with(path, json_str(libvirt, "definitions", folders[0])); // a container's
}

// The path at index of a file that is to be changed. libvirt's own records are changed by an edit that says
// beforehand what it touches, as a mistake there orphans or kills guests, and while libvirtd is stopped, as
// it has them in memory and writes them anew. Raises.
static const char *check_change(lua_State *L, int index, const struct run_host *h, enum change_of change)
{
    const char *path = check_path(L, index);
    for (const char *dots = path; (dots = strstr(dots, "/..")); dots++)
        if (!dots[3] || dots[3] == '/')
            lua_mistake(L, "the path of a file that is changed has no '..': %s", path);
    if (!is_state_of_libvirt(h, path, change))
        return path;
    if (change == OF_OWNER)
        lua_mistake(L, "%s is libvirt's own state, and so are its owner and mode", path);
    if (change == OF_CONTENTS)
        lua_mistake(L,
                    "%s is libvirt's own state: only edit_xml changes it, with a change that says "
                    "beforehand what it touches",
                    path);
    if (!surgery_of_libvirtd(h))
        lua_mistake(L,
                    "%s is libvirt's own state, and libvirtd writes it anew while it runs: edit it "
                    "inside service(\"libvirtd\"):while_stopped(function() … end)",
                    path);
    return path;
}

// A user or group at index: nil is -1 (as it is), a number is itself, a name is asked of the host.
static int64_t check_id(lua_State *L, int index, struct run_host *h, bool group)
{
    if (lua_isnoneornil(L, index))
        return -1;
    if (lua_isinteger(L, index)) {
        lua_Integer id = lua_tointeger(L, index);
        if (id < 0 || id > UINT32_MAX - 1)
            lua_mistake(L, "%lld is not a valid %s ID", (long long)id, group ? "group" : "user");
        return id;
    }
    const char *name = luaL_checkstring(L, index);
    int64_t id = -1;
    struct error err;
    if (change_user_id(h, name, group, &id, &err) < 0)
        lua_raise(L, &err);
    return id;
}

static int check_mode(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TNUMBER) // Lua would take "640" for the decimal number
        lua_mistake(L, "a mode is a number, not a %s; write tonumber(\"640\", 8)", luaL_typename(L, index));
    lua_Integer mode = luaL_checkinteger(L, index);
    if (mode < 0 || mode > 07777)
        lua_mistake(L, "%lld is not a valid mode; write tonumber(\"640\", 8)", (long long)mode);
    return (int)mode;
}

static int host_write(lua_State *L)
{
    static const char *const names[] = {"mode", "user", "group", "secret"};
    struct run_host *h = check_host(L, 1);
    const char *path = check_change(L, 2, h, OF_CONTENTS);
    size_t len;
    const char *text = luaL_checklstring(L, 3, &len);
    check_options(L, 4, "write", names, COUNT_OF(names));
    void **box = lua_box(L, box_json);
    json_t *options = *box = json_object();
    if (lua_istable(L, 4)) {
        if (lua_getfield(L, 4, "mode") != LUA_TNIL)
            json_object_set_new(options, "mode", json_integer(check_mode(L, -1)));
        lua_getfield(L, 4, "secret");
        if (lua_toboolean(L, -1))
            json_object_set_new(options, "secret", json_true());
        lua_getfield(L, 4, "user");
        lua_getfield(L, 4, "group");
        int64_t uid = check_id(L, -2, h, false), gid = check_id(L, -1, h, true);
        if (uid >= 0)
            json_object_set_new(options, "uid", json_integer(uid));
        if (gid >= 0)
            json_object_set_new(options, "gid", json_integer(gid));
    }
    const struct contents *c = read_contents(L, h, path);
    struct error err;
    if (change_write(h, path, c->data, c->len, c->stat, text, len, json_object_size(options) ? options : NULL,
                     &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static int host_edit(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_change(L, 2, h, OF_CONTENTS);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct run *run = run_of(L);
    const struct contents *c = read_contents(L, h, path);
    lua_pushvalue(L, 3);
    if (c->data)
        lua_pushlstring(L, c->data, c->len);
    else
        lua_pushnil(L);
    run->pure++;
    int rc = lua_pcall(L, 1, 1, 0);
    run->pure--;
    if (rc != LUA_OK)
        return lua_error(L);
    if (lua_isnil(L, -1))
        return 0;
    if (lua_type(L, -1) != LUA_TSTRING)
        return lua_mistake(L, "the function of edit returns the new text (or nil for no change), not a %s",
                           luaL_typename(L, -1));
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    struct error err;
    if (change_write(h, path, c->data, c->len, c->stat, text, len, NULL, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static void box_xml(void *p) { xml_free(p); }

static int host_edit_xml(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_change(L, 2, h, OF_XML);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    const char *what = lua_pushfstring(L, "%s: %s", run_host_name(h), path);
    const struct contents *c = read_contents(L, h, path);
    if (!c->data)
        return raise_absent(L, h, path);
    struct xml **slot = push_document(L);
    int document = lua_gettop(L);
    void **before = lua_box(L, box_xml), **text = lua_box(L, box_free);
    struct error err;
    if (xml_parse(c->data, c->len, slot, &err) < 0) {
        error_prefix(&err, "%s", what);
        return lua_raise(L, &err);
    }
    *before = xml_copy(*slot);
    apply_change(L, 3, document, *before, surgery_takes(h), what);
    *text = xml_text(*slot);
    if (change_write(h, path, c->data, c->len, c->stat, *text, strlen(*text), NULL, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static int host_chown(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_change(L, 2, h, OF_OWNER);
    int64_t uid = check_id(L, 3, h, false), gid = check_id(L, 4, h, true);
    struct error err;
    if (change_owner(h, path, uid, gid, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static int host_chmod(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_change(L, 2, h, OF_OWNER);
    int mode = check_mode(L, 3);
    struct error err;
    if (change_mode(h, path, mode, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static int host_remove(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *path = check_change(L, 2, h, OF_CONTENTS);
    struct error err;
    if (change_remove(h, path, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

// ---- commands ----

// The list at index as a JSON array of texts (new reference, in box).
static json_t *check_argv(lua_State *L, int index, void **box)
{
    struct error err;
    luaL_checktype(L, index, LUA_TTABLE);
    if (lua_to_json(L, index, (json_t **)box, &err) < 0)
        lua_raise(L, &err);
    bool fits = json_array_size(*box) > 0;
    for (size_t i = 0; i < json_array_size(*box); i++)
        fits = fits && json_is_string(json_array_get(*box, i)) &&
               strlen(json_string_value(json_array_get(*box, i))) ==
                   json_string_length(json_array_get(*box, i));
    if (!fits || !*json_string_value(json_array_get(*box, 0)))
        lua_mistake(L, "a command is a list of strings, the program first: { \"virsh\", \"list\" }");
    return *box;
}

// said: on its stderr; NULL: that is secret.
static int command_failed(lua_State *L, struct run_host *h, const json_t *argv, const char *said,
                          const json_t *result, int64_t took)
{
    struct error err;
    const char *program = json_string_value(json_array_get(argv, 0));
    int status = (int)json_int(result, "status", -1);
    if (json_flag(result, "timed_out", false))
        error_set(&err, ERR_TIMEOUT, 0, "%s on %s had not ended after %lld s, and was stopped", program,
                  run_host_name(h), (long long)(took + 500) / 1000);
    else if (json_int(result, "signal", 0))
        error_set(&err, ERR_COMMAND, -1, "%s on %s was ended by signal %d", program, run_host_name(h),
                  (int)json_int(result, "signal", 0));
    else
        error_set(&err, ERR_COMMAND, status, "%s on %s ended with status %d%s%.*s", program, run_host_name(h),
                  status, said && *said ? ": " : "", said ? (int)strcspn(said, "\n") : 0, said ? said : "");
    snprintf(err.source, sizeof err.source, "%s", run_host_name(h));
    return lua_raise(L, &err);
}

static int host_command(lua_State *L)
{
    static const char *const names[] = {"reads", "timeout", "input", "ok", "undo", "secret"};
    struct run_host *h = check_host(L, 1);
    check_options(L, 3, "command", names, COUNT_OF(names));
    lua_settop(L, 3);
    int64_t timeout = 60000;
    size_t input_len = 0;
    const char *input = NULL;
    bool reads = false, ok = false, secret = false;
    void **argv_box = lua_box(L, box_json), **undo_box = lua_box(L, box_json),
         **answer_box = lua_box(L, box_message);
    json_t *argv = check_argv(L, 2, argv_box);
    if (lua_istable(L, 3)) {
        lua_getfield(L, 3, "timeout");
        timeout = read_seconds(L, -1, "command", 60);
        lua_getfield(L, 3, "reads");
        lua_getfield(L, 3, "ok");
        lua_getfield(L, 3, "secret");
        reads = lua_toboolean(L, -3);
        ok = lua_toboolean(L, -2);
        secret = lua_toboolean(L, -1);
        if (lua_getfield(L, 3, "undo") != LUA_TNIL)
            check_argv(L, lua_gettop(L), undo_box);
        lua_getfield(L, 3, "input"); // stays on the stack: the text is used below
        input = luaL_optlstring(L, -1, NULL, &input_len);
    }
    struct message *answer = *answer_box = xcalloc(1, sizeof *answer);
    struct error err;
    int64_t began = now_ms();
    json_t *args = json_pack("{s:O, s:I}", "argv", argv, "timeout", (json_int_t)timeout);
    int rc;
    if (reads) {
        rc = run_command(h, args, input, input_len, timeout, answer, &err);
    } else {
        if (*undo_box)
            json_object_set(args, "undo", *undo_box);
        if (secret)
            json_object_set_new(args, "secret", json_true());
        rc = change_command(h, args, input, input_len, answer, &err);
    }
    if (rc < 0)
        return lua_raise(L, &err);
    const json_t *result = json_object_get(answer->head, "result");
    if (json_flag(result, "timed_out", false) || (!ok && json_int(result, "status", -1) != 0))
        return command_failed(L, h, argv, secret ? NULL : json_str(result, "stderr", ""), result,
                              now_ms() - began);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, json_int(result, "status", -1));
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, answer->body ? answer->body : "", answer->body_len);
    lua_setfield(L, -2, "out");
    lua_pushstring(L, json_str(result, "stderr", ""));
    lua_setfield(L, -2, "err");
    return 1;
}

// ---- Service ----

static int host_service(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    const char *name = luaL_checkstring(L, 2);
    const json_t *known = json_object_get(json_object_get(host_spec(h->agent)->settings, "services"), name);
    const char *unit = json_str(known, "unit", name);
    struct service *s = class_new(L, SERVICE_KEY, sizeof *s);
    if (!*unit || *unit == '-' || strlen(unit) >= sizeof s->unit)
        return lua_mistake(L, "invalid service name '%s'", unit);
    s->h = h;
    s->commands = json_object_size(known) > 1 ? known : NULL;
    snprintf(s->unit, sizeof s->unit, "%s", unit);
    return 1;
}

static struct service *check_service(lua_State *L) { return class_check(L, 1, &service_class); }

static int service_state(lua_State *L)
{
    struct service *s = check_service(L);
    void **box = lua_box(L, box_free);
    struct error err;
    if (run_service_state(s->h, s->unit, s->commands, (char **)box, &err) < 0)
        return lua_raise(L, &err);
    lua_pushstring(L, *box);
    return 1;
}

static int service_change(lua_State *L, const char *action)
{
    static const char *const names[] = {"timeout"};
    struct service *s = check_service(L);
    struct error err;
    int64_t timeout = 0; // its own
    check_options(L, 2, action, names, COUNT_OF(names));
    if (lua_istable(L, 2) && lua_getfield(L, 2, "timeout") != LUA_TNIL)
        timeout = read_seconds(L, -1, action, 0);
    if (change_service(s->h, s->unit, action, s->commands, timeout, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

static int service_start(lua_State *L) { return service_change(L, "start"); }
static int service_stop(lua_State *L) { return service_change(L, "stop"); }
static int service_restart(lua_State *L) { return service_change(L, "restart"); }

static int service_wait(lua_State *L)
{
    struct service *s = check_service(L);
    int64_t timeout = read_seconds(L, 2, "wait", 30);
    struct error err;
    if (run_service_wait(s->h, s->unit, s->commands, timeout, &err) < 0)
        return lua_raise(L, &err);
    return 0;
}

// The sockets of options: lists of texts.
static json_t *check_sockets(lua_State *L, int index, void **box)
{
    static const char *const names[] = {"with", "without"};
    json_t *sockets = read_options(L, index, "while_stopped", names, COUNT_OF(names), NULL, box);
    const char *name;
    json_t *list, *unit;
    size_t i;
    json_object_foreach(sockets, name, list) {
        bool fits = json_is_array(list) || (json_is_object(list) && json_object_size(list) == 0);
        json_array_foreach(list, i, unit)
            fits = fits && json_is_string(unit);
        if (!fits)
            lua_mistake(L, "'%s' of while_stopped is a list of sockets' units", name);
    }
    return sockets;
}

// An error of the function is raised again once the service is started; if that fails, that error is raised.
static int service_while_stopped(lua_State *L)
{
    struct service *s = check_service(L);
    struct run *run = run_of(L);
    struct error err;
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 3);
    const json_t *sockets = check_sockets(L, 3, lua_box(L, box_json));
    if (surgery_begin(s->h, s->unit, s->commands, sockets, &err) < 0)
        return lua_raise(L, &err);
    lua_pushvalue(L, 2);
    if (interp_call(L, 0, 0, &err) < 0) {
        struct error why = err;
        surgery_end(run, why.message, &err);
        bool as_it_was = STREQ(why.message, err.message);
        return lua_raise(L, as_it_was ? &why : &err);
    }
    return surgery_end(run, NULL, &err) < 0 ? lua_raise(L, &err) : 0;
}

static int service_name(lua_State *L, void *self)
{
    lua_pushstring(L, ((struct service *)self)->unit);
    return 1;
}

static const luaL_Reg service_methods[] = {
    {"state", service_state},
    {"start", service_start},
    {"stop", service_stop},
    {"restart", service_restart},
    {"wait", service_wait},
    {"while_stopped", service_while_stopped},
    {NULL, NULL},
};
static const struct class_field service_fields[] = {{"name", service_name}, {NULL, NULL}};
static const struct class_of service_class = {
    .key = SERVICE_KEY, .noun = "a service", .methods = service_methods, .fields = service_fields};

// ---- Log ----

void push_log(lua_State *L, struct run_host *h, const char *path)
{
    struct log *log = class_new(L, LOG_KEY, sizeof *log);
    log->h = h;
    snprintf(log->path, sizeof log->path, "%s", path);
    void **box = lua_box(L, box_message);
    struct message *answer = *box = xcalloc(1, sizeof *answer);
    struct error err;
    if (run_log(h, path, -1, 0, answer, &err) == 0) {
        log->offset = json_int(json_object_get(answer->head, "result"), "size", 0);
        log->line = json_int(json_object_get(answer->head, "result"), "lines", 0);
    } else if (err.domain != ERR_SYSTEM ||
               err.code != ENOENT) { // a log that is not there yet begins with its first line
        lua_raise(L, &err);
    }
    lua_pop(L, 1);
}

static int host_log(lua_State *L)
{
    struct run_host *h = check_host(L, 1);
    push_log(L, h, check_path(L, 2));
    return 1;
}

static int log_lines(lua_State *L)
{
    struct log *log = class_check(L, 1, &log_class);
    void **box = lua_box(L, box_message);
    struct message *answer = *box = xcalloc(1, sizeof *answer);
    struct error err;
    lua_newtable(L);
    if (run_log(log->h, log->path, log->offset, log->line, answer, &err) < 0) {
        if (err.domain == ERR_SYSTEM && err.code == ENOENT)
            return 1;
        return lua_raise(L, &err);
    }
    lua_Integer number = json_int(json_object_get(answer->head, "result"), "line", 1), i = 1;
    for (const char *line = answer->body; line && line < answer->body + answer->body_len; number++) {
        const char *end = memchr(line, '\n', answer->body_len - (size_t)(line - answer->body));
        size_t len = end ? (size_t)(end - line) : answer->body_len - (size_t)(line - answer->body);
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, number);
        lua_setfield(L, -2, "number");
        lua_pushlstring(L, line, len);
        lua_setfield(L, -2, "text");
        lua_rawseti(L, -2, i++);
        line = end ? end + 1 : NULL;
    }
    return 1;
}

static int log_path(lua_State *L, void *self)
{
    lua_pushstring(L, ((struct log *)self)->path);
    return 1;
}

static int log_host(lua_State *L, void *self)
{
    push_host(L, ((struct log *)self)->h);
    return 1;
}

static const luaL_Reg log_methods[] = {{"lines", log_lines}, {NULL, NULL}};
static const struct class_field log_fields[] = {{"path", log_path}, {"host", log_host}, {NULL, NULL}};
static const struct class_of log_class = {
    .key = LOG_KEY, .noun = "a log", .methods = log_methods, .fields = log_fields};

// ---- Host ----

static int field_name(lua_State *L, void *self)
{
    lua_pushstring(L, run_host_name(((struct host_ref *)self)->h));
    return 1;
}

static int field_facts(lua_State *L, void *self)
{
    if (lua_getiuservalue(L, 1, 1) == LUA_TNIL) {
        lua_push_json(L, ((struct host_ref *)self)->h->facts);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, 1);
    }
    return 1;
}

static int field_libvirt(lua_State *L, void *self)
{
    push_libvirt(L, ((struct host_ref *)self)->h);
    return 1;
}

static int field_settings(lua_State *L, void *self)
{
    lua_push_json(L, host_spec(((struct host_ref *)self)->h->agent)->settings);
    return 1;
}

static const luaL_Reg host_methods[] = {
    {"stat", host_stat},
    {"read", host_read},
    {"list", host_list},
    {"write", host_write},
    {"edit", host_edit},
    {"edit_xml", host_edit_xml},
    {"chown", host_chown},
    {"chmod", host_chmod},
    {"remove", host_remove},
    {"service", host_service},
    {"command", host_command},
    {"reach", host_reach},
    {"refused_by", host_refused_by},
    {"watch", host_watch},
    {"watched", host_watched},
    {"ask", host_ask},
    {"answered", host_answered},
    {"log", host_log},
    {"storage", host_storage},
    {"listeners", host_listeners},
    {NULL, NULL},
};
static const struct class_field host_fields[] = {
    {"name", field_name},         {"facts", field_facts}, {"libvirt", field_libvirt},
    {"settings", field_settings}, {NULL, NULL},
};
static const struct class_of host_class = {
    .key = HOST_KEY, .noun = "a host", .methods = host_methods, .fields = host_fields};

void register_host(lua_State *L)
{
    class_register(L, &host_class);
    class_register(L, &service_class);
    class_register(L, &log_class);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, HOSTS_KEY);
}
