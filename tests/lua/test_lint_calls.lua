-- SPDX-License-Identifier: MIT
-- What lint knows of the API: facts, the library, arguments, options, phases.
local t = require "t"
local lint = require "migrun.lint"

local META = t.read "lua/migrun/meta.lua"

local function problems_of(text, module_text)
    local shown = {}
    for i, problem in ipairs(lint.check(text, "mine.lua", META, module_text).problems) do
        local file = problem.file ~= "mine.lua" and problem.file .. ":" or ""
        shown[i] = ("%s%d:%d: %s"):format(file, problem.line, problem.column, problem.message)
    end
    return shown
end

local function expect(text, ...) t.equal(problems_of(text), {...}, text) end

local HEAD = [[local check, xml = require "migrun.check", require "migrun.xml"
]]

-- The body of a step's function, from line 3 on.
local function expect_in(phase, body, ...)
    expect(("%sreturn { api = 1, params = { a = {} }, steps = { { 'x', phase = '%s', run = function(run)\n"
        .. "%s\nend } } }"):format(HEAD, phase, body), ...)
end

local function expect_in_step(body, ...) expect_in("prepare", body, ...) end

t.run("unknown fields of facts", function()
    expect_in_step("print(run.dest.facts.memroy)",
        "3:22: unknown field 'memroy' of facts; did you mean 'memory'?")
    expect_in_step("local f = run.dest.facts\nprint(f.memory.totl, f.cpu.modell)",
        "4:16: unknown field 'totl' of memory; did you mean 'total'?",
        "4:28: unknown field 'modell' of cpu; did you mean 'model'?")
    expect_in_step("for _, i in ipairs(run.source.facts.interfaces) do print(i.mtu, i.mut) end",
        "3:67: unknown field 'mut' of 'i'; did you mean 'mtu'?")
    expect_in_step("print(run.instance.facts.persistnt, run.instance.facts.pid, run.instance.facts.uid)",
        "3:26: unknown field 'persistnt' of facts; did you mean 'persistent'?")
    expect_in_step("print(run.dest.facts.libvirt.conf.auth_tpc, run.dest.facts.users['a'].uid)",
        "3:35: unknown field 'auth_tpc' of conf; did you mean 'auth_tcp'?")
    expect_in_step("print(run.dest.facts.users.anybody.udi)",
        "3:36: unknown field 'udi' of anybody; did you mean 'uid'?")
    expect_in_step("print(run.dest:stat('/x').moed)",
        "3:27: unknown field 'moed' of what stat returns; did you mean 'mode'?")
    expect_in_step("local r = run.dest:command({ 'x' })\nreturn r.stdout, r.out",
        "4:10: unknown field 'stdout' of 'r'; did you mean 'out'?")
    expect_in_step("run.dest.facts.mine = 1 local f = run.dest.facts f.own = 2")
    expect_in_step("local f = run.dest.facts f = {} print(f.memroy)")
end)

t.run("the library's steps and functions", function()
    expect("local check = require 'migrun.check'\nreturn { steps = { check.memory_fit } }",
        "2:26: unknown field 'memory_fit' of the module migrun.check; did you mean 'memory_fits'?")
    expect("return require('migrun.fixup').own_files",
        "1:32: unknown field 'own_files' of the module migrun.fixup")
    expect_in_step("local a = check.all_but(check.clocks_agree) return a",
        "3:25: 'left_out' of all_but is a list, not a step")
    expect("local listen = require 'migrun.listen' listen.to_destination()",
        "1:47: 'run' is missing: to_destination(run)")
    expect("return require('migrun.host.window').open, require 'migrun.words'.anything")
end)

t.run("how many arguments", function()
    expect_in_step("run.dest:write('/x')", "3:10: 'text' is missing: write(path, text, options)")
    expect_in_step("run.dest:read('/x', 5)", "3:21: read takes one argument, not 2: read(path)")
    expect_in_step("run.instance:xml(1)", "3:18: xml takes no argument, not 1: xml()")
    expect_in_step("run.instance:xml(print()) run.dest:write('/x', print()) run.dest:write(print())")
    expect_in_step("run.dest:write('/x', 'y', nil, print(), 1)",
        "3:32: write takes 3 arguments, not 5: write(path, text, options)")
    expect_in_step("local function f(...) run.dest:write(...) end return f")
    expect_in_step("run.dest:chown('/x') run.dest:service('libvirtd'):stop() run.source:watched()")
end)

