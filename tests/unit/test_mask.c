// SPDX-License-Identifier: MIT
// What is shown of data that holds secrets.
#include "base/mask.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *json_of(const char *text)
{
    json_t *data = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(data);
    return data;
}

static void is_shown_as(const char *text, const char *shown)
{
    auto_json json_t *data = json_of(text), *expected = json_of(shown), *masked = mask_json(data);
    auto_free char *is = json_dumps(masked, JSON_ENCODE_ANY);
    if (!json_equal(masked, expected))
        fail_msg("%s is shown as %s", text, is);
    assert_int_equal(mask_is_in(masked), !json_equal(data, masked));
    assert_false(mask_is_in(data));
}

static void members_of_such_a_name(void **state)
{
    (void)state;
    is_shown_as("{\"changePassword\": {\"adminPass\": \"x\"}}",
                "{\"changePassword\": {\"adminPass\": \"********\"}}");
    is_shown_as("{\"auth\": [{\"token_secret\": 12, \"id\": 3}]}",
                "{\"auth\": [{\"token_secret\": \"********\", \"id\": 3}]}");
    is_shown_as("{\"password\": {\"length\": 8}, \"token\": null, \"secret\": true}",
                "{\"password\": {\"length\": 8}, \"token\": null, \"secret\": true}");
}

static void words_of_commands(void **state)
{
    (void)state;
    is_shown_as("[\"tool\", \"--admin-password\", \"x\", \"--host\", \"h\"]",
                "[\"tool\", \"--admin-password\", \"********\", \"--host\", \"h\"]");
    is_shown_as("[\"tool\", \"--token=x\", \"DB_PASSWORD=y\", \"https://u:p@h/\"]",
                "[\"tool\", \"--token=********\", \"DB_PASSWORD=********\", \"https://u:********@h/\"]");
    is_shown_as("[\"passwd\", \"root\"]", "[\"passwd\", \"root\"]");
}

static void what_holds_none(void **state)
{
    (void)state;
    is_shown_as("{\"a\": [1, 2.5, true, null, \"plain\", {}]}",
                "{\"a\": [1, 2.5, true, null, \"plain\", {}]}");
    is_shown_as("\"no such secret: it was removed\"", "\"no such secret: it was removed\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_such_a_name),
        cmocka_unit_test(words_of_commands),
        cmocka_unit_test(what_holds_none),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
