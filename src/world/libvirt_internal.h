// SPDX-License-Identifier: MIT
// Shared by the files of the libvirt room: a question to a connection's worker.
#ifndef MIGRUN_WORLD_LIBVIRT_INTERNAL_H
#define MIGRUN_WORLD_LIBVIRT_INTERNAL_H

#include "base/thread.h"
#include "world/libvirt.h"

#include <stdatomic.h>

// One call of libvirt, made by the worker. It belongs to worker and caller together, so that a caller may
// walk away.
struct call {
    atomic_int users;
    int (*run)(virConnectPtr connection, struct call *call); // 0, or call_fail(call)
    bool reads;       // may be made a second time when the connection broke under the first
    char *what;       // "read domain x": for errors
    const char *host; // the connection's name, set while run runs
    char *args[5];    // the arguments of run
    unsigned int flags;
    json_t *json; // its result
    char *text;
    int result;
    struct error error;
    int done_fd; // an eventfd, readable once the result stands
    struct call *next;
};

// A call with a text for its errors; the caller fills in args (copies) and flags.
struct call *call_new(int (*run)(virConnectPtr, struct call *), bool reads, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
// In a call: libvirt's last error, with the attempted action. Returns -1.
int call_fail(struct call *call);
// Posts, waits and frees the call; json or text (either may be NULL) receive the result.
int virt_ask(struct virt *virt, struct call *call, int64_t timeout_ms, json_t **json, char **text,
             struct error *err);

// The questions of virt_facts (libvirt_read.c).
int virt_gather_facts(virConnectPtr connection, struct call *call);

// A connection of its own, which the caller closes. NULL with err.
virConnectPtr virt_connect(const char *uri, bool read_only, const char *name, struct error *err);
const char *virt_uri(const struct virt *virt);
const char *virt_name(const struct virt *virt);
// The connection that may do what a read-only one may not: the second one, or virt itself. NULL with err.
struct virt *virt_full(struct virt *virt, struct error *err);

// libvirt's last error of this thread as an error: "cannot WHAT on HOST: …". Returns -1.
int virt_error(struct error *err, const char *host, const char *what);
// By uuid, else by name. NULL: libvirt's error stands.
virDomainPtr virt_lookup(virConnectPtr connection, const char *name_or_uuid);
// Waits until fd is readable: 1 it is, 0 the deadline passed, -1 an interrupt came meanwhile (earlier ones do
// not count).
int wait_readable(int fd, int64_t deadline);

static inline void virt_free_domain(virDomainPtr *domain)
{
    if (*domain)
        virDomainFree(*domain);
}
#define auto_domain cleanup(virt_free_domain)

#endif
