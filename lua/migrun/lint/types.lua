-- SPDX-License-Identifier: MIT
-- The types of meta.lua, and those of expressions as far as they are certain. A type is a list of its
-- alternatives: {kind = any, nil, string, number, integer, boolean, table, function (params, returns), list
-- (element), map (element), record (fields), class (name), literal (value)}. Of an expression they hold its
-- node where the text shows it. nil: nothing is known.
local parser = require "migrun.lint.parser"

local types = {}

local match = string.match
local resolve = parser.resolve
local BASIC = parser.set_of [[any nil string number integer boolean table function]]

-- ---- meta.lua ----

local parse_type

local function blank(text, p) return match(text, "^%s*()", p) end

-- name: type, … up to the closing sign; order: the types by their places, too.
local function parse_fields(text, p, closing)
    local fields, order = {}, {}
    p = blank(text, p)
    while text:sub(p, p) ~= closing do
        local name, after = match(text, "^([%w_.]+)%s*:%s*()", p)
        if not name then return fields, order, p end
        local type, stop = parse_type(text, after)
        fields[name], order[#order + 1] = type, type
        p = match(text, "^%s*,?%s*()", stop)
    end
    return fields, order, p + 1
end

local function parse_unit(text, p)
    local literal, stop = match(text, '^"([^"]*)"()', p)
    if literal then return {{kind = "literal", value = literal}}, stop end
    local inside = match(text, "^%(()", p)
    if inside then
        local type, at = parse_type(text, inside)
        return type, match(text, "^%s*%)()", at)
    end
    inside = match(text, "^{()", p)
    if inside then
        local fields, _, at = parse_fields(text, inside, "}")
        return {{kind = "record", fields = fields}}, at
    end
    inside = match(text, "^fun%(()", p)
    if inside then
        local _, params, at = parse_fields(text, inside, ")")
        local colon = match(text, "^:%s*()", at)
        local returns
        if colon then returns, at = parse_type(text, colon) end
        return {{kind = "function", params = params, returns = returns}}, at
    end
    inside = match(text, "^table<()", p)
    if inside then
        local _, at = parse_type(text, inside)
        local element, last = parse_type(text, match(text, "^%s*,%s*()", at))
        return {{kind = "map", element = element}}, match(text, "^%s*>()", last)
    end
    local name, after = match(text, "^([%w_.]+)()", p)
    if not name then return {{kind = "any"}}, p end
    if match(name, "^%d") then return {{kind = "any"}}, after end
    return {{kind = BASIC[name] and name or "class", name = name}}, after
end

-- A type at p, and where it ends.
function parse_type(text, p)
    local type = {}
    repeat
        local unit, at = parse_unit(text, p)
        local list = match(text, "^%[%]()", at)
        while list do
            unit, at = {{kind = "list", element = unit}}, list
            list = match(text, "^%[%]()", at)
        end
        table.move(unit, 1, #unit, #type + 1, type)
        p = match(text, "^|()", at)
        if not p then return type, at end
    until false
end

---Whether a type has the alternative nil (or any).
function types.is_optional(type)
    for _, one in ipairs(type) do
        if one.kind == "nil" or one.kind == "any" then return true end
    end
    return false
end

local FIELD_NAMES = {'^%["([^"]+)"%]%s+()', "^%[(%d+)%]%s+()", "^([%w_]+)%s+()"}

local function read_field(class, rest)
    for _, pattern in ipairs(FIELD_NAMES) do
        local name, at = match(rest, pattern)
        if name then
            class.fields[name] = parse_type(rest, at)
            return
        end
    end
end

---Reads meta.lua: {classes = {NAME = {name, fields = {NAME = type}, functions = {NAME = {name, params =
---{{name, type}, …}, returns, colon = whether it is a method, changes = nil, "always", "reads" or "GET" (when
---it changes nothing), migrates}}, module = the name by which it is required}}, aliases = {NAME = type}}.
function types.read(text)
    local meta, class, alias, fn = {classes = {}, aliases = {}}, nil, nil, {params = {}}
    local owners = {} -- classes by the locals that hold their functions
    for line in text:gmatch("[^\n]+") do
        local tag, rest = match(line, "^%-%-%-@(%a+)%s*(.*)")
        local owner, colon, method = match(line, "^function%s+([%w_]+)([.:])([%w_]+)")
        local choice, holder = match(line, '^%-%-%-| ()"'), match(line, "^local ([%w_]+) = {}")
        if tag == "class" then
            local name = match(rest, "^[%w_.]+")
            class = {name = name, fields = {}, functions = {}, module = match(rest, 'require "([%w_.]+)"'),
                base = match(rest, "^[%w_.]+:%s*([%w_]+)")}
            meta.classes[name] = class
        elseif tag == "alias" then
            local name, at = match(rest, "^([%w_]+)%s*()")
            alias = at <= #rest and parse_type(rest, at) or {}
            meta.aliases[name] = alias
        elseif choice and alias then
            table.move(parse_type(line, choice), 1, 1, #alias + 1, alias)
        elseif tag == "field" and class then
            read_field(class, rest)
        elseif tag == "param" then
            local name, at = match(rest, "^([%w_]+)%s+()")
            if name then table.insert(fn.params, {name = name, type = (parse_type(rest, at))}) end
        elseif tag == "return" then
            fn.returns = fn.returns or (parse_type(rest, 1))
        elseif tag == "changes" then
            fn.changes = match(rest, "^unless (%a+)") or "always"
        elseif tag == "migrates" then
            fn.migrates, fn.changes = true, "always"
        elseif owner then
            fn.name, fn.colon = method, colon == ":"
            if owners[owner] then owners[owner].functions[method] = fn end
            fn = {params = {}}
        elseif holder then
            owners[holder] = class
        end
    end
    for _, derived in pairs(meta.classes) do
        for name, type in pairs(derived.base and meta.classes[derived.base].fields or {}) do
            derived.fields[name] = type
        end
    end
    return meta
end

-- ---- of expressions ----

local Types = {}
Types.__index = Types

---The types of the expressions of a text, by what types.read gave.
function types.new(meta)
    local modules = {}
    for _, class in pairs(meta.classes) do
        if class.module then modules[class.module] = class end
    end
    return setmetatable({meta = meta, modules = modules}, Types)
end

---With the names of aliases replaced by what they stand for.
function Types:plain(type)
    local plain = {}
    for _, one in ipairs(type) do
        local alias = one.kind == "class" and self.meta.aliases[one.name]
        for _, inner in ipairs(alias and self:plain(alias) or {one}) do plain[#plain + 1] = inner end
    end
    return plain
end

-- The one alternative of a type beside nil, or nil.
function Types:only(type)
    local found
    for _, one in ipairs(type and self:plain(type) or {}) do
        if one.kind ~= "nil" then
            if found then return nil end
            found = one
        end
    end
    return found
end

---The class of an expression, or a record as one: {name, fields, functions}; nil where it has none.
function Types:class_of(node)
    local one = self:only(self:of(node))
    if not one then return nil end
    if one.kind == "record" then return {fields = one.fields, functions = {}} end
    return one.kind == "class" and self.meta.classes[one.name] or nil
end

---Whether values of a class are objects of the core (or modules), and no plain tables.
function types.is_object(class) return next(class.functions) ~= nil or class.module ~= nil end

function Types:element_of(type)
    local one = self:only(type)
    return one and (one.kind == "list" or one.kind == "map") and one.element or nil
end

local OF_CONSTANTS = {string = "string", ["nil"] = "nil", ["true"] = "boolean", ["false"] = "boolean",
    table = "table", ["function"] = "function"}
local OF_GLOBALS = {tostring = "string", type = "string"}
local COMPARISONS = parser.set_of [[== ~= < <= > >= not]]

-- of holds what was found out.
local function of_operation(node)
    local operators = node.operators
    if operators["and"] or operators["or"] then return nil end
    for operator in pairs(operators) do
        if COMPARISONS[operator] then return {{kind = "boolean", node = node}} end
    end
    return {{kind = operators[".."] and "string" or "number", node = node}}
end

function Types:of_name(node)
    local variable = node.variable
    if not variable or variable.assigned then return nil end
    if variable.type then return variable.type end
    if variable.element_of then return self:element_of(self:of(variable.element_of)) end
    return variable.value and self:of(variable.value)
end

function Types:of_call(node)
    local callee, argument = node.callee, node.args[1]
    if callee.kind == "name" and not callee.variable then
        if callee.name == "require" and argument and argument.kind == "string" then
            local class = self.modules[argument.value]
            return class and {{kind = "class", name = class.name}}
        end
        return OF_GLOBALS[callee.name] and {{kind = OF_GLOBALS[callee.name], node = node}}
    end
    local fn = self:function_of(node)
    return fn and fn.returns
end

---The function of meta.lua that a call (or method call) calls, and its class.
function Types:function_of(node)
    local member = node.kind == "method" and node or node.callee
    if not member or member.kind ~= "method" and member.kind ~= "index" then return nil end
    if member.key.kind ~= "string" then return nil end
    local class = self:class_of(member.object)
    return class and class.functions[member.key.value], class
end

function Types:of_index(node)
    local object = self:of(node.object)
    local one = self:only(object)
    if not one then return nil end
    local class = one.kind == "record" and one or one.kind == "class" and self.meta.classes[one.name]
    if class and node.key.kind == "string" then
        return class.fields[node.key.value]
    end
    return self:element_of(object)
end

---The type of an expression; nil where it is not certain.
function Types:of(node)
    local kind = node.kind
    if kind == "name" then return self:of_name(node) end
    if kind == "call" then return self:of_call(node) end
    if kind == "index" then return self:of_index(node) end
    if kind == "operation" then return of_operation(node) end
    if kind == "method" then
        local fn = node.args and self:function_of(node)
        return fn and fn.returns
    end
    if kind == "number" then
        return {{kind = math.type(node.value) == "float" and node.value % 1 ~= 0 and "float" or "integer",
            node = node}}
    end
    return OF_CONSTANTS[kind] and {{kind = OF_CONSTANTS[kind], node = node}}
end

-- ---- whether one fits ----

local ACCEPTS = {
    string = parser.set_of [[string number integer float literal]],
    number = parser.set_of [[number integer float]],
    integer = parser.set_of [[number integer]],
    boolean = parser.set_of [[boolean]],
    ["nil"] = parser.set_of [[nil]],
    table = parser.set_of [[table list map record class]],
    list = parser.set_of [[table list map record]],
    map = parser.set_of [[table list map record]],
    record = parser.set_of [[table list map record class]],
    ["function"] = parser.set_of [[function]],
    literal = parser.set_of [[string literal]],
}

function Types:accepts(one, value)
    if one.kind == "any" or value.kind == "any" then return true end
    if one.kind ~= "class" then
        if value.kind == "class" and ACCEPTS[one.kind].class then
            local class = self.meta.classes[value.name]
            return not class or not types.is_object(class)
        end
        return ACCEPTS[one.kind][value.kind] or false
    end
    local class, other = self.meta.classes[one.name], self.meta.classes[value.name]
    if not class or value.kind == "class" and not other then return true end
    if types.is_object(class) then return class == other end
    return other and not types.is_object(other) or ACCEPTS.record[value.kind] and not other or false
end

---Whether a value of one type may be given where another is wanted: not when no alternative fits.
function Types:fits(wanted, given)
    for _, value in ipairs(self:plain(given)) do
        for _, one in ipairs(self:plain(wanted)) do
            if self:accepts(one, value) then return true end
        end
    end
    return false
end

---A table's type among the alternatives, when there is but one, and in it: the fields of a class or record
---(or nil), the type of each element (or nil).
function Types:table_type(type)
    local found
    for _, one in ipairs(self:plain(type)) do
        if one.kind == "table" or one.kind == "any" then return nil end
        if one.kind == "list" or one.kind == "map" or one.kind == "record" or one.kind == "class" then
            if found then return nil end
            found = one
        end
    end
    if found and found.kind == "class" then
        local class = self.meta.classes[found.name]
        return class and not types.is_object(class) and {kind = "record", fields = class.fields} or nil
    end
    return found
end

types.resolve = resolve

return types
