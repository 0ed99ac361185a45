-- SPDX-License-Identifier: MIT
-- Rules of the C code that no compiler checks.
local t = require "t"

local function files()
    local list = io.popen("find src tests -name '*.[ch]' | sort")
    local names = {}
    for name in list:lines() do names[#names + 1] = name end
    list:close()
    return names
end

-- A variable that is freed when it leaves its scope, and was not set by then, frees whatever lay on the
-- stack.
local function unset(text)
    local found = {}
    text = text:gsub("\\\"", ""):gsub("\"[^\"\n]*\"", "\"\""):gsub("//[^\n]*", ""):gsub("#define[^\n]*", "")
    for _, pattern in ipairs { "%f[%w_]cleanup(%b())", "%f[%w_]auto_[a-z]+%f[%s]" } do
        for start in text:gmatch("()" .. pattern) do
            -- What stands between brackets is no matter: "a = f(x, y), b" is two declarations.
            local declaration = text:sub(start):match("^[^;]*"):gsub("^cleanup%b()", "")
            declaration = declaration:gsub("%b()", ""):gsub("%b{}", "")
            for one in declaration:gmatch("[^,]+") do
                if not one:find("=", 1, true) then found[#found + 1] = one:match("[%w_]+%s*$") or one end
            end
        end
    end
    return found
end

t.run("a variable that cleans up after itself has a value from the start", function()
    t.equal(unset "struct process_result cleanup(process_result_free) ended;", { "ended" })
    t.equal(unset "auto_free char *text;", { "text" })
    t.equal(unset "auto_free char *a = f(x, y),\n *text;", { "text" })
    t.equal(unset "auto_free char *text = NULL; auto_buf struct buf b = {0, 1};", {})
    t.equal(unset "#define auto_buf cleanup(buf_free)\nstruct buf b;", {})
    local names = files()
    t.ok(#names > 100)
    for _, name in ipairs(names) do t.equal(unset(t.read(name)), {}, name) end
end)

-- There is one way for each of these: what else stands in its place would forget what the one takes care of.
local ONE_WAY = {
    -- The child of lockdown.c becomes the command itself.
    ["%f[%w]fork%("] = { "src/base/spawn.c", "src/base/lockdown.c" },
    ["sockaddr_un"] = { "src/base/socket.c", "src/world/ssh.c" },     -- ssh.c: only for the length of a path
    ["pthread_create%("] = { "src/base/thread.c" },
    ["nanosleep%("] = { "src/base/clock.c" },
    ["usleep%("] = {},
    ["poll%(NULL"] = {},
    ["vasprintf%("] = { "src/base/memory.c", "src/base/memory.h" },
}

t.run("one way to fork, to connect to a UNIX socket, to start a thread, to nap, to format", function()
    for _, name in ipairs(files()) do
        local text = name:find("^src/") and t.read(name):gsub("xvasprintf", "") or ""
        for pattern, homes in pairs(ONE_WAY) do
            local at_home = false
            for _, home in ipairs(homes) do at_home = at_home or home == name end
            t.ok(at_home or not text:find(pattern), name .. " has " .. pattern)
        end
    end
end)
