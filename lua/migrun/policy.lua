-- SPDX-License-Identifier: MIT
-- Checks the whole table that a policy file returned before anything of it runs, and puts it into the one
-- form that the core knows. And the parameters that an operator gives to it.
local lint = require "migrun.lint"
local words = require "migrun.words"

local policy = {}

local PHASES = {"check", "prepare", "migrate", "fixup"}
local RANK = {check = 1, prepare = 2, migrate = 3, fixup = 4}
local POLICY_KEYS = {"api", "audits", "nova", "params", "steps", "summary", "takes"}
local STEP_KEYS = {"needs", "phase", "run", "temporary", "topic", "undo", "verify", "when"}
local ONLY_OF = {undo = "prepare", verify = "fixup"}
local PARAM_KEYS = {"choices", "default", "help", "max", "min", "pattern", "type", "unit"}
local BOUNDED = {integer = "", number = "", duration = " s"} -- and the unit of their bounds
local MEASURED = {"integer", "number"} -- what a policy may name the unit of
local TAKES = {{"instance", "host"}, {"instance", "hosts"}, {"instance"}, {"host"}, {"hosts"}, {}}

-- ---- values ----

local BOOLEANS = {["true"] = true, yes = true, on = true, ["1"] = true, ["false"] = false, no = false,
    off = false, ["0"] = false}

local function is_finite(value)
    return type(value) == "number" and value > -math.huge and value < math.huge
end

-- Of each type: what it is called, the value of a text, and the value of what a policy wrote; both nil when
-- it does not fit.
local TYPES = {
    string = {
        noun = "a text",
        parse = function(text) return text end,
        take = function(value) return type(value) == "string" and value or nil end,
    },
    integer = {
        noun = "a whole number",
        parse = function(text) return text:find("^[+-]?%d+$") and math.tointeger(tonumber(text)) or nil end,
        take = function(value) return math.type(value) == "integer" and value or nil end,
    },
    number = {
        noun = "a number",
        parse = function(text) return is_finite(tonumber(text)) and tonumber(text) or nil end,
        take = function(value) return is_finite(value) and value or nil end,
    },
    boolean = {
        noun = "true or false",
        parse = function(text) return BOOLEANS[text:lower()] end,
        take = function(value) if type(value) == "boolean" then return value end end,
    },
    secret = { -- whose text the core has read from where the command line says (src/lua/policy.c)
        noun = "a text",
        parse = function(text) return text end,
        take = function() return nil end,
    },
    duration = {
        noun = "a duration; write 90s, 10m or 1h30m",
        parse = function(text) return text == "auto" and text or words.duration(text) end,
        take = function(value)
            if type(value) == "string" then return value == "auto" and value or words.duration(value) end
            return is_finite(value) and value >= 0 and value or nil
        end,
    },
}
local TYPE_NAMES = {"string", "integer", "number", "boolean", "duration", "secret"}

