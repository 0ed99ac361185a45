// SPDX-License-Identifier: MIT
// By which names and shapes a secret is recognized (mask_names.c); where in a text it stands is mask.c's.
#ifndef MIGRUN_BASE_MASK_INTERNAL_H
#define MIGRUN_BASE_MASK_INTERNAL_H

#include "base/mask.h"

#include <stdbool.h>
#include <stddef.h>

// What a name says of its value: nothing ("user", "key_file"), that it may be secret ("key", "auth"), that it
// is ("password", "api_key").
enum secrecy { NOT_SECRET, MAY_BE_SECRET, IS_SECRET };
enum secrecy mask_secrecy(const char *name, size_t len);
// Whether it is a public key's name, whose value has the shape of a private one's.
bool mask_is_public(const char *name, size_t len);
// Whether the value of such a name is to be masked: not "none", a path, a UUID, a placeholder; of a name that
// only may be a secret's, what looks random.
bool mask_is_wanted(enum secrecy secrecy, const char *value, size_t len);
// Whether name is one of these words, which end with NULL.
bool mask_is_one_of(const char *name, size_t len, const char *const *words);
// The members of a pair that names a secret: {"name": "password", "value": …}.
bool mask_is_pair_name(const char *name, size_t len);
bool mask_is_pair_value(const char *name, size_t len);
// The length of the secret that begins at text and has a shape of its own: *shown bytes of it say what it is.
// 0: none.
size_t mask_shape(const char *text, size_t *shown);

#endif
