-- SPDX-License-Identifier: MIT
-- The rules about calls of what meta.lua describes: their arguments, and the phase in which they are made.
local did_you_mean = require "migrun.lint.did_you_mean"
local parser = require "migrun.lint.parser"
local types = require "migrun.lint.types"

local calls = {}

local resolve, item_of, sorted_keys = parser.resolve, parser.item_of, parser.sorted_keys

local NOUNS = {any = "anything", ["nil"] = "nil", string = "a text", number = "a number",
    integer = "a whole number", float = "a number with a fraction", boolean = "a boolean", table = "a table",
    ["function"] = "a function", list = "a list", map = "a table", record = "a table", literal = "a text"}
local OBJECTS = {Host = "a host", Run = "the run", Instance = "the instance", Service = "a service",
    Libvirt = "a libvirt connection", Nova = "Nova", Domain = "a domain", Document = "a document",
    Log = "a log", Step = "a step"}

-- "a text or a number"; nil only where it is all that there is.
local function text_of(of, type)
    local texts, seen = {}, {}
    local plain = of:plain(type)
    for _, one in ipairs(plain) do
        local text = one.kind == "class" and (OBJECTS[one.name] or "a table") or NOUNS[one.kind]
        if not seen[text] and (one.kind ~= "nil" or #plain == 1) then texts[#texts + 1] = text end
        seen[text] = true
    end
    return table.concat(texts, " or ")
end

-- ---- modes ----

local function is_mode(type)
    for _, one in ipairs(type) do
        if one.kind == "class" and one.name == "Mode" then return true end
    end
    return false
end

-- Whether it is a mode as people write them: nobody may do what those before him may not, and who may write
-- may read.
local function is_usual(mode)
    local owner, group, others = mode >> 6 & 7, mode >> 3 & 7, mode & 7
    if mode > 511 or group & ~owner ~= 0 or others & ~group ~= 0 then return false end
    for _, bits in ipairs {owner, group, others} do
        if bits & 2 ~= 0 and bits & 4 == 0 then return false end
    end
    return true
end

-- A number that was written as chmod(1) takes it, which Lua reads as a decimal one.
local function check_mode(parsed, node)
    local number = resolve(node)
    local text = number.kind == "number" and number.text
    if not text or not text:find("^0?[0-7][0-7][0-7][0-7]?$") then return end
    local decimal, octal = math.tointeger(number.value), tonumber(text, 8)
    if text:find("^0") or not is_usual(decimal) and is_usual(octal & 511) then
        parsed:problem(node.pos, "%s is a decimal number, which is the mode %04o; write tonumber(\"%s\", 8)",
            text, decimal, text:gsub("^0", ""))
    end
end

-- ---- values ----

local check_value

-- The texts that a type has, when it is not any text.
local function choices_of(of, type)
    local choices = {}
    for _, one in ipairs(of:plain(type)) do
        if one.kind == "literal" then
            choices[#choices + 1] = one.value
        elseif one.kind == "string" or one.kind == "any" then
            return nil
        end
    end
    return #choices > 0 and choices or nil
end

local function check_choice(parsed, of, node, wanted, what)
    local value, choices = resolve(node), choices_of(of, wanted)
    if not choices or value.kind ~= "string" or not value.value then return end
    for _, choice in ipairs(choices) do
        if choice == value.value then return end
    end
    local hint = did_you_mean(value.value, choices)
    parsed:problem(node.pos, "unknown value '%s' of %s%s", value.value, what,
        hint ~= "" and hint or "; known are " .. table.concat(choices, ", "))
end

-- of_what: "of command", for its options.
local function check_record(parsed, of, node, fields, what, of_what)
    local named = true
    for _, item in ipairs(node.items) do
        local name = item.key and item.key.kind == "string" and item.key.value
        named = named and name ~= nil and (item.key ~= nil)
        if not item.key then
            parsed:problem(item.value.pos, "%s has names: { %s = … }", what, sorted_keys(fields)[1])
        elseif name and not fields[name] then
            parsed:problem(item.key.pos, "unknown %s '%s' of %s%s", of_what and "option" or "key", name,
                of_what or what, did_you_mean(name, sorted_keys(fields)))
        elseif name then
            check_value(parsed, of, item.value, fields[name], ("'%s'"):format(name))
        end
    end
    for _, name in ipairs(named and sorted_keys(fields) or {}) do
        if type(name) == "string" and not types.is_optional(fields[name]) and not item_of(node, name) then
            parsed:problem(node.pos, "%s has no '%s'", what, name)
        end
    end
end

local function check_table(parsed, of, node, wanted, what, of_what)
    local inner = of:table_type(wanted)
    if not inner then return end
    if inner.kind == "record" then
        return check_record(parsed, of, node, inner.fields, what, of_what)
    end
    for _, item in ipairs(node.items) do
        if item.key and inner.kind == "list" then
            if item.key.kind == "string" then
                parsed:problem(item.key.pos, "%s is a list: { …, … }", what)
            end
        else
            check_value(parsed, of, item.value, inner.element, what)
        end
    end
end

-- what: how the place is called where the value is given; of_what: the function whose options it is.
function check_value(parsed, of, node, wanted, what, of_what)
    local given = of:of(node)
    if not given then return end
    if not of:fits(wanted, given) then
        return parsed:problem(node.pos, "%s is %s, not %s", what, text_of(of, wanted), text_of(of, given))
    end
    if is_mode(wanted) then check_mode(parsed, node) end
    check_choice(parsed, of, node, wanted, what)
    local value = resolve(node)
    if value.kind == "table" then check_table(parsed, of, value, wanted, what, of_what) end
end

-- ---- arguments ----

local function check_path(parsed, node)
    local path = resolve(node)
    if path.kind == "string" and path.value and path.value:sub(1, 1) ~= "/" then
        parsed:problem(node.pos, "a path on a host begins with '/', not '%s'", path.value)
    end
end

local MANY = parser.set_of [[call method ...]]

local function signature(fn)
    local names = {}
    for i, param in ipairs(fn.params) do names[i] = param.name end
    return ("%s(%s)"):format(fn.name, table.concat(names, ", "))
end

local function check_arguments(parsed, of, node, fn, class, first)
    local args, key = node.args, (node.kind == "method" and node or node.callee).key
    local last = args[#args]
    local many = last and MANY[last.kind] or false
    local certain = #args - first + 1 - (many and 1 or 0)
    if certain > #fn.params then
        return parsed:problem(args[first + #fn.params].pos, "%s takes %s, not %d: %s", fn.name,
            #fn.params == 0 and "no argument" or #fn.params == 1 and "one argument"
            or ("%d arguments"):format(#fn.params), #args - first + 1, signature(fn))
    end
    for i, param in ipairs(fn.params) do
        local arg = args[first + i - 1]
        if arg then
            check_value(parsed, of, arg, param.type, ("'%s' of %s"):format(param.name, fn.name),
                param.name == "options" and fn.name or nil)
            if class.name == "Host" and param.name == "path" then check_path(parsed, arg) end
        elseif not many and not types.is_optional(of:plain(param.type)) then
            return parsed:problem(key.pos, "'%s' is missing: %s", param.name, signature(fn))
        end
    end
end

-- ---- phases ----

-- The step's function that a node stands in, or nil.
local function step_of(node)
    local fn = node.within
    while fn and not fn.phases do fn = fn.within end
    return fn
end

-- Whether the call changes nothing, as the options or the method say; nil: that is not certain.
local READS = {
    reads = function(args)
        local options = args[2] and resolve(args[2])
        if not options then return false end
        if options.kind ~= "table" then return options.kind == "nil" and false or nil end
        for _, item in ipairs(options.items) do
            if item.key and item.key.kind ~= "string" then return nil end
        end
        local reads = item_of(options, "reads")
        if not reads then return false end
        local value = resolve(reads)
        return value.kind == "true" or nil
    end,
    GET = function(args)
        local method = args[1] and resolve(args[1])
        if not method or method.kind ~= "string" or not method.value then return nil end
        return method.value == "GET"
    end,
}

local ADVICE = {
    reads = "; when it only reads, say so: { reads = true }",
    GET = "; GET alone reads",
}

local function check_phase(parsed, node, fn)
    local step = fn.changes and step_of(node)
    local key = (node.kind == "method" and node or node.callee).key
    if not step then return end
    local only_check = step.phases.check and next(step.phases, next(step.phases)) == nil
    if fn.migrates and not step.phases.migrate then
        return parsed:problem(key.pos, "%s moves the guest, which only a step of the phase migrate does",
            fn.name)
    elseif not only_check or READS[fn.changes] and READS[fn.changes](node.args) ~= false then
        return
    end
    parsed:problem(key.pos, "%s changes something, which a check may not: make it a step of the phase "
        .. "prepare%s", fn.name, ADVICE[fn.changes] or "")
end

-- ---- all of it ----

---Adds the problems of a call, or of a method's.
function calls.check(parsed, of, node)
    local fn, class = of:function_of(node)
    if not fn then return end
    local first, key = 1, (node.kind == "method" and node or node.callee).key
    if node.kind == "method" and not fn.colon then
        return parsed:problem(key.pos, "%s is called with '.', not ':': %s.%s", fn.name,
            class.module and class.module:match("[%w_]+$") or "module", signature(fn))
    elseif node.kind == "call" and fn.colon then
        local own = node.args[1] and of:of(node.args[1])
        if not node.args[1] or own and not of:fits({{kind = "class", name = class.name}}, own) then
            return parsed:problem(key.pos, "%s is called with ':', not '.': %s:%s", fn.name,
                class.name and class.name:lower() or "object", signature(fn))
        end
        first = 2
    end
    check_arguments(parsed, of, node, fn, class, first)
    check_phase(parsed, node, fn)
end

return calls
