// SPDX-License-Identifier: MIT
// The agent's operations on files, as a request asks for them; in a folder of their own, as root or not.
#include "base/io.h"
#include "world/agent/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

static char *folder, *keep_dir;

struct answer {
    int rc;
    json_t *result;
    struct buf body;
    struct error err;
};

static void answer_free(struct answer *a)
{
    json_decref(a->result);
    buf_free(&a->body);
}
#define auto_answer cleanup(answer_free)

static struct answer call_with(const char *op, json_t *request, const char *body, size_t len)
{
    struct agent agent = {.stdin_fd = -1};
    struct answer a = {0};
    auto_json json_t *args = request;
    assert_non_null(request);
    assert_non_null(op_find(op));
    a.rc = op_find(op)->serve(&agent, args, body, len, &a.result, &a.body, &a.err);
    assert_int_equal(a.rc == 0, a.result != NULL);
    return a;
}

static struct answer call(const char *op, json_t *request) { return call_with(op, request, NULL, 0); }

static struct answer put(json_t *request, const char *text)
{
    return call_with("write", request, text, strlen(text));
}

static void must(const char *op, json_t *request)
{
    struct answer auto_answer a = call(op, request);
    if (a.rc < 0)
        fail_msg("%s: %s", op, a.err.message);
}

static void must_put(json_t *request, const char *text)
{
    struct answer auto_answer a = put(request, text);
    if (a.rc < 0)
        fail_msg("write: %s", a.err.message);
}

static void fails_by(const struct answer *a, enum error_domain domain, int code)
{
    assert_int_equal(a->rc, -1);
    assert_string_not_equal(a->err.message, "");
    assert_int_equal(a->err.domain, domain);
    assert_int_equal(a->err.code, code);
}

static void fails(const char *op, json_t *request, enum error_domain domain, int code)
{
    struct answer auto_answer a = call(op, request);
    fails_by(&a, domain, code);
}

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

