-- SPDX-License-Identifier: MIT
-- meta.lua is what the editor and lint know of the core: it must say what the bindings of src/lua have, no
-- more and no less.
local t = require "t"

local META = t.read "lua/migrun/meta.lua"

-- The classes of meta.lua by what the bindings call them in their messages.
local CLASSES = {
    ["the run"] = "Run", ["a host"] = "Host", ["a service"] = "Service", ["a log"] = "Log",
    ["a libvirt connection"] = "Libvirt",
    ["a domain"] = "Domain", ["the instance"] = "Instance", ["Nova"] = "Nova", ["a document"] = "Document",
}
local MODULES = { ["src/lua/xml.c"] = "xml", ["src/lua/json.c"] = "json" }

local function set_of(list)
    local set = {}
    for _, name in ipairs(list) do set[name] = true end
    return set
end

-- ---- what meta.lua says ----

-- {name = {fields = {name = true}, functions = {name = {params = {…}, described = whether a comment says what
-- it does, comment}}}}
local function read_meta()
    local classes, class, comment = {}, nil, {}
    for line in META:gmatch("[^\n]*") do
        local owner, name, params = line:match("^function (%w+)[.:]([%w_]+)%((.-)%) end$")
        local field = line:match("^%-%-%-@field %[?([%w_]+)%]?%s")
        if line:find("^%-%-%-@class") then
            class = { fields = {}, functions = {} }
            classes[line:match("^%-%-%-@class (%w+)")] = class
        elseif field then
            class.fields[field] = true
        elseif owner then
            local list, text = {}, table.concat(comment, "\n")
            for param in params:gmatch("[%w_]+") do list[#list + 1] = param end
            classes[owner].functions[name] = { params = list, described = ("\n" .. text)
                :find("\n%-%-%-[^@]") ~= nil, comment = text }
        end
        if line:find("^%-%-%-") then comment[#comment + 1] = line else comment = {} end
    end
    return classes
end

local meta = read_meta()

-- ---- what the bindings have ----

-- The first strings of the entries of each table of that kind in a source: {table = {name = true}}.
local function tables_of(source, kind)
    local tables = {}
    for name, body in source:gmatch("static const " .. kind .. " ([%w_]+)%[%] = (%b{});") do
        local names = {}
        for entry in body:gmatch('{"([%w_]+)",') do names[#names + 1] = entry end
        tables[name] = set_of(names)
    end
    return tables
end

-- {sources = {path = text}, classes = {class = {fields, methods}}, modules = {module = functions}}
local function read_bindings()
    local bindings = { sources = {}, classes = {}, modules = {} }
    for path in io.popen("ls src/lua/*.c"):lines() do
        local source = t.read(path)
        local methods, fields = tables_of(source, "luaL_Reg"), tables_of(source, "struct class_field")
        bindings.sources[path] = source
        for body in source:gmatch("static const struct class_of [%w_]+ = (%b{});") do
            local noun, list, field_list = body:match('%.noun = "([^"]*)"'),
                body:match("%.methods = ([%w_]+)"), body:match("%.fields = ([%w_]+)")
            bindings.classes[CLASSES[noun] or noun] = { methods = list and methods[list] or {},
                fields = field_list and fields[field_list] or {} }
        end
        if methods.functions then bindings.modules[MODULES[path] or path] = methods.functions end
    end
    return bindings
end

local bindings = read_bindings()

local function names_of(functions)
    local names = {}
    for name in pairs(functions) do names[name] = true end
    return names
end

-- ---- tests ----

t.run("the bindings have the classes that this test knows", function()
    local found = {}
    for class in pairs(bindings.classes) do found[class] = true end
    local expected = {}
    for _, class in pairs(CLASSES) do expected[class] = true end
    t.equal(found, expected)
    t.equal(names_of(bindings.modules), { xml = true, json = true })
end)

local tests = {} -- in a table: t.run then takes them in the order of their names

for class, binding in pairs(bindings.classes) do
    tests[class .. ": methods as in the bindings"] = function()
        t.ok(next(binding.methods), "methods were found")
        t.equal(names_of(meta[class].functions), binding.methods)
    end
    tests[class .. ": fields as in the bindings"] = function() t.equal(meta[class].fields, binding.fields) end
end

for module, functions in pairs(bindings.modules) do
    tests["module " .. module .. ": functions as in the bindings"] = function()
        t.ok(next(functions), "functions were found")
        t.equal(names_of(meta[module].functions), functions)
        t.equal(meta[module].fields, {})
    end
end

for class, annotated in pairs(meta) do
    for name, fn in pairs(annotated.functions) do
        tests[class .. "." .. name
            .. ": a comment says what it does, and each parameter has its type"] = function()
            t.ok(fn.described, "no comment")
            local params = {}
            for param in fn.comment:gmatch("%-%-%-@param ([%w_]+) ") do params[#params + 1] = param end
            t.equal(params, fn.params)
        end
    end
end

t.run(tests)

-- Options that the bindings take, as C lists them: of each function, the C function that lists their names.
local OPTIONS = {
    { "Host", "write", "src/lua/host.c", "host_write" },
    { "Host", "command", "src/lua/host.c", "host_command" },
    { "Service", "start", "src/lua/host.c", "service_change" },
    { "Service", "while_stopped", "src/lua/host.c", "check_sockets" },
    { "Domain", "xml", "src/lua/libvirt.c", "domain_xml" },
    { "Instance", "migrate", "src/lua/run.c", "migrate_options" },
    { "Nova", "live_migrate", "src/lua/nova.c", "nova_live_migrate_method" },
    { "Nova", "request", "src/lua/nova.c", "nova_request" },
}

t.run("this test knows all functions that take options", function()
    local known, found = {}, {}
    for _, option in ipairs(OPTIONS) do known[option[4]] = true end
    for _, source in pairs(bindings.sources) do
        for name in source:gmatch("\nstatic [^\n]-([%w_]+)%b()%s*{%s*static const char %*const names%[%]") do
            found[name] = true
        end
    end
    t.equal(found, known)
end)

for _, option in ipairs(OPTIONS) do
    local class, name, path, c_name = table.unpack(option)
    local pattern = c_name .. "%b()%s*{%s*static const char %*const names%[%] = (%b{})"
    t.run(class .. "." .. name .. ": its comment names every option", function()
        local body = bindings.sources[path]:match(pattern)
        t.ok(body, "the list of options")
        local text = meta[class].functions[name].comment:match("options: (%b{})")
        t.ok(text, "options: {…}")
        local said, known = {}, {}
        -- A name stands where an item begins: after the brace or a comma that is inside no bracket.
        local items = text:sub(2, -2):gsub("%b()", ""):gsub("%b{}", ""):gsub('%b""', "")
        for item in items:gmatch("[^,]+") do said[item:match("^[%s%-]*([%w_]+)")] = true end
        for word in body:gmatch('"([%w_]+)"') do known[word] = true end
        t.equal(said, known)
    end)
end

t.run("Error: the members that are raised, and domains that exist", function()
    local raise = bindings.sources["src/lua/interp.c"]:match("\nint lua_raise%b()%s*(%b{})")
    local members = {}
    for name in raise:gmatch('lua_setfield%(L, %-2, "(%w+)"%)') do members[name] = true end
    t.equal(meta.Error.fields, members)
    local names = t.read("src/base/error.c"):match("domain_names%[%] = (%b{})")
    local count = 0
    for domain in META:match("%-%-%-@field domain string([^\n]*)"):gmatch('"(%w+)"') do
        t.ok(names:find(('"%s"'):format(domain), 1, true), domain)
        count = count + 1
    end
    t.ok(count > 5, "domains were found")
end)

t.run("Policy, Step and Param: the keys that policy.lua takes", function()
    local source = t.read("lua/migrun/policy.lua")
    local function keys(name, more)
        local set = {}
        for key in source:match("local " .. name .. " = (%b{})"):gmatch('"(%w+)"') do set[key] = true end
        if more then set[more] = true end
        return set
    end
    t.equal(meta.Policy.fields, keys("POLICY_KEYS"))
    t.equal(meta.Step.fields, keys("STEP_KEYS", "1"))
    t.equal(meta.Param.fields, keys("PARAM_KEYS"))
    local types = META:match("%-%-%-@field type ([^\n]*)")
    for kind in pairs(keys("TYPE_NAMES")) do t.match(types, '"' .. kind .. '"', kind) end
    local phases = META:match("%-%-%-@field phase ([^\n]*)")
    for phase in pairs(keys("PHASES")) do t.match(phases, '"' .. phase .. '"', phase) end
end)

t.run("lint calls the classes what the bindings call them", function()
    local nouns = t.read("lua/migrun/lint.lua"):match("local NOUNS = (%b{})")
    for noun, class in pairs(CLASSES) do
        t.ok(nouns:find(('%s = "%s"'):format(class, noun), 1, true), class)
    end
end)

t.run("every name of a class that is used is annotated", function()
    local known = set_of { "string", "integer", "number", "boolean", "table", "any", "nil", "fun" }
    for class in pairs(meta) do known[class] = true end
    for kind in META:gmatch("%-%-%-@return ([^\n]*)") do
        for word in kind:match("^[^ {]*"):gsub("<.*", ""):gmatch("%a+") do t.ok(known[word], kind) end
    end
    for kind in META:gmatch("%-%-%-@param [%w_]+ ([^\n ]*)") do
        for word in kind:gsub("%(.*", ""):gmatch("%a+") do t.ok(known[word], kind) end
    end
end)
