// SPDX-License-Identifier: MIT
// Document, and the module migrun.xml.
#include "base/xml.h"
#include "base/memory.h"
#include "lua/bindings.h"
#include "lua/sandbox.h"

#include <stdlib.h>
#include <string.h>

#define DOCUMENT_KEY "migrun.document"

static int gc_document(lua_State *L)
{
    struct xml **slot = lua_touserdata(L, 1);
    xml_free(*slot);
    *slot = NULL;
    return 0;
}

static void box_strv(void *p) { strv_free(p); }

static int push_strings(lua_State *L,
                        int (*ask)(const struct xml *, const char *, char ***, size_t *, struct error *))
{
    struct xml *doc = check_document(L, 1);
    const char *xpath = luaL_checkstring(L, 2);
    void **box = lua_box(L, box_strv);
    char **values = NULL;
    size_t count;
    struct error err;
    if (ask(doc, xpath, &values, &count, &err) < 0)
        return lua_raise(L, &err);
    *box = values;
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(L, values[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int document_find(lua_State *L) { return push_strings(L, xml_values); }
static int document_fragments(lua_State *L) { return push_strings(L, xml_fragments); }

static int document_get(lua_State *L)
{
    struct xml *doc = check_document(L, 1);
    const char *xpath = luaL_checkstring(L, 2);
    void **box = lua_box(L, box_free);
    char *value = NULL;
    struct error err;
    if (xml_value(doc, xpath, &value, &err) < 0)
        return lua_raise(L, &err);
    *box = value;
    lua_pushstring(L, value); // nil for NULL
    return 1;
}

static int change(lua_State *L, int (*make)(struct xml *, const char *, const char *, struct error *))
{
    struct xml *doc = check_document(L, 1);
    const char *xpath = luaL_checkstring(L, 2), *text = luaL_checkstring(L, 3);
    struct error err;
    int count = make(doc, xpath, text, &err);
    if (count < 0)
        return lua_raise(L, &err);
    lua_pushinteger(L, count);
    return 1;
}

static int document_set(lua_State *L) { return change(L, xml_set); }
static int document_add(lua_State *L) { return change(L, xml_add); }

static int document_remove(lua_State *L)
{
    struct xml *doc = check_document(L, 1);
    const char *xpath = luaL_checkstring(L, 2);
    struct error err;
    int count = xml_remove(doc, xpath, &err);
    if (count < 0)
        return lua_raise(L, &err);
    lua_pushinteger(L, count);
    return 1;
}

static int document_text(lua_State *L)
{
    struct xml *doc = check_document(L, 1);
    void **box = lua_box(L, box_free);
    *box = xml_text(doc);
    lua_pushstring(L, *box);
    return 1;
}

static const luaL_Reg document_methods[] = {
    {"find", document_find}, {"get", document_get}, {"fragments", document_fragments},
    {"set", document_set},   {"add", document_add}, {"remove", document_remove},
    {"text", document_text}, {NULL, NULL},
};
static const struct class_of document_class = {
    .key = DOCUMENT_KEY, .noun = "a document", .methods = document_methods, .gc = gc_document};

// Lua sees of a document only a pointer, so what libxml2 holds for those that nobody has any more does not
// make it collect them.
struct xml **push_document(lua_State *L)
{
    if (xml_memory_used() > XML_MEMORY_MAX / 2)
        lua_gc(L, LUA_GCCOLLECT, 0);
    return class_new(L, DOCUMENT_KEY, sizeof(struct xml *));
}

struct xml *check_document(lua_State *L, int index)
{
    struct xml *document = *(struct xml **)class_check(L, index, &document_class);
    if (!document)
        lua_mistake(L, "this document is gone"); // collected, and found again by a weak table
    return document;
}

// {changes = {xpath, …}} at index as texts of our own: apply may change the table.
static const char **declared_changes(lua_State *L, int index, size_t *count)
{
    lua_getfield(L, index, "changes");
    if (!lua_istable(L, -1))
        lua_mistake(L, "a change of XML is { changes = { XPath, … }, apply = function(document) … end }");
    size_t n = lua_rawlen(L, -1);
    void **box = lua_box(L, box_strv);
    char **paths = *box = xcalloc(n + 1, sizeof *paths);
    for (size_t i = 0; i < n; i++) {
        if (lua_rawgeti(L, -2, (lua_Integer)i + 1) != LUA_TSTRING)
            lua_mistake(L, "changes[%d] of a change of XML is an XPath, as a string", (int)i + 1);
        paths[i] = xstrdup(lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    *count = n;
    return (const char **)paths;
}

void apply_change(lua_State *L, int index, int document_index, const struct xml *before, bool declared,
                  const char *what)
{
    struct run *run = run_of(L);
    size_t count = 0;
    const char **paths = NULL;
    index = lua_absindex(L, index);
    document_index = lua_absindex(L, document_index);
    int top = lua_gettop(L);
    if (lua_istable(L, index)) {
        paths = declared_changes(L, index, &count);
        if (lua_getfield(L, index, "apply") != LUA_TFUNCTION)
            lua_mistake(L, "a change of XML has a function 'apply'");
    } else if (lua_isfunction(L, index)) {
        if (declared)
            lua_mistake(L,
                        "%s is libvirt's own state: the change says beforehand what it touches, { changes = "
                        "{ XPath, … }, apply = function(document) … end }",
                        what);
        lua_pushvalue(L, index);
    } else {
        lua_mistake(L,
                    "a change of XML is a function of the document or { changes = …, apply = … }, not a %s",
                    luaL_typename(L, index));
    }
    lua_pushvalue(L, document_index);
    run->pure++;
    int rc = lua_pcall(L, 1, 0, 0);
    run->pure--;
    if (rc != LUA_OK)
        lua_error(L);
    struct error err;
    if (paths && xml_only_changed(before, check_document(L, document_index), paths, count, &err) < 0) {
        error_prefix(&err, "%s", what);
        lua_raise(L, &err);
    }
    lua_settop(L, top);
}

// ---- the module ----

static int parse(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct xml **slot = push_document(L);
    struct error err;
    if (xml_parse(text, len, slot, &err) < 0)
        return lua_raise(L, &err);
    return 1;
}

static int open_xml(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", parse}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

void register_xml(lua_State *L)
{
    class_register(L, &document_class);
    sandbox_module(L, "migrun.xml", open_xml);
}
