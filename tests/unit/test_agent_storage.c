// SPDX-License-Identifier: MIT
// What stands behind a path: files, links, devices.
#include "base/io.h"
#include "world/agent/ops_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

static char *folder;

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    folder = xstrdup(name);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(folder);
    free(folder);
    return 0;
}

// {PATH: what stands behind it}. Caller frees.
static json_t *behind(const char *path)
{
    struct agent agent = {.stdin_fd = -1};
    struct error err;
    auto_json json_t *request = json_pack("{s:[s]}", "paths", path), *result = NULL;
    assert_int_equal(op_find("storage")->serve(&agent, request, NULL, 0, &result, NULL, &err), 0);
    return json_incref(json_object_get(json_object_get(result, "paths"), path));
}

static void a_file_and_a_link_to_it(void **state)
{
    (void)state;
    auto_free char *file = at("disk"), *link = at("link");
    auto_fd int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write_all(fd, "12345", 5), 0);
    assert_int_equal(symlink(file, link), 0);
    auto_json json_t *one = behind(file), *other = behind(link);
    assert_string_equal(json_str(one, "type", ""), "file");
    assert_int_equal(json_int(one, "size", -1), 5);
    assert_true(json_equal(one, other));
}

static void nothing_there(void **state)
{
    (void)state;
    static const char *const paths[] = {"/no/such/file", "relative", ""};
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        assert_null(behind(paths[i]));
}

// A whole disk of this machine that is not empty, by its number: "254:0". Caller frees; NULL: there is none.
static char *some_disk(long long *sectors)
{
    DIR *all = opendir("/sys/dev/block");
    char *found = NULL;
    for (struct dirent *entry; all && !found && (entry = readdir(all));) {
        auto_free char *path = xasprintf("/sys/dev/block/%s/size", entry->d_name);
        FILE *size = fopen(path, "re");
        if (size && fscanf(size, "%lld", sectors) == 1 && *sectors > 0)
            found = xstrdup(entry->d_name);
        if (size)
            fclose(size);
    }
    if (all)
        closedir(all);
    return found;
}

static void a_block_device_has_its_size(void **state)
{
    (void)state;
    long long sectors = 0;
    unsigned int major, minor;
    auto_free char *number = some_disk(&sectors), *node = at("node");
    if (!number || sscanf(number, "%u:%u", &major, &minor) != 2 ||
        mknod(node, S_IFBLK | 0600, makedev(major, minor)) < 0)
        skip();
    auto_json json_t *device = behind(node);
    assert_string_equal(json_str(device, "type", ""), "block");
    assert_int_equal(json_int(device, "size", -1), sectors * 512);
    assert_true(json_is_array(json_object_get(device, "ids")));
}

// A file of sysfs says that it is as large as a page, whatever it holds.
static void a_file_of_sysfs_is_read(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len;
    if (access("/sys/kernel/uevent_seqnum", R_OK) < 0)
        skip();
    assert_int_equal(read_whole_file("/sys/kernel/uevent_seqnum", 64, &text, &len), 0);
    assert_in_range(len, 1, 64);
    free(text);
}

// As DRBD's rules for udev leave it, of a number that no device here has.
static void drbd_by_its_own_words(void **state)
{
    (void)state;
    static const char record[] = "/run/udev/data/b147:4093";
    auto_free char *device = at("drbd");
    if (geteuid() != 0 || access(record, F_OK) == 0 || mknod(device, S_IFBLK | 0600, makedev(147, 4093)) < 0)
        skip();
    bool made = mkdir("/run/udev", 0755) == 0, inner = mkdir("/run/udev/data", 0755) == 0;
    int fd = open(record, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    static const char names[] = "S:drbd/by-res/web/0\nS:drbd/by-disk/vg/x\nS:disk/by-id/dm-name-x\n";
    assert_int_equal(write_all(fd, names, strlen(names)), 0);
    close(fd);
    auto_json json_t *one = behind(device), *expected = json_pack("[s]", "drbd:web/0");
    unlink(record);
    if (inner)
        rmdir("/run/udev/data");
    if (made)
        rmdir("/run/udev");
    assert_string_equal(json_str(one, "type", ""), "block");
    assert_true(json_equal(json_object_get(one, "ids"), expected));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_and_a_link_to_it), TEST(nothing_there),         TEST(a_block_device_has_its_size),
        TEST(a_file_of_sysfs_is_read), TEST(drbd_by_its_own_words),
    };
    return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
