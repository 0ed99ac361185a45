// SPDX-License-Identifier: MIT
// Which cloud is meant, and which of several files and variables counts: as openstacksdk has it.
#include "world/openstack/config.h"
#include "world/openstack/session.h"

#include "fake_cloud.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct cloud_config config;

static int teardown(void **state)
{
    (void)state;
    cloud_config_free(&config);
    return leave_folder();
}

static void loads(void)
{
    struct error err = {0};
    cloud_config_free(&config);
    if (cloud_config_load(&config, &err) < 0)
        fail_msg("%s", err.message);
}

static void does_not_load(const char *says)
{
    struct error err = {0};
    cloud_config_free(&config);
    assert_int_equal(cloud_config_load(&config, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    if (!strstr(err.message, says))
        fail_msg("does not say '%s': %s", says, err.message);
}

static void auth_is(const char *key, const char *value)
{
    const char *has = cloud_config_auth(&config, key);
    assert_string_equal(has ? has : "nothing", value ? value : "nothing");
}

static void value_is(const char *key, const char *value)
{
    const char *has = cloud_config_value(&config, key);
    assert_string_equal(has ? has : "nothing", value ? value : "nothing");
}

// ---- files ----

static void what_is_secure_lies_above(void **state)
{
    (void)state;
    put("clouds.yaml", "clouds: {c: {auth: {auth_url: u, username: from-clouds, password: old}, region_name: "
                       "One, cacert: /c}}");
    put(".config/openstack/secure.yaml",
        "clouds: {c: {auth: {password: new}, region_name: Two}, d: {auth: {auth_url: v}}}");
    setenv("OS_CLOUD", "c", 1);
    loads();
    auth_is("password", "new");
    auth_is("username", "from-clouds");
    auth_is("auth_url", "u");
    value_is("region_name", "Two");
    value_is("cacert", "/c");
    setenv("OS_CLOUD", "d", 1);
    loads();
    auth_is("auth_url", "v");
}

static void what_is_secure_may_be_all(void **state)
{
    (void)state;
    put("secure.yaml", "clouds: {c: {auth: {auth_url: u, password: p}}}");
    loads();
    assert_string_equal(config.name, "c");
    assert_string_equal(config.where, "./secure.yaml");
    auth_is("password", "p");
    setenv("OS_CLOUD", "d", 1);
    does_not_load("cloud 'd' (OS_CLOUD) is not in ./secure.yaml; it has c");
}

static void a_profile_lies_below_the_cloud_and_that_below_its_region(void **state)
{
    (void)state;
    put("clouds-public.yaml",
        "public-clouds: {v: {auth: {auth_url: of-profile, username: of-profile, user_domain_name: "
        "of-profile}, interface: of-profile,\n"
        "  cacert: of-profile, verify: false, regions: [{name: R, values: {interface: of-region}}]}}");
    put("clouds.yaml",
        "clouds: {c: {profile: v, auth: {auth_url: of-cloud, username: of-cloud}, interface: of-cloud}}");
    put("secure.yaml", "clouds: {c: {auth: {username: of-secure}}}");
    loads();
    auth_is("user_domain_name", "of-profile");
    auth_is("auth_url", "of-cloud");
    auth_is("username", "of-secure");
    value_is("interface", "of-region");
    value_is("region_name", "R");
    value_is("cacert", "of-profile");
    assert_false(cloud_config_flag(&config, "verify", true));
    put("clouds-public.yaml", "public-clouds: {w: {}}");
    does_not_load("cloud 'c' (./clouds.yaml) names the profile 'v', which no clouds-public.yaml has");
    auto_free char *elsewhere = xasprintf("%s/vendor.yaml", folder);
    put("vendor.yaml", "public-clouds: {v: {cacert: of-vendor}}");
    setenv("OS_CLIENT_VENDOR_FILE", elsewhere, 1);
    setenv("OS_CLOUD", "c", 1);
    loads();
    value_is("cacert", "of-vendor");
}

// Each comes before those that were there already.
static void the_first_file_counts(void **state)
{
    (void)state;
    static const char *const places[] = {
        ".config/openstack/clouds.json",
        ".config/openstack/clouds.yml",
        ".config/openstack/clouds.yaml",
        "xdg/openstack/clouds.json",
        "xdg/openstack/clouds.yaml",
        "clouds.json",
        "clouds.yml",
        "clouds.yaml",
        "named.yaml",
    };
    auto_free char *xdg = xasprintf("%s/xdg", folder), *named = xasprintf("%s/named.yaml", folder);
    setenv("XDG_CONFIG_HOME", xdg, 1);
    setenv("OS_CLIENT_CONFIG_FILE", named, 1); // as long as it is not there, it does not count
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        auto_free char *text = xasprintf("{\"clouds\": {\"c\": {\"auth\": {\"auth_url\": \"%s\"}}}}",
                                         places[i]);
        put(places[i], text);
        loads();
        auth_is("auth_url", places[i]);
    }
    assert_string_equal(config.where, named);
}

static void the_first_secure_file_counts(void **state)
{
    (void)state;
    static const char *const places[] = {".config/openstack/secure.yaml", "secure.yml", "secure.yaml",
                                         "named.yaml"};
    auto_free char *named = xasprintf("%s/named.yaml", folder);
    setenv("OS_CLIENT_SECURE_FILE", named, 1);
    put("clouds.yaml", "clouds: {c: {auth: {auth_url: u, password: open}}}");
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        auto_free char *text = xasprintf("clouds: {c: {auth: {password: %s}}}", places[i]);
        put(places[i], text);
        loads();
        auth_is("password", places[i]);
    }
}

