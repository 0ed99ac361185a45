-- SPDX-License-Identifier: MIT
-- Addresses that a guest listens on: which of them only its source has, and what takes their place.
local t = require "t"
local fakes = require "fakes"
local listen = require "migrun.listen"
local names = require "migrun.host.names"
local status = require "migrun.status"
local xml = require "migrun.xml"

t.run("the nearest address is the one of the same network", function()
    t.equal(listen.nearest({ "192.168.1.12", "10.89.0.12", "10.0.0.12" }, "10.89.0.11"), "10.89.0.12")
    t.equal(listen.nearest({ "10.89.4.12", "10.89.1.12", "10.88.0.12" }, "10.89.0.11"), "10.89.1.12")
    t.equal(listen.nearest({ "9.89.0.11", "128.0.0.1" }, "10.89.0.11"), "9.89.0.11", "bits, not digits")
    t.equal(listen.nearest({ "10.89.0.13", "10.89.0.12" }, "10.89.0.128"), "10.89.0.13",
        "the first of those as near")
end)

t.run("the nearest IPv6 address", function()
    t.equal(listen.nearest({ "10.89.0.12", "fd00:1::12", "2001:db8:0:2::12" }, "2001:db8:0:2::11"),
        "2001:db8:0:2::12")
    t.equal(listen.nearest({ "2001:db8:0:3::12", "2001:db8:0:2:0:0:0:12" }, "2001:db8:0:2::11"),
        "2001:db8:0:2:0:0:0:12", "written out")
    t.equal(listen.nearest({ "2001:DB8::FF", "2001:db8:ffff::1" }, "2001:db8::fe"), "2001:DB8::FF",
        "in capitals")
    t.equal(listen.nearest({ "::2", "8000::1" }, "::1"), "::2")
end)

t.run("there is no nearest address of another family, or of what is no address", function()
    t.equal(listen.nearest({ "2001:db8::12" }, "10.89.0.11"), nil)
    t.equal(listen.nearest({ "10.89.0.12" }, "2001:db8::11"), nil)
    t.equal(listen.nearest({}, "10.89.0.11"), nil)
    t.equal(listen.nearest({ "10.89.0.12" }, "localhost"), nil)
end)

local SOURCE, DEST = { "10.89.0.11", "192.168.7.11", "2001:db8::11" },
    { "10.89.0.12", "192.168.7.12", "2001:db8::12" }

local GUEST = [[
<domain><devices>
  <graphics type='vnc' listen='10.89.0.11'><listen type='address' address='10.89.0.11'/></graphics>
  <graphics type='spice' listen='192.168.7.11'><listen type='address' address='192.168.7.11'/></graphics>
  <serial type='tcp'><source mode='bind' host='10.89.0.11' service='10000'/></serial>
  <console type='tcp'><source mode='bind' host='10.89.0.11' service='10000'/></console>
  <parallel type='tcp'><source mode='bind' host='2001:db8::11' service='1'/></parallel>
  <serial type='tcp'><source mode='connect' host='192.168.7.11' service='2'/></serial>
  <console type='tcp'><source mode='connect' host='192.168.7.11' service='2'/></console>
  <parallel type='tcp'><source mode='connect' host='192.168.7.11' service='2'/></parallel>
  <channel type='tcp'><source mode='connect' host='192.168.7.11' service='2'/></channel>
  <channel type='tcp'><source mode='bind' host='127.0.0.1' service='3'/></channel>
</devices></domain>]]

t.run("foreign addresses: each once, with every device that listens there", function()
    t.equal(listen.foreign(xml.parse(GUEST), SOURCE, DEST), {
        { address = "10.89.0.11", replacement = "10.89.0.12", everywhere = "0.0.0.0",
            devices = { "vnc", "serial", "console" } },
        { address = "192.168.7.11", replacement = "192.168.7.12", everywhere = "0.0.0.0",
            devices = { "spice" } },
        { address = "2001:db8::11", replacement = "2001:db8::12", everywhere = "::",
            devices = { "parallel" } },
    })
end)

