// SPDX-License-Identifier: MIT
#include "lua/interp.h"

#include "base/interrupt.h"
#include "base/io.h"
#include "run/change.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMORY_MAX = 512 << 20, HOOK_COUNT = 10000, DEPTH_MAX = 60 };

#define ERROR_KEY "migrun.error"
#define BOX_KEY "migrun.box"
#define LOADED_KEY "migrun.loaded"

struct interp *interp_of(lua_State *L) { return *(struct interp **)lua_getextraspace(L); }

struct run *run_of(lua_State *L)
{
    struct run *run = interp_of(L)->run;
    if (!run)
        lua_mistake(L, "the world can be asked only inside a step");
    return run;
}

// ---- memory, interrupts ----

static void *allocate(void *data, void *p, size_t old_size, size_t new_size)
{
    struct interp *in = data;
    if (!p)
        old_size = 0;
    if (new_size == 0) {
        in->memory -= old_size;
        free(p);
        return NULL;
    }
    if (new_size > old_size && in->memory + (new_size - old_size) > MEMORY_MAX)
        return NULL;
    void *fresh = realloc(p, new_size);
    if (fresh)
        in->memory += new_size - old_size;
    return fresh;
}

// A policy that is stuck in Lua is interrupted, also inside pcall: from the first interrupt on every
// instruction raises, so that a loop which catches errors is ended by an instruction outside its pcall.
// Fix-ups are finished: the guest may have moved.
static void on_count(lua_State *L, lua_Debug *unused)
{
    (void)unused;
    struct interp *in = interp_of(L);
    bool finishing = in->run && in->run->phase == PHASE_FIXUP;
    if (interrupt_count == 0 || finishing) {
        if (in->hurried) {
            in->hurried = false;
            lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_COUNT);
        }
        return;
    }
    in->hurried = true;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    struct error err;
    error_set(&err, ERR_INTERRUPTED, 0, "interrupted");
    lua_raise(L, &err);
}

// ---- errors ----

int lua_raise(lua_State *L, const struct error *err)
{
    surgery_spoil(interp_of(L)->run, err->message);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, err->message);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, err->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, error_domain_name(err->domain));
    lua_setfield(L, -2, "domain");
    lua_pushstring(L, err->source);
    lua_setfield(L, -2, "source");
    luaL_setmetatable(L, ERROR_KEY);
    return lua_error(L);
}

int lua_mistake(lua_State *L, const char *format, ...)
{
    struct error err = {0};
    va_list args;
    va_start(args, format);
    error_setv(&err, ERR_POLICY, 0, format, args);
    va_end(args);
    luaL_where(L, 1);
    const char *where = lua_tostring(L, -1);
    snprintf(err.source, sizeof err.source, "%s", where);
    if (*where) {
        char message[sizeof err.message + sizeof err.source];
        snprintf(message, sizeof message, "%s%s", where, err.message);
        memcpy(err.message, message, sizeof err.message - 1);
        err.message[sizeof err.message - 1] = '\0';
    }
    return lua_raise(L, &err);
}

static int error_tostring(lua_State *L)
{
    lua_getfield(L, 1, "message");
    return 1;
}

// What was raised, from the top of the stack (popped).
// The raw members of what was raised: a metatable that a policy gave it has no say here. In a call of its
// own, as a conversion may run out of memory.
static int read_error(lua_State *L)
{
    static const char *const members[] = {"message", "domain", "code", "source"};
    struct error *err = lua_touserdata(L, 1);
    const char *text = lua_type(L, 2) == LUA_TTABLE ? NULL : lua_tostring(L, 2);
    if (!lua_istable(L, 2)) {
        error_set(err, ERR_POLICY, 0, "%s", text ? text : "an error that is not a string");
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        lua_pushstring(L, members[i]);
        lua_rawget(L, 2);
    }
    const char *message = lua_tostring(L, 3), *domain = lua_tostring(L, 4), *source = lua_tostring(L, 6);
    error_set(err, domain ? error_domain_from_name(domain) : ERR_POLICY, (int)lua_tointeger(L, 5), "%s",
              message ? message : "an error without a message");
    snprintf(err->source, sizeof err->source, "%s", source ? source : "");
    return 0;
}

// Takes the error value from the top of the stack.
static void error_from(lua_State *L, struct error *err)
{
    struct error read = {0};
    lua_pushcfunction(L, read_error);
    lua_pushlightuserdata(L, &read);
    lua_rotate(L, -3, 2);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        error_set(&read, ERR_POLICY, 0, "an error that cannot be read");
        lua_pop(L, 1);
    }
    if (err)
        *err = read;
}

