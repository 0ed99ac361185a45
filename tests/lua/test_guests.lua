-- SPDX-License-Identifier: MIT
-- Guests and hosts that exist: each kind of thing that a guest has from its host, with the yes and the no of
-- its check, over recorded facts (tests/lua/facts), changed to what such a host has.
local t = require "t"
local fakes = require "fakes"
local xml = require "migrun.xml"
local check = require "migrun.check"
local destination = require "migrun.destination"
local ranges = require "migrun.ranges"

local sees, refuses, edit = fakes.sees, fakes.refuses, fakes.edit
local CLOSED = " (closed yet: a firewall that rejects looks the same)"

local function with(device)
    return function(world) edit(world, "<memballoon ", device .. "<memballoon ") end
end

local function in_domain(element)
    return function(world) edit(world, "<os>", element .. "<os>") end
end

local function both(...)
    local changes = { ... }
    return function(world)
        for _, change in ipairs(changes) do change(world) end
    end
end

local function link_of(host, name)
    for _, link in ipairs(host.facts.interfaces) do
        if link.name == name then return link end
    end
end

local function without_link(name)
    return function(world)
        for i, link in ipairs(world.dest.facts.interfaces) do
            if link.name == name then return table.remove(world.dest.facts.interfaces, i) end
        end
    end
end

local function not_wanted(step, change)
    local _, _, run = fakes.ask({ run = function() end }, change)
    t.equal(step.when(run), false, step[1])
end

-- ---- network ----

local BRIDGE = "<interface type='bridge'><mac address='52:54:00:1a:2b:3c'/><source bridge='br0'/></interface>"

t.run("network: a bridge", function()
    sees(check.network, "52:54:00:1a:2b:3c: bridge br0 there, too, MTU 1500, by eth1", with(BRIDGE))
    refuses(check.network, "52:54:00:1a:2b:3c: bridge br0 is not on compute-2: make it there, or map it to "
        .. "another "
        .. "one (maps in the site file)", both(with(BRIDGE), without_link("br0")))
    refuses(check.network, "52:54:00:1a:2b:3c: br0 is a vlan on compute-2, not a bridge", both(with(BRIDGE),
        function(world) link_of(world.dest, "br0").kind = "vlan" end))
    refuses(check.network, "52:54:00:1a:2b:3c: bridge br0 is down on compute-2: ip link set br0 up",
        both(with(BRIDGE), function(world) link_of(world.dest, "br0").up = false end))
    refuses(check.network, "52:54:00:1a:2b:3c: bridge br0 on compute-2 leads nowhere: it has no port as br0 "
        .. "has here "
        .. "(eth1): plug its interface in", both(with(BRIDGE), without_link("eth1")))
    local _, _, run = fakes.ask(check.network, both(with(BRIDGE), function(world)
        link_of(world.dest, "br0").mtu = 9000
    end))
    t.equal(run.warnings, { "the MTU of bridge br0 is 9000 on compute-2 and 1500 on compute-1: larger "
        .. "packets may "
        .. "be lost" })
    refuses(check.network, "52:54:00:1a:2b:3c: bridge br0 is on VLAN 775 on compute-2, and br0 on VLAN 774 "
        .. "on "
        .. "compute-1: another network", both(with(BRIDGE), function(world)
        link_of(world.source, "eth1").vlan, link_of(world.dest, "eth1").vlan = 774, 775
    end))
    refuses(check.network, "the interfaces of compute-2 are not known", both(with(BRIDGE), function(world)
        world.dest.facts.interfaces = nil
    end))
    not_wanted(check.network)
end)

t.run("network: a bridge of Open vSwitch", function()
    local port = BRIDGE:gsub("</interface>", "<virtualport type='openvswitch'/></interface>")
    local function switch(world)
        link_of(world.dest, "br0").kind, link_of(world.dest, "br0").up = "openvswitch", false
    end
    sees(check.network, "52:54:00:1a:2b:3c: Open vSwitch's br0 there, too", both(with(port), switch))
    refuses(check.network, "52:54:00:1a:2b:3c: br0 is a bridge on compute-2, not a bridge of Open vSwitch",
        with(port))
end)

