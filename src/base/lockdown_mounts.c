// SPDX-License-Identifier: MIT
// Everything that is mounted becomes read-only: at once, or (before Linux 5.12) one mount after the other.
#include "base/lockdown_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

// A line of /proc/self/mountinfo: "36 35 98:0 /root /target rw,nosuid shared:1 - ext4 /dev/x rw".
struct mount_line {
    char *target, *options, *type;
};

// "\040" is a space there.
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        unsigned int code;
        if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1) {
            *to = (char)code;
            from += 4;
        } else
            *to = *from++;
    }
    *to = '\0';
}

static bool parse(char *line, struct mount_line *mount)
{
    char *word = NULL;
    for (int i = 0; i < 6; i++) {
        word = strsep(&line, " ");
        if (i == 4)
            mount->target = word;
    }
    mount->options = word;
    char *dash = word && line ? strstr(line, "- ") : NULL;
    if (!dash)
        return false;
    dash += 2;
    mount->type = strsep(&dash, " ");
    unescape(mount->target);
    return true;
}

static bool has_option(const char *options, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = options; (at = strstr(at, name)); at += len)
        if ((at == options || at[-1] == ',') && (!at[len] || at[len] == ','))
            return true;
    return false;
}

// What is not said again would be taken away; the times of access are kept.
static unsigned long flags_of(const char *options)
{
    static const struct {
        const char *name;
        unsigned long flag;
    } flags[] = {
        {"nosuid", MS_NOSUID}, {"nodev", MS_NODEV}, {"noexec", MS_NOEXEC}, {"nosymfollow", MS_NOSYMFOLLOW}};
    unsigned long all = 0;
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (has_option(options, flags[i].name))
            all |= flags[i].flag;
    return all;
}

// One that is below another mount, or below a folder that nobody may enter, is out of reach for us too.
static bool is_out_of_reach(int error) { return error == ENOENT || error == ENOTDIR || error == EINVAL; }

// remount: makes each read-only that is not. Returns how many are not (before, or after it), -1: unknown.
static int writable_mounts(bool remount)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    int writable = 0, lines = 0;
    for (struct mount_line m = {0}; file && getline(&line, &room, file) > 0; lines++) {
        // A place for automatic mounts holds nothing itself, and looking at it would mount.
        if (!parse(line, &m) || STREQ(m.type, "autofs") || has_option(m.options, "ro"))
            continue;
        if (!remount ||
            (mount(NULL, m.target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags_of(m.options), NULL) < 0 &&
             !is_out_of_reach(errno)))
            writable++;
    }
    free(line);
    if (file)
        fclose(file);
    return lines ? writable : -1;
}

int mounts_read_only(void)
{
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if (geteuid() != 0)
        return -1;
    if (writable_mounts(false) == 0)
        return 0; // inside a process that is locked in
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof read_only) == 0)
        return 0;
    return writable_mounts(true) == 0 ? 0 : -1;
}