// A file of the test's, made without the agent. Its path; the caller frees.
static char *make(const char *name, const char *text, mode_t mode)
{
    char *path = at(name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    assert_int_equal(fchmod(fd, mode), 0);
    return path;
}

static void holds(const char *path, const char *text)
{
    auto_free char *data = NULL;
    size_t len;
    assert_int_equal(read_whole_file(path, 1 << 20, &data, &len), 0);
    assert_int_equal(len, strlen(text));
    assert_string_equal(data, text);
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static json_t *hash_of(const char *text)
{
    char hash[65];
    sha256_hex(text, strlen(text), hash);
    return json_pack("{s:s}", "sha256", hash);
}

static json_t *absent(void) { return json_pack("{s:b}", "absent", 1); }

// Nothing of the agent's temporary files stays.
static void is_clean(void)
{
    struct answer auto_answer a = call("list", json_pack("{s:s}", "path", folder));
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(a.result, "entries"), i, entry)
        assert_null(strstr(json_str(entry, "name", ""), ".migrun-"));
}

static int setup(void **state)
{
    (void)state;
    folder = xstrdup("/tmp/migrun-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    keep_dir = at("var/kept");
    agent_keep_dir = keep_dir;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    is_clean();
    remove_all(folder);
    free(folder);
    free(keep_dir);
    return 0;
}

// ---- looking ----

static void stat_tells(void **state)
{
    (void)state;
    auto_free char *path = make("file", "12345", 0640), *link = at("link"), *slash = at("link/"),
                   *nothing = at("nothing"), *below = at("file/x");
    assert_int_equal(symlink(folder, link), 0);
    struct answer auto_answer a = call("stat", json_pack("{s:s}", "path", path));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_string_equal(json_str(a.result, "type", ""), "file");
    assert_int_equal(json_int(a.result, "mode", 0), 0640);
    assert_int_equal(json_int(a.result, "size", 0), 5);
    assert_int_equal(json_int(a.result, "uid", -1), geteuid());
    assert_int_equal(json_int(a.result, "inode", 0), st.st_ino);
    assert_int_equal(json_int(a.result, "device", 0), st.st_dev);
    assert_int_equal(json_int(a.result, "links", 0), 1);
    assert_true(json_num(a.result, "mtime", 0) > 1e9);
    auto_free char *user = user_name(geteuid());
    assert_string_equal(json_str(a.result, "user", ""), user ? user : "");
    struct answer auto_answer of_link = call("stat", json_pack("{s:s}", "path", link));
    assert_string_equal(json_str(of_link.result, "type", ""), "symlink");
    struct answer auto_answer with_slash = call("stat", json_pack("{s:s}", "path", slash));
    assert_string_equal(json_str(with_slash.result, "type", ""), "symlink");
    struct answer auto_answer root = call("stat", json_pack("{s:s}", "path", "/"));
    assert_string_equal(json_str(root.result, "type", ""), "directory");
    fails("stat", json_pack("{s:s}", "path", nothing), ERR_SYSTEM, ENOENT);
    fails("stat", json_pack("{s:s}", "path", below), ERR_SYSTEM, ENOTDIR);
    fails("stat", json_pack("{s:s}", "path", "etc/passwd"), ERR_REFUSED, REFUSED_OTHER);
    fails("stat", json_pack("{s:s}", "path", ""), ERR_REFUSED, REFUSED_OTHER);
    fails("stat", json_object(), ERR_REFUSED, REFUSED_OTHER);
}

static void read_gives_all(void **state)
{
    (void)state;
    auto_free char *path = make("file", "a\nb", 0600), *empty = make("empty", "", 0600), *fifo = at("fifo");
    auto_json json_t *expected = hash_of("a\nb");
    struct answer auto_answer a = call("read", json_pack("{s:s}", "path", path));
    assert_int_equal(a.body.len, 3);
    assert_string_equal(a.body.data, "a\nb");
    assert_string_equal(json_str(a.result, "sha256", ""), json_str(expected, "sha256", "-"));
    assert_int_equal(json_int(a.result, "size", 0), 3);
    struct answer auto_answer b = call("read", json_pack("{s:s}", "path", empty));
    assert_int_equal(b.body.len, 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    fails("read", json_pack("{s:s, s:i}", "path", path, "limit", 2), ERR_SYSTEM, EFBIG);
    fails("read", json_pack("{s:s}", "path", fifo), ERR_SYSTEM, EINVAL);
    fails("read", json_pack("{s:s}", "path", folder), ERR_SYSTEM, EISDIR);
}

static void list_is_sorted(void **state)
{
    (void)state;
    static const char *const names[] = {"B", "a", "c\xff", "z"}, *const shown[] = {"B", "a", "c\\xff", "z"};
    auto_free char *path = at("list"), *nothing = at("nothing"), *file = make("file", "", 0600);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = COUNT_OF(names); i-- > 0;) {
        auto_free char *inner = xasprintf("list/%s", names[i]), *made = make(inner, "x", 0600);
        assert_true(is_there(made));
    }
    struct answer auto_answer a = call("list", json_pack("{s:s}", "path", path));
    const json_t *entries = json_object_get(a.result, "entries");
    assert_int_equal(json_array_size(entries), COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_string_equal(json_str(json_array_get(entries, i), "name", ""), shown[i]);
        assert_string_equal(json_str(json_array_get(entries, i), "type", ""), "file");
    }
    fails("list", json_pack("{s:s}", "path", nothing), ERR_SYSTEM, ENOENT);
    fails("list", json_pack("{s:s}", "path", file), ERR_SYSTEM, ENOTDIR);
}

// ---- writing ----

static void write_makes(void **state)
{
    (void)state;
    auto_free char *path = at("new"), *given = at("given"), *nowhere = at("nowhere/file");
    struct answer auto_answer a = put(json_pack("{s:s, s:o}", "path", path, "expect", absent()), "one");
    assert_int_equal(a.rc, 0);
    assert_int_equal(json_int(a.result, "mode", 0), 0644);
    assert_int_equal(json_int(a.result, "uid", -1), geteuid());
    assert_int_equal(json_int(a.result, "size", -1), 3);
    holds(path, "one");
    struct answer auto_answer b = put(json_pack("{s:s, s:o}", "path", path, "expect", absent()), "two");
    fails_by(&b, ERR_REFUSED, REFUSED_CHANGED);
    holds(path, "one");
    struct answer auto_answer c = put(
        json_pack("{s:s, s:i, s:I}", "path", given, "mode", 04750, "uid", (json_int_t)geteuid()), "");
    assert_int_equal(json_int(c.result, "mode", 0), 04750);
    holds(given, "");
    struct answer auto_answer d = put(json_pack("{s:s}", "path", nowhere), "x");
    fails_by(&d, ERR_SYSTEM, ENOENT);
    struct answer auto_answer e = put(json_pack("{s:s}", "path", folder), "x");
    fails_by(&e, ERR_SYSTEM, EISDIR);
}

// user::rw-, user:12:r--, group::---, mask::r--, other::---
static const unsigned char acl[] = {2, 0,  0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                    0, 12, 0,   0,   0,   4,   0,  0, 0,   255, 255, 255, 255, 16, 0,
                                    4, 0,  255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};

static bool has(const char *path, const char *name, const void *value, size_t len)
{
    char now[256];
    return getxattr(path, name, now, sizeof now) == (ssize_t)len && memcmp(now, value, len) == 0;
}

static void write_keeps(void **state)
{
    (void)state;
    auto_free char *path = make("file", "old", 0640);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(chown(path, 12, 34), 0);
    bool attributes = setxattr(path, "user.migrun", "\0value", 6, 0) == 0;
    bool acls = setxattr(path, "system.posix_acl_access", acl, sizeof acl, 0) == 0;
    must_put(json_pack("{s:s, s:o}", "path", path, "expect", hash_of("old")), "new text");
    holds(path, "new text");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    if (root) {
        assert_int_equal(st.st_uid, 12);
        assert_int_equal(st.st_gid, 34);
    }
    assert_true(!attributes || has(path, "user.migrun", "\0value", 6));
    assert_true(!acls || has(path, "system.posix_acl_access", acl, sizeof acl));

    struct answer auto_answer a = put(json_pack("{s:s, s:o}", "path", path, "expect", hash_of("old")),
                                      "newer");
    fails_by(&a, ERR_REFUSED, REFUSED_CHANGED);
    holds(path, "new text");
    must_put(json_pack("{s:s, s:i}", "path", path, "mode", 0600), "newer");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    fails("remove", json_pack("{s:s, s:o}", "path", path, "expect", hash_of("old")), ERR_REFUSED,
          REFUSED_CHANGED);
    must("remove", json_pack("{s:s, s:o}", "path", path, "expect", hash_of("newer")));
    struct answer auto_answer b = put(json_pack("{s:s, s:o}", "path", path, "expect", hash_of("newer")), "x");
    fails_by(&b, ERR_REFUSED, REFUSED_CHANGED);
    assert_false(is_there(path));
}

// What the folder would give to a new file, an old one that had none does not get.
static void folder_gives_no_acl(void **state)
{
    (void)state;
    auto_free char *inner = at("inner"), *path = NULL;
    assert_int_equal(mkdir(inner, 0700), 0);
    path = make("inner/file", "old", 0600);
    if (setxattr(inner, "system.posix_acl_default", acl, sizeof acl, 0) < 0)
        skip();
    must_put(json_pack("{s:s}", "path", path), "new");
    assert_int_equal(getxattr(path, "system.posix_acl_access", NULL, 0), -1);
    assert_int_equal(errno, ENODATA);
}

// ---- keeping and putting back ----

static void keep_and_restore(void **state)
{
    (void)state;
    auto_free char *path = make("file", "the original\n", 0640), *kept = at("var/kept/run-1/7"),
                   *meta = at("var/kept/run-1/7.json");
    auto_free char *other = make("other", "", 0600), *run = at("var/kept/run-1");
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(chown(path, 12, 34), 0);
    bool attributes = setxattr(path, "user.migrun", "1", 1, 0) == 0;
    must_put(json_pack("{s:s, s:s, s:i}", "path", path, "keep", "run-1/7", "mode", 0600), "changed");
    holds(kept, "the original\n");
    struct stat st;
    assert_int_equal(stat(kept, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(meta, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(run, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(keep_dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);

    // Kept once: the first original is the true one.
    struct answer auto_answer again = put(json_pack("{s:s, s:s}", "path", path, "keep", "run-1/7"), "third");
    fails_by(&again, ERR_SYSTEM, EEXIST);
    holds(path, "changed");
    if (attributes)
        assert_int_equal(removexattr(path, "user.migrun"), 0);

    fails("restore", json_pack("{s:s, s:s, s:o}", "keep", "run-1/7", "path", path, "expect", hash_of("else")),
          ERR_REFUSED, REFUSED_CHANGED);
    fails("restore", json_pack("{s:s, s:s, s:o}", "keep", "run-1/7", "path", other, "expect", hash_of("")),
          ERR_REFUSED, REFUSED_OTHER);
    fails("restore",
          json_pack("{s:s, s:s, s:o}", "keep", "run-1/8", "path", path, "expect", hash_of("changed")),
          ERR_SYSTEM, ENOENT);
    must("restore",
         json_pack("{s:s, s:s, s:o}", "keep", "run-1/7", "path", path, "expect", hash_of("changed")));
    holds(path, "the original\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    if (root) {
        assert_int_equal(st.st_uid, 12);
        assert_int_equal(st.st_gid, 34);
    }
    assert_true(!attributes || has(path, "user.migrun", "1", 1));

    must("forget", json_pack("{s:s}", "run", "run-1"));
    assert_false(is_there(run));
    must("forget", json_pack("{s:s}", "run", "run-1"));
}

static void keep_bytes_of_any_kind(void **state)
{
    (void)state;
    static const char bytes[] = {0, 1, '\n', (char)0xff, (char)0xfe, 0};
    auto_free char *path = at("binary");
    struct answer auto_answer made = call_with("write", json_pack("{s:s}", "path", path), bytes,
                                               sizeof bytes);
    assert_int_equal(made.rc, 0);
    must_put(json_pack("{s:s, s:s}", "path", path, "keep", "run/1"), "");
    must("restore", json_pack("{s:s, s:s, s:o}", "keep", "run/1", "path", path, "expect", hash_of("")));
    struct answer auto_answer a = call("read", json_pack("{s:s}", "path", path));
    assert_int_equal(a.body.len, sizeof bytes);
    assert_memory_equal(a.body.data, bytes, sizeof bytes);
}

// What an agent that died left beside the file: the change's own next attempt, and tidy, remove it.
static void what_a_dead_agent_left(void **state)
{
    (void)state;
    auto_free char *path = make("f", "old", 0644), *left = make(".migrun-run-7", "half of", 0600),
                   *other = make(".migrun-run-8", "another's", 0600), *away = at("nowhere/f");
    must_put(json_pack("{s:s, s:s, s:o}", "path", path, "keep", "run/7", "expect", hash_of("old")), "new");
    holds(path, "new");
    assert_false(is_there(left));
    free(make(".migrun-run-7", "half of", 0600));
    must("tidy", json_pack("{s:s, s:s}", "path", path, "keep", "run/7"));
    assert_false(is_there(left));
    assert_true(is_there(other));
    must("tidy", json_pack("{s:s, s:s}", "path", path, "keep", "run/8"));
    must("tidy", json_pack("{s:s, s:s}", "path", path, "keep", "run/8")); // nothing is there
    must("tidy", json_pack("{s:s, s:s}", "path", away, "keep", "run/8")); // nor is its folder
    fails("tidy", json_pack("{s:s, s:s}", "path", path, "keep", "../8"), ERR_REFUSED, REFUSED_OTHER);
    holds(path, "new");
}

static void restore_of_nothing(void **state)
{
    (void)state;
    auto_free char *path = at("new");
    must_put(json_pack("{s:s, s:s, s:o}", "path", path, "keep", "run/1", "expect", absent()), "made");
    fails("restore", json_pack("{s:s, s:s, s:o}", "keep", "run/1", "path", path, "expect", hash_of("other")),
          ERR_REFUSED, REFUSED_CHANGED);
    assert_true(is_there(path));
    must("restore", json_pack("{s:s, s:s, s:o}", "keep", "run/1", "path", path, "expect", hash_of("made")));
    assert_false(is_there(path));
}

static void remove_and_restore(void **state)
{
    (void)state;
    auto_free char *path = make("file", "text", 0604), *nothing = at("nothing");
    must("remove", json_pack("{s:s, s:s, s:o}", "path", path, "keep", "run/1", "expect", hash_of("text")));
    assert_false(is_there(path));
    fails("remove", json_pack("{s:s}", "path", nothing), ERR_SYSTEM, ENOENT);
    fails("remove", json_pack("{s:s}", "path", folder), ERR_SYSTEM, EISDIR);
    must("restore", json_pack("{s:s, s:s, s:o}", "keep", "run/1", "path", path, "expect", absent()));
    holds(path, "text");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0604);
    fails("restore", json_pack("{s:s, s:s, s:o}", "keep", "run/1", "path", path, "expect", absent()),
          ERR_REFUSED, REFUSED_CHANGED);
}

static void damaged_original(void **state)
{
    (void)state;
    auto_free char *path = make("file", "text", 0600);
    must_put(json_pack("{s:s, s:s}", "path", path, "keep", "run/1"), "new");
    auto_free char *kept = make("var/kept/run/1", "tex", 0600);
    fails("restore", json_pack("{s:s, s:s, s:o}", "keep", "run/1", "path", path, "expect", hash_of("new")),
          ERR_SYSTEM, EIO);
    holds(path, "new");
}

static void bad_keep_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",           "run", "run/", "/1",     "../1",   "run/../1", "run/1/2", "run/x",
        "run/1.json", "./1", "..",   "run//1", ".run/1", "a b/1",    "run/1 ",  "run/1234567890"};
    auto_free char *path = make("file", "text", 0600);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct answer auto_answer a = put(json_pack("{s:s, s:s}", "path", path, "keep", names[i]), "new");
        fails_by(&a, ERR_REFUSED, REFUSED_OTHER);
        fails("remove", json_pack("{s:s, s:s}", "path", path, "keep", names[i]), ERR_REFUSED, REFUSED_OTHER);
        fails("restore", json_pack("{s:s, s:s}", "path", path, "keep", names[i]), ERR_REFUSED, REFUSED_OTHER);
    }
    static const char *const runs[] = {"", "..", ".", "run/1", "/", "../..", ".hidden"};
    for (size_t i = 0; i < COUNT_OF(runs); i++)
        fails("forget", json_pack("{s:s}", "run", runs[i]), ERR_REFUSED, REFUSED_OTHER);
    holds(path, "text");
    assert_false(is_there(keep_dir));
}

static void open_keep_folder(void **state)
{
    (void)state;
    auto_free char *path = make("file", "text", 0600), *var = at("var");
    assert_int_equal(mkdir(var, 0755), 0);
    assert_int_equal(mkdir(keep_dir, 0755), 0);
    struct answer auto_answer a = put(json_pack("{s:s, s:s}", "path", path, "keep", "run/1"), "new");
    fails_by(&a, ERR_REFUSED, REFUSED_OTHER);
    holds(path, "text");
}

// ---- links ----

static void no_link_is_followed(void **state)
{
    (void)state;
    auto_free char *target = make("target", "text", 0600), *link = at("link"), *slash = at("link/"),
                   *to_folder = at("folder");
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(symlink(folder, to_folder), 0);
    const char *const paths[] = {link, slash, to_folder};
    static const char *const with_path[] = {"read", "list", "remove", "chown", "chmod", "log"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        for (size_t j = 0; j < COUNT_OF(with_path); j++)
            fails(with_path[j], json_pack("{s:s, s:i}", "path", paths[i], "mode", 0666), ERR_SYSTEM, ELOOP);
        struct answer auto_answer a = put(json_pack("{s:s}", "path", paths[i]), "new");
        fails_by(&a, ERR_SYSTEM, ELOOP);
    }
    struct stat st;
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    holds(target, "text");
    assert_true(is_there(link));

    auto_free char *file = make("file", "text", 0600);
    must_put(json_pack("{s:s, s:s}", "path", file, "keep", "run/1"), "new");
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink(target, file), 0);
    fails("restore", json_pack("{s:s, s:s, s:o}", "keep", "run/1", "path", file, "expect", hash_of("new")),
          ERR_SYSTEM, ELOOP);
    holds(target, "text");
}

// ---- owner and mode ----

static json_t *seen(const char *path, const char *const *members, size_t count)
{
    struct answer auto_answer a = call("stat", json_pack("{s:s}", "path", path));
    json_t *expect = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set(expect, members[i], json_object_get(a.result, members[i]));
    return expect;
}

static void owner_and_mode(void **state)
{
    (void)state;
    static const char *const owner[] = {"device", "inode", "uid", "gid"}, *const mode[] = {"device", "inode",
                                                                                           "mode"};
    auto_free char *path = make("file", "text", 0600);
    bool root = geteuid() == 0;
    json_int_t uid = root ? 12 : geteuid(), gid = root ? 34 : getegid();
    struct answer auto_answer a = call("chown",
                                       json_pack("{s:s, s:I, s:I, s:o}", "path", path, "uid", uid, "gid", gid,
                                                 "expect", seen(path, owner, COUNT_OF(owner))));
    assert_int_equal(a.rc, 0);
    assert_int_equal(json_int(a.result, "uid", -1), uid);
    assert_int_equal(json_int(a.result, "gid", -1), gid);
    struct answer auto_answer b = call("chown",
                                       json_pack("{s:s, s:i, s:I}", "path", path, "uid", -1, "gid", gid));
    assert_int_equal(json_int(b.result, "uid", -1), uid);
    struct answer auto_answer c = call("chmod", json_pack("{s:s, s:i, s:o}", "path", path, "mode", 02750,
                                                          "expect", seen(path, mode, COUNT_OF(mode))));
    assert_int_equal(c.rc, 0);
    assert_int_equal(json_int(c.result, "mode", 0), 02750);
    fails("chmod", json_pack("{s:s, s:i, s:{s:i}}", "path", path, "mode", 0600, "expect", "mode", 0600),
          ERR_REFUSED, REFUSED_CHANGED);
    fails("chown",
          json_pack("{s:s, s:i, s:i, s:{s:i}}", "path", path, "uid", -1, "gid", -1, "expect", "uid", 4711),
          ERR_REFUSED, REFUSED_CHANGED);
    fails("chmod", json_pack("{s:s, s:i}", "path", path, "mode", 010000), ERR_REFUSED, REFUSED_OTHER);
    fails("chown", json_pack("{s:s, s:i}", "path", path, "uid", -2), ERR_REFUSED, REFUSED_OTHER);
}

static void swapped_file(void **state)
{
    (void)state;
    static const char *const members[] = {"device", "inode"};
    auto_free char *path = make("file", "text", 0600), *other = make("other", "other", 0600);
    json_t *expect = seen(path, members, COUNT_OF(members));
    auto_json json_t *again = json_copy(expect);
    assert_int_equal(rename(other, path), 0);
    fails("chown", json_pack("{s:s, s:i, s:i, s:o}", "path", path, "uid", -1, "gid", -1, "expect", expect),
          ERR_REFUSED, REFUSED_CHANGED);
    fails("chmod", json_pack("{s:s, s:i, s:O}", "path", path, "mode", 0666, "expect", again), ERR_REFUSED,
          REFUSED_CHANGED);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

// ---- a folder that another user owns ----

enum { OTHER_USER = 1000, TRIES = 20000 };

// The user's child exchanges the folder of a guest and a link to root's own folder, without pause.
static pid_t exchange(const char *above)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(above) < 0 || setgid(OTHER_USER) < 0 || setuid(OTHER_USER) < 0)
        _exit(1);
    for (;;)
        if (rename("guest", "aside") < 0 || symlink("../root", "guest") < 0 || unlink("guest") < 0 ||
            rename("aside", "guest") < 0)
            _exit(1);
}

