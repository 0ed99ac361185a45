// SPDX-License-Identifier: MIT
#include "base/mask.h"

#include "base/mask_internal.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static json_t *mask_text(const json_t *text)
{
    const char *plain = json_string_value(text);
    if (strlen(plain) != json_string_length(text))
        return json_string(MASK); // bytes of some kind
    auto_free char *masked = mask_secrets(plain);
    return json_string_nocheck(masked);
}

// "--admin-password", whose value is the next word.
static bool is_option_of_secret(const json_t *word)
{
    const char *text = json_string_value(word);
    return text && *text == '-' && !strchr(text, '=') && mask_secrecy(text, strlen(text)) == IS_SECRET;
}

// "-pPASSWORD": only those who know the program can tell.
static bool is_word_of_mysql(const json_t *list, const char *word)
{
    const char *program = json_string_value(json_array_get(list, 0)),
               *slash = program ? strrchr(program, '/') : NULL;
    static const char *const programs[] = {"mysql", "mariadb", "sshpass"};
    program = slash ? slash + 1 : program;
    for (size_t i = 0; program && i < COUNT_OF(programs); i++)
        if (strncmp(program, programs[i], strlen(programs[i])) == 0)
            return strncmp(word, "-p", 2) == 0 && word[2];
    return false;
}

static json_t *mask_word(const json_t *list, size_t i, const json_t *word)
{
    const char *text = json_string_value(word);
    if (text && i > 0 && is_option_of_secret(json_array_get(list, i - 1)) &&
        mask_is_wanted(IS_SECRET, text, strlen(text)))
        return json_string(MASK);
    if (text && i > 0 && is_word_of_mysql(list, text)) {
        auto_free char *masked = xasprintf("-p%s", MASK);
        return json_string(masked);
    }
    return mask_json(word);
}

static json_t *mask_list(const json_t *list)
{
    json_t *all = json_array(), *entry;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, entry)
        json_array_append_new(all, mask_word(list, i, entry));
    return all;
}

// {"name": "password", "value": …}
static bool is_pair_of_secret(const json_t *object)
{
    const char *name, *text;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
        if (mask_is_pair_name(name, strlen(name)) && (text = json_string_value(value)) &&
            mask_secrecy(text, strlen(text)) == IS_SECRET)
            return true;
    return false;
}

// What a member with such a name holds.
static json_t *mask_member(enum secrecy secrecy, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text && mask_is_wanted(secrecy, text, json_string_length(value)))
        return json_string(MASK);
    if (secrecy != IS_SECRET || !(json_is_array(value) || json_is_number(value)))
        return mask_json(value);
    if (json_is_number(value))
        return json_string(MASK);
    json_t *all = json_array(), *entry;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)value, i, entry)
        json_array_append_new(all, mask_member(secrecy, entry));
    return all;
}

static json_t *mask_object(const json_t *object)
{
    bool pair = is_pair_of_secret(object);
    json_t *all = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        enum secrecy secrecy = mask_secrecy(name, strlen(name));
        if (pair && mask_is_pair_value(name, strlen(name)))
            secrecy = IS_SECRET;
        else if (pair && mask_is_pair_name(name, strlen(name)))
            secrecy = NOT_SECRET;
        json_object_set_new_nocheck(all, name, mask_member(secrecy, value));
    }
    return all;
}

json_t *mask_json(const json_t *data)
{
    return json_is_object(data)   ? mask_object(data)
           : json_is_array(data)  ? mask_list(data)
           : json_is_string(data) ? mask_text(data)
                                  : json_deep_copy(data);
}

// ---- values that were declared ----

// A text without what stands in it of the secrets; NULL: nothing does.
static char *without(const char *text, const json_t *secrets)
{
    char *masked = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)secrets, i, entry) {
        const char *secret = json_string_value(entry), *from = masked ? masked : text,
                   *at = strstr(from, secret);
        if (!at)
            continue;
        struct buf out = {0};
        for (; at; at = strstr(from, secret)) {
            buf_add(&out, from, (size_t)(at - from));
            buf_puts(&out, MASK);
            from = at + strlen(secret);
        }
        buf_puts(&out, from);
        free(masked);
        masked = buf_take(&out);
    }
    return masked;
}

void mask_values(json_t *data, const json_t *secrets)
{
    const char *name, *text = json_string_value(data);
    json_t *value;
    size_t i;
    if (json_array_size(secrets) == 0)
        return;
    json_object_foreach(data, name, value)
        mask_values(value, secrets);
    json_array_foreach(data, i, value)
        mask_values(value, secrets);
    auto_free char *masked = text ? without(text, secrets) : NULL;
    if (masked)
        json_string_set_nocheck(data, masked);
}

static void add_form(json_t *forms, const char *text, size_t len)
{
    auto_free char *form = xstrndup(text, len);
    if (len < SECRET_LEAST)
        return;
    json_array_append_new(forms, json_string_nocheck(form));
}

// As it stands in a URL.
static char *url_form(const char *text)
{
    struct buf out = {0};
    for (; *text; text++)
        buf_printf(&out, isalnum((unsigned char)*text) || strchr("-._~", *text) ? "%c" : "%%%02X",
                   (unsigned char)*text);
    return buf_take(&out);
}

void mask_forms(const char *value, json_t *forms)
{
    auto_json json_t *text = json_string_nocheck(value);
    auto_free char *json = json_dumps(text, JSON_ENCODE_ANY), *url = url_form(value);
    add_form(forms, value, strlen(value)); // the whole before its parts
    if (json && strlen(json) - 2 != strlen(value))
        add_form(forms, json + 1, strlen(json) - 2);
    if (!STREQ(url, value))
        add_form(forms, url, strlen(url));
    if (!strchr(value, '\n'))
        return;
    for (const char *line = value; *line;
         line += line[strcspn(line, "\n")] ? strcspn(line, "\n") + 1 : strlen(line))
        add_form(forms, line, strcspn(line, "\n"));
}

bool mask_is_in(const json_t *data)
{
    const char *name;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)data, name, value)
        if (mask_is_in(value))
            return true;
    json_array_foreach((json_t *)(uintptr_t)data, i, value)
        if (mask_is_in(value))
            return true;
    return json_is_string(data) && strstr(json_string_value(data), MASK);
}
