// SPDX-License-Identifier: MIT
// URIs of libvirt (qemu+tcp://HOST[:PORT]/system), as far as migrun has to know them.
#ifndef MIGRUN_BASE_URI_H
#define MIGRUN_BASE_URI_H

// A pattern with the host where it says %s: an IPv6 address in brackets (RFC 3986, 3.2.2), the '%' of its
// zone as %25 (RFC 6874), unless they are there. Caller frees.
char *uri_fill(const char *pattern, const char *host);
// The host that a URI names, as the resolver takes it (caller frees), and its port, or libvirt's own where it
// names none. -1: it names no host.
int uri_target(const char *uri, char **name, int *port);

#endif
