-- SPDX-License-Identifier: MIT
-- meta.lua is what the editor and lint know of the core: it must say what the bindings of src/lua have, no
-- more and no less.
local t = require "t"
local types = require "migrun.lint.types"

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

local read = types.read(META)

-- {name = {fields = {name = true}, functions = {name = {params = {…}, described = whether a comment says what
-- it does, comment}}}}
local function read_meta()
    local classes, holders, class, comment = {}, {}, nil, {}
    for line in META:gmatch("[^\n]*") do
        local owner, name, params = line:match("^function (%w+)[.:]([%w_]+)%((.-)%) end$")
        local field = line:match('^%-%-%-@field %[?"?([%w_.]+)"?%]?%s')
        local holder = line:match("^local (%w+) = {}$")
        if line:find("^%-%-%-@class") then
            class = { fields = {}, functions = {} }
            classes[line:match("^%-%-%-@class ([%w.]+)")] = class
        elseif field then
            class.fields[field] = true
        elseif holder then
            holders[holder] = class
        elseif owner then
            local list, text = {}, table.concat(comment, "\n")
            for param in params:gmatch("[%w_]+") do list[#list + 1] = param end
            holders[owner].functions[name] = { params = list, described = ("\n" .. text)
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

-- Options that the bindings take, as C lists them: of each function, the C function that lists their names,
-- and their class.
local OPTIONS = {
    { "Host", "write", "src/lua/host.c", "host_write", "WriteOptions" },
    { "Host", "command", "src/lua/host.c", "host_command", "CommandOptions" },
    { "Service", "start", "src/lua/host.c", "service_change", "ServiceOptions" },
    { "Service", "while_stopped", "src/lua/host.c", "check_sockets", "StopOptions" },
    { "Domain", "xml", "src/lua/libvirt.c", "domain_xml", "XmlOptions" },
    { "Instance", "migrate", "src/lua/run.c", "migrate_options", "MigrateOptions" },
    { "Nova", "live_migrate", "src/lua/nova.c", "nova_live_migrate_method", "LiveMigrateOptions" },
    { "Nova", "request", "src/lua/nova.c", "nova_request", "RequestOptions" },
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
    local class, name, path, c_name, options = table.unpack(option)
    local pattern = c_name .. "%b()%s*{%s*static const char %*const names%[%] = (%b{})"
    t.run(class .. "." .. name .. ": its options", function()
        local body = bindings.sources[path]:match(pattern)
        t.ok(body, "the list of options")
        local known, taken = {}, false
        for word in body:gmatch('"([%w_]+)"') do known[word] = true end
        t.equal(meta[options].fields, known)
        for _, param in ipairs(read.classes[class].functions[name].params) do
            taken = taken or param.name == "options" and param.type[1].name == options
        end
        t.ok(taken, "options of the class " .. options)
    end)
end

t.run("flags and parameters of a migration: those of libvirt_migrate.c, and their types", function()
    local source, flags, said = t.read("src/world/libvirt_migrate.c"), {}, {}
    for name in source:gmatch('{"([%u%d_]+)", VIR_MIGRATE_') do flags[name] = true end
    for _, one in ipairs(read.aliases.MigrationFlag) do
        local taken_away = one.value:match("^%-(.*)")
        if taken_away then t.ok(flags[taken_away], one.value) else said[one.value] = true end
    end
    t.ok(next(flags), "flags were found")
    t.equal(said, flags)
    local header = t.read("/usr/include/libvirt/libvirt-domain.h")
    local values, types_of, known = {}, { STRING = "string", INT = "integer", ULLONG = "integer" }, {}
    for name, value in header:gmatch('VIR_MIGRATE_PARAM_([%u_]+)%s+"([^"]+)"') do values[name] = value end
    for name, kind, list in source:gmatch("{VIR_MIGRATE_PARAM_([%u_]+), VIR_TYPED_PARAM_(%u+), (%l+)}") do
        local type = read.classes.MigrationParams.fields[values[name]]
        known[values[name]] = true
        t.ok(type, values[name])
        t.equal({ type[1].kind, type[2].kind }, { types_of[kind], list == "true" and "list" or "nil" }, name)
    end
    t.equal(meta.MigrationParams.fields, known)
end)

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
    local source = t.read("lua/migrun/policy.lua") .. t.read("lua/migrun/policy/params.lua")
        .. t.read("lua/migrun/policy/values.lua")
    local function keys(name, more)
        local set = {}
        for key in source:match("%f[%w_]" .. name .. " = (%b{})"):gmatch('"(%w+)"') do set[key] = true end
        if more then set[more] = true end
        return set
    end
    t.equal(meta.Policy.fields, keys("POLICY_KEYS"))
    t.equal(meta.Step.fields, keys("STEP_KEYS", "1"))
    t.equal(meta.Param.fields, keys("PARAM_KEYS"))
    local types = META:match("@class Param\n.-%-%-%-@field type ([^\n]*)")
    for kind in pairs(keys("TYPE_NAMES")) do t.match(types, '"' .. kind .. '"', kind) end
    local phases = META:match("@class Step\n.-%-%-%-@field phase ([^\n]*)")
    for phase in pairs(keys("PHASES")) do t.match(phases, '"' .. phase .. '"', phase) end
end)

t.run("lint calls the classes what the bindings call them", function()
    for _, file in ipairs { "rules", "calls" } do
        local text = t.read("lua/migrun/lint/" .. file .. ".lua")
        for noun, class in pairs(CLASSES) do
            t.ok(text:find(('%s = "%s"'):format(class, noun), 1, true), class)
        end
    end
end)

-- ---- what changes something ----

t.run("what passes the gate is said to change something, and nothing else is", function()
    local functions, changes = {}, {}
    for _, source in pairs(bindings.sources) do
        for name, body in source:gmatch("\nstatic int ([%w_]+)%b()%s*(%b{})") do functions[name] = body end
        for name, body in source:gmatch("\nint ([%w_]+)%b()%s*(%b{})") do functions[name] = body end
    end
    local function passes(name, depth)
        local body = functions[name] or ""
        if body:find("%f[%w]change_%l+[%w_]*%(") or body:find("surgery_begin(", 1, true) then return true end
        for inner in body:gmatch("([%w_]+)%(") do
            local other = functions[inner] and inner ~= name
            if depth > 0 and other and passes(inner, depth - 1) then return true end
        end
        return false
    end
    for _, source in pairs(bindings.sources) do
        for body in source:gmatch("static const struct class_of [%w_]+ = (%b{});") do
            local class = CLASSES[body:match('%.noun = "([^"]*)"')]
            local list = source:match("static const luaL_Reg " .. body:match("%.methods = ([%w_]+)")
                .. "%[%] = (%b{});")
            for method, c_name in list:gmatch('{"([%w_]+)", ([%w_]+)}') do
                if passes(c_name, 2) then changes[class .. "." .. method] = true end
            end
        end
    end
    local said = {}
    for class, known in pairs(read.classes) do
        for name, fn in pairs(known.functions) do
            if fn.changes then said[class .. "." .. name] = true end
        end
    end
    t.ok(said["Host.write"] and said["Instance.migrate"], "tags were read")
    t.equal(said, changes)
end)

-- ---- the library ----

local MODULES_OF_LUA = { "audit", "check", "conf", "cpu", "destination", "fixup", "host", "host.window",
    "ini", "listen", "network", "nova", "owners", "prepare", "ranges", "status" }

package.preload["migrun.json"] = package.preload["migrun.json"] or function() return {} end

for _, name in ipairs(MODULES_OF_LUA) do
    t.run("migrun." .. name .. ": its steps and functions", function()
        local functions, fields = {}, {}
        for key, value in pairs(require("migrun." .. name)) do
            if type(value) == "function" then functions[key] = true else fields[key] = true end
        end
        local class = meta[name]
        t.ok(class, "a class of that name")
        t.equal(names_of(class.functions), functions)
        t.equal(class.fields, fields)
        t.equal(read.classes[name].module, "migrun." .. name)
    end)
end

t.run("every module that policies require is described", function()
    local files <close> = assert(io.popen("cat policies/*.lua examples/*.lua tests/e2e/policies/*.lua"))
    local known = { ["migrun.xml"] = true, ["migrun.json"] = true }
    for _, name in ipairs(MODULES_OF_LUA) do known["migrun." .. name] = true end
    for name in files:read("a"):gmatch('require%s*%(?"(migrun%.[%w_.]+)"') do t.ok(known[name], name) end
end)

-- ---- facts ----

-- The names below a class, at all depths: {name = true}.
local function names_below(class, names)
    local function add(type)
        for _, one in ipairs(type) do
            if one.element then add(one.element) end
            if one.kind == "class" and read.classes[one.name] then names_below(one.name, names) end
            for name, inner in pairs(one.fields or {}) do
                names[name] = true
                add(inner)
            end
        end
    end
    for name, type in pairs(read.classes[class].fields) do
        names[name] = true
        add(type)
    end
    return names
end

t.run("facts: each name that meta.lua has is one of the agent's, libvirt's or the run's", function()
    local sources = {}
    for _, file in ipairs { "agent/ops.h", "libvirt.h", "agent/facts.c", "libvirt_read.c" } do
        sources[#sources + 1] = t.read("src/world/" .. file)
    end
    local text = table.concat(sources) .. t.read("src/run/facts.c")
    for name in pairs(names_below("HostFacts", names_below("InstanceFacts", {}))) do
        t.ok(text:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
    end
end)

t.run("facts of a lab: meta.lua has each of their names", function()
    local facts = dofile "tests/lua/facts/lab.lua"
    local function look(value, type, path)
        local alternatives = {}
        for _, one in ipairs(type) do
            if one.kind == "any" or one.kind == "table" then return end
            alternatives[#alternatives + 1] = one.kind == "class" and read.classes[one.name] or one
        end
        if _G.type(value) ~= "table" then return end
        for key, inner in pairs(value) do
            local found
            for _, one in ipairs(alternatives) do
                found = found or one.element or one.fields and one.fields[key]
            end
            t.ok(found, path .. "." .. tostring(key))
            look(inner, found, path .. "." .. tostring(key))
        end
    end
    look(facts.source, { { kind = "class", name = "HostFacts" } }, "source")
    look(facts.dest, { { kind = "class", name = "HostFacts" } }, "dest")
    look(facts.instance, { { kind = "class", name = "InstanceFacts" } }, "instance")
end)

t.run("facts: the settings of libvirt that the agent reads", function()
    local source, conf = t.read("src/world/agent/facts.c"), {}
    for list in source:gmatch("static const char %*const %a+%[%] = (%b{});") do
        if list:find("NULL}$") and (list:find("auth_tcp") or list:find("migration_port_min")) then
            for name in list:gmatch('"([%w_]+)"') do conf[name] = true end
        end
    end
    t.ok(conf.auth_tcp and conf.user, "lists were found")
    t.equal(meta.LibvirtConf.fields, conf)
end)

t.run("every name of a class that is used is annotated", function()
    local known = set_of { "string", "integer", "number", "boolean", "table", "any", "nil", "fun" }
    for class in pairs(meta) do known[class] = true end
    for alias in pairs(read.aliases) do known[alias] = true end
    local function look(type)
        for _, one in ipairs(type) do
            if one.kind == "class" then t.ok(known[one.name], one.name) end
            for _, list in ipairs { one.fields or {}, one.params or {}, { one.element, one.returns } } do
                for _, inner in pairs(list) do look(inner) end
            end
        end
    end
    for _, class in pairs(read.classes) do
        for _, type in pairs(class.fields) do look(type) end
        for _, fn in pairs(class.functions) do
            for _, param in ipairs(fn.params) do look(param.type) end
            if fn.returns then look(fn.returns) end
        end
    end
end)
