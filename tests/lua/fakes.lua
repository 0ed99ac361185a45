-- SPDX-License-Identifier: MIT
-- A run as a step sees it, made of what was recorded in a lab (facts/), and changed by a test where it needs
-- another world.
local xml = require "migrun.xml"
local t = require "t"

local fakes = {}

local recorded = require "facts.lab".storage

local function copy(value)
    if type(value) ~= "table" then return value end
    local result = {}
    for key, inner in pairs(value) do result[key] = copy(inner) end
    return result
end
fakes.copy = copy

---A host: its facts, files by their paths, what it reaches (a function of the ports), and a libvirtd. What is
---done to it is kept in .done.
function fakes.fake_host(name, host)
    local fake = { name = name, facts = host.facts, settings = host.settings, done = {} }
    fake.libvirt = {
        domain = function(_, uuid) return host.domains[uuid] end,
        domain_capabilities = function(_, ...)
            table.insert(fake.done, { "domain_capabilities", ... })
            return host.capabilities(...)
        end,
        volume = function(_, pool, name) return host.volumes(pool, name) end,
        resources = function() return host.resources end,
        compare_cpu = function(_, ...)
            table.insert(fake.done, { "compare_cpu", ... })
            return host.cpu
        end,
    }
    function fake:stat(path) return host.files[path] end
    function fake:read(path)
        return host.texts[path] or error({ domain = "system", message = "no such file: " .. path })
    end
    -- Later looks at storage, one after the other; then as with the facts; of what was not recorded as files
    -- has it, whose links (target) are followed.
    function fake:storage(paths, after)
        local seen = {}
        table.insert(self.done, { "storage", paths[1], after })
        for _, path in ipairs(paths) do
            local link = host.files[path] and host.files[path].target
            local file = host.files[link or path]
            link = link or path:find("/%.") and path:gsub("/%./", "/"):gsub("/[^/]+/%.%./", "/") or nil
            seen[path] = table.remove(host.looks, 1) or not link and host.facts.storage[path]
                or (link or not recorded[path]) and file
                and { type = file.type, path = link or path, fstype = "nfs4" } or nil
        end
        return seen
    end
    -- Of units nothing was recorded.
    function fake:service(unit)
        return { state = function() error("there is no unit " .. unit, 0) end }
    end
    -- Why another's libvirtd does not let it in, by the URI.
    function fake:refused_by(uri) return host.refusals and host.refusals[uri] end
    function fake:write(path, text)
        host.texts[path], host.files[path] = text, { type = "file", size = #text }
    end
    function fake:remove(path) host.texts[path], host.files[path] = nil, nil end
    function fake:chown(path, uid, gid)
        if path == host.refused then error({ domain = "system", message = path .. " is refused" }) end
        if host.lost then error({ domain = "host", message = "the connection is lost" }) end
        table.insert(self.done, { "chown", path, uid, gid })
        host.files[path].uid, host.files[path].gid = uid, gid
    end
    function fake:listeners(ports)
        table.insert(self.done, { "listeners", ports })
        return host.listeners
    end
    function fake:reach(other, ports)
        local name = type(other) == "table" and other.name or other
        table.insert(self.done, { "reach", name, ports })
        return host.reach(ports, name)
    end
    return fake
end

-- Ports as they were recorded; another host's libvirtd answers by the same ones.
local function recorded_reach(recorded, address)
    return function(ports)
        local answer = { address = address, ports = {} }
        for _, port in ipairs(type(ports) == "table" and ports or { ports }) do
            answer.ports[port] = recorded.ports[port] or { open = true, ms = 1 }
        end
        return answer
    end
end

---The recorded world, as a table that a test may change: source, dest {facts, files, domains, settings,
---reach, cpu}, instance, blocks, directory, xml (a text), dest_xml (of the domain at the destination).
function fakes.world()
    local lab = copy(require "facts.lab")
    lab.source.storage, lab.dest.storage = copy(lab.storage), copy(lab.storage)
    local function host(facts, other)
        local settings = copy(lab.settings)
        settings.services, settings.libvirt.config = settings.services or {}, "/etc/libvirt"
        return {
            facts = facts, settings = settings, files = copy(lab.files), domains = {},
            reach = recorded_reach(lab.reach, other),
            cpu = lab.cpu, texts = {}, looks = {}, capabilities = function()
                return xml.parse(lab.capabilities)
            end,
            resources = { networks = {}, secrets = {}, filters = {}, unknown = {} }, listeners = {},
            volumes = function() error({ domain = "libvirt", message = "Storage pool not found" }, 0) end,
        }
    end
    return {
        lab = lab, source = host(lab.source, lab.reach.address),
        dest = host(lab.dest, lab.source.addresses[1]), instance = lab.instance, blocks = lab.blocks,
        directory = lab.directory,
        xml = t.read("tests/lua/facts/instance.xml"),
    }
end

local function fake_domain(world, text)
    return { blocks = function() return world.blocks end, xml = function() return xml.parse(text) end }
end

---A run in that world. world.moved: the guest is at the destination; world.preview.
function fakes.fake_run(world)
    local uuid = world.instance.uuid
    local run = { params = { i_know = {} }, site = world.site or {}, openssl = world.openssl,
        preview = world.preview or false,
        warnings = {} }
    run.source = fakes.fake_host("compute-1", world.source)
    run.dest = not world.alone and fakes.fake_host("compute-2", world.dest) or nil
    if not world.moved then world.source.domains[uuid] = fake_domain(world, world.xml) end
    if world.moved then world.dest.domains[uuid] = fake_domain(world, world.dest_xml or world.xml) end
    run.instance = {
        name = world.instance.name, uuid = uuid, facts = world.instance,
        xml = function() return xml.parse(world.xml) end,
        directory = function() return world.directory end,
        status_file = function() return "/run/libvirt/qemu/" .. world.instance.name .. ".xml" end,
        host = function() return world.moved and run.dest or run.source end,
    }
    function run:refuse(reason) error({ domain = "refused", code = 0, message = reason, source = "" }) end
    function run:warn(text) table.insert(self.warnings, text) end
    return run
end

---Replaces a plain text in the guest's XML, which must be there.
function fakes.edit(world, from, to)
    local first, last = world.xml:find(from, 1, true)
    assert(first, "the recorded XML has no " .. from)
    world.xml = world.xml:sub(1, first - 1) .. to .. world.xml:sub(last + 1)
end

---What a step sees, or nil and what it refuses with, in the world as change(world) leaves it; and the run.
---Other errors are raised on.
function fakes.ask(step, change, name)
    local world = fakes.world()
    if change then change(world) end
    local run = fakes.fake_run(world)
    local ok, text = pcall(step[name or "run"], run)
    if not ok and not (type(text) == "table" and text.domain == "refused") then error(text, 0) end
    return ok and text or nil, not ok and text.message or nil, run
end

---The step says so; or it refuses, with this reason.
function fakes.sees(step, expected, change)
    local text, refusal = fakes.ask(step, change)
    t.equal(text or "refused: " .. refusal, expected)
end

function fakes.refuses(step, expected, change)
    local text, refusal = fakes.ask(step, change)
    t.equal(refusal or "said: " .. tostring(text), expected)
end

return fakes
