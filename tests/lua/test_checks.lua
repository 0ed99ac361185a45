-- SPDX-License-Identifier: MIT
-- The checks, over facts recorded in a lab: no host is asked. Both answers of each.
local t = require "t"
local fakes = require "fakes"
local xml = require "migrun.xml"
local check = require "migrun.check"
local listen = require "migrun.listen"
local prepare = require "migrun.prepare"

local GIB = 1 << 30
local FOLDER = "/var/lib/nova/instances/instance-00000001"
local DISK, CONSOLE = FOLDER .. "/disk", FOLDER .. "/console.log"

local sees, refuses, edit = fakes.sees, fakes.refuses, fakes.edit
local CLOSED = " (closed yet: a firewall that rejects looks the same)"

-- ---- checks ----

t.run("guest is running: yes, and since when", function()
    local hour_ago, days_ago = os.time() - 3600, os.time() - 3 * 86400
    sees(check.guest_is_running, "running since " .. os.date("%H:%M", hour_ago) .. ", no job",
        function(world) world.instance.started = hour_ago + 0.25 end)
    sees(check.guest_is_running, "running since " .. os.date("%Y-%m-%d %H:%M", days_ago) .. ", no job",
        function(world) world.instance.started = days_ago end)
    sees(check.guest_is_running, "running, no job", function(world) world.instance.started = nil end)
end)

t.run("guest is running: refused in every other state", function()
    local function in_state(state, reason)
        return function(world) world.instance.state, world.instance.reason = state, reason end
    end
    refuses(check.guest_is_running,
        "it is shut off (destroyed): only a running guest can be live-migrated; start it, or migrate it "
            .. "cold", in_state("shut off", "destroyed"))
    refuses(check.guest_is_running,
        "it is crashed (panicked): only a running guest can be live-migrated; start it, or migrate it cold",
        in_state("crashed", "panicked"))
    refuses(check.guest_is_running,
        "it is paused (I/O error): find out who paused it and why, then virsh resume instance-00000001",
        in_state("paused", "I/O error"))
    refuses(check.guest_is_running, "it is pmsuspended (unknown)", in_state("pmsuspended", "unknown"))
end)

t.run("guest is running: refused while a job runs on it", function()
    refuses(check.guest_is_running,
        "a job runs on it already (outgoing migration): wait for its end (virsh domjobinfo "
        .. "instance-00000001)",
        function(world) world.instance.job = { type = "unbounded", operation = "outgoing migration" } end)
end)

t.run("destination is another host", function()
    sees(check.destination_is_another_host, "compute-2: libvirt 9.0.0, QEMU 7.2.22")
    local same = "compute-1 and compute-2 are the same machine (machine id "
        .. "cd8a74f1496f9a9c16af4bc10fc1d84b), or one was cloned from the other with its id: give each its "
        .. "own (systemd-machine-id-setup)"
    refuses(check.destination_is_another_host, same, function(world)
        world.dest.facts.machine_id = world.source.facts.machine_id
    end)
    refuses(check.destination_is_another_host, same, function(world)
        world.dest.facts.machine_id, world.dest.facts.boot_id = world.source.facts.machine_id,
            world.source.facts.boot_id
    end)
    local _, refusal = fakes.ask(check.destination_is_another_host, function(world)
        world.dest.facts.boot_id = world.source.facts.boot_id
    end)
    t.match(refusal, "^compute%-1 and compute%-2 are the same machine")
end)

t.run("hosts reach each other: what is asked, by libvirt's URI and qemu.conf", function()
    local seen = "compute-1 → compute-2:%d, %d-%d" .. CLOSED .. " · compute-2 → compute-1"
    local function with_uri(uri)
        return function(world)
            world.dest.settings.libvirt.uri, world.source.settings.libvirt.uri = uri, uri
        end
    end
    sees(check.hosts_reach_each_other, seen:format(16509, 49152, 49215))
    for uri, port in pairs {
        ["qemu+tcp://%s/system"] = 16509, ["qemu+tls://%s/system"] = 16514, ["qemu://%s/system"] = 16514,
        ["qemu+ssh://root@%s/system"] = 22,
        ["qemu+ssh://root@%s:2222/system"] = 2222, ["qemu+tcp://%s:16999/system"] = 16999,
        ["qemu+tcp://%s:16999"] = 16999,
        ["qemu+tcp://[2001:db8::12]/system"] = 16509, ["qemu+tcp://[2001:db8::12]:16999/system"] = 16999,
    } do
        local text, refusal, run = fakes.ask(check.hosts_reach_each_other, with_uri(uri))
        t.equal(text or refusal, seen:format(port, 49152, 49215), uri)
        t.equal(run.source.done, { { "reach", "compute-2", { port, 49152, 49215 } } }, uri)
        t.equal(run.dest.done, { { "reach", "compute-1", { port, 49152, 49215 } } }, uri)
    end
    local other = "compute-1 → compute-2:16509, 50000-50010 · compute-2 → compute-1"
    sees(check.hosts_reach_each_other, other, function(world)
        world.dest.facts.libvirt.conf.migration_port_min,
            world.dest.facts.libvirt.conf.migration_port_max = 50000, 50010
    end)
end)

t.run("hosts reach each other: a login that there is has to let in", function()
    local function set_up(uri, filled)
        return function(world)
            world.dest.settings.libvirt.uri = uri
            world.source.refusals = { [filled] = "Host key verification failed." }
        end
    end
    refuses(check.hosts_reach_each_other, "root on compute-1, as whom libvirt there logs in, is not let in "
        .. "by "
        .. "compute-2 (qemu+ssh://root@compute-2/system: Host key verification failed.): see it as root on "
        .. "compute-1 (ssh root@compute-2 true), or let migrun prepare-host.lua compute-1 compute-2 set a "
        .. "way up",
        set_up("qemu+ssh://root@%s/system", "qemu+ssh://root@compute-2/system"))
    local text = fakes.ask(check.hosts_reach_each_other, set_up("qemu+ssh://%s/system?keyfile=/x",
        "qemu+ssh://compute-2/system?keyfile=/x"))
    t.ok(text, "a URI that names files is the site's own")
end)

t.run("hosts reach each other: refused where something is in between", function()
    refuses(check.hosts_reach_each_other,
        "compute-1 cannot reach libvirtd on compute-2:16509 (Connection refused): is it listening there, "
            .. "and does a firewall let it through?",
        function(world) world.lab.reach.ports[16509] = { open = false, error = "Connection refused",
            ms = 1 } end)
    for _, port in ipairs { 49152, 49215 } do
        refuses(check.hosts_reach_each_other,
            ("compute-1 cannot reach compute-2:%d (Connection timed out): migrations arrive on ports "
            .. "49152-49215, which a firewall should let through"):format(port),
            function(world) world.lab.reach.ports[port] = { open = false, error = "Connection timed out",
                ms = 5000 } end)
    end
    local _, _, run = fakes.ask(check.hosts_reach_each_other, function(world)
        world.dest.reach = function() return world.lab.unreachable end
    end)
    t.equal(run.warnings[2], "the way back is closed: compute-2 cannot reach compute-1:16509 (Network is "
        .. "unreachable)")
end)

