// SPDX-License-Identifier: MIT
// Who listens on TCP ports of this host.
#include "world/agent/ops_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_wanted(const json_t *ports, unsigned int port)
{
    size_t i;
    json_t *wanted;
    json_array_foreach(ports, i, wanted)
        if (json_integer_value(wanted) == port)
            return true;
    return false;
}

// The kernel prints an address as words of the machine's own byte order.
static char *address_of(const char *hex)
{
    size_t words = strlen(hex) / 8;
    uint32_t bytes[4] = {0};
    char text[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < words && i < COUNT_OF(bytes); i++) {
        auto_free char *word = xstrndup(hex + 8 * i, 8);
        bytes[i] = (uint32_t)strtoul(word, NULL, 16);
    }
    return inet_ntop(words == 1 ? AF_INET : AF_INET6, bytes, text, sizeof text) ? xstrdup(text) : xstrdup("");
}

// The sockets of a table that listen on one of the ports: [{address, port, inode}].
static void take_table(const char *path, const json_t *ports, json_t *all)
{
    enum { LISTENING = 0x0a };
    FILE *table = fopen(path, "re");
    char line[512], hex[33];
    unsigned int port, state;
    unsigned long long inode;
    while (table && fgets(line, sizeof line, table)) {
        if (sscanf(line, " %*u: %32[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*d %llu", hex, &port,
                   &state, &inode) != 4 ||
            state != LISTENING || !is_wanted(ports, port))
            continue;
        auto_free char *address = address_of(hex);
        json_array_append_new(all, json_pack("{s:s, s:I, s:I}", "address", address, "port", (json_int_t)port,
                                             "inode", (json_int_t)inode));
    }
    if (table)
        fclose(table);
}

// Adds pid and program to the listener whose socket a process holds.
static void take_holder(const char *pid, const char *link, json_t *all)
{
    unsigned long long inode;
    size_t i;
    json_t *listener;
    if (sscanf(link, "socket:[%llu]", &inode) != 1)
        return;
    json_array_foreach(all, i, listener) {
        if ((unsigned long long)json_int(listener, "inode", -1) != inode || json_object_get(listener, "pid"))
            continue;
        auto_free char *path = xasprintf("/proc/%s/comm", pid), *name = file_text(path);
        json_object_set_new(listener, "pid", json_integer(strtoll(pid, NULL, 10)));
        set_text(listener, "program", name ? trimmed(name) : NULL);
    }
}

static void add_holders(json_t *all)
{
    DIR *processes = json_array_size(all) ? opendir("/proc") : NULL;
    for (struct dirent *process; processes && (process = readdir(processes));) {
        auto_free char *path = xasprintf("/proc/%s/fd", process->d_name);
        DIR *folder = isdigit((unsigned char)*process->d_name) ? opendir(path) : NULL;
        for (struct dirent *entry; folder && (entry = readdir(folder));) {
            char link[PATH_MAX];
            ssize_t len = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
            link[len > 0 ? len : 0] = '\0';
            take_holder(process->d_name, link, all);
        }
        if (folder)
            closedir(folder);
    }
    if (processes)
        closedir(processes);
}

SERVE(serve_listeners)
{
    const json_t *ports = json_object_get(request, "ports");
    json_t *all = json_array();
    size_t i;
    json_t *listener;
    take_table("/proc/net/tcp", ports, all);
    take_table("/proc/net/tcp6", ports, all);
    add_holders(all);
    json_array_foreach(all, i, listener)
        json_object_del(listener, "inode");
    *result = json_pack("{s:o}", "listeners", all);
    return 0;
}
