// SPDX-License-Identifier: MIT
// C calls Lua: whatever a policy raises comes back as an error, and migrun lives on.
#include "base/interrupt.h"
#include "lua/bindings.h"
#include "lua/policy.h"
#include "lua/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void begin(lua_State *L)
{
    open_sandbox(L);
    register_xml(L);
    sandbox_module(L, "migrun.words", luaopen_migrun_words);
}

// Runs a chunk, which raises, and checks the error's text.
static void expect_with(void (*opens)(lua_State *L), const char *chunk, const char *text)
{
    struct interp in = {0};
    struct error err = {0};
    assert_int_equal(interp_open(&in, opens, &err), 0);
    assert_int_equal(luaL_loadstring(in.L, chunk), LUA_OK);
    assert_int_equal(interp_call(in.L, 0, 0, &err), -1);
    if (!strstr(err.message, text))
        fail_msg("%s: '%s'", chunk, err.message);
    assert_int_equal(lua_gettop(in.L), 0);
    interp_close(&in);
}

static void expect(const char *chunk, const char *text) { expect_with(begin, chunk, text); }

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

// A table without a message is told by what it holds, and each mistake by its place.
static void what_is_raised_is_told_well(void **state)
{
    (void)state;
    expect("error({ code = 5 })",
           "[string \"error({ code = 5 })\"]:1: an error without a message: { code = 5 }");
    expect("error({ late = true })", "an error without a message: { late = true }");
    expect("error({ 'x', why = 'late', f = print })", "an error without a message: { why = \"late\" }");
    expect("error({ message = 'it is late' })", "]:1: it is late");
    expect("error({ message = 'no', domain = 'refused' })", "no");
}

static void expect_trace(const char *chunk, const char *trace)
{
    struct interp in = {0};
    struct error err = {0};
    assert_int_equal(interp_open(&in, begin, &err), 0);
    assert_int_equal(luaL_loadbuffer(in.L, chunk, strlen(chunk), "@p.lua"), LUA_OK);
    assert_int_equal(interp_call(in.L, 0, 0, &err), -1);
    if (trace)
        assert_string_equal(in.trace, trace);
    else
        assert_null(in.trace);
    interp_close(&in);
}

// Functions of Lua alone, the innermost first; what a host answers, and a refusal, has none.
static void a_mistake_has_a_trace(void **state)
{
    (void)state;
    expect_trace("error('x')", "at p.lua:1 in the file itself");
    expect_trace("local function f(t)\n  return t.x.y\nend\nlocal g = {}\nfunction g.h() local x = f({}) "
                 "return x end\n"
                 "local y = g.h()",
                 "at p.lua:2 in 'f'\nat p.lua:5 in 'h'\nat p.lua:6 in the file itself");
    expect_trace("local t = { 3, 2, 1 }\ntable.sort(t, function(a, b)\n  return a.x < b\nend)",
                 "at p.lua:3\nat p.lua:2 in the file itself");
    expect_trace("local function f() return 1 + f() end\nlocal x = f()", "at p.lua:1 in 'f'");
    expect_trace("error({ message = 'no', domain = 'refused' })", NULL);
    expect_trace("error({ message = 'no', domain = 'host' })", NULL);
}

static void a_lost_global_takes_nothing_down(void **state)
{
    (void)state;
    expect("error, pcall, type, require = nil local x = nil + 1", "arithmetic on a nil value");
    expect("_G.error = nil error('x')", "undefined global 'error'");
}

static void the_library_is_not_the_policys(void **state)
{
    (void)state;
    expect("require('migrun.policy').check = 5", "'check' of migrun's library cannot be set");
    expect("rawset(require 'migrun.check', 'x', 5)", "undefined global 'rawset'");
    expect("local c = require 'migrun.check' local n = 0 for _ in pairs(c) do n = n + 1 end "
           "assert(n > 10 and c.memory_fits == require('migrun.check').memory_fits) "
           "setmetatable(c, {})",
           "protected");
}

