// SPDX-License-Identifier: MIT
// Each part of a way, with each fault that it may have.
#include "base/memory.h"
#include "base/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

enum { OTHER = 4711 };

static char *folder;

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    folder = xstrdup(name);
    static const char *const names[] = {"a", "a/b", "a/b/c"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        auto_free char *path = at(names[i]);
        if (mkdir(path, 0755) < 0)
            return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(folder);
    free(folder);
    return 0;
}

static void passes(const char *name)
{
    struct error err = {0};
    auto_free char *path = at(name);
    if (check_way(path, &err) < 0)
        fail_msg("%s", err.message);
}

static void is_refused(const char *name, const char *why)
{
    struct error err = {0};
    auto_free char *path = at(name);
    if (check_way(path, &err) == 0)
        fail_msg("%s is trusted", path);
    assert_int_equal(err.domain, ERR_REFUSED);
    if (!strstr(err.message, why))
        fail_msg("%s", err.message);
}

static void every_part(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "a/b", "a/b/c"};
    static const struct {
        mode_t mode;
        gid_t group;
        const char *why; // NULL: trusted
    } modes[] = {{0700, 0, NULL},       {0755, OTHER, NULL},       {0775, 0, NULL},
                 {01777, 0, NULL},      {0777, 0, "writable"},     {0722, 0, "writable"},
                 {0702, 0, "writable"}, {0775, OTHER, "writable"}, {01775, OTHER, NULL},
                 {0000, 0, NULL}};
    if (geteuid() != 0)
        skip();
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        auto_free char *part = at(parts[i]);
        for (size_t k = 0; k < COUNT_OF(modes); k++) {
            assert_int_equal(chown(part, 0, modes[k].group) | chmod(part, modes[k].mode), 0);
            if (modes[k].why)
                is_refused("a/b/c/not-there/yet", modes[k].why);
            else
                passes("a/b/c/not-there/yet");
        }
        assert_int_equal(chmod(part, 0755) | chown(part, OTHER, 0), 0);
        is_refused("a/b/c", "belongs to another user");
        assert_int_equal(chown(part, 0, 0), 0);
        passes("a/b/c");
    }
}

static void links(void **state)
{
    (void)state;
    auto_free char *way = at("way"), *c = at("a/b/c"), *b = at("a/b"), *inner = at("a/b/c/inner");
    if (geteuid() != 0)
        skip();
    assert_int_equal(symlink(c, way), 0);
    passes("way"); // root's own
    passes("way/not-there");
    assert_int_equal(lchown(way, OTHER, OTHER), 0);
    is_refused("way", "belongs to another user");
    is_refused("way/not-there", "belongs to another user");
    assert_int_equal(lchown(way, 0, 0) | chmod(b, 0777), 0);
    is_refused("way", "writable"); // where it leads
    is_refused("way/not-there", "writable");
    assert_int_equal(chmod(b, 0755) | symlink("..", inner) | chown(b, OTHER, 0), 0);
    is_refused("a/b/c/inner", "belongs to another user");
    is_refused("way/inner", "belongs to another user");
}

// A plain user's own folders, and those of the group that is theirs alone.
static void of_a_plain_user(void **state)
{
    (void)state;
    auto_free char *a = at("a"), *b = at("a/b");
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chown(a, OTHER, OTHER) | chmod(a, 0775) | chown(b, OTHER, OTHER), 0);
    assert_int_equal(setegid(OTHER) | seteuid(OTHER), 0);
    passes("a/b/c");
    assert_int_equal(seteuid(0) | setegid(0), 0);
    is_refused("a/b/c", "belongs to another user");
    assert_int_equal(chown(b, OTHER + 1, OTHER), 0);
    assert_int_equal(setegid(OTHER) | seteuid(OTHER), 0);
    is_refused("a/b/c", "belongs to another user");
    assert_int_equal(seteuid(0) | setegid(0), 0);
}

static void odd_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "//", "", ".", "/tmp", "not-there", "/tmp//./"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct error err = {0};
        assert_int_equal(check_way(paths[i], &err), 0);
    }
    passes("a//b/./c/");
    passes("a/b/../b/c");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(every_part), TEST(links), TEST(of_a_plain_user), TEST(odd_paths)};
    return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
