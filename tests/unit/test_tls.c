// SPDX-License-Identifier: MIT
// Whom a session trusts: a real TLS server on loopback, with certificates of each kind.
#include "base/io.h"
#include "cloud_session.h"
#include "fake_tls.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <signal.h>

static const char loopback[] = "IP:127.0.0.1,DNS:localhost";
static struct fake_certificate ca, own, mine; // mine: the client's
static SSL_CTX *context;

static int teardown(void **state)
{
    int rc = leave_cloud(state);
    SSL_CTX_free(context);
    context = NULL;
    fake_certificate_free(&ca);
    fake_certificate_free(&own);
    fake_certificate_free(&mine);
    return rc;
}

// Serves with the certificate that is made already. more: what clouds.yaml says of TLS.
static void serve(const struct fake_certificate *clients)
{
    context = fake_tls_start(&fake,
                             json_of("[{'path': '/v3/auth/tokens', 'status': 201, 'headers': "
                                     "{'X-Subject-Token': 'TOKEN'}, 'body': {'token': {'catalog': []}}}]"),
                             &own, clients);
}

static int log_in(const char *more, struct error *err)
{
    auto_free char *yaml = xasprintf(
        "clouds: {c: {auth: {auth_url: '%s', username: u, password: hunter2, project_name: p}%s}}", fake.url,
        more);
    put("clouds.yaml", yaml);
    cloud_close(cloud);
    *err = (struct error){0};
    return cloud_open(&cloud, err) < 0 ? -1 : cloud_log_in(cloud, err);
}

static void is_let_in(const char *more)
{
    struct error err;
    size_t before = json_array_size(fake.asked);
    if (log_in(more, &err) < 0)
        fail_msg("%s: %s", more, err.message);
    assert_int_equal(json_array_size(fake.asked), before + 1);
}

// And whoever answered there was told nothing.
static void stays_out(const char *more, const char *says)
{
    struct error err;
    assert_int_equal(log_in(more, &err), -1);
    assert_int_equal(err.domain, ERR_OPENSTACK);
    assert_int_equal(err.code, 0);
    if (!strstr(err.message, says))
        fail_msg("does not say '%s': %s", says, err.message);
    assert_null(strstr(err.message, "hunter2"));
    assert_int_equal(json_array_size(fake.asked), 0);
}

static void says_nothing_of(const char *more, const char *word)
{
    struct error err;
    assert_int_equal(log_in(more, &err), -1);
    if (strstr(err.message, word))
        fail_msg("says '%s': %s", word, err.message);
}

static void who_vouches_for_itself_is_nobody(void **state)
{
    (void)state;
    fake_certificate_make(&own, loopback, NULL, 4);
    serve(NULL);
    stays_out("", "cannot be trusted: SSL certificate problem: self-signed certificate (name the CA's "
                  "file as cacert in clouds.yaml, or in OS_CACERT)");
    assert_null(cloud_warning(cloud));
}

static void but_not_where_it_is_named(void **state)
{
    (void)state;
    fake_certificate_make(&own, loopback, NULL, 4);
    fake_certificate_write(&own, "own.pem", NULL);
    serve(NULL);
    is_let_in(", cacert: own.pem");
    is_let_in(", cacert: '~/own.pem'");
    assert_null(cloud_warning(cloud));
}

static void a_ca_vouches(void **state)
{
    (void)state;
    struct fake_certificate other;
    fake_certificate_make(&ca, NULL, NULL, 4);
    fake_certificate_make(&other, NULL, NULL, 4);
    fake_certificate_make(&own, loopback, &ca, 4);
    fake_certificate_write(&ca, "ca.pem", NULL);
    fake_certificate_write(&other, "other.pem", NULL);
    fake_certificate_free(&other);
    serve(NULL);
    stays_out("", "(name the CA's file as cacert in clouds.yaml, or in OS_CACERT)");
    stays_out(", cacert: other.pem", "cannot be trusted: ");
    is_let_in(", cacert: ca.pem");
}

static void the_environment_names_the_ca(void **state)
{
    (void)state;
    struct error err = {0};
    fake_certificate_make(&own, loopback, NULL, 4);
    fake_certificate_write(&own, "own.pem", NULL);
    serve(NULL);
    setenv("OS_AUTH_URL", fake.url, 1);
    setenv("OS_USERNAME", "u", 1);
    setenv("OS_PASSWORD", "hunter2", 1);
    assert_int_equal(cloud_open(&cloud, &err), 0);
    assert_int_equal(cloud_log_in(cloud, &err), -1);
    cloud_close(cloud);
    setenv("OS_CACERT", "own.pem", 1);
    assert_int_equal(cloud_open(&cloud, &err), 0);
    if (cloud_log_in(cloud, &err) < 0)
        fail_msg("%s", err.message);
    assert_null(cloud_warning(cloud));
}

static void a_certificate_of_another_host(void **state)
{
    (void)state;
    fake_certificate_make(&own, "IP:127.0.0.2,DNS:other.example", NULL, 4);
    fake_certificate_write(&own, "own.pem", NULL);
    serve(NULL);
    stays_out(", cacert: own.pem", "cannot be trusted: SSL: no alternative certificate subject name "
                                   "matches target host name '127.0.0.1'");
    says_nothing_of(", cacert: own.pem", "cacert"); // it would not help
}

static void a_certificate_that_has_expired(void **state)
{
    (void)state;
    fake_certificate_make(&own, loopback, NULL, 1);
    fake_certificate_write(&own, "own.pem", NULL);
    serve(NULL);
    stays_out(", cacert: own.pem", "cannot be trusted: SSL certificate problem: certificate has expired");
    says_nothing_of(", cacert: own.pem", "(name the CA's file");
}