t.run("hosts reach each other: the source's libvirtd need not listen", function()
    sees(check.hosts_reach_each_other, "compute-1 → compute-2:16509, 49152-49215" .. CLOSED .. " · compute-2 "
        .. "→ compute-1",
        function(world)
        world.dest.reach = function(ports)
            local answer = { address = "10.89.0.11", ports = {} }
            for _, port in ipairs(ports) do
                answer.ports[port] = { open = false, error = "Connection refused", ms = 1 }
            end
            return answer
        end
    end)
end)

t.run("guest is not there yet", function()
    local function there(change)
        return function(world)
            local domain = fakes.copy(world.source.facts.libvirt.domains[1])
            change(domain)
            table.insert(world.dest.facts.libvirt.domains, domain)
        end
    end
    sees(check.guest_is_not_on_destination, "neither running nor defined on compute-2")
    refuses(check.guest_is_not_on_destination,
        "instance-00000001 is defined on compute-2, shut off: when nothing else needs it, "
        .. "remove it there with virsh undefine --keep-nvram 86586fce-b10a-0fc5-c713-67c64d50a7bf",
        there(function(domain) domain.state = "shut off" end))
    refuses(check.guest_is_not_on_destination,
        "instance-00000001 is running on compute-2: find out which one is real before anything else",
        there(function() end))
    refuses(check.guest_is_not_on_destination,
        "instance-00000001 is running on compute-2: find out which one is real before anything else",
        there(function(domain) domain.name = "renamed" end))
    refuses(check.guest_is_not_on_destination,
        "a migration of instance-00000001 to compute-2 is still running: wait for its end (virsh domjobinfo "
        .. "instance-00000001 on compute-1), or end the run that began it (migrun recover)",
        there(function(domain) domain.state, domain.reason = "paused", "migrating" end))
    refuses(check.guest_is_not_on_destination,
        "another guest of the name instance-00000001 (d07dc549-f06c-9e32-a337-16553dfbcf4b) is paused on "
        .. "compute-2, and libvirt accepts no second one: rename one of them (virsh domrename, shut off)",
        there(function(domain)
            domain.uuid, domain.state = "d07dc549-f06c-9e32-a337-16553dfbcf4b", "paused"
        end))
    refuses(check.guest_is_not_on_destination,
        "a QEMU of it (pid 374) runs on compute-2 though libvirtd does not know it: find out why before "
            .. "anything else",
        function(world) world.dest.facts.guests[1].uuid = world.instance.uuid end)
    sees(check.guest_is_not_on_destination, "neither running nor defined on compute-2", function(world)
        world.dest.facts.guests = nil
    end)
end)

t.run("cpu is compatible: libvirt on the destination compares a named model", function()
    local text, _, run = fakes.ask(check.cpu_is_compatible)
    t.equal(text, "guest's qemu64 runs on compute-2")
    local asked = run.dest.done[1]
    t.match(asked[2], "^<cpu .*<model fallback='forbid'>qemu64</model>.*</cpu>$")
    t.equal({ table.unpack(asked, 3) }, { "/usr/bin/qemu-system-x86_64", "x86_64", "pc-q35-7.2", "qemu" })
    sees(check.cpu_is_compatible, "guest's qemu64 runs on compute-2", function(world)
        world.dest.cpu = { result = "identical", message = "" }
    end)
    refuses(check.cpu_is_compatible,
        "guest's qemu64 does not run on compute-2: the CPU is incompatible with host CPU: Host CPU does "
        .. "not provide required features: vme, pcid, invpcid, rdseed",
        function(world) world.dest.cpu = world.lab.cpu_incompatible end)
end)

t.run("cpu is compatible: a guest with its host's own CPU, or with none", function()
    local function own(mode)
        return function(world)
            edit(world, "mode='custom'", ("mode='%s'"):format(mode))
            edit(world, "<model fallback='forbid'>qemu64</model>", "")
        end
    end
    local function on_kvm(mode)
        return function(world)
            own(mode)(world)
            edit(world, "<domain type='qemu'", "<domain type='kvm'")
        end
    end
    for _, mode in ipairs { "host-passthrough", "maximum" } do
        local text, _, run = fakes.ask(check.cpu_is_compatible, on_kvm(mode))
        t.equal(text, ("guest has its host's own CPU (%s); compute-2 has every feature of it that guests see")
            :format(mode))
        t.match(run.dest.done[1][2], "^<cpu mode='custom' match='exact'>.*<model", "the source's host-model")
        refuses(check.cpu_is_compatible, ("the guest has the CPU of compute-1 itself (%s), and compute-2 has "
            .. "not "
            .. "all of it: %s"):format(mode, fakes.world().lab.cpu_incompatible.message), function(world)
            on_kvm(mode)(world)
            world.dest.cpu = world.lab.cpu_incompatible
        end)
        -- What Linux makes up for /proc/cpuinfo is no feature that a guest sees.
        sees(check.cpu_is_compatible, ("guest has its host's own CPU (%s); compute-2 has every feature of it "
            .. "that "
            .. "guests see"):format(mode), function(world)
            on_kvm(mode)(world)
            table.insert(world.source.facts.cpu.flags, "constant_tsc")
        end)
        sees(check.cpu_is_compatible, ("guest has QEMU's own CPU (%s, emulated), whatever the host's is")
            :format(mode), function(world)
            own(mode)(world)
            world.dest.cpu = world.lab.cpu_incompatible
        end)
    end
    refuses(check.cpu_is_compatible, "the guest has the CPU of compute-1 itself (host-passthrough, "
        .. "AuthenticAMD), "
        .. "and compute-2 has one of GenuineIntel", function(world)
        on_kvm("host-passthrough")(world)
        world.source.facts.cpu.vendor, world.dest.facts.cpu.vendor = "AuthenticAMD", "GenuineIntel"
    end)
    refuses(check.cpu_is_compatible, "what guests can see of the CPU of compute-1 is not known: its libvirt "
        .. "has no "
        .. "host-model", function(world)
        on_kvm("maximum")(world)
        world.source.capabilities = function() return xml.parse("<domainCapabilities/>") end
    end)
    sees(check.cpu_is_compatible, "guest names no CPU: QEMU's own runs on compute-2", function(world)
        world.xml = world.xml:gsub("<cpu .-</cpu>", "")
    end)
end)

t.run("memory fits: free memory", function()
    sees(check.memory_fits, "needs 256 MiB, 22.3 GiB free on compute-2")
    sees(check.memory_fits, "needs 256 MiB, 256 MiB free on compute-2", function(world)
        world.dest.facts.memory.available = 256 << 20
    end)
    refuses(check.memory_fits, "needs 32.0 GiB, 22.3 GiB available of 23.5 GiB on compute-2",
        function(world) world.instance.max_memory = 32 * GIB end)
    refuses(check.memory_fits, "needs 256 MiB, 255 MiB available of 23.5 GiB on compute-2",
        function(world) world.dest.facts.memory.available = (256 << 20) - 1 end)
end)

