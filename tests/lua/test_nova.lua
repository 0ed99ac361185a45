-- SPDX-License-Identifier: MIT
-- The checks that ask Nova, over answers as a Nova gives them.
local t = require "t"
local fakes = require "fakes"
local check = require "migrun.check"
local nova = require "migrun.nova"

-- A run whose instance is in one server group; hosts: where its other members are, by Nova's names.
local function ask(policy, hosts, dest)
    local refusal, answer
    fakes.ask({ run = function(run)
        local members = { "own" }
        for id in pairs(hosts) do members[#members + 1] = id end
        run.nova = {
            instance = { id = "own", groups = { "g" } },
            request = function() return { server_group = { name = "web", policy = policy,
                members = members } } end,
            server = function(_, id) return { host = hosts[id] } end,
            services = function() return { { binary = "nova-compute", host = dest
                or "compute-2.example.org" } } end,
        }
        local ok, text = pcall(nova.server_group_allows.run, run)
        answer, refusal = ok and text or nil, not ok and text.message or nil
    end })
    return answer, refusal
end

t.run("server groups: hosts by the names that Nova has for them, whatever the site calls them", function()
    local _, refusal = ask("anti-affinity", { other = "compute-2.example.org" })
    t.equal(refusal, "the server group web is anti-affinity, and its member other is on compute-2")
    t.equal(ask("anti-affinity", { other = "compute-3.example.org" }), "in 1 server group")
    t.equal(ask("affinity", { other = "compute-2.example.org" }), "in 1 server group")
    _, refusal = ask("affinity", { other = "compute-1.example.org" })
    t.equal(refusal, "the server group web is affinity, and its member other is not on compute-2")
end)

t.run("what Nova asks itself is not asked twice; nothing of a destination where there is none", function()
    local titles = {}
    for _, step in ipairs(nova.all) do
        t.ok(not titles[step[1]], step[1])
        titles[step[1]] = step
    end
    for _, left in ipairs { check.network, check.pins_exist, check.ports_are_free, check.no_host_devices } do
        t.equal(titles[left[1]], nil)
    end
    t.ok(titles[check.same_storage[1]] and titles[check.secrets_exist[1]])
    local without = { "Placement has room", "cpu is compatible", "same disks on both hosts", "memory fits" }
    fakes.ask({ run = function(run)
        for _, title in ipairs(without) do t.equal(titles[title].when(run), false, title) end
        t.equal(titles["guest is running"].when, nil)
    end }, function(world) world.alone = true end)
end)
