-- SPDX-License-Identifier: MIT
-- Checks the whole table that a policy file returned before anything of it runs, and puts it into the one
-- form that the core knows. policy/params.lua: its parameters.
local lint = require "migrun.lint"
local params = require "migrun.policy.params"
local values = require "migrun.policy.values"

local policy = {}

local PHASES = {"check", "prepare", "migrate", "fixup"}
local RANK = {check = 1, prepare = 2, migrate = 3, fixup = 4}
local POLICY_KEYS = {"api", "audits", "nova", "params", "steps", "summary", "takes"}
local STEP_KEYS = {"needs", "phase", "run", "temporary", "topic", "undo", "verify", "when"}
local ONLY_OF = {undo = "prepare", verify = "fixup"}
local TAKES = {{"instance", "host"}, {"instance", "hosts"}, {"instance"}, {"host"}, {"hosts"}, {}}

local contains, show, list_text, sorted_names = values.contains, values.show, values.list_text,
    values.sorted_names
local a = values.a

-- ---- the check ----

local Check = setmetatable({}, {__index = params.Check})
Check.__index = Check

-- Where the part at path stands, or else what it is a part of.
function Check:place(path)
    while not self.positions[path] and path ~= "" do
        path = path:match("^(.*)%[[^%]]*%]$") or path:match("^(.*)%.") or ""
    end
    return self.positions[path] or {line = 1, column = 1}
end

function Check:problem(path, message, ...)
    local at = self:place(path)
    table.insert(self.problems, {line = at.line, column = at.column, message = message:format(...)})
end

-- Keys of value that are none of known. has_title: its first element is known, too.
function Check:keys(value, known, path, what, has_title)
    for key in pairs(value) do
        if not contains(known, key) and not (has_title and key == 1) then
            local hint = type(key) == "string" and lint.did_you_mean(key, known) or ""
            local place = type(key) == "number" and ("%s[%s]"):format(path, key) or path == ""
                and tostring(key) or path .. "." .. tostring(key)
            self:problem(place, "unknown key %s of %s%s", show(key), what, hint ~= "" and hint
                or "; known are " .. list_text(known))
        end
    end
end