t.run("memory fits: huge pages", function()
    local function huge(free)
        return function(world)
            edit(world, "<os>", "<memoryBacking><hugepages/></memoryBacking><os>")
            world.dest.facts.memory.hugepages_free = free
        end
    end
    sees(check.memory_fits, "needs 256 MiB in huge pages of 2 MiB, 256 MiB free on compute-2", huge(128))
    refuses(check.memory_fits, "needs 256 MiB in huge pages of 2 MiB, 254 MiB free on compute-2", huge(127))
    refuses(check.memory_fits, "needs 256 MiB in huge pages of 0 MiB, 0 MiB free on compute-2",
        function(world)
        huge(0)(world)
        world.dest.facts.memory.hugepages_free, world.dest.facts.memory.hugepage_size = nil, nil
    end)
end)

t.run("listen addresses exist", function()
    sees(check.listen_addresses_exist, "vnc on 10.89.0.11 exists only on compute-1: is to become 10.89.0.12")
    sees(check.listen_addresses_exist, "none belongs to the source alone",
        function(world) world.xml = world.xml:gsub("10%.89%.0%.11", "0.0.0.0") end)
    sees(check.listen_addresses_exist, "none belongs to the source alone", function(world)
        table.insert(world.dest.facts.addresses, "10.89.0.11")
    end)
    refuses(check.listen_addresses_exist,
        "vnc on 10.89.0.11 exists only on compute-1, and compute-2 has no address that could take its place",
        function(world) world.dest.facts.addresses = { "2001:db8::12" } end)
end)

-- ---- the guest ----

t.run("no block job", function()
    sees(check.no_block_jobs, "1 disk, none is copied, committed or backed up")
    refuses(check.no_block_jobs,
        "disk vda has a block job (copy): wait for its end, or abort it (virsh blockjob instance-00000001 "
        .. "vda)",
        function(world) world.blocks[1].job = { type = "copy", cur = 1, ["end"] = 2 } end)
end)

t.run("no snapshot", function()
    sees(check.no_snapshots, "libvirt knows none")
    sees(check.no_snapshots, "libvirt knows none", function(world) world.instance.snapshots = nil end)
    local text = "libvirt knows %s of it, and moves no guest with snapshots: virsh snapshot-list "
        .. "instance-00000001; virsh snapshot-delete --metadata instance-00000001 NAME makes libvirt "
        .. "forget one and keeps its data"
    refuses(check.no_snapshots, text:format("1 snapshot"), function(world) world.instance.snapshots = 1 end)
    refuses(check.no_snapshots, text:format("2 snapshots"), function(world) world.instance.snapshots = 2 end)
end)

local function with_device(device)
    return function(world) edit(world, "<memballoon ", device .. "<memballoon ") end
end

t.run("no device of the host", function()
    sees(check.no_host_devices, "it uses none")
    local pci = "<source><address domain='0x0000' bus='0x03' slot='0x10' function='0x1'/></source>"
    local refusal = "it uses %s of compute-1, which stays there: detach it for the move (virsh "
        .. "detach-device), or pair a network card with a virtio one (<teaming type='transient'>); a site "
        .. "whose devices can migrate leaves this check out"
    for device, name in pairs {
        [("<hostdev mode='subsystem' type='pci'>%s</hostdev>"):format(pci)] = "pci 0000:03:10.1",
        [("<interface type='hostdev'>%s</interface>"):format(pci)] = "hostdev interface 0000:03:10.1",
        ["<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"] = "vdpa interface",
        ["<hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product "
            .. "id='0xc52b'/></source></hostdev>"] = "usb 0x046d:0xc52b",
        ["<hostdev mode='subsystem' type='mdev'><source><address uuid='c2177883'/></source></hostdev>"] =
            "mdev c2177883",
    } do
        refuses(check.no_host_devices, refusal:format(name), with_device(device))
    end
    refuses(check.no_host_devices, refusal:format("pci 0000:03:10.1, vdpa interface"),
        with_device(("<hostdev type='pci'>%s</hostdev><interface type='vdpa'/>"):format(pci)))
    sees(check.no_host_devices, "1, unplugged by QEMU for the move",
        with_device(("<interface type='hostdev'>%s<teaming type='transient' "
            .. "persistent='ua-backup'/></interface>"):format(pci)))
end)

t.run("its devices can move", function()
    local fine = "no transient disk, shared folder or memory, TPM of the host, or fixed image"
    sees(check.devices_can_move, fine)
    sees(check.devices_can_move, fine, with_device("<shmem name='ring' role='master'/>"))
    for device, refusal in pairs {
        ["<filesystem type='mount'><driver type='virtiofs'/><target dir='data'/></filesystem>"] =
            "it has a folder of the host by virtiofs: unmount it in the guest and detach it",
        ["<shmem name='ring' role='peer'/>"] = "shared memory ring stays on the host: only one with "
            .. "role='master' goes along",
        ["<tpm model='tpm-tis'><backend type='passthrough'/></tpm>"] = "it uses the host's own TPM, which "
            .. "stays there",
    } do
        refuses(check.devices_can_move, refusal, with_device(device))
    end
    refuses(check.devices_can_move, "disk vda is transient: what the guest wrote to it would be lost",
        function(world) edit(world, "<backingStore/>", "<transient/>") end)
    for _, format in ipairs { "vmdk", "vdi", "vpc", "vhdx", "qcow" } do
        refuses(check.devices_can_move,
            ("disk vda is a %s image, which QEMU cannot hand over: convert it (qemu-img convert -O qcow2)")
            :format(format),
            function(world) edit(world, "type='raw'", ("type='%s'"):format(format)) end)
    end
    refuses(check.devices_can_move, "its memory is sealed to the host's processor (launchSecurity sev)",
        function(world) edit(world, "<clock ", "<launchSecurity type='sev'/><clock ") end)
    refuses(check.devices_can_move,
        "its CPU has invtsc and its clock no frequency: add <timer name='tsc' frequency='…'/>, or take "
        .. "invtsc away",
        function(world) edit(world, "</cpu>", "<feature policy='require' name='invtsc'/></cpu>") end)
    sees(check.devices_can_move, fine, function(world)
        edit(world, "</cpu>", "<feature policy='require' name='invtsc'/></cpu>")
        edit(world, "<clock offset='utc'/>",
            "<clock offset='utc'><timer name='tsc' frequency='2400000000'/></clock>")
    end)
    sees(check.devices_can_move, fine, function(world)
        edit(world, "</cpu>", "<feature policy='disable' name='invtsc'/></cpu>")
    end)
end)

t.run("its devices can move: all that cannot is said at once; 9p is a warning", function()
    refuses(check.devices_can_move,
        "disk vda is transient: what the guest wrote to it would be lost; it uses the host's own TPM, "
        .. "which stays there",
        function(world)
            edit(world, "<backingStore/>", "<transient/>")
            with_device("<tpm><backend type='passthrough'/></tpm>")(world)
        end)
    local text, _, run = fakes.ask(check.devices_can_move,
        with_device("<filesystem type='mount'><target dir='data'/></filesystem>"))
    t.ok(text)
    t.equal(run.warnings, { "the guest must not have data (9p) mounted: QEMU moves no guest that has" })
end)

