// SPDX-License-Identifier: MIT
// Changes to files: contents, existence, owner, mode.
#include "base/diff.h"
#include "base/io.h"
#include "run/change.h"
#include "run/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// What of a stat identifies a file's state for undoing; the contents by their hash alone.
static json_t *state_of(const json_t *stat, const char *data, size_t len)
{
    json_t *state = json_object();
    static const char *const kept[] = {"type", "mode", "uid", "gid", "user", "group", "device", "inode"};
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        if (json_object_get(stat, kept[i]))
            json_object_set(state, kept[i], json_object_get(stat, kept[i]));
    if (data) {
        char hash[65];
        sha256_hex(data, len, hash);
        json_object_set_new(state, "sha256", json_string(hash));
        json_object_set_new(state, "size", json_integer((json_int_t)len));
    }
    return state;
}

// What the agent makes a new file where nothing else is given.
static json_t *new_file(void)
{
    return json_pack("{s:i, s:i, s:i, s:s, s:s}", "mode", 0644, "uid", 0, "gid", 0, "user", "root", "group",
                     "root");
}

static json_t *absent(void) { return json_pack("{s:b}", "absent", 1); }

static json_t *expectation(const json_t *state)
{
    return json_flag(state, "absent", false) ? absent()
                                             : json_pack("{s:O}", "sha256", json_object_get(state, "sha256"));
}

// Of a change of contents: what was there, as it was read (NULL: nothing), and what shall be there.
struct contents {
    char *original, *text;
    size_t len;
};

// original is stolen.
static struct contents *contents_new(char *original, const char *text, size_t len)
{
    struct contents *c = xcalloc(1, sizeof *c);
    c->original = original;
    c->len = len;
    if (text) {
        c->text = xmalloc(len + 1);
        memcpy(c->text, text, len);
        c->text[len] = '\0';
    }
    return c;
}

static void free_contents(void *own)
{
    struct contents *c = own;
    free(c->original);
    free(c->text);
    free(c);
}

static int agent_change(const struct effect *e, const char *op, json_t *args, struct error *err)
{
    auto_message struct message answer = {0};
    const struct contents *c = e->own;
    json_object_set(args, "path", json_object_get(e->data, "target"));
    effect_note(e, args);
    return host_call(e->host->agent, op, args, c ? c->text : NULL, c ? c->len : 0, 60000, &answer, err);
}

// ---- contents, and whether the file is there ----

// Who may do what with a file: what a change of contents may change, too.
static const char *const owner_members[] = {"uid", "gid"}, *const mode_members[] = {"mode"},
                         *const rights[] = {"mode", "uid", "gid"};

// Whether the file with this stat (NULL: there is none) and hash is as a state says; of what the state leaves
// open anything will do.
static bool is_as(const json_t *state, const json_t *stat, const char *hash)
{
    if (json_flag(state, "absent", false) || !stat)
        return json_flag(state, "absent", false) && !stat;
    bool same = STREQ(json_str(state, "sha256", ""), hash);
    for (size_t i = 0; i < COUNT_OF(rights); i++) {
        const json_t *wanted = json_object_get(state, rights[i]);
        same = same && (!wanted || json_equal(wanted, json_object_get(stat, rights[i])));
    }
    return same;
}

// A file that is written anew stays who it was but for what is given.
static json_t *state_afterwards(const struct effect *e)
{
    json_t *state = json_copy((json_t *)(uintptr_t)effect_before(e));
    json_object_del(state, "absent");
    json_object_update(state, (json_t *)(uintptr_t)effect_after(e));
    return state;
}

static int observe_contents(struct effect *e, enum observed *seen, struct error *err)
{
    auto_free char *data = NULL;
    auto_json json_t *stat = NULL, *after = state_afterwards(e);
    size_t len;
    if (run_read(e->host, effect_target(e), &data, &len, &stat, err) < 0)
        return -1;
    char hash[65] = "";
    if (data)
        sha256_hex(data, len, hash);
    *seen = is_as(effect_before(e), stat, hash) ? SEEN_BEFORE
            : is_as(after, stat, hash)          ? SEEN_AFTER
                                                : SEEN_OTHER;
    return 0;
}

