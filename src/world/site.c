// SPDX-License-Identifier: MIT
#include "world/site.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- valid values ----

static bool has_any(const char *text, const char *characters)
{
    for (; *text; text++)
        if ((unsigned char)*text <= 0x20 || *text == 0x7f || strchr(characters, *text))
            return true;
    return false;
}

// A word that is safe as an argument of its own, and in a command that ssh's configuration builds from it
// (%h, %r).
static bool safe_word(const char *text)
{
    return text && *text && *text != '-' && strlen(text) <= 255 && !has_any(text, "'\"`$\\;&|<>(){}*?!#~^");
}

static bool is_word(const json_t *value) { return safe_word(json_string_value(value)); }

static bool is_program(const json_t *value)
{
    const char *text = json_string_value(value);
    return safe_word(text) &&
           text[strspn(text, "/.+_-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] == '\0';
}

static bool is_program_or_none(const json_t *value) { return json_is_false(value) || is_program(value); }

static bool is_relay(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && (STREQ(text, "auto") || STREQ(text, "agent"));
}

static bool is_whole(const json_t *value, json_int_t least, json_int_t greatest)
{
    return json_is_integer(value) && json_integer_value(value) >= least &&
           json_integer_value(value) <= greatest;
}

static bool is_keep(const json_t *value) { return is_whole(value, 0, 3600); }
static bool is_announce(const json_t *value) { return is_whole(value, 0, 100); }
static bool is_within(const json_t *value) { return is_whole(value, 1, 60); }

static bool is_flag(const json_t *value) { return json_is_boolean(value); }

static bool is_path(const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || *text != '/')
        return false;
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool one_hole(const char *text)
{
    const char *hole = strstr(text, "%s");
    return !hole || !strstr(hole + 1, "%s");
}

static bool is_path_pattern(const json_t *value)
{
    return is_path(value) && one_hole(json_string_value(value));
}

static bool is_uri_pattern(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strchr(text, ':') && *text != ':' && !has_any(text, "'\"<>") && one_hole(text);
}

// "driver+transport://…": libvirt itself would tell of a transport that it does not know only when the guest
// is to be moved.
static bool is_libvirt_uri(const json_t *value)
{
    static const char *const transports[] = {"tls", "tcp", "ssh", "libssh", "libssh2", "ext", "unix"};
    if (!is_uri_pattern(value))
        return false;
    const char *scheme = json_string_value(value), *plus = strchr(scheme, '+');
    size_t end = strcspn(scheme, ":");
    if (!plus || plus > scheme + end)
        return true;
    auto_free char *transport = xstrndup(plus + 1, (size_t)(scheme + end - plus - 1));
    for (size_t i = 0; i < COUNT_OF(transports); i++)
        if (STREQ(transports[i], transport))
            return true;
    return false;
}

// For all hosts: without the host's name in it, it would name one of them for all.
static bool is_libvirt_uri_of_all(const json_t *value)
{
    return is_libvirt_uri(value) && strstr(json_string_value(value), "%s");
}

static bool is_uri_of_all(const json_t *value)
{
    return is_uri_pattern(value) && strstr(json_string_value(value), "%s");
}

// One way to ask the guest, who asks, and where, if Neutron does not tell.
static bool is_probe(const json_t *value)
{
    const char *name;
    json_t *part;
    int ways = 0;
    json_object_foreach((json_t *)(uintptr_t)value, name, part) {
        bool port = STREQ(name, "tcp") || STREQ(name, "session"), way = port || STREQ(name, "ping");
        const char *text = json_string_value(part);
        ways += way;
        if (way ? !(port ? is_whole(part, 1, UINT16_MAX) : json_is_true(part))
                : !(STREQ(name, "from") && text && (STREQ(text, "destination") || STREQ(text, "here"))) &&
                      !(STREQ(name, "address") && safe_word(text) && one_hole(text)))
            return false;
    }
    return ways == 1;
}

// An empty Lua table always arrives as an empty object, even if a list was meant.
static bool is_words(const json_t *value)
{
    size_t i;
    json_t *word;
    if (json_is_object(value))
        return json_object_size(value) == 0;
    json_array_foreach(value, i, word)
        if (json_string_length(word) == 0)
            return false;
    return json_is_array(value);
}

static bool is_command(const json_t *value) { return json_array_size(value) > 0 && is_words(value); }

// ---- the keys ----

struct key {
    const char *name;
    bool (*fits)(const json_t *value); // NULL: a table, of keys (or checked apart, where these are NULL too)
    const char *expected;
    const struct key *keys;
};

#define A_WORD "a word without spaces, quotes and the shell's characters"
#define A_PROGRAM "the name or path of a program"

// clang-format off
#define SOCKET_KEYS \
    {"socket", is_path, "an absolute path", NULL}, \
    {"socket_ro", is_path, "an absolute path", NULL}
#define CONFIG_KEY {"config", is_path, "an absolute path", NULL}
#define DEFINITIONS_KEY {"definitions", is_path, "an absolute path", NULL}
// clang-format on
#define TRANSPORTS "(transports: tls, tcp, ssh, libssh, libssh2, ext, unix)"

static const struct key host_libvirt_keys[] = {
    {"uri", is_libvirt_uri,
     "a libvirt URI with at most one %s for the host, as in \"qemu+tcp://%s/system\" " TRANSPORTS, NULL},
    {"migrate_uri", is_uri_pattern, "a migration URI with at most one %s for the host, as in \"tcp://%s\"",
     NULL},
    SOCKET_KEYS,
    CONFIG_KEY,
    DEFINITIONS_KEY,
    {0},
};
static const struct key libvirt_keys[] = {
    {"uri", is_libvirt_uri_of_all,
     "a libvirt URI with one %s for the host, as in \"qemu+tcp://%s/system\" " TRANSPORTS, NULL},
    {"migrate_uri", is_uri_of_all, "a migration URI with one %s for the host, as in \"tcp://%s\"", NULL},
    SOCKET_KEYS,
    CONFIG_KEY,
    DEFINITIONS_KEY,
    {0},
};
static const struct key network_keys[] = {
    {"probe", is_probe,
     "{ ping = true }, { tcp = PORT } or { session = PORT }, with address = \"…\" (one %s for the guest's "
     "name) and from = \"destination\" or \"here\" where they are wanted",
     NULL},
    {"announce", is_announce, "a whole number, 0 to 100", NULL},
    {"within", is_within, "a whole number of seconds, 1 to 60", NULL},
    {0},
};
static const struct key nova_keys[] = {CONFIG_KEY, {0}};
static const struct key log_keys[] = {
    {"qemu", is_path_pattern, "an absolute path with at most one %s for the guest's name", NULL},
    {"libvirtd", is_path, "an absolute path", NULL},
    {"nova_compute", is_path, "an absolute path", NULL},
    {0},
};
static const struct key service_keys[] = {
    {"unit", is_word, "a unit's name", NULL},
    {"state", is_command, "a list of a program and its arguments", NULL},
    {"start", is_command, "a list of a program and its arguments", NULL},
    {"stop", is_command, "a list of a program and its arguments", NULL},
    {"restart", is_command, "a list of a program and its arguments", NULL},
    {"sockets", is_flag, "true or false", NULL},
    {0},
};

// clang-format off
#define SSH_KEYS \
    {"user", is_word, A_WORD, NULL}, \
    {"become", is_program_or_none, A_PROGRAM " as \"sudo\", or false", NULL}, \
    {"agent", is_program, A_PROGRAM, NULL}, \
    {"relay", is_relay, "\"auto\" or \"agent\"", NULL}, \
    {"keep", is_keep, "a whole number of seconds, 0 to 3600", NULL}, \
    {"options", is_words, "a list of ssh's arguments, as in { \"-o\", \"Port=2222\" }", NULL}
#define PLACE_KEYS \
    {"instances", is_path, "an absolute path", NULL}, \
    {"services", NULL, NULL, NULL}, \
    {"nova", NULL, NULL, nova_keys}, \
    {"logs", NULL, NULL, log_keys}
// clang-format on

static const struct key ssh_keys[] = {SSH_KEYS, {0}};
static const struct key host_keys[] = {
    {"address", is_word, A_WORD, NULL},
    {"local", is_flag, "true or false", NULL},
    SSH_KEYS,
    {"libvirt", NULL, NULL, host_libvirt_keys},
    PLACE_KEYS,
    {0},
};
static const struct key site_keys[] = {{"hosts", NULL, NULL, NULL},
                                       {"control", NULL, NULL, NULL},
                                       {"ssh", NULL, NULL, ssh_keys},
                                       {"libvirt", NULL, NULL, libvirt_keys},
                                       {"maps", NULL, NULL, NULL},
                                       {"known_bad", NULL, NULL, NULL},
                                       {"network", NULL, NULL, network_keys},
                                       PLACE_KEYS,
                                       {0}};

// ---- checking ----

struct checking {
    const char *path, *text; // text: the file's, or NULL
    struct error *err;
};

static bool is_word_character(char c) { return c == '_' || c == '-' || isalnum((unsigned char)c); }

// The line of the text where the word stands; 0: nowhere, or more than once, so that it could be another one.
static int line_of(const char *text, const char *word)
{
    int line = 1, found = 0;
    size_t len = strlen(word);
    bool comment = false;
    for (const char *p = text; p && *p; p++) {
        comment = *p != '\n' && (comment || strncmp(p, "--", 2) == 0);
        line += *p == '\n';
        if (comment || strncmp(p, word, len) != 0 || is_word_character(p[len]) ||
            (p > text && is_word_character(p[-1])))
            continue;
        if (found)
            return 0;
        found = line;
    }
    return found;
}

// word: the subject of the mistake, as it stands in the file.
static int wrong(const struct checking *c, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int wrong(const struct checking *c, const char *word, const char *format, ...)
{
    int line = line_of(c->text, word);
    auto_free char *place = line ? xasprintf("%s:%d", c->path, line) : xstrdup(c->path);
    va_list args;
    va_start(args, format);
    error_setv(c->err, ERR_SITE, 0, format, args);
    va_end(args);
    error_prefix(c->err, "%s", place);
    if (c->err)
        snprintf(c->err->source, sizeof c->err->source, "%s", place);
    return -1;
}

static char *found_text(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING: return xasprintf("'%s'", json_string_value(value));
    case JSON_INTEGER: return xasprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL: return xasprintf("%g", json_real_value(value));
    case JSON_TRUE: return xstrdup("true");
    case JSON_FALSE: return xstrdup("false");
    case JSON_ARRAY: return xstrdup("a list");
    case JSON_OBJECT: return xstrdup("a table");
    default: return xstrdup("nothing");
    }
}

static int wrong_value(const struct checking *c, const char *where, const char *expected, const json_t *value)
{
    auto_free char *found = found_text(value);
    const char *dot = strrchr(where, '.');
    return wrong(c, dot ? dot + 1 : where, "%s should be %s, but is %s", where, expected, found);
}

static bool is_one_of(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;
    while (i < count && !STREQ(names[i], name))
        i++;
    return i < count;
}

static bool is_position(const char *key) { return *key && key[strspn(key, "0123456789")] == '\0'; }

static int check_services(const struct checking *c, const char *where, const json_t *services);

// where is the table's own place, empty for the file's.
static int check_table(const struct checking *c, const char *where, const json_t *table,
                       const struct key *keys)
{
    if (!json_is_object(table))
        return wrong_value(c, *where ? where : "the file's value", "a table of named values", table);
    const char *names[16], *name;
    size_t count = 0;
    for (const struct key *key = keys; key->name; key++)
        names[count++] = key->name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)table, name, value) {
        const struct key *key = keys;
        while (key->name && !STREQ(key->name, name))
            key++;
        const char *of = *where ? " of " : "";
        if (!key->name && is_position(name)) {
            auto_free char *found = found_text(value);
            return wrong(c, found, "a value without a name%s%s: %s", of, where, found);
        }
        if (!key->name) {
            const char *near = nearest_name(name, names, count);
            return near ? wrong(c, name, "unknown key '%s'%s%s; did you mean '%s'?", name, of, where, near)
                        : wrong(c, name, "unknown key '%s'%s%s", name, of, where);
        }
        auto_free char *inner = xasprintf("%s%s%s", where, *where ? "." : "", name);
        if (key->fits ? !key->fits(value) : false)
            return wrong_value(c, inner, key->expected, value);
        if (key->keys && check_table(c, inner, value, key->keys) < 0)
            return -1;
        if (STREQ(name, "services") && check_services(c, inner, value) < 0)
            return -1;
    }
    return 0;
}

