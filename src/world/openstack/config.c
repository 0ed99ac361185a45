// SPDX-License-Identifier: MIT
#include "world/openstack/config.h"

#include "base/io.h"
#include "base/text.h"
#include "world/openstack/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20 };

// ---- files ----

static const char *home(void)
{
    const char *from_env = getenv("HOME");
    const struct passwd *me = from_env && *from_env ? NULL : getpwuid(getuid());
    return me ? me->pw_dir : from_env ? from_env : "/";
}

// The first that is there of FOLDER/STEM.(yaml|yml|json), in openstacksdk's order of folders; NULL: none.
static char *find_file(const char *stem, const char *named_by)
{
    const char *named = named_by ? getenv(named_by) : NULL, *config = getenv("XDG_CONFIG_HOME");
    if (named && *named && access(named, F_OK) == 0)
        return xstrdup(named);
    auto_free char *of_user = config && *config ? xasprintf("%s/openstack", config)
                                                : xasprintf("%s/.config/openstack", home());
    auto_free char *of_home = xasprintf("%s/.config/openstack", home());
    const char *const folders[] = {".", of_user, of_home, "/etc/xdg/openstack", "/etc/openstack"};
    static const char *const endings[] = {"yaml", "yml", "json"};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        for (size_t j = 0; j < COUNT_OF(endings); j++) {
            char *path = xasprintf("%s/%s.%s", folders[i], stem, endings[j]);
            if (access(path, F_OK) == 0)
                return path;
            free(path);
        }
    return NULL;
}

// Names with '-' are the same as with '_'.
static json_t *normalize(const json_t *value)
{
    if (!json_is_object(value))
        return json_deep_copy(value);
    json_t *result = json_object(), *member;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)value, name, member) {
        auto_free char *key = xstrdup(name);
        for (char *p = key; *p; p++)
            if (*p == '-')
                *p = '_';
        json_object_set_new(result, key, normalize(member));
    }
    return result;
}

// The current folder may be another user's: a file there counts only if nobody else could have written it.
static int check_owner(int fd, const char *path, struct error *err)
{
    struct stat st;
    if (strncmp(path, "./", 2) != 0 || fstat(fd, &st) < 0)
        return 0;
    if ((st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & S_IWOTH))
        return 0;
    return error_set(
        err, ERR_USAGE, 0,
        "%s of the current folder is another user's, or writable by others (owner %u, mode %04o), so "
        "it is not trusted: run migrun elsewhere, or name the file's whole path in "
        "OS_CLIENT_CONFIG_FILE",
        path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
}

// The clouds of a file: member of the file's table. No file: an empty object.
static int read_clouds(const char *path, const char *member, json_t **clouds, struct error *err)
{
    auto_free char *text = NULL;
    auto_json json_t *table = NULL;
    size_t len;
    if (!path) {
        *clouds = json_object();
        return 0;
    }
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && check_owner(fd, path, err) < 0)
        return -1;
    if (fd < 0 || read_whole_fd(fd, FILE_MAX, &text, &len) < 0)
        return error_set(err, ERR_USAGE, 0, "%s cannot be read: %s", path, strerror(errno));
    if (yaml_parse(text, len, &table, err) < 0)
        return error_prefix(err, "%s", path);
    json_t *found = json_object_get(table, member), *value;
    if (found && !json_is_object(found) && !json_is_null(found))
        return error_set(err, ERR_USAGE, 0, "%s: %s is not a table of clouds", path, member);
    *clouds = json_object();
    const char *name;
    json_object_foreach(found, name, value)
        json_object_set_new(*clouds, name, json_is_object(value) ? normalize(value) : json_object());
    return 0;
}

// As dict.update, but auth is updated as a table of its own.
static void put_over(json_t *base, const json_t *own)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)own, name, value) {
        json_t *there = json_object_get(base, name);
        if (STREQ(name, "auth") && json_is_object(there) && json_is_object(value))
            json_object_update(there, value);
        else
            json_object_set_new(base, name, json_deep_copy(value));
    }
}

