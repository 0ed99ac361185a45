// SPDX-License-Identifier: MIT
// Identifies the file behind a path, as QEMU would open it (links followed), so that two hosts can find out
// whether they see the same one.
#include "world/agent/ops_internal.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FILE_MOST = 4 << 20, MOST_PATHS = 1000, WAIT_MOST_MS = 10000 };

// ---- mounts ----

// mountinfo writes white space and '\' as \ooo.
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

// "36 35 98:0 /root /target options [optional …] - fstype source options"
static json_t *mount_of(char *line)
{
    char *tail = strstr(line, " - "), *state, *target = NULL;
    if (!tail)
        return NULL;
    *tail = '\0';
    for (int field = 0; field < 5; field++)
        target = strtok_r(field ? NULL : line, " ", &state);
    char *fstype = strtok_r(tail + 3, " ", &state), *source = strtok_r(NULL, " ", &state);
    if (!target || !fstype || !source)
        return NULL;
    unescape(target);
    unescape(source);
    return json_pack("{s:o, s:o, s:o}", "target", json_text(target), "source", json_text(source), "fstype",
                     json_text(fstype));
}

json_t *mounts(void)
{
    json_t *all = json_array();
    auto_free char *text = NULL;
    char *rest = NULL;
    size_t len;
    if (read_whole_file("/proc/self/mountinfo", FILE_MOST, &text, &len) == 0)
        rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        json_t *mount = mount_of(line);
        if (mount)
            json_array_append_new(all, mount);
    }
    return all;
}

static bool is_below(const char *path, const char *target)
{
    size_t len = STREQ(target, "/") ? 0 : strlen(target);
    return strncmp(path, target, len) == 0 && (!path[len] || path[len] == '/');
}

// The mount that a path lies on: the longest target, and of several on one target the last.
const json_t *mount_below(const json_t *all, const char *path)
{
    const json_t *best = NULL;
    size_t i;
    json_t *mount;
    json_array_foreach(all, i, mount) {
        const char *target = json_str(mount, "target", "");
        if (is_below(path, target) && strlen(target) >= strlen(json_str(best, "target", "")))
            best = mount;
    }
    return best;
}

// ---- block devices ----

// Adds "kind:value" to ids, unless the value is empty, or one that QEMU gives to every guest's disk where a
// host is itself a guest.
static void add_id(json_t *ids, const char *kind, char *value)
{
    value[strcspn(value, "\n")] = '\0';
    char *end = value + strlen(value);
    while (end > value && end[-1] == ' ')
        *--end = '\0';
    value += strspn(value, " ");
    if (*value && !strstr(value, "QEMU")) {
        auto_free char *id = xasprintf("%s:%s", kind, value);
        json_array_append_new(ids, json_text(id));
    }
}

static void add_id_file(json_t *ids, const char *kind, const char *folder, const char *name)
{
    auto_free char *path = xasprintf("%s/%s", folder, name), *text = NULL;
    size_t len;
    if (read_whole_file(path, 4096, &text, &len) == 0)
        add_id(ids, kind, text);
}

// Ceph's own numbers of a mapped image.
static void add_rbd(json_t *ids, const char *folder)
{
    static const char *const names[] = {"cluster_fsid", "pool_id", "image_id"};
    auto_buf struct buf id = {0};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        auto_free char *path = xasprintf("%s/device/%s", folder, names[i]), *text = NULL;
        size_t len;
        if (read_whole_file(path, 4096, &text, &len) < 0)
            return;
        buf_printf(&id, "%s%.*s", i ? "/" : "", (int)strcspn(text, "\n"), text);
    }
    add_id(ids, "rbd", id.data);
}