static enum made apply_contents(struct effect *e, const char *op, struct error *err)
{
    json_t *args = json_pack("{s:o}", "expect", expectation(effect_before(e)));
    for (size_t i = 0; i < COUNT_OF(rights); i++)
        if (json_object_get(effect_after(e), rights[i]))
            json_object_set(args, rights[i], json_object_get(effect_after(e), rights[i]));
    return made_of(agent_change(e, op, args, err), err);
}

// An agent that died in the change, or while it was undone, left the new contents beside the file.
static int settle_contents(struct effect *e, struct error *err)
{
    auto_message struct message answer = {0};
    auto_free char *keep = xasprintf("%s/%d", e->host->run->id, e->number);
    json_t *args = json_pack("{s:O, s:s}", "path", json_object_get(e->data, "target"), "keep", keep);
    return host_call(e->host->agent, "tidy", args, NULL, 0, 0, &answer, err);
}

static int undo_contents(struct effect *e, struct error *err)
{
    auto_message struct message answer = {0};
    json_t *args = json_pack("{s:o, s:O}", "expect", expectation(effect_after(e)), "path",
                             json_object_get(e->data, "target"));
    effect_note(e, args);
    return host_call(e->host->agent, "restore", args, NULL, 0, 60000, &answer, err);
}

// "nova:nova", by numbers where no names are known. Caller frees.
static char *owner_text(const json_t *state)
{
    auto_free char *user = json_object_get(state, "user")
                               ? xstrdup(json_str(state, "user", ""))
                               : xasprintf("%lld", (long long)json_int(state, "uid", -1));
    auto_free char *group = json_object_get(state, "group")
                                ? xstrdup(json_str(state, "group", ""))
                                : xasprintf("%lld", (long long)json_int(state, "gid", -1));
    return xasprintf("%s:%s", user, group);
}

static bool differs(const json_t *before, const json_t *after, const char *member)
{
    return json_object_get(after, member) &&
           !json_equal(json_object_get(before, member), json_object_get(after, member));
}

// What is given goes over what is there; a name that is not known any more goes.
static void take_rights(json_t *state, const json_t *given)
{
    if (json_object_get(given, "uid"))
        json_object_del(state, "user");
    if (json_object_get(given, "gid"))
        json_object_del(state, "group");
    json_object_update(state, (json_t *)(uintptr_t)given);
}

// ", root:root → nova:nova, mode 0644 → 0600": what else than contents changes; "" for nothing. before: NULL
// of a new file. Caller frees.
static char *rights_text(const json_t *before, const json_t *after)
{
    auto_buf struct buf text = {0};
    if (differs(before, after, "uid") || differs(before, after, "gid")) {
        auto_json json_t *whole = before ? json_copy((json_t *)(uintptr_t)before) : new_file();
        auto_free char *was = before ? owner_text(before) : NULL;
        take_rights(whole, after);
        auto_free char *is = owner_text(whole);
        buf_printf(&text, ", %s%s%s", was ? was : "", was ? " → " : "", is);
    }
    if (differs(before, after, "mode") && before)
        buf_printf(&text, ", mode %04o → %04o", (unsigned)json_int(before, "mode", 0),
                   (unsigned)json_int(after, "mode", 0));
    else if (differs(before, after, "mode"))
        buf_printf(&text, ", mode %04o", (unsigned)json_int(after, "mode", 0));
    return buf_take(&text);
}

static int describe_contents(const struct effect *e, char **summary, char **detail, struct error *err)
{
    const char *path = effect_target(e), *host = run_host_name(e->host);
    const struct contents *c = e->own;
    bool was_absent = json_flag(effect_before(e), "absent", false),
         is_absent = json_flag(effect_after(e), "absent", false);
    auto_free char *label = xasprintf("%s on %s", path, host);
    *detail = NULL;
    if (!effect_is_secret(e) &&
        diff_text(c ? c->original : NULL, c ? c->text : NULL, was_absent ? "/dev/null" : label,
                  is_absent ? "/dev/null" : label, detail, err) < 0)
        return -1;
    auto_free char *more = is_absent ? xstrdup("")
                                     : rights_text(was_absent ? NULL : effect_before(e), effect_after(e));
    *summary = xasprintf("%s%s%s",
                         was_absent  ? "create"
                         : is_absent ? "remove"
                                     : "modify",
                         more, effect_is_secret(e) ? " (its content is secret)" : "");
    return 0;
}

