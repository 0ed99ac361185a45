// SPDX-License-Identifier: MIT
// Members of JSON objects: the value, or a default when it is absent or of another type.
#ifndef MIGRUN_BASE_JSON_H
#define MIGRUN_BASE_JSON_H

#include "base/memory.h"

#include <jansson.h>

#define auto_json cleanup(util_json_decref)
void util_json_decref(json_t **json);

const char *json_str(const json_t *object, const char *key, const char *fallback);
int64_t json_int(const json_t *object, const char *key, int64_t fallback);
double json_num(const json_t *object, const char *key, double fallback);
bool json_flag(const json_t *object, const char *key, bool fallback);
void json_add_once(json_t *array, const char *text); // to an array of texts, where it is not in it yet
// A JSON string of any bytes: invalid UTF-8 is escaped as in printable().
json_t *json_text(const char *text);
// What somebody else wrote, by jansson's flags. NULL (*why, if wanted): it is not JSON, or it would take far
// more memory than its text (JSON_MEMORY_MOST, of some 16 MB of text that lists files) or is nested more than
// JSON_DEPTH_MOST deep.
json_t *json_foreign(const char *text, size_t len, size_t flags, json_error_t *why);
#define JSON_MEMORY_MOST (192u << 20)
#define JSON_DEPTH_MOST 128
// One line of JSON, without its end, which a terminal can show: what printable() would escape is escaped as
// JSON has it (\u202e). Caller frees; NULL: it is not valid JSON.
char *json_line(const json_t *json);

#endif