t.run("network: one of libvirt's", function()
    local port = "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='prod' "
        .. "portgroup='web'/></interface>"
    local function has(here, there)
        return both(with(port), function(world)
            world.source.resources.networks, world.dest.resources.networks = { here }, { there }
        end)
    end
    local bridged = { name = "prod", active = true, forward = "bridge", bridge = "br0",
        portgroups = { "web" } }
    sees(check.network, "52:54:00:00:00:01: network prod, bridge br0 there, too, MTU 1500, by eth1",
        has(bridged, bridged))
    -- As libvirt shows it while the guest runs.
    refuses(check.network, "52:54:00:00:00:05: libvirt's network prod is not defined on compute-2: virsh "
        .. "net-dumpxml "
        .. "prod here, net-define and net-autostart there", with("<interface type='bridge'><mac "
        .. "address='52:54:00:00:00:05'/><source network='prod' portid='x' bridge='br0'/></interface>"))
    refuses(check.network, "52:54:00:00:00:01: libvirt's network prod is not defined on compute-2: virsh "
        .. "net-dumpxml "
        .. "prod here, net-define and net-autostart there", has(bridged, nil))
    refuses(check.network, "52:54:00:00:00:01: libvirt's network prod is not started on compute-2: virsh "
        .. "net-start "
        .. "prod", has(bridged, { name = "prod", active = false, portgroups = { "web" } }))
    refuses(check.network, "52:54:00:00:00:01: libvirt's network prod has no portgroup web on compute-2",
        has(bridged, { name = "prod", active = true, portgroups = {} }))
    refuses(check.network, "52:54:00:00:00:01: network prod: bridge br7 is not on compute-2: make it there, "
        .. "or map it "
        .. "to another one (maps in the site file)",
        has(bridged, { name = "prod", active = true, forward = "bridge", bridge = "br7",
            portgroups = { "web" } }))
    refuses(check.network, "52:54:00:00:00:01: libvirt's network prod is nat on compute-2, and bridge on "
        .. "compute-1: "
        .. "another network", has(bridged, { name = "prod", active = true, forward = "nat",
        portgroups = { "web" } }))
    local nat = { name = "prod", active = true, forward = "nat", portgroups = { "web" } }
    local text, _, run = fakes.ask(check.network, has(nat, nat))
    t.equal(text, "52:54:00:00:00:01: network prod (nat) started there, too")
    t.equal(run.warnings, { "libvirt's network prod (nat) is each host's own: the guest's connections "
        .. "through it "
        .. "end" })
    refuses(check.network, "libvirt on compute-2 does not list its networks (no connection driver): does "
        .. "their "
        .. "daemon run there?", both(with(port), function(world)
        world.dest.resources = { unknown = { networks = "no connection driver" } }
    end))
end)

t.run("network: macvtap, vhost-user, a tap made before, filters", function()
    local direct = "<interface type='direct'><mac address='52:54:00:00:00:02'/><source dev='eth1' "
        .. "mode='bridge'/>"
        .. "</interface>"
    sees(check.network, "52:54:00:00:00:02: eth1 there, too, MTU 1500", with(direct))
    refuses(check.network, "52:54:00:00:00:02: eth1, which its macvtap is to be on, is not on compute-2: map "
        .. "it to "
        .. "another one (maps in the site file)", both(with(direct), without_link("eth1")))
    local function vhost_user(mode)
        return with(("<interface type='vhostuser'><mac address='52:54:00:00:00:03'/><source type='unix' "
            .. "path='/run/ovs/vhu1' mode='%s'/></interface>"):format(mode))
    end
    refuses(check.network, "52:54:00:00:00:03: no vhost-user socket /run/ovs/vhu1 on compute-2: does its "
        .. "switch (Open "
        .. "vSwitch with DPDK, VPP) run there, with that port?", vhost_user("client"))
    sees(check.network, "52:54:00:00:00:03: vhost-user socket /run/ovs/vhu1 there, too",
        both(vhost_user("client"),
        function(world) world.dest.files["/run/ovs/vhu1"] = { type = "socket" } end))
    refuses(check.network, "52:54:00:00:00:03: /run/ovs, where its vhost-user socket is to be made, is no "
        .. "folder of "
        .. "compute-2", vhost_user("server"))
    sees(check.network, "52:54:00:00:00:03: vhost-user, QEMU makes /run/ovs/vhu1; that a switch connects to "
        .. "it is "
        .. "not known", both(vhost_user("server"), function(world)
        world.dest.files["/run/ovs"] = { type = "directory" }
    end))
    local tap = "<interface type='ethernet'><mac address='52:54:00:00:00:04'/><target dev='tap9' "
        .. "managed='no'/>"
        .. "</interface>"
    refuses(check.network, "52:54:00:00:00:04: its tap tap9, which libvirt does not make (managed='no'), is "
        .. "not on "
        .. "compute-2", with(tap))
    local filtered = BRIDGE:gsub("</interface>", "<filterref filter='clean-traffic'/></interface>")
    refuses(check.network, "52:54:00:1a:2b:3c: libvirt's network filter clean-traffic is not defined on "
        .. "compute-2: "
        .. "virsh nwfilter-dumpxml clean-traffic here, nwfilter-define there", with(filtered))
    sees(check.network, "52:54:00:1a:2b:3c: bridge br0 there, too, MTU 1500, by eth1", both(with(filtered),
        function(world) world.dest.resources.filters = { "clean-traffic" } end))
end)

