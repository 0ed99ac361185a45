-- SPDX-License-Identifier: MIT
-- Configuration files: those of oslo's sections (ini) and libvirt's (conf). What they hold was asked of
-- oslo.config and of libvirt once; here it is written down.
local t = require "t"
local ini, conf = require "migrun.ini", require "migrun.conf"

-- text, section, key, values: as oslo.config reads them.
local READ = {
    { "", "DEFAULT", "a", {} },
    { "[DEFAULT]\na=1", "DEFAULT", "a", { "1" } },
    { "[DEFAULT]\na = 1 \n", "DEFAULT", "a", { "1" } },
    { "[DEFAULT]\na: 1\n", "DEFAULT", "a", { "1" } },
    { "[DEFAULT]\na=b:c\nd:e=f\n", "DEFAULT", "a", { "b:c" } },
    { "[DEFAULT]\na=b:c\nd:e=f\n", "DEFAULT", "d", { "e=f" } },
    { "[DEFAULT]\r\na=1\r\n[libvirt]\r\na=2\r\n", "DEFAULT", "a", { "1" } },
    { "[DEFAULT]\r\na=1\r\n[libvirt]\r\na=2\r\n", "libvirt", "a", { "2" } },
    { "[DEFAULT]\na=1\na=2\n", "DEFAULT", "a", { "1", "2" } },
    { "[DEFAULT]\na=1\n[x]\n[DEFAULT]\na=2\n", "DEFAULT", "a", { "1", "2" } },
    { "[LibVirt]\na=1\n", "libvirt", "a", { "1" } },
    { "[default]\na=1\n", "DEFAULT", "a", {} },
    { "[DEFAULT]\nA=1\n", "DEFAULT", "a", {} },
    { "[DEFAULT]\n#a=1\n;a=2\n", "DEFAULT", "a", {} },
    { "[DEFAULT]\na=1\n  2\n\t3\nb=4\n", "DEFAULT", "a", { "1\n2\n3" } },
    { "[DEFAULT]\na=1\n  # no comment\n", "DEFAULT", "a", { "1\n# no comment" } },
    { "[DEFAULT]\na=1\n# a comment\nb=2\n", "DEFAULT", "b", { "2" } },
    { "[DEFAULT]\na=\n", "DEFAULT", "a", { "" } },
    { "[DEFAULT]\na=' x '\nb=\"y\"\n", "DEFAULT", "a", { " x " } },
    { "[DEFAULT]\na=' x '\nb=\"y\"\n", "DEFAULT", "b", { "y" } },
    { "[DEFAULT]\na='x\"\n", "DEFAULT", "a", { "'x\"" } },
    { "[DEFAULT]\na=\"\n", "DEFAULT", "a", { "" } },
    { "[DEFAULT]\na=x ; y\n", "DEFAULT", "a", { "x ; y" } },
    { "[DEFAULT]\na=x # y\n", "DEFAULT", "a", { "x # y" } },
    { "[DEFAULT]\na b = 1\n", "DEFAULT", "a b", { "1" } },
    { "[DEFAULT]\na=$b\n", "DEFAULT", "a", { "$b" } },
    { "[DEFAULT] \n a=1\n", "DEFAULT", "a",
        "line 2: goes on with a value, and there is none before it:  a=1" },
    { "[DEFAULT]\na=1\n\n  2\n", "DEFAULT", "a",
        "line 4: goes on with a value, and there is none before it:   2" },
    { "a=1\n", "DEFAULT", "a", "line 1: stands before the first section: a=1" },
    { "[DEFAULT]\njunk\n", "DEFAULT", "a", "line 2: neither a section nor 'key = value': junk" },
    { "[DEFAULT\na=1\n", "DEFAULT", "a", "line 1: not the name of a section in [ ]: [DEFAULT" },
    { "[]\n", "DEFAULT", "a", "line 1: not the name of a section in [ ]: []" },
    { "[DEFAULT]\n=1\n", "DEFAULT", "a", "line 2: a value without a key: =1" },
}

