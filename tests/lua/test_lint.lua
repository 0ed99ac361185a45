-- SPDX-License-Identifier: MIT
local t = require "t"
local lint = require "migrun.lint"
local words = require "migrun.words"

local META = t.read "lua/migrun/meta.lua"

local function problems_of(text)
    local shown = {}
    for i, problem in ipairs(lint.check(text, "mine.lua", META).problems) do
        shown[i] = ("%d:%d: %s"):format(problem.line, problem.column, problem.message)
    end
    return shown
end

local function expect(text, ...) t.equal(problems_of(text), {...}, text) end

-- The body of a step's function, from line 2 on.
local function in_step(body)
    return "return { steps = { { 'x', phase = 'prepare', run = function(run)\n" .. body .. "\nend } } }"
end

local function expect_in_step(body, ...) t.equal(problems_of(in_step(body)), {...}, body) end

local SAMPLE = [====[
-- A policy as a site writes it: with UTF-8, § and all.
local check  = require "migrun.check"
local xml    = require "migrun.xml"

local CHUNK <const>, name = 0x1p4 // 3 ~ 2, [[long
string]]

local function listen_on_all(run, document)
    --[==[ a long
    comment ]] ]=]==]
    document:set("/domain/devices/graphics/@listen", "0.0.0.0")
    return run
end

local function text_of(path, ...)
    local parts, i = { ... }, 0
    for _, part in ipairs(parts) do
        if part == path then goto continue elseif #part > 5 and not part then break else i = i + 1 end
        parts[i], i = "a\z
            b\"c\'\\\x41\u{48}", i - -1
        ::continue::
    end
    repeat local done = i >= 3; i = i + 1 until done
    while i > 0 do i = i - 1 end
    for n = 1, 10, 2 do name = (name .. n):upper() end
    do local t = {}; function t.a.b:c(x) return self, x end end
    -- no more
    return xml.parse(path):get "/domain/name", os.time { year = 2026, month = 1, day = 1 }, 3e-2, .5, 0xA.8p1;
end

return {
  api     = 1,
  summary = "Move a guest on shared storage whose VNC server is bound to the source's address",
  params  = { timeout = { type = "duration", default = "auto",
      help = "give up, and abort, after this long" } },

  steps = {
    check.guest_is_running,
    check.memory_fits,

    { "listen on every address", phase = "prepare",
      when = function(run) return run.preview or #run.hosts > 1 end,
      run  = function(run)
        local source, guest <const> = run.source, run.instance
        source:edit_xml(guest:status_file(), { changes = { "@a" },
          apply = function(document) listen_on_all(run, document) end })
        source:service "libvirtd":restart()
        for _, host in ipairs(run.hosts) do run:say(host.name .. " " .. host.facts.hostname) end
        run.saved.uuid = source.libvirt:domain(guest.name):xml({ inactive = true }):get("/domain/uuid")
        return ("%d"):format(CHUNK) .. text_of(guest:directory())
      end },

    { "migrate", phase = "migrate",
      run = function(run) run.instance:migrate(run.dest, { timeout = run.params.timeout }) end },
  },
}
]====]

t.run("a good policy", function()
    assert(load(SAMPLE))
    expect(SAMPLE)
end)

t.run("every beginning of a policy is looked through", function()
    for length = 0, #SAMPLE do lint.check(SAMPLE:sub(1, length), "mine.lua", META) end
end)

