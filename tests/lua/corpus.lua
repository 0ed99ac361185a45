-- SPDX-License-Identifier: MIT
-- See corpus, which runs it with the names of XML files.
local t = require "t"
local fakes = require "fakes"
local check = require "migrun.check"
local destination = require "migrun.destination"
local xml = require "migrun.xml"

local function world_of(text)
    local world = fakes.world()
    world.xml = text
    world.site = { maps = { ["compute-2"] = { bridge = { br0 = "br1" }, path = { ["/var/lib"] = "/srv/lib" },
        cpu = { ["0-1"] = "2-3" }, network = { default = "other" } } } }
    return world
end

-- What a check says of the guest, or what went wrong in it.
local function ask(step, run)
    local ok, wanted = pcall(function() return step.when == nil or step.when(run) end)
    if not ok then return nil, wanted end
    if not wanted then return "not needed" end
    local answered, answer = pcall(step.run, run)
    if answered then return answer end
    -- libvirt's, a host's, or a refusal: a sentence. A text is a bug in the check.
    if type(answer) == "table" and type(answer.message) == "string" then return "no: " .. answer.message end
    return nil, answer
end

local asked, answered, mistakes, skipped = 0, 0, 0, 0
for _, path in ipairs(arg) do
    local text = t.read(path)
    local parsed, document = pcall(xml.parse, text)
    if not parsed or document:get("name") == nil then
        skipped = skipped + 1 -- not well-formed, on purpose
    else
        local run, problems = fakes.fake_run(world_of(text)), {}
        asked = asked + 1
        for _, step in ipairs(check.all) do
            local answer, mistake = ask(step, run)
            if mistake then
                problems[#problems + 1] = ("%s: %s"):format(step[1], tostring(mistake))
            else
                answered = answered + (answer ~= "not needed" and 1 or 0)
            end
        end
        local change, after = destination.xml(run), xml.parse(text)
        local rewritten, why = pcall(change.apply, after)
        local other = not rewritten and tostring(why) or xml.only_changed(document, after, change.changes)
        if other then problems[#problems + 1] = "rewriting: " .. other end
        mistakes = mistakes + math.min(#problems, 1)
        print(("%s %d - %s"):format(#problems == 0 and "ok" or "not ok", asked, path:match("[^/]*$")))
        for _, problem in ipairs(problems) do print("# " .. problem) end
    end
end
print(("1..%d\n# %d checks answered, %d files are no domain"):format(asked, answered, skipped))
os.exit(mistakes == 0 and asked > 0)
