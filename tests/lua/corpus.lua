-- SPDX-License-Identifier: MIT
-- See corpus, which runs it: what to do, a folder, and the names of XML files.
local t = require "t"
local fakes = require "fakes"
local check = require "migrun.check"
local destination = require "migrun.destination"
local xml = require "migrun.xml"

local function run_of(text)
    local world = fakes.world()
    world.xml = text
    world.site = { maps = { ["compute-2"] = { bridge = { br0 = "br1" }, path = { ["/var/lib"] = "/srv/lib" },
        cpu = { ["0-1"] = "2-3" }, network = { default = "other" } } } }
    return fakes.fake_run(world)
end

local function write(path, text)
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
end

local function exists(path)
    local file <close> = io.open(path)
    return file ~= nil
end

-- What a check says of the guest, or what went wrong in it.
local function ask(step, run)
    local ok, wanted = pcall(function() return step.when == nil or step.when(run) end)
    if not ok then return nil, wanted end
    if not wanted then return nil end
    local answered, answer = pcall(step.run, run)
    -- libvirt's, a host's, or a refusal: a sentence. A text is a bug in the check.
    if answered or type(answer) == "table" and type(answer.message) == "string" then return answer end
    return nil, answer
end

local answered, compared = 0, 0

-- Each does its part with one file, {name, text, document}, and gives the problems that it has.
local acts = {}

function acts.ask(one)
    local run, problems = run_of(one.text), {}
    for _, step in ipairs(check.all) do
        local answer, mistake = ask(step, run)
        if mistake then problems[#problems + 1] = ("%s: %s"):format(step[1], tostring(mistake)) end
        answered = answered + (answer and 1 or 0)
    end
    local change, after = destination.xml(run), xml.parse(one.text)
    local rewritten, why = pcall(change.apply, after)
    local other = not rewritten and tostring(why) or xml.only_changed(one.document, after, change.changes)
    if other then problems[#problems + 1] = "rewriting: " .. other end
    return problems
end

function acts.pairs(one, folder)
    local after = xml.parse(one.text)
    destination.xml(run_of(one.text)).apply(after)
    write(("%s/%s.before"):format(folder, one.name), one.text)
    write(("%s/%s.after"):format(folder, one.name), after:text())
    return {}
end

function acts.compare(one, folder)
    local before, after = ("%s/%s.before.xml"):format(folder, one.name), ("%s/%s.after.xml"):format(folder,
        one.name)
    if not exists(before) and not exists(after) then return {} end
    if not exists(after) then return { "libvirt does not take it once it is rewritten" } end
    compared = compared + 1
    local changes = { "genid", table.unpack(destination.xml(run_of(one.text)).changes) }
    if one.document:get("genid") ~= "" then table.remove(changes, 1) end -- which libvirt makes up anew
    return { xml.only_changed(xml.parse(t.read(before)), xml.parse(t.read(after)), changes) }
end

local act, folder, failed = arg[1], arg[2], 0
for i = 3, #arg do
    local text = t.read(arg[i])
    local one = { name = arg[i]:match("([^/]*)%.xml$"), text = text, document = xml.parse(text) }
    local problems = acts[act](one, folder)
    failed = failed + math.min(#problems, 1)
    print(("%s %d - %s"):format(#problems == 0 and "ok" or "not ok", i - 2, one.name))
    for _, problem in ipairs(problems) do print("# " .. problem) end
end
print(("1..%d\n# %d checks answered, %d guests compared"):format(#arg - 2, answered, compared))
os.exit(failed == 0 and #arg > 2)