t.run("what goes along", function()
    sees(check.what_goes_along, "its definition")
    sees(check.what_goes_along, "no definition: it is transient, and libvirt forgets it when it stops",
        function(world) world.instance.persistent = false end)
    sees(check.what_goes_along, "its definition; autostart, which migrun sets on compute-2 after the move",
        function(world) world.instance.autostart = true end)
    sees(check.what_goes_along,
        "its definition; definition and running guest differ: its next start there takes the definition",
        function(world) world.instance.updated = true end)
    local function nvram(world)
        edit(world, "<boot dev='hd'/>", "<nvram>/var/lib/libvirt/qemu/nvram/x</nvram>")
    end
    sees(check.what_goes_along,
        "its definition; what its NVRAM holds goes along, into a new file on compute-2; "
        .. "/var/lib/libvirt/qemu/nvram/x stays on compute-1", nvram)
    sees(check.what_goes_along, "its definition; NVRAM is on both hosts (/var/lib/libvirt/qemu/nvram/x)",
        function(world)
        nvram(world)
        world.dest.facts.storage["/var/lib/libvirt/qemu/nvram/x"] = { type = "file" }
    end)
end)

-- ---- the hosts ----

t.run("hosts reach each other: by the name that the destination's libvirtd gives to the source", function()
    local function named(world) world.dest.facts.libvirt.hostname = "compute-2.example" end
    local text, _, run = fakes.ask(check.hosts_reach_each_other, named)
    t.ok(text)
    t.equal(run.source.done,
        { { "reach", "compute-2", { 16509, 49152, 49215 } },
        { "reach", "compute-2.example", { 49152, 49215 } } })
    refuses(check.hosts_reach_each_other,
        "compute-1 cannot reach compute-2.example:49152 (No route to host): migrations arrive on ports "
        .. "49152-49215, which a firewall should let through", function(world)
        named(world)
        local reach = world.source.reach
        world.source.reach = function(ports, name)
            if name ~= "compute-2.example" then return reach(ports) end
            return { address = "10.99.0.12",
                ports = { [49152] = { open = false, error = "No route to host" },
                [49215] = { open = true } } }
        end
    end)
    refuses(check.hosts_reach_each_other,
        "libvirtd on compute-2 calls itself localhost.localdomain, and compute-1 would be told to send the "
        .. "guest there: give its own address a line with its name in /etc/hosts",
        function(world) world.dest.facts.libvirt.hostname = "localhost.localdomain" end)
    text, _, run = fakes.ask(check.hosts_reach_each_other, function(world)
        named(world)
        world.dest.facts.libvirt.conf.migration_host = "migration-2"
    end)
    t.ok(text)
    t.equal(run.source.done[2], { "reach", "migration-2", { 49152, 49215 } })
end)

t.run("hosts reach each other: a name that leads back", function()
    for _, address in ipairs { "127.0.1.1", "::1", "10.89.0.11" } do
        refuses(check.hosts_reach_each_other,
            ("compute-2 is %s for compute-1, which is compute-1 itself: put its true address into "
            .. "/etc/hosts there, or into the name server"):format(address), function(world)
            world.source.reach = function(ports)
                local answer = { address = address, ports = {} }
                for _, port in ipairs(ports) do answer.ports[port] = { open = true } end
                return answer
            end
        end)
    end
end)

t.run("hosts reach each other: the way back has the migration ports too", function()
    local text, _, run = fakes.ask(check.hosts_reach_each_other, function(world)
        world.dest.reach = function(ports)
            local answer = { address = "10.89.0.11", ports = {} }
            for _, port in ipairs(ports) do
                answer.ports[port] = { open = port == 16509, error = "Connection timed out" }
            end
            return answer
        end
    end)
    t.ok(text)
    t.equal(run.warnings[2], "the way back is closed: compute-2 cannot reach compute-1:49152 (Connection "
        .. "timed "
        .. "out): migrations arrive on ports 49152-49215, which a firewall should let through")
end)

t.run("same QEMU user: by the package's user", function()
    sees(check.same_qemu_user, "libvirt-qemu:libvirt-qemu (64055:64055) on both hosts")
    local refusal = "QEMU is libvirt-qemu:libvirt-qemu (64055:64055) on compute-1 and "
        .. "libvirt-qemu:libvirt-qemu (%s) on compute-2: give user and group the same numbers on both "
        .. "(usermod -u, groupmod -g), or the guest's files belong to somebody else on one of them"
    refuses(check.same_qemu_user, refusal:format("64056:64055"), function(world)
        world.dest.facts.users["libvirt-qemu"].uid = 64056
    end)
    refuses(check.same_qemu_user, refusal:format("64055:64056"), function(world)
        world.dest.facts.groups["libvirt-qemu"] = 64056
    end)
end)

t.run("same QEMU user: by qemu.conf, and by the guest's own label", function()
    local function both(change)
        return function(world) change(world.source.facts); change(world.dest.facts) end
    end
    sees(check.same_qemu_user, "root:kvm (0:107) on both hosts",
        both(function(facts) facts.libvirt.conf.user, facts.libvirt.conf.group = "root", "kvm" end))
    sees(check.same_qemu_user, "+64055:107 (64055:107) on both hosts",
        both(function(facts) facts.libvirt.conf.user, facts.libvirt.conf.group = "+64055", 107 end))
    refuses(check.same_qemu_user,
        "QEMU is root:libvirt-qemu (0:64055) on compute-1 and libvirt-qemu:libvirt-qemu (64055:64055) on "
        .. "compute-2: give user and group the same numbers on both (usermod -u, groupmod -g), or the "
        .. "guest's files belong to somebody else on one of them",
        function(world) world.source.facts.libvirt.conf.user = "root" end)
    refuses(check.same_qemu_user,
        "QEMU is nobody:libvirt-qemu (unknown:64055) on compute-1 and nobody:libvirt-qemu (unknown:64055) "
        .. "on compute-2: give user and group the same numbers on both (usermod -u, groupmod -g), or "
        .. "the guest's files belong to somebody else on one of them",
        both(function(facts) facts.libvirt.conf.user = "nobody" end))
    sees(check.same_qemu_user, "+1000:+1000 (1000:1000) on both hosts", function(world)
        world.dest.facts.users["libvirt-qemu"].uid = 64056
        edit(world, "</domain>",
            "<seclabel type='static' model='dac'><label>+1000:+1000</label></seclabel></domain>")
    end)
end)

t.run("clocks agree: the way of the question is taken into account", function()
    sees(check.clocks_agree, "at most 0.38 s apart")
    local function ahead(seconds)
        return function(world)
            world.dest.facts.time, world.dest.facts.told = world.dest.facts.time + seconds,
                world.dest.facts.told + seconds
        end
    end
    sees(check.clocks_agree, "at most 1.00 s apart", ahead(0.625))
    sees(check.clocks_agree, "at most 1.70 s apart", ahead(1.325)) -- cannot be told from 0.95 s
    local refusal = "the clocks of compute-1 and compute-2 are at least %s s apart, and the guest's would "
        .. "jump by it: check NTP on both (timedatectl)"
    refuses(check.clocks_agree, refusal:format("1.1"), ahead(1.475))
    refuses(check.clocks_agree, refusal:format("3599.6"), ahead(3600))
    refuses(check.clocks_agree, refusal:format("3599.6"), ahead(-3600))
end)