local function sorted_names(map)
    local names = {}
    for name in pairs(map) do names[#names + 1] = name end
    table.sort(names)
    return names
end

local function contains(list, value)
    for _, known in ipairs(list) do
        if known == value then return true end
    end
    return false
end

local function show(value) return type(value) == "string" and ("'%s'"):format(value) or tostring(value) end

local function a(value) return value == nil and "nothing" or "a " .. type(value) end

local function kind_text(name) return (name:find("^[aeiou]") and "an " or "a ") .. name end

local function list_text(values)
    local texts = {}
    for i, value in ipairs(values) do texts[i] = tostring(value) end
    return table.concat(texts, ", ")
end

-- ---- the check ----

local Check = {}
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

-- Parameters.

-- The value as the parameter's type has it; nil, and a problem, when it does not fit.
function Check:fitting(kind, value, path, what, shown)
    local fitting = kind.take(value)
    if fitting == nil then
        self:problem(path, "%s is %s, which is not %s", what, show(shown or value), kind.noun)
    end
    return fitting
end

function Check:choices(kind, choices, path, what)
    if choices == nil then return nil end
    if type(choices) ~= "table" or next(choices) == nil then
        return self:problem(path, "the choices of %s are a list of values, not %s", what,
            type(choices) == "table" and "an empty one" or a(choices))
    end
    local result = {}
    for _, i in ipairs(self:indices(choices, path, "the choices of " .. what, "choice %d is nil")) do
        result[#result + 1] = self:fitting(kind, choices[i], ("%s[%d]"):format(path, i), ("choice %d of %s")
            :format(i, what))
    end
    return result
end

-- How a value is out of its parameter's bounds, or nil. "auto" has no bounds.
local function out_of_bounds(param, value)
    local unit = param.unit and " " .. param.unit or BOUNDED[param.type]
    if param.pattern and type(value) == "string" and not value:find("^" .. param.pattern .. "$") then
        return ("it must match %s"):format(param.pattern)
    end
    if type(value) ~= "number" then return nil end
    if param.min and value < param.min then return ("it must be at least %s%s"):format(param.min, unit) end
    if param.max and value > param.max then return ("it must be at most %s%s"):format(param.max, unit) end
    return nil
end

-- A pattern of Lua's that the whole text matches.
function Check:pattern(param, path, what)
    local pattern = param.pattern
    if pattern == nil then return nil end
    if param.type ~= "string" then
        return self:problem(path .. ".pattern", "%s is %s, which has no pattern", what,
            kind_text(param.type))
    elseif type(pattern) ~= "string" or not pcall(string.find, "", "^" .. pattern .. "$") then
        return self:problem(path .. ".pattern", "the pattern of %s is %s, which is not one of Lua's", what,
            show(pattern))
    end
    return pattern
end

function Check:unit(param, path, what)
    if param.unit == nil then return nil end
    if not contains(MEASURED, param.type) then
        return self:problem(path .. ".unit", "%s is %s, which has no unit of its own", what,
            kind_text(param.type))
    elseif type(param.unit) ~= "string" then
        return self:problem(path .. ".unit", "the unit of %s is a text, not %s", what, a(param.unit))
    end
    return param.unit
end

-- min and max, as the type has them, pattern and unit.
function Check:bounds(param, kind, path, what)
    local bounds = {type = param.type, pattern = self:pattern(param, path, what),
        unit = self:unit(param, path, what)}
    for _, name in ipairs {"min", "max"} do
        local bound = param[name]
        if bound ~= nil and not BOUNDED[param.type] then
            self:problem(path .. "." .. name, "%s is %s, which has no %s", what, kind_text(param.type), name)
        elseif bound ~= nil then
            bounds[name] = self:fitting(kind, bound ~= "auto" and bound or nil, path .. "." .. name,
                ("the %s of %s"):format(name, what), bound)
        end
    end
    if bounds.min and bounds.max and bounds.min > bounds.max then
        self:problem(path .. ".min", "the min of %s is above its max", what)
    end
    return bounds
end

function Check:param(name, param)
    local path, what = "params." .. tostring(name), ("parameter %s"):format(show(name))
    if type(name) ~= "string" or not name:find("^[%a_][%w_-]*$") then
        return self:problem(path, "%s: the name of a parameter is made of letters, digits, _ and -", what)
    elseif type(param) ~= "table" then
        return self:problem(path,
            "%s is a table, as { type = \"string\", default = \"x\", help = \"what it is\" }, not %s", what,
            a(param))
    end
    self:keys(param, PARAM_KEYS, path, what)
    local kind = TYPES[param.type]
    if not kind then
        local given = param.type == nil and "has no type" or ("has the unknown type %s")
            :format(show(param.type))
        local hint = lint.did_you_mean(tostring(param.type), TYPE_NAMES)
        return self:problem(path .. ".type", "%s %s%s", what, given, hint ~= "" and hint or "; types are "
            .. list_text(TYPE_NAMES))
    end
    if param.help ~= nil and type(param.help) ~= "string" then
        self:problem(path .. ".help", "the help of %s is a text, not %s", what, a(param.help))
    end
    if param.type == "secret" then
        for _, name in ipairs {"choices", "default", "max", "min", "pattern", "unit"} do
            if param[name] ~= nil then
                self:problem(path .. "." .. name,
                    "%s is a secret, which has no %s: a policy is no place for it", what, name)
            end
        end
        return {type = "secret", help = param.help}
    end
    local choices, default = self:choices(kind, param.choices, path .. ".choices", what), nil
    local bounds = self:bounds(param, kind, path, what)
    if param.default ~= nil then
        default = self:fitting(kind, param.default, path .. ".default", "the default of " .. what)
    end
    if choices and default ~= nil and not contains(choices, default) then
        self:problem(path .. ".default", "the default of %s is %s, which is not one of its choices (%s)",
          what,
            show(default), list_text(choices))
    end
    local outside = out_of_bounds(bounds, default)
    if outside then
        self:problem(path .. ".default", "the default of %s is %s; %s", what, show(param.default), outside)
    end
    return {type = param.type, default = default, help = param.help, choices = choices, min = bounds.min,
        max = bounds.max, pattern = bounds.pattern, unit = bounds.unit}
end

function Check:params(params)
    local result = {}
    if params ~= nil and type(params) ~= "table" then
        self:problem("params", "params is a table of parameters by their names, not %s", a(params))
        return result
    end
    for name, param in pairs(params or {}) do result[name] = self:param(name, param) end
    if result.i_know then
        self:problem("params.i_know", "i_know is a parameter of every policy: what its operator knows better "
            .. "than a check of that topic")
    end
    return result
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
    local params, steps = self:params(value.params), self:steps(value.steps)
    local takes = self.takes or {}
    return {
        summary = value.summary, takes = {table.unpack(takes)}, takes_instance = contains(takes, "instance"),
        takes_host = contains(takes, "host"), takes_hosts = contains(takes, "hosts"),
        migrates = self.migrates, nova = value.nova == true, audits = value.audits == true, params = params,
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

-- What an operator knows better, as "storage,cpu": {storage = true, cpu = true}.
local function topics_of(text, topics, problems)
    local known = {}
    for topic in (text or ""):gmatch("[^,%s]+") do
        known[topic] = true
        if not contains(topics, topic) then
            local near = words.nearest(topic, topics)
            problems[#problems + 1] = ("parameter 'i_know': no check of the policy has the topic '%s'%s; %s")
                :format(topic, near and (" (did you mean '%s'?)"):format(near) or "", #topics == 0
                    and "none has any" or "topics are " .. table.concat(topics, ", "))
        end
    end
    return known
end

---The values of a policy's parameters (policy.check's params) from what the command line gives, texts by
---name, and the problems: sentences. topics: policy.check's. A parameter without a default must be given, but
---for a run that is finished now (finishing).
function policy.params(spec, given, topics, finishing)
    local values, problems = {}, {}
    values.i_know = topics_of(given.i_know, topics or {}, problems)
    local names = sorted_names(spec)
    for name, param in pairs(spec) do values[name] = param.default end
    local rest = {}
    for name, text in pairs(given) do
        if name ~= "i_know" then rest[name] = text end
    end
    for _, name in ipairs(sorted_names(rest)) do
        local param, text = spec[name], given[name]
        local value = param and TYPES[param.type].parse(text)
        if not param then
            local near = words.nearest(name, names)
            problems[#problems + 1] = ("unknown parameter '%s'%s; %s")
                :format(name, near and (" (did you mean '%s'?)"):format(near) or "",
                #names == 0 and "the policy takes none" or "the policy takes " .. table.concat(names, ", "))
        elseif value == nil then
            problems[#problems + 1] = ("parameter '%s': '%s' is not %s")
                :format(name, text, TYPES[param.type].noun)
        elseif param.choices and not contains(param.choices, value) then
            problems[#problems + 1] = ("parameter '%s' must be one of %s, not '%s'")
                :format(name, list_text(param.choices), text)
        elseif out_of_bounds(param, value) then
            problems[#problems + 1] = ("parameter '%s' is '%s'; %s")
                :format(name, text, out_of_bounds(param, value))
        else
            values[name] = value
        end
    end
    for _, name in ipairs(names) do
        if spec[name].default == nil and given[name] == nil and not finishing then
            local help, value = spec[name].help, spec[name].type == "secret" and "@/PATH" or "…"
            problems[#problems + 1] = ("parameter '%s' is required%s (-p %s=%s)")
                :format(name, help and ": " .. help or "", name, value)
        end
    end
    return values, problems
end

local ARGUMENTS = {instance = "INSTANCE", host = "HOST", hosts = "HOST ..."}

---What an operator is told of a checked policy: {summary, takes, topics, arguments = "INSTANCE HOST",
---params = {{name, required, and what policy.check has of it}, …}}.
function policy.describe(checked)
    local arguments, params = {}, {}
    for i, taken in ipairs(checked.takes) do
        arguments[i] = ARGUMENTS[taken]
        if taken == "hosts" and i == 2 then arguments[i] = "[HOST | any]" end
    end
    for i, name in ipairs(sorted_names(checked.params)) do
        local param = {name = name, required = checked.params[name].default == nil}
        for key, value in pairs(checked.params[name]) do param[key] = value end
        params[i] = param
    end
    return {summary = checked.summary, takes = checked.takes, topics = checked.topics,
        arguments = table.concat(arguments, " "), params = params}
end

---Whether what a file returned is meant as a policy: a module of the site's may lie beside policies.
function policy.is_meant(value)
    return type(value) == "table" and (value.api ~= nil or value.steps ~= nil)
end

return policy
