// SPDX-License-Identifier: MIT
// What people and files that others read are shown of secrets.
#ifndef MIGRUN_BASE_MASK_H
#define MIGRUN_BASE_MASK_H

#include "base/json.h"

// Masks secrets in text: passwd='…' of graphics, <secret>/<password> contents, "password = x" lines of INI
// files (keys that contain password, passwd, secret, token, credential), user:password@ in URLs. Caller
// frees.
char *mask_secrets(const char *text);
// A copy of data with its secrets masked: values of members with such a name, the word behind an option of
// such a name in a list of words, and what mask_secrets finds in a text.
json_t *mask_json(const json_t *data);
// Whether something in data was masked.
bool mask_is_in(const json_t *data);

#endif
