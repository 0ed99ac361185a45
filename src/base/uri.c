// SPDX-License-Identifier: MIT
#include "base/uri.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

// "fe80::1%eth0" and "fe80::1%25eth0" are the same host.
static const char *after_zone_mark(const char *mark)
{
    return strncmp(mark, "%25", 3) == 0 && mark[3] ? mark + 3 : mark + 1;
}

// bracketed: by the pattern.
static char *in_uri(const char *host, bool bracketed)
{
    if (!strchr(host, ':'))
        return xstrdup(host);
    host += *host == '[';
    const char *open = bracketed ? "" : "[", *close = bracketed ? "" : "]";
    auto_free char *address = xstrndup(host, strcspn(host, "]"));
    char *zone = strchr(address, '%');
    if (!zone)
        return xasprintf("%s%s%s", open, address, close);
    return xasprintf("%s%.*s%%25%s%s", open, (int)(zone - address), address, after_zone_mark(zone), close);
}

char *uri_fill(const char *pattern, const char *host)
{
    const char *hole = strstr(pattern, "%s");
    if (!hole)
        return xstrdup(pattern);
    auto_free char *name = in_uri(host, hole > pattern && hole[-1] == '[');
    return xasprintf("%.*s%s%s", (int)(hole - pattern), pattern, name, hole + 2);
}

// The port that a libvirt URI means where it names none (libvirt's own defaults).
static int usual_port(const char *uri, const char *scheme_end)
{
    return strstr(uri, "+tls://") || !memchr(uri, '+', (size_t)(scheme_end - uri)) ? 16514
           : strstr(uri, "+ssh://")                                                ? 22
                                                                                   : 16509;
}

int uri_target(const char *uri, char **name, int *port)
{
    const char *host = strstr(uri, "://");
    if (!host)
        return -1;
    *port = usual_port(uri, host);
    host += 3;
    size_t len = strcspn(host, "/?");
    const char *at = memchr(host, '@', len);
    if (at) {
        len -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    const char *colon = host[0] == '[' ? memchr(host, ']', len) : host;
    colon = colon ? memchr(colon, ':', len - (size_t)(colon - host)) : NULL;
    if (colon) {
        *port = atoi(colon + 1);
        len = (size_t)(colon - host);
    }
    if (host[0] == '[' && len > 2) {
        host++;
        len -= 2;
    }
    auto_free char *found = xstrndup(host, len);
    const char *zone = strchr(found, '%');
    *name = zone ? xasprintf("%.*s%%%s", (int)(zone - found), found, after_zone_mark(zone)) : xstrdup(found);
    return **name ? 0 : -1;
}
