// SPDX-License-Identifier: MIT
// A site: how its hosts are reached, and where things lie there. Every value has a default that fits packaged
// OpenStack.
#ifndef MIGRUN_WORLD_SITE_H
#define MIGRUN_WORLD_SITE_H

#include "base/error.h"
#include "base/json.h"

// How one host is reached, after the site's defaults were applied.
struct host_spec {
    char *name;    // as the operator writes it
    char *address; // for ssh (default: the name; may be an alias of ssh_config)
    char *user;    // ssh's user, NULL: ssh's own default
    char *become;  // NULL, or a program that makes the agent root: "sudo"
    char *agent;   // "migrun-agent"
    char *relay;   // how libvirt's socket comes here: "auto" (forwarded by ssh, else the agent), "agent"
    int keep;      // for how many seconds a login is kept for the next run; 0: not at all
    bool local;    // this machine: no ssh
    json_t *ssh_options; // array of strings, before the host name
    json_t *settings;    // the merged site object of this host: libvirt {socket, socket_ro, uri}, instances,
                         // services, logs
};

struct site {
    char *path;   // NULL: no file, the defaults
    json_t *json; // the whole, validated, defaults filled in
};
// From the (data-only) site file's table. Every key and type is checked: ERR_SITE, "unknown key 'hosst'; did
// you mean 'hosts'?", with the line where the text (the file's, or NULL) has that key once.
int site_from_json(const json_t *table, const char *path, const char *text, struct site **site,
                   struct error *err);
void site_free(struct site *site);
// The spec of a host: of the site file, or the site's defaults with this name. A name that starts with '-' or
// holds white space, control characters or '/' is refused (it would reach ssh's command line).
int site_host(const struct site *site, const char *name, struct host_spec **spec, struct error *err);
void host_spec_free(struct host_spec *spec);
struct host_spec *host_spec_copy(const struct host_spec *spec);
json_t *site_host_names(const struct site *site);    // array, borrowed
json_t *site_control_names(const struct site *site); // the same of the hosts that run the cloud's services

#endif