t.run("transport is guarded: a warning, never a refusal", function()
    local plain = "the guest's memory goes from compute-1 to compute-2 unencrypted, unless the migration "
        .. "has the flag TLS: migrun prepare-host.lua -p transport=tls compute-1 compute-2"
    local text, _, run = fakes.ask(check.transport_is_guarded)
    t.equal({ text, run.warnings }, { "memory unencrypted without the flag TLS", { plain } })
    text, _, run = fakes.ask(check.transport_is_guarded, function(world)
        world.dest.facts.libvirt.conf.migrate_tls_force = 1
    end)
    t.equal({ text, run.warnings }, { "memory encrypted by TLS (migrate_tls_force)", {} })
end)

t.run("hosts reach each other: who lets in anyone is told in one line, with what mends it", function()
    local function warnings(change)
        local _, _, run = fakes.ask(check.hosts_reach_each_other, change)
        return run.warnings
    end
    local open = "libvirtd on %s lets in anyone who reaches its TCP port, as root (auth_tcp = \"none\"): "
        .. "migrun prepare-host.lua compute-1 compute-2"
    t.equal(warnings(), { open:format("compute-1 and compute-2") })
    t.equal(warnings(function(world) world.source.facts.libvirt.conf.auth_tcp = "sasl" end),
        { open:format("compute-2") })
    t.equal(warnings(function(world)
        for _, host in ipairs { world.source, world.dest } do host.facts.libvirt.conf.auth_tcp = nil end
    end), {})
end)

-- ---- the machine ----

t.run("machine exists there", function()
    sees(check.machine_exists, "pc-q35-7.2 of /usr/bin/qemu-system-x86_64 on compute-2", function(world)
        world.dest.capabilities = function() return xml.parse("<domainCapabilities/>") end
    end)
    local text, _, run = fakes.ask(check.machine_exists)
    t.equal(text, "pc-q35-7.2 of /usr/bin/qemu-system-x86_64 on compute-2, up to 288 vCPUs")
    t.equal(run.dest.done,
        { { "domain_capabilities", "/usr/bin/qemu-system-x86_64", "x86_64", "pc-q35-7.2", "qemu" } })
    t.equal(run.warnings, {})
    refuses(check.machine_exists,
        "the machine 'pc-q35-7.2' is not supported by emulator '/usr/bin/qemu-system-x86_64'", function(world)
        world.dest.capabilities = function()
            error({ domain = "libvirt", message = "the machine 'pc-q35-7.2' is not supported by emulator "
                .. "'/usr/bin/qemu-system-x86_64'" }, 0)
        end
    end)
    refuses(check.machine_exists, "it has up to 289 vCPUs, and pc-q35-7.2 on compute-2 takes 288 at most",
        function(world) edit(world, "<vcpu placement='static'>1<", "<vcpu placement='static' "
            .. "current='1'>289<") end)
    t.raises(function()
        fakes.ask(check.machine_exists, function(world)
            world.dest.capabilities = function() error({ domain = "interrupted", message = "^C" }, 0) end
        end)
    end)
end)

t.run("machine exists there: an older QEMU is a warning", function()
    local _, _, run = fakes.ask(check.machine_exists, function(world)
        world.dest.facts.libvirt.hypervisor = "7.1.99"
    end)
    t.equal(run.warnings,
        { "QEMU on compute-2 (7.1.99) is older than on compute-1 (7.2.22): QEMU supports migration only "
          .. "to the same or a newer version" })
    _, _, run = fakes.ask(check.machine_exists, function(world)
        world.dest.facts.libvirt.hypervisor = "10.0.0"
    end)
    t.equal(run.warnings, {})
end)

local STATUS = "/run/libvirt/qemu/instance-00000001.xml"
local function status_with(address)
    return function(world)
        world.source.texts[STATUS] = (
            "<domstatus state='running'><domain "
            .. "type='kvm'><name>instance-00000001</name><devices><graphics type='vnc' listen='%s'><listen "
            .. "type='address' address='%s'/></graphics></devices></domain></domstatus>")
            :format(address, address)
    end
end

t.run("status XML listens here", function()
    for _, address in ipairs { "10.89.0.11", "0.0.0.0", "127.0.0.1" } do
        sees(check.status_listens_at_source, ("no address in %s is compute-2's alone"):format(STATUS),
            status_with(address))
    end
    local refusal = "vnc would listen on 10.89.0.12, which only compute-2 has: after a move that fails the "
        .. "guest could not start on compute-1 again; use 0.0.0.0 (:: for IPv6)"
    refuses(check.status_listens_at_source, refusal, status_with("10.89.0.12"))
    local run = fakes.fake_run(fakes.world())
    local ok, err = pcall(listen.refuse_destination, run,
        xml.parse("<domain><devices><graphics type='vnc' listen='10.89.0.12'/></devices></domain>"))
    t.equal({ ok, err.message }, { false, refusal }, "a domain's XML")
end)

-- ---- storage ----

local ONE_FILE = "vda: one file on both, inode 332, 64 MiB, last changed %s, on fuse.glusterfs /srv/instances"
local SEEN = ONE_FILE:format(os.date("%H:%M:%S", 1795547800) .. ".999178")
local READ_ONLY = "; 2 read-only files there too"

local function look(changes)
    local seen = fakes.copy((require "facts.lab").storage[DISK])
    for key, value in pairs(changes or {}) do seen[key] = value end
    return seen
end

t.run("same disks: both hosts see the same state of the same file", function()
    local text, _, run = fakes.ask(check.same_storage)
    t.equal(text, SEEN .. READ_ONLY)
    t.equal({ run.source.done, run.dest.done }, { {}, {} }, "nothing is asked but the facts")
    sees(check.same_storage, (SEEN:gsub("332", "9")) .. READ_ONLY, function(world)
        world.dest.facts.storage[DISK].inode = 9
    end)
end)

t.run("same disks: a path that the facts do not have is asked", function()
    local text, _, run = fakes.ask(check.same_storage, function(world)
        world.source.looks, world.dest.looks = { look() }, { look() }
        world.source.facts.storage[DISK], world.dest.facts.storage[DISK] = nil, nil
    end)
    t.equal(text, SEEN .. READ_ONLY)
    t.equal(run.source.done, { { "storage", DISK } })
end)

local S = 1000000000
local T = 1795547801 * S