t.run("types of arguments", function()
    expect_in_step("run.dest:chmod('/x', '640')", "3:22: 'mode' of chmod is a whole number, not a text")
    expect_in_step("run.dest:write(run, 'x')", "3:16: 'path' of write is a text, not the run")
    expect_in_step("run:say(run.dest.name .. 5) run:say(5) run:say(print()) run:say(run.params.a)")
    expect_in_step("run:say(1 < 2) run:warn(nil)", "3:9: 'text' of say is a text, not a boolean",
        "3:25: 'text' of warn is a text, not nil")
    expect_in_step("run.dest:command('ls -l')", "3:18: 'argv' of command is a list, not a text")
    expect_in_step("run.dest:command({ 'ls', run.dest, 5 })", "3:26: 'argv' of command is a text, not a host")
    expect_in_step("run.dest:edit('/x', 'y')", "3:21: 'change' of edit is a function, not a text")
    expect_in_step("run.dest:edit('/x', function(text) return text end) run.dest:edit('/x', string.upper)")
    expect_in_step("run.dest:reach(run.source, 5) run.dest:reach('h', { 5, 6 }) run.source:reach({}, 5)",
        "3:78: 'other' of reach is a text or a host, not a table")
    expect_in_step("run.dest:reach(run.instance, 5)",
        "3:16: 'other' of reach is a text or a host, not the instance")
    expect_in_step("run.dest:watched(2 * 3) run.dest:ask('a', 1.5)",
        "3:43: 'port' of ask is a whole number, not a number with a fraction")
    expect_in_step("local path = run.instance:directory() run.dest:read(path)")
    expect_in_step("xml.parse(run.instance:xml())", "3:11: 'text' of parse is a text, not a document")
    expect_in("migrate", "run.instance:migrate('compute-2')", "3:22: 'dest' of migrate is a host, not a text")
end)

t.run("paths", function()
    expect_in_step("local p = 'run/x'\nrun.dest:read('etc/x') run.dest:write(p, '') run.dest:list('/x')",
        "4:15: a path on a host begins with '/', not 'etc/x'",
        "4:39: a path on a host begins with '/', not 'run/x'")
end)

t.run("options", function()
    expect_in_step("run.dest:command({ 'x' }, { read = true })",
        "3:29: unknown option 'read' of command; did you mean 'reads'?")
    expect_in_step("local o = { timeout = '5' }\nrun.dest:command({ 'x' }, o)",
        "3:23: 'timeout' is a number, not a text")
    expect_in_step("run.dest:write('/x', 'y', { 384 })", "3:29: 'options' of write has names: { group = … }")
    expect_in_step("run.dest:edit_xml('/x', { changes = '@a' })", "3:25: 'change' of edit_xml has no 'apply'",
        "3:37: 'changes' is a list, not a text")
    expect_in("migrate", "run.instance:migrate(run.dest, { flags = { 'AUTOCONVERGE', '-PERSIST_DEST' },\n"
        .. "params = { bandwith = 5, ['auto_converge.initial'] = 20 }, timeout = 'soon' })",
        "3:44: unknown value 'AUTOCONVERGE' of 'flags'; did you mean 'AUTO_CONVERGE'?",
        "4:12: unknown key 'bandwith' of 'params'; did you mean 'bandwidth'?",
        "4:70: unknown value 'soon' of 'timeout'; known are auto")
    expect_in("migrate", "run.instance:migrate(run.dest, { parms = {}, timeout = run.params.a, uri = nil,\n"
        .. "flags = run.params.a and { 'UNSAFE' } or {}, params = { bandwidth = run.params.a } })",
        "3:34: unknown option 'parms' of migrate; did you mean 'params'?")
    expect_in("migrate", "local p = { bandwidth = 5 } p['x' .. run.params.a] = 1\n"
        .. "run.instance:migrate(run.dest, { params = p, xml = function(d) d:sett('a', 'b') end })",
        "4:66: unknown field 'sett' of a document; did you mean 'set'?")
    expect_in_step("local network = require 'migrun.network' network.with { probe = { pong = true } }",
        "3:67: unknown key 'pong' of 'probe'; did you mean 'ping'?")
end)

t.run("modes that look octal", function()
    local function decimal(at, text, mode)
        return ("3:%d: %s is a decimal number, which is the mode %s; write tonumber(\"%s\", 8)")
            :format(at, text, mode, (text:gsub("^0", "")))
    end
    expect_in_step("run.dest:chmod('/x', 640)", decimal(22, "640", "1200"))
    expect_in_step("run.dest:chmod('/x', 0400)", decimal(22, "0400", "0620"))
    expect_in_step("run.dest:chmod('/x', 400)", decimal(22, "400", "0620"))
    expect_in_step("run.dest:chmod('/x', 1777)", decimal(22, "1777", "3361"))
    expect_in_step("run.dest:write('/x', 'y', { mode = 755 })", decimal(36, "755", "1363"))
    for _, mode in ipairs { "384", "416", "420", "493", "438", "511", "0x1a0", "6 << 6",
        "tonumber('640', 8)" } do
        expect_in_step(("run.dest:chmod('/x', %s)"):format(mode))
    end
end)