static enum made apply_write(struct effect *e, struct error *err) { return apply_contents(e, "write", err); }
static enum made apply_remove(struct effect *e, struct error *err)
{
    return apply_contents(e, "remove", err);
}

static void imagine_write(const struct effect *e)
{
    const struct contents *c = e->own;
    bool is_new = json_flag(effect_before(e), "absent", false);
    json_t *stat = is_new ? new_file() : json_deep_copy(effect_before(e));
    take_rights(stat, effect_after(e));
    json_object_del(stat, "secret");
    json_object_set_new(stat, "type", json_string("file"));
    overlay_set(e->host, "file", effect_target(e),
                json_pack("{s:o, s:o}", "stat", stat, "content", json_stringn_nocheck(c->text, c->len)));
}

static void imagine_remove(const struct effect *e)
{
    overlay_set(e->host, "file", effect_target(e), absent());
}

const struct effect_kind effect_file_write = {
    .name = "file.write",
    .note = NOTE_AT_HOST,
    .describe = describe_contents,
    .observe = observe_contents,
    .apply = apply_write,
    .undo = undo_contents,
    .settle = settle_contents,
    .imagine = imagine_write,
    .free_own = free_contents,
};
const struct effect_kind effect_file_remove = {
    .name = "file.remove",
    .note = NOTE_AT_HOST,
    .describe = describe_contents,
    .observe = observe_contents,
    .apply = apply_remove,
    .undo = undo_contents,
    .settle = settle_contents,
    .imagine = imagine_remove,
    .free_own = free_contents,
};

// The name of a number among the users or groups that the host's facts know.
static const char *known_name(const struct run_host *h, const char *kind, int64_t id)
{
    const char *name;
    json_t *known;
    bool group = STREQ(kind, "gid");
    json_object_foreach(json_object_get(h->facts, group ? "groups" : "users"), name, known)
        if ((group ? json_integer_value(known) : json_int(known, "uid", -1)) == id)
            return name;
    return NULL;
}

// Adds the names of the owner that a state tells in numbers.
static void name_owner(const struct run_host *h, json_t *state)
{
    static const char *const members[][2] = {{"uid", "user"}, {"gid", "group"}};
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        const json_t *id = json_object_get(state, members[i][0]);
        const char *name = id ? known_name(h, members[i][0], json_integer_value(id)) : NULL;
        if (name)
            json_object_set_new(state, members[i][1], json_string(name));
        else if (id)
            json_object_del(state, members[i][1]);
    }
}

static bool has_rights(const json_t *stat, const json_t *options)
{
    for (size_t i = 0; i < COUNT_OF(rights); i++)
        if (differs(stat, options, rights[i]))
            return false;
    return true;
}

// What happens to a file while a service is stopped happens to all of it at once, when that ends.
static int stage(struct run_host *h, const char *path, const char *old, size_t old_len, const json_t *stat,
                 const char *text, size_t len, const json_t *options, struct error *err)
{
    auto_json json_t *before = old ? state_of(stat, old, old_len) : absent(),
                     *after = stat ? json_deep_copy(stat) : new_file(),
                     *given = options ? json_copy((json_t *)(uintptr_t)options) : json_object();
    bool secret = json_flag(options, "secret", false);
    json_object_del(given, "secret");
    auto_json json_t *asked = json_copy(given); // without the names
    name_owner(h, given);
    auto_free char *how = rights_text(old ? stat : NULL, given);
    take_rights(after, given);
    json_object_set_new(after, "type", json_string("file"));
    return surgery_stage(h,
                         &(struct staged){.path = path,
                                          .old = old,
                                          .text = text,
                                          .len = len,
                                          .how = *how ? how + 2 : how,
                                          .rights = asked,
                                          .secret = secret,
                                          .stat = after,
                                          .expect = expectation(before)},
                         err);
}