-- Indices of the elements of a list, in order, and how many holes it has. Holes are problems (on_hole says so
-- of the nil at %d), at its end, too, where the text has an expression; and so are other keys.
local HOLES_MAX = 20
function Check:indices(list, path, what, on_hole)
    local indices, length, holes = {}, 0, 0
    for key in pairs(list) do
        if math.type(key) == "integer" and key > 0 then
            indices[#indices + 1], length = key, math.max(length, key)
        else
            self:problem(path .. "." .. tostring(key), "%s are a list; it has the key %s", what, show(key))
        end
    end
    for place, at in pairs(self.positions) do
        local number = place:sub(1, #path) == path and tonumber(place:match("^%[(%d+)%]$", #path + 1))
        if number and not at.many then length = math.max(length, number) end
    end
    for i = 1, length do
        if list[i] == nil and holes < HOLES_MAX then
            self:problem(("%s[%d]"):format(path, i), on_hole, i)
            holes = holes + 1
        elseif holes == HOLES_MAX then
            break
        end
    end
    table.sort(indices)
    return indices, holes
end

-- Steps.

function Check:title(step, path, number)
    local title = step[1]
    if type(title) ~= "string" or not title:find("%S") then
        local given = title == nil and "has no title" or type(title) == "string" and "has an empty title"
            or "has a title that is " .. a(title)
        self:problem(title == nil and path or path .. "[1]",
            "step %d %s; a step begins with its title: { \"check the disk\", … }", number, given)
        return ("step %d"):format(number)
    elseif self.steps_by_title[title] then
        self:problem(path .. "[1]", "two steps have the title '%s'; titles are unique", title)
    end
    return title
end

function Check:phase(step, path, title)
    local phase = step.phase
    if RANK[phase] then return phase end
    if phase == nil then
        self:problem(path, "step '%s' has no phase; phases are %s", title, list_text(PHASES))
    else
        local hint = lint.did_you_mean(tostring(phase), PHASES)
        if hint == "" then hint = "; phases are " .. list_text(PHASES) end
        self:problem(path .. ".phase", "unknown phase %s of step '%s'%s", show(phase), title, hint)
    end
    return nil
end

function Check:order(phase, path, title)
    local last = self.last
    if last and RANK[phase] < RANK[last.phase] then
        self:problem(path, "step '%s' (%s) comes after step '%s' (%s); steps come in the order %s", title,
            phase, last.title, last.phase,
            list_text(PHASES))
    elseif phase == "migrate" and last and last.phase == "migrate" then
        self:problem(path, "step '%s' is a second migrate step, after '%s'; a policy has at most one", title,
            last.title)
    else
        self.last = {title = title, phase = phase}
    end
    self.migrates = self.migrates or phase == "migrate"
    if phase ~= "check" and self.takes and contains(self.takes, "instance") and contains(self.takes,
      "hosts") then
        self:problem(path, "step '%s' (%s): a policy that takes { \"instance\", \"hosts\" } has checks alone",
            title, phase)
    elseif phase == "migrate" and self.takes and #self.takes < 2 then
        self:problem(path, "step '%s' migrates; a policy that migrates takes { \"instance\", \"host\" }",
            title)
    end
end

function Check:functions(step, path, title, phase)
    for _, name in ipairs {"run", "when", "undo", "verify"} do
        local value, only = step[name], ONLY_OF[name]
        if name == "run" and value == nil then
            self:problem(path, "step '%s' has no function 'run'", title)
        elseif value ~= nil and type(value) ~= "function" then
            self:problem(path .. "." .. name, "'%s' of step '%s' is a function, not %s", name, title,
                a(value))
        elseif only and value ~= nil and phase and phase ~= only then
            self:problem(path .. "." .. name, "step '%s' (%s) has a function '%s'; only a %s has one", title,
                phase, name, only == "fixup" and only or only .. " step")
        end
    end
end

function Check:temporary(step, path, title, phase)
    local temporary = step.temporary
    if temporary ~= nil and type(temporary) ~= "boolean" then
        self:problem(path .. ".temporary", "'temporary' of step '%s' is true or left out, not %s", title,
            a(temporary))
    elseif temporary and phase and phase ~= "prepare" then
        self:problem(path .. ".temporary", "step '%s' (%s) is temporary; only a prepare step may be", title,
            phase)
    end
    return temporary or nil
end

function Check:needs(step, path, title, phase)
    local needs, result = step.needs, {}
    if needs == nil then return result end
    path = path .. ".needs"
    if phase and phase ~= "check" then
        self:problem(path, "step '%s' (%s) has needs; only a check has them", title, phase)
    elseif type(needs) ~= "table" then
        self:problem(path, "'needs' of step '%s' is a list of titles of checks, not %s", title, a(needs))
    else
        for _, i in ipairs(self:indices(needs, path, "needs of a step", "need %d is nil")) do
            self:need(needs[i], ("%s[%d]"):format(path, i), title)
            result[#result + 1] = needs[i]
        end
    end
    return result
end

function Check:topic(step, path, title, phase)
    local topic = step.topic
    if topic == nil then return nil end
    if type(topic) ~= "string" or not topic:find("^%l[%l%d_]*$") then
        self:problem(path .. ".topic", "the topic of step '%s' is a word of small letters, not %s", title,
            show(topic))
        return nil
    elseif phase and phase ~= "check" then
        self:problem(path .. ".topic", "step '%s' (%s) has a topic; only a check has one", title, phase)
    end
    self.topics[topic] = true
    return topic
end

function Check:need(need, path, title)
    if self.steps_by_title[need] ~= "check" then
        local earlier = {}
        for _, known in ipairs(sorted_names(self.steps_by_title)) do
            if self.steps_by_title[known] == "check" then earlier[#earlier + 1] = known end
        end
        local hint = type(need) == "string" and lint.did_you_mean(need, earlier) or ""
        self:problem(path, "step '%s' needs %s, which is not an earlier check%s", title, show(need), hint)
    end
end

function Check:step(step, number)
    local path = ("steps[%d]"):format(number)
    if type(step) ~= "table" then
        return self:problem(path,
            "step %d is a table, as { \"title\", phase = \"check\", run = function(run) … end }, not %s",
            number, a(step))
    end
    local title = self:title(step, path, number)
    self:keys(step, STEP_KEYS, path, ("step '%s'"):format(title), true)
    local phase = self:phase(step, path, title)
    self:functions(step, path, title, phase)
    local temporary = self:temporary(step, path, title, phase)
    local needs = self:needs(step, path, title, phase)
    local topic = self:topic(step, path, title, phase)
    if phase then self:order(phase, path, title) end
    self.steps_by_title[title] = phase or "unknown"
    return {title = title, phase = phase, needs = needs, run = step.run, when = step.when,
        undo = step.undo, verify = step.verify, temporary = temporary, topic = topic}
end

-- A list of steps among the steps stands for these: check.all is one.
local function is_list(value)
    return type(value) == "table" and type(value[1]) == "table" and value.phase == nil
end

function Check:steps(steps)
    local result = {}
    if type(steps) ~= "table" then
        self:problem("steps", steps == nil and "the policy has no steps"
            or "steps is a list of steps, not %s", a(steps))
        return result
    end
    local indices, holes = self:indices(steps, "steps", "steps",
        "step %d is nil: a misspelt name of a library's step?")
    if #indices + holes == 0 then self:problem("steps", "the list of steps is empty") end
    for _, i in ipairs(indices) do
        for _, step in ipairs(is_list(steps[i]) and steps[i] or {steps[i]}) do
            result[#result + 1] = self:step(step, i)
        end
    end
    return result
end

-- The policy.

function Check:takes_of(takes)
    for _, known in ipairs(TAKES) do
        local same = takes == nil or type(takes) == "table" and #takes == #known
        for i, name in ipairs(known) do same = same and (takes == nil or takes[i] == name) end
        if same then return known end
    end
    self:problem("takes",
        "takes is { \"instance\", \"host\" } (as when it is left out), { \"instance\", \"hosts\" }, "
        .. "{ \"instance\" }, { \"host\" }, { \"hosts\" } or {}")
    return nil
end

function Check:policy(value)
    self:keys(value, POLICY_KEYS, "", "the policy")
    if value.api ~= 1 then
        self:problem("api", value.api == nil
            and "the policy does not say for which version of migrun's API it is: api = 1"
            or "the policy is for version %s of migrun's API; this migrun has api = 1", show(value.api))
    end
    if type(value.summary) ~= "string" or not value.summary:find("%S") then
        self:problem("summary", "the policy needs a summary: one sentence that says what it does")
    end
    if value.nova ~= nil and type(value.nova) ~= "boolean" then
        self:problem("nova", "nova is true, when the instance is Nova's, or left out")
    end
    if value.audits ~= nil and type(value.audits) ~= "boolean" then
        self:problem("audits", "audits is true, when a preview's status is to tell of warnings, or left out")
    end
    self.takes = self:takes_of(value.takes)
    local declared, steps = self:params(value.params), self:steps(value.steps)
    local takes = self.takes or {}
    return {
        summary = value.summary, takes = {table.unpack(takes)}, takes_instance = contains(takes, "instance"),
        takes_host = contains(takes, "host"), takes_hosts = contains(takes, "hosts"),
        migrates = self.migrates, nova = value.nova == true, audits = value.audits == true, params = declared,
        steps = steps, topics = sorted_names(self.topics),
    }
end

---Checks what a policy file (name) returned; positions are lint.check's. Gives the policy in its one form, or
---nil, and the problems: {{line, column, message}, …}. The form: {summary, takes, takes_instance,
---takes_host, takes_hosts, migrates, nova, audits, params = {[name] = {type, default, help, choices, min,
---max, pattern, unit}}, steps = {{title, phase, needs, topic, run, when, undo, verify, temporary}, …}, topics
---= {word, …}};
---durations are seconds or "auto".
function policy.check(value, positions, name)
    local check = setmetatable({positions = positions or {}, problems = {}, steps_by_title = {},
        topics = {}, migrates = false}, Check)
    local result
    if type(value) == "table" then
        result = check:policy(value)
    else
        check:problem("", "%s returns %s; a policy ends in: return { api = 1, summary = …, steps = { … } }",
            name or "the policy", a(value))
    end
    table.sort(check.problems, function(x, y)
        if x.line ~= y.line then return x.line < y.line end
        if x.column ~= y.column then return x.column < y.column end
        return x.message < y.message
    end)
    return #check.problems == 0 and result or nil, check.problems
end

policy.params = params.values

local ARGUMENTS = {instance = "INSTANCE", host = "HOST", hosts = "HOST ..."}

---What an operator is told of a checked policy: {summary, takes, topics, arguments = "INSTANCE HOST",
---params = {{name, required, and what policy.check has of it}, …}}.
function policy.describe(checked)
    local arguments, described = {}, {}
    for i, taken in ipairs(checked.takes) do
        arguments[i] = ARGUMENTS[taken]
        if taken == "hosts" and i == 2 then arguments[i] = "[HOST | any]" end
    end
    for i, name in ipairs(sorted_names(checked.params)) do
        local param = {name = name, required = checked.params[name].default == nil}
        for key, value in pairs(checked.params[name]) do param[key] = value end
        described[i] = param
    end
    return {summary = checked.summary, takes = checked.takes, topics = checked.topics,
        arguments = table.concat(arguments, " "), params = described}
end

---Whether what a file returned is meant as a policy: a module of the site's may lie beside policies.
function policy.is_meant(value)
    return type(value) == "table" and (value.api ~= nil or value.steps ~= nil)
end

return policy
