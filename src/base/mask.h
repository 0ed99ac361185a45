// SPDX-License-Identifier: MIT
// What people and files that others read are shown of secrets.
#ifndef MIGRUN_BASE_MASK_H
#define MIGRUN_BASE_MASK_H

#include "base/json.h"

// Masks secrets in text, line by line as it is: by names ("password = x", "api_key: x", --token x, <secret>x,
// passwd='x', pairs of name and value), by shapes (private keys, hashes of crypt, Bearer and Basic, base64
// keys of WireGuard and Ceph) and by places (a URL's user and password, YAML's blocks and lists). What is
// told of a secret stays ("key_file = /etc/x", "auth_tcp = none", <secret uuid='…'/>). Caller frees.
char *mask_secrets(const char *text);
// A copy of data with its secrets masked: values of members with such a name, the word behind an option of
// such a name in a list of words, and what mask_secrets finds in a text.
json_t *mask_json(const json_t *data);
// Whether something in data was masked.
bool mask_is_in(const json_t *data);

#endif
