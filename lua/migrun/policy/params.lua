-- SPDX-License-Identifier: MIT
-- The parameters of a policy: how they are declared, and the values that an operator gives.
local lint = require "migrun.lint"
local values = require "migrun.policy.values"
local words = require "migrun.words"

local params = {}

local contains, show, list_text, sorted_names = values.contains, values.show, values.list_text,
    values.sorted_names
local a = values.a
local kind_text, TYPES, TYPE_NAMES = values.kind_text, values.TYPES, values.TYPE_NAMES

local PARAM_KEYS = {"choices", "default", "help", "max", "min", "pattern", "type", "unit"}
local BOUNDED = {integer = "", number = "", duration = " s"} -- and the unit of their bounds
local MEASURED = {"integer", "number"} -- what a policy may name the unit of

-- ---- how they are declared ----

-- The methods of the check of a policy (policy.lua) that are about them.
local Check = {}
params.Check = Check

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

function Check:params(given)
    local result = {}
    if given ~= nil and type(given) ~= "table" then
        self:problem("params", "params is a table of parameters by their names, not %s", a(given))
        return result
    end
    for name, param in pairs(given or {}) do result[name] = self:param(name, param) end
    if result.i_know then
        self:problem("params.i_know", "i_know is a parameter of every policy: what its operator knows better "
            .. "than a check of that topic")
    end
    return result
end

-- ---- their values ----

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
function params.values(spec, given, topics, finishing)
    local result, problems = {}, {}
    result.i_know = topics_of(given.i_know, topics or {}, problems)
    local names = sorted_names(spec)
    for name, param in pairs(spec) do result[name] = param.default end
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
            result[name] = value
        end
    end
    for _, name in ipairs(names) do
        if spec[name].default == nil and given[name] == nil and not finishing then
            local help, value = spec[name].help, spec[name].type == "secret" and "@/PATH" or "…"
            problems[#problems + 1] = ("parameter '%s' is required%s (-p %s=%s)")
                :format(name, help and ": " .. help or "", name, value)
        end
    end
    return result, problems
end

return params
