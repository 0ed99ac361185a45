// SPDX-License-Identifier: MIT
// A site file's table of anything: it is refused with a sentence, or all its hosts can be asked for.
#include "fuzz.h"
#include "world/site.h"

#include <string.h>

static void is_a_spec(const struct host_spec *spec)
{
    HOLDS(spec->name && spec->address && spec->agent && spec->relay);
    const char *const words[] = {spec->name, spec->address, spec->agent, spec->user ? spec->user : "-",
                                 spec->become ? spec->become : "-"};
    for (size_t i = 0; i < COUNT_OF(words); i++) // they reach ssh's command line
        HOLDS(*words[i] && (*words[i] != '-' || !words[i][1]) && !strpbrk(words[i], " \t\n\r;|&`$"));
    size_t i;
    json_t *option;
    json_array_foreach(spec->ssh_options, i, option)
        HOLDS(json_is_string(option));
    HOLDS(json_is_object(json_object_get(spec->settings, "libvirt")));
    HOLDS(*json_str(spec->settings, "instances", "") == '/');
}

static void ask_for(const struct site *site, const char *name)
{
    struct host_spec *spec = NULL;
    struct error err = {0};
    if (site_host(site, name, &spec, &err) < 0) {
        HOLDS(err.domain == ERR_USAGE && *err.message && !spec);
        return;
    }
    is_a_spec(spec);
    struct host_spec *copy = host_spec_copy(spec);
    host_spec_free(spec);
    is_a_spec(copy);
    host_spec_free(copy);
}

// The first line is the name of a host, the rest the table.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    size_t name_len = end ? (size_t)(end - data) : 0;
    auto_json json_t *table =
        end ? json_loadb((const char *)end + 1, size - name_len - 1, JSON_ALLOW_NUL, NULL) : NULL;
    if (!table)
        return 0;
    struct site *site = NULL;
    struct error err = {0};
    if (site_from_json(table, "site.lua", NULL, &site, &err) < 0) {
        HOLDS(err.domain == ERR_SITE && *err.message && !site);
        return 0;
    }
    auto_free char *name = xstrndup((const char *)data, name_len);
    ask_for(site, name);
    size_t i;
    json_t *host;
    json_array_foreach(site_host_names(site), i, host) {
        HOLDS(json_is_string(host));
        ask_for(site, json_string_value(host));
    }
    site_free(site);
    return 0;
}
