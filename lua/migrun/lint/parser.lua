-- SPDX-License-Identifier: MIT
-- Reads the text of a policy as Lua does. No tree of statements is kept: the parser resolves names, and
-- remembers functions, calls, members and tables, which the rules look through. A local that is ever assigned
-- again has no value here: nothing is reported that is not certain.
local did_you_mean = require "migrun.lint.did_you_mean"
local words = require "migrun.words"

local find, match, sub = string.find, string.match, string.sub

local function set_of(words)
    local set = {}
    for word in words:gmatch("%S+") do set[word] = true end
    return set
end

local KEYWORDS = set_of [[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]
local SYMBOLS = set_of [[+ - * / % ^ # & ~ | << >> // == ~= <= >= < > = ( ) { } [ ] :: ; : , . .. ...]]
local BINARY = set_of [[+ - * / // % ^ .. & | ~ << >> == ~= < <= > >= and or]]
local UNARY = set_of [[- # ~ not]]
local BLOCK_ENDS = set_of [[eof end else elseif until]]
local CONSTANTS = set_of [[nil true false ... number string]]

local GLOBALS = set_of [[string table math utf8 os assert error ipairs load next pairs pcall print rawequal
    rawget rawlen require select setmetatable getmetatable tonumber tostring type xpcall _G _VERSION]]
local REFUSED = set_of [[io debug coroutine package dofile loadfile rawset collectgarbage warn]]
-- Keywords that a misspelt word may have meant: retrun { … } is read as the call of a global.
local WORDS = set_of [[return true false nil not]]

local function sorted_keys(...)
    local keys = {}
    for _, set in ipairs {...} do
        for key in pairs(set) do keys[#keys + 1] = key end
    end
    table.sort(keys)
    return keys
end

-- ---- tokens ----

-- Raised where the text is not Lua: that is not for lint to report.
local SYNTAX = {}

-- Just behind the long bracket that opens at p, and what it holds; nil when none opens there.
local function long_bracket(text, p)
    local level, inside = match(text, "^%[(=*)%[()", p)
    if not level then return nil end
    local first, last = find(text, "]" .. level .. "]", inside, true)
    if not first then error(SYNTAX) end
    return last + 1, sub(text, inside, first - 1)
end

local function skip_blank(text, p)
    local comment
    repeat
        p = match(text, "^%s*()", p)
        comment = match(text, "^%-%-()", p)
        if comment then p = long_bracket(text, comment) or match(text, "^[^\r\n]*()", comment) end
    until not comment
    return p
end

-- Just behind the string that opens at p, and its value; a value with escapes is nil: nothing here is
-- compared with one.
local function quoted(text, p)
    local quote, at = sub(text, p, p), p + 1
    while true do
        local stop = find(text, "[\\\r\n" .. quote .. "]", at)
        local char = stop and sub(text, stop, stop)
        if char == quote then
            local value = sub(text, p + 1, stop - 1)
            return stop + 1, not find(value, "\\", 1, true) and value or nil
        end
        if char ~= "\\" then error(SYNTAX) end
        at = match(text, "^z%s*()", stop + 1) or match(text, "^\r\n()", stop + 1) or stop + 2
    end
end

local function number(text, p)
    local hex = match(text, "^0[xX]()", p)
    local digits, exponent = hex and "^[%x.]*()" or "^[%d.]*()", hex and "^[pP][+-]?()" or "^[eE][+-]?()"
    local at, after = nil, hex or p
    while after do
        at = match(text, digits, after)
        after = match(text, exponent, at)
    end
    local value = tonumber(sub(text, p, at - 1))
    if not value or find(text, "^[%w_]", at) then error(SYNTAX) end
    return at, value
end

-- Kind, where it ends, and value of the token at p. Keywords and symbols are their own kind.
local function token_at(text, p)
    local word = match(text, "^[%a_][%w_]*", p)
    if word then return KEYWORDS[word] and word or "name", p + #word, word end
    if find(text, "^%.?%d", p) then return "number", number(text, p) end
    if find(text, "^[\"']", p) then return "string", quoted(text, p) end
    if find(text, "^%[=*%[", p) then return "string", long_bracket(text, p) end
    for length = 3, 1, -1 do
        local symbol = sub(text, p, p + length - 1)
        if SYMBOLS[symbol] then return symbol, p + #symbol end
    end
    error(SYNTAX)
end

local function scan(text)
    local tokens, p = {}, skip_blank(text, match(text, "^#[^\n]*()") or 1)
    while p <= #text do
        local kind, stop, value = token_at(text, p)
        tokens[#tokens + 1] = {kind = kind, value = value, pos = p,
            text = kind == "number" and sub(text, p, stop - 1) or nil}
        p = skip_blank(text, stop)
    end
    tokens[#tokens + 1] = {kind = "eof", pos = p}
    return tokens
end

-- ---- the parser ----
-- An expression is a constant's token, or a table with its kind (name, index, method, call, table, function,
-- operation) and pos, a byte of the text. A local is {value = its first one, where the text shows it;
-- assigned = whether it is set later}. Functions, calls and members have the function that they stand in
-- (within).

local Parser = {}
Parser.__index = Parser

function Parser:peek() return self.tokens[self.at].kind end
function Parser:accept(kind) return self:peek() == kind and self:next() or nil end
function Parser:expect(kind) return self:accept(kind) or error(SYNTAX) end

function Parser:next()
    local token = self.tokens[self.at]
    self.at = math.min(self.at + 1, #self.tokens)
    return token
end

-- Parts one after the other: rules, and tokens by their kinds.
local RULES = set_of [[expression block open close statements]]
function Parser:follow(shape)
    for part in shape:gmatch("%S+") do
        if RULES[part] then self[part](self) else self:expect(part) end
    end
end

-- Whether the next token is a name, and the one after it of this kind.
function Parser:at_name_before(kind)
    return self:peek() == "name" and self.tokens[self.at + 1].kind == kind
end

function Parser:problem(pos, message, ...)
    table.insert(self.problems, {pos = pos, message = message:format(...)})
end

-- Names.

function Parser:open() self.scope = {outer = self.scope, locals = {}} end
function Parser:close() self.scope = self.scope.outer end

function Parser:declare(name, value)
    local variable = {value = value}
    self.scope.locals[name] = variable
    return variable
end

function Parser:lookup(name)
    local scope = self.scope
    while scope and not scope.locals[name] do scope = scope.outer end
    return scope and scope.locals[name]
end

-- Names of the locals that are visible here, and those of more sets.
function Parser:visible_names(...)
    local sets, scope = {...}, self.scope
    while scope do sets[#sets + 1], scope = scope.locals, scope.outer end
    return sorted_keys(table.unpack(sets))
end

-- A policy with an _ENV of its own has globals of its own.
function Parser:has_own_env() return self:lookup("_ENV") ~= self.env or self.env.assigned end

function Parser:check_global(token)
    local name = token.value
    if GLOBALS[name] or self:has_own_env() then return end
    if REFUSED[name] then return self:problem(token.pos, "'%s' is not available to policies", name) end
    self:problem(token.pos, "undefined global '%s'%s", name,
        did_you_mean(name, self:visible_names(GLOBALS, WORDS)))
end

-- A name that is read.
function Parser:name(token)
    local variable = self:lookup(token.value)
    if not variable then self:check_global(token) end
    return {kind = "name", pos = token.pos, name = token.value, variable = variable}
end

-- A name that is set.
function Parser:assign(token)
    local variable = self:lookup(token.value)
    if variable then
        variable.assigned = true
    elseif not self:has_own_env() then
        local near = words.nearest(token.value, self:visible_names())
        local advice = near and ("did you mean '%s'?"):format(near) or "make it local"
        self:problem(token.pos, "global '%s' is assigned; %s", token.value, advice)
    end
end

-- Expressions.

function Parser:key()
    local token = self:expect("name")
    return {kind = "string", pos = token.pos, value = token.value}
end

-- kind: index (object.key, object[key]) or method (object:key).
function Parser:member(kind, object, key)
    local node = {kind = kind, pos = object.pos, object = object, key = key, within = self.func_now}
    table.insert(self.members, node)
    return node
end

function Parser:arguments()
    local token = self:next()
    if token.kind == "string" then return {token} end
    if token.kind == "{" then return {self:table(token)} end
    if token.kind ~= "(" then error(SYNTAX) end
    local args = self:peek() ~= ")" and self:expressions() or {}
    self:expect(")")
    return args
end

function Parser:suffixed()
    local name, node = self:accept("name"), nil
    if name then
        node = self:name(name)
    else
        self:expect("(")
        node = self:expression()
        self:expect(")")
    end
    while true do
        local kind = self:peek()
        if self:accept(".") then
            node = self:member("index", node, self:key())
        elseif self:accept("[") then
            node = self:member("index", node, self:expression())
            self:expect("]")
        elseif self:accept(":") then
            node = self:member("method", node, self:key())
            node.args = self:arguments()
        elseif kind == "(" or kind == "string" or kind == "{" then
            node = {kind = "call", pos = node.pos, callee = node, args = self:arguments(),
                within = self.func_now}
            table.insert(self.calls, node)
        else
            return node
        end
    end
end

function Parser:item()
    local key
    if self:accept("[") then
        key = self:expression()
        self:follow("] =")
    elseif self:at_name_before("=") then
        key = self:key()
        self:expect("=")
    end
    return {key = key, value = self:expression()}
end

function Parser:table(opening)
    local node = {kind = "table", pos = opening.pos, items = {}}
    table.insert(self.tables, node)
    while self:peek() ~= "}" do
        table.insert(node.items, self:item())
        if not self:accept(",") and not self:accept(";") then break end
    end
    self:expect("}")
    return node
end

-- Parameters and body; opening is the keyword.
function Parser:func(opening, has_self)
    local node = {kind = "function", pos = opening.pos, params = {}, within = self.func_now}
    self.func_now = node
    self:open()
    if has_self then self:declare("self") end
    self:expect("(")
    local more = self:peek() ~= ")"
    while more and not self:accept("...") do
        table.insert(node.params, self:declare(self:expect("name").value))
        more = self:accept(",")
    end
    self:follow(") statements close end")
    self.func_now = node.within
    return node
end

function Parser:operand()
    local token = self.tokens[self.at]
    if CONSTANTS[token.kind] then return self:next() end
    if self:accept("{") then return self:table(token) end
    if self:accept("function") then return self:func(token) end
    if not UNARY[token.kind] then return self:suffixed() end
    local operators = {}
    repeat operators[self:next().kind] = true until not UNARY[self:peek()]
    return {kind = "operation", pos = token.pos, operators = operators, self:operand()}
end

-- Which operator binds closer does not matter: an operation is all of its operands and operators.
function Parser:expression()
    local node, operation = self:operand(), nil
    while BINARY[self:peek()] do
        operation = operation or {kind = "operation", pos = node.pos, operators = {}, node}
        operation.operators[self:next().kind] = true
        operation[#operation + 1] = self:operand()
    end
    return operation or node
end

function Parser:expressions()
    local list = {}
    repeat table.insert(list, self:expression()) until not self:accept(",")
    return list
end

-- Statements.

function Parser:block() self:follow("open statements close") end

function Parser:names()
    local names = {}
    repeat
        table.insert(names, self:expect("name").value)
        if self:accept("<") then self:follow("name >") end
    until not self:accept(",")
    return names
end

-- The list of ipairs(list), whose elements a loop's second variable takes.
local function list_of_ipairs(node)
    local callee = node.callee or {}
    return callee.name == "ipairs" and not callee.variable and node.args[1] or nil
end

local SHAPES = {
    [";"] = "", ["break"] = "", ["goto"] = "name", ["::"] = "name ::", ["do"] = "block end",
    ["while"] = "expression do block end",
    ["repeat"] = "open statements until expression close",
}
local STATEMENTS = {}

STATEMENTS["if"] = function(self)
    repeat self:follow("expression then block") until not self:accept("elseif")
    if self:accept("else") then self:block() end
    self:expect("end")
end

STATEMENTS["for"] = function(self)
    local names = self:names()
    local list = (#names == 1 and self:accept("=") or self:expect("in")) and self:expressions()
    self:follow("do open")
    for i, name in ipairs(names) do
        self:declare(name).element_of = i == 2 and list_of_ipairs(list[1]) or nil
    end
    self:follow("statements close end")
end

STATEMENTS["function"] = function(self, opening)
    if self:at_name_before("(") then
        self:assign(self:next())
        return self:func(opening)
    end
    local node, method = self:name(self:expect("name")), nil
    repeat
        method = self:accept(":")
        if not method then self:expect(".") end
        node = self:member("index", node, self:key())
    until method or self:peek() == "("
    node.set = self:func(opening, method)
end

STATEMENTS["local"] = function(self)
    local opening = self:accept("function")
    if opening then
        local variable = self:declare(self:expect("name").value)
        variable.value = self:func(opening)
    else
        local names = self:names()
        local values = self:accept("=") and self:expressions() or {}
        for i, name in ipairs(names) do self:declare(name, values[i]) end
    end
end

STATEMENTS["return"] = function(self)
    local values = not BLOCK_ENDS[self:peek()] and self:peek() ~= ";" and self:expressions() or {}
    self:accept(";")
    if not BLOCK_ENDS[self:peek()] then error(SYNTAX) end
    if self.scope == self.main then self.returned = values[1] end
end

-- A call, or an assignment.
function Parser:call_or_assignment()
    local node, targets, settable = nil, 0, true
    repeat
        local bare = self:at_name_before("=") or self:at_name_before(",")
        if bare then self:assign(self:next()) else node = self:suffixed() end
        if node and node.kind == "index" then node.set = true end
        targets, settable = targets + 1, settable and (bare or node.kind == "index")
    until not self:accept(",")
    if settable and self:accept("=") then
        self:expressions()
    elseif targets > 1 or not node or node.kind ~= "call" and node.kind ~= "method" then
        error(SYNTAX)
    end
end

function Parser:statements()
    while not BLOCK_ENDS[self:peek()] do
        local token = self.tokens[self.at]
        local shape, statement = SHAPES[token.kind], STATEMENTS[token.kind]
        if shape or statement then self:next() else self:call_or_assignment() end
        if shape then self:follow(shape) elseif statement then statement(self, token) end
    end
end

---Reads a text: {problems = of names, members, calls, tables, returned = what the file returns}.
---Raises SYNTAX where it is not Lua.
local function parse(text)
    local parser = setmetatable({tokens = scan(text), at = 1, problems = {}, members = {}, tables = {},
        calls = {}}, Parser)
    parser:open()
    parser.env = parser:declare("_ENV")
    parser:open()
    parser.main = parser.scope
    parser:follow("statements eof")
    return parser
end

---What a name stands for, when that is certain: the first value of a local that is never set again.
local function resolve(node)
    while node and node.kind == "name" and node.variable and not node.variable.assigned
        and node.variable.value do
        node = node.variable.value
    end
    return node
end

---The value of a table's string key, and the item.
local function item_of(node, name)
    for _, item in ipairs(node.items) do
        if item.key and item.key.kind == "string" and item.key.value == name then return item.value, item end
    end
    return nil
end

return {parse = parse, resolve = resolve, item_of = item_of, set_of = set_of, sorted_keys = sorted_keys,
    SYNTAX = SYNTAX}