static void a_file_that_is_no_table_of_clouds(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"clouds: [a, b]", "./clouds.yaml: clouds is not a table of clouds"},
        {"clouds: hunter2", "./clouds.yaml: clouds is not a table of clouds"},
        {"- hunter2", "there are no OpenStack credentials"},
        {"", "there are no OpenStack credentials"},
        {"clouds: {c: {auth: hunter2", "./clouds.yaml: line "},
        {"clouds: {c: \x01hunter2}", "./clouds.yaml: line "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err = {0};
        put("clouds.yaml", rows[i][0]);
        does_not_load(rows[i][1]);
        cloud_config_load(&config, &err);
        assert_null(strstr(err.message, "hunter2"));
    }
}

// ---- the environment ----

static const char one_cloud[] =
    "clouds: {c: {auth: {auth_url: u, username: of-file, password: of-file}, cacert: of-file}}";

static void the_environment_counts_where_no_cloud_is_named(void **state)
{
    (void)state;
    put("clouds.yaml", one_cloud);
    setenv("OS_AUTH_URL", "e", 1);
    setenv("OS_PASSWORD", "of-environment", 1);
    loads();
    assert_string_equal(config.name, "envvars");
    auth_is("auth_url", "e");
    auth_is("password", "of-environment");
    auth_is("username", NULL);
    value_is("cacert", NULL);
}

static void a_cloud_that_is_named_takes_nothing_of_the_environment(void **state)
{
    (void)state;
    put("clouds.yaml", one_cloud);
    setenv("OS_CLOUD", "c", 1);
    setenv("OS_AUTH_URL", "e", 1);
    setenv("OS_PASSWORD", "of-environment", 1);
    setenv("OS_CACERT", "of-environment", 1);
    setenv("OS_PROJECT_NAME", "of-environment", 1);
    loads();
    assert_string_equal(config.name, "c");
    auth_is("auth_url", "u");
    auth_is("password", "of-file");
    auth_is("project_name", NULL);
    value_is("cacert", "of-file");
}

static void the_environment_may_be_named(void **state)
{
    (void)state;
    put("clouds.yaml", one_cloud);
    setenv("OS_AUTH_URL", "e", 1);
    setenv("OS_CLOUD", "envvars", 1);
    loads();
    auth_is("auth_url", "e");
    setenv("OS_CLOUD_NAME", "mine", 1);
    does_not_load("cloud 'envvars' (OS_CLOUD) is not in ./clouds.yaml; it has c");
    setenv("OS_CLOUD", "mine", 1);
    loads();
    assert_string_equal(config.name, "mine");
    auth_is("auth_url", "e");
}

// These say which, and not what: the cloud is still the file's.
static void what_only_selects_is_no_cloud(void **state)
{
    (void)state;
    static const char *const variables[] = {"OS_REGION_NAME", "OS_CLOUD_NAME", "OS_TEST_TIMEOUT",
                                            "OS_STDOUT_CAPTURE", "OS_LOG_CAPTURE"};
    put("clouds.yaml", one_cloud);
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        setenv(variables[i], "x", 1);
    loads();
    assert_string_equal(config.name, "c");
    value_is("region_name", "x");
    auth_is("username", "of-file");
}

static void every_variable_has_its_place(void **state)
{
    (void)state;
    static const char *const in_auth[][2] = {
        {"OS_AUTH_URL", "auth_url"},
        {"OS_USERNAME", "username"},
        {"OS_USER_ID", "user_id"},
        {"OS_PASSWORD", "password"},
        {"OS_PROJECT_ID", "project_id"},
        {"OS_PROJECT_NAME", "project_name"},
        {"OS_USER_DOMAIN_ID", "user_domain_id"},
        {"OS_USER_DOMAIN_NAME", "user_domain_name"},
        {"OS_PROJECT_DOMAIN_ID", "project_domain_id"},
        {"OS_PROJECT_DOMAIN_NAME", "project_domain_name"},
        {"OS_SYSTEM_SCOPE", "system_scope"},
        {"OS_TRUST_ID", "trust_id"},
        {"OS_DEFAULT_DOMAIN_ID", "default_domain_id"},
        {"OS_DEFAULT_DOMAIN_NAME", "default_domain_name"},
        {"OS_APPLICATION_CREDENTIAL_ID", "application_credential_id"},
        {"OS_APPLICATION_CREDENTIAL_NAME", "application_credential_name"},
        {"OS_APPLICATION_CREDENTIAL_SECRET", "application_credential_secret"},
        {"OS_TOKEN", "token"},
    };
    static const char *const beside[][2] = {
        {"OS_REGION_NAME", "region_name"},
        {"OS_INTERFACE", "interface"},
        {"OS_CACERT", "cacert"},
        {"OS_CERT", "cert"},
        {"OS_KEY", "key"},
        {"OS_AUTH_TYPE", "auth_type"},
        {"OS_COMPUTE_ENDPOINT_OVERRIDE", "compute_endpoint_override"},
        {"OS_NETWORK_INTERFACE", "network_interface"},
    };
    for (size_t i = 0; i < COUNT_OF(in_auth); i++)
        setenv(in_auth[i][0], in_auth[i][1], 1);
    for (size_t i = 0; i < COUNT_OF(beside); i++)
        setenv(beside[i][0], beside[i][1], 1);
    setenv("OS_INSECURE", "True", 1);
    loads();
    for (size_t i = 0; i < COUNT_OF(in_auth); i++)
        auth_is(in_auth[i][1], in_auth[i][1]);
    for (size_t i = 0; i < COUNT_OF(beside); i++)
        value_is(beside[i][1], beside[i][1]);
    assert_true(cloud_config_flag(&config, "insecure", false));
}