// A finalizer has run, and a weak table still has the document.
static void a_document_that_is_gone(void **state)
{
    (void)state;
    expect("local xml = require 'migrun.xml' local weak = setmetatable({}, { __mode = 'k' }) "
           "for round = 1, 200 do weak[xml.parse '<a/>'] = true "
           "local t = {} for i = 1, 2000 do t[i] = { i } end "
           "for d in pairs(weak) do d:text() end end error 'survived'",
           "");
}

static void documents_end(void **state)
{
    (void)state;
    expect("local xml, t = require 'migrun.xml', {} local text = '<a>' .. ('<b/>'):rep(200000) .. '</a>' "
           "for i = 1, 500 do t[i] = xml.parse(text) end",
           "documents may use 256 MiB in all");
    // those that nobody has any more are not counted
    expect("local xml = require 'migrun.xml' local text = '<a>' .. ('<b/>'):rep(200000) .. '</a>' "
           "for i = 1, 30 do xml.parse(text) end error 'all parsed'",
           "all parsed");
}

static void with_host(lua_State *L)
{
    static struct run run;
    static struct run_host h = {.run = &run};
    open_sandbox(L);
    register_host(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushstring(L, "host");
    push_host(L, &h);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static void is_refused(const char *chunk, const char *text) { expect_with(with_host, chunk, text); }

static void call_is_refused(const char *function, const char *path, const char *more, const char *text)
{
    auto_free char *chunk = xasprintf("host:%s('%s'%s)", function, path, more);
    is_refused(chunk, text);
}

// A preview refuses what the run would.
static void state_of_libvirt_is_known_by_any_spelling(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/run/libvirt/qemu/g.xml",   "//run/libvirt/qemu/g.xml", "/run/./libvirt//qemu/./g.xml",
        "/./run/libvirt/qemu/g.xml", "/var/run/libvirt/g",       "/etc/libvirt/qemu/networks/n.xml",
        "/etc/libvirt/qemu/",        "/etc/libvirt/qemu/.",      "/var/lib/libvirt/qemu/save//g.save"};
    static const struct {
        const char *begin, *end, *text;
    } calls[] = {{"write", ", ''", "only edit_xml changes it"},
                 {"edit", ", tostring", "only edit_xml changes it"},
                 {"remove", "", "only edit_xml changes it"},
                 {"edit_xml", ", { changes = {}, apply = print }", "libvirtd writes it anew"},
                 {"chown", ", 0", "so are its owner and mode"},
                 {"chmod", ", 384", "so are its owner and mode"}};
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        for (size_t k = 0; k < COUNT_OF(paths); k++)
            call_is_refused(calls[i].begin, paths[k], calls[i].end, calls[i].text);
        call_is_refused(calls[i].begin, "/srv/../run/libvirt/qemu/g.xml", calls[i].end, "has no '..'");
    }
    is_refused("host:chown('/var/lib/libvirt/qemu/save/nvram', 0)", "so are its owner and mode");
    is_refused("host:chmod('relative', 0)", "begins with '/'");
}