// The requests of a fix-up: whose file it is, and then its owner, if it still is that file.
static bool give(const char *path, int uid)
{
    struct answer auto_answer seen = call("stat", json_pack("{s:s}", "path", path));
    if (seen.rc < 0)
        return false;
    struct answer auto_answer a = call("chown", json_pack("{s:s, s:i, s:i, s:{s:O, s:O}}", "path", path,
                                                          "uid", uid, "gid", -1, "expect", "device",
                                                          json_object_get(seen.result, "device"), "inode",
                                                          json_object_get(seen.result, "inode")));
    return a.rc == 0;
}

static void nobody_wins_the_race(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    auto_free char *theirs = at("theirs"), *guest = at("theirs/guest"), *aside = at("theirs/aside"),
                   *roots = at("root"), *disk = at("theirs/guest/disk"), *secret = at("root/disk");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(mkdir(theirs, 0755) | mkdir(guest, 0755) | mkdir(roots, 0755), 0);
    auto_free char *one = make("theirs/guest/disk", "disk", 0600), *two = make("root/disk", "root's", 0600);
    assert_int_equal(chown(theirs, OTHER_USER, 0) | chown(guest, OTHER_USER, 0), 0);
    pid_t pid = exchange(theirs);
    struct stat st;
    for (int i = 0; i < TRIES && stat(secret, &st) == 0 && st.st_uid == 0; i++)
        give(disk, i % 2 ? 4711 : 4712);
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); // it exchanged them to the end
    assert_int_equal(stat(secret, &st), 0);
    assert_int_equal(st.st_uid, 0);
    if (is_there(aside)) {
        unlink(guest);
        assert_int_equal(rename(aside, guest), 0);
    }
    assert_true(give(disk, 4713)); // where nobody exchanges anything, it is done
}

