-- SPDX-License-Identifier: MIT
-- The library that policies are made of, over facts recorded in a lab: no host is asked.
local t = require "t"
local fakes = require "fakes"
local fake_document = require "fake_document"
local check = require "migrun.check"
local diagnose = require "migrun.diagnose"
local fixup = require "migrun.fixup"
local listen = require "migrun.listen"

local FOLDER = "/var/lib/nova/instances/instance-00000001"
local DISK, CONSOLE = FOLDER .. "/disk", FOLDER .. "/console.log"

local sees, edit = fakes.sees, fakes.edit

-- ---- fake_document: what the tests below stand on ----

t.run("fake_document answers as a Document does, and raises where it cannot", function()
    local document = fake_document.new("<d a='1'><b c='x'>one</b><b c='y&amp;z'/><e><b>two</b></e></d>")
    t.equal(document:find("b/@c"), { "x", "y&z" })
    t.equal(document:find("b"), { "one", "" })
    t.equal(document:get("@a"), "1")
    t.equal(document:get("e/b"), "two")
    t.equal(document:get("b[@c='x']"), "one")
    t.equal(#document:fragments("b[@d or @c]"), 2)
    t.equal(document:get("e[b='two']/b"), "two")
    t.equal(document:find("b[@c='x'][@d]"), {})
    t.equal(document:get("b[@c='q' or @c='y&z']/@c"), "y&z")
    t.equal(document:set("b[@c='x']/@c", "new"), 1)
    t.equal(document:fragments("b"), { "<b c='new'>one</b>", "<b c='y&z'></b>" })
    t.raises(function() document:find("//b") end, "no such XPath")
    t.raises(function() document:find("b[1]x") end, "no such XPath")
    t.raises(function() fake_document.new("<a><b></a></b>") end, "ends nothing")
end)

-- ---- listen ----

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
    t.equal(listen.foreign(fake_document.new(GUEST), SOURCE, DEST), {
        { address = "10.89.0.11", replacement = "10.89.0.12", devices = { "vnc", "serial", "console" } },
        { address = "192.168.7.11", replacement = "192.168.7.12", devices = { "spice" } },
        { address = "2001:db8::11", replacement = "2001:db8::12", devices = { "parallel" } },
    })
end)

t.run("foreign addresses: two displays on one address", function()
    local guest = GUEST:gsub("192%.168%.7%.11", "10.89.0.11")
    t.equal(listen.foreign(fake_document.new(guest), SOURCE, DEST)[1].devices,
        { "vnc", "spice", "serial", "console" })
end)

