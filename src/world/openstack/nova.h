// SPDX-License-Identifier: MIT
// The requests that migrun sends to Nova, Placement and Neutron. Each call uses the lowest microversion that
// suffices, so that clouds from 2.1 on work; fields that an older one lacks are left out.
#ifndef MIGRUN_WORLD_OPENSTACK_NOVA_H
#define MIGRUN_WORLD_OPENSTACK_NOVA_H

#include "world/openstack/session.h"

// A server by its id, its name (of any project, when these credentials may look there) or libvirt's name of
// it. ERR_REFUSED when there is none, or when several have the name: the list is in the message. server, as
// all of nova_server: {id, name, status, vm_state, task_state ("" when none), power_state, host, hypervisor,
// libvirt_name, locked, locked_reason, created, az,
//  project, groups: [id…], flavor: {name, vcpus, ram (MiB), disk (GiB), extra}, volumes: n, fault (text or
//  ""), host_status}
// Fields that these credentials (or an old Nova) do not get are left out.
int nova_find(struct cloud *cloud, const char *name, json_t **server, struct error *err);
int nova_server(struct cloud *cloud, const char *id, json_t **server, struct error *err);
// The same as a list tells it, which is all but groups, and is told by one request.
int nova_find_listed(struct cloud *cloud, const char *name, json_t **server, struct error *err);

// [{host, binary, state: up|down, status: enabled|disabled, reason, zone, forced_down, id}], of one host when
// it is not NULL.
int nova_services(struct cloud *cloud, const char *host, json_t **services, struct error *err);
// The hypervisor of a compute service's host (the first): {name, host, state, status, type, version, id, ip}.
// ERR_OPENSTACK 404 when there is none.
int nova_hypervisor_of(struct cloud *cloud, const char *host, json_t **hypervisor, struct error *err);

// Live migrations of a server, the newest first, whatever became of them: [{id, uuid, status, source, dest
// ("" when not chosen yet), created, updated}].
int nova_migrations(struct cloud *cloud, const char *server, json_t **migrations, struct error *err);
// Nova's own count of one that runs: {status, memory_total, memory_remaining, …} (bytes). ERR_OPENSTACK 404
// when it does not (or is in its post-copy phase).
int nova_progress(struct cloud *cloud, const char *server, json_int_t migration, json_t **progress,
                  struct error *err);
// Asks for it. host NULL: the scheduler's choice. request_id: REQUEST_ID_MAX bytes. That it was accepted says
// nothing of its end.
int nova_live_migrate(struct cloud *cloud, const json_t *server, const char *host, char *request_id,
                      struct error *err);
int nova_abort(struct cloud *cloud, const char *server, json_int_t migration, struct error *err);
// An action's record by its request id: {action, message, events: [{event, result, host, details,
// traceback}]}
int nova_action(struct cloud *cloud, const char *server, const char *request_id, json_t **action,
                struct error *err);
// What was done to a server: [{action, request_id, start, updated (absent before 2.58),
// message}].
int nova_actions(struct cloud *cloud, const char *server, json_t **actions, struct error *err);
// Whether Nova had an instance of this id, and has deleted it: what was done to it stays on record
// (microversion 2.21 on, else false).
bool nova_was_deleted(struct cloud *cloud, const char *id);
// Why an action failed, by its events (one line); NULL: Nova says nothing of it. Caller frees.
char *nova_reason(const json_t *action);

int nova_set_lock(struct cloud *cloud, const char *server, bool locked, const char *reason, char *request_id,
                  struct error *err);

// ---- Placement ----
// {uuid, name, inventories: {CLASS: {total, reserved, allocation_ratio, …}}, usages: {CLASS: n}}.
// ERR_OPENSTACK 404 when it has none of that name.
int placement_provider(struct cloud *cloud, const char *name, json_t **provider, struct error *err);
// Of a host, as Nova names it: its hypervisor's, which mostly has the same name.
int placement_provider_of(struct cloud *cloud, const char *host, json_t **provider, struct error *err);
// Who holds what: [{name (of the root provider: the hypervisor), uuid, resources}]. consumer: a server's or a
// migration's id.
int placement_allocations(struct cloud *cloud, const char *consumer, json_t **allocations, struct error *err);

// ---- Neutron ----
// The server's ports: [{id, mac, addresses, host, status, vif_type, bindings: [{host, status}] (left out when
// Neutron does not tell)}].
int neutron_ports(struct cloud *cloud, const char *server, json_t **ports, struct error *err);

#endif
