// SPDX-License-Identifier: MIT
// Libvirt (a host's libvirtd) and Domain.
#include "base/xml.h"
#include "lua/bindings.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#define LIBVIRT_KEY "migrun.libvirt"
#define DOMAIN_KEY "migrun.domain"

struct connection {
    struct run_host *h;
};
struct domain {
    struct run_host *h;
    char uuid[VIR_UUID_STRING_BUFLEN];
    char name[512];
};

static const struct class_of connection_class, domain_class;

static struct virt *virt_of(lua_State *L, struct run_host *h)
{
    if (h->virt)
        return h->virt;
    struct error err;
    error_set(&err, ERR_LIBVIRT, VIR_ERR_NO_CONNECT, "%s",
              h->libvirt_error ? h->libvirt_error : "libvirtd is not connected");
    lua_raise(L, &err);
    return NULL;
}

static struct virt *check_virt(lua_State *L)
{
    return virt_of(L, ((struct connection *)class_check(L, 1, &connection_class))->h);
}

// Pushes what ask found as a table.
static int answer_json(lua_State *L, json_t *json, void **box, int rc, const struct error *err)
{
    *box = json;
    if (rc < 0)
        return lua_raise(L, err);
    lua_push_json(L, json);
    return 1;
}

// Pushes XML as a document.
static int answer_document(lua_State *L, char *xml, void **box, int rc, struct error *err)
{
    *box = xml;
    if (rc < 0)
        return lua_raise(L, err);
    struct xml **slot = push_document(L);
    if (xml_parse(xml, strlen(xml), slot, err) < 0)
        return lua_raise(L, err);
    return 1;
}

static void push_domain(lua_State *L, struct run_host *h, const json_t *info)
{
    struct domain *d = class_new(L, DOMAIN_KEY, sizeof *d);
    d->h = h;
    snprintf(d->uuid, sizeof d->uuid, "%s", json_str(info, "uuid", ""));
    snprintf(d->name, sizeof d->name, "%s", json_str(info, "name", ""));
}

// ---- Libvirt ----

