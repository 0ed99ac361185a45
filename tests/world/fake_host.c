// Stands in for src/world/host.c: the agent's operations (world/agent/ops.h), served on the fake world.
#include "clock.h"
#include "fake_surgery.h"
#include "fault.h"
#include "world.h"

#include "world/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NO_ANSWER_MS = 10000 }; // what ssh waits for a host that does not answer

struct host {
    struct host_spec *spec;
    bool read_only, lost;
    int result;              // of the operation that was sent last
    struct message answer;
    struct error error;
};

// One operation as it is served.
struct served {
    json_t *host;            // the world's
    const char *name;
    const json_t *request;
    const char *body;
    size_t body_len;
    bool read_only;
    bool half;               // the agent dies once what it keeps is kept
    json_t **result;
    struct buf *out;
};

const char *host_name(const struct host *host) { return host->spec->name; }
const struct host_spec *host_spec(const struct host *host) { return host->spec; }
bool host_read_only(const struct host *host) { return host->read_only; }

const char *host_missing(const struct host *host)
{
    (void)host;
    return NULL;
}

const char *host_hostname(const struct host *host)
{
    return host_name(host);
}

bool host_is_root(const struct host *host)
{
    (void)host;
    return true;
}

// ---- files ----

static int changed(const char *path, const char *how, struct error *err)
{
    return error_set(err, ERR_REFUSED, REFUSED_CHANGED, "%s %s since it was looked at, so it is left as it is", path, how);
}

static const char *path_of(const struct served *s)
{
    return json_str(s->request, "path", "");
}

static char *folder_of(const char *path)
{
    size_t len = (size_t)(strrchr(path, '/') - path);
    return len ? xstrndup(path, len) : xstrdup("/");
}

// file NULL: there is none, in a folder that is there.
static int find(const struct served *s, json_t **file, struct error *err)
{
    const char *path = path_of(s);
    if (*path != '/')
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "'%s' is no absolute path", path);
    auto_free char *folder = folder_of(path);
    const json_t *above = world_file(world(), s->name, folder);
    if (!above || !STREQ(json_str(above, "type", ""), "directory"))
        return error_errno(err, above ? ENOTDIR : ENOENT, "%s", path);
    *file = world_file(world(), s->name, path);
    return 0;
}

static int find_there(const struct served *s, json_t **file, struct error *err)
{
    if (find(s, file, err) < 0)
        return -1;
    return *file ? 0 : error_errno(err, ENOENT, "%s", path_of(s));
}

static int check_regular(const char *path, const json_t *file, struct error *err)
{
    if (file && STREQ(json_str(file, "type", ""), "directory"))
        return error_set(err, ERR_SYSTEM, EISDIR, "%s is a folder, not a file", path);
    return 0;
}

static const char *user_name(const struct served *s, json_int_t uid)
{
    const char *name;
    json_t *user;
    json_object_foreach(json_object_get(s->host, "users"), name, user)
        if (json_int(user, "uid", -1) == uid)
            return name;
    return NULL;
}

static const char *group_name(const struct served *s, json_int_t gid)
{
    const char *name;
    json_t *group;
    json_object_foreach(json_object_get(s->host, "groups"), name, group)
        if (json_integer_value(group) == gid)
            return name;
    return NULL;
}

static json_t *stat_of(const struct served *s, const json_t *file)
{
    json_int_t uid = json_int(file, "uid", 0), gid = json_int(file, "gid", 0);
    return json_pack("{s:O, s:O, s:I, s:I, s:s*, s:s*, s:I, s:O, s:O, s:i, s:i}", "type", json_object_get(file, "type"), "mode",
                     json_object_get(file, "mode"), "uid", uid, "gid", gid, "user", user_name(s, uid), "group", group_name(s, gid), "size",
                     (json_int_t)json_string_length(json_object_get(file, "content")), "mtime", json_object_get(file, "mtime"), "inode",
                     json_object_get(file, "inode"), "device", 1, "links", 1);
}

static void hash_of(const json_t *file, char hash[65])
{
    sha256_hex(json_str(file, "content", ""), json_string_length(json_object_get(file, "content")), hash);
}

