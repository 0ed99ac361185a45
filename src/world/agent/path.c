// SPDX-License-Identifier: MIT
// The way to a folder in which something is to be changed, part by part: whoever owns a folder on the way
// cannot lead root elsewhere by a link, not even while root is on its way.
#include "world/agent/ops_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { LINKS_MOST = 40 }; // as the kernel's own

struct walk {
    const char *shown;
    char *rest; // of the path, what is still to be gone
    int at;     // O_PATH
    int links;
};

static void walk_end(struct walk *w)
{
    free(w->rest);
    util_close_fd(&w->at);
}

static int set_at(struct walk *w, int fd)
{
    if (fd < 0)
        return -1;
    util_close_fd(&w->at);
    w->at = fd;
    return 0;
}

static int go_to_root(struct walk *w) { return set_at(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)); }

// A link of a process (/proc/1/root) leads where its text does not say.
static bool is_of_process(int link)
{
    struct statfs on;
    return fstatfs(link, &on) == 0 && on.f_type == PROC_SUPER_MAGIC;
}

static int follow(struct walk *w, int link, const struct stat *st, struct error *err)
{
    char target[PATH_MAX];
    if (++w->links > LINKS_MOST)
        return error_errno(err, ELOOP, "%s", w->shown);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s leads over a symbolic link of the user %lld, who could lead it elsewhere: name "
                         "the folder itself",
                         w->shown, (long long)st->st_uid);
    if (is_of_process(link))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s leads over a link of a process: name the folder itself", w->shown);
    ssize_t len = readlinkat(link, "", target, sizeof target - 1);
    if (len < 0)
        return error_errno(err, errno, "%s", w->shown);
    target[len] = '\0';
    char *rest = xasprintf("%s/%s", target, w->rest);
    free(w->rest);
    w->rest = rest;
    return *target == '/' && go_to_root(w) < 0 ? error_errno(err, errno, "%s", w->shown) : 0;
}

static int step(struct walk *w, const char *part, struct error *err)
{
    struct stat st;
    if (STREQ(part, ".."))
        return set_at(w, openat(w->at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0
                   ? error_errno(err, errno, "%s", w->shown)
                   : 0;
    auto_fd int next = openat(w->at, part, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC); // it is mounted
    if (next < 0 && errno == ENOTDIR)
        next = openat(w->at, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0 || fstat(next, &st) < 0)
        return error_errno(err, errno, "%s", w->shown);
    if (S_ISLNK(st.st_mode))
        return follow(w, next, &st, err);
    if (!S_ISDIR(st.st_mode))
        return error_errno(err, ENOTDIR, "%s", w->shown);
    return set_at(w, steal_fd(&next));
}

int folder_open(const char *path, const char *shown, struct error *err)
{
    struct walk cleanup(walk_end) w = {.shown = shown, .rest = xstrdup(path), .at = -1};
    if (go_to_root(&w) < 0)
        return error_errno(err, errno, "%s", shown);
    for (;;) {
        const char *begin = w.rest + strspn(w.rest, "/");
        size_t len = strcspn(begin, "/");
        if (!len)
            return steal_fd(&w.at);
        auto_free char *part = xstrndup(begin, len), *rest = xstrdup(begin + len);
        free(w.rest);
        w.rest = steal(&rest);
        if (!STREQ(part, ".") && step(&w, part, err) < 0)
            return -1;
    }
}

bool folder_is_others(int folder)
{
    struct stat st;
    return fstat(folder, &st) < 0 || (st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & 022;
}
