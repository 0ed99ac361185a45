-- SPDX-License-Identifier: MIT
-- What is a mistake in a text that was read: rules about names, arguments, phases and paths. Where a type is
-- not certain nothing is said.
local calls = require "migrun.lint.calls"
local did_you_mean = require "migrun.lint.did_you_mean"
local parser = require "migrun.lint.parser"
local types = require "migrun.lint.types"

local rules = {}

local set_of, sorted_keys, resolve, item_of = parser.set_of, parser.sorted_keys, parser.resolve,
    parser.item_of

local OS = set_of [[clock date time]]
local LIBRARIES = {string = string, table = table, math = math, utf8 = utf8}

local NOUNS = {
    Host = "a host", Run = "the run", Instance = "the instance", Service = "a service",
    Libvirt = "a libvirt connection", Nova = "Nova",
    Domain = "a domain", Document = "a document", Log = "a log",
}

local function noun_of(class, node)
    if class.module then return "the module " .. class.module end
    if NOUNS[class.name] then return NOUNS[class.name] end
    local object = node.object
    if object.kind == "index" and object.key.kind == "string" then return object.key.value end
    if object.kind == "method" then return "what " .. object.key.value .. " returns" end
    return object.name and ("'%s'"):format(object.name) or "it"
end

-- ---- what the functions of a policy are given ----

local function set_parameter(node, place, type)
    node = node and resolve(node)
    local param = node and node.kind == "function" and node.params[place]
    if param and type then param.type = param.type or type end
end

-- Functions in a value that is given where a type is wanted get the types of their parameters.
local function set_callbacks(of, node, wanted)
    node = resolve(node)
    if node.kind == "function" then
        for _, one in ipairs(of:plain(wanted)) do
            for place, type in ipairs(one.kind == "function" and one.params or {}) do
                set_parameter(node, place, type)
            end
        end
    elseif node.kind == "table" then
        local inner = of:table_type(wanted)
        for _, item in ipairs(inner and inner.fields and node.items or {}) do
            local field = item.key and item.key.kind == "string" and inner.fields[item.key.value]
            if field then set_callbacks(of, item.value, field) end
        end
    end
end

local STEP_FUNCTIONS = {"run", "when", "undo", "verify"}

-- The functions of steps and of XML changes.
local function set_steps(parsed)
    local run, document = {{kind = "class", name = "Run"}}, {{kind = "class", name = "Document"}}
    for _, node in ipairs(parsed.tables) do
        local first, phase = node.items[1], item_of(node, "phase")
        if phase or (first and not first.key and first.value.kind == "string") then
            for _, name in ipairs(STEP_FUNCTIONS) do
                local fn = item_of(node, name) and resolve(item_of(node, name))
                set_parameter(fn, 1, run)
                if fn and fn.kind == "function" and phase and resolve(phase).kind == "string" then
                    fn.phases = fn.phases or {}
                    fn.phases[resolve(phase).value or "?"] = name
                end
            end
        elseif item_of(node, "changes") then
            set_parameter(item_of(node, "apply"), 1, document)
        end
    end
end

-- A local function whose calls all give an object of one class has a parameter of it.
local function set_called(parsed, of)
    local given = {}
    for _, node in ipairs(parsed.calls) do
        local fn = node.callee.kind == "name" and resolve(node.callee)
        if fn and fn.kind == "function" then
            given[fn] = given[fn] or {}
            for place in ipairs(fn.params) do
                local class = node.args[place] and of:class_of(node.args[place])
                local name = class and types.is_object(class) and class.name or ""
                local before = given[fn][place]
                given[fn][place] = (before == nil or before == name) and name or ""
            end
        end
    end
    for fn, classes in pairs(given) do
        for place, name in ipairs(classes) do
            if name ~= "" then set_parameter(fn, place, {{kind = "class", name = name}}) end
        end
    end
end

local function set_parameters(parsed, of)
    set_steps(parsed)
    for _ = 1, 2 do -- what a function is given may be passed on
        for _, list in ipairs {parsed.members, parsed.calls} do
            for _, node in ipairs(list) do
                local fn = node.args and of:function_of(node)
                for place, param in ipairs(fn and fn.params or {}) do
                    if node.args[place] then set_callbacks(of, node.args[place], param.type) end
                end
            end
        end
        set_called(parsed, of)
    end
end

-- ---- members ----

-- Names of the policy's parameters, or nil where they cannot be known from the text.
local function declared_params(policy)
    if not policy or not (item_of(policy, "steps") or item_of(policy, "api")) then return nil end
    local given = item_of(policy, "params")
    local params, names = given and resolve(given) or {kind = "table", items = {}}, {}
    for _, item in ipairs(params.items or {{}}) do
        if not item.key or item.key.kind ~= "string" or not item.key.value then return nil end
        names[item.key.value] = true
    end
    return names
