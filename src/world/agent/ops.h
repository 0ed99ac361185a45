// SPDX-License-Identifier: MIT
// The host operations: what migrun-agent serves on its host. Each takes the request's object and body, and
// gives a result object (and maybe a body). No operation follows a symbolic link in a path's last part.
//
//   op        request → result
//
//   stat      path → {type: file|directory|symlink|block|char|fifo|socket, mode, uid, gid, user, group, size,
//             mtime, inode, device, links}; a file that is not there: error system/ENOENT
//   read      path [, limit] → stat's members + sha256; body: the contents
//   list      path → {entries: [stat's members + name]}
//   write     path, body [, expect {sha256 | absent: true}] [, keep] [, mode, uid, gid] → stat after
//             Atomic (rename in the same folder, synced). Owner, mode, extended attributes and ACLs of an
//             existing file are kept unless given. New file: mode 0644 and the agent's owner, unless given.
//   remove    path [, expect] [, keep] → {}
//   restore   keep, path, expect {sha256 | absent} → stat
//             Restores the original with owner, mode and attributes; if the keep recorded "absent", removes
//             the file.
//   tidy      keep, path → {}; removes what a write or restore of this keep, that was cut off, left beside
//   path forget    run → {}; removes the originals kept for a run note      → {}; any request may have note
//   (an effect, run/gate.h) and keep: the note is on disk, as
//             KEEP_DIR/RUN/N.note, before the request is served
//             With undoes: true it undoes that change; once that is done, the note is not told any more.
//   notes     run → {notes: {"N": effect} of what was not undone, unreadable: [names of their files]}
//   claim     claim {run, instance (uuid), name, exclusive, user, controller, since} → {}, or {held: claim}
//             of the run that excludes this one: of the same instance, or if either wants the host for itself
//   unclaim   run → {}
//   claims    → {claims: [claim]}
//   chown     path, uid, gid (-1: as it is), expect {device, inode, uid, gid} → stat after
//   chmod     path, mode, expect {device, inode, mode} → stat after
//   command   argv, [stdin: true → body,] timeout (ms), reads → {status, signal, timed_out, stderr [,
//             unlocked]}; body: stdout
//             With reads it is kept from changing anything (base/lockdown.h), or refused where the kernel
//             cannot do that, or (unlocked: true) run all the same: the answer tells that.
//   service   unit, action: state|start|stop|restart|wait [, timeout (ms)] [, command: the site's argv]
//             → {state: active|inactive|failed|unknown, sub, pid, word: systemd's own of an unknown state,
//             start_timeout, stop_timeout: the unit's (ms) [, unlocked]}; wait: until it is active and its
//             sockets answer. What tells the state is kept from changing anything, as a command with reads
//             is (sockets: true: but it reaches this host's UNIX sockets).
//   reach     host, ports: [n…], timeout (ms) → {address, ports: {"16509": {open: bool, error, ms}}};
//             error when the name does not resolve
//   login     uri (qemu+TRANSPORT://HOST[:PORT]/system), timeout (ms) → {} or {error: why this host's virsh
//             is not let in there}
//   facts     instances, config (libvirt's), units: [..] [, tls: true, and gnutls is told] → the host's facts
//   (below) storage   paths: [..] [, after: ms to wait first] → {paths: {PATH: {type, path (links followed),
//   size,
//             inode, mtime, ctime (ns), fstype, source, target (of the mount), ids: ["wwid:…", …] (of a block
//             device: what identifies it on every host)}}}
//   listeners ports: [n…] → {listeners: [{address, port, pid, program}]}: who listens on one of them (TCP);
//   pid
//             and program are left out where they may not be seen
//   surgery   changes a service's files while it is stopped, as one transaction (surgery.c), by its action:
//     begin   unit, keep [, commands: the site's {stop, start, state}], managed (it is libvirtd),
//             socket (libvirt's), log [, with, without: sockets' units, which a
//             commit starts too, or leaves stopped] → {}
//     stage   surgery: "RUN/N", path, body (the new contents), expect, keep: "RUN/M" [, mode, uid, gid] → {}
//     commit, abort
//             surgery → {phase: committed | put back, text, at (epoch), lost: [text], edits: [path]}
//     settle  surgery: waits for its end, or brings it about → the same; phase none: it never began
//     look    surgery → the same, as it stands now
//   log       path [, offset, line] → {size, lines, inode}; with offset: body = what came after it,
//             result.line = the number of its first line; a shorter file (rotated) starts at 0
//   search    the lines of this host's logs that matter (world/logs/search.h: search_logs)
//   count     the numbers of lines, by their places (search_count)
//   ping      → {}
//   watch     listens for what guests announce on all interfaces of this host, by its action; one at a time:
//     begin   macs: ["52:54:00:12:34:56", …] → {}
//     look    timeout (ms): for one more, at most so long → {frames: [{mac, kind: rarp|garp|arp, interface,
//             out: sent there by this host (else it came in), count, first, last (epoch) [, vlan, address:
//             the sender's, of an ARP]}], lost: frames}; {} where nobody listens (any more)
//   pulse     asks an address ten times a second whether it answers, by its action; one at a time:
//     begin   host [, port: in a TCP session with what echoes there; else by ICMP] → {address}
//     look    timeout (ms): for an answer from now on, at most so long → {address, answered: bool, answers,
//             longest: between two answers (s), at (epoch): when that was over [, error: what ended the
//             session]}; {} where nobody asks (any more)
//
// expect that does not hold: error refused/REFUSED_CHANGED. keep: "RUN/N", under KEEP_DIR, root's, 0600: the
// original's bytes and what it takes to restore it, synced before the change is made. With --read-only only
// stat, read, list, notes, claims, reach, login, facts, storage, listeners, log, search, count, ping, watch,
// pulse, surgery look, service state|wait
// and command with reads are served.
//
// Facts: {hostname, fqdn, machine_id, boot_id, time, told (its clock at the beginning and at the end),
//   kernel, os, arch, units: {NAME: {state, pid}}, addresses: ["10.88.0.11", …] (no loopback, no link-local),
//   own_addresses: [those that its own name has in /etc/hosts],
//   interfaces: [{name, mtu, up, kind: "bridge", "openvswitch", "vlan", … (absent: a real device), vlan,
//   master, addresses: [{address, prefix, secondary: it came later than another of its network, or is to
//   go}]}], gnutls: "3.7.9", mounts: [{target, source, fstype}], memory: {total, available, hugepages_total,
//   hugepages_free, hugepage_size (bytes), hugepages: [{size (bytes), total, free (pages)}]}, nodes: [{node,
//   cpus: "0-3", total, free (bytes), hugepages}], cpu: {model, vendor, count, flags: […], online: "0-3",
//   machines (of machine.slice), libvirtd (that its process may use)}, users: {"libvirt-qemu": {uid, gid}, …:
//   of those that exist}, groups: {"libvirt-qemu": gid, …}, instances: {path, fstype, source, device, inode}
//   (absent when there is no such folder), guests: [{name, uuid, pid, uid, gid, user, group, started (epoch),
//   files: [regular files it holds open; absent in a preview, as Landlock hides them]}] (QEMU processes),
//   libvirt: {conf: {the keys of libvirtd.conf and qemu.conf that matter and are set: listen_tcp, auth_tcp,
//   migration_port_min/max, migration_address, migration_host, remember_owner, dynamic_ownership,
//   stdio_handler, user, group, migrate_tls_force, shared_filesystems: […], cgroup_controllers: […], …},
//   config_unseen: true, where the daemon's container cannot be looked into}}
// The run adds clock: {asked, answered} by its own clock, and storage: storage's paths, of the guest's files.
#ifndef MIGRUN_WORLD_AGENT_OPS_H
#define MIGRUN_WORLD_AGENT_OPS_H

#include "world/wire.h"

struct surgery;
struct watch;
struct pulse;
struct agent {
    bool read_only;
    int stdin_fd;
    struct surgery *surgery; // the one that is open, or NULL
    struct watch *watch;     // what is listened for, and
    struct pulse *pulse;     // who is asked, or NULL
};
struct op {
    const char *name;
    bool (*writes)(const json_t *request); // NULL: never
    int (*serve)(struct agent *agent, const json_t *request, const char *body, size_t body_len,
                 json_t **result, struct buf *result_body, struct error *err);
};
// Serves one request: the operation that it names, after its note is on the disk. What an agent that reads
// only may not do is refused (ERR_REFUSED). *result is NULL or a new reference.
int agent_serve(struct agent *agent, const struct message *request, json_t **result, struct buf *body,
                struct error *err);
// Serves it and sends the answer to fd; a request without an id (a ping that only tells that migrun lives) is
// not served. An answer that is too large to be sent is answered by an error. -1: fd takes no more.
int agent_answer(struct agent *agent, const struct message *request, int fd);
extern const struct op ops[]; // ends with a NULL name; the table in ops.c, the functions in a file a topic
#endif