static int libvirt_facts(lua_State *L)
{
    struct virt *virt = check_virt(L);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_facts(virt, 0, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int libvirt_memory(lua_State *L)
{
    struct virt *virt = check_virt(L);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_node_memory(virt, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int libvirt_volume(lua_State *L)
{
    struct virt *virt = check_virt(L);
    const char *pool = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_volume(virt, pool, name, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int libvirt_resources(lua_State *L)
{
    struct virt *virt = check_virt(L);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_resources(virt, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int libvirt_capabilities(lua_State *L)
{
    struct virt *virt = check_virt(L);
    void **box = lua_box(L, box_free);
    struct error err;
    char *xml = NULL;
    int rc = virt_capabilities(virt, &xml, &err);
    return answer_document(L, xml, box, rc, &err);
}

static int libvirt_domain_capabilities(lua_State *L)
{
    struct virt *virt = check_virt(L);
    const char *emulator = luaL_optstring(L, 2, NULL), *arch = luaL_optstring(L, 3, NULL),
               *machine = luaL_optstring(L, 4, NULL), *virttype = luaL_optstring(L, 5, NULL);
    void **box = lua_box(L, box_free);
    struct error err;
    char *xml = NULL;
    int rc = virt_domain_capabilities(virt, emulator, arch, machine, virttype, &xml, &err);
    return answer_document(L, xml, box, rc, &err);
}

static int libvirt_compare_cpu(lua_State *L)
{
    struct virt *virt = check_virt(L);
    const char *cpu = luaL_checkstring(L, 2), *emulator = luaL_optstring(L, 3, NULL),
               *arch = luaL_optstring(L, 4, NULL), *machine = luaL_optstring(L, 5, NULL),
               *virttype = luaL_optstring(L, 6, NULL);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_compare_cpu(virt, emulator, arch, machine, virttype, cpu, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int libvirt_baseline_cpu(lua_State *L)
{
    struct virt *virt = check_virt(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    const char *arch = luaL_optstring(L, 3, NULL), *virttype = luaL_optstring(L, 4, NULL);
    void **cpus = lua_box(L, box_json), **box = lua_box(L, box_free);
    struct error err;
    char *xml = NULL;
    if (lua_to_json(L, 2, (json_t **)cpus, &err) < 0)
        return lua_raise(L, &err);
    bool fits = json_array_size(*cpus) > 0;
    for (size_t i = 0; i < json_array_size(*cpus); i++)
        fits = fits && json_is_string(json_array_get(*cpus, i));
    if (!fits)
        return lua_mistake(L, "baseline_cpu takes a list of CPUs as XML");
    int rc = virt_baseline_cpu(virt, *cpus, arch, virttype, &xml, &err);
    return answer_document(L, xml, box, rc, &err);
}

static int libvirt_domain(lua_State *L)
{
    struct connection *c = class_check(L, 1, &connection_class);
    const char *name = luaL_checkstring(L, 2);
    struct virt *virt = virt_of(L, c->h);
    void **box = lua_box(L, box_json);
    struct error err;
    if (virt_domain(virt, name, (json_t **)box, &err) < 0) {
        if (err.domain != ERR_LIBVIRT || err.code != VIR_ERR_NO_DOMAIN)
            return lua_raise(L, &err);
        lua_pushnil(L);
        return 1;
    }
    push_domain(L, c->h, *box);
    return 1;
}

static int libvirt_domains(lua_State *L)
{
    struct connection *c = class_check(L, 1, &connection_class);
    struct virt *virt = virt_of(L, c->h);
    void **box = lua_box(L, box_json);
    struct error err;
    if (virt_facts(virt, 0, (json_t **)box, &err) < 0)
        return lua_raise(L, &err);
    const json_t *domains = json_object_get(*box, "domains");
    lua_createtable(L, (int)json_array_size(domains), 0);
    for (size_t i = 0; i < json_array_size(domains); i++) {
        push_domain(L, c->h, json_array_get(domains, i));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int field_uri(lua_State *L, void *self)
{
    const struct connection *c = self;
    lua_pushstring(L, json_str(json_object_get(c->h->facts, "libvirt"), "uri", ""));
    return 1;
}

static const luaL_Reg connection_methods[] = {
    {"facts", libvirt_facts},
    {"capabilities", libvirt_capabilities},
    {"domain_capabilities", libvirt_domain_capabilities},
    {"compare_cpu", libvirt_compare_cpu},
    {"baseline_cpu", libvirt_baseline_cpu},
    {"memory", libvirt_memory},
    {"volume", libvirt_volume},
    {"resources", libvirt_resources},
    {"domain", libvirt_domain},
    {"domains", libvirt_domains},
    {NULL, NULL},
};
static const struct class_field connection_fields[] = {{"uri", field_uri}, {NULL, NULL}};
static const struct class_of connection_class = {
    .key = LIBVIRT_KEY,
    .noun = "a libvirt connection",
    .methods = connection_methods,
    .fields = connection_fields,
};

void push_libvirt(lua_State *L, struct run_host *h)
{
    struct connection *c = class_new(L, LIBVIRT_KEY, sizeof *c);
    c->h = h;
}

// ---- Domain ----

static struct domain *check_domain(lua_State *L) { return class_check(L, 1, &domain_class); }

static int domain_info(lua_State *L)
{
    struct domain *d = check_domain(L);
    struct virt *virt = virt_of(L, d->h);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_domain(virt, d->uuid, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int domain_blocks(lua_State *L)
{
    struct domain *d = check_domain(L);
    struct virt *virt = virt_of(L, d->h);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_blocks(virt, d->uuid, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int domain_job(lua_State *L)
{
    struct domain *d = check_domain(L);
    bool completed = lua_toboolean(L, 2);
    struct virt *virt = virt_of(L, d->h);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_job(virt, d->uuid, completed, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int domain_stats(lua_State *L)
{
    struct domain *d = check_domain(L);
    struct virt *virt = virt_of(L, d->h);
    void **box = lua_box(L, box_json);
    struct error err;
    json_t *json = NULL;
    int rc = virt_stats(virt, d->uuid, 0, &json, &err);
    return answer_json(L, json, box, rc, &err);
}

static int domain_xml(lua_State *L)
{
    static const char *const names[] = {"inactive", "secure", "update_cpu", "migratable"};
    static const unsigned int of_name[] = {VIR_DOMAIN_XML_INACTIVE, VIR_DOMAIN_XML_SECURE,
                                           VIR_DOMAIN_XML_UPDATE_CPU, VIR_DOMAIN_XML_MIGRATABLE};
    struct domain *d = check_domain(L);
    struct virt *virt = virt_of(L, d->h);
    unsigned int flags = 0;
    check_options(L, 2, "xml", names, COUNT_OF(names));
    for (size_t i = 0; lua_istable(L, 2) && i < COUNT_OF(names); i++) {
        lua_getfield(L, 2, names[i]);
        flags |= lua_toboolean(L, -1) ? of_name[i] : 0;
        lua_pop(L, 1);
    }
    void **box = lua_box(L, box_free);
    struct error err;
    char *xml = NULL;
    int rc = flags & VIR_DOMAIN_XML_MIGRATABLE
                 ? virt_migratable_xml(virt, d->uuid, flags & VIR_DOMAIN_XML_INACTIVE, &xml, &err)
                 : virt_domain_xml(virt, d->uuid, flags, &xml, &err);
    return answer_document(L, xml, box, rc, &err);
}

static int field_name(lua_State *L, void *self)
{
    lua_pushstring(L, ((struct domain *)self)->name);
    return 1;
}

static int field_uuid(lua_State *L, void *self)
{
    lua_pushstring(L, ((struct domain *)self)->uuid);
    return 1;
}

static const luaL_Reg domain_methods[] = {
    {"info", domain_info},     {"xml", domain_xml},     {"job", domain_job},
    {"blocks", domain_blocks}, {"stats", domain_stats}, {NULL, NULL},
};
static const struct class_field domain_fields[] = {{"name", field_name}, {"uuid", field_uuid}, {NULL, NULL}};
static const struct class_of domain_class = {
    .key = DOMAIN_KEY, .noun = "a domain", .methods = domain_methods, .fields = domain_fields};

void register_libvirt(lua_State *L)
{
    class_register(L, &connection_class);
    class_register(L, &domain_class);
}