t.run("same disks: the guest writes between the looks, and then the states are equal", function()
    local text, _, run = fakes.ask(check.same_storage, function(world)
        world.dest.facts.storage[DISK] = look { ctime = T + 1, mtime = T + 1 }
        world.source.looks = { look { ctime = T + 5, mtime = T + 5 }, look { ctime = T + 9, mtime = T + 9 } }
        world.dest.looks = { look { ctime = T + 9, mtime = T + 9 } }
    end)
    t.equal(text, SEEN .. READ_ONLY)
    t.equal(#run.dest.done, 1)
end)

t.run("same disks: the guest writes without pause", function()
    local function between(inode)
        return function(world)
            world.dest.facts.storage[DISK] = look { ctime = T + 1, inode = inode }
            world.source.looks = { look { ctime = T + 5 }, look { ctime = T + 9 }, look { ctime = T + 15 },
                look { ctime = T + 19 } }
            world.dest.looks = { look { ctime = T + 7, inode = inode },
                look { ctime = T + 17, inode = inode } }
        end
    end
    local text, _, run = fakes.ask(check.same_storage, between(332))
    t.ok(text)
    t.equal(#run.dest.done, 1)
    text, _, run = fakes.ask(check.same_storage, between(9))
    t.ok(text)
    t.equal(#run.dest.done, 2, "other inodes: twice")
    t.equal(run.source.done[3], { "storage", DISK, 1 }, "the second time after a second")
end)

t.run("same disks: a destination that sees a write only later", function()
    local text, _, run = fakes.ask(check.same_storage, function(world)
        world.source.facts.storage[DISK] = look { ctime = T + 5, mtime = T + 5 }
        world.dest.looks = { look(), look { ctime = T + 5, mtime = T + 5 } }
    end)
    t.ok(text)
    t.equal(#run.dest.done, 2)
end)

t.run("same disks: another file of the same name, and how it differs", function()
    local prefix = "vda: " .. DISK .. " is another file on compute-2: "
    local here, there = os.date("%H:%M:%S", 1795547800) .. ".999178", os.date("%H:%M:%S", 1795547800)
        .. ".000000"
    for changes, difference in pairs {
        [{ size = 1024 }] = "1024 bytes there, 67108864 bytes on compute-1",
        [{ ctime = 1795547800 * S }] = ("last changed %s there, %s on compute-1"):format(there, here),
        [{ ctime = 1795547800 * S, inode = 9 }] = (
            "inode 9 there, inode 332 on compute-1, last changed %s there, last changed %s on compute-1")
            :format(there, here),
        [{ mtime = 1, ctime = 1795547800 * S, fstype = "ext4", source = "/dev/vda1" }] = (
            "last changed %s there, last changed %s on compute-1, on ext4 "
            .. "/dev/vda1 there, on fuse.glusterfs /srv/instances on compute-1"):format(there, here),
    } do
        refuses(check.same_storage, prefix .. difference:gsub("there, (%d+:)", "there, last changed %1"),
            function(world) world.dest.facts.storage[DISK] = look(changes) end)
    end
end)

t.run("same disks: equal whole seconds and sizes prove nothing where the inodes differ", function()
    local text, refusal = fakes.ask(check.same_storage, function(world)
        for _, host in ipairs { world.source, world.dest } do
            host.facts.storage[DISK] = look { ctime = T, mtime = T }
        end
        world.dest.facts.storage[DISK].inode = 9
    end)
    t.equal({ text, refusal },
        { nil, "vda: " .. DISK .. " is another file on compute-2: inode 9 there, inode 332 on compute-1" })
end)

t.run("same disks: not there, not here, or something else", function()
    refuses(check.same_storage, "vda: " .. DISK .. " is not on compute-2: is its storage mounted there?",
        function(world) world.dest.facts.storage[DISK] = nil end)
    refuses(check.same_storage, "vda: " .. DISK .. " cannot be seen on compute-1, where the guest uses it",
        function(world) world.source.facts.storage[DISK] = nil end)
    refuses(check.same_storage, "vda: " .. DISK .. " is a file on compute-1 and a directory on compute-2",
        function(world) world.dest.facts.storage[DISK].type = "directory" end)
end)

t.run("same disks: what is only read must be there, as long", function()
    refuses(check.same_storage, "/srv/guest/initrd.gz is not on compute-2: is its storage mounted there?",
        function(world) world.dest.facts.storage["/srv/guest/initrd.gz"] = nil end)
    refuses(check.same_storage,
        "/srv/guest/vmlinuz is another file on compute-2: 1 bytes there, 14186432 on compute-1",
        function(world) world.dest.facts.storage["/srv/guest/vmlinuz"].size = 1 end)
    sees(check.same_storage, SEEN .. READ_ONLY, function(world)
        world.dest.facts.storage["/srv/guest/vmlinuz"].inode = 1
    end)
    refuses(check.same_storage,
        "/base is not on compute-2: is its storage mounted there?; /base/of/base is not on compute-2: is "
        .. "its storage mounted there?",
        function(world)
            edit(world, "<backingStore/>",
                "<backingStore type='file'><source file='/base'/><backingStore type='file'><source "
                .. "file='/base/of/base'/></backingStore></backingStore>")
            world.source.facts.storage["/base"], world.source.facts.storage["/base/of/base"] = look(), look()
        end)
    local function cdrom(world)
        edit(world, "<disk ",
            "<disk type='file' device='cdrom'><source file='/iso'/><target "
            .. "dev='sda'/><readonly/></disk><disk type='file' device='cdrom'><target "
            .. "dev='sdb'/><readonly/></disk><disk ")
        world.source.facts.storage["/iso"] = look { inode = 1 }
    end
    refuses(check.same_storage, "/iso is not on compute-2: is its storage mounted there?; take the medium "
        .. "out for "
        .. "the move: virsh change-media instance-00000001 sda --eject", cdrom)
    sees(check.same_storage, SEEN .. "; 3 read-only files there too", function(world)
        cdrom(world)
        world.dest.facts.storage["/iso"] = look { ctime = 1 }
    end)
end)

-- Block devices, iSCSI, RBD, NFS and Gluster are not in the lab: what hosts would say of them, made up for
-- these tests.

local DEVICE = "/dev/disk/by-path/lun-1"
local function device(here, there)
    return function(world)
        edit(world, "<disk ", ("<disk type='block'><source dev='%s'/><target dev='vdb'/></disk><disk ")
            :format(DEVICE))
        world.source.facts.storage[DEVICE] = { type = "block", size = 10 * GIB, ids = here }
        world.dest.facts.storage[DEVICE] = { type = "block", size = 10 * GIB, ids = there }
    end
end

t.run("same disks: block devices, by what identifies them (made-up facts)", function()
    sees(check.same_storage, "vdb: one device on both, wwid:naa.6001405, 10.0 GiB; " .. SEEN .. READ_ONLY,
        device({ "by-id:scsi-36001405", "wwid:naa.6001405" }, { "wwid:naa.6001405" }))
    refuses(check.same_storage,
        ("vdb: %s is another device on compute-2: wwid:naa.2 there, wwid:naa.1 on compute-1"):format(DEVICE),
        device({ "wwid:naa.1" }, { "wwid:naa.2" }))
    refuses(check.same_storage,
        ("vdb: it cannot be told whether %s is the same device on compute-2: it has no WWN, serial or "
        .. "device-mapper uuid on compute-2 (a loop device, DRBD)")
        :format(DEVICE), device({ "wwid:naa.1" }, {}))
    refuses(check.same_storage,
        ("vdb: it cannot be told whether %s is the same device on compute-2: it has no WWN, serial or "
        .. "device-mapper uuid on compute-1 (a loop device, DRBD)")
        :format(DEVICE), device({}, {}))
    refuses(check.same_storage,
        ("vdb: %s (dm:LVM-x) has 10737418240 bytes on compute-1 and 5 on compute-2: rescan it on the "
          .. "host that has the old size"):format(DEVICE),
        function(world)
            device({ "dm:LVM-x" }, { "dm:LVM-x" })(world)
            world.dest.facts.storage[DEVICE].size = 5
        end)
end)

local function network(disk, reach)
    return function(world)
        edit(world, "<disk ", ("<disk type='network'>%s<target dev='vdb'/></disk><disk "):format(disk))
        local ask = world.dest.reach
        world.dest.reach = function(ports, name)
            return name == "compute-1" and ask(ports) or reach(ports, name)
        end
    end
end
local function answers(port) return { ports = { [port] = { open = true, ms = 1 } } } end
local function refused(port)
    return { ports = { [port] = { open = false, error = "Connection refused", ms = 1 } } }
end

t.run("same disks: network disks, whose servers answer there (made-up facts)", function()
    for disk, seen in pairs {
        ["<source protocol='rbd' name='vms/x'><host name='mon-1' port='3300'/></source>"] =
            "vdb: rbd vms/x, mon-1:3300 answers compute-2; ",
        ["<source protocol='rbd' name='vms/x'><host name='mon-1'/></source>"] =
            "vdb: rbd vms/x, mon-1:6789 answers compute-2; ",
        ["<source protocol='iscsi' name='iqn.2026-11.example:x/1'><host name='store'/></source>"] =
            "vdb: iscsi iqn.2026-11.example:x/1, store:3260 answers compute-2; ",
        ["<source protocol='nfs' name='/vms/x'><host name='store'/></source>"] =
            "vdb: nfs /vms/x, store:2049 answers compute-2; ",
        ["<source protocol='gluster' name='vms/x'><host name='store'/></source>"] =
            "vdb: gluster vms/x, store:24007 answers compute-2; ",
    } do
        sees(check.same_storage, seen .. SEEN .. READ_ONLY, network(disk, answers))
    end
    local monitors = "<source protocol='rbd' name='vms/x'><host name='mon-1'/><host name='mon-2'/></source>"
    sees(check.same_storage, "vdb: rbd vms/x, mon-2:6789 answers compute-2; " .. SEEN .. READ_ONLY,
        network(monitors, function(port, name) return (name == "mon-2" and answers or refused)(port) end))
    refuses(check.same_storage,
        "vdb: rbd vms/x: compute-2 reaches no server of it: mon-1:6789 (Connection refused), mon-2:6789 "
        .. "(Connection refused)",
        network(monitors, refused))
    refuses(check.same_storage,
        "vdb: iscsi x: compute-2 reaches no server of it: store:3260 (the name store does not resolve)",
        network("<source protocol='iscsi' name='x'><host name='store'/></source>",
            function() error({ domain = "host", message = "the name store does not resolve" }, 0) end))
    refuses(check.same_storage, "vdb: nbd x: its server is reached by a socket of compute-1 itself",
        network("<source protocol='nbd' name='x'><host transport='unix' socket='/run/nbd'/></source>",
            answers))
end)

t.run("same disks: RBD without monitors, by ceph.conf (made-up facts)", function()
    local CONF = "/etc/ceph/ceph.conf"
    local function ceph(here, there)
        return function(world)
            network("<source protocol='rbd' name='vms/x'/>", refused)(world)
            for host, text in pairs { [world.source] = here, [world.dest] = there } do
                host.texts[CONF], host.files[CONF] = text, { type = "file" }
            end
        end
    end
    local one, other = "[global]\nfsid = a7f6\nmon_host = 10.0.0.1\n",
        "[global]\n  fsid = b8e7\n  mon host = 10.0.0.1\n"
    sees(check.same_storage, "vdb: rbd vms/x, cluster a7f6, 10.0.0.1; " .. SEEN .. READ_ONLY, ceph(one, one))
    refuses(check.same_storage,
        "vdb: rbd vms/x: /etc/ceph/ceph.conf tells of another cluster on compute-2: b8e7, 10.0.0.1 there, "
        .. "a7f6, 10.0.0.1 on compute-1", ceph(one, other))
    refuses(check.same_storage,
        "vdb: rbd vms/x: /etc/ceph/ceph.conf is not on compute-2, and the disk names no monitor",
        ceph(one, nil))
end)

t.run("same disks: volumes of pools (made-up facts)", function()
    local function volume(here, there)
        return function(world)
            edit(world, "<disk ",
                "<disk type='volume'><source pool='p' volume='v'/><target dev='vdb'/></disk><disk ")
            world.source.volumes = function(pool, name) t.equal({ pool, name }, { "p", "v" }); return here end
            if there then world.dest.volumes = function() return there end end
        end
    end
    sees(check.same_storage, "vdb: " .. SEEN:sub(6) .. "; " .. SEEN .. READ_ONLY,
        volume({ path = DISK }, { path = DISK }))
    sees(check.same_storage, "vdb: volume v of pool p: vms/v of rbd mon-1 vms on both; " .. SEEN .. READ_ONLY,
        volume({ path = "vms/v", key = "vms/v", source = "rbd mon-1 vms" },
            { path = "vms/v", key = "vms/v", source = "rbd mon-1 vms" }))
    refuses(check.same_storage,
        "vdb: volume v of pool p is vms/v of rbd mon-2 vms on compute-2, and vms/v of rbd mon-1 vms on "
        .. "compute-1",
        volume({ path = "vms/v", key = "vms/v", source = "rbd mon-1 vms" },
            { path = "vms/v", key = "vms/v", source = "rbd mon-2 vms" }))
    refuses(check.same_storage, "vdb: volume v of pool p is not on compute-2: Storage pool not found",
        volume({ path = DISK }))
    refuses(check.same_storage, "vdb: /other is not on compute-2: is its storage mounted there?",
        volume({ path = DISK }, { path = "/other" }))
end)

t.run("same disks: what belongs to one host alone", function()
    for _, kind in ipairs { "nvme", "vhostuser", "dir" } do
        refuses(check.same_storage, ("vdb: it is compute-1's own (%s)"):format(kind), function(world)
            edit(world, "<disk ", ("<disk type='%s'><source namespace='1'/><target dev='vdb'/></disk><disk ")
                :format(kind))
        end)
    end
    sees(check.same_storage, "the guest has no disk", function(world)
        world.xml = world.xml:gsub("<disk .-</disk>", ""):gsub("<kernel>.-</kernel>", "")
            :gsub("<initrd>.-</initrd>", "")
    end)
end)

-- ---- what libvirt calls unsafe ----

local UNSAFE = ": libvirt would call the migration unsafe. Where both hosts do share the storage, -p "
    .. "i_know=unsafe passes it, or shared_filesystems in qemu.conf (libvirt 11)"
local function on(fstype)
    return function(world)
        world.source.facts.storage[DISK].fstype = fstype
        world.source.facts.mounts = { { target = "/", fstype = "ext4" },
            { target = "/var/lib/nova/instances", fstype = fstype } }
    end
end
local function with_cache(mode, libvirt, qemu)
    return function(world)
        edit(world, " cache='none'", mode and (" cache='%s'"):format(mode) or "")
        world.source.facts.libvirt.libvirt, world.source.facts.libvirt.hypervisor = libvirt, qemu
    end
end

t.run("libvirt calls it safe: by the kind of the file system", function()
    sees(check.libvirt_calls_it_safe, "vda cache='none'")
    for _, fstype in ipairs { "nfs", "nfs4", "gfs2", "ocfs2", "cifs", "ceph", "fuse.glusterfs",
        "fuse.quobyte" } do
        sees(check.libvirt_calls_it_safe, "vda cache='none'", on(fstype))
    end
    for _, fstype in ipairs { "ext4", "xfs", "tmpfs", "overlay", "fuse.sshfs", "fuse" } do
        refuses(check.libvirt_calls_it_safe,
            ("vda lies on %s (/srv/instances), which libvirt does not recognize as shared "
              .. "storage"):format(fstype)
            .. UNSAFE,
            on(fstype))
    end
end)

t.run("libvirt calls it safe: of FUSE it sees the first mount", function()
    refuses(check.libvirt_calls_it_safe,
        "vda lies on ext4 (/srv/instances), which libvirt does not recognize as shared storage" .. UNSAFE,
        function(world)
        world.source.facts.mounts = {
            { target = "/", fstype = "xfs" }, { target = "/var/lib/nova/instances", fstype = "ext4" },
            { target = "/var/lib/nova/instances", fstype = "fuse.glusterfs" },
        }
    end)
end)

t.run("libvirt calls it safe: shared_filesystems of qemu.conf", function()
    for _, folder in ipairs { "/var/lib/nova/instances", "/var/lib/nova/" } do
        sees(check.libvirt_calls_it_safe, "vda cache='none'", function(world)
            on("ext4")(world)
            world.source.facts.libvirt.conf.shared_filesystems = { "/srv", folder }
        end)
    end
    local text = fakes.ask(check.libvirt_calls_it_safe, function(world)
        on("ext4")(world)
        world.source.facts.libvirt.conf.shared_filesystems = { "/var/lib/nov" }
    end)
    t.equal(text, nil)
end)

t.run("libvirt calls it safe: cache modes, by version", function()
    for _, mode in ipairs { "writeback", "writethrough", "unsafe", "default" } do
        local given = mode ~= "default" and mode or nil
        sees(check.libvirt_calls_it_safe, ("vda cache='%s'"):format(mode),
            with_cache(given, "9.0.0", "7.2.22"))
        sees(check.libvirt_calls_it_safe, ("vda cache='%s'"):format(mode),
            with_cache(given, "5.6.0", "4.0.0"))
        for _, old in ipairs { { "5.5.0", "4.0.0" }, { "5.6.0", "3.1.0" }, { "1.3.1", "2.5.0" } } do
            refuses(check.libvirt_calls_it_safe,
                ("vda has cache='%s', which libvirt %s and QEMU %s do not flush on the way (give it "
                .. "cache='none')")
                :format(mode, old[1], old[2]) .. UNSAFE, with_cache(given, old[1], old[2]))
        end
    end
    sees(check.libvirt_calls_it_safe, "vda cache='directsync'", with_cache("directsync", "1.3.1", "2.5.0"))
    sees(check.libvirt_calls_it_safe, "vda cache='writeback'", function(world)
        with_cache("writeback", "1.3.1", "2.5.0")(world)
        on("ocfs2")(world)
    end)
    sees(check.libvirt_calls_it_safe, "vda cache='writeback'", function(world)
        with_cache("writeback", "1.3.1", "2.5.0")(world)
        edit(world, "<backingStore/>", "<shareable/>")
    end)
end)

t.run("libvirt calls it safe: what it does not ask about", function()
    sees(check.libvirt_calls_it_safe, "no disk that it asks about", function(world)
        on("ext4")(world)
        edit(world, "<backingStore/>", "<readonly/>")
        edit(world, "<disk ", "<disk type='network'><source protocol='rbd' name='x'/></disk><disk ")
    end)
    refuses(check.libvirt_calls_it_safe, "vdb is an NVMe device of compute-1" .. UNSAFE, function(world)
        edit(world, "<disk ", "<disk type='nvme'><source namespace='1'/><target dev='vdb'/></disk><disk ")
    end)
    t.equal(check.libvirt_calls_it_safe.topic, "unsafe")
end)

-- ---- a token ----

local TOKEN = FOLDER .. "/.migrun-token"

t.run("a token is seen on both hosts, and removed", function()
    local world
    local function shared(w)
        world = w
        w.dest.texts, w.dest.files = w.source.texts, w.source.files
    end
    sees(prepare.token_seen_on_both, "written on compute-1, read on compute-2, removed", shared)
    t.equal({ world.source.texts[TOKEN], world.source.files[TOKEN] }, {})
    sees(prepare.token_seen_on_both, "would be written on compute-1, read on compute-2, and removed",
        function(w) w.preview = true end)
    refuses(prepare.token_seen_on_both, TOKEN
        .. ", just written on compute-1, is not on compute-2: the folder is not shared", function() end)
    refuses(prepare.token_seen_on_both, TOKEN
        .. " holds something else on compute-2 than was just written on compute-1",
        function(w) w.dest.texts[TOKEN], w.dest.files[TOKEN] = "older\n", { type = "file" } end)
    refuses(prepare.token_seen_on_both, TOKEN
        .. " is on compute-1 already, of an earlier run: look at it, and remove it",
        function(w) w.source.files[TOKEN] = { type = "file" } end)
    refuses(prepare.token_seen_on_both, "the instance has no folder in /var/lib/nova/instances on compute-1",
        function(w) w.directory = nil end)
end)

t.run("every check is a step that policies accept, and is tested here", function()
    local text = t.read("tests/lua/test_checks.lua") .. t.read("tests/lua/test_guests.lua")
    local count = 0
    for name, step in pairs(check) do
        if name == "all" or name == "all_but" then goto continue end
        count = count + 1
        t.equal({ step.phase, type(step[1]), type(step.run) }, { "check", "string", "function" }, name)
        local hows = { transport_is_guarded = { "ask" }, what_goes_along = { "sees" },
            checkpoints_are_known = { "ask" }, memory_can_be_encrypted = {} }
        for _, how in ipairs(hows[name] or { "sees", "refuses" }) do
            t.ok(text:find(("%s(check.%s,"):format(how, name), 1, true)
                or text:find(("%s(check.%s)"):format(how, name), 1, true), name .. " " .. how)
        end
        ::continue::
    end
    t.equal(count, 29)
end)