// ---- OS_* ----

static bool is_selector(const char *name, size_t len)
{
    static const char *const selectors[] = {"OS_CLOUD", "OS_REGION_NAME", "OS_CLIENT_CONFIG_FILE",
                                            "OS_CLIENT_SECURE_FILE", "OS_CLOUD_NAME"};
    for (size_t i = 0; i < COUNT_OF(selectors); i++)
        if (strlen(selectors[i]) == len && memcmp(selectors[i], name, len) == 0)
            return true;
    return false;
}

// The name of the cloud that OS_* describe.
static const char *of_environment(void)
{
    const char *name = getenv("OS_CLOUD_NAME");
    return name && *name ? name : "envvars";
}

// The values of OS_*, or NULL if they only select a cloud.
static json_t *from_environment(void)
{
    json_t *values = json_object();
    bool any = false;
    for (char **entry = environ; *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "OS_", 3) != 0 || !equals || strncmp(*entry, "OS_TEST", 7) == 0 ||
            strncmp(*entry, "OS_STD", 6) == 0 || strncmp(*entry, "OS_LOG", 6) == 0)
            continue;
        any = any || !is_selector(*entry, (size_t)(equals - *entry));
        auto_free char *key = xstrndup(*entry + 3, (size_t)(equals - *entry - 3));
        for (char *p = key; *p; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p + 32);
        json_object_set_new(values, key, json_text(equals + 1));
    }
    if (any)
        return values;
    json_decref(values);
    return NULL;
}

// ---- the old ways of saying it ----

// What is the part of auth, wherever it was said: the last of names wins, as in openstacksdk.
static void gather(json_t *values, json_t *auth, const char *key, const char *const *names)
{
    auto_json json_t *found = NULL;
    for (; *names; names++)
        for (int i = 0; i < 2; i++) {
            json_t *from = i ? auth : values, *value = json_object_get(from, *names);
            if (!value)
                continue;
            json_decref(found);
            found = json_incref(value);
            json_object_del(from, *names);
        }
    if (json_string_length(found))
        json_object_set(auth, key, found);
}