// Another owner or mode of a file that is staged.
static int stage_again(struct run_host *h, const char *path, json_t *options, struct error *err)
{
    auto_json json_t *rights_given = options, *stat = NULL;
    auto_free char *text = NULL;
    size_t len;
    return run_read(h, path, &text, &len, &stat, err) < 0
               ? -1
               : stage(h, path, text, len, stat, text, len, rights_given, err);
}

int change_write(struct run_host *h, const char *path, const char *old, size_t old_len, const json_t *stat,
                 const char *text, size_t len, const json_t *options, struct error *err)
{
    auto_free char *what = xasprintf("writing %s on %s", path, run_host_name(h));
    if (gate_open(h->run, what, err) < 0)
        return -1;
    if (old && old_len == len && memcmp(old, text, len) == 0 && has_rights(stat, options))
        return 0;
    if (surgery_takes(h))
        return stage(h, path, old, old_len, stat, text, len, options, err);
    json_t *after = state_of(NULL, text, len);
    if (options)
        json_object_update(after, (json_t *)(uintptr_t)options);
    name_owner(h, after);
    struct effect *e = effect_new(OF_file_write, h, path, old ? state_of(stat, old, old_len) : absent(),
                                  after);
    e->own = contents_new(old ? xstrndup(old, old_len) : NULL, text, len);
    return gate_pass(e, NULL, err);
}

int change_remove(struct run_host *h, const char *path, struct error *err)
{
    auto_free char *what = xasprintf("removing %s on %s", path, run_host_name(h)), *old = NULL;
    auto_json json_t *stat = NULL;
    size_t len;
    if (gate_open(h->run, what, err) < 0 || run_read(h, path, &old, &len, &stat, err) < 0)
        return -1;
    if (!old)
        return error_errno(err, ENOENT, "%s", what);
    if (surgery_has(h, path))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s: while_stopped has just been told to change it; remove it before or after",
                         what);
    struct effect *e = effect_new(OF_file_remove, h, path, state_of(stat, old, len), absent());
    e->own = contents_new(steal(&old), NULL, 0);
    return gate_pass(e, NULL, err);
}

// ---- owner and mode ----

static int observe_members(const struct effect *e, const char *const *members, size_t count, json_t **stat,
                           enum observed *seen, struct error *err)
{
    if (run_stat(e->host, effect_target(e), stat, err) < 0)
        return -1;
    bool before = *stat != NULL, after = *stat != NULL;
    for (size_t i = 0; i < count; i++) {
        const json_t *now = json_object_get(*stat, members[i]);
        before = before && json_equal(now, json_object_get(effect_before(e), members[i]));
        after = after && json_equal(now, json_object_get(effect_after(e), members[i]));
    }
    *seen = after ? SEEN_AFTER : before ? SEEN_BEFORE : SEEN_OTHER;
    return 0;
}

// The kernel takes the set-id bits of a file that is given another owner. Without them it is not as before.
static bool lost_bits(const json_t *before, const json_t *stat)
{
    int64_t was = json_int(before, "mode", 0), is = json_int(stat, "mode", 0);
    return (was & 06000) && (is & 0777) == (was & 0777) && (is & 06000) != (was & 06000);
}

static int observe_owner(struct effect *e, enum observed *seen, struct error *err)
{
    auto_json json_t *stat = NULL;
    if (observe_members(e, owner_members, COUNT_OF(owner_members), &stat, seen, err) < 0)
        return -1;
    if (*seen == SEEN_BEFORE && lost_bits(effect_before(e), stat))
        *seen = SEEN_AFTER; // half way back
    return 0;
}

static int observe_mode(struct effect *e, enum observed *seen, struct error *err)
{
    auto_json json_t *stat = NULL;
    return observe_members(e, mode_members, COUNT_OF(mode_members), &stat, seen, err);
}