-- ---- secrets ----

local LUKS = "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/x'><encryption "
    .. "format='luks'><secret type='passphrase' "
    .. "uuid='0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f'/></encryption></source>"
    .. "<target dev='vdb' bus='virtio'/></disk>"

t.run("secrets", function()
    refuses(check.secrets_exist, "vdb: libvirt's secret 0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f is not defined "
        .. "on "
        .. "compute-2: virsh secret-dumpxml 0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f here, secret-define and "
        .. "secret-set-value there", with(LUKS))
    sees(check.secrets_exist, "vdb: 0a81f5b2-8403-7b23-c8d6-21ccc2f80d6f; whether a value is set cannot be "
        .. "asked",
        both(with(LUKS), function(world)
        world.dest.resources.secrets = { { uuid = "0A81F5B2-8403-7B23-C8D6-21CCC2F80D6F" } }
    end))
    local rbd = "<disk type='network' device='disk'><auth username='nova'><secret type='ceph' "
        .. "usage='client.nova'/>"
        .. "</auth><source protocol='rbd' name='vms/x'/><target dev='vdc'/></disk>"
    refuses(check.secrets_exist, "vdc: libvirt's secret for client.nova is not defined on compute-2: virsh "
        .. "secret-dumpxml for client.nova here, secret-define and secret-set-value there", with(rbd))
    sees(check.secrets_exist, "vdc: for client.nova; whether a value is set cannot be asked", both(with(rbd),
        function(world) world.dest.resources.secrets = { { uuid = "x", usage = "client.nova" } } end))
    refuses(check.secrets_exist, "tpm: libvirt's secret c0ffee is not defined on compute-2: virsh "
        .. "secret-dumpxml "
        .. "c0ffee here, secret-define and secret-set-value there",
        with("<tpm><backend type='emulator'><encryption secret='c0ffee'/></backend></tpm>"))
    not_wanted(check.secrets_exist)
end)

-- ---- TPM ----

local TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
local STATE = "/var/lib/libvirt/swtpm/86586fce-b10a-0fc5-c713-67c64d50a7bf/tpm2/tpm2-00.permall"

local function capabilities_without(text)
    return function(world)
        local whole = world.lab.capabilities
        local first, last = whole:find(text, 1, true)
        assert(first, text)
        world.dest.capabilities = function()
            return xml.parse(whole:sub(1, first - 1) .. whole:sub(last + 1))
        end
    end
end

t.run("TPM", function()
    sees(check.tpm_can_run, "compute-2 emulates TPM 2.0; its state goes along", with(TPM))
    refuses(check.tpm_can_run, "compute-2 cannot emulate a TPM: install swtpm and swtpm-tools there, and "
        .. "restart "
        .. "libvirtd", both(with(TPM), capabilities_without("<value>emulator</value>")))
    refuses(check.tpm_can_run, "compute-2 emulates TPM 2.0, not 1.2: another swtpm is needed there",
        with((TPM:gsub("2%.0", "1.2"))))
    refuses(check.tpm_can_run, "libvirt on compute-2 does not tell whether it can emulate a TPM",
        both(with(TPM),
        function(world)
        world.dest.capabilities = function() return xml.parse("<domainCapabilities/>") end
    end))
    local function state(fstype)
        return both(with(TPM), function(world)
            local seen = { type = "file", path = STATE, size = 9, inode = 7, mtime = 5, ctime = 1000000007,
                fstype = fstype, source = "store:/x" }
            world.source.facts.storage[STATE], world.dest.facts.storage[STATE] = seen, seen
        end)
    end
    refuses(check.tpm_can_run, STATE .. " is one file on both hosts, on fuse.mergerfs, which libvirt does "
        .. "not take "
        .. "for shared: it would be deleted after the move, with the TPM's keys: shared_filesystems in "
        .. "qemu.conf "
        .. "(libvirt 11), or a file system that libvirt knows", state("fuse.mergerfs"))
    sees(check.tpm_can_run, "compute-2 emulates TPM 2.0; its state goes along", state("nfs4"))
    not_wanted(check.tpm_can_run)
end)