t.run("'.' for ':', and ':' for '.'", function()
    expect_in_step("run.dest.write('/x', 'y')",
        "3:10: write is called with ':', not '.': host:write(path, text, options)")
    expect_in_step("run.instance.xml()", "3:14: xml is called with ':', not '.': instance:xml()")
    expect_in_step("local h = run.dest h.read(h, '/x') pcall(h.read, h, '/x') h.write(print(), '/x', 'y')")
    expect_in_step("run.dest.read(run.dest, 5, 6)", "3:28: read takes one argument, not 2: read(path)")
    expect_in_step("xml:parse('<a/>')", "3:5: parse is called with '.', not ':': xml.parse(text)")
end)

local CHECK = "%s changes something, which a check may not: make it a step of the phase prepare%s"

t.run("a check that changes something", function()
    expect_in("check", "run.dest:write('/x', 'y') run.dest:read('/x')", "3:10: " .. CHECK:format("write", ""))
    expect_in("check", "run.dest:service('x'):restart()", "3:23: " .. CHECK:format("restart", ""))
    expect_in("check", "pcall(function() run.here:remove('/x') end)", "3:27: " .. CHECK:format("remove", ""))
    local reads = "; when it only reads, say so: { reads = true }"
    expect_in("check", "run.dest:command({ 'x' }) run.dest:command({ 'x' }, { timeout = 5 })",
        "3:10: " .. CHECK:format("command", reads), "3:36: " .. CHECK:format("command", reads))
    expect_in("check", "local o = run.params.a\nrun.dest:command({ 'x' }, { reads = true })\n"
        .. "run.dest:command({ 'x' }, o) run.dest:command({ 'x' }, { reads = o })")
    expect_in("check", "run.nova:request('GET', '/x') run.nova:request(run.params.a, '/x')")
    expect_in("check", "run.nova:request('PUT', '/x') run.nova:lock()",
        "3:10: " .. CHECK:format("request", "; GET alone reads"), "3:40: " .. CHECK:format("lock", ""))
    expect("local function f(run) run.dest:remove('/x') end\n"
        .. "return { steps = { { 'a', phase = 'check', run = f } } }", "1:32: " .. CHECK:format("remove", ""))
    expect("local function f(run) run.dest:remove('/x') end\nreturn { steps = { { 'a', phase = 'check', "
        .. "run = f }, { 'b', phase = 'prepare', run = f } } }")
end)

t.run("a migration outside the migrate step", function()
    local only = "%s moves the guest, which only a step of the phase migrate does"
    for _, phase in ipairs { "check", "prepare", "fixup" } do
        expect_in(phase, "run.instance:migrate(run.dest)", "3:14: " .. only:format("migrate"))
    end
    expect_in("prepare", "run.nova:live_migrate()", "3:10: " .. only:format("live_migrate"))
    expect_in("migrate", "run.instance:migrate(run.dest) run.nova:live_migrate()")
end)

t.run("what local functions are given", function()
    expect("local function f(r) return r.sorce end\nreturn { steps = { { 'a', phase = 'check', "
        .. "run = function(run) f(run) end } } }",
        "1:30: unknown field 'sorce' of the run; did you mean 'source'?")
    expect("local function f(r) return r.sorce end f({})\nreturn { steps = { { 'a', phase = 'check', "
        .. "run = function(run) f(run) end } } }")
    expect("local function g(h) h:wirte() end local function f(r) g(r.dest) end\n"
        .. "return { steps = { { 'a', phase = 'prepare', run = function(run) f(run) end } } }",
        "1:23: unknown field 'wirte' of a host; did you mean 'write'?")
end)

t.run("a site's own modules, and what they require", function()
    local modules = {
        ours = "local xml, other = require 'migrun.xml', require 'site.other'\n"
            .. "return { xml:parse('x'), other, require 'ours' }",
        ["site.other"] = "return { { 'a', phase = 'check', run = function(run) return run.sorce end } }",
        broken = "return {",
    }
    local function module_text(name) return modules[name], modules[name] and name .. ".lua" end
    local text = "require 'ours' require 'broken' require 'nowhere' require 'migrun.check'"
    t.equal(problems_of(text, module_text), {
        "ours.lua:2:14: parse is called with '.', not ':': xml.parse(text)",
        "site.other.lua:1:65: unknown field 'sorce' of the run; did you mean 'source'?",
    })
end)