static void nothing_is_asked_after_an_interrupt(void **state)
{
    (void)state;
    interrupt_count = 1;
    is_refused("host:stat('/etc/x')", "interrupted");
    is_refused("pcall(host.stat, host, '/etc/x') pcall(host.list, host, '/etc')", "interrupted");
    interrupt_count = 0;
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
    assert_int_equal(interp_open(&in, open_sandbox, &err), 0);
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

// ---- whole policies ----

#define HEAD "local fixup = require 'migrun.fixup' local function nothing() end "
#define STEPS "return { api = 1, summary = 'Nasty', steps = { %s } }"

static void save(char *path, const char *text)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int load(struct policy *policy, const char *text, struct error *err)
{
    char path[] = "/tmp/migrun-test-XXXXXX";
    save(path, text);
    auto_json json_t *params = json_object();
    int rc = policy_load(policy, path, params, err);
    unlink(path);
    return rc;
}

// A secret is read from where the command line says, and is known to be masked; it is not said there itself.
static void secret_parameters(void **state)
{
    (void)state;
    static const char text[] =
        "return { api = 1, summary = 'x', takes = {}, params = { pin = { type = 'secret' } }, "
        "steps = { { 'x', phase = 'check', run = function() end } } }";
    char path[] = "/tmp/migrun-test-XXXXXX", file[] = "/tmp/migrun-test-XXXXXX";
    save(path, text);
    save(file, "opensesame\n");
    auto_free char *at_file = xasprintf("@%s", file);
    setenv("MIGRUN_TEST_PIN", "opensesame", 1);
    const struct {
        const char *given, *says;
        mode_t mode;
    } cases[] = {
        {at_file, NULL, 0600},
        {"env:MIGRUN_TEST_PIN", NULL, 0600},
        {"env:MIGRUN_TEST_PIN", NULL, 0600}, // a second run of a recovery
        {at_file, "is not yours alone", 0644},
        {"opensesame", "is a secret, and other users see a command line: write -p pin=@/PATH", 0600},
        {"env:MIGRUN_TEST_NONE", "there is no variable MIGRUN_TEST_NONE in the environment", 0600},
        {"@/nonexistent/pin", "cannot be read: No such file", 0600},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct policy policy;
        struct error err = {0};
        auto_json json_t *params = json_pack("{s:s}", "pin", cases[i].given);
        assert_int_equal(chmod(file, cases[i].mode), 0);
        assert_int_equal(policy_load(&policy, path, params, &err), cases[i].says ? -1 : 0);
        if (cases[i].says && !strstr(err.message, cases[i].says))
            fail_msg("%s: %s", cases[i].given, err.message);
        assert_null(strstr(err.message, "opensesame"));
        assert_int_equal(json_array_size(policy.procedure.secrets), cases[i].says ? 0 : 1);
        policy_free(&policy);
    }
    assert_null(getenv("MIGRUN_TEST_PIN"));
    unlink(path);
    unlink(file);
}

// A bare name is a policy of the site's or of migrun's own, never a file that lies in the current folder.
static void a_bare_name_is_no_file_here(void **state)
{
    (void)state;
    char folder[] = "/tmp/migrun-here-XXXXXX", *before = getcwd(NULL, 0);
    struct policy policy;
    struct error err = {0};
    auto_json json_t *params = json_object();
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    FILE *file = fopen("here.lua", "w");
    assert_non_null(file);
    fputs("return { api = 1, summary = 'Here', steps = {} }", file);
    fclose(file);
    assert_int_equal(policy_load(&policy, "here.lua", params, &err), -1);
    assert_non_null(strstr(err.message, "there is no policy 'here.lua' in /etc/migrun/policies or "));
    assert_non_null(strstr(err.message, "; the file here is ./here.lua"));
    policy_free(&policy);
    policy_load(&policy, "./here.lua", params, &err);
    assert_string_equal(policy.procedure.name, "./here.lua");
    policy_free(&policy);
    assert_int_equal(unlink("here.lua"), 0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(folder), 0);
    free(before);
}

// Each is a mistake, and none takes the process down.
static void a_policy_that_cannot_be_loaded_is_a_mistake(void **state)
{
    (void)state;
    static const char *const nasty[] = {
        "error(setmetatable({}, { __index = error, __tostring = error, __name = {} }))",
        "_G.require = nil return 1",
        "_G.type, _G.pairs, _G.ipairs, _G.next, _G.setmetatable = nil return {}",
        "string.format = nil string.find = error string.match = nil return { api = 1 }",
        "getmetatable('').__index = function() error {} end return { api = 1, summary = 'x' }",
        "getmetatable('').__index = nil return { api = 1, summary = 'x', steps = {} }",
        "table.sort, table.concat, table.insert = error, error, error return { steps = { 1 } }",
        "math.huge = nil math.type = error tostring = nil return { params = { x = {} } }",
        "return setmetatable({}, { __index = error, __pairs = error, __len = error })",
        "return setmetatable({}, { __pairs = function() return error end })",
        "return { api = 1, summary = setmetatable({}, { __tostring = error }), steps = {} }",
        "return { api = 1, summary = 'x', steps = setmetatable({}, { __index = error, __len = error }) }",
        "return { api = 1, summary = 'x', params = { a = setmetatable({}, { __index = error }) } }",
        "local t = {} t[1] = t return { api = 1, summary = t, params = t, steps = t }",
        "local x <close> = setmetatable({}, { __close = function() error(nil) end }) return 1",
        "local function f() return f() + 1 end return f()",
        "return (function() local ok = pcall(error, setmetatable({}, { __gc = error })) return ok end)()",
        "local hoard = {} string.hoard = hoard pcall(function() "
        "local s = ('x'):rep(1 << 20) while true do hoard[#hoard + 1] = s .. #hoard end end) return {}",
    };
    for (size_t i = 0; i < COUNT_OF(nasty); i++) {
        struct policy policy;
        struct error err = {0};
        if (load(&policy, nasty[i], &err) == 0 || !*err.message)
            fail_msg("%s: %s", nasty[i], err.message);
        policy_free(&policy);
    }
}

// ---- ways out of the sandbox ----

// What leads to files, processes, C, bytecode or the interpreter itself; by each of the ways to a name.
static const char *const doors[] = {
    "io",
    "io.open",
    "io.popen",
    "io.lines",
    "io.tmpfile",
    "os.execute",
    "os.exit",
    "os.remove",
    "os.rename",
    "os.tmpname",
    "os.getenv",
    "os.setlocale",
    "debug",
    "debug.getinfo",
    "debug.sethook",
    "debug.debug",
    "debug.getlocal",
    "debug.setupvalue",
    "debug.getregistry",
    "debug.setmetatable",
    "package",
    "package.loaded",
    "package.loadlib",
    "package.path",
    "package.cpath",
    "package.preload",
    "package.searchers",
    "package.searchpath",
    "dofile",
    "loadfile",
    "string.dump",
    "collectgarbage",
    "module",
    "newproxy",
    "jit",
    "ffi",
};
static const char *const ways_out[] = {
    "return @",
    "return _G.@",
    "return _ENV.@",
    "return (load('return @'))()",
    "return load('return @', '=x', 't', _ENV)()",
    "local v = _G for part in ('@'):gmatch('[^.]+') do v = rawget(v, part) end return v",
    "local m = require('@') return m",
};
// The others, each of its own kind.
static const char *const tricks[] = {
    "return load('\\27Lua')",
    "return load('\\27LuaT\\0', '=x', 'b')",
    "return load(function() return nil end)",
    "return setmetatable({}, { __gc = function() end })",
    "local t = setmetatable({}, {}) getmetatable(t).__gc = print return debug",
    "return getmetatable('').__metatable == nil and getmetatable(print)",
    "return require('../../../../etc/passwd')",
    "return require('/etc/passwd')",
    "return require('.passwd')",
    "return require('a..b')",
    "return require('migrun.check\\0x')",
    "return require('')",
    "return require('migrun')",
    "return require('migrun.words.x')",
    "require('migrun.check').x = 1 return true",
    "rawset(require('migrun.check'), 'x', 1) return true",
    "setmetatable(require('migrun.check'), nil) return true",
    "return getmetatable(require('migrun.check')).__newindex",
    "table.insert(require('migrun.check'), 1) return true",
    "new_global = 1 return true",
    "_G.new_global = 1 return rawget(_G, 'new_global') and load('return new_global')() == 2",
    "_ENV = { print = print } return print == nil",
    "return ('x'):rep(1 << 40)",
    "return (('x'):rep(1 << 20)):rep(1 << 20)",
    "return table.concat(setmetatable({}, { __len = function() return 1 << 60 end }))",
    "return string.format('%' .. ('9'):rep(9) .. 'd', 1)",
    "return select(-(1 << 62), 1)",
    "return table.unpack({}, 1, 1 << 30)",
    "return string.pack('!17i8', 1)",
    "return utf8.char(-1)",
    "return coroutine.wrap(function() return io end)()",
    "return coroutine.close(coroutine.running())",
    "local function f(...) return select('#', ...) + f(1, ...) end return f()",
    "return (function(...) return ... end)(table.unpack({}, 1, 1e8))",
    "goto x do local y ::x:: end return true",
    "return error == nil or xpcall(function() error(1) end, function() return io end) and nil",
};

// Whether a policy that is loaded reaches it: 1, 0, or -1, when even that it does not is not told by pcall.
static int gets_out(const char *snippet)
{
    auto_free char *text = xasprintf("local f, why = load([==[%s]==], '=x', 't', _ENV)\n"
                                     "local ok, got = pcall(f or error)\n"
                                     "if f and ok and got then error('it got out') end\n" STEPS,
                                     snippet, "{ 'x', phase = 'check', run = function() end }");
    struct policy policy;
    struct error err = {0};
    int rc = load(&policy, text, &err);
    policy_free(&policy);
    return rc == 0 ? 0 : strstr(err.message, "it got out") ? 1 : -1;
}

static void nothing_leads_out(void **state)
{
    (void)state;
    size_t tried = 0;
    assert_int_equal(gets_out("return string.rep"), 1); // what is allowed is found
    assert_int_equal(gets_out("return _G.os.time()"), 1);
    for (size_t i = 0; i < COUNT_OF(doors); i++)
        for (size_t k = 0; k < COUNT_OF(ways_out); k++, tried++) {
            size_t n = strcspn(ways_out[k], "@"); // stands for the door
            auto_free char *snippet = xasprintf("%.*s%s%s", (int)n, ways_out[k], doors[i],
                                                ways_out[k] + n + 1);
            if (gets_out(snippet) != 0)
                fail_msg("%s", snippet);
        }
    for (size_t i = 0; i < COUNT_OF(tricks); i++, tried++)
        if (gets_out(tricks[i]) > 0)
            fail_msg("%s", tricks[i]);
    assert_true(tried >= 250);
}

// Everything that the core asks of a policy. Errors are set, or nothing was wrong.
static void ask_everything(struct policy *policy)
{
    const struct procedure *procedure = &policy->procedure;
    static const struct error failure = {.domain = ERR_LIBVIRT, .message = "operation failed"};
    for (int again = 0; again < 2; again++) {
        auto_free char *why = NULL, *text = NULL, *undone = NULL, *verified = NULL;
        struct error err = {0};
        bool wanted;
        if (procedure->wanted(policy, 0, &wanted, &why, &err) < 0)
            assert_true(*err.message);
        if (procedure->perform(policy, 0, &text, &err) < 0)
            assert_true(*err.message);
        if (procedure->undo(policy, 0, &undone, &err) < 0)
            assert_true(*err.message);
        if (procedure->verify(policy, 0, &verified, &err) < 0)
            assert_true(*err.message);
        json_decref(procedure->explain(policy, &failure));
    }
}

// A step that hoards memory, or takes away what the core's own calls into Lua may need.
static void a_step_that_is_nasty_fails_or_not_and_the_next_is_asked(void **state)
{
    (void)state;
    static const struct run_options options = {.preview = true};
    static const char *const nasty[] = {
        "_G.require = nil",
        "_G.error, _G.pcall, _G.type = nil",
        "getmetatable('').__index = nil",
        "string.match, string.find, string.gsub, string.format = nil",
        "error(setmetatable({}, { __index = error, __tostring = error }))",
        "error()",
        "return setmetatable({}, { __tostring = error })",
        "return {}",
        "return 7",
        "return nothing",
        "local t = {} t[1] = t error(t)",
        "run.saved.loop = run.saved",
        "run.saved[nothing] = 1",
        "setmetatable(run.saved, { __index = error, __pairs = error, __len = error })",
        "run.saved[1], run.saved.x = 0/0, 'a'",
    };
    for (size_t i = 0; i < COUNT_OF(nasty); i++) {
        auto_free char *step = xasprintf("{ 'a', phase = 'prepare', run = function(run) %s end, "
                                         "undo = nothing, when = nothing }",
                                         nasty[i]);
        auto_free char *text = xasprintf(HEAD STEPS, step);
        struct policy policy;
        struct error err = {0};
        if (load(&policy, text, &err) < 0)
            fail_msg("%s: %s", nasty[i], err.message);
        struct run run = {.options = &options, .phase = PHASE_PREPARE};
        policy.in.run = &run;
        ask_everything(&policy);
        policy.in.run = NULL;
        json_decref(run.saved);
        policy_free(&policy);
    }
}

// Policies put together of nasty pieces: each is a mistake, or can be asked everything.
static void any_mixture_of_them_is_survived(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "_G.require = nil ",
        "_G.setmetatable, _G.pairs = error, error ",
        "string.match = error ",
        "table.insert = function() end ",
        "table.sort = nil ",
        "getmetatable('').__index = function() return error end ",
        "getmetatable('').__call = error ",
        "require('migrun.policy').check = function() return {}, {} end ",
        "require('migrun.policy').check = function(...) return ... end ",
        "require('migrun.policy').params = function() return setmetatable({}, { __index = error }), {} end ",
        "require('migrun.lint').check = function() return { problems = {}, positions = error } end ",
        "require('migrun.diagnose').explain = function() return { { label = error } } end ",
        "local ok, e = pcall(error, setmetatable({}, { __close = error, __tostring = error })) ",
        "pcall(string.rep, 'x', 1 << 40) ",
        "pcall(require, 'migrun.nothing') ",
    };
    static const char *const values[] = {
        "nil",
        "{}",
        "'x'",
        "0/0",
        "setmetatable({}, { __index = error, __len = error, __pairs = error })",
        "{ api = 1, summary = 'x', steps = { { 'a', phase = 'prepare', run = nothing, undo = error } } }",
        "{ api = 1, summary = 'x', steps = { { 'a', phase = 'fixup', run = error, verify = error } } }",
        "{ api = 1, summary = 'x', steps = { { 'a', phase = 'check', when = error, run = nothing } } }",
        "{ summary = 'x', steps = { { title = 'a', phase = 'check', run = print, needs = { {} } } } }",
        "{ summary = 'x', steps = { { title = {}, phase = 'check' } } }",
        "{ summary = 'x', steps = { { title = 'a', phase = 'nothing' } } }",
    };
    unsigned int random = 1;
    static const struct run_options options = {.preview = true};
    for (int i = 0; i < 600; i++) {
        random = random * 1103515245 + 12345;
        auto_free char *text = xasprintf(
            "local function nothing() end %s%s%sreturn %s", ways[random / 7 % COUNT_OF(ways)],
            ways[random / 131 % COUNT_OF(ways)], ways[random / 2503 % COUNT_OF(ways)],
            values[random / 65537 % COUNT_OF(values)]);
        struct policy policy;
        struct error err = {0};
        int rc = load(&policy, text, &err);
        struct run run = {.options = &options, .phase = PHASE_PREPARE};
        policy.in.run = &run;
        policy.in.work_max = 1000000;
        if (rc < 0 && !*err.message)
            fail_msg("%s", text);
        if (rc == 0 && policy.procedure.n_steps > 0)
            ask_everything(&policy);
        policy.in.run = NULL;
        json_decref(run.saved);
        policy_free(&policy);
    }
}