-- ---- firmware ----

local function uefi(nvram)
    return function(world)
        edit(world, "<boot dev='hd'/>", "<loader readonly='yes' "
            .. "type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
            .. nvram)
        for _, host in ipairs { world.source, world.dest } do
            host.files["/usr/share/OVMF/OVMF_CODE_4M.fd"] = { type = "file" }
            host.files["/var/lib/libvirt/qemu/nvram"] = { type = "directory" }
        end
    end
end

t.run("firmware", function()
    local nvram = "<nvram>/var/lib/libvirt/qemu/nvram/x_VARS.fd</nvram>"
    local from = nvram:gsub("<nvram", "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'")
    sees(check.firmware_exists, "/usr/share/OVMF/OVMF_CODE_4M.fd there, too", uefi(nvram))
    refuses(check.firmware_exists, "its firmware /usr/share/OVMF/OVMF_CODE_4M.fd is not on compute-2: "
        .. "install its "
        .. "package there (ovmf, edk2-ovmf)", both(uefi(nvram), function(world)
        world.dest.files["/usr/share/OVMF/OVMF_CODE_4M.fd"] = nil
    end))
    refuses(check.firmware_exists, "libvirt on compute-2 knows no NVRAM template for "
        .. "/usr/share/OVMF/OVMF_CODE_4M.fd: install the firmware's package there (ovmf, edk2-ovmf), or set "
        .. "nvram in "
        .. "its qemu.conf", both(uefi(nvram),
        capabilities_without("<value>/usr/share/OVMF/OVMF_CODE_4M.fd</value>")))
    refuses(check.firmware_exists, "the template of its NVRAM, /usr/share/OVMF/OVMF_VARS_4M.fd, is not on "
        .. "compute-2: "
        .. "install the firmware's package there (ovmf, edk2-ovmf)", uefi(from))
    refuses(check.firmware_exists, "/srv/nvram, where its NVRAM is to be, is not on compute-2: mkdir -p it "
        .. "there, as "
        .. "root's", uefi("<nvram>/srv/nvram/x</nvram>"))
    sees(check.firmware_exists, "/usr/share/OVMF/OVMF_CODE_4M.fd there, too",
        both(uefi("<nvram>/srv/nvram/x</nvram>"), function(world)
        world.dest.files["/srv/nvram/x"] = { type = "file" }
    end))
    not_wanted(check.firmware_exists)
end)

-- ---- ports ----

t.run("ports of its own", function()
    local function fixed(world)
        world.xml = world.xml:gsub("<graphics type='vnc'[^>]*>", "<graphics type='vnc' port='5907' "
            .. "autoport='no' "
            .. "websocket='5707' listen='0.0.0.0'>"):gsub("10%.89%.0%.11", "0.0.0.0")
    end
    sees(check.ports_are_free, "vnc 5907, vnc (websocket) 5707", fixed)
    local function taken(listener)
        return both(fixed, function(world) world.dest.listeners = { listener } end)
    end
    refuses(check.ports_are_free, "its vnc port 5907 is taken on compute-2 by the guest busy (pid 374): let "
        .. "libvirt "
        .. "choose it (autoport='yes'), or free it", taken { address = "10.89.0.12", port = 5907, pid = 374 })
    refuses(check.ports_are_free, "its vnc (websocket) port 5707 is taken on compute-2 by websockify (pid "
        .. "9): let "
        .. "libvirt choose it (autoport='yes'), or free it",
        taken { address = "::", port = 5707, pid = 9, program = "websockify" })
    refuses(check.ports_are_free, "its vnc port 5907 is taken on compute-2 by a process (ss -tlnp 'sport = "
        .. ":5907' "
        .. "there tells which): let libvirt choose it (autoport='yes'), or free it",
        taken { address = "0.0.0.0", port = 5907 })
    local serial = with "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='4555'/></serial>"
    sees(check.ports_are_free, "serial 4555", both(serial, function(world)
        world.dest.listeners = { { address = "10.89.0.12", port = 4555 } }
    end))
    not_wanted(check.ports_are_free) -- libvirt chose its VNC port, and chooses anew
end)

-- ---- pins, huge pages ----

