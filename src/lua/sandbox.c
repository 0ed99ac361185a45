// SPDX-License-Identifier: MIT
#include "lua/sandbox.h"

#include "base/io.h"
#include "base/text.h"
#include "lua/interp.h"
#include "lua/library.h"
#include "lua/value.h"
#include "run/run.h"

#include <lualib.h>
#include <string.h>
#include <unistd.h>

enum { MODULE_MAX = 16 << 20, LIBRARY_NAMES = 64 };

#define LOADED_KEY "migrun.loaded"
#define READERS_KEY "migrun.readers" // of the library's modules, by their names

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
            return lua_mistake(L, "__gc is not allowed in a policy");
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

// Before a run there is no progress that it could break.
static void print_while_loading(const char *text)
{
    auto_free char *shown = printable(text), *line = xasprintf("%s\n", shown);
    write_all(STDERR_FILENO, line, strlen(line));
}

static int lua_print(lua_State *L)
{
    struct run *run = interp_of(L)->run;
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
    if (run)
        run_message(run, "info", "%s", lua_tostring(L, -1));
    else
        print_while_loading(lua_tostring(L, -1));
    return 0;
}

// ---- require ----

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

static const struct library_module *find_in_library(const char *name)
{
    for (const struct library_module *module = library_modules; module->name; module++)
        if (STREQ(module->name, name))
            return module;
    return NULL;
}

char *module_path(const struct interp *in, const char *name)
{
    const char *folder = in->folder ? in->folder : "?";
    char *path = xasprintf("%s/%s.lua", folder, name), *dot = path + strlen(folder);
    for (const char *end = path + strlen(path) - 4; dot < end; dot++)
        if (*dot == '.')
            *dot = '/';
    return path;
}

// The text of a site's module: as it was when the run began, or its file's, which is remembered. NULL: there
// is none.
static const json_t *site_module(struct interp *in, const char *name, const char *path)
{
    const json_t *text = json_object_get(in->modules, name);
    if (text || in->frozen)
        return text;
    auto_free char *data = NULL;
    size_t len;
    if (read_whole_file(path, MODULE_MAX, &data, &len) < 0)
        return NULL;
    json_object_set_new(in->modules, name, json_stringn_nocheck(data, len));
    return json_object_get(in->modules, name);
}

// Runs a module's text; leaves what it returned.
static void run_module(lua_State *L, const char *name, const char *file, const char *text, size_t len)
{
    const char *chunk = lua_pushfstring(L, "@%s", file);
    if (luaL_loadbufferx(L, text, len, chunk, "t") != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
}

// Leaves what the module returned; false: there is none of that name.
static bool run_site_module(lua_State *L, const char *name)
{
    struct interp *in = interp_of(L);
    void **path = lua_box(L, box_free);
    *path = module_path(in, name);
    const json_t *text = site_module(in, name, *path);
    if (text)
        run_module(L, name, *path, json_string_value(text), json_string_length(text));
    return text != NULL;
}

int site_module_text(lua_State *L)
{
    struct interp *in = interp_of(L);
    const char *name = luaL_checkstring(L, 1);
    if (!is_module_name(name))
        return 0;
    void **path = lua_box(L, box_free);
    *path = module_path(in, name);
    const json_t *text = site_module(in, name, *path);
    if (!text)
        return 0;
    lua_pushlstring(L, json_string_value(text), json_string_length(text));
    lua_pushstring(L, *path);
    return 2;
}

static bool open_module(lua_State *L, const char *name)
{
    const struct library_module *module = find_in_library(name);
    if (module)
        run_module(L, name, module->file, (const char *)module->text, module->len);
    return module || run_site_module(L, name);
}

static int no_module(lua_State *L, const char *name)
{
    const struct interp *in = interp_of(L);
    const char *names[LIBRARY_NAMES];
    size_t n = 0;
    for (const struct library_module *module = library_modules; module->name && n < LIBRARY_NAMES; module++)
        names[n++] = module->name;
    if (strncmp(name, "migrun.", 7) != 0)
        return lua_mistake(L, "there is no module '%s' in %s", name, in->folder ? in->folder : "any folder");
    const char *near = nearest_name(name, names, n);
    return lua_mistake(L, "there is no module '%s' in migrun's library%s%s%s", name,
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int require(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LOADED_KEY);
    int loaded = lua_gettop(L);
    if (lua_getfield(L, loaded, name) != LUA_TNIL) {
        if (lua_islightuserdata(L, -1))
            return lua_mistake(L, "module '%s' requires itself", name);
        return 1;
    }
    if (!is_module_name(name))
        return lua_mistake(L, "'%s' is not a valid module name", name);
    lua_pushlightuserdata(L, interp_of(L));
    lua_setfield(L, loaded, name);
    if (!open_module(L, name)) {
        lua_pushnil(L);
        lua_setfield(L, loaded, name);
        return no_module(L, name);
    }
    if (lua_isnil(L, -1))
        lua_pushboolean(L, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, loaded, name);
    return 1;
}

// ---- the library, as others may have it ----

static int read_only(lua_State *L)
{
    const char *key = lua_tostring(L, 2);
    return lua_mistake(L, "'%s' of migrun's library cannot be set; copy what is to be changed",
                       key ? key : luaL_typename(L, 2));
}

static int pairs_of_module(lua_State *L)
{
    lua_getglobal(L, "next");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushnil(L);
    return 3;
}

// A module of the library at the top becomes what reads it: the core, and other policies' steps, use it too.
static void push_reader(lua_State *L)
{
    int module = lua_gettop(L);
    lua_newtable(L);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, module);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, module);
    lua_pushcclosure(L, pairs_of_module, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, module);
}

static int safe_require(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    if (strlen(name) != len)
        return lua_mistake(L, "'%s' is not a valid module name", name);
    require(L, name);
    if (strncmp(name, "migrun.", 7) != 0 || !lua_istable(L, -1))
        return 1;
    lua_getfield(L, LUA_REGISTRYINDEX, READERS_KEY);
    if (lua_getfield(L, -1, name) != LUA_TNIL)
        return 1;
    lua_pop(L, 1);
    lua_pushvalue(L, -2);
    push_reader(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
    return 1;
}

void push_library(lua_State *L, const char *name)
{
    int top = lua_gettop(L);
    luaL_checkstack(L, 10, name);
    require(L, name);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

void push_library_function(lua_State *L, const char *module, const char *function)
{
    push_library(L, module);
    lua_pushstring(L, function);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

void push_source(lua_State *L, const char *name)
{
    const struct library_module *module = find_in_library(name);
    lua_pushlstring(L, (const char *)module->text, module->len);
}

void sandbox_module(lua_State *L, const char *name, lua_CFunction open)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LOADED_KEY);
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

// ---- all of it ----

void open_sandbox(lua_State *L)
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
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LOADED_KEY);
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, READERS_KEY);
}
