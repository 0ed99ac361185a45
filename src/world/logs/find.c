// SPDX-License-Identifier: MIT
#include "world/logs/find.h"

#include "world/logs/stream.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct finding {
    const json_t *sets;
    const char *prefix;
    struct log_files *found;
    size_t room, looked_at;
};

// The length of a path without its rotation: "x.log.1", "x.log-20261124", "x.log.2026-11-24".
static size_t stem_length(const char *path)
{
    size_t len = stream_plain_length(path), n = len;
    while (n > 0 && (isdigit((unsigned char)path[n - 1]) || path[n - 1] == '-'))
        n--;
    bool dated = n > 0 && n < len && path[n - 1] == '.';
    if (dated)
        return n - 1;
    while (n < len && path[n] != '-')
        n++;
    return n < len && len - n >= 9 ? n : len; // "-20261124"
}

static bool fits(const json_t *patterns, const char *path)
{
    size_t i;
    json_t *pattern;
    json_array_foreach((json_t *)(uintptr_t)patterns, i, pattern)
        if (fnmatch(json_string_value(pattern), path, 0) == 0)
            return true;
    return false;
}

// A path without the prefix of its last part; NULL: it has another one. Caller frees.
static char *without_prefix(const char *path, const char *prefix)
{
    const char *name = strrchr(path, '/') + 1;
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0)
        return NULL;
    return xasprintf("%.*s%s", (int)(name - path), path, name + len);
}

static void take_file(struct finding *f, const char *path, const struct stat *st)
{
    size_t i;
    json_t *set;
    auto_free char *as = without_prefix(path, f->prefix);
    json_array_foreach((json_t *)(uintptr_t)f->sets, i, set) {
        if (!as || !fits(json_object_get(set, "paths"), as))
            continue;
        struct log_files *found = f->found;
        if (found->n == f->room) {
            f->room = f->room ? 2 * f->room : 64;
            found->v = xrealloc(found->v, f->room * sizeof *found->v);
        }
        found->v[found->n++] = (struct log_file){
            .path = xstrdup(path),
            .as = steal(&as),
            .stem = stem_length(path),
            .set = i,
            .mtime = (double)st->st_mtim.tv_sec,
            .begin = NAN,
            .device = st->st_dev,
            .inode = st->st_ino,
        };
        return;
    }
}

// path: of the folder, below the root.
static void walk(struct finding *f, int folder, const char *path, int depth)
{
    DIR *dir = fdopendir(folder);
    if (!dir) {
        close(folder);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir)) && f->looked_at++ < FIND_MOST) {
        struct stat st;
        if (STREQ(entry->d_name, ".") || STREQ(entry->d_name, "..") ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        auto_free char *inner = xasprintf("%s/%s", STREQ(path, "/") ? "" : path, entry->d_name);
        if (S_ISREG(st.st_mode)) {
            take_file(f, inner, &st);
        } else if (S_ISDIR(st.st_mode) && depth < FIND_DEPTH) {
            int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            if (fd >= 0)
                walk(f, fd, inner, depth + 1);
        }
    }
    closedir(dir);
}

static int by_stem(const void *one, const void *other)
{
    const struct log_file *a = one, *b = other;
    size_t shorter = a->stem < b->stem ? a->stem : b->stem;
    int order = memcmp(a->path, b->path, shorter);
    if (order == 0 && a->stem != b->stem)
        order = a->stem < b->stem ? -1 : 1;
    return order ? order : strcmp(a->path, b->path);
}

// A file that two folders lead to is one.
static void drop_twins(struct log_files *found)
{
    size_t n = 0;
    for (size_t i = 0; i < found->n; i++) {
        bool twin = false;
        for (size_t k = 0; k < n && !twin; k++)
            twin = found->v[k].inode == found->v[i].inode && found->v[k].device == found->v[i].device;
        if (twin) {
            free(found->v[i].path);
            free(found->v[i].as);
        } else {
            found->v[n++] = found->v[i];
        }
    }
    found->n = n;
}

void find_logs(const char *root, const json_t *folders, const json_t *sets, const char *prefix,
               struct log_files *found)
{
    struct finding f = {.sets = sets, .prefix = prefix, .found = found};
    size_t i;
    json_t *folder;
    json_array_foreach((json_t *)(uintptr_t)folders, i, folder) {
        auto_free char *path = xasprintf("%s%s", root, json_string_value(folder));
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            walk(&f, fd, json_string_value(folder), 0);
    }
    if (found->n)
        qsort(found->v, found->n, sizeof *found->v, by_stem);
    drop_twins(found);
}

void log_files_free(struct log_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->v[i].path);
        free(files->v[i].as);
    }
    free(files->v);
    *files = (struct log_files){0};
}