// Out of memory at each of the allocations of each call into Lua: an error, and nothing else.
static void no_memory_is_an_error(void **state)
{
    (void)state;
    struct policy policy;
    struct error err = {0};
    assert_int_equal(load(&policy,
                          HEAD
                          "return { api = 1, summary = 'Hoard', steps = { { 'a', phase = 'prepare', "
                          "run = function(run) run.saved.x = { 'y' } return 'a text of some length' end, "
                          "when = function() return 'because' end, undo = nothing } } }",
                          &err),
                     0);
    struct run run = {0};
    policy.in.run = &run;
    for (size_t more = 0; more < 4096; more += 16) {
        lua_gc(policy.in.L, LUA_GCCOLLECT);
        policy.in.memory_max = policy.in.memory + more;
        ask_everything(&policy);
    }
    policy.in.run = NULL;
    json_decref(run.saved);
    policy_free(&policy);
}

static void hear(void *data, const json_t *event)
{
    char **heard = data;
    free(*heard);
    *heard = xstrdup(json_str(event, "text", ""));
}

static int perform(const char *phase, const char *returns, char **text, char **heard, struct error *err)
{
    auto_free char *policy_text = xasprintf(
        "return { api = 1, summary = 'x', steps = { { 'a', phase = '%s', run = function() %s end } } }",
        phase, returns);
    static const struct run_options options = {.preview = true};
    struct policy policy;
    if (load(&policy, policy_text, err) < 0)
        fail_msg("%s", err->message);
    struct run run = {.options = &options,
                      .phase = policy.procedure.steps[0].phase,
                      .step = &policy.procedure.steps[0],
                      .listener = {.event = hear, .data = heard}};
    policy.in.run = &run;
    int rc = policy.procedure.perform(&policy, 0, text, err);
    policy.in.run = NULL;
    json_decref(run.saved);
    policy_free(&policy);
    return rc;
}