static void put_into_auth(json_t *values)
{
    json_t *auth = json_object_get(values, "auth");
    if (!json_is_object(auth)) {
        json_object_set_new(values, "auth", json_object());
        auth = json_object_get(values, "auth");
    }
    static const char *const names[][3] = {
        {"auth_url"},
        {"username"},
        {"user_id"},
        {"password"},
        {"application_credential_id"},
        {"application_credential_name"},
        {"application_credential_secret"},
        {"system_scope"},
        {"trust_id"},
        {"passcode"},
        {"default_domain_id"},
        {"default_domain_name"},
        {"domain_id"},
        {"domain_name"},
        {"user_domain_id"},
        {"user_domain_name"},
        {"project_domain_id"},
        {"project_domain_name"},
        {"auth_token", "token"},
        {"tenant_id", "project_id"},
        {"tenant_name", "project_name"},
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        gather(values, auth, names[i][names[i][1] ? 1 : 0], names[i]);
    // "user" is an old name of it; a domain said once is meant for both, where there is a project.
    static const char *const old_user[] = {"user", NULL};
    if (!json_object_get(auth, "username"))
        gather(values, auth, "username", old_user);
    if (!json_object_get(auth, "project_id") && !json_object_get(auth, "project_name"))
        return;
    static const char *const spread[][2] = {{"domain_id", "user_domain_id"},
                                            {"domain_id", "project_domain_id"},
                                            {"domain_name", "user_domain_name"},
                                            {"domain_name", "project_domain_name"}};
    for (size_t i = 0; i < COUNT_OF(spread); i++) {
        json_t *domain = json_object_get(auth, spread[i][0]);
        if (domain && !json_object_get(auth, spread[i][1]))
            json_object_set(auth, spread[i][1], domain);
    }
    json_object_del(auth, "domain_id");
    json_object_del(auth, "domain_name");
}

// endpoint_type is the old name of interface, "publicURL" of "public".
static void rename_interfaces(json_t *values)
{
    auto_json json_t *copy = json_copy(values);
    const char *name;
    json_t *value;
    json_object_foreach(copy, name, value) {
        const char *old = strstr(name, "endpoint_type");
        if (!old || old[strlen("endpoint_type")])
            continue;
        auto_free char *key = xasprintf("%.*sinterface", (int)(old - name), name);
        json_object_del(values, name);
        json_object_set(values, key, value);
    }
}

// A path that begins with "~/" is one of the home folder.
static void expand_home(json_t *values, const char *key)
{
    const char *path = json_str(values, key, "");
    if (path[0] == '~' && path[1] == '/') {
        auto_free char *whole = xasprintf("%s%s", home(), path + 1);
        json_object_set_new(values, key, json_text(whole));
    }
}

// ---- regions ----

static const char *region_name_of(const json_t *region)
{
    return json_is_string(region) ? json_string_value(region) : json_str(region, "name", "");
}

// The region that is asked for, of those that the cloud lists (else the first), with its own values.
static int choose_region(struct cloud_config *c, struct error *err)
{
    const char *wanted = getenv("OS_REGION_NAME");
    json_t *values = c->values;
    auto_json json_t *regions = json_incref(json_object_get(values, "regions"));
    json_object_del(values, "regions");
    if (wanted && !*wanted)
        wanted = NULL;
    if (!json_array_size(regions)) {
        if (wanted)
            json_object_set_new(values, "region_name", json_text(wanted));
        return 0;
    }
    auto_buf struct buf names = {0};
    const json_t *chosen = NULL;
    size_t i;
    json_t *region;
    json_array_foreach(regions, i, region) {
        buf_printf(&names, "%s%s", i ? ", " : "", region_name_of(region));
        if (!chosen && (!wanted || STREQ(region_name_of(region), wanted)))
            chosen = region;
    }
    if (!chosen)
        return error_set(err, ERR_USAGE, 0,
                         "cloud '%s' (%s) has no region '%s' (OS_REGION_NAME); it lists %s", c->name,
                         c->where, wanted, names.data);
    auto_json json_t *own = json_is_object(json_object_get(chosen, "values"))
                                ? normalize(json_object_get(chosen, "values"))
                                : NULL;
    put_over(values, own);
    json_object_set_new(values, "region_name", json_text(region_name_of(chosen)));
    return 0;
}

// ---- the whole ----

// A profile's values lie below the cloud's own.
static int add_profile(struct cloud_config *c, const json_t *own, struct error *err)
{
    const char *profile = json_str(own, "profile", json_str(own, "cloud", NULL));
    auto_free char *path = find_file("clouds-public", "OS_CLIENT_VENDOR_FILE");
    auto_json json_t *all = NULL;
    if (!profile || STREQ(profile, of_environment())) // OS_CLOUD, which names the environment itself
        return 0;
    if (read_clouds(path, "public-clouds", &all, err) < 0)
        return -1;
    const json_t *found = json_object_get(all, profile);
    if (!found)
        return error_set(err, ERR_USAGE, 0,
                         "cloud '%s' (%s) names the profile '%s', which no clouds-public.yaml has", c->name,
                         c->where, profile);
    put_over(c->values, found);
    return 0;
}

static int unknown_cloud(const char *name, const json_t *clouds, const char *path, struct error *err)
{
    auto_buf struct buf names = {0};
    const char *known;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)clouds, known, value)
        buf_printf(&names, "%s%s", names.len ? ", " : "", known);
    if (!path)
        return error_set(err, ERR_USAGE, 0,
                         "cloud '%s' (OS_CLOUD) is not known, as there is no clouds.yaml here, in "
                         "~/.config/openstack or in /etc/openstack",
                         name);
    return error_set(err, ERR_USAGE, 0, "cloud '%s' (OS_CLOUD) is not in %s; it has %s", name, path,
                     names.len ? names.data : "no cloud");
}