static int describe_owner(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    auto_free char *before = owner_text(effect_before(e)), *after = owner_text(effect_after(e));
    int64_t mode = json_int(effect_before(e), "mode", 0);
    bool loses = STREQ(json_str(effect_before(e), "type", ""), "file") && mode & 06000 && mode & 0111;
    *summary = xasprintf("%s → %s%s", before, after, loses ? ", and its set-ID bits go" : "");
    *detail = NULL;
    return 0;
}

static int describe_mode(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    *summary = xasprintf("%04o → %04o", (unsigned)json_int(effect_before(e), "mode", 0),
                         (unsigned)json_int(effect_after(e), "mode", 0));
    *detail = NULL;
    return 0;
}

// from and to are before and after, or the other way round for the undo. The file that was looked at (stat)
// is the one that is changed.
static int set_owner(const struct effect *e, const json_t *stat, const json_t *from, const json_t *to,
                     struct error *err)
{
    return agent_change(e, "chown",
                        json_pack("{s:O, s:O, s:{s:O, s:O, s:O, s:O}}", "uid", json_object_get(to, "uid"),
                                  "gid", json_object_get(to, "gid"), "expect", "device",
                                  json_object_get(stat, "device"), "inode", json_object_get(stat, "inode"),
                                  "uid", json_object_get(from, "uid"), "gid", json_object_get(from, "gid")),
                        err);
}

static int set_mode(const struct effect *e, const json_t *stat, const json_t *from, const json_t *to,
                    struct error *err)
{
    return agent_change(e, "chmod",
                        json_pack("{s:O, s:{s:O, s:O, s:O}}", "mode", json_object_get(to, "mode"), "expect",
                                  "device", json_object_get(stat, "device"), "inode",
                                  json_object_get(stat, "inode"), "mode", json_object_get(from, "mode")),
                        err);
}

static enum made apply_owner(struct effect *e, struct error *err)
{
    return made_of(set_owner(e, effect_before(e), effect_before(e), effect_after(e), err), err);
}
static enum made apply_mode(struct effect *e, struct error *err)
{
    return made_of(set_mode(e, effect_before(e), effect_before(e), effect_after(e), err), err);
}

// A later change of the contents, and its undo, put another file in the place: what is there now is looked at
// anew.
static int look_again(const struct effect *e, json_t **stat, struct error *err)
{
    if (run_stat(e->host, effect_target(e), stat, err) < 0)
        return -1;
    return *stat ? 0 : error_errno(err, ENOENT, "%s on %s", effect_target(e), run_host_name(e->host));
}

static int undo_owner(struct effect *e, struct error *err)
{
    auto_json json_t *stat = NULL, *back = NULL;
    const json_t *before = effect_before(e);
    if (look_again(e, &stat, err) < 0)
        return -1;
    bool is_back = json_equal(json_object_get(stat, "uid"), json_object_get(before, "uid")) &&
                   json_equal(json_object_get(stat, "gid"), json_object_get(before, "gid"));
    if ((!is_back && set_owner(e, stat, effect_after(e), before, err) < 0) || look_again(e, &back, err) < 0)
        return -1;
    return lost_bits(before, back) ? set_mode(e, back, back, before, err) : 0;
}

static int undo_mode(struct effect *e, struct error *err)
{
    auto_json json_t *stat = NULL;
    return look_again(e, &stat, err) < 0 ? -1 : set_mode(e, stat, effect_after(e), effect_before(e), err);
}

// Owner and mode change the stat that later reads see; the contents stay as they are.
static void imagine_stat(const struct effect *e)
{
    const json_t *seen = overlay_get(e->host, "file", effect_target(e));
    auto_json json_t *stat = NULL;
    if (run_stat(e->host, effect_target(e), &stat, NULL) < 0 || !stat)
        return;
    json_t *value = seen ? json_copy((json_t *)(uintptr_t)seen) : json_object();
    take_rights(stat, effect_after(e));
    json_object_set(value, "stat", stat);
    overlay_set(e->host, "file", effect_target(e), value);
}