// The line of a mistake is shown, and the calls that led there; of what a host says nothing is.
static void a_mistake_shows_its_line(void **state)
{
    (void)state;
    struct error err = {0};
    auto_free char *text = NULL, *heard = NULL, *quiet = NULL;
    assert_int_equal(perform("check", "\n  local t = nil\n  return t.x\n", &text, &heard, &err), -1);
    assert_string_equal(heard, "    3 |   return t.x");
    assert_int_equal(perform("check", "local function f()\n  error('x')\n end f()", &text, &heard, &err), -1);
    assert_non_null(strstr(heard, "    2 |   error('x')\nat "));
    assert_non_null(strstr(heard, " in 'f'\nat "));
    assert_int_equal(perform("check", "error({ message = 'no', domain = 'host' })", &text, &quiet, &err), -1);
    assert_null(quiet);
}

// A check that returns false, or a table, is no yes; of other steps it is said that it is not shown.
static void what_a_step_returns_is_shown(void **state)
{
    (void)state;
    static const char *const shown[][2] = {
        {"return 'seen'", "seen"}, {"return 7", "7"}, {"return 1.5", "1.5"}};
    for (size_t i = 0; i < COUNT_OF(shown); i++) {
        auto_free char *text = NULL, *heard = NULL;
        struct error err = {0};
        assert_int_equal(perform("check", shown[i][0], &text, &heard, &err), 0);
        assert_string_equal(text, shown[i][1]);
    }
    static const char *const silent[] = {"", "return nil", "return true"};
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        auto_free char *text = NULL, *heard = NULL;
        struct error err = {0};
        assert_int_equal(perform("check", silent[i], &text, &heard, &err), 0);
        assert_null(text);
        assert_null(heard);
    }
    static const char *const strange[][2] = {
        {"return false", "false"}, {"return {}", "a table"}, {"return print", "a function"}};
    for (size_t i = 0; i < COUNT_OF(strange); i++) {
        auto_free char *text = NULL, *heard = NULL;
        auto_free char *said = xasprintf(
            "the step 'a' returned %s; a step returns the text that is shown for "
            "it, or nothing (run:refuse says no)",
            strange[i][1]);
        struct error err = {0};
        assert_int_equal(perform("check", strange[i][0], &text, &heard, &err), -1);
        assert_int_equal(err.domain, ERR_POLICY);
        assert_string_equal(err.message, said);
        assert_int_equal(perform("fixup", strange[i][0], &text, &heard, &err), 0);
        assert_string_equal(heard, said);
    }
}