end

-- The mistake in a member that is asked for, or nil.
local function member_problem(of, node, params)
    local name, object, asked = node.key.value, node.object, resolve(node.object)
    local class, global = of:class_of(object), object.kind == "name" and not object.variable and object.name
    if class then
        if class.fields[name] or class.functions[name] or next(class.fields) == nil and
            next(class.functions) == nil or node.set and not types.is_object(class) then
            return nil
        end
        return ("unknown field '%s' of %s%s"):format(name, noun_of(class, node),
            did_you_mean(name, sorted_keys(class.fields, class.functions)))
    elseif global == "os" then
        return not OS[name] and ("unknown field '%s' of os; policies have os.time, os.date and os.clock")
            :format(name)
    elseif LIBRARIES[global] then
        -- A site's module may have added a function of its own; a near miss is a mistake.
        local hint = LIBRARIES[global][name] == nil
            and did_you_mean(name, sorted_keys(LIBRARIES[global])) or ""
        return hint ~= "" and ("unknown field '%s' of %s%s"):format(name, global, hint)
    elseif params and asked.kind == "index" and asked.key.value == "params"
        and (of:class_of(asked.object) or {}).name == "Run" then
        return not params[name] and name ~= "i_know" and ("the policy has no parameter '%s'%s")
            :format(name, did_you_mean(name, sorted_keys(params)))
    end
    return nil
end

-- ---- libvirt's own state ----

-- As the bindings know it: a path that is written out, or that the instance tells.
local STATE_FOLDERS = {"/run/libvirt/", "/var/run/libvirt/", "/var/lib/libvirt/qemu/", "/etc/libvirt/qemu/"}
local NVRAM_FOLDER = "/var/lib/libvirt/qemu/nvram/"
local STATE_METHODS = set_of [[status_file definition_file]]
local WRITERS = set_of [[edit remove write]]
local OWNERS = set_of [[chmod chown]]

-- A path that is written out, in its one spelling; with a '/' at its end.
local function plain(path)
    local parts = {}
    for part in path:gmatch("[^/]+") do
        if part ~= "." then parts[#parts + 1] = part end
    end
    return "/" .. table.concat(parts, "/") .. "/"
end

local function is_state(of, node, owner)
    node = resolve(node)
    if node.kind == "method" then
        return STATE_METHODS[node.key.value] and (of:class_of(node.object) or {}).name == "Instance"
    end
    local path = node.kind == "string" and node.value and plain(node.value)
    if not path or owner and path:sub(1, #NVRAM_FOLDER) == NVRAM_FOLDER then return false end
    for _, folder in ipairs(STATE_FOLDERS) do
        if path:sub(1, #folder) == folder then return true end
    end
    return false
end

-- Finds before the run begins mistakes that the bindings refuse only after libvirtd was stopped.
local function check_state(parsed, of, node)
    local path, change, owner = node.args[1], node.args[2], OWNERS[node.key.value]
    if not path or (of:class_of(node.object) or {}).name ~= "Host" then return end
    if not is_state(of, path, owner) then return end
    if owner then
        parsed:problem(path.pos, "libvirt's own state, and so are its owner and mode")
    elseif WRITERS[node.key.value] then
        parsed:problem(path.pos, "libvirt's own state: only edit_xml changes it, with a change that says "
            .. "beforehand what it touches")
    elseif node.key.value == "edit_xml" and change and resolve(change).kind == "function" then
        parsed:problem(change.pos, "libvirt's own state: the change says beforehand what it touches, "
            .. "{ changes = { XPath, … }, apply = function(document) … end }")
    end
end

-- ---- all of them ----

---Adds to what parser.parse gave the problems that the rules find; of: types.new's. policy: the table that a
---policy's file returns; nil of a module.
function rules.apply(parsed, of, policy)
    set_parameters(parsed, of)
    local params = declared_params(policy)
    for _, node in ipairs(parsed.members) do
        local message = node.key.kind == "string" and node.key.value and member_problem(of, node, params)
        if message then parsed:problem(node.key.pos, "%s", message) end
        if node.kind == "method" and node.args then
            check_state(parsed, of, node)
            calls.check(parsed, of, node)
        end
    end
    for _, node in ipairs(parsed.calls) do calls.check(parsed, of, node) end
end

---The names of the modules that a text requires by name, but for migrun's own.
function rules.required(parsed)
    local names = {}
    for _, node in ipairs(parsed.calls) do
        local callee, argument = node.callee, node.args[1]
        if callee.kind == "name" and callee.name == "require" and not callee.variable and argument
            and argument.kind == "string" and argument.value and not argument.value:find("^migrun%.") then
            names[#names + 1] = argument.value
        end
    end
    return names
end

return rules
