// SPDX-License-Identifier: MIT
#include "lua/find.h"

#include "base/memory.h"
#include "base/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

// The policies that came with migrun: beside the program in a build, else where make install puts them.
static char *own_policies(void)
{
    static const char *const beside[] = {"../policies", "../../policies"};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        for (size_t i = 0; i < COUNT_OF(beside); i++) {
            auto_free char *folder = xasprintf("%s/%s", self, beside[i]),
                           *probe = xasprintf("%s/libvirt.lua", folder);
            char *real = is_file(probe) ? realpath(folder, NULL) : NULL;
            if (real)
                return real;
        }
    }
    return xstrdup(MIGRUN_PREFIX "/share/migrun/policies");
}

static int is_policy_name(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 4 && STREQ(entry->d_name + len - 4, ".lua");
}

static json_t *names_in(const char *folder)
{
    struct dirent **entries = NULL;
    json_t *names = json_array();
    int count = scandir(folder, &entries, is_policy_name, alphasort);
    for (int i = 0; i < count; i++) {
        json_array_append_new(names, json_text(entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
    return names;
}

json_t *policy_folders(void)
{
    auto_free char *own = own_policies();
    const char *const folders[] = {"/etc/migrun/policies", own};
    json_t *all = json_array();
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        json_array_append_new(
            all, json_pack("{s:o, s:o}", "folder", json_text(folders[i]), "names", names_in(folders[i])));
    return all;
}

// The name of a policy that may have been meant, or NULL; it lives as long as folders.
static const char *nearest_policy(const json_t *folders, const char *given)
{
    enum { NAMES_MAX = 256 };
    const char *names[NAMES_MAX];
    size_t count = 0, i, k;
    const json_t *folder, *name;
    auto_free char *whole = xasprintf("%s%s", given, strchr(given, '.') ? "" : ".lua");
    json_array_foreach(folders, i, folder)
        json_array_foreach(json_object_get(folder, "names"), k, name)
            if (count < NAMES_MAX)
                names[count++] = json_string_value(name);
    return nearest_name(whole, names, count);
}

char *policy_find(const char *given, struct error *err)
{
    if (strchr(given, '/')) {
        if (is_file(given))
            return xstrdup(given);
        error_set(err, ERR_USAGE, 0, "there is no policy %s: no such file", given);
        return NULL;
    }
    auto_json json_t *folders = policy_folders();
    size_t i;
    const json_t *folder;
    json_array_foreach(folders, i, folder)
        for (int suffix = 0; suffix < 2 && *given; suffix++) {
            char *path = xasprintf("%s/%s%s", json_str(folder, "folder", ""), given, suffix ? ".lua" : "");
            if (is_file(path))
                return path;
            free(path);
        }
    const char *near = nearest_policy(folders, given);
    bool here = is_file(given);
    error_set(err, ERR_USAGE, 0, "there is no policy '%s' in /etc/migrun/policies or %s%s%s%s%s%s", given,
              json_str(json_array_get(folders, 1), "folder", ""), here ? "; the file here is ./" : "",
              here ? given : "", near && !here ? "; did you mean '" : "", near && !here ? near : "",
              near && !here ? "'? (migrun policies lists them)"
              : here        ? ""
                            : " (migrun policies lists them)");
    return NULL;
}