const struct effect_kind effect_file_owner = {
    .name = "file.owner",
    .note = NOTE_AT_HOST,
    .describe = describe_owner,
    .observe = observe_owner,
    .apply = apply_owner,
    .undo = undo_owner,
    .imagine = imagine_stat,
};
const struct effect_kind effect_file_mode = {
    .name = "file.mode",
    .note = NOTE_AT_HOST,
    .describe = describe_mode,
    .observe = observe_mode,
    .apply = apply_mode,
    .undo = undo_mode,
    .imagine = imagine_stat,
};

static int must_stat(struct run_host *h, const char *what, const char *path, json_t **stat, struct error *err)
{
    if (run_stat(h, path, stat, err) < 0)
        return -1;
    return *stat ? 0 : error_errno(err, ENOENT, "%s", what);
}

// The name of an owner that stays, also where the host's facts do not have it.
static void keep_name(json_t *after, const json_t *stat, const char *id, const char *name)
{
    if (json_equal(json_object_get(after, id), json_object_get(stat, id)) && json_object_get(stat, name))
        json_object_set(after, name, json_object_get(stat, name));
}

int change_owner(struct run_host *h, const char *path, int64_t uid, int64_t gid, struct error *err)
{
    auto_free char *what = xasprintf("changing the owner of %s on %s", path, run_host_name(h));
    auto_json json_t *stat = NULL;
    if (gate_open(h->run, what, err) < 0 || must_stat(h, what, path, &stat, err) < 0)
        return -1;
    uid = uid < 0 ? json_int(stat, "uid", -1) : uid;
    gid = gid < 0 ? json_int(stat, "gid", -1) : gid;
    if (uid == json_int(stat, "uid", -1) && gid == json_int(stat, "gid", -1))
        return 0;
    json_t *after = json_pack("{s:I, s:I}", "uid", (json_int_t)uid, "gid", (json_int_t)gid);
    if (surgery_has(h, path))
        return stage_again(h, path, after, err);
    name_owner(h, after);
    keep_name(after, stat, "uid", "user");
    keep_name(after, stat, "gid", "group");
    return gate_pass(effect_new(OF_file_owner, h, path, state_of(stat, NULL, 0), after), NULL, err);
}

int change_mode(struct run_host *h, const char *path, int mode, struct error *err)
{
    auto_free char *what = xasprintf("changing the mode of %s on %s", path, run_host_name(h));
    auto_json json_t *stat = NULL;
    if (gate_open(h->run, what, err) < 0 || must_stat(h, what, path, &stat, err) < 0)
        return -1;
    if (json_int(stat, "mode", -1) == mode)
        return 0;
    if (surgery_has(h, path))
        return stage_again(h, path, json_pack("{s:i}", "mode", mode), err);
    return gate_pass(
        effect_new(OF_file_mode, h, path, state_of(stat, NULL, 0), json_pack("{s:i}", "mode", mode)), NULL,
        err);
}

int change_user_id(struct run_host *h, const char *name, bool group, int64_t *id, struct error *err)
{
    const json_t *known = json_object_get(json_object_get(h->facts, "users"), name);
    if (known && !group) {
        *id = json_int(known, "uid", -1);
        return 0;
    }
    auto_message struct message answer = {0};
    const char *database = group ? "group" : "passwd";
    if (host_call(h->agent, "command",
                  json_pack("{s:[s,s,s,s], s:b, s:i}", "argv", "getent", "--", database, name, "reads", 1,
                            "timeout", 20000),
                  NULL, 0, 25000, &answer, err) < 0)
        return -1;
    const char *field = answer.body ? strchr(answer.body, ':') : NULL;
    field = field ? strchr(field + 1, ':') : NULL;
    if (json_int(json_object_get(answer.head, "result"), "status", -1) != 0 || !field)
        return error_set(err, ERR_SYSTEM, ENOENT, "there is no %s %s on %s", group ? "group" : "user", name,
                         run_host_name(h));
    *id = strtoll(field + 1, NULL, 10);
    // Known from now on, so that the change is told in names.
    json_t *all = json_object_get(h->facts, group ? "groups" : "users");
    json_object_set_new(all, name, group ? json_integer(*id) : json_pack("{s:I}", "uid", (json_int_t)*id));
    return 0;
}