t.run("pins", function()
    local pinned = in_domain "<cputune><vcpupin vcpu='0' cpuset='2-3'/><emulatorpin cpuset='0-1'/></cputune>"
    local remedy = "; guests on compute-2 have the CPUs %s and the NUMA nodes 0: map them (maps in the site "
        .. "file), or "
        .. "change the pins (virsh vcpupin, emulatorpin, numatune)"
    refuses(check.pins_exist, "vcpupin asks for CPU 2-3 (none of them is there)" .. remedy:format("0-1"),
        pinned)
    sees(check.pins_exist, "CPUs 2-3, 0-1 of 0-3 there", both(pinned, function(world)
        world.dest.facts.cpu.online = "0-3"
    end))
    refuses(check.pins_exist, "vcpupin asks for CPU 2-3 (without 3)" .. remedy:format("0-2"), both(pinned,
        function(world) world.dest.facts.cpu.online, world.dest.facts.cpu.machines = "0-3", "0-2" end))
    refuses(check.pins_exist, "vcpupin asks for CPU 2-3 (none of them is there); emulatorpin asks for CPU "
        .. "0-1 (without "
        .. "1)" .. remedy:format("0"), both(pinned, function(world)
        world.dest.facts.cpu.machines, world.dest.facts.cpu.libvirtd = "0-3", "0"
        world.dest.facts.libvirt.conf.cgroup_controllers = {}
    end))
    refuses(check.pins_exist, "numatune asks for NUMA node 0-1 (without 1)" .. remedy:format("0-1"),
        in_domain "<numatune><memory mode='strict' nodeset='0-1'/></numatune>")
    sees(check.pins_exist, "NUMA node 0 of 0 there", in_domain(
        "<numatune><memory mode='strict' nodeset='0'/></numatune>"))
    refuses(check.pins_exist, "which CPUs of compute-2 guests may use is not known", both(pinned,
        function(world)
        world.dest.facts.cpu.online = nil
    end))
    not_wanted(check.pins_exist)
end)

t.run("lists of CPUs", function()
    t.equal(ranges.parse("0-3,8,^2"), { 0, 1, 3, 8 })
    t.equal(ranges.parse("x"), nil)
    t.equal(ranges.parse("3-1"), nil)
    t.equal(ranges.text { 8, 0, 1, 3 }, "0-1,3,8")
end)

t.run("memory: huge pages by their size, and by node where numatune is strict", function()
    local function pages(element, pools, change)
        return both(in_domain(element), function(world)
            world.dest.facts.memory.hugepages = pools
            if change then change(world) end
        end)
    end
    local gib = "<memoryBacking><hugepages><page size='1048576' unit='KiB'/></hugepages></memoryBacking>"
    local function one_gib(world) world.instance.max_memory = 1 << 30 end
    refuses(check.memory_fits, "needs 1024 MiB in huge pages of 1024 MiB, 0 MiB free on compute-2",
        pages(gib, { { size = 2 << 20, total = 1024, free = 1024 }, { size = 1 << 30, total = 4,
            free = 0 } }, one_gib))
    sees(check.memory_fits, "needs 1024 MiB in huge pages of 1024 MiB, 4096 MiB free on compute-2",
        pages(gib, { { size = 1 << 30, total = 4, free = 4 } }, one_gib))
    local strict = gib .. "<numatune><memory mode='strict' nodeset='1'/></numatune>"
    local function nodes(world)
        one_gib(world)
        world.dest.facts.nodes = {
            { node = 0, hugepages = { { size = 1 << 30, total = 4, free = 4 } } },
            { node = 1, hugepages = { { size = 1 << 30, total = 4, free = 0 } } },
        }
    end
    refuses(check.memory_fits, "needs 1024 MiB in huge pages of 1024 MiB, 0 MiB free on node 1 of compute-2",
        pages(strict, { { size = 1 << 30, total = 8, free = 4 } }, nodes))
    local cells = "<memoryBacking><hugepages><page size='2' unit='M' "
        .. "nodeset='1'/></hugepages></memoryBacking>"
        .. "<cpu><numa><cell id='0' memory='131072' unit='KiB'/><cell id='1' memory='131072' "
        .. "unit='KiB'/></numa></cpu>"
    sees(check.memory_fits, "needs 128 MiB in huge pages of 2 MiB, 128 MiB free on compute-2; needs 128 MiB, "
        .. "22.3 GiB "
        .. "free on compute-2", function(world)
        world.xml = world.xml:gsub("<cpu .-</cpu>", "")
        pages(cells, { { size = 2 << 20, total = 64, free = 64 } })(world)
    end)
end)

-- ---- media, DRBD ----

