// SPDX-License-Identifier: MIT
#include "base/json.h"

#include "base/text.h"

void util_json_decref(json_t **json) { json_decref(*json); }

json_t *json_text(const char *text)
{
    auto_free char *clean = valid_utf8(text);
    return json_string(clean);
}

const char *json_str(const json_t *object, const char *key, const char *fallback)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : fallback;
}

int64_t json_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_real(value))
        return json_is_integer(value) ? json_integer_value(value) : fallback;
    double real = json_real_value(value);
    return real > -9223372036854775808.0 && real < 9223372036854775808.0
               ? (int64_t)real
               : fallback; // what does not fit says nothing
}

double json_num(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool json_flag(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}