static int serve_stat(const struct served *s, struct error *err)
{
    json_t *file;
    if (find_there(s, &file, err) < 0)
        return -1;
    *s->result = stat_of(s, file);
    return 0;
}

static int serve_read(const struct served *s, struct error *err)
{
    json_t *file;
    char hash[65];
    if (find_there(s, &file, err) < 0 || check_regular(path_of(s), file, err) < 0)
        return -1;
    buf_add(s->out, json_str(file, "content", ""), json_string_length(json_object_get(file, "content")));
    hash_of(file, hash);
    *s->result = stat_of(s, file);
    json_object_set_new(*s->result, "sha256", json_string(hash));
    return 0;
}

static int serve_list(const struct served *s, struct error *err)
{
    json_t *folder, *file, *entries = json_array();
    const char *path = path_of(s), *name;
    *s->result = json_pack("{s:o}", "entries", entries);
    if (find_there(s, &folder, err) < 0)
        return -1;
    if (!STREQ(json_str(folder, "type", ""), "directory"))
        return error_errno(err, ENOTDIR, "cannot list %s", path);
    size_t len = STREQ(path, "/") ? 0 : strlen(path);
    json_object_foreach(world_files(world(), s->name, path), name, file) {
        if (strncmp(name, path, len) != 0 || name[len] != '/' || !name[len + 1] || strchr(name + len + 1, '/'))
            continue;
        json_t *entry = stat_of(s, file);
        json_object_set_new(entry, "name", json_string(name + len + 1));
        json_array_append_new(entries, entry);
    }
    return 0;
}

// ---- what is kept ----

static int died(struct error *err)
{
    return error_set(err, ERR_HOST, HOST_LOST, "half done");
}

// The first original under a name is the true one: a second is refused.
static int keep(const struct served *s, const json_t *file, struct error *err)
{
    const char *name = json_str(s->request, "keep", NULL);
    json_t *kept = json_object_get(s->host, "kept");
    if (name && json_object_get(kept, name))
        return error_errno(err, EEXIST, "the original of %s cannot be kept as " KEEP_DIR "/%s", path_of(s), name);
    if (name)
        json_object_set_new(kept, name, json_pack("{s:s, s:o}", "path", path_of(s), "file", file ? json_deep_copy(file) : json_null()));
    return s->half ? died(err) : 0;
}

static int note(const struct served *s)
{
    json_t *effect = json_object_get(s->request, "note"), *notes = json_object_get(s->host, "notes");
    const char *name = json_str(s->request, "keep", "");
    if (effect && !json_object_get(notes, name))
        json_object_set(notes, name, effect);
    return 0;
}

static bool is_of_run(const char *name, const char *run)
{
    size_t len = strlen(run);
    return strncmp(name, run, len) == 0 && name[len] == '/';
}

static void forget(json_t *kept, const char *run)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(kept, next, name, value)
        if (is_of_run(name, run))
            json_object_del(kept, name);
}

static int serve_forget(const struct served *s, struct error *err)
{
    (void)err;
    forget(json_object_get(s->host, "kept"), json_str(s->request, "run", ""));
    forget(json_object_get(s->host, "notes"), json_str(s->request, "run", ""));
    *s->result = json_object();
    return 0;
}

static int serve_notes(const struct served *s, struct error *err)
{
    (void)err;
    json_t *of_run = json_object(), *effect;
    const char *name, *run = json_str(s->request, "run", "");
    json_object_foreach(json_object_get(s->host, "notes"), name, effect)
        if (is_of_run(name, run))
            json_object_set(of_run, name + strlen(run) + 1, effect);
    *s->result = json_pack("{s:o}", "notes", of_run);
    return 0;
}

static int serve_nothing(const struct served *s, struct error *err)
{
    (void)err;
    *s->result = json_object();
    return 0;
}

static bool excludes(const json_t *one, const json_t *other)
{
    bool same = STREQ(json_str(one, "instance", "a"), json_str(other, "instance", "b"));
    bool alone = json_flag(one, "exclusive", false) || json_flag(other, "exclusive", false);
    return !STREQ(json_str(one, "run", ""), json_str(other, "run", "")) && (same || alone);
}