static void old_names_give_way_to_new_ones(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"OS_TENANT_NAME", "OS_PROJECT_NAME", "project_name"},
        {"OS_TENANT_ID", "OS_PROJECT_ID", "project_id"},
        {"OS_AUTH_TOKEN", "OS_TOKEN", "token"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        setenv(rows[i][0], "old", 1);
        loads();
        auth_is(rows[i][2], "old");
        setenv(rows[i][1], "new", 1);
        loads();
        auth_is(rows[i][2], "new");
    }
}

static void a_variable_that_is_empty_says_nothing(void **state)
{
    (void)state;
    put("clouds.yaml", one_cloud);
    setenv("OS_CLOUD", "", 1);
    setenv("OS_REGION_NAME", "", 1);
    loads();
    assert_string_equal(config.name, "c");
    value_is("region_name", NULL);
}

static void a_domain_that_is_said_once(void **state)
{
    (void)state;
    put("clouds.yaml", "clouds: {p: {auth: {auth_url: u, project_name: p, domain_name: D, user_domain_name: "
                       "U}}, d: {auth: {auth_url: u, domain_name: D}}}");
    setenv("OS_CLOUD", "p", 1);
    loads();
    auth_is("user_domain_name", "U");
    auth_is("project_domain_name", "D");
    auth_is("domain_name", NULL); // else the scope would be the domain
    setenv("OS_CLOUD", "d", 1);
    loads();
    auth_is("domain_name", "D");
    auth_is("user_domain_name", NULL);
}

static void paths_of_the_home_folder(void **state)
{
    (void)state;
    static const char *const keys[] = {"cacert", "cert", "key"};
    put("clouds.yaml",
        "clouds: {c: {auth: {auth_url: u}, cacert: '~/cacert', cert: '~/cert', key: '~/key'}}");
    loads();
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        auto_free char *whole = xasprintf("%s/%s", folder, keys[i]);
        value_is(keys[i], whole);
    }
}

// A file in a folder like /tmp is read only if it is ours, and ours alone to write.
static void a_file_of_somebody_elses_is_refused(void **state)
{
    (void)state;
    const char *refused = "./clouds.yaml of the current folder is another user's, or writable by others";
    put("clouds.yaml", one_cloud);
    assert_int_equal(chmod("clouds.yaml", 0666), 0);
    does_not_load(refused);
    assert_int_equal(chmod("clouds.yaml", 0644), 0);
    loads();
    if (geteuid() != 0)
        return;
    assert_int_equal(chown("clouds.yaml", 12345, 12345), 0);
    does_not_load(refused);
    auto_free char *here = realpath("clouds.yaml", NULL);
    setenv("OS_CLIENT_CONFIG_FILE", here, 1);
    loads();
}

static void without_an_address_nothing_is_opened(void **state)
{
    (void)state;
    struct cloud *cloud;
    struct error err = {0};
    put("clouds.yaml", "clouds: {c: {auth: {username: u}}}");
    assert_int_equal(cloud_open(&cloud, &err), -1);
    assert_int_equal(err.domain, ERR_USAGE);
    assert_string_equal(err.message, "cloud 'c' (./clouds.yaml) has no auth_url");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, enter_folder, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_secure_lies_above),
        TEST(what_is_secure_may_be_all),
        TEST(a_profile_lies_below_the_cloud_and_that_below_its_region),
        TEST(the_first_file_counts),
        TEST(the_first_secure_file_counts),
        TEST(a_file_that_is_no_table_of_clouds),
        TEST(the_environment_counts_where_no_cloud_is_named),
        TEST(a_cloud_that_is_named_takes_nothing_of_the_environment),
        TEST(the_environment_may_be_named),
        TEST(what_only_selects_is_no_cloud),
        TEST(every_variable_has_its_place),
        TEST(old_names_give_way_to_new_ones),
        TEST(a_variable_that_is_empty_says_nothing),
        TEST(a_domain_that_is_said_once),
        TEST(paths_of_the_home_folder),
        TEST(a_file_of_somebody_elses_is_refused),
        TEST(without_an_address_nothing_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