int interp_call(lua_State *L, int arguments, int results, struct error *err)
{
    if (lua_pcall(L, arguments, results, 0) == LUA_OK)
        return 0;
    error_from(L, err);
    return -1;
}

// ---- boxes ----

struct box {
    void *p;
    void (*release)(void *);
};

static int box_gc(lua_State *L)
{
    struct box *box = lua_touserdata(L, 1);
    if (box->p)
        box->release(box->p);
    box->p = NULL;
    return 0;
}

void **lua_box(lua_State *L, void (*release)(void *))
{
    struct box *box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = (struct box){.release = release};
    luaL_setmetatable(L, BOX_KEY);
    return &box->p;
}

void box_free(void *p) { free(p); }
void box_json(void *p) { json_decref(p); }

// ---- plain data ----

static void push_json(lua_State *L, const json_t *json, int depth)
{
    luaL_checkstack(L, 4, "data too deep");
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT: {
        const char *key;
        json_t *value;
        lua_createtable(L, 0, (int)json_object_size(json));
        json_object_foreach((json_t *)(uintptr_t)json, key, value) {
            push_json(L, value, depth + 1);
            lua_setfield(L, -2, key);
        }
        break;
    }
    case JSON_ARRAY: {
        size_t i;
        json_t *value;
        lua_createtable(L, (int)json_array_size(json), 0);
        json_array_foreach(json, i, value) {
            push_json(L, value, depth + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    }
    case JSON_STRING: lua_pushlstring(L, json_string_value(json), json_string_length(json)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(json)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(json)); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_NULL: lua_pushnil(L); break;
    }
}

void lua_push_json(lua_State *L, const json_t *json) { push_json(L, json, 0); }

static int to_json(lua_State *L, int index, json_t **json, int depth, struct error *err);

static int table_to_json(lua_State *L, int index, json_t **json, int depth, struct error *err)
{
    size_t positional = lua_rawlen(L, index), entries = 0;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        entries++;
        lua_pop(L, 1);
    }
    bool is_array = positional > 0 && entries == positional;
    auto_json json_t *result = is_array ? json_array() : json_object();
    for (size_t i = 1; is_array && i <= positional; i++) {
        json_t *value = NULL;
        lua_rawgeti(L, index, (lua_Integer)i);
        int rc = to_json(L, lua_gettop(L), &value, depth + 1, err);
        lua_pop(L, 1);
        if (rc < 0)
            return -1;
        json_array_append_new(result, value);
    }
    if (is_array) {
        *json = steal(&result);
        return 0;
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
        json_t *value = NULL;
        char number[32];
        const char *key = NULL;
        if (lua_type(L, -2) == LUA_TSTRING)
            key = lua_tostring(L, -2);
        else if (lua_isinteger(L, -2)) {
            snprintf(number, sizeof number, "%lld", (long long)lua_tointeger(L, -2));
            key = number;
        }
        if (!key || to_json(L, lua_gettop(L), &value, depth + 1, err) < 0) {
            lua_pop(L, 2);
            return key ? -1
                       : error_set(err, ERR_POLICY, 0,
                                   "plain data has texts and whole numbers for keys, not a %s",
                                   "value of another type");
        }
        if (json_object_set_new(result, key, value) < 0) {
            lua_pop(L, 2);
            return error_set(err, ERR_POLICY, 0, "a key is not UTF-8 text");
        }
        lua_pop(L, 1);
    }
    *json = steal(&result);
    return 0;
}

static int to_json(lua_State *L, int index, json_t **json, int depth, struct error *err)
{
    if (depth > DEPTH_MAX || !lua_checkstack(L, 6))
        return error_set(err, ERR_POLICY, 0, "data nested deeper than %d levels (does it contain itself?)",
                         DEPTH_MAX);
    switch (lua_type(L, index)) {
    case LUA_TNIL: *json = json_null(); return 0;
    case LUA_TBOOLEAN: *json = json_boolean(lua_toboolean(L, index)); return 0;
    case LUA_TNUMBER:
        *json = lua_isinteger(L, index) ? json_integer(lua_tointeger(L, index))
                                        : json_real(lua_tonumber(L, index));
        return *json ? 0 : error_set(err, ERR_POLICY, 0, "a number that is none (inf or nan)");
    case LUA_TSTRING: {
        size_t len;
        const char *text = lua_tolstring(L, index, &len);
        *json = json_stringn(text, len);
        return *json ? 0 : error_set(err, ERR_POLICY, 0, "a text that is not UTF-8");
    }
    case LUA_TTABLE: return table_to_json(L, index, json, depth, err);
    default:
        return error_set(err, ERR_POLICY, 0, "a %s is no plain data", lua_typename(L, lua_type(L, index)));
    }
}