static int serve_claim(const struct served *s, struct error *err)
{
    (void)err;
    json_t *claim = json_object_get(s->request, "claim"), *claims = json_object_get(s->host, "claims"), *other;
    const char *run;
    json_object_foreach(claims, run, other)
        if (excludes(claim, other)) {
            *s->result = json_pack("{s:O}", "held", other);
            return 0;
        }
    json_object_set(claims, json_str(claim, "run", ""), claim);
    *s->result = json_object();
    return 0;
}

static int serve_unclaim(const struct served *s, struct error *err)
{
    (void)err;
    json_object_del(json_object_get(s->host, "claims"), json_str(s->request, "run", ""));
    *s->result = json_object();
    return 0;
}

static int serve_claims(const struct served *s, struct error *err)
{
    (void)err;
    json_t *list = json_array(), *claim;
    const char *run;
    json_object_foreach(json_object_get(s->host, "claims"), run, claim)
        json_array_append(list, claim);
    *s->result = json_pack("{s:o}", "claims", list);
    return 0;
}

// ---- changes to files ----

static int check_expectation(const struct served *s, const json_t *file, struct error *err)
{
    const json_t *expect = json_object_get(s->request, "expect");
    char hash[65];
    if (!expect)
        return 0;
    if (json_flag(expect, "absent", false))
        return file ? changed(path_of(s), "was made", err) : 0;
    if (!file)
        return changed(path_of(s), "was removed", err);
    hash_of(file, hash);
    return STREQ(json_str(expect, "sha256", ""), hash) ? 0 : changed(path_of(s), "was changed", err);
}

static int look(const struct served *s, json_t **file, struct error *err)
{
    return find(s, file, err) < 0 || check_regular(path_of(s), *file, err) < 0 ? -1 : check_expectation(s, *file, err);
}

// Puts a file in the place of what is there, as a rename does: with an inode of its own.
static void replace(const struct served *s, json_t *file)
{
    json_object_set_new(file, "inode", json_integer(world_next(world())));
    json_object_set_new(file, "mtime", json_real(wall_time()));
    *s->result = stat_of(s, file);
    json_object_set_new(world_files(world(), s->name, path_of(s)), path_of(s), file);
}

static void take_away(const struct served *s)
{
    json_object_del(world_files(world(), s->name, path_of(s)), path_of(s));
    *s->result = json_object();
}

static int serve_write(const struct served *s, struct error *err)
{
    static const char *const given[] = {"mode", "uid", "gid"};
    json_t *file;
    if (look(s, &file, err) < 0 || keep(s, file, err) < 0)
        return -1;
    json_t *content = json_stringn(s->body ? s->body : "", s->body_len);
    if (!content)
        return error_set(err, ERR_BUG, 0, "the fake world's files hold UTF-8 alone");
    json_t *fresh = file ? json_deep_copy(file) : json_pack("{s:s, s:i, s:i, s:i}", "type", "file", "mode", 0644, "uid", 0, "gid", 0);
    json_object_set_new(fresh, "content", content);
    for (size_t i = 0; i < COUNT_OF(given); i++)
        if (json_object_get(s->request, given[i]))
            json_object_set(fresh, given[i], json_object_get(s->request, given[i]));
    replace(s, fresh);
    return 0;
}

static int serve_remove(const struct served *s, struct error *err)
{
    json_t *file;
    if (look(s, &file, err) < 0)
        return -1;
    if (!file)
        return error_errno(err, ENOENT, "%s", path_of(s));
    if (keep(s, file, err) < 0)
        return -1;
    take_away(s);
    return 0;
}

static int serve_restore(const struct served *s, struct error *err)
{
    json_t *file;
    const char *name = json_str(s->request, "keep", "");
    if (look(s, &file, err) < 0)
        return -1;
    const json_t *kept = json_object_get(json_object_get(s->host, "kept"), name);
    if (!kept)
        return error_errno(err, ENOENT, "the original of %s, " KEEP_DIR "/%s", path_of(s), name);
    if (!STREQ(json_str(kept, "path", ""), path_of(s)))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, KEEP_DIR "/%s is not the original of %s", name, path_of(s));
    if (s->half)
        return died(err);
    if (json_is_null(json_object_get(kept, "file")))
        take_away(s);
    else
        replace(s, json_deep_copy(json_object_get(kept, "file")));
    return 0;
}

