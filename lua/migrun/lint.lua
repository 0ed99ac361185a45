-- SPDX-License-Identifier: MIT
-- Finds mistakes in the text of a policy before anything of it runs: names that do not exist, globals,
-- misspelt fields of the objects that the core gives. The objects' classes are those of the editor's
-- annotations (meta.lua), so editor, lint and core say the same.
--
-- The text is parsed, but no tree of statements is kept: the parser resolves names as Lua does, and remembers
-- expressions and tables, from which the types of a few expressions follow. A local that is ever assigned
-- again has no type: nothing is reported that is not certain.
local words = require "migrun.words"

local lint = {}

local find, match, sub = string.find, string.match, string.sub

local function set_of(words)
    local set = {}
    for word in words:gmatch("%S+") do set[word] = true end
    return set
end

local function sorted_keys(...)
    local keys = {}
    for _, set in ipairs {...} do
        for key in pairs(set) do keys[#keys + 1] = key end
    end
    table.sort(keys)
    return keys
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
local OS = set_of [[clock date time]]
local LIBRARIES = {string = string, table = table, math = math, utf8 = utf8}

local NOUNS = {
    Host = "a host", Run = "the run", Instance = "the instance", Service = "a service",
    Libvirt = "a libvirt connection", Nova = "Nova",
    Domain = "a domain", Document = "a document", Log = "a log", xml = "the module migrun.xml",
    json = "the module migrun.json",
}

---"; did you mean 'NAME'?", or nothing.
function lint.did_you_mean(word, names)
    local near = words.nearest(word, names)
    return near and ("; did you mean '%s'?"):format(near) or ""
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
        tokens[#tokens + 1] = {kind = kind, value = value, pos = p}
        p = skip_blank(text, stop)
    end
    tokens[#tokens + 1] = {kind = "eof", pos = p}
    return tokens
end

-- ---- the parser ----
-- An expression is a constant's token, or a table with its kind (name, index, method, call, table, function,
-- operation) and pos, a byte of the text. A local is {value = its first one, where the text shows it;
-- assigned = whether it is set later}.

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
        lint.did_you_mean(name, self:visible_names(GLOBALS, WORDS)))
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
    local node = {kind = kind, pos = object.pos, object = object, key = key}
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
            node = {kind = "call", pos = node.pos, callee = node, args = self:arguments()}
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
    local node = {kind = "function", pos = opening.pos, params = {}}
    self:open()
    if has_self then self:declare("self") end
    self:expect("(")
    local more = self:peek() ~= ")"
    while more and not self:accept("...") do
        table.insert(node.params, self:declare(self:expect("name").value))
        more = self:accept(",")
    end
    self:follow(") statements close end")
    return node
end

function Parser:operand()
    local token = self.tokens[self.at]
    if CONSTANTS[token.kind] then return self:next() end
    if self:accept("{") then return self:table(token) end
    if self:accept("function") then return self:func(token) end
    if not UNARY[token.kind] then return self:suffixed() end
    repeat self:next() until not UNARY[self:peek()]
    self:operand()
    return {kind = "operation", pos = token.pos}
end

-- Which operator binds closer does not matter: the value of an operation has no type here.
function Parser:expression()
    local node = self:operand()
    while BINARY[self:peek()] do
        self:next()
        self:operand()
        node = {kind = "operation", pos = node.pos}
    end
    return node
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
    self:func(opening, method)
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

local function parse(text)
    local parser = setmetatable({tokens = scan(text), at = 1, problems = {}, members = {}, tables = {}},
        Parser)
    parser:open()
    parser.env = parser:declare("_ENV")
    parser:open()
    parser.main = parser.scope
    parser:follow("statements eof")
    return parser
end

-- ---- classes ----

-- {class = {member = {type = of the field or of what the method returns, callbacks = {[argument] = class of
-- its function's parameter}}}}
local function read_classes(meta)
    local function type_at_start(text) return (match(text, "^[%w_|%[%]]*"):gsub("|nil", "")) end
    local classes, class, returns, callbacks, argument = {}, nil, nil, {}, 0
    for line in meta:gmatch("[^\n]+") do
        local tag, rest = match(line, "^%-%-%-@(%a+)%s+(.*)")
        local owner, method = match(line, "^function%s+([%w_]+)[.:]([%w_]+)")
        if tag == "class" then
            class = match(rest, "^[%w_]+")
            classes[class] = classes[class] or {}
        elseif tag == "field" and class then
            local name, kind = match(rest, "^(%S+)%s+(.*)")
            classes[class][name] = {type = type_at_start(kind)}
        elseif tag == "param" then
            argument = argument + 1
            callbacks[argument] = match(rest, "fun%([%w_]+:%s*([%w_]+)")
        elseif tag == "return" then
            returns = returns or type_at_start(rest)
        elseif owner then
            if classes[owner] then classes[owner][method] = {type = returns, callbacks = callbacks} end
            returns, callbacks, argument = nil, {}, 0
        end
    end
    return classes
end

-- The value of a name, when that is certain: the first value of a local that is never set again.
local function resolve(node)
    while node and node.kind == "name" and node.variable and not node.variable.assigned
        and node.variable.value do
        node = node.variable.value
    end
    return node
end

local element_type

-- "Host", "Host[]", or nil where nothing is known.
local function type_of(classes, node)
    if node.kind == "name" then
        local variable = node.variable
        if not variable or variable.assigned then return nil end
        return variable.class or variable.element_of and element_type(classes, variable.element_of)
            or variable.value and type_of(classes, variable.value)
    elseif node.kind == "call" then
        local callee, argument = node.callee, node.args[1]
        if callee.name == "require" and not callee.variable and argument and argument.kind == "string" then
            local name = match(argument.value or "", "^migrun%.(%l+)$")
            return classes[name] and name
        end
        return callee.kind == "index" and type_of(classes, callee) or nil
    elseif node.kind ~= "index" and node.kind ~= "method" then
        return nil
    elseif node.key.kind ~= "string" then
        return element_type(classes, node.object)
    end
    local class = classes[type_of(classes, node.object)]
    local member = class and class[node.key.value]
    return member and member.type
end

function element_type(classes, node) return match(type_of(classes, node) or "", "^(.+)%[%]$") end

-- The value of a table's string key.
local function item_of(node, name)
    for _, item in ipairs(node.items) do
        if item.key and item.key.kind == "string" and item.key.value == name then return item.value end
    end
    return nil
end

local function set_parameter(node, class)
    node = resolve(node)
    if class and node and node.kind == "function" and node.params[1] then node.params[1].class = class end
end

-- Gives functions that the core calls the class of their parameter: those of steps, of XML changes, and those
-- given to methods.
local function set_parameters(parsed, classes)
    for _, node in ipairs(parsed.tables) do
        local first = node.items[1]
        if item_of(node, "phase") or (first and not first.key and first.value.kind == "string") then
            for _, name in ipairs {"run", "when", "undo", "verify"} do
                set_parameter(item_of(node, name), "Run")
            end
        elseif item_of(node, "changes") then
            set_parameter(item_of(node, "apply"), "Document")
        end
    end
    for _, node in ipairs(parsed.members) do
        local class = node.kind == "method" and classes[type_of(classes, node.object)]
        local member = class and class[node.key.value]
        for argument, name in pairs(member and member.callbacks or {}) do
            set_parameter(node.args[argument], classes[name] and name)
        end
    end
end

-- Names of the policy's parameters, or nil where they cannot be known from the text.
local function declared_params(policy)
    if not policy or not (item_of(policy, "steps") or item_of(policy, "api")) then return nil end
    local params, names = resolve(item_of(policy, "params")) or {kind = "table", items = {}}, {}
    for _, item in ipairs(params.items or {{}}) do
        if not item.key or item.key.kind ~= "string" or not item.key.value then return nil end
        names[item.key.value] = true
    end
    return names
end

-- The mistake in a member that is asked for, or nil.
local function member_problem(classes, node, params)
    local name, object, asked = node.key.value, node.object, resolve(node.object)
    local class, global = type_of(classes, object), object.kind == "name" and not object.variable
        and object.name
    if classes[class] then
        local known = classes[class]
        return not known[name] and ("unknown field '%s' of %s%s")
            :format(name, NOUNS[class] or class, lint.did_you_mean(name, sorted_keys(known)))
    elseif global == "os" then
        return not OS[name] and ("unknown field '%s' of os; policies have os.time, os.date and os.clock")
            :format(name)
    elseif LIBRARIES[global] then
        -- A site's module may have added a function of its own; a near miss is a mistake.
        local hint = LIBRARIES[global][name] == nil
            and lint.did_you_mean(name, sorted_keys(LIBRARIES[global])) or ""
        return hint ~= "" and ("unknown field '%s' of %s%s"):format(name, global, hint)
    elseif params and asked.kind == "index" and asked.key.value == "params"
        and type_of(classes, asked.object) == "Run" then
        return not params[name] and name ~= "i_know" and ("the policy has no parameter '%s'%s")
            :format(name, lint.did_you_mean(name, sorted_keys(params)))
    end
    return nil
end

-- Of libvirt's own state, as the bindings know it: a path that is written out, or that the instance tells.
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

local function is_state(classes, node, owner)
    node = resolve(node)
    if node.kind == "method" then
        return STATE_METHODS[node.key.value] and type_of(classes, node.object) == "Instance"
    end
    local path = node.kind == "string" and node.value and plain(node.value)
    if not path or owner and sub(path, 1, #NVRAM_FOLDER) == NVRAM_FOLDER then return false end
    for _, folder in ipairs(STATE_FOLDERS) do
        if sub(path, 1, #folder) == folder then return true end
    end
    return false
end

-- Finds before the run begins mistakes that the bindings refuse only after libvirtd was stopped.
local function check_state(parsed, classes, node)
    local path, change, owner = node.args[1], node.args[2], OWNERS[node.key.value]
    if not path or type_of(classes, node.object) ~= "Host" then return end
    if not is_state(classes, path, owner) then return end
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

local function check_members(parsed, classes, params)
    set_parameters(parsed, classes)
    for _, node in ipairs(parsed.members) do
        if node.kind == "method" and node.args then check_state(parsed, classes, node) end
    end
    for _, node in ipairs(parsed.members) do
        local message = node.key.kind == "string" and node.key.value and member_problem(classes, node, params)
        if message then parsed:problem(node.key.pos, "%s", message) end
    end
end

-- ---- places ----

-- A function from a byte of the text to {line, column}; columns are characters, as an editor counts them.
local function places_of(text)
    local starts = {1}
    for start in text:gmatch("\n()") do starts[#starts + 1] = start end
    return function(pos)
        local line = #starts
        while starts[line] > pos do line = line - 1 end
        local before = pos - starts[line]
        return {line = line, column = (before > 0 and utf8.len(text, starts[line], pos - 1) or before) + 1}
    end
end

-- Deeper than params.NAME.choices[1] nothing is asked for.
local DEPTH_MAX = 4
local MANY = set_of [[call method ...]]

local function locate(node, place, positions, path, depth)
    local index = 0
    for i, item in ipairs(node.items) do
        local key = item.key and item.key.value
        if not item.key then index, key = index + 1, index + 1 end
        if key then
            local inner = type(key) == "number" and ("%s[%s]"):format(path, math.tointeger(key) or key)
                or path == "" and key or path .. "." .. key
            positions[inner] = place((item.key or item.value).pos)
            positions[inner].many = not item.key and i == #node.items and MANY[item.value.kind] or nil
            local value = resolve(item.value)
            if value.kind == "table" and depth < DEPTH_MAX then
                locate(value, place, positions, inner, depth + 1)
            end
        end
    end
end

---Looks through the text of a policy (name: its file), with the classes of meta_text. Gives {problems =
---{{line, column, message}, …}, positions = {[path] = {line, column}}}: problems in the order of the text;
---positions of the parts of the table that the file returns, by paths as "", "summary",
---"params.timeout.type", "steps[3]", "steps[3].phase": of a key where there is one, else of the expression.
---many: the last expression of a list, which may give any number of values. A text that is not Lua has
---neither problems nor positions.
function lint.check(text, name, meta_text)
    local ok, parsed = pcall(parse, text)
    if not ok and parsed ~= SYNTAX then error(parsed, 0) end
    if not ok then return {problems = {}, positions = {}} end
    local place, policy, positions = places_of(text), resolve(parsed.returned), {}
    if policy and policy.kind ~= "table" then policy = nil end
    if policy then
        positions[""] = place(policy.pos)
        locate(policy, place, positions, "", 1)
    end
    check_members(parsed, read_classes(meta_text or ""), declared_params(policy))
    table.sort(parsed.problems, function(a, b) return a.pos < b.pos end)
    local problems = {}
    for i, problem in ipairs(parsed.problems) do
        local at = place(problem.pos)
        problems[i] = {line = at.line, column = at.column, message = problem.message, file = name}
    end
    return {problems = problems, positions = positions}
end

return lint