static int check_services(const struct checking *c, const char *where, const json_t *services)
{
    const char *name;
    json_t *value;
    if (!json_is_object(services))
        return wrong_value(c, where, "a table of services by their names", services);
    json_object_foreach((json_t *)(uintptr_t)services, name, value) {
        auto_free char *inner = xasprintf("%s.%s", where, name);
        if (is_position(name) || !safe_word(name))
            return wrong(c, name, "%s: invalid service name '%s'", where, name);
        if (json_is_object(value) ? check_table(c, inner, value, service_keys) < 0 : false)
            return -1;
        if (!json_is_object(value) && !is_word(value))
            return wrong_value(
                c, inner,
                "a unit's name, or a table { unit =, state =, start =, stop =, restart =, sockets = }",
                value);
    }
    return 0;
}

// What is called otherwise on a host: {HOST: {KIND: {FROM: TO}}}, by destination.lua's kinds.
static int check_maps(const struct checking *c, const json_t *maps)
{
    static const char *const kinds[] = {"bridge", "network", "device", "path", "cpu", "node"};
    const char *host, *kind, *from;
    json_t *of_host, *map, *to;
    if (maps && !json_is_object(maps))
        return wrong_value(c, "maps", "a table of hosts, each with what is called otherwise there", maps);
    json_object_foreach((json_t *)(uintptr_t)maps, host, of_host) {
        auto_free char *where = xasprintf("maps.%s", host);
        if (!json_is_object(of_host) || is_position(host))
            return wrong_value(c, where, "a table { bridge = { [\"br-a\"] = \"br-b\" } }", of_host);
        json_object_foreach(of_host, kind, map) {
            auto_free char *inner = xasprintf("%s.%s", where, kind);
            const char *near = nearest_name(kind, kinds, COUNT_OF(kinds));
            if (!is_one_of(kinds, COUNT_OF(kinds), kind))
                return wrong(c, kind,
                             "unknown kind '%s' of %s%s%s%s (bridge, network, device, path, cpu, node)", kind,
                             where, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
            if (!json_is_object(map))
                return wrong_value(c, inner, "a table of names: [\"here\"] = \"there\"", map);
            json_object_foreach(map, from, to)
                if (!json_string_length(to) || !*from)
                    return wrong_value(c, inner, "a table of names: [\"here\"] = \"there\"", to);
        }
    }
    return 0;
}

// Its entries are checked where they are used (known_bad.lua).
static int check_known_bad(const struct checking *c, const json_t *entries)
{
    size_t i;
    json_t *entry;
    if (entries && !json_is_array(entries) && json_object_size(entries) > 0)
        return wrong_value(c, "known_bad", "a list of entries { says = …, dest = { qemu = \">=10\" }, … }",
                           entries);
    json_array_foreach((json_t *)(uintptr_t)entries, i, entry)
        if (!json_is_object(entry))
            return wrong_value(c, "known_bad",
                               "a list of entries { says = …, dest = { qemu = \">=10\" }, … }", entry);
    return 0;
}

// ---- normalising ----

// A unit's name alone becomes {unit: …}, so that users see one form.
static json_t *services_of(const json_t *services)
{
    json_t *all = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)services, name, value) {
        json_t *service = json_is_object(value) ? json_copy(value) : json_pack("{s:O}", "unit", value);
        if (!json_object_get(service, "unit"))
            json_object_set_new(service, "unit", json_string(name));
        json_object_set_new(all, name, service);
    }
    return all;
}