static int find_expected(const struct served *s, json_t **file, struct error *err)
{
    static const struct { const char *name, *how; } members[] = {
        {"inode", "was replaced by another file"},
        {"uid", "was given another owner"},
        {"gid", "was given another group"},
        {"mode", "was given another mode"},
    };
    const json_t *expect = json_object_get(s->request, "expect");
    if (find_there(s, file, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        int64_t is = json_int(*file, members[i].name, -1);
        if (json_int(expect, members[i].name, is) != is)
            return changed(path_of(s), members[i].how, err);
    }
    return s->half ? died(err) : 0;
}

static int serve_chown(const struct served *s, struct error *err)
{
    static const char *const members[] = {"uid", "gid"};
    json_t *file;
    if (find_expected(s, &file, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (json_int(s->request, members[i], -1) >= 0)
            json_object_set(file, members[i], json_object_get(s->request, members[i]));
    *s->result = stat_of(s, file);
    return 0;
}

static int serve_chmod(const struct served *s, struct error *err)
{
    json_t *file;
    if (find_expected(s, &file, err) < 0)
        return -1;
    json_object_set(file, "mode", json_object_get(s->request, "mode"));
    *s->result = stat_of(s, file);
    return 0;
}

// ---- commands, services ----

static bool command_writes(const json_t *request)
{
    return !json_flag(request, "reads", false);
}

static int getent(const struct served *s, const char *database, const char *name, struct buf *out)
{
    const json_t *known = json_object_get(json_object_get(s->host, STREQ(database, "group") ? "groups" : "users"), name);
    if (!known)
        return 2;
    if (json_is_integer(known))
        buf_printf(out, "%s:x:%d:\n", name, (int)json_integer_value(known));
    else
        buf_printf(out, "%s:x:%d:%d::/:/bin/false\n", name, (int)json_int(known, "uid", 0), (int)json_int(known, "gid", 0));
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
        return died(err);
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
    *s->result = json_pack("{s:i, s:i, s:b, s:s}", "status", status, "signal", 0, "timed_out", 0, "stderr", status ? "it says no\n" : "");
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
        return error_set(err, ERR_SYSTEM, ENOENT, "there is no unit %s (systemctl list-unit-files shows the names, the site file names another)",
                         unit);
    if (s->half)
        return died(err);
    if (STREQ(action, "start") || STREQ(action, "restart"))
        json_object_set_new(services, unit, json_string("active"));
    else if (STREQ(action, "stop"))
        json_object_set_new(services, unit, json_string("inactive"));
    else if (STREQ(action, "wait") && !world_serves(world(), s->name, unit))
        return error_set(err, ERR_TIMEOUT, 0, "%s is inactive, after 30 s", unit);
    bool active = world_serves(world(), s->name, unit);
    *s->result = json_pack("{s:O, s:s, s:i}", "state", json_object_get(services, unit), "sub", active ? "running" : "dead", "pid", active ? 700 : 0);
    return 0;
}

static bool surgery_writes(const json_t *request)
{
    return !STREQ(json_str(request, "action", ""), "look");
}

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
        return error_set(err, ERR_HOST, HOST_UNREACHED, "the name %s does not resolve: Name or service not known", name);
    json_t *answers = json_object(), *port;
    size_t i;
    json_array_foreach(ports, i, port) {
        auto_free char *key = xasprintf("%d", (int)json_integer_value(port));
        bool open = STREQ(key, "16509") && world_serves(world(), name, "libvirtd");
        json_object_set_new(answers, key, json_pack("{s:b, s:s*, s:i}", "open", open, "error", open ? NULL : "Connection refused", "ms", 1));
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
        json_object_set_new(units, name, json_pack("{s:s, s:i}", "state", state, "pid", STREQ(state, "active") ? 700 : 0));
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
        json_t *guest = json_pack("{s:O, s:s, s:O, s:i, s:i, s:s, s:s, s:f}", "name", json_object_get(domain, "name"), "uuid", uuid, "pid",
                                  json_object_get(domain, "pid"), "uid", WORLD_QEMU, "gid", WORLD_QEMU, "user", "libvirt-qemu", "group",
                                  "libvirt-qemu", "started", wall_time() - 3600);
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
                                json_pack("{s:O, s:O, s:I, s:O, s:I, s:I, s:s, s:s, s:s}", "type", json_object_get(file, "type"), "path", path, "size",
                                          (json_int_t)json_string_length(json_object_get(file, "content")), "inode", json_object_get(file, "inode"),
                                          "mtime", (json_int_t)1, "ctime", (json_int_t)1, "fstype", "nfs4", "source", "store:/instances", "target",
                                          WORLD_INSTANCES));
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
                            json_pack("{s:s, s:s, s:s, s:i, s:O}", "path", instances, "fstype", "nfs4", "source", "store:/instances", "device", 2,
                                      "inode", json_object_get(folder, "inode")));
    return 0;
}

static json_int_t lines_in(const char *text, size_t len)
{
    json_int_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

static int serve_log(const struct served *s, struct error *err)
{
    json_t *file;
    if (find_there(s, &file, err) < 0)
        return -1;
    const char *content = json_str(file, "content", "");
    int64_t size = (int64_t)strlen(content), offset = json_int(s->request, "offset", -1), before = json_int(s->request, "line", 0);
    if (offset > size)
        offset = before = 0;
    if (offset >= 0)
        buf_add(s->out, content + offset, (size_t)(size - offset));
    *s->result = json_pack("{s:I, s:I, s:O}", "size", (json_int_t)size, "lines", lines_in(content, (size_t)size), "inode",
                           json_object_get(file, "inode"));
    if (offset >= 0)
        json_object_set_new(*s->result, "line", json_integer((json_int_t)before + 1));
    return 0;
}

// ---- the table, and the faults ----

static bool always(const json_t *request)
{
    (void)request;
    return true;
}

static const struct operation {
    const char *name;
    bool (*writes)(const json_t *request);
    int (*serve)(const struct served *s, struct error *err);
} operations[] = {
    {"stat", NULL, serve_stat},       {"read", NULL, serve_read},         {"list", NULL, serve_list},       {"write", always, serve_write},
    {"remove", always, serve_remove}, {"restore", always, serve_restore}, {"forget", always, serve_forget}, {"note", always, serve_nothing},
    {"notes", NULL, serve_notes},     {"claim", always, serve_claim},     {"unclaim", always, serve_unclaim}, {"claims", NULL, serve_claims},
    {"chown", always, serve_chown},   {"chmod", always, serve_chmod},     {"command", command_writes, serve_command},
    {"service", service_writes, serve_service}, {"reach", NULL, serve_reach}, {"facts", NULL, serve_facts}, {"storage", NULL, serve_storage},
    {"log", NULL, serve_log},         {"ping", NULL, serve_nothing},      {"surgery", surgery_writes, serve_surgery},
};

static const struct operation *find_operation(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(operations); i++)
        if (STREQ(operations[i].name, name))
            return &operations[i];
    return NULL;
}

static int serve(struct host *host, const char *op, json_t *request, const void *body, size_t body_len, bool half)
{
    const struct operation *operation = find_operation(op);
    struct buf out = {0};
    json_t *result = NULL;
    struct error *err = &host->error;
    if (!operation)
        return error_set(err, ERR_BUG, 0, "the agent has no operation '%s'", op);
    bool writes = operation->writes && operation->writes(request);
    if (host->read_only && writes)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE, "the agent was started to read only, and %s could change something", op);
    struct served s = {
        .host = world_host(world(), host->spec->name), .name = host->spec->name, .request = request, .body = body, .body_len = body_len,
        .read_only = host->read_only, .half = half, .result = &result, .out = &out,
    };
    int rc = note(&s) < 0 ? -1 : operation->serve(&s, err);
    if (writes)
        world_changed();
    host->answer.head = json_pack("{s:o*}", "result", result);
    host->answer.body_len = out.len;
    host->answer.body = buf_take(&out);
    return rc;
}

