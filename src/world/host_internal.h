// SPDX-License-Identifier: MIT
// A host's connection: what host.c and the way to its libvirtd (host_libvirt.c) share.
#ifndef MIGRUN_WORLD_HOST_INTERNAL_H
#define MIGRUN_WORLD_HOST_INTERNAL_H

#include "world/host.h"
#include "world/ssh.h"

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

struct host {
    struct host_spec *spec;
    bool read_only;
    struct login *login;  // the agent is a session in it; NULL: the connection is its own
    char *control;        // the socket of the connection of its own, or NULL: its name would be too long
    bool inherited;       // it is an earlier run's,
    int64_t proven_by;    // which has to prove by then that it leads there
    bool end_login;       // the next run shall not have it
    pid_t pid;            // ssh, or the agent itself where the host is this machine
    int to, from, errors; // its stdin, stdout, stderr, none of which blocks
    struct buf said;      // what came on stderr, the last of it
    struct buf greeting;
    struct wire_reader reader;
    struct wire_bounds bounds; // of the answers that may still come
    bool owes;                 // one of them is to a call that was sent
    json_int_t next_id, awaited_id;
    json_t *hello;
    char *socket, *socket_ro; // libvirt's sockets as they are reached from here
    pid_t relays[2];          // processes that relay them by the agent, where ssh may not forward
    bool lost;
    sig_atomic_t interrupts; // how many there had been when the call that is under way began
    pthread_mutex_t sending; // the keep-alive thread sends too
    pthread_t beat;
    int beat_stop[2];
    bool beating;
};

// A setting of the site's about libvirt ("socket", "socket_ro"); NULL: there is none.
const char *host_libvirt_setting(const struct host_spec *spec, const char *key);
// The control socket of the ssh that leads there, or NULL.
const char *host_control(const struct host *host);
// Has ssh forward libvirt's sockets, where the site lets it.
void host_forward_libvirt(const struct host *host);

#endif