local function medium(policy)
    return with(("<disk type='file' device='cdrom'><source file='/iso'%s/><target dev='sda' "
        .. "bus='sata'/><readonly/>"
        .. "</disk>"):format(policy))
end

t.run("media: what libvirt drops on the way passes, and is said", function()
    local function only_here(world) world.source.facts.storage["/iso"] = { type = "file", size = 9 } end
    for _, policy in ipairs { "optional", "requisite" } do
        local text, _, run = fakes.ask(check.same_storage,
            both(medium((" startupPolicy='%s'"):format(policy)), only_here))
        t.match(text, "sda goes along empty")
        t.equal(run.warnings, { ("sda: /iso is not on compute-2: libvirt takes it out of the drive on the "
            .. "way "
            .. "(startupPolicy='%s')"):format(policy) })
    end
    local left = with("<disk type='file' device='cdrom'><source index='2'/><target dev='sda'/>"
        .. "<readonly/></disk>")
    t.match((fakes.ask(check.same_storage, left)), "^vda: one file", "a drive whose medium was taken out")
    refuses(check.same_storage, "/iso is not on compute-2: is its storage mounted there?; take the medium "
        .. "out for the "
        .. "move: virsh change-media instance-00000001 sda --eject", both(medium(""), only_here))
end)

-- ---- checkpoints, versions ----

t.run("checkpoints are named, as libvirt forgets them", function()
    local text, _, run = fakes.ask(check.checkpoints_are_known, function(world)
        world.instance.checkpoints = { "monday", "tuesday" }
    end)
    t.equal(text, "2, which do not go along")
    t.match(run.warnings[1], "%(monday, tuesday%)")
    t.match(run.warnings[1], "Bitmap already exists.*virsh checkpoint%-delete instance%-00000001 NAME")
    not_wanted(check.checkpoints_are_known)
end)

t.run("versions: pairs that are known to be bad, and a site's own", function()
    sees(check.versions_are_good, "compute-1: libvirt 9.0.0, QEMU 7.2.22, Linux ?; compute-2: libvirt 9.0.0, "
        .. "QEMU "
        .. "7.2.22, Linux ?")
    local function threads(libvirt, qemu)
        return function(world)
            edit(world, "<feature policy='require' name='lahf_lm'/>", "<topology sockets='1' cores='1' "
                .. "threads='2'/>")
            world.dest.facts.libvirt.libvirt, world.dest.facts.libvirt.hypervisor = libvirt, qemu
        end
    end
    local function warnings(change)
        local _, _, run = fakes.ask(check.versions_are_good, change)
        return run.warnings
    end
    t.match(warnings(threads("11.3.0", "10.0.13"))[1], "^QEMU 10 and newer under libvirt before 11.10 on "
        .. "compute%-2 .*"
        .. "libvirt 11.10 there")
    t.equal(warnings(threads("11.10.0", "10.0.13")), {})
    t.equal(warnings(threads("11.3.0", "9.2.0")), {})
    t.equal(warnings(function(world) world.dest.facts.libvirt.hypervisor = "10.0.13" end), {}, "no threads")
    local _, refusal = fakes.ask(check.versions_are_good, function(world)
        world.source.facts.libvirt.hypervisor, world.dest.facts.libvirt.hypervisor = "10.0.13", "11.1.2"
    end)
    t.match(refusal, "^QEMU 11.1 on compute%-2 takes no virtio disk from 10.0 on compute%-1 .*upgrade "
        .. "compute%-1 "
        .. "first")
    local function own(entry) return function(world) world.site = { known_bad = { entry } } end end
    refuses(check.versions_are_good, "our patched QEMU loses interrupts on compute-2: compute-9",
        own { action = "refuse", says = "our patched QEMU loses interrupts on {dest}", remedy = "compute-9",
        dest = { qemu = ">=7.2 <8" }, source = { libvirt = "<=9.0.0" } })
    t.equal(warnings(own { action = "warn", says = "x", either = { kernel = ">=6" } }), {},
        "no kernel is known")
    t.raises(function() warnings(own { action = "warn", says = "x", dest = { qemo = ">1" } }) end,
        "known_bad%[1%] in the site file: dest.qemo is none of")
    t.raises(function() warnings(own { action = "warn", says = "x", dest = { qemu = "7.2" } }) end,
        "is a condition as")
    t.raises(function() warnings(own { action = "stop", says = "x", dest = { qemu = ">1" } }) end,
        "'action' is")
    t.raises(function() warnings(own { action = "warn", says = "x" }) end, "names no versions")
    t.raises(function() warnings(own { action = "warn", dest = { qemu = ">1" } }) end,
        "'says' is the sentence")
    t.raises(function() warnings(own { action = "warn", says = "x", foo = 1 }) end, "unknown key 'foo'")
end)