static int lose(struct host *host)
{
    host->lost = true;
    if (!host->read_only) {
        fake_surgery_guard(world(), host->spec->name);
        world_changed();
    }
    return error_set(&host->error, ERR_HOST, HOST_LOST, "the connection to %s broke: look whether the host and its sshd are up, then ask again",
                     host->spec->name);
}

// What the operation comes to, under the fault that is due.
static int perform(struct host *host, const char *op, json_t *request, const void *body, size_t body_len)
{
    const char *name = host->spec->name, *target = json_str(request, "path", json_str(request, "unit", json_str(request, "run", json_str(request, "action", ""))));
    sig_atomic_t interrupts = interrupt_count;
    enum fault fault = fault_begin("host", name, "%s%s%s", op, *target ? " " : "", target);
    if (host->lost || fault_is_gone(name) || fault == FAULT_FAIL)
        return lose(host);
    if (fault == FAULT_ERROR)
        return error_errno(&host->error, EIO, "%s on %s", op, name);
    int rc = serve(host, op, request, body, body_len, fault == FAULT_HALF);
    if (fault == FAULT_AFTER || fault == FAULT_HALF)
        return lose(host);
    if (interrupts == 0 && interrupt_count > 0)
        return error_set(&host->error, ERR_INTERRUPTED, 0, "interrupted while waiting for %s", name);
    if (rc < 0)
        snprintf(host->error.source, sizeof host->error.source, "%s", name);
    return rc;
}

