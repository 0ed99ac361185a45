-- SPDX-License-Identifier: MIT
-- Finds mistakes in the text of a policy before anything of it runs: names that do not exist, globals, and
-- whatever does not fit what meta.lua says of the core and the library. The editor reads meta.lua, too, so
-- editor, lint and core say the same. lint/parser.lua reads the text, lint/types.lua finds types,
-- lint/rules.lua has the rules.
local parser = require "migrun.lint.parser"
local rules = require "migrun.lint.rules"
local types = require "migrun.lint.types"

local lint = {did_you_mean = require "migrun.lint.did_you_mean"}

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
local MANY = parser.set_of [[call method ...]]

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
            local value = parser.resolve(item.value)
            if value.kind == "table" and depth < DEPTH_MAX then
                locate(value, place, positions, inner, depth + 1)
            end
        end
    end
end

local function parsed_or_nil(text)
    local ok, parsed = pcall(parser.parse, text)
    if not ok and parsed ~= parser.SYNTAX then error(parsed, 0) end
    return ok and parsed or nil
end

local function problems_of(parsed, text, file)
    local place, problems = places_of(text), {}
    for i, problem in ipairs(parsed.problems) do problem.number = i end
    table.sort(parsed.problems, function(a, b)
        if a.pos ~= b.pos then return a.pos < b.pos end
        return a.number < b.number
    end)
    for i, problem in ipairs(parsed.problems) do
        local at = place(problem.pos)
        problems[i] = {line = at.line, column = at.column, message = problem.message, file = file}
    end
    return problems
end

-- The site's own modules that a text requires, and those that they require.
local function add_modules(parsed, meta, module_text, seen, problems)
    for _, name in ipairs(rules.required(parsed)) do
        local text, file = nil, nil
        if not seen[name] then text, file = module_text(name) end
        seen[name] = true
        local module = text and parsed_or_nil(text)
        if module then
            rules.apply(module, types.new(meta))
            table.move(problems_of(module, text, file), 1, #module.problems, #problems + 1, problems)
            add_modules(module, meta, module_text, seen, problems)
        end
    end
end

---Looks through the text of a policy (name: its file), with the classes of meta_text, and through the modules
---of its folder that it requires: module_text(name) gives the text and file of one, or nil. Gives {problems =
---{{line, column, message, file}, …}, positions = {[path] = {line, column}}}: problems in the
---order of the text; positions of the parts of the table that the file returns, by paths as "", "summary",
---"params.timeout.type", "steps[3]", "steps[3].phase": of a key where there is one, else of the expression.
---many: the last expression of a list, which may give any number of values. A text that is not Lua has
---neither problems nor positions.
function lint.check(text, name, meta_text, module_text)
    local parsed = parsed_or_nil(text)
    if not parsed then return {problems = {}, positions = {}} end
    local meta = types.read(meta_text or "")
    local policy, positions = parsed.returned and parser.resolve(parsed.returned), {}
    if policy and policy.kind ~= "table" then policy = nil end
    if policy then
        local place = places_of(text)
        positions[""] = place(policy.pos)
        locate(policy, place, positions, "", 1)
    end
    rules.apply(parsed, types.new(meta), policy)
    local problems = problems_of(parsed, text, name)
    if module_text then add_modules(parsed, meta, module_text, {}, problems) end
    return {problems = problems, positions = positions}
end

return lint
