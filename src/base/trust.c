// SPDX-License-Identifier: MIT
#include "base/trust.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Root has another number where a user namespace does not know it: whoever owns "/" is root.
static bool is_trusted_user(uid_t uid)
{
    struct stat root;
    return uid == 0 || uid == geteuid() || (stat("/", &root) == 0 && uid == root.st_uid);
}

// A user's own group, as Debian and Fedora give each of them one, is that user.
static bool is_open(const struct stat *st)
{
    bool group = st->st_mode & S_IWGRP && st->st_gid != 0 && st->st_gid != getegid();
    return !S_ISLNK(st->st_mode) && !(st->st_mode & S_ISVTX) && (st->st_mode & S_IWOTH || group);
}

static int check_part(const char *part, const char *path, bool *absent, struct error *err)
{
    struct stat st;
    if ((*absent = lstat(part, &st) < 0)) // whoever opens it will say so
        return 0;
    if (is_trusted_user(st.st_uid) && !is_open(&st))
        return 0;
    return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                     "%s is not trusted, as %s %s: chown and chmod it, or name another folder", path, part,
                     is_trusted_user(st.st_uid) ? "is writable by other users" : "belongs to another user");
}

static int check_parts(const char *way, const char *path, struct error *err)
{
    auto_free char *part = xstrdup(way);
    bool absent = false;
    for (char *at = part + 1; !absent; at++) {
        char end = *at;
        if (end && end != '/')
            continue;
        *at = '\0';
        if (check_part(part, path, &absent, err) < 0)
            return -1;
        if (!end)
            break;
        *at = end;
    }
    return 0;
}

int check_way(const char *path, struct error *err)
{
    auto_free char *from = xasprintf("%s%s", *path == '/' ? "" : "./", path), *begin = xstrdup(from),
                   *real = NULL;
    // What is not there yet leads nowhere else.
    for (char *last; !(real = realpath(begin, NULL)) && (last = strrchr(begin, '/')) && last != begin;)
        *last = '\0';
    return check_parts(from, path, err) < 0 || (real && check_parts(real, path, err) < 0) ? -1 : 0;
}