static void normalise(json_t *table)
{
    if (json_object_get(table, "services"))
        json_object_set_new(table, "services", services_of(json_object_get(table, "services")));
    if (json_object_get(table, "options") && !json_is_array(json_object_get(table, "options")))
        json_object_set_new(table, "options", json_array());
}

static bool host_name_fits(const char *name)
{
    return safe_word(name) && !strpbrk(name, "/[]") && !STREQ(name, ".") && !STREQ(name, "..");
}

#define A_HOST_NAME "a host's name (no spaces, quotes, brackets, '/', and no '-' first)"

static int add_host(const struct checking *c, const char *key, json_t *hosts, const char *name, json_t *own)
{
    if (!host_name_fits(name))
        return wrong(c, name, "%s: '%s' is not " A_HOST_NAME, key, name);
    if (json_object_get(hosts, name))
        return wrong(c, key, "%s names '%s' twice", key, name);
    json_object_set_new(hosts, name, own ? json_copy(own) : json_object());
    normalise(json_object_get(hosts, name));
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Names first, as they stand, then the hosts that have settings of their own, sorted (a Lua table has no
// order).
static int hosts_from(const struct checking *c, const char *key, const json_t *given, json_t *hosts)
{
    size_t count = json_is_array(given) ? json_array_size(given) : json_object_size(given), named = 0;
    if (given && !json_is_array(given) && !json_is_object(given))
        return wrong_value(c, key, "a table of host names", given);
    for (size_t i = 0; i < count; i++) {
        char position[32];
        snprintf(position, sizeof position, "%zu", i + 1);
        const json_t *value = json_is_array(given) ? json_array_get(given, i)
                                                   : json_object_get(given, position);
        if (!value)
            break;
        auto_free char *where = xasprintf("%s[%s]", key, position);
        if (!json_is_string(value))
            return wrong_value(c, where, A_HOST_NAME, value);
        if (add_host(c, key, hosts, json_string_value(value), NULL) < 0)
            return -1;
    }
    if (!json_is_object(given))
        return 0;
    auto_free const char **names = xcalloc(count, sizeof *names);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
        if (!is_position(name))
            names[named++] = name;
        else if (strtoul(name, NULL, 10) == 0 || strtoul(name, NULL, 10) > count)
            return wrong(c, key, "%s has an entry %s, but not all before it", key, name);
    qsort(names, named, sizeof *names, compare_names);
    for (size_t i = 0; i < named; i++) {
        auto_free char *where = xasprintf("%s.%s", key, names[i]);
        json_t *own = json_object_get(given, names[i]);
        if (check_table(c, where, own, host_keys) < 0 || add_host(c, key, hosts, names[i], own) < 0)
            return -1;
    }
    return 0;
}

static json_t *defaults(void)
{
    return json_pack("{s:{s:s, s:s, s:i, s:[]}, s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:{s:{s:s}}, s:{s:s, s:s, "
                     "s:s}, s:{s:s}, "
                     "s:{s:i, s:i}}",
                     "ssh", "agent", "migrun-agent", "relay", "auto", "keep", 60, "options", "libvirt", "uri",
                     "qemu+tcp://%s/system", "socket", "/run/libvirt/libvirt-sock", "socket_ro",
                     "/run/libvirt/libvirt-sock-ro", "config", "/etc/libvirt", "definitions",
                     "/etc/libvirt/qemu", "instances", "/var/lib/nova/instances", "services", "libvirtd",
                     "unit", "libvirtd", "logs", "qemu", "/var/log/libvirt/qemu/%s.log", "libvirtd",
                     "/var/log/libvirt/libvirtd.log", "nova_compute", "/var/log/nova/nova-compute.log",
                     "nova", "config", "/etc/nova", "network", "announce", 0, "within", 10);
}

// own's values over base's: tables are merged by their keys, one level deep (a service is replaced as a
// whole).
static void put_over(json_t *base, const json_t *own)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)own, name, value) {
        json_t *there = json_object_get(base, name);
        if (json_is_object(there) && json_is_object(value))
            json_object_update(there, value);
        else
            json_object_set(base, name, value);
    }
}

