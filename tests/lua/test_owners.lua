-- SPDX-License-Identifier: MIT
-- Fix-ups: whose the guest's files should be, where libvirt and others leave them.
local t = require "t"
local fakes = require "fakes"
local fixup = require "migrun.fixup"

local FOLDER = "/var/lib/nova/instances/instance-00000001"
local DISK, CONSOLE = FOLDER .. "/disk", FOLDER .. "/console.log"

local sees, edit = fakes.sees, fakes.edit

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
