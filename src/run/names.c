// SPDX-License-Identifier: MIT
// What the hosts and the instance of a run are called, by whom.
#include "run/cloud.h"

const char *run_host_name(const struct run_host *h) { return host_name(h->agent); }

struct run_host *run_instance_host(struct run *run)
{
    return run->moved && run->dest ? run->dest : run->source;
}

const char *run_server_id(const struct run *run)
{
    return json_str(run->server, "id", json_str(run->instance, "uuid", ""));
}

const char *run_nova_name(const struct run_host *h) { return h->nova_name ? h->nova_name : run_host_name(h); }

const char *run_instance_name(const struct run *run)
{
    return json_str(run->instance, "title", json_str(run->instance, "name", ""));
}

const char *run_dest_name(const struct run *run)
{
    return run->dest ? run_host_name(run->dest) : "a host of the scheduler's choice";
}