-- ---- transport ----

t.run("hosts reach each other: addresses of another host in qemu.conf", function()
    local function conf(key, value, address)
        return function(world)
            world.dest.facts.libvirt.conf[key] = value
            local reach = world.source.reach
            world.source.reach = function(ports, name)
                local answer = reach(ports, name)
                if name == value then answer.address = address end
                return answer
            end
        end
    end
    refuses(check.hosts_reach_each_other, "migration_address in the qemu.conf of compute-2 is 10.89.0.11, "
        .. "which is an "
        .. "address of compute-1: its QEMU could not listen there (remove the line, or write compute-2's "
        .. "own)",
        conf("migration_address", "10.89.0.11"))
    refuses(check.hosts_reach_each_other, "migration_address in the qemu.conf of compute-2 is 10.1.1.1, "
        .. "which is no "
        .. "address of compute-2: its QEMU could not listen there (remove the line, or write compute-2's "
        .. "own)",
        conf("migration_address", "10.1.1.1"))
    for _, address in ipairs { "0.0.0.0", "::", "10.89.0.12" } do
        sees(check.hosts_reach_each_other, "compute-1 → compute-2:16509, 49152-49215" .. CLOSED
            .. " · compute-2 → compute-1",
            conf("migration_address", address))
    end
    refuses(check.hosts_reach_each_other, "migration_host in its qemu.conf leads from compute-1 to mig-2 "
        .. "(10.1.1.9), "
        .. "which is no address of compute-2: the guest's memory would be sent there",
        conf("migration_host", "mig-2", "10.1.1.9"))
end)

t.run("hosts reach each other: a network of its own for migrations", function()
    local function second(uri)
        return function(world)
            world.dest.settings.libvirt.migrate_uri = uri
            table.insert(world.dest.facts.addresses, "10.70.0.12")
            local reach = world.source.reach
            world.source.reach = function(ports, name)
                if name == "compute-2" then return reach(ports, name) end
                local answer = { address = "10.70.0.12", ports = {} }
                for _, port in ipairs(ports) do answer.ports[port] = { open = false,
                    error = "Connection refused" } end
                return answer
            end
        end
    end
    local text, _, run = fakes.ask(check.hosts_reach_each_other, second("tcp://%s-mig"))
    t.equal(text, "compute-1 → compute-2:16509, compute-2-mig:49152-49215" .. CLOSED .. " · compute-2 → "
        .. "compute-1")
    t.equal(run.source.done[2], { "reach", "compute-2-mig", { 49152, 49215 } })
    _, _, run = fakes.ask(check.hosts_reach_each_other, second("tcp://%s-mig:49500"))
    t.equal(run.source.done[2], { "reach", "compute-2-mig", { 49500 } })
    _, _, run = fakes.ask(check.hosts_reach_each_other, second("tcp://[fd00::12]:49500"))
    t.equal(run.source.done[2], { "reach", "fd00::12", { 49500 } })
end)

-- ---- maps ----

t.run("maps: what is called otherwise there is asked there, and renamed on the way", function()
    local function mapped(world)
        with(BRIDGE)(world)
        edit(world, "<os>", "<cputune><vcpupin vcpu='0' cpuset='0-1'/></cputune><os>")
        link_of(world.dest, "br0").name, link_of(world.dest, "eth1").master = "br-b", "br-b"
        world.dest.facts.cpu.online = "2-3"
        world.site = { maps = { ["compute-2"] = { bridge = { br0 = "br-b" }, cpu = { ["0-1"] = "2-3" },
            path = { ["/var/lib/nova"] = "/srv/nova" } } } }
    end
    sees(check.network, "52:54:00:1a:2b:3c: bridge br-b there, too, MTU 1500, by eth1", mapped)
    sees(check.pins_exist, "CPUs 2-3 of 2-3 there", mapped)
    local _, _, run = fakes.ask({ run = function() end }, mapped)
    local document = destination.document(run)
    t.equal(document:get("devices/disk/source/@file"), "/srv/nova/instances/instance-00000001/disk")
    t.equal(document:get("devices/interface/source/@bridge"), "br-b")
    t.equal(run.instance:xml():get("devices/interface/source/@bridge"), "br0", "the source's own is as it "
        .. "was")
    t.equal(destination.renamed(run), { "/var/lib/nova/instances/instance-00000001/console.log → "
        .. "/srv/nova/instances/instance-00000001/console.log",
        "/var/lib/nova/instances/instance-00000001/disk → "
        .. "/srv/nova/instances/instance-00000001/disk", "0-1 → 2-3", "br0 → br-b" })
    refuses(check.nothing_is_renamed, "the site file maps "
        .. "/var/lib/nova/instances/instance-00000001/console.log → "
        .. "/srv/nova/instances/instance-00000001/console.log, "
        .. "/var/lib/nova/instances/instance-00000001/disk → "
        .. "/srv/nova/instances/instance-00000001/disk, 0-1 → 2-3, br0 → br-b for compute-2, which takes an "
        .. "XML for "
        .. "the destination: use libvirt.lua", mapped)
    sees(check.nothing_is_renamed, "the site maps nothing of it", function(world)
        world.site = { maps = { ["compute-2"] = { bridge = { other = "br-b" } } } }
    end)
end)