t.run("foreign addresses: none that both have, that no one has, or that is everybody's", function()
    local function found(source, dest) return #listen.foreign(fake_document.new(GUEST), source, dest) end
    t.equal(found(SOURCE, SOURCE), 0)
    t.equal(found({ "10.1.1.1" }, DEST), 0)
    t.equal(found(nil, DEST), 0)
    t.equal(#listen.foreign(fake_document.new((GUEST:gsub("%d[%w.:]*%.?11'", "0.0.0.0'"))), SOURCE, DEST), 0)
end)

t.run("foreign addresses: no replacement where the destination has none of the family", function()
    local foreign = listen.foreign(fake_document.new(GUEST), SOURCE, { "10.89.0.12" })
    t.equal({ foreign[3].address, foreign[3].replacement }, { "2001:db8::11" })
end)

local function moved(change)
    local world = fakes.world()
    world.xml, world.source.facts.addresses, world.dest.facts.addresses = GUEST, SOURCE, DEST
    if change then change(world) end
    local document = fake_document.new(world.xml)
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
    local before, document, changes = fake_document.new(GUEST), moved()
    t.ok(#changes > 0)
    for _, place in ipairs(changes) do -- what is declared, blanked in both: nothing else may differ
        before:set(place, "")
        document:set(place, "")
    end
    t.equal(document.root, before.root)
end)

-- ---- fix-ups ----

-- {name = "uid:gid"} of what is wanted.
local function wanted(change)
    local world = fakes.world()
    if change then change(world) end
    local owners = {}
    for _, file in ipairs(fixup.wanted_owners(fakes.fake_run(world))) do
        owners[file.name] = file.uid .. ":" .. file.gid
        t.equal(file.path, world.directory .. "/" .. file.name)
    end
    return owners
end

local function file_in(world, path, uid)
    world.source.files[path] = { type = "file", size = 1, uid = uid or 0, gid = uid or 0 }
    world.dest.files[path] = world.source.files[path]
end

-- The disk's <source> with this inside.
local function disk_label(world, seclabel)
    edit(world, "disk' index='1'/>", ("disk' index='1'>%s</source>"):format(seclabel))
end

t.run("wanted owners: the disk is QEMU's by the guest's label, the console virtlogd's; nothing outside the "
    .. "folder", function()
    t.equal(wanted(), { disk = "64055:64055", ["console.log"] = "0:0" })
end)

t.run("wanted owners: kernel and ramdisk inside the folder, nvram in either spelling", function()
    t.equal(wanted(function(world)
        edit(world, "<kernel>/srv/guest/vmlinuz</kernel>",
            (("<kernel>%/kernel</kernel><dtb>%/dtb</dtb><nvram>%/vars</nvram>"):gsub("%%", FOLDER)))
        edit(world, "/srv/guest/initrd.gz", FOLDER .. "/ramdisk")
        for _, name in ipairs { "kernel", "dtb", "ramdisk", "vars" } do
            file_in(world, FOLDER .. "/" .. name)
        end
    end), {
        disk = "64055:64055", ["console.log"] = "0:0", kernel = "64055:64055", dtb = "64055:64055",
        ramdisk = "64055:64055", vars = "64055:64055",
    })
    t.equal(wanted(function(world)
        edit(world, "<boot dev='hd'/>", ("<nvram type='file'><source file='%s/vars'/></nvram>")
            :format(FOLDER))
        file_in(world, FOLDER .. "/vars")
    end).vars, "64055:64055")
end)

t.run("wanted owners: a disk with a dac label of its own", function()
    t.equal(wanted(function(world) disk_label(world, "<seclabel model='dac' "
        .. "relabel='yes'><label>+107:+108</label></seclabel>") end).disk, "107:108")
    local function labelled(model, label)
        local seclabel = "<seclabel model='%s'><label>%s</label></seclabel>"
        return wanted(function(world) disk_label(world, seclabel:format(model, label)) end).disk
    end
    t.equal(labelled("dac", "libvirt-qemu:kvm"), "64055:107")
    t.equal(labelled("dac", "107:108"), "107:108")
    t.equal(labelled("selinux", "a:b"), "64055:64055")
end)

t.run("wanted owners: an owner whom the host does not know is an error, not nobody", function()
    t.raises(function()
        wanted(function(world)
            disk_label(world, "<seclabel model='dac'><label>ghost:kvm</label></seclabel>")
        end)
    end, "the number of the user ghost, which the guest's XML names, is not known on compute%-1")
    t.raises(function()
        wanted(function(world)
            disk_label(world, "<seclabel model='dac'><label>root:ghosts</label></seclabel>")
        end)
    end, "the number of the group ghosts, which the guest's XML names, is not known on compute%-1")
end)

t.run("wanted owners: a disk that libvirt does not relabel is left alone", function()
    t.equal(wanted(function(world) disk_label(world, "<seclabel model='dac' relabel='no'/>") end),
        { ["console.log"] = "0:0" })
    t.equal(wanted(function(world) disk_label(world, "<seclabel model='selinux' relabel='no'/>") end).disk,
        "64055:64055")
end)

t.run("wanted owners: what lies below a disk is not the guest's", function()
    t.equal(wanted(function(world)
        edit(world, "<backingStore/>", ("<backingStore type='file'><source file='%s/base'/></backingStore>")
            :format(FOLDER))
        file_in(world, FOLDER .. "/base")
    end).base, nil)
end)

t.run("wanted owners: without a label, the user that QEMU's package makes", function()
    local function unlabelled(world) world.xml = world.xml:gsub("<seclabel.-</seclabel>", "") end
    t.equal(wanted(unlabelled).disk, "64055:64055")
    t.equal(wanted(function(world)
        unlabelled(world)
        world.source.facts.users,
            world.source.facts.groups = { qemu = { uid = 107, gid = 107, group = "qemu" } }, {}
    end).disk, "107:107")
    t.raises(function()
        wanted(function(world)
            unlabelled(world)
            world.source.facts.users = {}
        end)
    end, "cannot tell which user QEMU runs as on compute%-1: the guest's XML has no label, and there is no "
        .. "user libvirt%-qemu or qemu")
end)

t.run("wanted owners: who writes the console, by the files that QEMU holds open", function()
    t.equal(wanted(function(world) world.instance.files = { DISK, CONSOLE } end)["console.log"],
        "64055:64055")
    t.equal(wanted(function(world) world.instance.files = { DISK } end)["console.log"], "0:0")
    t.equal(wanted(function(world)
        world.instance.files = { DISK }
        world.source.facts.libvirt.conf.stdio_handler = "file"
    end)["console.log"], "0:0", "what is open tells more than what the configuration says now")
end)

t.run("wanted owners: who writes the console, by stdio_handler", function()
    t.equal(wanted(function(world) world.source.facts.libvirt.conf.stdio_handler = "file" end)["console.log"],
        "64055:64055")
    t.equal(wanted(function(world) world.source.facts.libvirt.conf.stdio_handler = "logd" end)["console.log"],
        "0:0")
    t.equal(wanted(function(world)
        world.moved, world.instance.files = true, { DISK }
        world.dest.facts.libvirt.conf.stdio_handler = "file"
    end)["console.log"], "64055:64055", "a QEMU that the migration started, by its own host's")
    t.equal(wanted(function(world)
        world.moved, world.instance.files = true, { DISK, CONSOLE }
    end)["console.log"], "0:0", "the files were the old QEMU's")
end)

t.run("wanted owners: logs of other consoles", function()
    t.equal(wanted(function(world)
        edit(world, "<serial type='file'>",
            ("<serial type='pty'><log file='%s/serial.log'/></serial><serial type='file'>"):format(FOLDER))
        file_in(world, FOLDER .. "/serial.log")
    end)["serial.log"], "0:0")
    t.equal(wanted(function(world)
        edit(world, "<serial type='file'>",
            ("<serial type='pipe'><source path='%s/pipe'/></serial><serial type='file'>"):format(FOLDER))
        file_in(world, FOLDER .. "/pipe")
    end).pipe, nil, "no file")
end)

t.run("wanted owners: nothing that leads out of the folder", function()
    for _, path in ipairs { FOLDER .. "/../instance-00000002/disk", FOLDER .. "/./disk2", FOLDER
        .. "-old/disk", "/etc/shadow", FOLDER } do
        t.equal(wanted(function(world)
            edit(world, DISK, path)
            file_in(world, path)
        end), { ["console.log"] = "0:0" }, path)
    end
end)

t.run("wanted owners: nothing that is absent, or no plain file", function()
    t.equal(wanted(function(world) world.source.files[DISK] = nil end), { ["console.log"] = "0:0" })
    t.equal(wanted(function(world) world.source.files[DISK].type = "symlink" end),
        { ["console.log"] = "0:0" })
    t.equal(wanted(function(world) world.directory = nil end), {})
end)

t.run("wanted owners: a name with a quote breaks no XPath", function()
    t.equal(wanted(function(world)
        edit(world, DISK .. "'", FOLDER .. "/it&apos;s'")
        file_in(world, FOLDER .. "/it's")
    end), { ["it's"] = "64055:64055", ["console.log"] = "0:0" })
end)

t.run("wanted owners: at the destination, by the XML that it has there", function()
    t.equal(wanted(function(world)
        world.moved = true
        world.dest_xml = world.xml:gsub("%+64055", "+107")
    end).disk, "107:107")
end)

local function left_to_root(world)
    world.moved = true
    for _, file in pairs(world.dest.files) do
        file.uid, file.gid, file.user, file.group = 0, 0, "root", "root"
    end
end

t.run("own instance files: gives back what is root's, and then sees it right", function()
    local text, _, run = fakes.ask(fixup.own_instance_files, left_to_root)
    t.equal(text, "disk root:root → libvirt-qemu")
    t.equal(run.dest.done, { { "chown", DISK, 64055, 64055 } })
    t.equal(run.source.done, {})
    t.equal(fixup.own_instance_files.verify(run), "files owned right")
end)

t.run("own instance files: a file that is refused keeps none of the others", function()
    local _, refusal, run = fakes.ask(fixup.own_instance_files, function(world)
        left_to_root(world)
        world.dest.refused = DISK
        world.dest.files[FOLDER .. "/console.log"].uid = 7
    end)
    t.equal(refusal, DISK .. " is refused")
    t.equal(run.dest.done, { { "chown", FOLDER .. "/console.log", 0, 0 } })
end)

t.run("own instance files: what is right is not touched", function()
    local text, _, run = fakes.ask(fixup.own_instance_files, function(world) world.moved = true end)
    t.equal(text, "2 files, owned right already")
    t.equal(run.dest.done, {})
    sees(fixup.own_instance_files, "the instance has no files of its own here", function(world)
        world.directory = nil
    end)
end)

t.run("own instance files: an owner without a name is shown by its number", function()
    sees(fixup.own_instance_files, "disk 1234:1235 → libvirt-qemu", function(world)
        local disk = world.source.files[DISK]
        disk.uid, disk.gid, disk.user, disk.group = 1234, 1235, nil, nil
    end)
    sees(fixup.own_instance_files, "disk libvirt-qemu:libvirt-qemu → 107", function(world)
        disk_label(world, "<seclabel model='dac'><label>+107:+107</label></seclabel>")
    end)
end)

t.run("own instance files: verify refuses what is still wrong", function()
    local text, refusal = fakes.ask(fixup.own_instance_files, left_to_root, "verify")
    t.equal({ text, refusal },
        { nil, DISK .. " on compute-2 belongs to root:root, and should be libvirt-qemu's" })
end)

t.run("own instance files: a preview says what will be asked", function()
    local function preview(world) world.preview = true end
    local text, _, run = fakes.ask(fixup.own_instance_files, preview)
    t.equal(text, "after the move, where libvirt leaves them to root: disk → libvirt-qemu")
    t.equal(run.source.done, {})
    sees(fixup.own_instance_files, "no file of it lies in the instance's folder", function(world)
        preview(world)
        edit(world, DISK, "/elsewhere/disk")
    end)
    sees(fixup.own_instance_files, "after the move, where libvirt leaves them to root: vars → libvirt-qemu",
        function(world)
        preview(world)
        disk_label(world, "<seclabel model='dac'><label>root:root</label></seclabel>")
        edit(world, "<boot dev='hd'/>", ("<nvram>%s/vars</nvram>"):format(FOLDER))
        file_in(world, FOLDER .. "/vars")
    end)
    sees(fixup.own_instance_files, "2 files, owned right already", function(world)
        world.preview, world.alone = true, true
    end)
end)

-- ---- diagnoses ----

local fake_hosts = { source = { name = "compute-1" }, dest = { name = "compute-2" } }

-- Errors as libvirt 9 to 11 and QEMU 7 to 10 write them: the error, its cause (whole), and a word of the
-- remedy.
local KNOWN = {
    { "internal error: process exited while connecting to monitor: 2026-11-24T03:44:59.919094Z "
        .. "qemu-system-x86_64: -vnc 10.89.0.11:1,audiodev=audio1: Failed to bind socket: Cannot assign "
        .. "requested address",
        "QEMU on compute-2 could not listen on 10.89.0.11 for VNC: that address is not compute-2's",
        "policies/libvirt%.lua" },
    { "qemu-system-x86_64: -vnc [2001:db8::11]:1,audiodev=audio1: Failed to bind socket: Cannot assign "
        .. "requested address",
        "QEMU on compute-2 could not listen on [2001:db8::11] for VNC: that address is not compute-2's",
        "server_listen" },
    { "qemu-kvm: -chardev socket,id=charserial0,host=10.89.0.11,port=10000,server=on: Failed to bind "
        .. "socket: Cannot assign requested address",
        "QEMU on compute-2 could not listen on an address that is not compute-2's", "rewrite the address" },
    { 'internal error: process exited while connecting to monitor: qemu-kvm: -device virtio-blk-pci: '
        .. 'Failed to get "write" lock\n'
        .. "Is another process using the image [/x/disk]?",
        "the disk is locked by another QEMU: the guest may be running twice", "stop here" },
    { "Unsafe migration: Migration without shared storage is unsafe",
        "a disk lies on storage that libvirt does not recognize as shared", "%-p unsafe=true" },
    { "Unsafe migration: Migration may lead to data corruption if disks use cache other than none or "
        .. "directsync",
        "a disk has a cache mode that this libvirt does not consider safe to migrate", "cache='none'" },
    { "Unsafe migration: Migration may lead to data corruption if disks use cache != none",
        "a disk has a cache mode that this libvirt does not consider safe to migrate", "5%.6" },
    { "qemu-system-x86_64: -blockdev {}: Could not open '/var/lib/nova/instances/x/disk': Permission denied",
        "QEMU is not allowed to open /var/lib/nova/instances/x/disk: it does not belong to QEMU's user",
        "fix%-ownership" },
    { "Cannot access storage file '/var/lib/nova/instances/x/disk' (as uid:64055, gid:64055): No such file "
        .. "or directory",
        "/var/lib/nova/instances/x/disk is not available on compute-2", "mount" },
    { "unsupported configuration: Setting different DAC user or group on /x/disk which is already in use",
        "libvirt remembers another owner of /x/disk in the file's attributes", "remember_owner = 0" },
    { "internal error: Attempt to migrate guest to the same host 00000000",
        "both names lead to one host, or both hosts have one uuid", "host_uuid" },
    { "operation failed: guest CPU doesn't match specification: missing features: pcid,invpcid",
        "compute-2 lacks features of the guest's CPU: pcid,invpcid",
        "microcode" },
    { "the CPU is incompatible with host CPU: Host CPU does not provide required features: vme, pcid",
        "the guest's CPU does not run on compute-2: Host CPU does not provide required features: vme, pcid",
        "at least as new" },
    { "internal error: Unknown CPU feature arch-facilities",
        "libvirt on compute-2 does not know the CPU feature arch-facilities", "upgrade libvirt" },
    { "Unable to resolve address 'compute-2' service '49152': Name or service not known",
        "compute-1 cannot resolve the name compute-2", "/etc/hosts" },
    { "internal error: hostname on destination resolved to localhost, but migration requires an FQDN",
        "compute-2 calls itself localhost", "127%.0%.1%.1" },
    { "operation failed: Failed to connect to remote libvirt URI qemu+tcp://compute-2/system: unable to "
        .. "connect to server at 'compute-2:16509': Connection refused",
        "compute-1 cannot connect to libvirtd at compute-2:16509: Connection refused",
        "libvirtd%-tcp%.socket" },
    { "unable to connect to server at 'compute-2:49153': No route to host",
        "the migration port compute-2:49153 does not let compute-1 through",
        "open ports 49152%-49215 on compute%-2" },
    { "internal error: Unable to find an unused port in range 'migration' (49152-49215)",
        "compute-2 has no free migration port", "migration_port_min" },
    { "authentication failed: Failed to verify peer's certificate",
        "libvirt on compute-2 does not let compute-1 in", "auth_tcp" },
    { "operation unsupported: this libvirtd instance allows migration only with VIR_MIGRATE_TLS flag",
        "compute-2 takes only encrypted migrations", '"TLS"' },
    { "internal error: client socket is closed",
        "the connection between libvirtd on compute-1 and on compute-2 broke: one of them ended, or was "
            .. "restarted", "systemctl status" },
    { "internal error: connection closed due to keepalive timeout",
        "the network between compute-1 and compute-2 broke", "check the network" },
    { "operation failed: another migration job is already running for domain 'x'",
        "another migration of this guest is under way", "domjobinfo" },
    { "Timed out during operation: cannot acquire state change lock (held by "
        .. "monitor=remoteDispatchDomainMigratePerform3Params)",
        "something else holds the guest in libvirt", "the message" },
    { "operation invalid: cannot migrate domain with 2 snapshots", "the guest has 2 internal snapshots",
        "delete them" },
    { "Requested operation is not valid: domain has active block job",
        "a block job runs on one of the guest's disks", "virsh blockjob" },
    { "Requested operation is not valid: cannot migrate a domain with <hostdev mode='subsystem' type='usb'>",
        "a device of the host is passed through to the guest", "detach" },
    { "internal error: unable to execute QEMU command 'migrate': State blocked by non-migratable device "
        .. "'0000:00:05.0/ivshmem'",
        "the guest's device 0000:00:05.0/ivshmem cannot be migrated", "detach" },
    { "State blocked by non-migratable CPU device (invtsc flag)",
        "the guest's CPU has invtsc, which ties it to its host's clock", "TSC" },
    { "Requested operation is not valid: domain is marked for auto destroy",
        "the guest ends with the client that started it", "hold" },
    { "operation failed: domain 'x' is already defined with uuid 86586fce-b10a-0fc5-c713-67c64d50a7bf",
        "compute-2 has a definition of that name already",
        "undefine" },
    { "operation failed: domain 'x' already exists with uuid 86586fce-b10a-0fc5-c713-67c64d50a7bf",
        "compute-2 has a guest of that name already", "whose" },
    { "unsupported configuration: Target network card MTU 1450 does not match source 1500",
        "the destination's XML changes what the guest sees of its hardware", "belongs to the host" },
    { "Hook script execution failed: internal error: Child process (LC_ALL=C /etc/libvirt/hooks/qemu x "
        .. "migrate begin -) unexpected exit status 1",
        "the hook /etc/libvirt/hooks/qemu on compute-2 said no", "by hand" },
    { "qemu-system-x86_64: Unknown savevm section or instance '0000:00:04.0/virtio-net' 0. Make sure that "
        .. "your current VM setup matches",
        "QEMU on compute-2 does not have the same devices as on compute-1", "live XML" },
    { "qemu-system-x86_64: Machine type received is 'pc-i440fx-2.5' and local is 'pc-i440fx-2.6'",
        "QEMU on compute-2 takes the machine type pc-i440fx-2.5 to be another one", "version" },
    { "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
        "compute-2 does not have enough memory for it", "free memory" },
    { "qemu-system-x86_64: unable to map backing store for guest RAM: Cannot allocate memory",
        "compute-2 does not have enough (huge) pages for it", "allocate" },
    { "cannot fork child process: Cannot allocate memory", "compute-2 does not have enough memory for it",
        "another host" },
    { "Postcopy is not supported: Userfaultfd not available",
        "the kernel of a host does not let QEMU use userfaultfd", "unprivileged_userfaultfd" },
    { "migration of disk vda failed: No space left on device", "compute-2 has no space left for it",
        "free space" },
    { "authentication unavailable: no polkit agent available to authenticate action "
        .. "'org.libvirt.unix.manage'",
        "this user may not manage guests", "group" },
    { "End of file while reading data: Input/output error", "libvirtd at the other end went away",
        "its log" },
    { "operation failed: Lost connection to destination host", "compute-1 lost compute-2",
        "libvirtd on compute%-2" },
    { "operation failed: job 'migration out' failed: Unable to write to socket: Bad file descriptor",
        "the connection to QEMU on compute-2 broke: QEMU ended there, or the network did", "QEMU log" },
    { "operation failed: job 'migration in' failed: Unable to read from socket: Connection reset by peer",
        "the connection to QEMU on compute-2 broke: QEMU ended there, or the network did", "QEMU log" },
    { "operation failed: domain is not running", "the guest's QEMU ended on one side",
        "/var/log/libvirt/qemu/" },
    { "operation failed: domain is no longer running", "the guest's QEMU ended on one side",
        "/var/log/libvirt/qemu/" },
}

for _, row in ipairs(KNOWN) do
    local text, cause, remedy = table.unpack(row)
    t.run("diagnosis: " .. text:gsub("\n", " "):sub(1, 90), function()
        local known_cause, known_remedy = diagnose.known(text, fake_hosts)
        t.equal(known_cause, cause)
        t.match(known_remedy, remedy)
        t.equal(diagnose.known(text:upper(), fake_hosts) ~= nil, true, "in capitals")
    end)
end

-- What a function keeps to itself.
local function upvalue(fn, wanted)
    local i, name, value = 0, nil, nil
    repeat
        i = i + 1
        name, value = debug.getupvalue(fn, i)
    until name == wanted or not name
    return value
end

t.run("diagnosis: every pattern is the first to match one of these errors", function()
    local known, first = upvalue(diagnose.known, "known"), {}
    for _, row in ipairs(KNOWN) do
        for _, entry in ipairs(known) do
            if row[1]:find(entry[1]) then
                first[entry] = true
                break
            end
        end
    end
    for _, entry in ipairs(known) do t.ok(first[entry], entry[2]) end
end)

t.run("diagnosis: nothing is known of what nobody knows, and of mere carriers", function()
    for _, text in ipairs {
        "", "something new", "cannot migrate domain: ", "job 'migration out' unexpectedly failed",
        "load of migration failed: Input/output error",
        "process exited while connecting to monitor",
        "operation aborted: job 'migration out' canceled by client",
    } do
        t.equal({ diagnose.known(text, fake_hosts) }, {}, text)
    end
end)

t.run("diagnosis: without a destination, and with a percent sign in the error", function()
    t.equal(diagnose.known("migration of disk vda failed: No space left on device", {}),
        "the destination has no space left for it")
    t.equal(diagnose.known("Unable to resolve address 'x'", {}), "the source cannot resolve the name x")
    t.equal(diagnose.known("Cannot access storage file '/x/%1 %d'", fake_hosts),
        "/x/%1 %d is not available on compute-2")
end)

-- A log with these lines, of which the first is the given one.
local function fake_log(lines, first)
    return {
        host = { name = "compute-2" }, path = "/var/log/libvirt/qemu/instance-00000001.log",
        lines = function()
            local result = {}
            for i, text in ipairs(lines) do result[i] = { number = (first or 1) + i - 1, text = text } end
            return result
        end,
    }
end

local function lines_of(text)
    local lines = {}
    for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
    return lines
end

local function failed(message, domain)
    return { message = message, domain = domain or "libvirt", code = 1, source = "compute-1" }
end

local BIND = "2026-11-24T03:44:59.919094Z qemu-system-x86_64: -vnc 10.89.0.11:1,audiodev=audio1: "
    .. "Failed to bind socket: Cannot assign requested address"

t.run("explain: cause, the line of the log, remedy; libvirt's own words are left out where the log says "
    .. "the same", function()
    local log = fake_log(lines_of(t.read("tests/lua/facts/qemu.log")), 386)
    local message = "cannot migrate instance-00000001 to qemu+tcp://compute-2/system on compute-1: "
        .. "internal error: process exited while connecting to monitor: " .. BIND
    local cause, remedy = diagnose.known(BIND, fake_hosts)
    t.equal(diagnose.explain(fake_hosts, failed(message), log), {
        { label = "Cause", text = cause
            .. "\n  compute-2:/var/log/libvirt/qemu/instance-00000001.log:397\n    " .. BIND },
        { label = "Remedy", text = remedy },
    })
end)

t.run("explain: libvirt's own words where they say something else", function()
    local details = diagnose.explain(fake_hosts,
        failed("job 'migration out' failed: Unable to write to socket"), fake_log { BIND })
    t.equal({ details[1].label, details[2].label, details[3].label, #details },
        { "Cause", "Said", "Remedy", 3 })
    t.match(details[1].text, "^QEMU on compute%-2 could not listen")
    t.equal(details[2].text, "job 'migration out' failed: Unable to write to socket")
end)

t.run("explain: without a log, by the error alone", function()
    local details = diagnose.explain(fake_hosts,
        failed("operation failed: Lost connection to destination host"))
    t.equal(details, {
        { label = "Cause", text = "compute-1 lost compute-2" },
        { label = "Said", text = "operation failed: Lost connection to destination host" },
        { label = "Remedy", text = "check the network and libvirtd on compute-2" },
    })
end)

t.run("explain: what nobody knows is the error's own words, with the line that QEMU left", function()
    t.equal(diagnose.explain(fake_hosts, failed("a new error"), fake_log {}),
        { { label = "Cause", text = "a new error" } })
    t.equal(diagnose.explain(fake_hosts, failed("a new error"), fake_log { "qemu-system-x86_64: oops" }),
        { { label = "Cause", text = "a new error\n  "
            .. "compute-2:/var/log/libvirt/qemu/instance-00000001.log:1\n    qemu-system-x86_64: oops" } })
end)

t.run("explain: a line that is not known stands not in the way of a cause that is", function()
    local details = diagnose.explain(fake_hosts, failed("domain is not running"),
        fake_log { "qemu-system-x86_64: oops" })
    t.equal(details[1], { label = "Cause", text = "the guest's QEMU ended on one side" })
    t.equal(details[2], { label = "Said", text = "domain is not running" })
end)

t.run("explain: the first line that is known is the one, what follows is its consequence", function()
    local details = diagnose.explain(fake_hosts, failed("domain is not running"),
        fake_log { "warning: something", BIND, "qemu-system-x86_64: cannot set up guest memory" })
    t.match(details[1].text, "could not listen.*:2\n")
end)

t.run("explain: QEMU's start and end, and what only follows from libvirt's own abort, explain nothing",
    function()
    for _, line in ipairs {
        "2026-11-24 03:44:59.769+0000: starting up libvirt version: 9.0.0",
        "2026-11-24 03:44:59.928+0000: shutting down, reason=failed",
        "2026-11-24 03:34:00.279+0000: initiating migration", "LC_ALL=C \\", "XDG_DATA_HOME=/x \\",
        "/usr/bin/qemu-system-x86_64 \\", "-name guest=x \\", "",
        "char device redirected to /dev/pts/1 (label charserial0)",
        "2026-11-24T03:40:59.982649Z qemu-system-x86_64: load of migration failed: Invalid argument",
        "2026-11-24T03:34:00.393858Z qemu-system-x86_64: terminating on signal 15 from pid 49 "
            .. "(/usr/sbin/libvirtd)",
        "2026-11-24T03:34:00.393858Z qemu-system-x86_64: terminating on signal 15 from pid 49 "
            .. "(/usr/sbin/virtqemud)",
    } do
        t.equal(diagnose.explain(fake_hosts, failed("a new error"), fake_log { line }),
            { { label = "Cause", text = "a new error" } }, line)
    end
    local killed = "qemu-system-x86_64: terminating on signal 15 from pid 4711 (kill)"
    t.match(diagnose.explain(fake_hosts, failed("a new error"), fake_log { killed })[1].text, "from pid 4711")
end)

t.run("explain: the log tells of libvirt's errors only", function()
    for _, domain in ipairs { "refused", "timeout", "interrupted", "policy" } do
        t.equal(diagnose.explain(fake_hosts, failed("a new error", domain), fake_log { BIND }),
            { { label = "Cause", text = "a new error" } }, domain)
    end
end)