t.run("a text that is no Lua has no problems; one that is Lua is read", function()
    local cases = {
        "x = ", "local 5", "f(", "a.b", "a, b", "a + 1", "f() = 1", "for x do end", "for a, b = 1, 2 do end",
        "return 1 2", "goto", "::a",
        "'a", "'a\n'",
        "[[a", "--[[a", "1..2", "0x", "3x", "x = [=a", "x = {1 2}", "x = {,}", "x = {a =}", "x = {[1]}",
        "function f(a,) end",
        "function f(..., a) end", "f:a",
        "f:a = 1", "function a:b.c() end", "local function a.b() end", "local x <5> = 1",
        "if x then else elseif y then end", "end",
        "x = $", "x = 'a' 'b' = 1",
        "x = function f() end", "local x = = 1", "return return", "x = not", "a.5 = 1", "while true end",
        "repeat until", "f(1,)",
        "local a,", "x = a..",
    }
    for _, text in ipairs(cases) do
        assert(not load(text), text)
        t.equal(lint.check("nosuch()\n" .. text, "x", META), {problems = {}, positions = {}}, text)
    end
    local good = {
        "", ";;", "return", "return;", "local x <const>, y <close> = 1, nil",
        "x = {1, 2; a = 3, ['b'] = 4, f(), ...}",
        "f{}.a[1]:b'x'[[y]](z)", "x = -not#~y^-2",
        "(f or g)(1)", "a.b, c[1] = 1, 2", "goto a ::a::", "x = 0x.8p+1 + 1e10 + 3. + 0xA",
        "x = '\\\r\nx\\065\\z  \n y'",
        "x = [==[ ]=] ]==]", "f = function(...) end",
        "function a.b.c:d(...) end", "local function f() return f end", "for i = 1, 2 do break end",
        "repeat local x until x",
        "--[==[ ]] ]==] x = 1", "x = a<b==c~=d>=e",
        "if a then elseif b then else end", "x = 7 // 2 << 1 >> 3 & 4 | 5 ~ 6 .. '' .. 'x'", "a.b:c'd'.e = 1",
        "x = function() return function() end end",
    }
    for _, text in ipairs(good) do
        text = "nosuch() do " .. text .. " end"
        assert(load(text), text)
        t.ok(#lint.check(text, "x", META).problems > 0, text)
    end
end)

t.run("what Lua reads, lint reads: the sample with a word less, or one twice", function()
    local read = 0
    for from, to in SAMPLE:gmatch("()[%w_]+()") do
        for _, text in ipairs {SAMPLE:sub(1, from - 1) .. SAMPLE:sub(to), SAMPLE:sub(1, to - 1) .. " "
            .. SAMPLE:sub(from)} do
            if load(text) then
                read = read + 1
                t.ok(lint.check(text, "x", META).positions[""], text)
            end
        end
    end
    t.ok(read > 100, "texts that Lua reads")
end)

t.run("deep and long texts", function()
    expect("local x = " .. ("1 + "):rep(20000) .. "1")
    expect("local x = 1 " .. ("x = x "):rep(20000))
    expect(("do local x "):rep(150) .. ("end "):rep(150))
    expect("local x = " .. ("("):rep(150) .. "1" .. (")"):rep(150))
end)

t.run("undefined globals", function()
    expect("retrun { steps = {} }", "1:1: undefined global 'retrun'; did you mean 'return'?")
    expect("local x = toString(5)", "1:11: undefined global 'toString'; did you mean 'tostring'?")
    expect("local hosts = {}\nlocal x = #hotss", "2:12: undefined global 'hotss'; did you mean 'hosts'?")
    expect("local x = zzzzzz", "1:11: undefined global 'zzzzzz'")
    expect("do local inner = 1 end print(inner)", "1:30: undefined global 'inner'")
    expect("repeat local done = true until done")
    expect("local x = x", "1:11: undefined global 'x'")
    expect("local function f() return f end")
    expect("local f = function() return f end", "1:29: undefined global 'f'")
    expect("for i = 1, 2 do print(i) end print(i)", "1:36: undefined global 'i'")
    expect("print { self, x = x }", "1:9: undefined global 'self'", "1:19: undefined global 'x'")
    expect("local m = {} function m:f() return self end function m.g() return self end",
        "1:67: undefined global 'self'")
    expect("local _ENV = {} x = y")
end)

t.run("what policies may not use", function()
    for _, name in ipairs {"io", "debug", "coroutine", "dofile", "loadfile", "package", "rawset",
        "collectgarbage"} do
        expect("local x = " .. name, ("1:11: '%s' is not available to policies"):format(name))
    end
    expect("local _ = string, table, math, utf8, os, assert, error, ipairs, load, next, pairs, pcall, "
        .. "print, rawequal, rawget, rawlen, require")
    expect "local _ = select, setmetatable, getmetatable, tonumber, tostring, type, xpcall, _G, _VERSION"
    expect("os.execute 'x'",
        "1:4: unknown field 'execute' of os; policies have os.time, os.date and os.clock")
    expect("print(os.time(), os.date(), os.clock())")
    expect("local x = string.fromat('%d', 1)",
        "1:18: unknown field 'fromat' of string; did you mean 'format'?")
    expect("function string.trim(s) return s end print(string.trim '')")
end)

t.run("assigned globals", function()
    expect("x = 1", "1:1: global 'x' is assigned; make it local")
    expect("function f() end", "1:10: global 'f' is assigned; make it local")
    expect("local count = 0\ncuont = 1", "2:1: global 'cuont' is assigned; did you mean 'count'?")
    expect("local a\na, bbbb = 1, 2", "2:4: global 'bbbb' is assigned; make it local")
    expect("local a = {} a.b, a[1] = 1, 2")
end)

t.run("unknown fields of what a step is given", function()
    expect_in_step('run.source:chwon("x")', "2:12: unknown field 'chwon' of a host; did you mean 'chown'?")
    expect_in_step("run.sorce:read('/x')", "2:5: unknown field 'sorce' of the run; did you mean 'source'?")
    expect_in_step("run:refuze('x')", "2:5: unknown field 'refuze' of the run; did you mean 'refuse'?")
    expect_in_step("print(run.instance.nmae)",
        "2:20: unknown field 'nmae' of the instance; did you mean 'name'?")
    expect_in_step("run.source:service('x'):stoop()",
        "2:25: unknown field 'stoop' of a service; did you mean 'stop'?")
    expect_in_step("print(run.here.libvirt.url)",
        "2:24: unknown field 'url' of a libvirt connection; did you mean 'uri'?")
    expect_in_step("run.dest.libvirt:domain('x'):inof()",
        "2:30: unknown field 'inof' of a domain; did you mean 'info'?")
    expect_in_step("run.instance:xml():finde('x')",
        "2:20: unknown field 'finde' of a document; did you mean 'find'?")
    expect_in_step("run.source:log('/'):line()", "2:21: unknown field 'line' of a log; did you mean 'lines'?")
    expect_in_step("run.source:zzzzzz()", "2:12: unknown field 'zzzzzz' of a host")
    expect_in_step("run['sorce'] = 1", "2:5: unknown field 'sorce' of the run; did you mean 'source'?")
    expect_in_step("run.saved.anything.at = run.site.all + run.source.settings.logs.y + run[run.name]",
        "2:77: unknown field 'name' of the run")
end)

t.run("types of locals", function()
    expect_in_step("local h, i = run.source, run.instance\nh:chwon() i:xlm()",
        "3:3: unknown field 'chwon' of a host; did you mean 'chown'?",
        "3:13: unknown field 'xlm' of the instance; did you mean 'xml'?")
    expect_in_step("local h = run.source h = {} h:chwon()")
    expect_in_step("local h = run.source do local h = {} h:chwon() end")
    expect_in_step("local r = run\nreturn function() return r.sorce end",
        "3:28: unknown field 'sorce' of the run; did you mean 'source'?")
    expect_in_step("local run = {} run.sorce = 1")
    expect_in_step("local all = run.hosts print(#all, all[1].nmae, all.n)",
        "2:42: unknown field 'nmae' of a host; did you mean 'name'?")
    expect_in_step("for i, h in ipairs(run.hosts) do print(i, h.nmae) end",
        "2:45: unknown field 'nmae' of a host; did you mean 'name'?")
    expect_in_step("for _, d in ipairs(run.source.libvirt:domains()) do d:xlm() end",
        "2:55: unknown field 'xlm' of a domain; did you mean 'xml'?")
    expect_in_step("for i, h in pairs(run.hosts) do print(i, h.nmae) end")
end)

t.run("which functions are given a run", function()
    local problem = "1:%d: unknown field 'sorce' of the run; did you mean 'source'?"
    for _, name in ipairs {"run", "when", "undo", "verify"} do
        expect(("return { steps = { { 'x', phase = 'fixup', %s = function(r) return r.sorce end } } }")
            :format(name), problem:format(68 + #name))
    end
    expect("local function f(r) return r.sorce end return { steps = { { 'x', run = f } } }",
        problem:format(30))
    expect("local s = { 'x', phase = 'check', run = function(r) return r.sorce end } return { steps = { s "
        .. "} }", problem:format(62))
    expect("local x = { run = function(r) return r.sorce end } return x")
end)

t.run("documents that a change is given, and the XML module", function()
    local problem = "2:%d: unknown field 'sett' of a document; did you mean 'set'?"
    expect_in_step("run.source:edit_xml('/', function(d) d:sett('a', 'b') end)", problem:format(40))
    expect_in_step("run.source:edit_xml('/', { changes = { 'a' }, apply = function(d) d:sett('a', 'b') end "
        .. "})", problem:format(69))
    expect_in_step("run.source:edit('/x', function(text) return text.sett end)")
    expect("local xml = require 'migrun.xml'\nxml.prase('x')",
        "2:5: unknown field 'prase' of the module migrun.xml; did you mean 'parse'?")
    expect("local xml = require 'migrun.xml'\nxml.parse('x'):sett('a', 'b')", problem:format(16))
end)

t.run("parameters that the policy does not declare", function()
    local function policy(params, name)
        return ("return { api = 1, %s steps = { { 'x', phase = 'check', run = function(run)\nreturn "
            .. "run.params.%s end } } }"):format(params, name)
    end
    expect(policy("params = { timeout = {} },", "timeout"))
    expect(policy("params = { timeout = {} },", "timout"),
        "2:19: the policy has no parameter 'timout'; did you mean 'timeout'?")
    expect(policy("params = { ['timeout'] = {} },", "x"), "2:19: the policy has no parameter 'x'")
    expect(policy("", "timeout"), "2:19: the policy has no parameter 'timeout'")
    expect(policy("params = require 'params',", "timout"))
    expect("local P = { timeout = {} }\n" .. policy("params = P,", "timout"),
        "3:19: the policy has no parameter 'timout'; did you mean 'timeout'?")
    expect("return { step = { 'x', phase = 'check', run = function(run) return "
        .. "run.params.of_the_policy_that_requires_this end } }")
end)

t.run("problems come in the order of the text; columns are characters", function()
    expect_in_step("print(run.sorce)\nprint(nosuch)\nprint(run.dets)",
        "2:11: unknown field 'sorce' of the run; did you mean 'source'?",
        "3:7: undefined global 'nosuch'", "4:11: unknown field 'dets' of the run; did you mean 'dest'?")
    expect("print('größer', nosuch)", "1:17: undefined global 'nosuch'")
    expect("print('gr\xf6\xdfer', nosuch)", "1:17: undefined global 'nosuch'")
    expect("\tprint(nosuch)\r\n\tprint(nosuch)", "1:8: undefined global 'nosuch'",
        "2:8: undefined global 'nosuch'")
end)

t.run("positions", function()
    local positions = lint.check([[
local late = { "late", phase = "fixup" }
local policy = {
  api = 1, summary = "x",
  params = { timeout = { type = "duration",
                         choices = { "1m" } } },
  ["takes"] = { "host" },
  steps = {
    check.guest_is_running, { "x", phase = "check",
      needs = { "y" } },
    late, [4] = nil,
    more() },
}
return policy]], "x", META).positions
    local expected = {
        [""] = "2:16", api = "3:3", summary = "3:12", params = "4:3", ["params.timeout"] = "4:14",
        ["params.timeout.type"] = "4:26",
        ["params.timeout.choices"] = "5:26", ["params.timeout.choices[1]"] = "5:38", takes = "6:4",
        ["takes[1]"] = "6:17", steps = "7:3",
        ["steps[1]"] = "8:5", ["steps[2]"] = "8:29", ["steps[2][1]"] = "8:31", ["steps[2].phase"] = "8:36",
        ["steps[2].needs"] = "9:7",
        ["steps[2].needs[1]"] = "9:17", ["steps[3]"] = "10:5", ["steps[3][1]"] = "1:16",
        ["steps[3].phase"] = "1:24", ["steps[4]"] = "11:5 many",
    }
    local shown = {}
    for path, at in pairs(positions) do
        shown[path] = ("%d:%d%s"):format(at.line, at.column, at.many and " many" or "")
    end
    t.equal(shown, expected)
    t.equal(lint.check("return 5", "x", META).positions, {})
    t.equal(lint.check("do return {} end", "x", META).positions, {})
end)

t.run("libvirt's own records are edited by a change that declares what it touches", function()
    local undeclared = "libvirt's own state: the change says beforehand what it touches, { changes = { "
        .. "XPath, … }, apply = function(document) … end }"
    local only = "libvirt's own state: only edit_xml changes it, with a change that says "
        .. "beforehand what it touches"
    expect_in_step("run.source:edit_xml(run.instance:status_file(), function(d) d:set('@a', 1) end)",
        "2:49: " .. undeclared)
    expect_in_step("local f, path = print, '/run/libvirt/qemu/a.xml'\nrun.dest:edit_xml(path, f)")
    expect_in_step("local function f(d) d:set('@a', 1) end\nlocal path = run.instance:definition_file()\n"
        .. "run.dest:edit_xml(path, f)", "4:25: " .. undeclared)
    expect_in_step("run.source:edit('/etc/libvirt/qemu/a.xml', string.upper)", "2:17: " .. only)
    expect_in_step("run.source:write('/var/lib/libvirt/qemu/a', '')\nrun.source:remove('/run/libvirt/a')",
        "2:18: " .. only, "3:19: " .. only)
    local owner = "libvirt's own state, and so are its owner and mode"
    expect_in_step("run.source:chown('/run/libvirt/qemu/a.xml', 0)\n"
        .. "run.dest:chmod(run.instance:definition_file(), 384)", "2:18: " .. owner, "3:16: " .. owner)
    expect_in_step("run.source:remove('//run/./libvirt//qemu/a.xml')\n"
        .. "run.source:chown('/etc/libvirt/qemu/', 0)", "2:19: " .. only, "3:18: " .. owner)
    expect_in_step("run.source:chown('/var/lib/libvirt/qemu/nvram/a.fd', 0)")
    expect_in_step(
        "run.source:edit_xml(run.instance:status_file(), { changes = {}, apply = print })\n"
        .. "run.source:write('/etc/libvirt/qemu.conf', '')\n"
        .. "run.source:edit_xml('/etc/x.xml', function() end)")
end)

t.run("the nearest name", function()
    t.equal(words.nearest("chwon", {"chmod", "chown"}), "chown")
    t.equal(words.nearest("prepair", {"check", "prepare"}), "prepare")
    t.equal(words.nearest("x", {"ab", "abc"}), nil)
    t.equal(words.nearest("completely", {"different"}), nil)
    t.equal(words.nearest("x", {}), nil)
end)

t.run("the library, the policies and the examples have no problems", function()
    local files <close> = assert(io.popen("find lua policies examples/*.lua tests/e2e/policies "
        .. "tests/world -name '*.lua'"))
    for file in files:lines() do expect(t.read(file)) end
end)
