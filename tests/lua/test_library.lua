-- SPDX-License-Identifier: MIT
-- The library that policies are made of, over facts recorded in a lab: no host is asked.
local t = require "t"
local fakes = require "fakes"
local xml = require "migrun.xml"
local check = require "migrun.check"
local fixup = require "migrun.fixup"
local listen = require "migrun.listen"

local FOLDER = "/var/lib/nova/instances/instance-00000001"
local DISK, CONSOLE = FOLDER .. "/disk", FOLDER .. "/console.log"

local sees, edit = fakes.sees, fakes.edit

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
    t.equal(listen.foreign(xml.parse(GUEST), SOURCE, DEST), {
        { address = "10.89.0.11", replacement = "10.89.0.12", devices = { "vnc", "serial", "console" } },
        { address = "192.168.7.11", replacement = "192.168.7.12", devices = { "spice" } },
        { address = "2001:db8::11", replacement = "2001:db8::12", devices = { "parallel" } },
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
