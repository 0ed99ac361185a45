// SPDX-License-Identifier: MIT
// A libvirtd. Every call may block, so each connection has a worker thread: a call waits for it, a deadline
// or an interrupt, whichever is first; a call that never ends is left behind with its connection (virt_close
// then closes the transport). Errors are ERR_LIBVIRT with libvirt's own domain, code and message. Timeouts in
// ms; 0: 30 s.
#ifndef MIGRUN_WORLD_LIBVIRT_H
#define MIGRUN_WORLD_LIBVIRT_H

#include "base/error.h"
#include "base/json.h"
#include <libvirt/libvirt.h>

struct virt;
// name is the host's, for errors. open is in two halves so that several connect side by side.
int virt_start(const char *uri, bool read_only, const char *name, struct virt **virt, struct error *err);
int virt_finish(struct virt *virt, int64_t timeout_ms, struct error *err);
void virt_close(struct virt *virt);
// A call took too long: nothing is asked over this connection any more.
bool virt_given_up(struct virt *virt);

// {uri, hostname, libvirt: "9.0.0", hypervisor: "7.2.22", memory: {total, free} (bytes), cpus, cpu_model,
// domains: [domain…]}
int virt_facts(struct virt *virt, int64_t timeout_ms, json_t **facts, struct error *err);
int virt_facts_start(struct virt *virt, struct error *err); // in two halves
int virt_facts_finish(struct virt *virt, int64_t timeout_ms, json_t **facts, struct error *err);

// A domain by name or uuid: {name, uuid, id, state: running|paused|shut off|crashed|blocked|pmsuspended|…,
// reason: "booted"|"user"| "migrated"|"post-copy failed"…, persistent, autostart, memory, max_memory (bytes),
// vcpus, updated, snapshots, checkpoints: [names], managed_save, job: none|{type, operation}, os_type}.
// VIR_ERR_NO_DOMAIN when there is none.
int virt_domain(struct virt *virt, const char *name_or_uuid, json_t **domain, struct error *err);
int virt_domain_xml(struct virt *virt, const char *uuid, unsigned int flags, char **xml, struct error *err);
// Job of a domain: {type: none|bounded|unbounded|completed|failed|cancelled, operation, data_total,
// data_processed, data_remaining, memory_total/processed/remaining/bps/dirty_rate/page_size/iteration (bytes,
// pages/s as libvirt names them), disk_*, time_elapsed, time_remaining, downtime, setup_time, …}: libvirt's
// typed parameters, by their own names. completed: of the last job that ended.
int virt_job(struct virt *virt, const char *uuid, bool completed, json_t **job, struct error *err);
// virConnectGetAllDomainStats of one domain, flat, by libvirt's names ("state.state", "block.0.path").
int virt_stats(struct virt *virt, const char *uuid, unsigned int stats, json_t **values, struct error *err);
// Block devices: [{target, source, type, format, cache, readonly, shareable, capacity, allocation, physical,
// job: none|{type, cur, end}}]
int virt_blocks(struct virt *virt, const char *uuid, json_t **blocks, struct error *err);
// Disks whose errors stopped the guest: {"vda": "no space" | "I/O error"}; empty where there is none.
int virt_disk_errors(struct virt *virt, const char *uuid, json_t **errors, struct error *err);
// A volume of a storage pool: {path, key, source: where the pool has it from ("rbd HOST POOL", "netfs HOST
// FOLDER", "dir")}
int virt_volume(struct virt *virt, const char *pool, const char *name, json_t **volume, struct error *err);
// What guests refer to by name: {networks: [{name, active, bridge, forward, mtu, address, portgroups: […],
// devices: […]}], secrets: [{uuid, usage}], filters: [names], unknown: {KIND: why it could not be listed}}
int virt_resources(struct virt *virt, json_t **resources, struct error *err);
int virt_capabilities(struct virt *virt, char **xml, struct error *err);
int virt_node_memory(struct virt *virt, json_t **memory,
                     struct error *err); // {total, free, buffers, cached} bytes
int virt_set_autostart(struct virt *virt, const char *uuid, bool on, struct error *err);

// From now on a call may take so long (ms) where it is not told otherwise; as it begins, half a minute. The
// connection is given up with a call that takes longer.
void virt_set_patience(struct virt *virt, int64_t ms);

// The calls that libvirt refuses on a read-only connection (libvirt_full.c, and no others): made on a second,
// full connection when virt is read-only (full_uri), else on virt itself.
int virt_set_full_uri(struct virt *virt, const char *full_uri);
// {result: incompatible|identical|superset|error, message}. cpu_xml: a <cpu> of a domain;
// emulator/arch/machine/virttype as the domain's.
int virt_compare_cpu(struct virt *virt, const char *emulator, const char *arch, const char *machine,
                     const char *virttype, const char *cpu_xml, json_t **answer, struct error *err);
// A CPU that guests can have on all hosts whose CPUs are given (an array of <cpu>: of host-model in a host's
// domain capabilities), as XML.
int virt_baseline_cpu(struct virt *virt, const json_t *cpus, const char *arch, const char *virttype,
                      char **xml, struct error *err);
int virt_domain_capabilities(struct virt *virt, const char *emulator, const char *arch, const char *machine,
                             const char *virttype, char **xml, struct error *err);
// inactive: the persistent definition, as its next start will take it.
int virt_migratable_xml(struct virt *virt, const char *uuid, bool inactive, char **xml, struct error *err);

// Live migration, on a thread of its own; the caller polls.
struct virt_migration;
// params: {destination_xml, persistent_xml, migrate_uri, bandwidth, …} by libvirt's typed parameter names
// (VIR_MIGRATE_PARAM_*); flags: names without VIR_MIGRATE_ ("LIVE", "PEER2PEER", …). dest_uri as the *source*
// reaches it. An unknown name: ERR_POLICY, with the nearest.
int virt_migrate_start(struct virt *virt, const char *uuid, const char *dest_uri, const json_t *params,
                       const json_t *flags, struct virt_migration **migration, struct error *err);
// 1: ended (then virt_migrate_end tells how), 0: goes on. Waits up to wait_ms for the end; an interrupt ends
// the wait.
int virt_migrate_wait(struct virt_migration *migration, int wait_ms);
int virt_migrate_abort(struct virt *virt, const char *uuid, struct error *err);
// After the end: 0, or -1 with libvirt's error. Frees the migration (one that has not ended is left behind).
int virt_migrate_end(struct virt_migration *migration, struct error *err);
// Checks names of flags and typed parameters, and types, without a connection.
int virt_migrate_check(const json_t *params, const json_t *flags, struct error *err);

#endif
