// SPDX-License-Identifier: MIT
// What of a host guests may have: memory, huge pages by size, CPUs, NUMA nodes. From /proc and /sys.
#include "world/agent/ops_internal.h"

#include "base/io.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 4 << 20 };

// ---- texts ----

char *file_text(const char *path)
{
    char *text;
    size_t len;
    return read_whole_file(path, FILE_MOST, &text, &len) == 0 ? text : NULL;
}

char *next_line(char **text)
{
    char *line = *text, *end = line ? strchr(line, '\n') : NULL;
    if (!line || !*line)
        return NULL;
    *text = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    return line;
}

char *trimmed(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t len = strlen(text); len && isspace((unsigned char)text[len - 1]); len--)
        text[len - 1] = '\0';
    return text;
}

void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_text(text));
}

// Sets key to what the first of these files that can be read holds.
static void set_first_file(json_t *object, const char *key, const char *const *paths)
{
    for (; *paths; paths++) {
        auto_free char *text = file_text(*paths);
        if (text && *trimmed(text)) {
            set_text(object, key, trimmed(text));
            return;
        }
    }
}

static json_int_t number_in(const char *folder, const char *name)
{
    auto_free char *path = xasprintf("%s/%s", folder, name), *text = file_text(path);
    return text ? strtoll(text, NULL, 10) : 0;
}

// ---- memory ----

static int by_size(const void *one, const void *other)
{
    json_int_t a = json_int(*(json_t *const *)one, "size", 0),
               b = json_int(*(json_t *const *)other, "size", 0);
    return (a > b) - (a < b);
}

static json_t *sorted(json_t *list)
{
    size_t count = json_array_size(list);
    auto_free json_t **items = xcalloc(count + 1, sizeof(json_t *));
    for (size_t i = 0; i < count; i++)
        items[i] = json_incref(json_array_get(list, i));
    qsort(items, count, sizeof(json_t *), by_size);
    for (size_t i = 0; i < count; i++)
        json_array_set_new(list, i, items[i]);
    return list;
}

// The pools of huge pages in a folder, by size: [{size (bytes), total, free (pages)}].
static json_t *huge_pages(const char *folder)
{
    static const char prefix[] = "hugepages-";
    json_t *all = json_array();
    DIR *pools = opendir(folder);
    for (struct dirent *entry; pools && (entry = readdir(pools));) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        auto_free char *pool = xasprintf("%s/%s", folder, entry->d_name);
        json_array_append_new(
            all, json_pack("{s:I, s:I, s:I}", "size",
                           (json_int_t)strtoll(entry->d_name + strlen(prefix), NULL, 10) * 1024, "total",
                           number_in(pool, "nr_hugepages"), "free", number_in(pool, "free_hugepages")));
    }
    if (pools)
        closedir(pools);
    return sorted(all);
}

// Lines "Name: 12 kB" of /proc/meminfo and of a node's, whose lines begin with "Node 0 ".
static void take_sizes(json_t *all, const char *path, const char *const (*wanted)[2], size_t count)
{
    auto_free char *text = file_text(path);
    for (char *rest = text, *line; (line = next_line(&rest));)
        for (size_t i = 0; i < count; i++) {
            const char *at = strstr(line, wanted[i][0]);
            if (!at || (at != line && at[-1] != ' '))
                continue;
            long long value = strtoll(at + strlen(wanted[i][0]), NULL, 10);
            json_object_set_new(all, wanted[i][1], json_integer(strstr(at, " kB") ? value * 1024 : value));
        }
}

static json_t *memory(void)
{
    static const char *const wanted[][2] = {
        {"MemTotal:", "total"},
        {"MemAvailable:", "available"},
        {"HugePages_Total:", "hugepages_total"},
        {"HugePages_Free:", "hugepages_free"},
        {"Hugepagesize:", "hugepage_size"},
    };
    json_t *all = json_object();
    take_sizes(all, "/proc/meminfo", wanted, COUNT_OF(wanted));
    json_object_set_new(all, "hugepages", huge_pages("/sys/kernel/mm/hugepages"));
    return all;
}

