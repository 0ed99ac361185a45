-- SPDX-License-Identifier: MIT
-- Stands for a Document, which is the core's: real XML (elements, attributes, texts), and of XPath what
-- migrun's library asks for: paths of child elements that end in an element or an attribute, and predicates
-- of attributes and paths, equal to a text or just there, joined by "or", or not(…). What it does not know it
-- raises, so that a test cannot pass by a question that was not understood.
local fake_document = {}
fake_document.__index = fake_document

local ENTITIES = { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" }

local function escape(text)
    return (text:gsub("[&<']", { ["&"] = "&amp;", ["<"] = "&lt;", ["'"] = "&apos;" }))
end

local function unescape(text) return (text:gsub("&(%a+);", ENTITIES)) end

local function parse(xml)
    local top = { children = {} }
    local stack, at = { top }, 1
    for before, slash, name, inside, after in xml:gmatch("([^<]*)<(/?)([%w:_.-]+)([^>]*)>()") do
        local parent = stack[#stack]
        if before:find("%S") then table.insert(parent.children, unescape(before)) end
        if slash == "/" then
            assert(parent.name == name, "fake_document: </" .. name .. "> ends nothing")
            table.remove(stack)
        else
            local node = { name = name, attributes = {}, children = {} }
            for key, _, value in inside:gmatch("([%w:_.-]+)%s*=%s*([\"'])(.-)%2") do
                node.attributes[key] = unescape(value)
            end
            table.insert(parent.children, node)
            if inside:sub(-1) ~= "/" then table.insert(stack, node) end
        end
        at = after
    end
    assert(#stack == 1 and #top.children == 1 and not xml:find("%S", at), "fake_document: not one element")
    return top.children[1]
end

local function text_of(node)
    if type(node) == "string" then return node end
    if node.owner then return node.owner.attributes[node.attribute] end
    local texts = {}
    for i, child in ipairs(node.children) do texts[i] = text_of(child) end
    return table.concat(texts)
end

local select, holds

function holds(node, predicate)
    local inner = predicate:match("^not%((.*)%)$")
    if inner then return not holds(node, inner) end
    for test in (predicate .. " or "):gmatch("(.-) or ") do
        local path, wanted = test:match("^([^=]*)='([^']*)'$")
        local compared, least = test:match("^(@%w+) > (%d+)$")
        for _, found in ipairs(select(node, path or compared or test)) do
            if least and tonumber(text_of(found)) > tonumber(least) then return true end
            if not least and (not wanted or text_of(found) == wanted) then return true end
        end
    end
    return false
end

-- The elements, or attributes {owner, attribute}, that the path leads to from a node.
function select(node, path)
    if path == "." then return { node } end
    local above, below = path:match("^(.-)//(.*)$")
    if above then
        local found = {}
        local function descend(at)
            for _, inner in ipairs(select(at, below)) do table.insert(found, inner) end
            for _, child in ipairs(at.children) do if type(child) == "table" then descend(child) end end
        end
        for _, top in ipairs(select(node, above)) do descend(top) end
        return found
    end
    local attribute = path:match("^@([%w:]+)$")
    if attribute then
        return node.attributes[attribute] and { { owner = node, attribute = attribute } } or {}
    end
    local name, rest = path:match("^(%a[%w:]*)(.*)$")
    local predicates = {}
    while rest and rest:find("^%b[]") do
        table.insert(predicates, rest:match("^%[(.-)%]"))
        rest = rest:match("^%b[](.*)$")
    end
    assert(rest and (rest == "" or rest:find("^/.")), "fake_document: no such XPath is known: " .. path)
    local found = {}
    for _, child in ipairs(node.children) do
        local chosen = child.name == name
        for _, predicate in ipairs(predicates) do chosen = chosen and holds(child, predicate) end
        for _, inner in ipairs(not chosen and {} or rest == "" and { child } or select(child, rest:sub(2))) do
            table.insert(found, inner)
        end
    end
    return found
end

local function write(node)
    if type(node) == "string" then return escape(node) end
    local attributes, inside = {}, {}
    for key, value in pairs(node.attributes) do
        attributes[#attributes + 1] = (" %s='%s'"):format(key, escape(value))
    end
    table.sort(attributes)
    for i, child in ipairs(node.children) do inside[i] = write(child) end
    return ("<%s%s>%s</%s>"):format(node.name, table.concat(attributes), table.concat(inside), node.name)
end

function fake_document.new(xml) return setmetatable({ root = parse(xml) }, fake_document) end

function fake_document:find(path)
    local values = {}
    for i, node in ipairs(select(self.root, path)) do values[i] = text_of(node) end
    return values
end

function fake_document:get(path) return self:find(path)[1] end

function fake_document:fragments(path)
    local texts = {}
    for i, node in ipairs(select(self.root, path)) do texts[i] = write(node) end
    return texts
end

function fake_document:set(path, value)
    local nodes = select(self.root, path)
    for _, node in ipairs(nodes) do
        if node.owner then node.owner.attributes[node.attribute] = value else node.children = { value } end
    end
    return #nodes
end

return fake_document