// A loop that does not end, also one that catches all errors, ends after so many instructions.
static void a_loop_ends(void **state)
{
    (void)state;
    static const char *const loops[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return pcall(f) end while true do f() end",
        "for _ in pairs({ 1 }) do repeat until false end",
        "run.saved.x = setmetatable({}, { __index = function() while true do end end }).y",
    };
    for (size_t i = 0; i < COUNT_OF(loops); i++) {
        auto_free char *text = xasprintf(HEAD "return { api = 1, summary = 'Loop', steps = { { 'a', phase = "
                                              "'fixup', run = function(run) %s end } } }",
                                         loops[i]);
        struct policy policy;
        struct error err = {0};
        assert_int_equal(load(&policy, text, &err), 0);
        static const struct run_options options = {0};
        struct run run = {.phase = PHASE_FIXUP, .options = &options};
        policy.in.run = &run;
        policy.in.work_max = 1000000;
        auto_free char *said = NULL;
        assert_int_equal(policy.procedure.perform(&policy, 0, &said, &err), -1);
        if (!strstr(err.message, ":1: a loop that does not end: stopped after 1 million instructions"))
            fail_msg("%s: %s", loops[i], err.message);
        policy.in.run = NULL;
        json_decref(run.saved);
        policy_free(&policy);
    }
}

