// SPDX-License-Identifier: MIT
// A fake world: hosts, their files, services and guests, and migrations between them. It begins as one JSON
// document, from which its machines are laid out (machine.h). From then on files, services and claims are
// those of the machines, and the rest stays in world.json of the folder $MIGRUN_WORLD, written anew after
// each change, so that it survives a migrun that is killed in it:
//
//   storage    "local" or "shared": whether libvirt takes the instances' folder for local, and resets owners
//              when a guest leaves
//   shared     files of the instances' folder, the same on all hosts
//   writes_anew: a starting libvirtd writes an edited record in words of its own
//   outcome    how the next migration ends (world_outcomes)
//   migration  the one under way, or null; last: how the last one ended, as its client hears it
//   next       for inodes, pids and ids
//   cloud      its OpenStack, where it has one (fake_cloud.h)
//   hosts      {NAME: {files, services: {unit: state}, address, cpu (compare_cpu's result),
//              claims: {RUN: claim}, domains: {UUID: domain}}}
//   a file     {type, mode, uid, gid, content}
//   a domain   {name, uuid, id, pid, state, reason, persistent, autostart, memory, vcpus, xml, inactive_xml}
#ifndef MIGRUN_TESTS_WORLD_H
#define MIGRUN_TESTS_WORLD_H

#include "base/error.h"
#include "base/json.h"

#define WORLD_INSTANCES "/var/lib/nova/instances"
#define WORLD_GUEST "instance-00000001"
#define WORLD_UUID "7eb1c886-6149-66f2-54b6-72643cf6c66c"
#define WORLD_FOLDER WORLD_INSTANCES "/" WORLD_GUEST
#define WORLD_STATUS "/run/libvirt/qemu/" WORLD_GUEST ".xml"
#define WORLD_DEFINITION "/etc/libvirt/qemu/" WORLD_GUEST ".xml"
enum { WORLD_QEMU = 64055 };

// compute-1, where the guest runs and listens for VNC on its host's own address, and compute-2.
json_t *world_standard(void);
json_t *world_read(const char *folder);
void world_write(const json_t *world, const char *folder);
// This process's, of $MIGRUN_WORLD: read when it is first asked for.
json_t *world(void);
void world_changed(void);

json_t *world_host(const json_t *w, const char *name);                    // borrowed, or NULL
json_t *world_files(const json_t *w, const char *host, const char *path); // the files among which path lies
json_t *world_file(const json_t *w, const char *host, const char *path);  // borrowed, or NULL
void world_put(json_t *w, const char *host, const char *path, const char *type, int mode, int64_t owner,
               const char *content);
json_t *world_domain(const json_t *w, const char *host, const char *name_or_uuid);
json_int_t world_next(json_t *w);
bool world_serves(const char *host, const char *unit); // whether the service is active
// A libvirtd that was started has the guest as it read it then. Whether one was.
bool world_take_over(json_t *w, const char *host);

// A migration, as the source's libvirtd begins it. It goes on by itself, a step at each look.
int world_migrate(json_t *w, const char *from, const char *uuid, const char *to, const json_t *params,
                  const json_t *flags, struct error *err);
void world_look(json_t *w);
bool world_moves(const json_t *w); // whether a look has something to let go on
void world_abort(json_t *w);
// Whether the guest has come to one of the ends that leave it running nowhere.
bool world_guest_rests(const json_t *w);
// Ends the guest and its migration: no host has it any more.
void world_destroy(json_t *w, const char *uuid);
// Until nothing moves any more.
void world_settle(json_t *w);

enum ends {
    ENDS_MOVED,
    ENDS_STAYED,
    ENDS_SPLIT,
    ENDS_STOPPED, // the guest stops at the source, for the reason
    ENDS_STOOD,   // it stays, suspended by somebody
};
extern const struct world_outcome {
    const char *name;
    enum ends ends;
    bool client_fails;  // libvirt tells its client of an error
    bool client_lost;   // and does so while the migration goes on
    bool endless;       // it takes longer than anybody waits
    bool late;          // an abort comes too late
    bool left_over;     // the source keeps its definition
    const char *stands; // it has moved, and is paused there for this reason
    const char *stops;  // it stops for this reason: at the source, or once it has moved
    // Of Nova's migrations alone:
    bool refused;       // the API says no
    bool no_valid_host; // the scheduler does
    bool never_begins;  // no conductor takes the request up
    bool stays_queued;  // nova-compute never comes to it
    bool compute_dies;  // nova-compute does, while libvirt migrates
    bool dest_dies;     // the destination's does, once it was chosen
    bool seems_down;    // nova-compute works on, though its service is told to be down
    bool deleted;       // somebody deletes the instance, while libvirt migrates
    bool stuck;         // Nova does not come to an end by itself, and tells of nobody who is down
} world_outcomes[];     // ends with a NULL name
const struct world_outcome *world_outcome(const json_t *w);

#endif