int lua_to_json(lua_State *L, int index, json_t **json, struct error *err)
{
    return to_json(L, lua_absindex(L, index), json, 0, err);
}

// ---- classes ----

enum { NAMES_MAX = 64 };

static int class_index(lua_State *L)
{
    const struct class_of *class_of = lua_touserdata(L, lua_upvalueindex(2));
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (const struct class_field *field = class_of->fields; field && field->name; field++) {
        if (STREQ(field->name, name))
            return field->push(L, lua_touserdata(L, 1));
        names[n++] = field->name;
    }
    for (const luaL_Reg *method = class_of->methods; method && method->name; method++)
        names[n++] = method->name;
    const char *near = nearest_name(name, names, n);
    return lua_mistake(L, "unknown field '%s' of %s%s%s%s", name, class_of->noun,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int class_newindex(lua_State *L)
{
    const struct class_of *class_of = lua_touserdata(L, lua_upvalueindex(1));
    return lua_mistake(L, "'%s' of %s cannot be set", lua_tostring(L, 2), class_of->noun);
}

void class_register(lua_State *L, const struct class_of *class_of)
{
    luaL_newmetatable(L, class_of->key);
    lua_newtable(L);
    if (class_of->methods)
        luaL_setfuncs(L, class_of->methods, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)class_of);
    lua_pushcclosure(L, class_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, (void *)(uintptr_t)class_of);
    lua_pushcclosure(L, class_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushstring(L, class_of->noun);
    lua_setfield(L, -2, "__name");
    if (class_of->gc) {
        lua_pushcfunction(L, class_of->gc);
        lua_setfield(L, -2, "__gc");
    }
    if (class_of->eq) {
        lua_pushcfunction(L, class_of->eq);
        lua_setfield(L, -2, "__eq");
    }
    lua_pop(L, 1);
}

void *class_new(lua_State *L, const char *key, size_t size)
{
    void *self = lua_newuserdatauv(L, size, 1);
    memset(self, 0, size);
    luaL_setmetatable(L, key);
    return self;
}

void *class_check(lua_State *L, int index, const struct class_of *class_of)
{
    void *self = luaL_testudata(L, index, class_of->key);
    if (!self)
        lua_mistake(L, "%s was expected, not a %s (a method is called with ':')", class_of->noun,
                    luaL_typename(L, index));
    return self;
}

// ---- the allow-list ----

static int safe_load(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len), *name = luaL_optstring(L, 2, "=(load)");
    bool has_env = !lua_isnone(L, 4);
    if (luaL_loadbufferx(L, text, len, name, "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env) {
        lua_pushvalue(L, 4);
        lua_setupvalue(L, -2, 1);
    }
    return 1;
}

static int safe_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return lua_mistake(L, "__gc is not for policies");
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return lua_mistake(L, "this metatable is protected");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int undefined_global(lua_State *L)
{
    const char *name = lua_tostring(L, 2);
    return lua_mistake(L, "undefined global '%s'", name ? name : "?");
}

static int assigned_global(lua_State *L)
{
    const char *name = lua_tostring(L, 2);
    return lua_mistake(L, "global '%s' is assigned; make it local", name ? name : "?");
}

static int lua_print(lua_State *L)
{
    struct run *run = run_of(L);
    int n = lua_gettop(L);
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&text, ' ');
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    run_message(run, "info", "%s", lua_tostring(L, -1));
    return 0;
}

static bool is_module_name(const char *name)
{
    bool dot = true;
    for (const char *p = name; *p; p++) {
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                      *p == '_' || *p == '-';
        if (!letter && (*p != '.' || dot))
            return false;
        dot = *p == '.';
    }
    return !dot;
}

// The text of a module: as it was when the run began, or its file's, which is remembered. NULL: there is
// none.
static const char *module_text(struct interp *in, const char *name, const char *folder, char **path)
{
    *path = xasprintf("%s/%s.lua", folder ? folder : "?", name);
    for (char *p = *path + strlen(*path) - strlen(name) - 4; p < *path + strlen(*path) - 4; p++)
        if (*p == '.')
            *p = '/';
    const json_t *text = json_object_get(in->modules, name);
    if (text || in->frozen || !folder)
        return json_string_value(text);
    auto_free char *data = NULL;
    size_t len;
    if (read_whole_file(*path, 16 << 20, &data, &len) < 0)
        return NULL;
    json_object_set_new(in->modules, name, json_stringn_nocheck(data, len));
    return json_string_value(json_object_get(in->modules, name));
}

static int require_text(lua_State *L, struct interp *in, const char *name, const char *folder)
{
    void **path = lua_box(L, box_free);
    const char *text = module_text(in, name, folder, (char **)path);
    if (!text)
        return 0;
    const char *chunk = lua_pushfstring(L, "@%s", (char *)*path);
    if (luaL_loadbufferx(L, text, json_string_length(json_object_get(in->modules, name)), chunk, "t") !=
        LUA_OK)
        return lua_error(L);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    return 1;
}

static int safe_require(lua_State *L)
{
    struct interp *in = interp_of(L);
    const char *name = luaL_checkstring(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, LOADED_KEY);
    if (lua_getfield(L, 2, name) != LUA_TNIL) {
        if (lua_islightuserdata(L, -1))
            return lua_mistake(L, "module '%s' requires itself", name);
        return 1;
    }
    lua_pop(L, 1);
    if (!is_module_name(name))
        return lua_mistake(L, "'%s' is no name of a module", name);
    bool ours = strncmp(name, "migrun.", 7) == 0;
    lua_pushlightuserdata(L, in);
    lua_setfield(L, 2, name);
    // "migrun.xml" lies in LIBRARY/migrun/xml.lua; a site's own modules lie beside its policy.
    int found = STREQ(name, "migrun.xml")    ? open_xml(L)
                : STREQ(name, "migrun.json") ? open_json(L)
                                             : require_text(L, in, name, ours ? in->library : in->folder);
    if (!found) {
        lua_pushnil(L);
        lua_setfield(L, 2, name);
        return lua_mistake(L, "there is no module '%s' in %s", name,
                           ours         ? in->library
                           : in->folder ? in->folder
                                        : "any folder");
    }
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

static void open_allowed(lua_State *L)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},       {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math},
                                         {LUA_UTF8LIBNAME, luaopen_utf8}, {LUA_OSLIBNAME, luaopen_os}};
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    static const char *const refused[] = {"dofile", "loadfile", "collectgarbage", "warn", "rawset"};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        lua_pushnil(L);
        lua_setglobal(L, refused[i]);
    }
    static const luaL_Reg ours[] = {{"load", safe_load},
                                    {"setmetatable", safe_setmetatable},
                                    {"print", lua_print},
                                    {"require", safe_require},
                                    {NULL, NULL}};
    lua_pushglobaltable(L);
    luaL_setfuncs(L, ours, 0);
    lua_pop(L, 1);
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    // Of os only what tells the time.
    lua_getglobal(L, "os");
    lua_createtable(L, 0, 3);
    static const char *const clocks[] = {"time", "date", "clock"};
    for (size_t i = 0; i < COUNT_OF(clocks); i++) {
        lua_getfield(L, -2, clocks[i]);
        lua_setfield(L, -2, clocks[i]);
    }
    lua_setglobal(L, "os");
    lua_pop(L, 1);
    // The libraries' own registry holds what was taken away.
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    // Undeclared globals are errors.
    lua_pushglobaltable(L);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, undefined_global);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, assigned_global);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static int open_all(lua_State *L)
{
    open_allowed(L);
    luaL_newmetatable(L, ERROR_KEY);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newmetatable(L, BOX_KEY);
    lua_pushcfunction(L, box_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LOADED_KEY);
    register_xml(L);
    register_host(L);
    register_libvirt(L);
    register_run(L);
    register_nova(L);
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_COUNT);
    return 0;
}

// Beside the program in a build, else where make install puts it.
static char *find_library(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    static const char *const beside[] = {"../lua", "../../lua"};
    if (n > 0) {
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        for (size_t i = 0; i < COUNT_OF(beside); i++) {
            auto_free char *path = xasprintf("%s/%s", self, beside[i]),
                           *probe = xasprintf("%s/migrun/policy.lua", path);
            char *real = access(probe, R_OK) == 0 ? realpath(path, NULL) : NULL;
            if (real)
                return real;
        }
    }
    return xstrdup(MIGRUN_PREFIX "/share/migrun/lua");
}

int interp_open(struct interp *in, struct error *err)
{
    *in = (struct interp){0};
    in->L = lua_newstate(allocate, in);
    if (!in->L)
        return error_set(err, ERR_BUG, 0, "Lua does not start");
    *(struct interp **)lua_getextraspace(in->L) = in;
    in->library = find_library();
    in->modules = json_object();
    lua_pushcfunction(in->L, open_all);
    return interp_call(in->L, 0, 0, err);
}

void interp_close(struct interp *in)
{
    if (in->L)
        lua_close(in->L);
    json_decref(in->modules);
    free(in->library);
    free(in->folder);
    *in = (struct interp){0};
}