int site_from_json(const json_t *table, const char *path, const char *text, struct site **result,
                   struct error *err)
{
    struct checking c = {path ? path : "the site", text, err};
    if (table && check_table(&c, "", table, site_keys) < 0)
        return -1;
    auto_json json_t *hosts = json_object(), *control = json_object(),
                     *own = table ? json_copy((json_t *)(uintptr_t)table) : json_object();
    if (hosts_from(&c, "hosts", json_object_get(own, "hosts"), hosts) < 0 ||
        hosts_from(&c, "control", json_object_get(own, "control"), control) < 0 ||
        check_maps(&c, json_object_get(own, "maps")) < 0 ||
        check_known_bad(&c, json_object_get(own, "known_bad")) < 0)
        return -1;
    json_object_del(own, "hosts");
    json_object_del(own, "control");
    normalise(own);
    json_t *json = defaults(), *names = json_array(), *value;
    json_t *control_names = json_array();
    put_over(json, own);
    normalise(json_object_get(json, "ssh"));
    const char *name;
    json_object_foreach(hosts, name, value)
        json_array_append_new(names, json_string(name));
    json_object_foreach(control, name, value)
        json_array_append_new(control_names, json_string(name));
    json_object_update_missing(hosts, control);
    json_object_set(json, "hosts", hosts);
    json_object_set_new(json, "control", control_names);
    json_object_set_new(json, "names", names);
    struct site *site = xmalloc(sizeof *site);
    *site = (struct site){.path = path ? xstrdup(path) : NULL, .json = json};
    *result = site;
    return 0;
}

