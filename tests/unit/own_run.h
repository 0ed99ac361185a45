// SPDX-License-Identifier: MIT
// For a test of what lies in /run: an empty one that this process and its children have for themselves, so
// that the machine's own systemd and libvirt are neither seen nor touched.
#ifndef MIGRUN_TESTS_OWN_RUN_H
#define MIGRUN_TESTS_OWN_RUN_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static bool become_root_of_own_namespace(void)
{
    char map[64];
    int length = snprintf(map, sizeof map, "0 %u 1", (unsigned int)geteuid());
    if (unshare(CLONE_NEWUSER) < 0)
        return false;
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    bool mapped = fd >= 0 && write(fd, map, (size_t)length) == length;
    close(fd);
    return mapped;
}

// An empty folder over this one; false: it is not there, or that is not allowed here.
static inline bool cover(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && mount("none", path, "tmpfs", 0, "mode=755") == 0;
}

static inline bool own_run(void)
{
    if (geteuid() != 0 && !become_root_of_own_namespace())
        return false;
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           cover("/run");
}

#endif
