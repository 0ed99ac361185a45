-- SPDX-License-Identifier: MIT
-- What tests need. A test file: local t = require "t"; t.run("what is true", function() t.equal(1 + 1, 2)
-- end)
local t = {}

local tests, current_file = {}, nil

---Collects a test, or those of a table {name = function}.
function t.run(name, fn)
    if type(name) == "table" then
        local names = {}
        for key in pairs(name) do
            names[#names + 1] = key
        end
        table.sort(names)
        for _, key in ipairs(names) do
            t.run(key, name[key])
        end
        return
    end
    tests[#tests + 1] = {name = name, fn = fn, file = current_file}
end

---A value as a person reads it, keys in order.
function t.show(value)
    if type(value) == "string" then
        return ("%q"):format(value)
    elseif type(value) ~= "table" then
        return tostring(value)
    end
    local parts = {}
    for key, inner in pairs(value) do
        parts[#parts + 1] = ("[%s] = %s"):format(t.show(key), t.show(inner))
    end
    table.sort(parts)
    return "{" .. table.concat(parts, ", ") .. "}"
end

local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b
    end
    for key, value in pairs(a) do
        if not same(value, b[key]) then
            return false
        end
    end
    for key in pairs(b) do
        if a[key] == nil then
            return false
        end
    end
    return true
end

local function fail(what, text, ...)
    error((what and what .. ": " or "") .. text:format(...), 3)
end

---Tables are compared by what they hold.
function t.equal(actual, expected, what)
    if not same(actual, expected) then
        fail(what, "got %s, expected %s", t.show(actual), t.show(expected))
    end
end

function t.ok(value, what)
    if not value then
        fail(what, "got %s", t.show(value))
    end
end

function t.match(text, pattern, what)
    if type(text) ~= "string" or not text:find(pattern) then
        fail(what, "got %s, expected a match of %s", t.show(text), t.show(pattern))
    end
end

---The function raises an error whose text (or message) matches pattern, when one is given. Returns what was
---raised.
function t.raises(fn, pattern, what)
    local ok, err = pcall(fn)
    local text = type(err) == "table" and err.message or tostring(err)
    if ok then
        fail(what, "nothing was raised")
    elseif pattern and not text:find(pattern) then
        fail(what, "raised %s, expected a match of %s", t.show(text), t.show(pattern))
    end
    return err
end

---The text of a file of the project.
function t.read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read("a")
end

local function explain(err)
    return debug.traceback(type(err) == "table" and (err.message or t.show(err)) or tostring(err), 2)
end

local function run_one(number, test)
    local ok, err = xpcall(test.fn, explain)
    print(("%s %d - %s: %s")
        :format(ok and "ok" or "not ok", number, test.file:match("([^/]*)%.lua$") or test.file, test.name))
    if not ok then
        print("# " .. err:gsub("\n", "\n# "))
    end
    return ok
end

---Loads the files and runs what they collected; TAP. True when all passed.
function t.run_files(files)
    for _, file in ipairs(files) do
        current_file = file
        local chunk, err = loadfile(file)
        local loaded, why = xpcall(chunk or error, explain, err)
        if not loaded then
            t.run("loads", function() error(why, 0) end)
        end
    end
    print("1.." .. #tests)
    local passed = true
    for number, test in ipairs(tests) do
        passed = run_one(number, test) and passed
    end
    return passed
end

return t