t.run("foreign addresses: two displays on one address", function()
    local guest = GUEST:gsub("192%.168%.7%.11", "10.89.0.11")
    t.equal(listen.foreign(xml.parse(guest), SOURCE, DEST)[1].devices,
        { "vnc", "spice", "serial", "console" })
end)

t.run("foreign addresses: none that both have, that no one has, or that is everybody's", function()
    local function found(source, dest) return #listen.foreign(xml.parse(GUEST), source, dest) end
    t.equal(found(SOURCE, SOURCE), 0)
    t.equal(found({ "10.1.1.1" }, DEST), 0)
    t.equal(found(nil, DEST), 0)
    t.equal(#listen.foreign(xml.parse((GUEST:gsub("%d[%w.:]*%.?11'", "0.0.0.0'"))), SOURCE, DEST), 0)
end)

t.run("foreign addresses: no replacement where the destination has none of the family", function()
    local foreign = listen.foreign(xml.parse(GUEST), SOURCE, { "10.89.0.12" })
    t.equal({ foreign[3].address, foreign[3].replacement }, { "2001:db8::11" })
end)

local function moved(change)
    local world = fakes.world()
    world.xml, world.source.facts.addresses, world.dest.facts.addresses = GUEST, SOURCE, DEST
    if change then change(world) end
    local document = xml.parse(world.xml)
    local change_of_xml = listen.to_destination(fakes.fake_run(world))
    change_of_xml.apply(document)
    return document, change_of_xml.changes
end

t.run("to the destination: every place that listens there is rewritten, and nothing else", function()
    local document = moved()
    t.equal(document:find("devices/graphics/@listen"), { "10.89.0.12", "192.168.7.12" })
    t.equal(document:find("devices/graphics/listen/@address"), { "10.89.0.12", "192.168.7.12" })
    t.equal(document:find("devices/serial/source/@host"), { "10.89.0.12", "192.168.7.11" },
        "a connection stays")
    t.equal(document:find("devices/console/source/@host"), { "10.89.0.12", "192.168.7.11" })
    t.equal(document:find("devices/parallel/source/@host"), { "2001:db8::12", "192.168.7.11" })
    t.equal(document:find("devices/channel/source/@host"), { "192.168.7.11", "127.0.0.1" },
        "and so does a loopback")
end)

t.run("to the destination: what has no replacement stays", function()
    local document = moved(function(world) world.dest.facts.addresses = { "10.89.0.12", "192.168.7.12" } end)
    t.equal(document:get("devices/parallel/source/@host"), "2001:db8::11")
end)

t.run("to the destination: the declared changes hold all that is changed", function()
    local before, document, changes = xml.parse(GUEST), moved()
    t.ok(#changes > 0)
    t.equal(xml.only_changed(before, document, changes), nil)
end)

-- ---- floating addresses ----

-- A host of which the agent told more: {"10.0.0.12/24", "10.0.0.9/32", "10.0.0.8/24 secondary"} each on
-- host0, and the addresses that its own name has there.
local function host(addresses, named, interfaces)
    local facts = { addresses = {}, own_addresses = named, interfaces = interfaces or {} }
    local own = { name = "host0", addresses = {} }
    for _, text in ipairs(addresses) do
        local address, prefix = text:match("^([^/]+)/(%d+)")
        table.insert(facts.addresses, address)
        table.insert(own.addresses, { address = address, prefix = math.tointeger(tonumber(prefix)),
            secondary = text:find("secondary") ~= nil })
    end
    table.insert(facts.interfaces, own)
    return { name = "compute-2", facts = facts }
end

t.run("nearest: no floating address of keepalived, however alike it looks", function()
    t.equal(listen.nearest(host { "10.0.0.10/32", "10.0.0.12/24" }, "10.0.0.11"), "10.0.0.12")
    t.equal(listen.nearest(host { "10.0.0.12/24", "10.0.0.10/24 secondary" }, "10.0.0.11"), "10.0.0.12")
    t.equal(listen.nearest(host { "fd00::10/128", "fd00::c/64" }, "fd00::11"), "fd00::c")
    t.equal(listen.nearest(host({ "10.0.0.10/24", "10.0.0.12/24" }, { "10.0.0.12" }), "10.0.0.11"),
        "10.0.0.12", "one that nothing tells from its own, but the name")
    t.equal(listen.nearest(host({ "10.0.0.10/24", "10.0.0.12/16" }, { "10.0.0.12" }), "10.0.0.11"),
        "10.0.0.12")
end)

t.run("nearest: a /32 or secondary address that the host's name leads to is its own", function()
    t.equal(listen.nearest(host({ "10.0.0.12/32", "192.168.7.12/24" }, { "10.0.0.12" }), "10.0.0.11"),
        "10.0.0.12")
    t.equal(listen.nearest(host({ "10.0.0.9/24", "10.0.0.12/24 secondary" }, { "10.0.0.12" }), "10.0.0.11"),
        "10.0.0.12")
end)

t.run("nearest: where there is nothing else, a /32", function()
    t.equal(listen.nearest(host { "10.0.0.12/32" }, "10.0.0.11"), "10.0.0.12")
    t.equal(listen.nearest(host { "fd00::12/64", "10.0.0.12/32" }, "10.0.0.11"), "10.0.0.12", "of its family")
    t.equal(listen.nearest(host { "10.0.0.13/32", "10.0.0.12/24 secondary" }, "172.16.0.11"), "10.0.0.13")
end)

t.run("nearest: in the same network, though the name leads to another one", function()
    local dest = host({ "10.0.0.12/24", "192.168.7.12/24" }, { "10.0.0.12", "127.0.1.1" })
    t.equal(listen.nearest(dest, "192.168.7.11"), "192.168.7.12")
    t.equal(listen.nearest(dest, "192.168.8.11"), "10.0.0.12", "and else where the name leads")
    t.equal(listen.nearest(host({ "192.168.7.100/32", "10.0.0.12/24" }), "192.168.7.11"), "10.0.0.12",
        "not a floating one of that network")
end)

t.run("nearest: one of the loopback's, as routers announce them; none of a link", function()
    local dest = host({ "169.254.7.12/16", "fe80::12/64", "10.1.0.12/24" }, { "10.255.0.12" },
        { { name = "lo", addresses = { { address = "127.0.0.1", prefix = 8 },
            { address = "::1", prefix = 128 }, { address = "10.255.0.12", prefix = 32 } } } })
    dest.facts.addresses = { "10.1.0.12" }
    t.equal(listen.nearest(dest, "10.255.0.11"), "10.255.0.12")
    t.equal(listen.nearest(dest, "10.1.0.11"), "10.1.0.12")
    t.equal(listen.nearest(dest, "169.254.7.11"), "10.255.0.12")
    t.equal(listen.nearest(dest, "fe80::11"), nil)
end)

local function vnc(address)
    return ("<domain><devices><graphics type='vnc' listen='%s'><listen type='address' address='%s'/>"
        .. "</graphics></devices></domain>"):format(address, address)
end

t.run("a guest that listens on a /32 of its host, as a VPN's, gets the other's", function()
    local source = host { "10.0.0.11/24", "10.9.0.11/32" }
    local dest = host { "10.0.0.12/24", "10.9.0.12/32" }
    local function replacement(address)
        return listen.foreign(xml.parse(vnc(address)), source, dest)[1].replacement
    end
    t.equal(replacement("10.9.0.11"), "10.9.0.12", "nobody sees it who did not before")
    t.equal(replacement("10.0.0.11"), "10.0.0.12")
end)

t.run("to the destination: the floating address that it has is not the guest's", function()
    local document = moved(function(world)
        local facts = world.dest.facts
        facts.addresses = { "10.89.0.10", "10.89.0.12" }
        facts.interfaces = { { name = "eth0", addresses = { { address = "10.89.0.10", prefix = 32 },
            { address = "10.89.0.12", prefix = 24 } } } }
    end)
    t.equal(document:get("devices/graphics/@listen"), "10.89.0.12")
end)

-- ---- names ----

-- Each host knows these names: {name = address}.
local function with_names(world, source, dest)
    world.source.facts.addresses, world.dest.facts.addresses = { "10.89.0.11" }, { "10.89.0.12" }
    for host, known in pairs { source = source, dest = dest } do
        world[host].reach = function(_, name)
            if not known[name] then error({ domain = "host", message = name .. " does not resolve" }) end
            return { address = known[name], ports = {} }
        end
    end
end

-- What the guest that listens on this text gets, and whether it counted as foreign.
local function becomes(text, source, dest)
    local world = fakes.world()
    world.xml = vnc(text)
    with_names(world, source, dest)
    local run = fakes.fake_run(world)
    local document = xml.parse(world.xml)
    listen.to_destination(run).apply(document)
    return document:get("devices/graphics/listen/@address"),
        #listen.foreign(xml.parse(world.xml), run.source, run.dest)
end

t.run("a host's name counts as its address", function()
    local both = { ["compute-1"] = "10.89.0.11", ["compute-2"] = "10.89.0.12" }
    t.equal({ becomes("compute-1", both, both) }, { "10.89.0.12", 1 })
    t.equal({ becomes("compute-2", both, both) }, { "compute-2", 0 }, "nobody listens on it here")
    t.equal({ becomes("vnc.local", { ["vnc.local"] = "10.89.0.11" }, { ["vnc.local"] = "10.89.0.12" }) },
        { "vnc.local", 0 }, "each host has its own behind it")
    t.equal({ becomes("vnc.local", { ["vnc.local"] = "10.89.0.11" }, {}) }, { "10.89.0.12", 1 })
    t.equal({ becomes("ip-10-89-0-11", { ["ip-10-89-0-11"] = "10.89.0.11" }, {}) }, { "10.89.0.12", 1 },
        "four numbers are no address yet")
    t.equal({ becomes("nowhere", {}, {}) }, { "nowhere", 0 })
end)

t.run("a name of the loopback stays closed to others", function()
    t.equal({ becomes("localhost", {}, {}) }, { "localhost", 0 })
    t.equal({ becomes("compute-1", { ["compute-1"] = "127.0.1.1" }, { ["compute-1"] = "10.89.0.11" }) },
        { "127.0.1.1", 1 })
    t.equal({ becomes("compute-1", { ["compute-1"] = "127.0.1.1" }, { ["compute-1"] = "127.0.1.1" }) },
        { "compute-1", 0 })
end)

t.run("an address in another spelling is the same one", function()
    local source, dest = { "2001:db8::11" }, { "2001:db8::12" }
    local foreign = listen.foreign(xml.parse(vnc("2001:DB8:0:0::11")), source, dest)
    t.equal(foreign[1].replacement, "2001:db8::12")
    t.equal(#listen.foreign(xml.parse(vnc("2001:DB8:0:0::11")), source, { "2001:db8::11" }), 0)
end)

t.run("a name in a URI: an IPv6 address in brackets", function()
    t.equal(names.in_uri "compute-1", "compute-1")
    t.equal(names.in_uri "10.0.0.12", "10.0.0.12")
    t.equal(names.in_uri "fd00::12", "[fd00::12]")
    t.equal(names.in_uri "fe80::12%eth0", "[fe80::12%25eth0]")
end)

-- ---- a network's own address ----

local NETWORK = [[
<domain><devices>
  <graphics type='vnc' listen='10.89.0.11'><listen type='network' address='10.89.0.11' network='n'/>
  </graphics>
  <graphics type='spice' listen='10.89.0.11'><listen type='address' address='10.89.0.11'/></graphics>
</devices></domain>]]

t.run("what stands beside a network that listens is not foreign, and stays", function()
    local document = moved(function(world) world.xml = NETWORK end)
    t.equal(document:find("devices/graphics/@listen"), { "10.89.0.11", "10.89.0.12" })
    t.equal(document:find("devices/graphics/listen/@address"), { "10.89.0.11", "10.89.0.12" })
    t.equal(listen.foreign(xml.parse(NETWORK), SOURCE, DEST)[1].devices, { "spice" })
    local alone = NETWORK:gsub("<graphics type='spice'.-</graphics>", "")
    t.equal(#listen.foreign(xml.parse(alone), SOURCE, DEST), 0)
end)

-- ---- every device that binds ----

local DEVICES = [[
<domain><devices>
  <rng><backend model='egd' type='tcp'><source mode='bind' host='A' service='1'/></backend></rng>
  <rng><backend model='egd' type='udp'><source mode='bind' host='A' service='2'/>
    <source mode='connect' host='A' service='3'/></backend></rng>
  <redirdev bus='usb' type='tcp'><source mode='bind' host='A' service='4'/></redirdev>
  <redirdev bus='usb' type='tcp'><source mode='connect' host='A' service='5'/></redirdev>
  <smartcard mode='passthrough' type='tcp'><source mode='bind' host='A' service='6'/></smartcard>
  <interface type='server'><source address='A' port='7'/></interface>
  <interface type='client'><source address='A' port='8'/></interface>
  <interface type='mcast'><source address='A' port='9'/></interface>
  <interface type='udp'><source address='A' port='10'><local address='A' port='11'/></source></interface>
  <interface type='user'><portForward proto='tcp' address='A'><range start='12'/></portForward></interface>
  <serial type='udp'><source mode='bind' host='A' service='13'/><source mode='connect' host='A' service='14'/>
  </serial>
</devices></domain>]]

t.run("every device that binds an address, and none that connects to one", function()
    local text = DEVICES:gsub("'A'", "'10.89.0.11'")
    local document = moved(function(world) world.xml = text end)
    local THERE, HERE = "10.89.0.12", "10.89.0.11"
    t.equal(document:find("devices/rng/backend/source/@host"), { THERE, THERE, HERE })
    t.equal(document:find("devices/redirdev/source/@host"), { THERE, HERE })
    t.equal(document:get("devices/smartcard/source/@host"), THERE)
    t.equal(document:find("devices/interface/source/@address"), { THERE, HERE, HERE, HERE })
    t.equal(document:get("devices/interface/source/local/@address"), THERE)
    t.equal(document:get("devices/interface/portForward/@address"), THERE)
    t.equal(document:find("devices/serial/source/@host"), { THERE, HERE })
    t.equal(listen.foreign(xml.parse(text), SOURCE, DEST)[1].devices,
        { "serial", "rng", "redirdev", "smartcard", "interface" })
end)

-- ---- libvirt's records ----

t.run("a record of libvirt's: on all addresses of the family, never opened where it was closed", function()
    local world = fakes.world()
    world.xml = ("<domain><devices><graphics type='vnc' listen='10.89.0.11'/>"
        .. "<serial><source mode='bind' host='2001:db8::11'/></serial>"
        .. "<parallel><source mode='bind' host='compute-1'/></parallel></devices></domain>")
    with_names(world, { ["compute-1"] = "127.0.1.1" }, { ["compute-1"] = "10.89.0.11" })
    world.source.facts.addresses = SOURCE
    local run = fakes.fake_run(world)
    local text = "<domstatus>" .. world.xml:gsub("<domain>", "<domain><name>g</name>") .. "</domstatus>"
    local record = xml.parse(text)
    local change = status.ready_to_move(run)
    change.apply(record)
    t.equal(record:get("domain/devices/graphics/@listen"), "0.0.0.0")
    t.equal(record:get("domain/devices/serial/source/@host"), "::")
    t.equal(record:get("domain/devices/parallel/source/@host"), "127.0.1.1")
    t.equal(xml.only_changed(xml.parse(text), record, change.changes), nil)
    t.equal(status.bound(run), { "10.89.0.11", "2001:db8::11", "compute-1" })
end)

t.run("a record of libvirt's that listens by a network, or on a name of the destination", function()
    local world = fakes.world()
    world.xml = NETWORK
    with_names(world, {}, { ["compute-2"] = "10.89.0.12" })
    local run = fakes.fake_run(world)
    local definition = xml.parse(NETWORK)
    status.ready_to_start_elsewhere(run).apply(definition)
    t.equal(definition:find("devices/graphics/@listen"), { "10.89.0.11", "0.0.0.0" })
    local ok, err = pcall(listen.refuse_destination, run, xml.parse(vnc "compute-2"))
    t.equal({ ok, err.message }, { false, "vnc would listen on compute-2, which only compute-2 has: after a "
        .. "move that fails the guest could not start on compute-1 again; use 0.0.0.0 (:: for IPv6)" })
end)