t.run("maps: two names that change places", function()
    local _, _, run = fakes.ask({ run = function() end }, function(world)
        with(BRIDGE .. BRIDGE:gsub("br0", "br1"))(world)
        world.site = { maps = { ["compute-2"] = { bridge = { br0 = "br1", br1 = "br0" } } } }
    end)
    t.equal(destination.document(run):find("devices/interface/source/@bridge"), { "br1", "br0" })
end)

-- ---- the list ----

t.run("one list: what a policy leaves out, it names", function()
    t.equal(#check.all_but { check.clocks_agree, check.network }, #check.all - 2)
    for _, step in ipairs(check.all_but { check.network }) do t.ok(step ~= check.network) end
end)

-- ---- TLS of the guest's memory ----

-- Both hosts with QEMU's certificates, and migrate_tls_force; openssl, as far as it is read.
local function encrypted(change)
    return function(world)
        for _, host in ipairs { world.source, world.dest } do
            host.facts.libvirt.conf.migrate_tls_force = 1
            for name, mode in pairs { ["ca-cert"] = 420, ["server-cert"] = 420, ["server-key"] = 416 } do
                local path = ("/etc/pki/qemu/%s.pem"):format(name)
                host.files[path] = { type = "file", mode = mode, uid = 0, gid = 64055 }
                host.texts[path] = name
            end
        end
        world.openssl = { names = "DNS:compute-2", over = false }
        if change then change(world) end
    end
end

local function ask_tls(change)
    local answer
    local _, refusal = fakes.ask({ run = function(run)
        run.here = { command = function(_, argv)
            if argv[4] == "-checkend" then return { status = run.openssl.over and 1 or 0 } end
            return { status = 0, out = "        Not After : Mar  1 19:41:46 2029 GMT\n        Subject: CN = "
                .. "x\n"
                .. "            X509v3 Subject Alternative Name: \n                " .. run.openssl.names
                .. "\n" }
        end }
        answer = check.memory_can_be_encrypted.run(run)
    end }, encrypted(change))
    return answer, refusal
end

t.run("memory by TLS: QEMU's own certificates", function()
    local remedy = ": migrun prepare-host.lua -p transport=tls compute-1 compute-2 puts certificates there"
    t.equal(ask_tls(), "memory encrypted by TLS, with certificates of both; compute-2's is for its name")
    local function says(text, change)
        local _, refusal = ask_tls(change)
        t.equal(refusal, text .. remedy)
    end
    says("/etc/pki/qemu/server-key.pem is not on compute-2", function(world)
        world.dest.files["/etc/pki/qemu/server-key.pem"] = nil
    end)
    says("QEMU (libvirt-qemu) may not read /etc/pki/qemu/server-key.pem on compute-2: chgrp and chmod 640 it",
        function(world) world.dest.files["/etc/pki/qemu/server-key.pem"].mode = 384 end)
    says("/etc/pki/qemu/server-cert.pem on compute-2 is not for the name compute-2",
        function(world) world.openssl.names = "DNS:other" end)
    says("/etc/pki/qemu/ca-cert.pem on compute-2 has expired on Mar  1 19:41:46 2029 GMT; "
        .. "/etc/pki/qemu/ca-cert.pem on compute-1 has expired on Mar  1 19:41:46 2029 GMT",
        function(world) world.openssl.over = true end)
    says("/etc/pki/qemu/ca-cert.pem is not on compute-1", function(world)
        world.source.files["/etc/pki/qemu/ca-cert.pem"] = nil
    end)
    not_wanted(check.memory_can_be_encrypted)
end)