void site_free(struct site *site)
{
    if (!site)
        return;
    free(site->path);
    json_decref(site->json);
    free(site);
}

json_t *site_control_names(const struct site *site) { return json_object_get(site->json, "control"); }
json_t *site_host_names(const struct site *site) { return json_object_get(site->json, "names"); }

// ---- one host ----

static bool is_this_machine(const char *name)
{
    char own[256];
    if (gethostname(own, sizeof own) < 0)
        return false;
    own[sizeof own - 1] = '\0';
    size_t short_length = strcspn(own, ".");
    return strcasecmp(name, "localhost") == 0 || strcasecmp(name, own) == 0 ||
           (strlen(name) == short_length && strncasecmp(name, own, short_length) == 0);
}

static char *own_copy(const char *text) { return text ? xstrdup(text) : NULL; }

int site_host(const struct site *site, const char *name, struct host_spec **result, struct error *err)
{
    if (!host_name_fits(name)) {
        auto_free char *clean = printable(name);
        return error_set(err, ERR_USAGE, 0, "'%.300s' is not " A_HOST_NAME, clean);
    }
    if (strchr(name, '@'))
        return error_set(
            err, ERR_USAGE, 0,
            "'%.300s' is not a host's name: the user belongs in the site file (ssh.user, or user of "
            "that host)",
            name);
    const json_t *own = json_object_get(json_object_get(site->json, "hosts"), name);
    // ssh's values and the place's in one object, the host's own over them.
    auto_json json_t *all = json_deep_copy(site->json);
    auto_json json_t *ssh = json_incref(json_object_get(all, "ssh"));
    json_object_del(all, "ssh");
    json_object_del(all, "hosts");
    json_object_del(all, "names");
    json_object_del(all, "control");
    put_over(all, ssh);
    put_over(all, own);

    struct host_spec *spec = xmalloc(sizeof *spec);
    *spec = (struct host_spec){
        .name = xstrdup(name),
        .address = xstrdup(json_str(all, "address", name)),
        .user = own_copy(json_str(all, "user", NULL)),
        .become = own_copy(json_str(all, "become", NULL)),
        .agent = xstrdup(json_str(all, "agent", "migrun-agent")),
        .relay = xstrdup(json_str(all, "relay", "auto")),
        .keep = (int)json_int(all, "keep", 0),
        .local = json_flag(all, "local", is_this_machine(name)),
        .ssh_options = json_incref(json_object_get(all, "options")),
        .settings = json_object(),
    };
    static const char *const kept[] = {"libvirt", "instances", "services", "nova", "logs"};
    for (size_t i = 0; i < COUNT_OF(kept); i++)
        json_object_set(spec->settings, kept[i], json_object_get(all, kept[i]));
    *result = spec;
    return 0;
}

void host_spec_free(struct host_spec *spec)
{
    if (!spec)
        return;
    free(spec->name);
    free(spec->address);
    free(spec->user);
    free(spec->become);
    free(spec->agent);
    free(spec->relay);
    json_decref(spec->ssh_options);
    json_decref(spec->settings);
    free(spec);
}

struct host_spec *host_spec_copy(const struct host_spec *spec)
{
    struct host_spec *copy = xmalloc(sizeof *copy);
    *copy = (struct host_spec){
        .name = xstrdup(spec->name),
        .address = xstrdup(spec->address),
        .user = own_copy(spec->user),
        .become = own_copy(spec->become),
        .agent = xstrdup(spec->agent),
        .relay = xstrdup(spec->relay),
        .keep = spec->keep,
        .local = spec->local,
        .ssh_options = json_deep_copy(spec->ssh_options),
        .settings = json_deep_copy(spec->settings),
    };
    return copy;
}
