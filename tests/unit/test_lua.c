// SPDX-License-Identifier: MIT
// C calls Lua: whatever a policy raises comes back as an error, and migrun lives on.
#include "lua/interp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

// Runs a chunk, which raises, and checks the error's text.
static void expect(const char *chunk, const char *text)
{
    struct interp in = {0};
    struct error err = {0};
    assert_int_equal(interp_open(&in, &err), 0);
    assert_int_equal(luaL_loadstring(in.L, chunk), LUA_OK);
    assert_int_equal(interp_call(in.L, 0, 0, &err), -1);
    if (!strstr(err.message, text))
        fail_msg("%s: '%s'", chunk, err.message);
    assert_int_equal(lua_gettop(in.L), 0);
    interp_close(&in);
}

static void what_is_raised_is_read_raw(void **state)
{
    (void)state;
    expect("error(setmetatable({}, { __index = function() error('again') end }))",
           "an error without a message");
    expect("error(setmetatable({ message = 'plain' }, { __index = function() error('again') end }))",
           "plain");
    expect("error(setmetatable({}, { __tostring = function() error('again') end }))",
           "an error without a message");
    expect("error({ message = {}, domain = {}, code = {}, source = {} })", "an error without a message");
    expect("local t = {} t.message = t error(t)", "an error without a message");
    expect("error(nil)", "an error that is not a string");
    expect("error(function() end)", "an error that is not a string");
    expect("error(12)", "12");
}

static void a_lost_global_takes_nothing_down(void **state)
{
    (void)state;
    expect("error, pcall, type, require = nil local x = nil + 1", "arithmetic on a nil value");
    expect("_G.error = nil error('x')", "undefined global 'error'");
}

static int long_mistake(lua_State *L)
{
    char text[1600];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    return lua_mistake(L, "%s", text);
}

static void a_long_message_ends(void **state)
{
    (void)state;
    struct interp in = {0};
    struct error err = {0};
    assert_int_equal(interp_open(&in, &err), 0);
    lua_rawgeti(in.L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushstring(in.L, "long_mistake");
    lua_pushcfunction(in.L, long_mistake);
    lua_rawset(in.L, -3);
    lua_pop(in.L, 1);
    assert_int_equal(luaL_loadstring(in.L, "local a = 1 long_mistake() return a"), LUA_OK);
    assert_int_equal(interp_call(in.L, 0, 0, &err), -1);
    assert_true(memchr(err.message, '\0', sizeof err.message) != NULL);
    interp_close(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_raised_is_read_raw),
        cmocka_unit_test(a_lost_global_takes_nothing_down),
        cmocka_unit_test(a_long_message_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
