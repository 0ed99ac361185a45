// SPDX-License-Identifier: MIT
// The machines of the fake world: what an agent finds on its host. Each host is a folder, hosts/NAME of the
// bench (the folder $MIGRUN_WORLD), that its agent is locked in (chroot): with the machine's own programs
// (/usr …, read-only), with files of its own, and with stand-ins for what cannot be had there: systemctl,
// virsh and journalctl (machine/*.c), and the part of /proc that tells of other processes, of memory and of
// mounts. The agent is the one that ships, and so are its guards.
//
//   stand-in/units/UNIT    the state of a service, as systemd tells it
//   stand-in/guests        what virsh tells: a line for each guest, "UUID NAME PERSISTENT STATE"
//   stand-in/taken/        what libvirtd read at its start: status, definition
//   stand-in/writes-anew   libvirtd writes an edited record in words of its own
//   stand-in/libvirtd.sock a socket that answers; /run/libvirt/libvirt-sock while libvirtd runs
//   stand-in/guard.lock    held by a guard while it lives
//   stand-in/points        fault.h
#ifndef MIGRUN_TESTS_MACHINE_H
#define MIGRUN_TESTS_MACHINE_H

#include "base/json.h"

#include <sys/types.h>

#define MACHINE_STAND_INS "/stand-in"

// Empties a folder, if it is there; no other file system that is mounted in it.
void clear_folder(const char *path);

// A mount namespace that this process and its children have for themselves, and in it a folder for benches
// that goes with it, however they end. Fails for who is not root.
void machines_begin(void);
#define MACHINES_BELOW "/dev/shm"
// The machines of a bench, whose folder is there; they are empty.
void machines_make(const char *bench);
void machines_unmake(const char *bench);
// Lays them out as a world says (world.h): files, shared, services, claims, domains.
void machines_lay_out(const char *bench, const json_t *w);
// Puts what is there now into the world: files, shared, services, claims.
void machines_tell(const char *bench, json_t *w);
// The processes and the guests of the world's domains, for the agents.
void machines_show_guests(const char *bench, const json_t *w);

// Changes that libvirtd and QEMU make on a host of this process's world.
void machine_put(const char *host, const char *path, int mode, int64_t owner, const char *content);
// Whether others reach libvirt's port there: no guard is set, or a window is open in it.
bool machine_lets_in(const char *host);
void machine_remove(const char *host, const char *path);
void machine_give(const char *host, const char *path, int64_t owner); // what is not there needs none
void machine_append(const char *host, const char *path, const char *line);
// The state of a service there ("" where there is none). Caller frees.
char *machine_unit(const char *host, const char *unit);
void machine_set_unit(const char *host, const char *unit, const char *state);
// What libvirtd read at its last start ("status", "definition"), once. Caller frees; NULL: nothing new.
char *machine_taken(const char *host, const char *what);

// Starts the agent there; in and out are its stdin and stdout. Its pid; aborts where it cannot.
pid_t machine_agent(const char *host, bool read_only, int in, int out);
// Waits until no guard of a surgery lives there.
void machine_await_guards(const char *host);

#endif