static void anybody_is_trusted_where_that_is_said(void **state)
{
    (void)state;
    static const char *const ways[] = {", verify: false", ", verify: 'False'", ", insecure: true",
                                       ", verify: true, insecure: 'true'",
                                       ", verify: false, cacert: own.pem"};
    fake_certificate_make(&own, "DNS:other.example", NULL, 1);
    fake_certificate_write(&own, "own.pem", NULL);
    serve(NULL);
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        is_let_in(ways[i]);
        assert_non_null(cloud_warning(cloud));
        assert_string_equal(cloud_warning(cloud),
                            "the certificates of cloud 'c' are not verified (verify: false in "
                            "./clouds.yaml): anyone in between can impersonate it");
    }
}

static void what_says_no_such_thing_is_verified(void **state)
{
    (void)state;
    static const char *const ways[] = {", verify: true", ", verify: yes", ", insecure: false",
                                       ", insecure: ''", ", insecure: 'no'"};
    fake_certificate_make(&own, loopback, NULL, 4);
    serve(NULL);
    for (size_t i = 0; i < COUNT_OF(ways); i++)
        stays_out(ways[i], "cannot be trusted");
}

static void a_server_that_wants_our_certificate(void **state)
{
    (void)state;
    struct fake_certificate stranger;
    fake_certificate_make(&ca, NULL, NULL, 4);
    fake_certificate_make(&own, loopback, &ca, 4);
    fake_certificate_make(&mine, "DNS:me", &ca, 4);
    fake_certificate_make(&stranger, "DNS:me", NULL, 4);
    fake_certificate_write(&ca, "ca.pem", NULL);
    fake_certificate_write(&mine, "mine.pem", "mine.key");
    fake_certificate_write(&stranger, "stranger.pem", "stranger.key");
    fake_certificate_free(&stranger);
    serve(&ca);
    stays_out(", cacert: ca.pem", "certificate required");
    assert_int_equal(fake.connections, 1); // another try would end no better
    stays_out(", cacert: ca.pem", "name cert and key in clouds.yaml, or OS_CERT and OS_KEY");
    stays_out(", cacert: ca.pem, cert: stranger.pem, key: stranger.key", "alert unknown ca");
    is_let_in(", cacert: ca.pem, cert: mine.pem, key: mine.key");
    is_let_in(", cacert: ca.pem, cert: '~/mine.pem', key: '~/mine.key'");
}

static void our_certificate_and_its_key_in_one_file(void **state)
{
    (void)state;
    auto_free char *key = NULL, *certificate = NULL;
    size_t len;
    fake_certificate_make(&ca, NULL, NULL, 4);
    fake_certificate_make(&own, loopback, &ca, 4);
    fake_certificate_make(&mine, "DNS:me", &ca, 4);
    fake_certificate_write(&ca, "ca.pem", NULL);
    fake_certificate_write(&mine, "mine.pem", "mine.key");
    assert_int_equal(read_whole_file("mine.key", 1 << 16, &key, &len), 0);
    assert_int_equal(read_whole_file("mine.pem", 1 << 16, &certificate, &len), 0);
    auto_free char *both = xasprintf("%s%s", certificate, key);
    put("both.pem", both);
    serve(&ca);
    is_let_in(", cacert: ca.pem, cert: both.pem");
}

static void files_that_are_no_certificates(void **state)
{
    (void)state;
    fake_certificate_make(&own, loopback, NULL, 4);
    fake_certificate_make(&mine, "DNS:me", NULL, 4);
    fake_certificate_write(&own, "own.pem", NULL);
    fake_certificate_write(&mine, "mine.pem", "mine.key");
    put("nonsense", "nonsense");
    serve(NULL);
    stays_out(", cacert: nowhere.pem",
              "cannot be asked: the file cacert, nowhere.pem, contains no readable certificate");
    stays_out(", cacert: nonsense",
              "cannot be asked: the file cacert, nonsense, contains no readable certificate");
    static const char *const ours[] = {
        ", cacert: own.pem, cert: nowhere.pem",
        ", cacert: own.pem, cert: nonsense, key: nonsense",
        ", cacert: own.pem, cert: mine.pem, key: nowhere.key",
        ", cacert: own.pem, cert: mine.pem, key: nonsense",
    };
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        stays_out(ours[i],
                  "cannot be asked: the client's certificate (cert and key in clouds.yaml) is not usable: ");
}

static void https_where_it_is_http(void **state)
{
    (void)state;
    fake_http_start(&fake, json_of("[{'status': 201}]"));
    auto_free char *url = xasprintf("https%s", fake.url + 4);
    snprintf(fake.url, sizeof fake.url, "%s", url);
    stays_out("", "wrong version number");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, enter_folder, teardown)
    signal(SIGPIPE, SIG_IGN); // of a server whose client went away
    const struct CMUnitTest tests[] = {
        TEST(who_vouches_for_itself_is_nobody),
        TEST(but_not_where_it_is_named),
        TEST(a_ca_vouches),
        TEST(the_environment_names_the_ca),
        TEST(a_certificate_of_another_host),
        TEST(a_certificate_that_has_expired),
        TEST(anybody_is_trusted_where_that_is_said),
        TEST(what_says_no_such_thing_is_verified),
        TEST(a_server_that_wants_our_certificate),
        TEST(our_certificate_and_its_key_in_one_file),
        TEST(files_that_are_no_certificates),
        TEST(https_where_it_is_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
