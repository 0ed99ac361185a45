// SPDX-License-Identifier: MIT
// Which cloud, and with what credentials: clouds.yaml, secure.yaml, clouds-public.yaml and OS_*, with the
// precedence of openstacksdk.
#ifndef MIGRUN_WORLD_OPENSTACK_CONFIG_H
#define MIGRUN_WORLD_OPENSTACK_CONFIG_H

#include "base/error.h"
#include "base/json.h"

struct cloud_config {
    char *name;     // as clouds.yaml has it; "envvars" for one of OS_* alone
    char *where;    // the file, or "OS_*"
    json_t *values; // all as openstacksdk names them, of texts and flags: auth {…}, region_name, interface,
                    // verify, cacert, …
};
// ERR_USAGE, one sentence, when there are no credentials, no such cloud, no such region, or a file is not to
// be read.
int cloud_config_load(struct cloud_config *config, struct error *err);
void cloud_config_free(struct cloud_config *config);
const char *cloud_config_auth(const struct cloud_config *config, const char *key);  // of auth, or NULL
const char *cloud_config_value(const struct cloud_config *config, const char *key); // a text, or NULL
bool cloud_config_flag(const struct cloud_config *config, const char *key, bool fallback);

#endif
