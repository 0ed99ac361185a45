-- SPDX-License-Identifier: MIT
local t = require "t"
local lint = require "migrun.lint"
local policy = require "migrun.policy"
local words = require "migrun.words"

local function nothing() end
local function check_step(title) return {title, phase = "check", run = nothing} end

-- A good policy, with what differs. A value that is NIL takes the key away.
local NIL = {}
local function with(changes)
    local value = {api = 1, summary = "Moves a guest", steps = {check_step "a"}}
    for key, change in pairs(changes or {}) do
        if change == NIL then value[key] = nil else value[key] = change end
    end
    return value
end

local function messages_of(value, positions)
    local checked, problems = policy.check(value, positions, "mine.lua")
    local messages = {}
    for i, problem in ipairs(problems) do messages[i] = problem.message end
    t.equal(checked == nil, #problems > 0, "a policy with problems is no policy")
    return messages
end

-- The policy has the one problem.
local function expect(changes, message)
    t.equal(messages_of(with(changes)), {message})
end

local function expect_step(step, message)
    expect({steps = {step}}, message)
end

t.run("a good policy, in its one form", function()
    local when, verify, undo = function() end, function() end, function() end
    local checked, problems = policy.check {
        api = 1, summary = "Moves a guest",
        params = {timeout = {type = "duration", default = "2m", help = "how long"},
            mode = {type = "string", choices = {"a", "b"}, default = "a"}},
        steps = {
            check_step "one", {"two", phase = "check", run = nothing, needs = {"one"}},
            {"edit", phase = "prepare", run = nothing, when = when},
            {"silence", phase = "prepare", run = nothing, undo = undo, temporary = true},
            {"move", phase = "migrate", run = nothing},
            {"own", phase = "fixup", run = nothing, verify = verify},
        },
    }
    t.equal(problems, {})
    t.equal(checked, {
        summary = "Moves a guest", takes = {"instance", "host"}, takes_instance = true,
        takes_host = true, takes_hosts = false,
        migrates = true, nova = false, audits = false,
        params = {timeout = {type = "duration", default = 120, help = "how long"},
            mode = {type = "string", choices = {"a", "b"}, default = "a"}},
        steps = {
            {title = "one", phase = "check", needs = {}, run = nothing},
            {title = "two", phase = "check", needs = {"one"}, run = nothing},
            {title = "edit", phase = "prepare", needs = {}, run = nothing, when = when},
            {title = "silence", phase = "prepare", needs = {}, run = nothing, undo = undo, temporary = true},
            {title = "move", phase = "migrate", needs = {}, run = nothing},
            {title = "own", phase = "fixup", needs = {}, run = nothing, verify = verify},
        },
        topics = {},
    })
end)

t.run("no table", function()
    local result = "; a policy ends in: return { api = 1, summary = …, steps = { … } }"
    t.equal(messages_of(nil), {"mine.lua returns nothing" .. result})
    t.equal(messages_of("x"), {"mine.lua returns a string" .. result})
end)

t.run("unknown keys", function()
    expect({sumary = "x"}, "unknown key 'sumary' of the policy; did you mean 'summary'?")
    expect({[1] = "x"},
        "unknown key 1 of the policy; known are api, audits, nova, params, steps, summary, takes")
    expect_step({"a", phase = "check", run = nothing, wehn = nothing},
        "unknown key 'wehn' of step 'a'; did you mean 'when'?")
    expect_step({"a", "b", phase = "check", run = nothing},
        "unknown key 2 of step 'a'; known are needs, phase, run, temporary, topic, undo, verify, when")
    expect_step({"a", phase = "prepare", run = nothing, temporay = true},
        "unknown key 'temporay' of step 'a'; did you mean 'temporary'?")
    expect_step({"a", phase = "prepare", run = nothing, undone = nothing},
        "unknown key 'undone' of step 'a'; did you mean 'undo'?")
    expect({params = {x = {type = "string", defualt = "y"}}},
        "unknown key 'defualt' of parameter 'x'; did you mean 'default'?")
end)

t.run("api and summary", function()
    expect({api = NIL}, "the policy does not say for which version of migrun's API it is: api = 1")
    expect({api = 2}, "the policy is for version 2 of migrun's API; this migrun has api = 1")
    for _, summary in ipairs {NIL, "", "  ", 7} do
        expect({summary = summary}, "the policy needs a summary: one sentence that says what it does")
    end
end)

t.run("takes", function()
    for _, takes in ipairs {{"instance", "host"}, {"instance"}, {"host"}, {"hosts"}, {}} do
        local checked = policy.check(with {takes = takes})
        t.equal(checked.takes, takes)
        t.equal({checked.takes_instance, checked.takes_host, checked.takes_hosts},
            {takes[1] == "instance", takes[#takes] == "host", takes[1] == "hosts"})
    end
    local bad = {{"host", "instance"}, {"guest"}, "host", {"host", "host"}}
    for _, takes in ipairs(bad) do
        expect({takes = takes}, 'takes is { "instance", "host" } (as when it is left out), '
            .. '{ "instance", "hosts" }, { "instance" }, { "host" }, { "hosts" } or {}')
    end
    local asks = with {takes = {"instance", "hosts"}, steps = {check_step "one"}}
    t.equal(policy.check(asks).takes_hosts, true)
    expect({takes = {"instance", "hosts"}, steps = {{"note", phase = "prepare", run = nothing}}},
        "step 'note' (prepare): a policy that takes { \"instance\", \"hosts\" } has checks alone")
end)

t.run("parameters", function()
    expect({params = "x"}, "params is a table of parameters by their names, not a string")
    expect({params = {x = 5}},
        'parameter \'x\' is a table, as { type = "string", default = "x", help = "what it is" }, not a '
        .. 'number')
    expect({params = {["a=b"] = {type = "string"}}},
        "parameter 'a=b': the name of a parameter is made of letters, digits, _ and -")
    expect({params = {{type = "string"}}},
        "parameter 1: the name of a parameter is made of letters, digits, _ and -")
    expect({params = {x = {}}},
        "parameter 'x' has no type; types are string, integer, number, boolean, duration, secret")
    for _, key in ipairs {"default", "min"} do
        expect({params = {x = {type = "secret", [key] = "y"}}},
            ("parameter 'x' is a secret, which has no %s: a policy is no place for it"):format(key))
    end
    t.equal(policy.check(with {params = {x = {type = "secret", help = "y"}}}).params.x,
        {type = "secret", help = "y"})
    expect({params = {x = {type = "intger"}}},
        "parameter 'x' has the unknown type 'intger'; did you mean 'integer'?")
    expect({params = {x = {type = "string", help = 1}}}, "the help of parameter 'x' is a text, not a number")
end)

t.run("a default fits its type", function()
    local good = {string = {"", "x"}, integer = {0, -5}, number = {1, 0.5}, boolean = {true, false},
        duration = {"auto", "1h30m", 90, 0.5}}
    for kind, defaults in pairs(good) do
        for _, default in ipairs(defaults) do
            t.equal(messages_of(with {params = {x = {type = kind, default = default}}}), {}, kind)
        end
    end
    t.equal(policy.check(with {params = {x = {type = "boolean", default = false}}}).params.x.default, false)
    t.equal(policy.check(with {params = {x = {type = "duration", default = "auto"}}}).params.x.default,
        "auto")
    local bad = {
        {"string", 5, "5, which is not a text"}, {"integer", 1.5, "1.5, which is not a whole number"},
        {"integer", "5", "'5', which is not a whole number"},
        {"number", "x", "'x', which is not a number"}, {"number", math.huge, "inf, which is not a number"},
        {"boolean", "yes", "'yes', which is not true or false"},
        {"duration", -1, "-1, which is not a duration; write 90s, 10m or 1h30m"},
        {"duration", "soon", "'soon', which is not a duration; write 90s, 10m or 1h30m"},
    }
    for _, case in ipairs(bad) do
        expect({params = {x = {type = case[1], default = case[2]}}}, "the default of parameter 'x' is "
            .. case[3])
    end
end)

t.run("choices", function()
    local function choices(list, default)
        return {params = {x = {type = "string", choices = list, default = default}}}
    end
    t.equal(messages_of(with(choices({"a", "b"}))), {})
    expect(choices({"a", "b"}, "c"),
        "the default of parameter 'x' is 'c', which is not one of its choices (a, b)")
    expect(choices({}, "c"), "the choices of parameter 'x' are a list of values, not an empty one")
    expect(choices("c"), "the choices of parameter 'x' are a list of values, not a string")
    expect(choices {"a", 2}, "choice 2 of parameter 'x' is 2, which is not a text")
    local durations = policy.check(
        with {params = {x = {type = "duration", choices = {"1m", "auto"}, default = 60}}})
    t.equal(durations.params.x, {type = "duration", choices = {60, "auto"}, default = 60})
end)

t.run("the list of steps", function()
    expect({steps = NIL}, "the policy has no steps")
    expect({steps = "x"}, "steps is a list of steps, not a string")
    expect({steps = {}}, "the list of steps is empty")
    expect({steps = {check_step "a", nil, check_step "b"}},
        "step 2 is nil: a misspelt name of a library's step?")
    expect({steps = {check_step "a", x = 1}}, "steps are a list; it has the key 'x'")
    expect_step("x", 'step 1 is a table, as { "title", phase = "check", run = function(run) … end }, not a '
        .. 'string')
    t.equal(#messages_of(with {steps = {[math.maxinteger] = check_step "a"}}), 20,
        "a list that is nearly all holes")
end)

t.run("titles", function()
    expect_step({phase = "check", run = nothing},
        'step 1 has no title; a step begins with its title: { "check the disk", … }')
    expect_step({"", phase = "check", run = nothing},
        'step 1 has an empty title; a step begins with its title: { "check the disk", … }')
    expect_step({5, phase = "check", run = nothing},
        'step 1 has a title that is a number; a step begins with its title: { "check the disk", … }')
    expect({steps = {check_step "a", check_step "a"}}, "two steps have the title 'a'; titles are unique")
end)

t.run("phases", function()
    expect_step({"x", run = nothing}, "step 'x' has no phase; phases are check, prepare, migrate, fixup")
    expect_step({"x", phase = "prepair", run = nothing},
        "unknown phase 'prepair' of step 'x'; did you mean 'prepare'?")
    expect_step({"x", phase = "zzz", run = nothing},
        "unknown phase 'zzz' of step 'x'; phases are check, prepare, migrate, fixup")
    expect_step({"x", phase = 5, run = nothing},
        "unknown phase 5 of step 'x'; phases are check, prepare, migrate, fixup")
end)

t.run("phases come in order", function()
    local function step(title, phase) return {title, phase = phase, run = nothing} end
    expect({steps = {step("p", "prepare"), check_step "c"}},
        "step 'c' (check) comes after step 'p' (prepare); steps come in the order check, prepare, migrate, "
            .. "fixup")
    expect({steps = {step("f", "fixup"), step("m", "migrate")}},
        "step 'm' (migrate) comes after step 'f' (fixup); steps come in the order check, prepare, migrate, "
            .. "fixup")
    expect({steps = {step("m", "migrate"), step("n", "migrate")}},
        "step 'n' is a second migrate step, after 'm'; a policy has at most one")
    expect({takes = {"host"}, steps = {step("m", "migrate")}},
        'step \'m\' migrates; a policy that migrates takes { "instance", "host" }')
end)

t.run("functions", function()
    expect_step({"x", phase = "check"}, "step 'x' has no function 'run'")
    expect_step({"x", phase = "check", run = "y"}, "'run' of step 'x' is a function, not a string")
    expect_step({"x", phase = "check", run = nothing, when = true},
        "'when' of step 'x' is a function, not a boolean")
    expect_step({"x", phase = "prepare", run = nothing, verify = nothing},
        "step 'x' (prepare) has a function 'verify'; only a fixup has one")
    expect_step({"x", phase = "prepare", run = nothing, undo = true},
        "'undo' of step 'x' is a function, not a boolean")
    for _, phase in ipairs {"check", "migrate", "fixup"} do
        expect_step({"x", phase = phase, run = nothing, undo = nothing},
            ("step 'x' (%s) has a function 'undo'; only a prepare step has one"):format(phase))
    end
end)

t.run("a temporary step", function()
    for _, value in ipairs {1, "yes"} do
        expect_step({"x", phase = "prepare", run = nothing, temporary = value},
            ("'temporary' of step 'x' is true or left out, not a %s"):format(type(value)))
    end
    for _, phase in ipairs {"check", "migrate", "fixup"} do
        expect_step({"x", phase = phase, run = nothing, temporary = true},
            ("step 'x' (%s) is temporary; only a prepare step may be"):format(phase))
    end
    local checked = policy.check(with {steps = {{"x", phase = "prepare", run = nothing, temporary = false}}})
    t.equal(checked.steps[1].temporary, nil)
end)

t.run("bounds of a parameter", function()
    local function bounded(kind, changes)
        local param = {type = kind}
        for key, value in pairs(changes) do param[key] = value end
        return {params = {x = param}}
    end
    for _, kind in ipairs {"integer", "number", "duration"} do
        local checked = policy.check(with(bounded(kind, {min = 1, max = 9})))
        t.equal({checked.params.x.min, checked.params.x.max}, {1, 9}, kind)
    end
    t.equal(policy.check(with(bounded("duration", {min = "1m", default = "auto"}))).params.x.min, 60)
    expect(bounded("string", {min = 1}), "parameter 'x' is a string, which has no min")
    expect(bounded("integer", {max = "many"}),
        "the max of parameter 'x' is 'many', which is not a whole number")
    expect(bounded("duration", {min = "auto"}),
        "the min of parameter 'x' is 'auto', which is not a duration; write 90s, 10m or 1h30m")
    expect(bounded("integer", {min = 3, max = 2}), "the min of parameter 'x' is above its max")
    expect(bounded("integer", {min = 3, default = 2}), "the default of parameter 'x' is 2; it must be "
      .. "at least 3")
    expect(bounded("duration", {max = "1m", default = "2m"}),
        "the default of parameter 'x' is '2m'; it must be at most 60 s")
end)

t.run("needs", function()
    local function needing(needs, phase)
        return {"x", phase = phase or "check", run = nothing, needs = needs}
    end
    expect({steps = {check_step "disk", needing {"dsik"}}},
        "step 'x' needs 'dsik', which is not an earlier check; did you mean 'disk'?")
    expect({steps = {needing {"later"}, check_step "later"}},
        "step 'x' needs 'later', which is not an earlier check")
    expect({steps = {needing {"x"}}}, "step 'x' needs 'x', which is not an earlier check")
    expect({steps = {check_step "a", needing "a"}},
        "'needs' of step 'x' is a list of titles of checks, not a string")
    expect({steps = {check_step "a", needing({"a"}, "prepare")}},
        "step 'x' (prepare) has needs; only a check has them")
end)

t.run("everything that is wrong is told at once", function()
    t.equal(#messages_of {sumary = "x", steps = {{"x", phase = "prepair"}}}, 5)
end)

-- With the text: where the problems stand.

local function problems_of(text)
    local value = assert(load(text, "=mine.lua", "t", {check = {}, unpack = table.unpack}))()
    local _, problems = policy.check(value, lint.check(text, "mine.lua", "").positions, "mine.lua")
    local shown = {}
    for i, problem in ipairs(problems) do
        shown[i] = ("%d:%d: %s"):format(problem.line, problem.column, problem.message)
    end
    return shown
end

t.run("a problem stands at its place", function()
    t.equal(problems_of [[
return {
  api = 1, sumary = "x",
  summary = "y",
  params = { timeout = { type = "duration", default = "soon" } },
  steps = {
    { "x", phase = "prepair", run = function() end },
    { "y", phase = "check" },
  },
}]], {
        "2:12: unknown key 'sumary' of the policy; did you mean 'summary'?",
        "4:45: the default of parameter 'timeout' is 'soon', which is not a duration; write 90s, 10m or "
            .. "1h30m",
        "6:12: unknown phase 'prepair' of step 'x'; did you mean 'prepare'?",
        "7:5: step 'y' has no function 'run'",
    })
    t.equal(policy.check(5) == nil, true)
    local _, problems = policy.check(5)
    t.equal({problems[1].line, problems[1].column}, {1, 1})
end)

t.run("a misspelt step of a library is nil, at the end of the list, too", function()
    local good = '{ "y", phase = "check", run = function() end }'
    local function steps(list)
        return problems_of(('return { api = 1, summary = "x",\n  steps = {\n    %s } }'):format(list))
    end
    local complaint = "step %d is nil: a misspelt name of a library's step?"
    t.equal(steps("check.memry_fits, " .. good), {"3:5: " .. complaint:format(1)})
    t.equal(steps(good .. ",\n    check.memry_fits"), {"4:5: " .. complaint:format(2)})
    t.equal(steps("check.memry_fits"), {"3:5: " .. complaint:format(1)})
    t.equal(steps(good .. ", unpack {}"), {})
    t.equal(steps("unpack {}"), {"2:3: the list of steps is empty"})
end)

-- What the operator gives.

t.run("durations", function()
    local good = {["10"] = 10, ["10s"] = 10, ["5m"] = 300, ["1h30m"] = 5400, ["250ms"] = 0.25,
        ["1.5h"] = 5400, ["0"] = 0, ["1m500ms"] = 60.5}
    for text, seconds in pairs(good) do t.equal(words.duration(text), seconds, text) end
    for _, text in ipairs {"", "5 bananas", "s", "10 s", "-5", "30m1h", "1h1h", "1e3", "auto", "5mm", ("9")
        :rep(400)} do
        t.equal(words.duration(text), nil, text)
    end
end)

local SPEC = {
    timeout = {type = "duration", default = "auto"}, count = {type = "integer", default = 3},
    ratio = {type = "number", default = 0.25},
    force = {type = "boolean", default = false},
    mode = {type = "string", default = "fast", choices = {"fast", "safe"}},
    text = {type = "string", default = "t"},
    wait = {type = "duration", default = "auto", min = 1, max = 3600},
    speed = {type = "integer", min = 0, max = 9, default = 1, unit = "MiB/s"},
    tag = {type = "string", pattern = "%l+", default = "x"},
}

local function value_of(name, text)
    local values, problems = policy.params(SPEC, {[name] = text})
    return values[name], problems[1]
end

t.run("defaults, and converted values", function()
    t.equal(policy.params(SPEC, {}), {timeout = "auto", count = 3, force = false, mode = "fast",
        wait = "auto", ratio = 0.25, text = "t", speed = 1, tag = "x", i_know = {}})
    local good = {
        timeout = {["90s"] = 90, auto = "auto"}, count = {["7"] = 7, ["-1"] = -1},
        ratio = {["0.5"] = 0.5, ["2"] = 2}, mode = {safe = "safe"},
        text = {[""] = "", ["a=b"] = "a=b"},
        force = {["true"] = true, yes = true, on = true, ["1"] = true, ["false"] = false, no = false,
            off = false, ["0"] = false},
    }
    for name, cases in pairs(good) do
        for text, expected in pairs(cases) do
            t.equal({value_of(name, text)}, {expected}, name .. "=" .. text)
        end
    end
end)

t.run("values that do not fit", function()
    local bad = {
        {"timeout", "5 bananas",
            "parameter 'timeout': '5 bananas' is not a duration; write 90s, 10m or 1h30m"},
        {"wait", "0", "parameter 'wait' is '0'; it must be at least 1 s"},
        {"wait", "2h", "parameter 'wait' is '2h'; it must be at most 3600 s"},
        {"speed", "-5", "parameter 'speed' is '-5'; it must be at least 0 MiB/s"},
        {"tag", "a1", "parameter 'tag' is 'a1'; it must match %l+"},
        {"count", "1.5", "parameter 'count': '1.5' is not a whole number"},
        {"count", "0x10", "parameter 'count': '0x10' is not a whole number"},
        {"count", "99999999999999999999", "parameter 'count': '99999999999999999999' is not a whole number"},
        {"ratio", "x", "parameter 'ratio': 'x' is not a number"},
        {"ratio", "1e999", "parameter 'ratio': '1e999' is not a number"},
        {"force", "maybe", "parameter 'force': 'maybe' is not true or false"},
        {"mode", "fats", "parameter 'mode' must be one of fast, safe, not 'fats'"},
    }
    for _, case in ipairs(bad) do
        local _, problem = value_of(case[1], case[2])
        t.equal(problem, case[3])
    end
end)

t.run("a parameter without a default is required", function()
    local spec = {why = {type = "string", help = "the ticket"}, word = {type = "secret"}}
    local _, problems = policy.params(spec, {})
    t.equal(problems, {"parameter 'why' is required: the ticket (-p why=…)",
        "parameter 'word' is required (-p word=@/PATH)"})
    _, problems = policy.params(spec, {why = "", word = "secret"})
    t.equal(problems, {})
    _, problems = policy.params(spec, {}, {}, true) -- of a run that was begun without
    t.equal(problems, {})
end)

t.run("patterns and units", function()
    local function param(changes) return {params = {x = changes}} end
    local checked = policy.check(with(param {type = "string", pattern = "[A-Z]+%-%d+"})).params.x
    t.equal(checked, {type = "string", pattern = "[A-Z]+%-%d+"})
    local _, problems = policy.params({x = checked}, {x = "OPS-12 "})
    t.equal(problems, {"parameter 'x' is 'OPS-12 '; it must match [A-Z]+%-%d+"})
    _, problems = policy.params({x = checked}, {x = "OPS-12"})
    t.equal(problems, {})
    expect(param {type = "string", pattern = "%d+", default = "x"},
        "the default of parameter 'x' is 'x'; it must match %d+")
    expect(param {type = "string", pattern = "[a"},
        "the pattern of parameter 'x' is '[a', which is not one of Lua's")
    expect(param {type = "integer", pattern = "%d"}, "parameter 'x' is an integer, which has no pattern")
    t.equal(policy.check(with(param {type = "number", unit = "%"})).params.x.unit, "%")
    expect(param {type = "duration", unit = "s"}, "parameter 'x' is a duration, which has no unit of its own")
    expect(param {type = "integer", unit = 5}, "the unit of parameter 'x' is a text, not a number")
end)

t.run("what an operator is told of a policy", function()
    local told = policy.describe(policy.check {api = 1, summary = "s", params = {
        b = {type = "integer", default = 2, min = 1, unit = "MiB/s", help = "how fast"},
        a = {type = "string"}},
        steps = {{"x", phase = "check", run = nothing, topic = "cpu"}}})
    t.equal(told, {summary = "s", takes = {"instance", "host"}, arguments = "INSTANCE HOST", topics = {"cpu"},
        params = {{name = "a", type = "string", required = true},
            {name = "b", type = "integer", default = 2, min = 1, unit = "MiB/s", help = "how fast",
                required = false}}})
    local function arguments(takes)
        return policy.describe(policy.check {api = 1, summary = "s", takes = takes,
            steps = {check_step "x"}}).arguments
    end
    t.equal({arguments {"instance", "hosts"}, arguments {"hosts"}, arguments {}, arguments {"host"}},
        {"INSTANCE [HOST | any]", "HOST ...", "", "HOST"})
end)

t.run("unknown parameters", function()
    local _, problem = value_of("timout", "5")
    t.equal(problem, "unknown parameter 'timout' (did you mean 'timeout'?); the policy takes count, force, "
        .. "mode, ratio, speed, tag, text, timeout, wait")
    local _, problems = policy.params({}, {x = "1"})
    t.equal(problems, {"unknown parameter 'x'; the policy takes none"})
    _, problems = policy.params(SPEC, {x = "1", count = "y", ratio = "z"})
    t.equal(#problems, 3)
end)

t.run("what an operator knows better: topics of checks", function()
    local function topic(name) return {"check " .. name, phase = "check", run = nothing, topic = name} end
    local checked = policy.check {api = 1, summary = "x", steps = {topic "storage", topic "cpu"}}
    t.equal(checked.topics, {"cpu", "storage"})
    local values, problems = policy.params({}, {i_know = "storage, cpu"}, checked.topics)
    t.equal({values, problems}, {{i_know = {storage = true, cpu = true}}, {}})
    _, problems = policy.params({}, {i_know = "storge"}, checked.topics)
    t.equal(problems, {"parameter 'i_know': no check of the policy has the topic 'storge' (did you mean "
        .. "'storage'?); topics are cpu, storage"})
    _, problems = policy.params({}, {i_know = "storage"}, {})
    t.equal(problems, {"parameter 'i_know': no check of the policy has the topic 'storage'; none has any"})
    expect_step({"a", phase = "check", run = nothing, topic = "Storage!"},
        "the topic of step 'a' is a word of small letters, not 'Storage!'")
    expect_step({"a", phase = "prepare", run = nothing, topic = "storage"},
        "step 'a' (prepare) has a topic; only a check has one")
    expect({params = {i_know = {type = "string"}}}, "i_know is a parameter of every policy: what its "
        .. "operator knows "
        .. "better than a check of that topic")
end)

t.run("a list of steps among the steps stands for its steps", function()
    local checked, problems = policy.check {api = 1, summary = "x",
        steps = {{check_step "one", check_step "two"}, check_step "three"}}
    t.equal(problems, {})
    local titles = {}
    for i, step in ipairs(checked.steps) do titles[i] = step.title end
    t.equal(titles, {"one", "two", "three"})
    expect({steps = {{check_step "one"}, check_step "one"}}, "two steps have the title 'one'; titles are "
        .. "unique")
end)