static void refused(const char *op, const char *path)
{
    auto_json json_t *request = json_pack("{s:s, s:i, s:i}", "path", path, "uid", 4711, "mode", 0640);
    if (STREQ(op, "remove"))
        json_object_clear(request);
    json_object_set_new(request, "path", json_string(path));
    fails(op, json_incref(request), ERR_REFUSED, REFUSED_OTHER);
}

static void others_links_are_not_followed(void **state)
{
    (void)state;
    static const char *const changes[] = {"write", "remove", "chown", "chmod"};
    if (geteuid() != 0)
        skip();
    auto_free char *target = at("target"), *link = at("link"), *through = at("link/file"), *gone = at("a"),
                   *last = at("target/file");
    assert_int_equal(mkdir(target, 0755), 0);
    auto_free char *file = make("target/file", "text", 0600);
    assert_int_equal(symlink("target", link), 0);
    must("chmod", json_pack("{s:s, s:i}", "path", through, "mode", 0604)); // root's own leads there
    assert_int_equal(lchown(link, OTHER_USER, OTHER_USER), 0);
    for (size_t i = 0; i < COUNT_OF(changes); i++)
        refused(changes[i], through);
    must("stat", json_pack("{s:s}", "path", through)); // whoever only looks may
    holds(last, "text");
    auto_free char *process = xasprintf("/proc/self/root%s", last),
                   *self = xasprintf("/proc/self/cwd/%s", last);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        refused(changes[i], process);
        refused(changes[i], self);
    }
    assert_int_equal(symlink("a/b", gone), 0); // round and round
    auto_free char *endless = at("a/file");
    fails("chmod", json_pack("{s:s, s:i}", "path", endless, "mode", 0600), ERR_SYSTEM, ELOOP);
    auto_free char *dots = xasprintf("%s//./target/../target/file", folder);
    must("chmod", json_pack("{s:s, s:i}", "path", dots, "mode", 0600));
}

