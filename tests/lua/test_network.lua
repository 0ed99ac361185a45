-- SPDX-License-Identifier: MIT
-- The guest's network through a move: what its announcements and a probe come to. What hosts hear and get
-- answers from is told by the test.
local t = require "t"
local xml = require "migrun.xml"
require "fakes"
local network = require "migrun.network"

local MAC, OTHER = "52:54:00:01:02:03", "52:54:00:01:02:04"
local BRIDGED = [[<interface type='bridge'><mac address='52:54:00:01:02:03'/><source bridge='br0'/>]]
    .. [[<target dev='vnet3'/></interface>]]
local clock = 1000
os.time = function() return clock end

local function frame(kind, interface, out, more)
    local one = { mac = MAC, kind = kind, interface = interface, out = out, count = 5, first = 10, last = 12 }
    for key, value in pairs(more or {}) do one[key] = value end
    return one
end
local ANNOUNCED = { frame("rarp", "vnet3", false), frame("rarp", "br0", false), frame("rarp", "eth0", true) }

-- world: {interfaces = XML, frames = list (nil: nobody listens), comes = those after a wait, later = those
-- once something was done, lost, answers = list: what host:answered says in turn, ports, site, server =
-- Nova's, saved}
local function fake_run(world)
    local run = { params = {}, preview = world.preview, saved = world.saved or {}, warnings = {}, done = {},
        site = { network = { announce = 0, within = 10 } } }
    for key, value in pairs(world.site or {}) do run.site.network[key] = value end
    local document = xml.parse("<domain><devices>" .. (world.interfaces or BRIDGED)
        .. "</devices></domain>")
    local function host(name)
        local fake = { name = name, settings = { libvirt = { socket = "/run/s" } } }
        function fake:stat() return not world.elsewhere and { type = "symlink" } or nil end
        function fake:watch(macs)
            if world.deaf then error({ message = "cannot listen for frames: Operation not permitted" }) end
            table.insert(run.done, name .. " watches " .. table.concat(macs, " "))
        end
        function fake:watched(timeout)
            clock = clock + (timeout or 0)
            if world.comes and timeout then world.frames = world.comes end
            if world.later and #run.done > 0 then world.frames = world.later end
            return world.frames and { frames = world.frames, lost = world.lost or 0 }
        end
        function fake:ask(address, port)
            table.insert(run.done, ("%s asks %s%s"):format(name, address, port and ":" .. port or ""))
            if world.refused then
                error(setmetatable({}, { __tostring = function() return world.refused end }))
            end
            world.asked = true
            return address
        end
        function fake:answered()
            return world.asked and table.remove(world.answers, 1) or nil
        end
        function fake:reach(address, port)
            table.insert(run.done, ("%s reaches %s:%d"):format(name, address, port))
            return { address = address, ports = { [port] = world.ports } }
        end
        function fake:command(argv)
            table.insert(run.done, table.concat(argv, " "))
            return { status = 0, out = world.out or '{"return":{}}', err = "" }
        end
        local domain = { xml = function() return document end,
            info = function() return { state = world.state or "running" } end }
        fake.libvirt = { domain = function() return not world.gone and domain or nil end }
        return fake
    end
    run.source, run.dest, run.here = host "compute-1", host "compute-2", host "controller"
    run.instance = { name = "web", title = "web", uuid = "u-u", xml = function() return document end,
        host = function() return world.stayed and run.source or run.dest end }
    run.nova = { instance = world.server, ports = function()
        return { { mac = OTHER, addresses = { "fd00::5" } }, { mac = MAC, addresses = { "10.0.0.5" } } }
    end }
    function run:refuse(reason) error({ message = reason }, 0) end
    function run:warn(text) table.insert(self.warnings, text) end
    return run
end

-- What a step says (or refuses with), and the run.
local function perform(step, world)
    local run = fake_run(world)
    local ok, text = pcall(step.run, run)
    if not ok and type(text) ~= "table" then error(text, 0) end
    if not ok then text = "refused: " .. text.message end
    return text, run
end
local function after(world)
    local text, run = perform(network.answers, world)
    return text, network.answers.verify(run), run
end

local LOOK = "; what its interface is joined to: ssh compute-2 bridge link (or ovs-vsctl show)"
local SEEN = "seen of it on compute-2: 5 × RARP in by vnet3, 5 × RARP in by br0, 5 × RARP out by eth0"

t.run("before the move: the destination listens; nobody is asked where the site names no probe", function()
    local text, run = perform(network.watch, {})
    t.equal(text, "compute-2 listens for " .. MAC)
    t.equal(run.done, { "compute-2 watches " .. MAC })
    t.equal(run.warnings, {})
    t.ok(network.watch.when(run), "it has an interface")
    run.dest = nil
    t.ok(not network.watch.when(run), "no destination yet")
    t.ok(not network.watch.when(fake_run { interfaces = "<disk/>" }), "no interface")
end)

t.run("before the move: a host that cannot listen is a warning", function()
    local text, run = perform(network.watch, { deaf = true })
    t.equal(text, nil)
    t.match(run.warnings[1], "compute%-2 cannot listen for what the guest announces: ")
end)

t.run("before the move: the probe by Neutron's address (IPv4 first), by its own, or by none yet", function()
    local text, run = perform(network.watch, { site = { probe = { ping = true } }, server = {},
        answers = { { answered = true } } })
    t.equal(text, "compute-2 listens for " .. MAC
        .. "; compute-2 gets answers from 10.0.0.5 (ping), Neutron's")
    t.equal(run.done[2], "compute-2 asks 10.0.0.5")
    t.equal(run.saved.network, { address = "10.0.0.5", before = true })
    text, run = perform(network.watch, { answers = { { answered = true } },
        site = { probe = { session = 7, address = "%s.example.org", from = "here" } } })
    t.match(text, "; controller gets answers from web.example.org:7 %(TCP session%), named by the probe$")
    t.equal(run.done[2], "controller asks web.example.org:7")
    text = perform(network.watch, { site = { probe = { ping = true } } })
    t.match(text, "; its address is what it will announce$")
end)

t.run("before the move: what does not answer now is a warning, and tells nothing later", function()
    local site = { probe = { tcp = 22, address = "10.0.0.9" } }
    local text, run = perform(network.watch, { site = site, ports = { open = false, error = "timed out" } })
    t.equal(text, "compute-2 listens for " .. MAC)
    t.equal(run.warnings, { "compute-2 gets no answer from 10.0.0.9:22 even before the move (timed out): "
        .. "whether it answers after it will tell nothing" })
    text = after { site = site, saved = run.saved, frames = ANNOUNCED,
        ports = { open = false, error = "timed out" } }
    t.match(text, "; 10.0.0.9:22 does not answer, as before the move$")
    text, run = perform(network.watch, { site = { probe = { session = 7, address = "10.0.0.9" } },
        refused = "cannot ask 10.0.0.9: Connection refused" })
    t.match(run.warnings[1], "%(TCP session%) even before the move %(cannot ask 10.0.0.9: Connection ref")
    t.equal(run.saved.network.before, false)
end)

t.run("after it: announced, and sent on", function()
    local text, says = after { frames = ANNOUNCED }
    t.equal(text, MAC .. " announced on vnet3 (5 × RARP), sent on by eth0")
    t.equal(says, "announced to its network")
end)

t.run("after it: announced, and sent on by nobody: a warning, and no word of its network", function()
    local text, says, run = after { frames = { ANNOUNCED[1], ANNOUNCED[2] } }
    t.equal(text, MAC .. " announced on vnet3 (5 × RARP), sent on by no other interface")
    t.equal(says, "announced on its host alone")
    t.match(run.warnings[1], "^no other interface of compute%-2 sent on what the guest announced")
end)

t.run("after it: what came from the source before, or is another's, is no announcement", function()
    for _, frames in ipairs {
        { frame("rarp", "eth0", false), frame("rarp", "br0", false), frame("garp", "vnet3", true) },
        { frame("rarp", "vnet3", false, { mac = OTHER }) },
        { frame("arp", "vnet3", false) }, {},
    } do
        local began = clock
        local text = after { frames = frames }
        t.match(text, "^refused: its network is silent: " .. MAC
            .. " was not announced on compute%-2 within 10 s; ")
        t.ok(clock - began >= 10, "it was waited for")
    end
    t.match((after { frames = {} }), "; nothing of it was seen on compute%-2; what its interface")
    -- Where frames were lost, that is not known.
    local text, says = after { frames = {}, lost = 3 }
    t.equal(text, "no announcement of " .. MAC .. " was seen (3 frames were lost)")
    t.equal(says, "what it announced is not known")
    -- sent on before it came is not sent on by this host for it
    text = after { frames = { ANNOUNCED[1], frame("rarp", "vnet1", true, { first = 1, last = 2 }) } }
    t.match(text, "sent on by no other interface$")
end)

t.run("after it: macvtap's frames are the host's own to send; the hardware's cannot be heard", function()
    local direct = BRIDGED:gsub("'bridge'", "'direct'"):gsub("vnet3", "macvtap0")
    local text = after { interfaces = direct,
        frames = { frame("garp", "macvtap0", true, { address = "10.0.0.5" }), frame("garp", "eth0", true) } }
    t.equal(text, MAC .. " announced on macvtap0 (5 × gratuitous ARP), sent on by eth0")
    for _, kind in ipairs { "hostdev", "vhostuser" } do
        local says
        text, says = after { frames = {}, interfaces = BRIDGED:gsub("'bridge'", "'" .. kind .. "'")
            :gsub(kind == "hostdev" and "<target.->" or "%z", "") }
        t.equal(text, ("%s cannot be heard (%s)"):format(MAC, kind))
        t.equal(says, "what it announced is not known")
    end
end)

t.run("after it: a tap that the host does not see cannot be heard", function()
    t.equal((after { frames = {}, elsewhere = true }), MAC .. " cannot be heard (bridge)")
end)

t.run("after it: each interface is to be announced", function()
    local two = BRIDGED .. BRIDGED:gsub(MAC, OTHER):gsub("vnet3", "vnet4")
    local text = after { interfaces = two, frames = ANNOUNCED }
    t.match(text, "^refused: its network is silent: " .. OTHER .. " was not announced on compute%-2 ")
end)

t.run("an interface whose link is down announces nothing, and is not waited for", function()
    local down = BRIDGED:gsub(MAC, OTHER):gsub("</interface>", "<link state='down'/></interface>")
    t.match((after { interfaces = BRIDGED .. down, frames = ANNOUNCED }), "^" .. MAC .. " announced")
    t.ok(not network.watch.when(fake_run { interfaces = down }), "nothing to listen for")
end)

t.run("after it: the probe answers, and its longest gap is told", function()
    local saved = { network = { address = "10.0.0.5", before = true } }
    local text, says = after { frames = ANNOUNCED, site = { probe = { ping = true } }, saved = saved,
        asked = true, answers = { { answered = true, longest = 0.384 } } }
    t.match(text, "; 10.0.0.5 %(ping%) answers compute%-2, longest gap 0.38 s$")
    t.equal(says, "its network answers, longest gap 0.38 s")
    -- An answer is more than an announcement.
    text = after { frames = {}, site = { probe = { tcp = 22 } }, saved = saved, ports = { open = true } }
    t.equal(text, "10.0.0.5:22 answers compute-2; no announcement of " .. MAC .. " was seen")
    -- So is a refusal.
    text, says = after { frames = ANNOUNCED, site = { probe = { tcp = 22 } }, saved = saved,
        ports = { open = false, error = "Connection refused" } }
    t.match(text, "; 10.0.0.5:22 answers compute%-2$")
    t.equal(says, "its network answers")
end)

t.run("after it: a probe that is not answered is silence, with what was seen", function()
    local saved = { network = { address = "10.0.0.5", before = true } }
    local text, _, run = after { frames = ANNOUNCED, site = { probe = { ping = true } }, saved = saved,
        asked = true, answers = { { answered = false, longest = 0 } } }
    t.equal(text, "refused: its network is silent: compute-2 got no answer from 10.0.0.5 (ping) within 10 s; "
        .. SEEN .. LOOK)
    text, _, run = after { frames = ANNOUNCED, site = { probe = { tcp = 22 } }, saved = saved,
        ports = { open = false, error = "No route to host" } }
    t.match(text, "from 10.0.0.5:22 within 10 s %(No route to host%); ")
    t.equal(#run.done, 3)
    text = after { frames = ANNOUNCED, site = { probe = { session = 7 } }, saved = saved, asked = true,
        answers = { { answered = false, error = "Connection reset by peer" } } }
    t.equal(text, "refused: its TCP session broke: 10.0.0.5:7 (TCP session) from compute-2: "
        .. "Connection reset by peer")
end)

t.run("after it: by the address that the guest announced; one that nobody knows is a warning", function()
    local frames = { frame("garp", "vnet3", false, { address = "10.0.0.7" }), ANNOUNCED[3] }
    local text, says, run = after { frames = frames, site = { probe = { ping = true } },
        answers = { { answered = true, longest = 0 } } }
    t.match(text, "; 10.0.0.7 %(ping%) answers compute%-2$") -- since when: no gap to tell
    t.equal(says, "its network answers")
    t.equal(run.done, { "compute-2 asks 10.0.0.7" })
    -- QEMU's frames come first, and have no address: it is waited for.
    text = after { frames = ANNOUNCED, comes = frames, site = { probe = { ping = true } },
        answers = { { answered = true, longest = 0 } } }
    t.match(text, "; 10.0.0.7 %(ping%) answers compute%-2$")
    text, says, run = after { frames = ANNOUNCED, site = { probe = { ping = true } } }
    t.equal(says, "announced to its network")
    t.match(run.warnings[1], "address is not known")
end)

t.run("after it: nobody listened (a run that was cut off, a connection that was lost)", function()
    local text, says = after {}
    t.equal(text, "nobody listened for what it announced")
    t.equal(says, "what it announced is not known")
    text, says = after { site = { probe = { ping = true } }, saved = { network = { address = "10.0.0.5",
        before = true } }, answers = { { answered = true, longest = 0.1 } } }
    t.equal(text, "nobody listened for what it announced; 10.0.0.5 (ping) answers compute-2")
    t.equal(says, "its network answers")
end)

t.run("after it: QEMU is asked to announce again, and that is seen", function()
    local more = { frame("rarp", "vnet3", false, { count = 10 }), ANNOUNCED[3] }
    local text, _, run = after { frames = ANNOUNCED, later = more, site = { announce = 5 } }
    t.equal(run.done, { "virsh -q -c qemu+unix:///system?socket=/run/s qemu-monitor-command u-u "
        .. '{"execute":"announce-self","arguments":{"initial":100,"max":1000,"rounds":5,"step":100}}' })
    t.equal(text, MAC .. " announced on vnet3 (10 × RARP), sent on by eth0")
    t.equal(run.warnings, {})
    text, _, run = after { frames = ANNOUNCED, site = { announce = 5 } }
    t.equal(run.warnings, { "not all of the 5 more announcements were seen within 10 s" })
    local ok, problem = pcall(network.answers.run, fake_run { frames = ANNOUNCED, site = { announce = 5 },
        out = '{"id":"x","error":{"class":"CommandNotFound","desc":"The command announce-self has not been '
        .. 'found"}}' })
    t.ok(not ok)
    t.match(problem, "QEMU does not announce its guest: The command announce%-self has not been found")
end)

t.run("after it: a guest that stands, or has gone, is not asked", function()
    local text, says = after { state = "paused", frames = {} }
    t.equal(text, "not asked: the guest is paused")
    t.equal(says, nil)
    t.equal((after { gone = true, frames = {} }), "not asked: the guest is gone")
    t.ok(not network.answers.when(fake_run { stayed = true }), "it has not moved")
    t.ok(network.answers.when(fake_run {}), "it has")
end)

t.run("a preview tells what will be asked, and shows what would be done", function()
    local text, run = perform(network.answers, { preview = true, server = {},
        site = { probe = { ping = true }, announce = 2 }, out = "" })
    t.equal(text, "after the move: is " .. MAC .. " announced on compute-2? does 10.0.0.5 (ping) answer?")
    t.match(run.done[1], '"rounds":2')
end)

t.run("network.with: a policy's own, over the site's; its mistakes", function()
    local pair = network.with { probe = { tcp = 22, address = "10.0.0.9" } }
    local text = perform(pair.watch, { site = { probe = { ping = true } }, ports = { open = true } })
    t.match(text, "gets answers from 10.0.0.9:22")
    for _, options in ipairs { { probes = {} }, { announce = -1 }, { within = 0 }, { probe = "ping" } } do
        local ok, problem = pcall(network.with, options)
        t.ok(not ok)
        t.match(problem, "network.with takes probe, announce")
    end
    for _, probe in ipairs { {}, { ping = true, tcp = 22 }, { address = "10.0.0.1" } } do
        local ok, problem = pcall(network.with, { probe = probe })
        t.ok(not ok)
        t.match(problem, "the probe of network.with is one of ping = true, tcp = PORT and session = PORT")
    end
end)
