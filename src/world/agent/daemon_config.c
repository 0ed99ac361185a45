// SPDX-License-Identifier: MIT
// Where libvirt's daemon has its configuration: in a container, or with mounts of its own (Kolla's images,
// BindPaths= of systemd), the folder of that name on the host is another one.
#include "world/agent/ops_internal.h"

#include "base/io.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *text_of(const char *process, const char *name)
{
    auto_free char *path = xasprintf("/proc/%s/%s", process, name);
    char *text;
    size_t len;
    return read_whole_file(path, 1 << 16, &text, &len) == 0 ? text : NULL;
}

// The system's own daemon; a user's session has another one.
static bool is_daemon(const char *process)
{
    struct stat st;
    auto_free char *path = xasprintf("/proc/%s", process), *name = text_of(process, "comm");
    return name && (STREQ(name, "libvirtd\n") || STREQ(name, "virtqemud\n")) && stat(path, &st) == 0 &&
           st.st_uid == 0;
}

// By the names that container engines give to their cgroups.
static bool is_in_container(const char *process)
{
    static const char *const engines[] = {"docker", "libpod", "containerd", "crio", "kubepods", "lxc"};
    auto_free char *cgroups = text_of(process, "cgroup");
    for (size_t i = 0; cgroups && i < COUNT_OF(engines); i++)
        if (strstr(cgroups, engines[i]))
            return true;
    return false;
}

char *daemon_config(const char *folder, bool *unseen)
{
    struct stat here = {0}, there;
    auto_free char *found = NULL;
    DIR *processes = opendir("/proc");
    bool is_here = false;
    *unseen = false;
    stat(folder, &here);
    for (struct dirent *entry; processes && !is_here && (entry = readdir(processes));) {
        if (!isdigit((unsigned char)*entry->d_name) || !is_daemon(entry->d_name))
            continue;
        auto_free char *path = xasprintf("/proc/%s/root%s", entry->d_name, folder);
        if (stat(path, &there) < 0) {
            *unseen |= (errno == EACCES || errno == EPERM) && is_in_container(entry->d_name);
            continue;
        }
        is_here = there.st_dev == here.st_dev && there.st_ino == here.st_ino;
        if (!is_here && !found)
            found = steal(&path);
    }
    if (processes)
        closedir(processes);
    *unseen &= !found && !is_here;
    return found && !is_here ? steal(&found) : xstrdup(folder);
}