local function result(fn, ...)
    local ok, value = pcall(fn, ...)
    return ok and value or value
end

t.run("ini: what counts, as oslo reads it", function()
    for _, row in ipairs(READ) do
        local text, section, key, expected = table.unpack(row)
        t.equal(result(ini.values, text, section, key), expected, text)
        if type(expected) == "table" then
            t.equal(ini.get(text, section, key), expected[#expected], text)
        end
    end
end)

-- text, section, key, value, the text afterwards
local SET = {
    { "", "libvirt", "a", 1, "[libvirt]\na = 1\n" },
    { "\n", "libvirt", "a", 1, "\n\n[libvirt]\na = 1\n" },
    { "[DEFAULT]\n", "DEFAULT", "a", "x", "[DEFAULT]\na = x\n" },
    { "[DEFAULT]", "DEFAULT", "a", "x", "[DEFAULT]\na = x\n" },
    { "[DEFAULT]\r\nb=1\r\n", "DEFAULT", "a", "x", "[DEFAULT]\r\nb=1\r\na = x\r\n" },
    { "[DEFAULT]\r\nb=1", "vnc", "a", "x", "[DEFAULT]\r\nb=1\r\n\r\n[vnc]\r\na = x\r\n" },
    { "[DEFAULT]\na=1\n", "DEFAULT", "a", 2, "[DEFAULT]\na=2\n" },
    { "[DEFAULT]\na  :  1\n", "DEFAULT", "a", 2, "[DEFAULT]\na  :  2\n" },
    { "[DEFAULT]\na=1", "DEFAULT", "a", 2, "[DEFAULT]\na=2" },
    { "[DEFAULT]\na=1   \n", "DEFAULT", "a", 1, "[DEFAULT]\na=1   \n" },
    { "[DEFAULT]\na=\n", "DEFAULT", "a", true, "[DEFAULT]\na=true\n" },
    { "[DEFAULT]\na=1\na=2\n", "DEFAULT", "a", 3, "[DEFAULT]\na=1\na=3\n" },
    { "[DEFAULT]\na=1\n more\n more\nb=2\n", "DEFAULT", "a", 3, "[DEFAULT]\na=3\nb=2\n" },
    { "[DEFAULT]\na=1\n more", "DEFAULT", "a", 3, "[DEFAULT]\na=3" },
    { "[DEFAULT]\n#a = 1\nb=2\n", "DEFAULT", "a", 3, "[DEFAULT]\n#a = 1\na = 3\nb=2\n" },
    { "[DEFAULT]\n# a=1\n\n# Of b.\n#b=2\n\n[vnc]\nc=3\n", "DEFAULT", "b", 4,
        "[DEFAULT]\n# a=1\n\n# Of b.\n#b=2\nb = 4\n\n[vnc]\nc=3\n" },
    { "[DEFAULT]\nb=2\n\n\n[vnc]\nc=3\n", "DEFAULT", "a", 1, "[DEFAULT]\nb=2\na = 1\n\n\n[vnc]\nc=3\n" },
    { "[vnc]\n#a=1\n[DEFAULT]\n", "DEFAULT", "a", 1, "[vnc]\n#a=1\n[DEFAULT]\na = 1\n" },
    { "[VNC]\nb=1\n", "vnc", "a", 1, "[VNC]\nb=1\na = 1\n" },
    { "[DEFAULT]\na='1'\n", "DEFAULT", "a", "1", "[DEFAULT]\na='1'\n" },
    { "[DEFAULT]\n", "DEFAULT", "a", " x", "[DEFAULT]\na = \" x\"\n" },
    { "[DEFAULT]\n", "DEFAULT", "a", "'x'", "[DEFAULT]\na = \"'x'\"\n" },
    { "[DEFAULT]\n", "DEFAULT", "a", "", "[DEFAULT]\na = \n" },
    { "[DEFAULT]\n", "DEFAULT", "a", { "1", "2" }, "[DEFAULT]\na = 1\na = 2\n" },
    { "[DEFAULT]\na=1\nb=0\na=2\na=3\n", "DEFAULT", "a", { "1", "4" }, "[DEFAULT]\na=1\nb=0\na=4\n" },
    { "[DEFAULT]\na=1\n more\nb=0\n", "DEFAULT", "a", { "2", "3" }, "[DEFAULT]\na=2\na = 3\nb=0\n" },
    { "[DEFAULT]\na=1\nb=0\n", "DEFAULT", "a", {}, "[DEFAULT]\nb=0\n" },
    { "[DEFAULT]\n", "DEFAULT", "a", "1\n2", "a value of several lines cannot be written" },
    { "[DEFAULT\n", "DEFAULT", "a", 1, "line 1: not the name of a section in [ ]: [DEFAULT" },
}

t.run("ini: a key is put where a person would put it", function()
    for _, row in ipairs(SET) do
        local text, section, key, value, expected = table.unpack(row)
        t.equal(result(ini.set, text, section, key, value), expected, text)
    end
end)

t.run("ini: a key is taken away, all of it", function()
    t.equal(ini.unset("[DEFAULT]\na=1\n more\nb=2\na=3\n[vnc]\na=4\n", "DEFAULT", "a"),
        "[DEFAULT]\nb=2\n[vnc]\na=4\n")
    t.equal(ini.unset("[DEFAULT]\n#a=1\n", "DEFAULT", "a"), "[DEFAULT]\n#a=1\n")
    t.equal(ini.unset("", "DEFAULT", "a"), "")
end)

-- text, name, value: as libvirt reads it
local CONF = {
    { "", "a", nil },
    { "a = 1", "a", 1 },
    { "a=-1\n", "a", -1 },
    { "a = \"x\"\n", "a", "x" },
    { "a = 'x \"y\"'\n", "a", "x \"y\"" },
    { "a = \"\"\"x\ny\"\"\"\n", "a", "x\ny" },
    { "a = [ \"x\", 'y' ]\n", "a", { "x", "y" } },
    { "a = [\n  \"x\",\n  \"y\",\n]\nb = 1\n", "a", { "x", "y" } },
    { "a = [\n  \"x\",\n  \"y\",\n]\nb = 1\n", "b", 1 },
    { "a = []\n", "a", {} },
    { "# a = 2\n#a = 3\na = 1 # a = 4\n", "a", 1 },
    { "a = 1\na = 2\n", "a", 1 },
    { "  a = 1\r\nb = 2\r\n", "b", 2 },
    { "a = \"# no comment\"\n", "a", "# no comment" },
    { "a 1\n", "a", "line 1: no 'name = value': a 1" },
    { "b = 1\na = x\n", "a", "line 2: neither a number, a text in quotes nor a list: x" },
    { "a = \"x\n\"\n", "a", "line 1: a text without its end: \"x" },
    { "a = 1 b = 2\n", "a", "line 1: something stands behind the value: a = 1 b = 2" },
    { "a = [ 1\n", "a", "line 2: neither a number, a text in quotes nor a list: " },
}

t.run("libvirt's files: what counts", function()
    for _, row in ipairs(CONF) do
        t.equal(result(conf.get, row[1], row[2]), row[3], row[1])
    end
end)

local CONF_SET = {
    { "", "a", 1, "a = 1\n" },
    { "b = 1", "a", "x", "b = 1\na = \"x\"\n" },
    { "b = 1\r\n", "a", true, "b = 1\r\na = 1\r\n" },
    { "a = 1 # why\n", "a", 2, "a = 2 # why\n" },
    { "a = 1 # why\n", "a", 1, "a = 1 # why\n" },
    { "a = 'x'\n", "a", "x", "a = 'x'\n" },
    { "a=1\na = 2\n", "a", 3, "a=3\na = 2\n" },
    { "# Of a.\n#a = 1\n\n#b = 2\n", "a", 2, "# Of a.\n#a = 1\na = 2\n\n#b = 2\n" },
    { "# as in a = 5\nb = 1\n", "a", 2, "# as in a = 5\nb = 1\na = 2\n" },
    { "a = [\n  1,\n  2 ]\nb = 1\n", "a", { 3 }, "a = [ 3 ]\nb = 1\n" },
    { "a = [ 1, 2 ]\n", "a", { 1, 2 }, "a = [ 1, 2 ]\n" },
    { "", "a", {}, "a = []\n" },
    { "", "a", "x\"y", "a = 'x\"y'\n" },
    { "", "a", "x\"y'", "a text with both kinds of quotes cannot be written: x\"y'" },
    { "junk\n", "a", 1, "line 1: no 'name = value': junk" },
}

t.run("libvirt's files: where a setting is", function()
    t.equal(conf.line("# a = 1\n\nb = 1\n  a = 2\n", "a"), 4)
    t.equal(conf.line("a = 1", "a"), 1)
    t.equal(conf.line("", "a"), nil)
end)

t.run("libvirt's files: a setting is put where a person would put it", function()
    for _, row in ipairs(CONF_SET) do
        t.equal(result(conf.set, row[1], row[2], row[3]), row[4], row[1])
    end
    t.equal(conf.unset("a = 1\nb = 2 # b\na = [\n1 ] # x\nc = 3\n", "a"), "b = 2 # b\nc = 3\n")
    t.equal(conf.unset("#a = 1\n", "a"), "#a = 1\n")
end)

-- ---- whatever the file is, nothing else of it changes ----

local PIECES = {
    "[DEFAULT]", "[libvirt]", "[Libvirt]", "[a b]", "#a = 1", "; b = 2", "# text", "", " ", "  more",
    "\tmore = 5", "  # no comment", "a=", "a = two words", "a:\"quoted \"", "b = 'q'", "b=a=b", "b : c:d",
    "x_y = \"", "junk", "[bad",
}
local SECTIONS, KEYS = { "DEFAULT", "libvirt", "a b" }, { "a", "b", "x_y" }

local function each_key(fn)
    for _, section in ipairs(SECTIONS) do
        for _, key in ipairs(KEYS) do fn(section, key) end
    end
end

t.run("ini: of a thousand odd files nothing else changes", function()
    local seed, read = 4711, 0
    local function random(n)
        seed = (seed * 1103515245 + 12345) % 2147483648
        return seed // 65536 % n + 1
    end
    for _ = 1, 1000 do
        local last, lines = random(3) == 1 and "\r\n" or "\n", { "[DEFAULT]" }
        for i = 2, random(10) + 1 do lines[i] = PIECES[random(#PIECES)] end
        local text = table.concat(lines, last) .. (random(4) > 1 and last or "")
        local ok = pcall(ini.values, text, "DEFAULT", "a")
        if ok then
            read = read + 1
            each_key(function(section, key)
                local changed = { ini.set(text, section, key, "new"), ini.unset(text, section, key),
                    ini.set(text, section, key, { "1", "2" }) }
                t.equal(ini.get(changed[1], section, key), "new", text)
                t.equal(ini.set(changed[1], section, key, "new"), changed[1], text)
                t.equal(ini.values(changed[2], section, key), {}, text)
                t.equal(ini.values(changed[3], section, key), { "1", "2" }, text)
                each_key(function(s, k)
                    if s == section and k == key then return end
                    for _, after in ipairs(changed) do
                        t.equal(ini.values(after, s, k), ini.values(text, s, k), text)
                    end
                end)
            end)
        end
    end
    t.equal(read > 200, true)
end)

t.run("conf: a setting is commented out", function()
    local function without(text) return conf.comment_out(text, "a") end
    t.equal(without("a = 1\nb = 2\n"), "#a = 1\nb = 2\n")
    t.equal(without("b = 2\n  a = \"x\" # why"), "b = 2\n  #a = \"x\" # why")
    t.equal(without("a = [ 1,\n  2 ]\r\nb = 1\n"), "#a = [ 1,\n#  2 ]\r\nb = 1\n")
    t.equal(without("a = 1\na = 2\n"), "#a = 1\n#a = 2\n")
    t.equal(without("# a = 1\n"), "# a = 1\n")
end)
