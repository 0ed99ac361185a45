// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "clock.h"
#include "fake_agent.h"
#include "fake_surgery.h"
#include "world.h"

#include <errno.h>
#include <string.h>

int agent_died(struct error *err) { return error_set(err, ERR_HOST, HOST_LOST, "half done"); }

// ---- commands, services ----

static bool command_writes(const json_t *request) { return !json_flag(request, "reads", false); }

static int getent(const struct served *s, const char *database, const char *name, struct buf *out)
{
    const json_t *known = json_object_get(
        json_object_get(s->host, STREQ(database, "group") ? "groups" : "users"), name);
    if (!known)
        return 2;
    if (json_is_integer(known))
        buf_printf(out, "%s:x:%d:\n", name, (int)json_integer_value(known));
    else
        buf_printf(out, "%s:x:%d:%d::/:/bin/false\n", name, (int)json_int(known, "uid", 0),
                   (int)json_int(known, "gid", 0));
    return 0;
}

// The few programs that this world has: true, false, getent -- DATABASE NAME, touch FILE, rm FILE.
static int serve_command(const struct served *s, struct error *err)
{
    const json_t *argv = json_object_get(s->request, "argv");
    const char *words[4] = {"", "", "", ""};
    int status = 0;
    for (size_t i = 0; i < COUNT_OF(words) && i < json_array_size(argv); i++)
        words[i] = json_string_value(json_array_get(argv, i));
    if (s->half)
        return agent_died(err);
    if (STREQ(words[0], "false"))
        status = 1;
    else if (STREQ(words[0], "getent"))
        status = getent(s, words[2], words[3], s->out);
    else if (STREQ(words[0], "touch"))
        world_put(world(), s->name, words[1], "file", 0644, 0, "");
    else if (STREQ(words[0], "rm"))
        status = json_object_del(world_files(world(), s->name, words[1]), words[1]) < 0 ? 1 : 0;
    else if (!STREQ(words[0], "true"))
        return error_errno(err, ENOENT, "cannot start %s", words[0]);
    *s->result = json_pack("{s:i, s:i, s:b, s:s}", "status", status, "signal", 0, "timed_out", 0, "stderr",
                           status ? "it says no\n" : "");
    return 0;
}

static bool service_writes(const json_t *request)
{
    const char *action = json_str(request, "action", "");
    return !STREQ(action, "state") && !STREQ(action, "wait");
}

static int serve_service(const struct served *s, struct error *err)
{
    const char *unit = json_str(s->request, "unit", ""), *action = json_str(s->request, "action", "");
    json_t *services = json_object_get(s->host, "services");
    if (!json_object_get(services, unit))
        return error_set(
            err, ERR_SYSTEM, ENOENT,
            "there is no unit %s (systemctl list-unit-files shows the names, the site file names another)",
            unit);
    if (s->half)
        return agent_died(err);
    if (STREQ(action, "start") || STREQ(action, "restart"))
        json_object_set_new(services, unit, json_string("active"));
    else if (STREQ(action, "stop"))
        json_object_set_new(services, unit, json_string("inactive"));
    else if (STREQ(action, "wait") && !world_serves(world(), s->name, unit))
        return error_set(err, ERR_TIMEOUT, 0, "%s is inactive, after 30 s", unit);
    bool active = world_serves(world(), s->name, unit);
    *s->result = json_pack("{s:O, s:s, s:i}", "state", json_object_get(services, unit), "sub",
                           active ? "running" : "dead", "pid", active ? 700 : 0);
    return 0;
}

static bool surgery_writes(const json_t *request) { return !STREQ(json_str(request, "action", ""), "look"); }

static int serve_surgery(const struct served *s, struct error *err)
{
    return fake_surgery(world(), s->name, s->request, s->body, s->body_len, s->half, s->result, err);
}

// ---- looking around ----

static int serve_reach(const struct served *s, struct error *err)
{
    const char *name = json_str(s->request, "host", "");
    const json_t *other = world_host(world(), name), *ports = json_object_get(s->request, "ports");
    if (!other)
        return error_set(err, ERR_HOST, HOST_UNREACHED,
                         "the name %s does not resolve: Name or service not known", name);
    json_t *answers = json_object(), *port;
    size_t i;
    json_array_foreach(ports, i, port) {
        auto_free char *key = xasprintf("%d", (int)json_integer_value(port));
        bool open = STREQ(key, "16509") && world_serves(world(), name, "libvirtd");
        json_object_set_new(answers, key,
                            json_pack("{s:b, s:s*, s:i}", "open", open, "error",
                                      open ? NULL : "Connection refused", "ms", 1));
    }
    const json_t *addresses = json_object_get(json_object_get(other, "facts"), "addresses");
    *s->result = json_pack("{s:O, s:o}", "address", json_array_get(addresses, 0), "ports", answers);
    return 0;
}

static json_t *units_of(const struct served *s)
{
    json_t *units = json_object(), *unit;
    size_t i;
    json_array_foreach(json_object_get(s->request, "units"), i, unit) {
        const char *name = json_string_value(unit);
        const char *state = json_str(json_object_get(s->host, "services"), name, "inactive");
        json_object_set_new(units, name,
                            json_pack("{s:s, s:i}", "state", state, "pid", STREQ(state, "active") ? 700 : 0));
    }
    return units;
}

