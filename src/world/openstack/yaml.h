// SPDX-License-Identifier: MIT
// YAML as plain data (libyaml): enough for clouds.yaml and its kin.
#ifndef MIGRUN_WORLD_OPENSTACK_YAML_H
#define MIGRUN_WORLD_OPENSTACK_YAML_H

#include "base/error.h"
#include "base/json.h"

// The first document of a text. Scalars are texts, but for plain true/false/yes/no/on/off and null/~; anchors
// and << are followed. An empty text is an empty object. ERR_USAGE: "line 3: …", without the text itself,
// which may be a secret.
int yaml_parse(const char *text, size_t len, json_t **json, struct error *err);

#endif
