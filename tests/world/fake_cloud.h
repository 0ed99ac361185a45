// SPDX-License-Identifier: MIT
// The fake world's OpenStack: what Nova, Placement and Neutron keep of the guest, and what becomes of a live
// migration that Nova is asked for. In the world's document, where it has one:
//
//   cloud     {server: {host, status, task ("" when none), locked, reason, fault, deleted}
//             services   {HOST: {status, reason}} of nova-compute; whether it is up, the host's service
//                        nova-compute tells
//             holds      {CONSUMER (a server, a migration): {HOST: true}}, Placement's allocations
//             bindings   {HOST: status} of the one port
//             migrations [{id, uuid, status, source, dest ("" when not chosen), request, moves (how often
//                        nova-compute wrote of it)}]
//             refused    {REQUEST: reason}: actions that failed before libvirt was asked
//             job        {stage, host ("": the scheduler chooses), from, request, aborted, looks}, or null
//             requests   how many there were that change something
//             secret     whether Nova tells nobody of its services, once a migration was asked for
//             rewrites   whether Nova puts the destination's addresses into the destination's XML}
#ifndef MIGRUN_TESTS_FAKE_CLOUD_H
#define MIGRUN_TESTS_FAKE_CLOUD_H

#include "world.h"

#include "world/openstack/http.h"

#define CLOUD_SERVER "webserver-7"
#define CLOUD_PORT "0d5a1f9e-6f5c-4d21-9b0a-3c1f3b7f2f10"
#define CLOUD_PASSWORD "a password"

// Gives a world its cloud, with the guest of compute-1 as its server.
void fake_cloud_add(json_t *w);
json_t *fake_cloud(const json_t *w); // borrowed; NULL: the world has none
// A live migration as the API takes it: to a host, or ("") to one that the scheduler chooses.
void fake_cloud_ask(json_t *w, const char *host, const char *request);
// It goes on by a step, as conductor and nova-compute work on it.
void fake_cloud_step(json_t *w);
bool fake_cloud_is_busy(const json_t *w);
// The newest migration that has not ended, or NULL. Aborting it: false when it is not in a phase that can be.
json_t *fake_cloud_migration(const json_t *w);
bool fake_cloud_abort(json_t *w);

// Whose URL it is: "keystone", "nova", "placement", "neutron".
const char *fake_nova_service(const char *url);
// What the service answers; it may change the world.
void fake_nova_answer(json_t *w, const struct http_request *request, struct http_answer *answer);
void fake_nova_refuse(struct http_answer *answer, int status, const char *fault, const char *message);
// The tokens that Keystone gave so far are not good any more.
void fake_nova_revoke_tokens(void);

#endif
