// SPDX-License-Identifier: MIT
#include "base/json.h"

#include "base/text.h"

void util_json_decref(json_t **json) { json_decref(*json); }

void json_add_once(json_t *array, const char *text)
{
    size_t i;
    json_t *other;
    json_array_foreach(array, i, other)
        if (STREQ(json_string_value(other), text))
            return;
    json_array_append_new(array, json_text(text));
}

json_t *json_text(const char *text)
{
    auto_free char *clean = valid_utf8(text);
    return json_string(clean);
}

// Whether values of so many bytes of text can be had, by what jansson takes for each: an empty object of
// three bytes takes some 250.
static bool is_affordable(const char *text, size_t len)
{
    enum { CONTAINER = 256, MEMBER = 128 };
    size_t memory = 0, depth = 0;
    bool in_string = false;
    for (const char *p = text; p < text + len && memory <= JSON_MEMORY_MOST; p++) {
        if (in_string) {
            in_string = *p != '"';
            p += *p == '\\'; // and what it escapes
        } else if (*p == '{' || *p == '[') {
            memory += CONTAINER;
            if (++depth > JSON_DEPTH_MOST)
                return false;
        } else if (*p == '}' || *p == ']') {
            depth -= depth > 0;
        } else if (*p == ',') {
            memory += MEMBER;
        } else {
            in_string = *p == '"';
        }
    }
    return memory <= JSON_MEMORY_MOST;
}

json_t *json_foreign(const char *text, size_t len, size_t flags, json_error_t *why)
{
    if (is_affordable(text, len))
        return json_loadb(text, len, flags, why);
    if (why) {
        *why = (json_error_t){.line = 1};
        snprintf(why->text, sizeof why->text, "nested too deeply, or too many values");
    }
    return NULL;
}

static void add_escape(struct buf *line, uint32_t code)
{
    if (code > 0xffff) // two halves, as UTF-16 has it
        buf_printf(line, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
    else
        buf_printf(line, "\\u%04x", code);
}

char *json_line(const json_t *json)
{
    auto_free char *text = json_dumps(json, JSON_COMPACT);
    struct buf line = {0};
    if (!text)
        return NULL;
    const char *from = text, *p = text;
    while (*p) {
        uint32_t code = 0x7f;
        size_t n = *p == 0x7f ? 1 : unseen_length(p, &code);
        if (n == 0) {
            p++;
            continue;
        }
        buf_add(&line, from, (size_t)(p - from));
        add_escape(&line, code);
        from = p += n;
    }
    buf_add(&line, from, (size_t)(p - from));
    return buf_take(&line);
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
