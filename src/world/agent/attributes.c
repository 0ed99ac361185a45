// SPDX-License-Identifier: MIT
// Extended attributes of a file, ACLs among them, as JSON: {name: hex}.
#include "world/agent/ops_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

enum { ATTRIBUTES_MAX = 65536 };

static char *hex_of(const unsigned char *bytes, size_t len)
{
    char *text = xmalloc(2 * len + 1);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    text[2 * len] = '\0';
    return text;
}

static size_t bytes_of(const char *hex, unsigned char *bytes, size_t most)
{
    size_t n = 0;
    for (; n < most && hex[0] && hex[1]; hex += 2)
        bytes[n++] = (unsigned char)strtoul((char[]){hex[0], hex[1], '\0'}, NULL, 16);
    return n;
}

// Hashes that the kernel keeps of the contents; it makes new ones for new contents.
static bool follows_contents(const char *name)
{
    return STREQ(name, "security.ima") || STREQ(name, "security.evm");
}

int attributes_of(int fd, const char *shown, json_t **attributes, struct error *err)
{
    struct fd_path path = fd_path(fd);
    auto_free char *names = xmalloc(ATTRIBUTES_MAX);
    auto_free unsigned char *value = xmalloc(ATTRIBUTES_MAX);
    ssize_t total = listxattr(path.text, names, ATTRIBUTES_MAX);
    if (total < 0 && errno != ENOTSUP)
        return error_errno(err, errno, "cannot read the extended attributes of %s", shown);
    auto_json json_t *all = json_object();
    for (const char *name = names; total > 0 && name < names + total; name += strlen(name) + 1) {
        ssize_t len = follows_contents(name) ? 0 : getxattr(path.text, name, value, ATTRIBUTES_MAX);
        if (follows_contents(name) || (len < 0 && errno == ENODATA))
            continue;
        if (len < 0)
            return error_errno(err, errno, "cannot read the attribute %s of %s", name, shown);
        auto_free char *hex = hex_of(value, (size_t)len);
        if (json_object_set_new(all, name, json_string(hex)) < 0)
            return error_set(err, ERR_SYSTEM, EILSEQ, "the name of an extended attribute of %s is not UTF-8",
                             shown);
    }
    *attributes = steal(&all);
    return 0;
}

// A security module labels a new file by its own policy, and may forbid that others do; a capability would be
// lost.
static bool is_label(const char *name)
{
    return strncmp(name, "security.", 9) == 0 && !STREQ(name, "security.capability");
}

int attributes_set(int fd, const char *shown, const json_t *wanted, struct error *err)
{
    struct fd_path path = fd_path(fd);
    auto_json json_t *have = NULL;
    auto_free unsigned char *value = xmalloc(ATTRIBUTES_MAX);
    const char *name;
    json_t *hex;
    if (attributes_of(fd, shown, &have, err) < 0)
        return -1;
    json_object_foreach(have, name, hex)
        if (!json_object_get(wanted, name) && !is_label(name) && removexattr(path.text, name) < 0)
            return error_errno(err, errno, "cannot take the attribute %s, which the folder gives, from %s",
                               name, shown);
    json_object_foreach((json_t *)(uintptr_t)wanted, name, hex) {
        if (json_equal(hex, json_object_get(have, name)))
            continue;
        size_t len = bytes_of(json_string_value(hex), value, ATTRIBUTES_MAX);
        if (setxattr(path.text, name, value, len, 0) < 0 &&
            !(is_label(name) && (errno == EPERM || errno == EACCES || errno == ENOTSUP)))
            return error_errno(err, errno, "cannot keep the attribute %s of %s", name, shown);
    }
    return 0;
}
