// SPDX-License-Identifier: MIT
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const char *const domain_names[] = {
    [ERR_NONE] = "none",
    [ERR_USAGE] = "usage",
    [ERR_SITE] = "site",
    [ERR_POLICY] = "policy",
    [ERR_SYSTEM] = "system",
    [ERR_HOST] = "host",
    [ERR_LIBVIRT] = "libvirt",
    [ERR_XML] = "xml",
    [ERR_COMMAND] = "command",
    [ERR_OPENSTACK] = "openstack",
    [ERR_REFUSED] = "refused",
    [ERR_TIMEOUT] = "timeout",
    [ERR_INTERRUPTED] = "interrupted",
    [ERR_BUG] = "bug",
};

int(error_setv)(struct error *err, enum error_domain domain, int code, const char *format, va_list args)
{
    if (!err)
        return -1;
    // The arguments may point into err itself ("…: %s", err->message), so the text is made aside first.
    char message[sizeof err->message];
    vsnprintf(message, sizeof message, format, args);
    memset(err, 0, sizeof *err);
    err->domain = domain;
    err->code = code;
    memcpy(err->message, message, sizeof message);
    return -1;
}

int(error_set)(struct error *err, enum error_domain domain, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_setv(err, domain, code, format, args);
    va_end(args);
    return -1;
}

int(error_errno)(struct error *err, int errno_value, const char *format, ...)
{
    char message[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return error_set(err, ERR_SYSTEM, errno_value, "%s: %s", message, strerror(errno_value));
}

int(error_prefix)(struct error *err, const char *format, ...)
{
    if (!err)
        return -1;
    char prefix[sizeof err->message], whole[2 * sizeof err->message + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", prefix, err->message);
    memcpy(err->message, whole, sizeof err->message - 1);
    err->message[sizeof err->message - 1] = '\0';
    return -1;
}

const char *error_domain_name(enum error_domain domain)
{
    return (size_t)domain < COUNT_OF(domain_names) ? domain_names[domain] : "bug";
}

enum error_domain error_domain_from_name(const char *name)
{
    for (size_t i = 0; name && i < COUNT_OF(domain_names); i++)
        if (STREQ(domain_names[i], name))
            return (enum error_domain)i;
    return ERR_BUG;
}
