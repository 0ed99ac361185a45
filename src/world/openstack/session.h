// SPDX-License-Identifier: MIT
// A session with a cloud: Keystone's token, the catalog, and requests to its services. One thread's alone.
#ifndef MIGRUN_WORLD_OPENSTACK_SESSION_H
#define MIGRUN_WORLD_OPENSTACK_SESSION_H

#include "base/error.h"
#include "base/json.h"

enum { REQUEST_ID_MAX = 96 };

struct cloud;
// Reads the configuration; sends no request yet.
int cloud_open(struct cloud **cloud, struct error *err);
void cloud_close(struct cloud *cloud);
const char *cloud_name(const struct cloud *cloud);
const char *cloud_warning(const struct cloud *cloud); // a warning for the operator (verify: false), or NULL
// Logs in, when it is not yet; any request does so by itself.
int cloud_log_in(struct cloud *cloud, struct error *err);

struct cloud_request {
    const char *service;       // compute, placement, network, identity
    const char *method, *path; // from the service's endpoint on: "/servers/ID"
    const json_t *body;        // or NULL
    int minor;          // compute and placement: the microversion's second number; 0: the service's least
    const char *what;   // "live-migrating one to compute-2", for the sentence of an error
    bool harmless;      // though it is no GET, it may be made twice
    int64_t timeout_ms; // 0: 60 s
};
// answer: the body as JSON (NULL: nothing of JSON was there); may be NULL. request_id: REQUEST_ID_MAX bytes,
// filled also of a refusal; may be NULL. A status of 400 and above is ERR_OPENSTACK with that code: one
// sentence with the service's own reason and its request id.
int cloud_send(struct cloud *cloud, const struct cloud_request *request, json_t **answer, char *request_id,
               struct error *err);
// From here to the end, what is asked for is only begun: each function that asks returns -1 at the first GET
// that has no answer yet, and goes on where an answer has come since. Who asks the same within so many ms,
// once this has ended, gets the answer that came, once; none is given any more after a request that changes
// something. An answer that is no good is asked for again.

void cloud_ahead_begin(struct cloud *cloud, int64_t ms);
void cloud_ahead_end(struct cloud *cloud);
// From now on everything is asked anew.
void cloud_ahead_drop(struct cloud *cloud);
// Whether they can be of a request at all: a method in capitals, a path without control characters, blanks
// and '#' that stays below the service's endpoint. -1: ERR_REFUSED.
int cloud_check_request(const char *method, const char *path, struct error *err);
// The newest microversion that a service speaks: its second number.
int cloud_newest(struct cloud *cloud, const char *service, int *minor, struct error *err);
const char *cloud_service_name(const char *service); // "Nova" of compute

#endif