int host_send(struct host *host, const char *op, json_t *args, const void *body, size_t body_len, struct error *err)
{
    (void)err;
    auto_json json_t *request = args ? args : json_object();
    message_free(&host->answer);
    host->answer = (struct message){0};
    host->error = (struct error){0};
    host->result = perform(host, op, request, body, body_len);
    fault_end();
    return 0;
}

int host_receive(struct host *host, int64_t timeout_ms, struct message *answer, struct error *err)
{
    (void)timeout_ms;
    *answer = (struct message){0};
    if (host->result < 0) {
        if (err)
            *err = host->error;
        return -1;
    }
    *answer = host->answer;
    host->answer = (struct message){0};
    return 0;
}

int host_call(struct host *host, const char *op, json_t *args, const void *body, size_t body_len, int64_t timeout_ms, struct message *answer,
              struct error *err)
{
    return host_send(host, op, args, body, body_len, err) < 0 ? -1 : host_receive(host, timeout_ms, answer, err);
}

// ---- its life ----

int host_start(const struct host_spec *spec, const char *dir, bool read_only, struct host **result, struct error *err)
{
    (void)dir;
    (void)err;
    struct host *host = xcalloc(1, sizeof *host);
    host->spec = host_spec_copy(spec);
    host->read_only = read_only;
    *result = host;
    return 0;
}

int host_finish(struct host *host, int64_t deadline, struct error *err)
{
    (void)deadline;
    const char *name = host->spec->name;
    sig_atomic_t interrupts = interrupt_count;
    enum fault fault = fault_begin("host", name, "connect");
    fault_end();
    if (interrupts == 0 && interrupt_count > 0)
        return error_set(err, ERR_INTERRUPTED, 0, "interrupted while waiting for %s", name);
    if (world_host(world(), name) && !host->read_only) { // an agent that comes later finds that the guard has done its work
        fake_surgery_guard(world(), name);
        world_changed();
    }
    host->lost = !world_host(world(), name) || fault_is_gone(name) || fault == FAULT_FAIL;
    if (!host->lost)
        return 0;
    clock_skip(NO_ANSWER_MS);
    return error_set(err, ERR_HOST, HOST_UNREACHED, "host %s cannot be reached: no route to host", name);
}

bool host_is_lost(const struct host *host)
{
    return host->lost;
}

void host_end_login(struct host *host) { (void)host; }

int host_revive(struct host *host, int64_t deadline, struct error *err)
{
    return host_finish(host, deadline, err);
}

int host_keep_alive(struct host *host, struct error *err)
{
    (void)host;
    (void)err;
    return 0;
}

int host_open_way(struct host *host, struct error *err)
{
    (void)host;
    (void)err;
    return 0;
}

char *host_libvirt_uri(const struct host *host, bool read_only)
{
    return xasprintf("fake://%s/system%s", host->spec->name, read_only ? "?ro" : "");
}

void host_leave(struct host *host)
{
    (void)host;
}

void host_close(struct host *host)
{
    if (!host)
        return;
    host_spec_free(host->spec);
    message_free(&host->answer);
    free(host);
}