static json_t *guests_of(const struct served *s)
{
    json_t *guests = json_array(), *domain;
    const char *uuid;
    json_object_foreach(json_object_get(s->host, "domains"), uuid, domain) {
        if (json_int(domain, "pid", 0) == 0)
            continue;
        json_t *guest = json_pack(
            "{s:O, s:s, s:O, s:i, s:i, s:s, s:s, s:f}", "name", json_object_get(domain, "name"), "uuid", uuid,
            "pid", json_object_get(domain, "pid"), "uid", WORLD_QEMU, "gid", WORLD_QEMU, "user",
            "libvirt-qemu", "group", "libvirt-qemu", "started", wall_time() - 3600);
        if (!s->read_only)
            json_object_set_new(guest, "files", json_pack("[s]", WORLD_FOLDER "/disk"));
        json_array_append_new(guests, guest);
    }
    return guests;
}

static json_t *behind_paths(const struct served *s)
{
    json_t *paths = json_object(), *path;
    size_t i;
    json_array_foreach(json_object_get(s->request, "paths"), i, path) {
        const json_t *file = world_file(world(), s->name, json_string_value(path));
        if (file)
            json_object_set_new(paths, json_string_value(path),
                                json_pack("{s:O, s:O, s:I, s:O, s:I, s:I, s:s, s:s, s:s}", "type",
                                          json_object_get(file, "type"), "path", path, "size",
                                          (json_int_t)json_string_length(json_object_get(file, "content")),
                                          "inode", json_object_get(file, "inode"), "mtime", (json_int_t)1,
                                          "ctime", (json_int_t)1, "fstype", "nfs4", "source",
                                          "store:/instances", "target", WORLD_INSTANCES));
    }
    return paths;
}

static int serve_storage(const struct served *s, struct error *err)
{
    (void)err;
    *s->result = json_pack("{s:o}", "paths", behind_paths(s));
    return 0;
}

static int serve_facts(const struct served *s, struct error *err)
{
    (void)err;
    json_t *facts = *s->result = json_deep_copy(json_object_get(s->host, "facts"));
    const char *instances = json_str(s->request, "instances", "");
    const json_t *folder = world_file(world(), s->name, instances);
    json_object_set_new(facts, "time", json_real(wall_time()));
    json_object_set_new(facts, "told", json_real(wall_time()));
    json_object_set_new(facts, "units", units_of(s));
    json_object_set_new(facts, "guests", guests_of(s));
    json_object_set(facts, "users", json_object_get(s->host, "users"));
    json_object_set(facts, "groups", json_object_get(s->host, "groups"));
    if (folder)
        json_object_set_new(facts, "instances",
                            json_pack("{s:s, s:s, s:s, s:i, s:O}", "path", instances, "fstype", "nfs4",
                                      "source", "store:/instances", "device", 2, "inode",
                                      json_object_get(folder, "inode")));
    return 0;
}

// ---- the table ----

static int serve_nothing(const struct served *s, struct error *err)
{
    (void)err;
    *s->result = json_object();
    return 0;
}

static bool always(const json_t *request)
{
    (void)request;
    return true;
}

static const struct operation {
    const char *name;
    bool (*writes)(const json_t *request);
    serve_operation *serve;
} operations[] = {
    {"stat", NULL, serve_stat},
    {"read", NULL, serve_read},
    {"list", NULL, serve_list},
    {"write", always, serve_write},
    {"remove", always, serve_remove},
    {"restore", always, serve_restore},
    {"forget", always, serve_forget},
    {"note", always, serve_nothing},
    {"notes", NULL, serve_notes},
    {"claim", always, serve_claim},
    {"unclaim", always, serve_unclaim},
    {"claims", NULL, serve_claims},
    {"chown", always, serve_chown},
    {"chmod", always, serve_chmod},
    {"command", command_writes, serve_command},
    {"service", service_writes, serve_service},
    {"reach", NULL, serve_reach},
    {"facts", NULL, serve_facts},
    {"storage", NULL, serve_storage},
    {"log", NULL, serve_log},
    {"ping", NULL, serve_nothing},
    {"surgery", surgery_writes, serve_surgery},
};

static const struct operation *find_operation(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(operations); i++)
        if (STREQ(operations[i].name, name))
            return &operations[i];
    return NULL;
}

int fake_agent(const char *host, bool read_only, const char *op, const json_t *request, const char *body,
               size_t body_len, bool half, struct message *answer, struct error *err)
{
    const struct operation *operation = find_operation(op);
    struct buf out = {0};
    json_t *result = NULL;
    if (!operation)
        return error_set(err, ERR_BUG, 0, "the agent has no operation '%s'", op);
    bool writes = operation->writes && operation->writes(request);
    if (read_only && writes)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE,
                         "the agent was started to read only, and %s could change something", op);
    struct served s = {
        .host = world_host(world(), host),
        .name = host,
        .request = request,
        .body = body,
        .body_len = body_len,
        .read_only = read_only,
        .half = half,
        .result = &result,
        .out = &out,
    };
    int rc = note_effect(&s) < 0 ? -1 : operation->serve(&s, err);
    if (writes)
        world_changed();
    answer->head = json_pack("{s:o*}", "result", result);
    answer->body_len = out.len;
    answer->body = buf_take(&out);
    return rc;
}