static void a_file_of_two_names(void **state)
{
    (void)state;
    auto_free char *path = make("file", "text", 0600), *other = at("other");
    assert_int_equal(link(path, other), 0);
    must("chmod", json_pack("{s:s, s:i}", "path", path, "mode", 0640)); // nobody else makes names here
    assert_int_equal(chmod(folder, 0770), 0);
    refused("chmod", path);
    refused("chown", path);
    assert_int_equal(unlink(other), 0);
    must("chmod", json_pack("{s:s, s:i}", "path", path, "mode", 0600));
}

static void libvirts_records(void **state)
{
    (void)state;
    static const char *const changes[] = {"write", "remove", "chown", "chmod"};
    static const char *const paths[] = {"/run/libvirt/qemu/guest.xml", "//run/./libvirt//qemu/guest.xml",
                                        "/var/run/libvirt/qemu/guest.xml",
                                        "/etc/libvirt/../libvirt/qemu/networks/guest.xml"};
    auto_free char *bound = at("bound"), *there = at("bound/guest.xml"), *above = at("above"),
                   *below = at("above/networks/guest.xml");
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
        skip();
    assert_int_equal(mkdir(bound, 0700) | mkdir(above, 0700), 0);
    for (size_t i = 0; i < 2; i++)
        if (mount("none", i ? "/etc" : "/run", "tmpfs", 0, "mode=755") < 0)
            skip();
    assert_int_equal(mkdir("/run/libvirt", 0755) | mkdir("/run/libvirt/qemu", 0755), 0);
    assert_int_equal(mkdir("/etc/libvirt", 0755) | mkdir("/etc/libvirt/qemu", 0755), 0);
    assert_int_equal(mkdir("/etc/libvirt/qemu/networks", 0755), 0);
    assert_int_equal(mkdir("/run/libvirt/qemu/below", 0755), 0);
    assert_int_equal(mount("/run/libvirt/qemu", bound, "none", MS_BIND, NULL), 0);
    assert_int_equal(mount("/etc/libvirt/qemu", above, "none", MS_BIND, NULL), 0);
    static const char *const made[] = {"/run/libvirt/qemu/guest.xml", "/etc/libvirt/qemu/networks/guest.xml"};
    for (size_t i = 0; i < COUNT_OF(made); i++)
        close(open(made[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        refused(changes[i], there);
        refused(changes[i], below);
        for (size_t k = 0; k < COUNT_OF(paths); k++)
            refused(changes[i], paths[k]);
    }
    for (size_t i = 2; i < COUNT_OF(changes); i++) { // the folders themselves
        refused(changes[i], bound);
        refused(changes[i], "/etc/libvirt/qemu/");
        refused(changes[i], "/etc/libvirt/qemu/networks");
    }
    must("chmod", json_pack("{s:s, s:i}", "path", "/run/libvirt", "mode", 0755));
    must("write", json_pack("{s:s}", "path", "/run/libvirt/qemu/below/file"));
    umount2(above, MNT_DETACH);
    umount2(bound, MNT_DETACH);
    umount2("/etc", MNT_DETACH);
    umount2("/run", MNT_DETACH);
}

// ---- logs ----

static void log_goes_on(void **state)
{
    (void)state;
    auto_free char *path = make("log", "one\ntwo\n", 0600);
    struct answer auto_answer a = call("log", json_pack("{s:s}", "path", path));
    assert_int_equal(json_int(a.result, "size", 0), 8);
    assert_int_equal(json_int(a.result, "lines", 0), 2);
    assert_int_equal(a.body.len, 0);
    auto_free char *longer = make("log", "one\ntwo\nthree\nfour", 0600);
    struct answer auto_answer b = call("log",
                                       json_pack("{s:s, s:i, s:i}", "path", longer, "offset", 8, "line", 2));
    assert_string_equal(b.body.data, "three\nfour");
    assert_int_equal(json_int(b.result, "line", 0), 3);
    assert_int_equal(json_int(b.result, "lines", 0), 3);
    assert_int_equal(json_int(b.result, "size", 0), 18);
    auto_free char *rotated = make("log", "new\n", 0600);
    struct answer auto_answer c = call(
        "log", json_pack("{s:s, s:i, s:i}", "path", rotated, "offset", 18, "line", 3));
    assert_string_equal(c.body.data, "new\n");
    assert_int_equal(json_int(c.result, "line", 0), 1);
}

// 8 TiB, and a line behind them.
static void log_with_a_hole(void **state)
{
    (void)state;
    auto_free char *path = make("log", "one\n", 0600);
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    const off_t far = (off_t)8 << 40;
    if (pwrite(fd, "two\n", 4, far) != 4)
        skip(); // this file system has no such files
    struct answer auto_answer a = call("log", json_pack("{s:s}", "path", path));
    assert_int_equal(a.rc, 0);
    assert_int_equal(json_int(a.result, "size", 0), far + 4);
    assert_int_equal(json_int(a.result, "lines", 0), 2);
    assert_int_equal(ftruncate(fd, far + far / 2), 0);
    struct answer auto_answer b = call("log", json_pack("{s:s}", "path", path));
    assert_int_equal(json_int(b.result, "size", 0), far + far / 2);
}

// Nobody waits for the answer any more.
static void a_log_is_not_read_for_nobody(void **state)
{
    (void)state;
    int ends[2];
    struct agent agent = {0};
    auto_free char *path = make("log", "one\n", 0600);
    auto_json json_t *request = json_pack("{s:s}", "path", path), *result = NULL;
    struct error err = {0};
    auto_buf struct buf body = {0};
    assert_int_equal(pipe(ends), 0);
    agent.stdin_fd = ends[0];
    assert_int_equal(op_find("log")->serve(&agent, request, NULL, 0, &result, &body, &err), 0);
    close(ends[1]);
    json_t *again = NULL;
    assert_int_equal(op_find("log")->serve(&agent, request, NULL, 0, &again, &body, &err), -1);
    close(ends[0]);
}

// Files of the kernel that are read by taking what is in them away.
static void what_takes_messages_away_is_not_read(void **state)
{
    (void)state;
    struct stat st;
    if (stat("/proc/kmsg", &st) < 0)
        skip();
    fails("read", json_pack("{s:s}", "path", "/proc/kmsg"), ERR_SYSTEM, EINVAL);
    fails("log", json_pack("{s:s}", "path", "/proc/kmsg"), ERR_SYSTEM, EINVAL);
    must("read", json_pack("{s:s}", "path", "/proc/version"));
}

static void numbers_out_of_range(void **state)
{
    (void)state;
    auto_free char *path = make("file", "text", 0600);
    static const char *const members[] = {"uid", "gid", "mode"}, *const changes[] = {"write", "chown",
                                                                                     "chmod"};
    static const char *const values[] = {"4294967296", "4294967295", "-2", "1e300", "\"0\"", "null", "[0]"};
    for (size_t o = 0; o < COUNT_OF(changes); o++)
        for (size_t m = 0; m < COUNT_OF(members); m++)
            for (size_t v = 0; v < COUNT_OF(values); v++) {
                if ((o == 1 && m == 2) || (o == 2 && m != 2))
                    continue;
                auto_free char *text = xasprintf("{\"path\": \"%s\", \"%s\": %s}", path, members[m],
                                                 values[v]);
                fails(changes[o], json_loads(text, 0, NULL), ERR_REFUSED, REFUSED_OTHER);
            }
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void long_log(void **state)
{
    (void)state;
    enum { LINES = 200000, LINE = 8 };
    auto_buf struct buf text = {0};
    for (int i = 0; i < LINES; i++)
        buf_printf(&text, "%07d\n", i);
    auto_free char *path = make("log", text.data, 0600);
    int64_t offset = 0, line = 0, pieces = 0;
    for (; offset < (int64_t)text.len; pieces++) {
        struct answer auto_answer a = call("log", json_pack("{s:s, s:I, s:I}", "path", path, "offset",
                                                            (json_int_t)offset, "line", (json_int_t)line));
        assert_int_equal(a.rc, 0);
        assert_true(a.body.len > 0 && a.body.len <= 1 << 20);
        assert_int_equal(a.body.len % LINE, 0);
        assert_memory_equal(a.body.data, text.data + offset, a.body.len);
        assert_int_equal(json_int(a.result, "line", 0), line + 1);
        offset = json_int(a.result, "size", 0);
        line = json_int(a.result, "lines", 0);
    }
    assert_int_equal(line, LINES);
    assert_int_equal(pieces, 2);
}

// What a file is behind a path, links followed; each write is seen.
static void storage_tells(void **state)
{
    (void)state;
    auto_free char *disk = make("disk", "one", 0600), *link = at("link"), *missing = at("missing");
    struct stat st;
    assert_int_equal(symlink("disk", link), 0);
    assert_int_equal(stat(disk, &st), 0);
    struct answer auto_answer first = call("storage",
                                           json_pack("{s:[s, s, s]}", "paths", link, missing, "no path"));
    const json_t *paths = json_object_get(first.result, "paths"), *seen = json_object_get(paths, link);
    assert_int_equal(json_object_size(paths), 1);
    assert_string_equal(json_str(seen, "type", ""), "file");
    assert_string_equal(json_str(seen, "path", ""), disk);
    assert_int_equal(json_int(seen, "size", 0), 3);
    assert_int_equal(json_int(seen, "inode", 0), st.st_ino);
    assert_int_equal(json_int(seen, "mtime", 0), st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    assert_string_not_equal(json_str(seen, "fstype", ""), "");
    assert_int_equal(*json_str(seen, "target", ""), '/');
    int64_t changed = json_int(seen, "ctime", 0), again = changed;
    while (again == changed) { // file systems count in the kernel's ticks
        free(make("disk", "two", 0600));
        struct answer auto_answer later = call("storage",
                                               json_pack("{s:[s], s:i}", "paths", disk, "after", 1));
        again = json_int(json_object_get(json_object_get(later.result, "paths"), disk), "ctime", 0);
    }
    assert_true(again > changed);
}

static void who_writes(void **state)
{
    (void)state;
    static const char *const always[] = {"write", "remove", "restore", "tidy", "forget", "chown", "chmod"};
    static const char *const never[] = {"stat", "read", "list", "log", "facts", "storage"};
    auto_json json_t *nothing = json_object(), *reads = json_pack("{s:b}", "reads", 1),
                     *looks = json_pack("{s:s}", "action", "state");
    for (size_t i = 0; i < COUNT_OF(always); i++)
        assert_true(op_find(always[i])->writes(nothing));
    for (size_t i = 0; i < COUNT_OF(never); i++)
        assert_null(op_find(never[i])->writes);
    assert_true(op_find("command")->writes(nothing));
    assert_false(op_find("command")->writes(reads));
    assert_true(op_find("service")->writes(nothing));
    assert_false(op_find("service")->writes(looks));
    assert_null(op_find("format"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stat_tells),
        TEST(storage_tells),
        TEST(read_gives_all),
        TEST(list_is_sorted),
        TEST(write_makes),
        TEST(write_keeps),
        TEST(folder_gives_no_acl),
        TEST(keep_and_restore),
        TEST(keep_bytes_of_any_kind),
        TEST(what_a_dead_agent_left),
        TEST(restore_of_nothing),
        TEST(remove_and_restore),
        TEST(damaged_original),
        TEST(bad_keep_names),
        TEST(open_keep_folder),
        TEST(no_link_is_followed),
        TEST(owner_and_mode),
        TEST(swapped_file),
        TEST(nobody_wins_the_race),
        TEST(others_links_are_not_followed),
        TEST(a_file_of_two_names),
        TEST(libvirts_records),
        TEST(log_goes_on),
        TEST(log_with_a_hole),
        TEST(a_log_is_not_read_for_nobody),
        TEST(what_takes_messages_away_is_not_read),
        TEST(numbers_out_of_range),
        TEST(long_log),
        TEST(who_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