static void a_sites_loop_ends(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"while true do end", ":1: a loop that does not end"},
        {"local s = 'x' while true do s = s .. s end", "not enough memory"},
        {"return os.getenv 'HOME'", "attempt to index a nil value (global 'os'): a site file is data only"},
        {"return function() end", "should return a table"},
        {"return { hosts = function() end }", "holds plain data only"},
        {"return {", "near <eof>"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char path[] = "/tmp/migrun-test-XXXXXX";
        struct error err = {0};
        struct site *site = NULL;
        save(path, bad[i][0]);
        assert_int_equal(site_load(path, &site, &err), -1);
        unlink(path);
        assert_int_equal(err.domain, ERR_SITE);
        if (!strstr(err.message, bad[i][1]) || strncmp(err.message, path, strlen(path)) != 0)
            fail_msg("%s: %s", bad[i][0], err.message);
    }
}

// What it is checked with and run by is this program's own; a site's modules are the policy's neighbours.
static void the_library_is_in_the_program(void **state)
{
    (void)state;
    static const char *const missing[][2] = {
        {"require 'migrun.chekc'",
         "there is no module 'migrun.chekc' in migrun's library; did you mean 'migrun.check'?"},
        {"require 'nowhere'", "there is no module 'nowhere' in /tmp"},
        {"require '../x'", "'../x' is not a valid module name"},
        {"require 'migrun.lint'.check(1, 2, 3)", "migrun/lint/parser.lua:"},
    };
    for (size_t i = 0; i < COUNT_OF(missing); i++) {
        struct policy policy;
        struct error err = {0};
        assert_int_equal(load(&policy, missing[i][0], &err), -1);
        if (!strstr(err.message, missing[i][1]))
            fail_msg("%s: %s", missing[i][0], err.message);
        policy_free(&policy);
    }
    struct policy policy;
    struct error err = {0};
    assert_int_equal(
        load(&policy, HEAD "return { api = 1, summary = 'x', steps = { fixup.own_instance_files } }", &err),
        0);
    assert_int_equal(json_object_size(policy.procedure.modules), 0);
    policy_free(&policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_raised_is_read_raw),
        cmocka_unit_test(what_is_raised_is_told_well),
        cmocka_unit_test(a_mistake_has_a_trace),
        cmocka_unit_test(a_lost_global_takes_nothing_down),
        cmocka_unit_test(the_library_is_not_the_policys),
        cmocka_unit_test(a_document_that_is_gone),
        cmocka_unit_test(documents_end),
        cmocka_unit_test(a_long_message_ends),
        cmocka_unit_test(state_of_libvirt_is_known_by_any_spelling),
        cmocka_unit_test(nothing_is_asked_after_an_interrupt),
        cmocka_unit_test(secret_parameters),
        cmocka_unit_test(a_bare_name_is_no_file_here),
        cmocka_unit_test(nothing_leads_out),
        cmocka_unit_test(a_policy_that_cannot_be_loaded_is_a_mistake),
        cmocka_unit_test(a_step_that_is_nasty_fails_or_not_and_the_next_is_asked),
        cmocka_unit_test(any_mixture_of_them_is_survived),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(what_a_step_returns_is_shown),
        cmocka_unit_test(a_mistake_shows_its_line),
        cmocka_unit_test(a_loop_ends),
        cmocka_unit_test(a_sites_loop_ends),
        cmocka_unit_test(the_library_is_in_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