// udev's names for it: in /dev/disk/by-id, except device mapper's, which each host chooses itself; and
// DRBD's, by resource and volume, which are its own words for what two hosts share.
static void add_links(json_t *ids, const char *number)
{
    static const struct {
        const char *kind, *prefix;
    } known[] = {{"by-id", "S:disk/by-id/"}, {"drbd", "S:drbd/by-res/"}};
    auto_free char *path = xasprintf("/run/udev/data/b%s", number), *text = NULL;
    size_t len;
    if (read_whole_file(path, FILE_MOST, &text, &len) < 0)
        return;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        for (size_t i = 0; i < COUNT_OF(known); i++) {
            size_t begin = strlen(known[i].prefix);
            if (strncmp(line, known[i].prefix, begin) == 0 && strncmp(line + begin, "dm-name-", 8) != 0)
                add_id(ids, known[i].kind, line + begin);
        }
}

static void add_device(json_t *behind, unsigned int major, unsigned int minor)
{
    static const struct {
        const char *kind, *file;
    } known[] = {
        {"wwid", "wwid"},     {"wwid", "device/wwid"},     {"dm", "dm/uuid"},
        {"serial", "serial"}, {"serial", "device/serial"},
    };
    auto_free char *number = xasprintf("%u:%u", major, minor),
                   *folder = xasprintf("/sys/dev/block/%s", number), *real = realpath(folder, NULL);
    auto_free char *size = xasprintf("%s/size", folder), *text = NULL,
                   *partition = xasprintf("%s/partition", folder);
    size_t len;
    json_t *ids = json_array();
    json_object_set_new(behind, "ids", ids);
    if (read_whole_file(size, 64, &text, &len) == 0)
        json_object_set_new(
            behind, "size",
            json_integer(strtoll(text, NULL, 10) * 512)); // sysfs counts in these, whatever the device's are
    add_links(ids, number);
    if (!real || access(partition, F_OK) == 0)
        return; // a partition: the rest is its whole disk's
    for (size_t i = 0; i < COUNT_OF(known); i++)
        add_id_file(ids, known[i].kind, real, known[i].file);
    add_rbd(ids, real);
}

// ---- the whole ----

static json_int_t nanoseconds(const struct statx_timestamp *time)
{
    return (json_int_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static json_t *behind_path(const char *path, const json_t *all_mounts)
{
    // FORCE_SYNC: what the server says now (NFS, CephFS, FUSE …), not what this host remembers of it.
    struct statx st;
    auto_free char *real = realpath(path, NULL);
    if (!real || statx(AT_FDCWD, real, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0)
        return NULL;
    const char *type = S_ISREG(st.stx_mode)   ? "file"
                       : S_ISBLK(st.stx_mode) ? "block"
                       : S_ISDIR(st.stx_mode) ? "directory"
                                              : "other";
    const json_t *mount = mount_below(all_mounts, real);
    json_t *behind = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "type", type, "path",
                               json_text(real), "size", (json_int_t)st.stx_size, "inode",
                               (json_int_t)st.stx_ino, "mtime", nanoseconds(&st.stx_mtime), "ctime",
                               nanoseconds(&st.stx_ctime), "fstype", json_str(mount, "fstype", ""), "source",
                               json_str(mount, "source", ""), "target", json_str(mount, "target", ""));
    if (S_ISBLK(st.stx_mode))
        add_device(behind, st.stx_rdev_major, st.stx_rdev_minor);
    return behind;
}

// What stands behind each of the paths: {PATH: {…}} (ops.h); a path where nothing is has no member.
static json_t *behind_paths(const json_t *paths, const json_t *all_mounts)
{
    json_t *all = json_object(), *path;
    size_t i;
    json_array_foreach(paths, i, path) {
        const char *text = json_string_value(path);
        if (i < MOST_PATHS && text && *text == '/' && strlen(text) == json_string_length(path))
            json_object_set_new(all, text,
                                behind_path(text, all_mounts)); // NULL is not set: there is nothing
    }
    return all;
}

SERVE(serve_storage)
{
    int64_t wait = json_int(request, "after", 0);
    if (wait > 0)
        nap_ms(wait < WAIT_MOST_MS ? wait : WAIT_MOST_MS);
    auto_json json_t *all_mounts = mounts();
    *result = json_pack("{s:o}", "paths", behind_paths(json_object_get(request, "paths"), all_mounts));
    return 0;
}