static json_t *node(const char *name)
{
    static const char *const wanted[][2] = {{"MemTotal:", "total"}, {"MemFree:", "free"}};
    auto_free char *folder = xasprintf("/sys/devices/system/node/%s", name),
                   *pools = xasprintf("%s/hugepages", folder), *sizes = xasprintf("%s/meminfo", folder),
                   *cpus = xasprintf("%s/cpulist", folder);
    json_t *all = json_pack("{s:I, s:o}", "node", (json_int_t)strtoll(name + strlen("node"), NULL, 10),
                            "hugepages", huge_pages(pools));
    take_sizes(all, sizes, wanted, COUNT_OF(wanted));
    set_first_file(all, "cpus", (const char *const[]){cpus, NULL});
    return all;
}

static json_t *nodes(void)
{
    json_t *all = json_array();
    DIR *folder = opendir("/sys/devices/system/node");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strncmp(entry->d_name, "node", 4) == 0 && isdigit((unsigned char)entry->d_name[4]))
            json_array_append_new(all, node(entry->d_name));
    if (folder)
        closedir(folder);
    return all;
}

// ---- CPUs ----

static json_t *words_of(char *text)
{
    json_t *all = json_array();
    char *state;
    for (char *word = strtok_r(text, " ", &state); word; word = strtok_r(NULL, " ", &state))
        json_array_append_new(all, json_text(word));
    return all;
}

// Only the first CPU's lines are read: on a large host the kernel takes its time for all of them.
static void add_model(json_t *all)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    auto_free char *line = NULL;
    size_t size = 0;
    while (file && getline(&line, &size, file) > 1) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = '\0';
        const char *key = trimmed(line);
        if (STREQ(key, "model name") || STREQ(key, "cpu"))
            set_text(all, "model", trimmed(colon + 1));
        else if (STREQ(key, "vendor_id"))
            set_text(all, "vendor", trimmed(colon + 1));
        else if (STREQ(key, "flags") || STREQ(key, "Features") || STREQ(key, "features"))
            json_object_set_new(all, "flags", words_of(trimmed(colon + 1)));
    }
    if (file)
        fclose(file);
}

// The CPUs that a process may use, as a list "0-3,8".
static void add_allowed(json_t *all, const char *key, json_int_t pid)
{
    static const char name[] = "\nCpus_allowed_list:";
    auto_free char *path = xasprintf("/proc/%lld/status", (long long)pid), *text = file_text(path);
    char *at = text ? strstr(text, name) : NULL;
    if (!at)
        return;
    at += strlen(name);
    at[strcspn(at, "\n")] = '\0';
    set_text(all, key, trimmed(at));
}

// By which CPUs a guest may be pinned to, as lists: those that are online; those of machine.slice, where
// libvirt puts guests; and libvirtd's own, where it uses no cgroups.
static json_t *cpu(const json_t *units)
{
    const char *name;
    json_t *unit, *all = json_pack("{s:I}", "count", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN));
    add_model(all);
    set_first_file(all, "online", (const char *const[]){"/sys/devices/system/cpu/online", NULL});
    set_first_file(all, "machines",
                   (const char *const[]){"/sys/fs/cgroup/machine.slice/cpuset.cpus.effective",
                                         "/sys/fs/cgroup/cpuset/machine.slice/cpuset.effective_cpus", NULL});
    json_object_foreach((json_t *)(uintptr_t)units, name, unit)
        if (json_int(unit, "pid", 0) > 0 && (strstr(name, "libvirt") || strstr(name, "virtqemu")))
            add_allowed(all, "libvirtd", json_int(unit, "pid", 0));
    return all;
}

void add_hardware(json_t *facts)
{
    json_object_set_new(facts, "memory", memory());
    json_object_set_new(facts, "cpu", cpu(json_object_get(facts, "units")));
    json_object_set_new(facts, "nodes", nodes());
}
