// SPDX-License-Identifier: MIT
// What people and files that others read are shown of secrets.
#ifndef MIGRUN_BASE_MASK_H
#define MIGRUN_BASE_MASK_H

#include "base/json.h"

// What stands in the place of a secret.
#define MASK "********"

// Masks secrets in text, line by line as it is: by names ("password = x", "api_key: x", --token x, <secret>x,
// passwd='x', pairs of name and value), by shapes (private keys, hashes of crypt, Bearer and Basic, base64
// keys of WireGuard and Ceph) and by places (a URL's user and password, YAML's blocks and lists). What is
// told of a secret stays ("key_file = /etc/x", "auth_tcp = none", <secret uuid='…'/>). Caller frees.
char *mask_secrets(const char *text);
// A copy of data with its secrets masked: values of members with such a name, the word behind an option of
// such a name in a list of words, and what mask_secrets finds in a text.
json_t *mask_json(const json_t *data);
// Masks in data (a copy of mask_json's, say) each of these texts wherever it stands: values that were
// declared secret. secrets: a list of mask_forms', or NULL.
void mask_values(json_t *data, const json_t *secrets);
// The texts by which a secret value can appear: itself, its lines, and as JSON and URLs write it. Adds them
// to forms.
enum { SECRET_LEAST = 4 }; // bytes: shorter ones would be masked in every other word
void mask_forms(const char *value, json_t *forms);
// Whether something in data was masked.
bool mask_is_in(const json_t *data);

#endif