// Which of them is meant, by openstacksdk's rule: OS_CLOUD, else OS_* themselves, else the only one of the
// file.
static int choose_cloud(struct cloud_config *c, const json_t *clouds, const char *path,
                        const json_t *environment, const json_t **own, struct error *err)
{
    const char *named = getenv("OS_CLOUD");
    if (named && !*named)
        named = NULL;
    if (environment && (!named || STREQ(named, of_environment()))) {
        c->name = xstrdup(of_environment());
        c->where = xstrdup("OS_* in the environment");
        *own = environment;
        return 0;
    }
    if (!named && json_object_size(clouds) == 1)
        named = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)clouds));
    if (!named && json_object_size(clouds) > 1)
        return error_set(err, ERR_USAGE, 0, "which cloud? %s has %zu: name one in OS_CLOUD", path,
                         json_object_size(clouds));
    if (!named)
        return error_set(err, ERR_USAGE, 0,
                         "there are no OpenStack credentials: neither OS_CLOUD and a clouds.yaml (here, in "
                         "~/.config/openstack or in /etc/openstack), "
                         "nor the OS_* variables");
    *own = json_object_get(clouds, named);
    if (!*own)
        return unknown_cloud(named, clouds, path, err);
    c->name = xstrdup(named);
    c->where = xstrdup(path);
    return 0;
}

static int read_all(char **path, json_t **clouds, struct error *err)
{
    auto_free char *secure_path = find_file("secure", "OS_CLIENT_SECURE_FILE");
    auto_json json_t *secure = NULL;
    *path = find_file("clouds", "OS_CLIENT_CONFIG_FILE");
    if (read_clouds(*path, "clouds", clouds, err) < 0 || read_clouds(secure_path, "clouds", &secure, err) < 0)
        return -1;
    const char *name;
    json_t *value;
    json_object_foreach(secure, name, value) {
        json_t *there = json_object_get(*clouds, name);
        if (there)
            put_over(there, value);
        else
            json_object_set(*clouds, name, value);
    }
    if (!*path) // secure.yaml may have a cloud whole
        *path = steal(&secure_path);
    return 0;
}

int cloud_config_load(struct cloud_config *c, struct error *err)
{
    *c = (struct cloud_config){
        .values = json_pack("{s:s, s:s, s:{}}", "auth_type", "password", "interface", "public", "auth")};
    auto_free char *path = NULL;
    auto_json json_t *clouds = NULL, *environment = from_environment();
    const json_t *own;
    int rc = read_all(&path, &clouds, err) < 0 || choose_cloud(c, clouds, path, environment, &own, err) < 0 ||
                     add_profile(c, own, err) < 0
                 ? -1
                 : 0;
    if (rc == 0) {
        put_over(c->values, own);
        rc = choose_region(c, err);
    }
    if (rc < 0) {
        cloud_config_free(c);
        return -1;
    }
    put_into_auth(c->values);
    rename_interfaces(c->values);
    expand_home(c->values, "cacert");
    expand_home(c->values, "cert");
    expand_home(c->values, "key");
    return 0;
}

void cloud_config_free(struct cloud_config *c)
{
    free(c->name);
    free(c->where);
    json_decref(c->values);
    *c = (struct cloud_config){0};
}

static const char *text_of(const json_t *table, const char *key)
{
    const char *text = json_str(table, key, NULL);
    return text && *text ? text : NULL;
}

const char *cloud_config_auth(const struct cloud_config *c, const char *key)
{
    return text_of(json_object_get(c->values, "auth"), key);
}

const char *cloud_config_value(const struct cloud_config *c, const char *key)
{
    return text_of(c->values, key);
}

bool cloud_config_flag(const struct cloud_config *c, const char *key, bool fallback)
{
    const json_t *value = json_object_get(c->values, key);
    if (json_is_boolean(value))
        return json_is_true(value);
    return json_is_string(value)
               ? strcasecmp(json_string_value(value), "true") == 0 || STREQ(json_string_value(value), "1")
               : fallback;
}
