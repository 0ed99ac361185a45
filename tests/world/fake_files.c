// SPDX-License-Identifier: MIT
// A fake host's files, what is kept of them for a run, and its claims: the operations of the agent's files.c
// and kept.c.
#include "base/clock.h"
#include "base/io.h"
#include "fake_agent.h"
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// ---- files ----

static int changed(const char *path, const char *how, struct error *err)
{
    return error_set(err, ERR_REFUSED, REFUSED_CHANGED,
                     "%s %s since it was looked at, so it is left as it is", path, how);
}

static const char *path_of(const struct served *s) { return json_str(s->request, "path", ""); }

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
    return json_pack(
        "{s:O, s:O, s:I, s:I, s:s*, s:s*, s:I, s:O, s:O, s:i, s:i}", "type", json_object_get(file, "type"),
        "mode", json_object_get(file, "mode"), "uid", uid, "gid", gid, "user", user_name(s, uid), "group",
        group_name(s, gid), "size", (json_int_t)json_string_length(json_object_get(file, "content")), "mtime",
        json_object_get(file, "mtime"), "inode", json_object_get(file, "inode"), "device", 1, "links", 1);
}

static void hash_of(const json_t *file, char hash[65])
{
    sha256_hex(json_str(file, "content", ""), json_string_length(json_object_get(file, "content")), hash);
}

int serve_stat(const struct served *s, struct error *err)
{
    json_t *file;
    if (find_there(s, &file, err) < 0)
        return -1;
    *s->result = stat_of(s, file);
    return 0;
}

int serve_read(const struct served *s, struct error *err)
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

int serve_list(const struct served *s, struct error *err)
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
        if (strncmp(name, path, len) != 0 || name[len] != '/' || !name[len + 1] ||
            strchr(name + len + 1, '/'))
            continue;
        json_t *entry = stat_of(s, file);
        json_object_set_new(entry, "name", json_string(name + len + 1));
        json_array_append_new(entries, entry);
    }
    return 0;
}

static json_int_t lines_in(const char *text, size_t len)
{
    json_int_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

int serve_log(const struct served *s, struct error *err)
{
    json_t *file;
    if (find_there(s, &file, err) < 0)
        return -1;
    const char *content = json_str(file, "content", "");
    int64_t size = (int64_t)strlen(content), offset = json_int(s->request, "offset", -1),
            before = json_int(s->request, "line", 0);
    if (offset > size)
        offset = before = 0;
    if (offset >= 0)
        buf_add(s->out, content + offset, (size_t)(size - offset));
    *s->result = json_pack("{s:I, s:I, s:O}", "size", (json_int_t)size, "lines",
                           lines_in(content, (size_t)size), "inode", json_object_get(file, "inode"));
    if (offset >= 0)
        json_object_set_new(*s->result, "line", json_integer((json_int_t)before + 1));
    return 0;
}

// ---- what is kept ----

// The first original under a name is the true one: a second is refused.
static int keep(const struct served *s, const json_t *file, struct error *err)
{
    const char *name = json_str(s->request, "keep", NULL);
    json_t *kept = json_object_get(s->host, "kept");
    if (name && json_object_get(kept, name))
        return error_errno(err, EEXIST, "the original of %s cannot be kept as " KEEP_DIR "/%s", path_of(s),
                           name);
    if (name)
        json_object_set_new(
            kept, name,
            json_pack("{s:s, s:o}", "path", path_of(s), "file", file ? json_deep_copy(file) : json_null()));
    return s->half ? agent_died(err) : 0;
}

int note_effect(const struct served *s)
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

int serve_forget(const struct served *s, struct error *err)
{
    (void)err;
    forget(json_object_get(s->host, "kept"), json_str(s->request, "run", ""));
    forget(json_object_get(s->host, "notes"), json_str(s->request, "run", ""));
    *s->result = json_object();
    return 0;
}

int serve_notes(const struct served *s, struct error *err)
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

static bool excludes(const json_t *one, const json_t *other)
{
    bool same = STREQ(json_str(one, "instance", "a"), json_str(other, "instance", "b"));
    bool alone = json_flag(one, "exclusive", false) || json_flag(other, "exclusive", false);
    return !STREQ(json_str(one, "run", ""), json_str(other, "run", "")) && (same || alone);
}

int serve_claim(const struct served *s, struct error *err)
{
    (void)err;
    json_t *claim = json_object_get(s->request, "claim"), *claims = json_object_get(s->host, "claims"),
           *other;
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

int serve_unclaim(const struct served *s, struct error *err)
{
    (void)err;
    json_object_del(json_object_get(s->host, "claims"), json_str(s->request, "run", ""));
    *s->result = json_object();
    return 0;
}

int serve_claims(const struct served *s, struct error *err)
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
    return find(s, file, err) < 0 || check_regular(path_of(s), *file, err) < 0
               ? -1
               : check_expectation(s, *file, err);
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

int serve_write(const struct served *s, struct error *err)
{
    static const char *const given[] = {"mode", "uid", "gid"};
    json_t *file;
    if (look(s, &file, err) < 0 || keep(s, file, err) < 0)
        return -1;
    json_t *content = json_stringn(s->body ? s->body : "", s->body_len);
    if (!content)
        return error_set(err, ERR_BUG, 0, "the fake world's files hold UTF-8 alone");
    json_t *fresh = file
                        ? json_deep_copy(file)
                        : json_pack("{s:s, s:i, s:i, s:i}", "type", "file", "mode", 0644, "uid", 0, "gid", 0);
    json_object_set_new(fresh, "content", content);
    for (size_t i = 0; i < COUNT_OF(given); i++)
        if (json_object_get(s->request, given[i]))
            json_object_set(fresh, given[i], json_object_get(s->request, given[i]));
    replace(s, fresh);
    return 0;
}

int serve_remove(const struct served *s, struct error *err)
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

int serve_restore(const struct served *s, struct error *err)
{
    json_t *file;
    const char *name = json_str(s->request, "keep", "");
    if (look(s, &file, err) < 0)
        return -1;
    const json_t *kept = json_object_get(json_object_get(s->host, "kept"), name);
    if (!kept)
        return error_errno(err, ENOENT, "the original of %s, " KEEP_DIR "/%s", path_of(s), name);
    if (!STREQ(json_str(kept, "path", ""), path_of(s)))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, KEEP_DIR "/%s is not the original of %s", name,
                         path_of(s));
    if (s->half)
        return agent_died(err);
    if (json_is_null(json_object_get(kept, "file")))
        take_away(s);
    else
        replace(s, json_deep_copy(json_object_get(kept, "file")));
    return 0;
}

static int find_expected(const struct served *s, json_t **file, struct error *err)
{
    static const struct {
        const char *name, *how;
    } members[] = {
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
    return s->half ? agent_died(err) : 0;
}

int serve_chown(const struct served *s, struct error *err)
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

int serve_chmod(const struct served *s, struct error *err)
{
    json_t *file;
    if (find_expected(s, &file, err) < 0)
        return -1;
    json_object_set(file, "mode", json_object_get(s->request, "mode"));
    *s->result = stat_of(s, file);
    return 0;
}
