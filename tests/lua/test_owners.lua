-- SPDX-License-Identifier: MIT
-- Fix-ups: whose the guest's files should be, where libvirt and others leave them.
local t = require "t"
local fakes = require "fakes"
local fixup = require "migrun.fixup"
local owners = require "migrun.owners"

local FOLDER = "/var/lib/nova/instances/instance-00000001"
local DISK, CONSOLE = FOLDER .. "/disk", FOLDER .. "/console.log"

local sees, edit = fakes.sees, fakes.edit

-- {name = "uid:gid"} of what is wanted.
local function wanted(change)
    local world = fakes.world()
    if change then change(world) end
    local wanted = {}
    for _, file in ipairs(owners.files(fakes.fake_run(world))) do
        if file.stat and not file.alone and not file.outside then
            wanted[file.name] = file.uid .. ":" .. file.gid
            t.equal(file.path, world.directory .. "/" .. file.name)
        end
    end
    return wanted
end

local function file_in(world, path, uid)
    world.source.files[path] = { type = "file", mode = 384, size = 1, uid = uid or 0, gid = uid or 0 }
    world.dest.files[path] = world.source.files[path]
end

-- What was done, but for looking.
local function done(host)
    local all = {}
    for _, what in ipairs(host.done) do
        if what[1] ~= "storage" then all[#all + 1] = what end
    end
    return all
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
    t.equal(wanted(function(world)
        world.source.files[DISK], world.source.facts.storage[DISK] = nil, nil
    end), { ["console.log"] = "0:0" })
    t.equal(wanted(function(world) world.source.facts.storage[DISK].type = "block" end),
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
    t.equal(done(run.dest), { { "chown", DISK, 64055, 64055 } })
    t.equal(done(run.source), {})
    t.equal(fixup.own_instance_files.verify(run), "files owned right")
end)

t.run("own instance files: a file that is refused keeps none of the others", function()
    local _, refusal, run = fakes.ask(fixup.own_instance_files, function(world)
        left_to_root(world)
        world.dest.refused = DISK
        world.dest.files[FOLDER .. "/console.log"].uid = 7
    end)
    t.equal(refusal, DISK .. " is refused; QEMU cannot open it as it is (root:root): chown it "
        .. "to libvirt-qemu:libvirt-qemu where that is allowed (of NFS with root_squash on its server)")
    t.equal(done(run.dest), { { "chown", FOLDER .. "/console.log", 0, 0 } })
end)

t.run("own instance files: what is no refusal is raised on", function()
    t.raises(function()
        fakes.ask(fixup.own_instance_files, function(world)
            left_to_root(world)
            world.dest.lost = true
        end)
    end, "the connection is lost")
end)

t.run("own instance files: what is right is not touched", function()
    local text, _, run = fakes.ask(fixup.own_instance_files, function(world) world.moved = true end)
    t.equal(text, "2 files, owned right already")
    t.equal(done(run.dest), {})
    sees(fixup.own_instance_files, "the instance has no files of its own here", function(world)
        world.xml = "<domain><devices><disk type='block'><source dev='/dev/vg/a'/></disk></devices></domain>"
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
        { nil, DISK .. " on compute-2 belongs to root:root, and should be libvirt-qemu's: chown "
            .. "libvirt-qemu:libvirt-qemu " .. DISK })
end)

t.run("own instance files: a preview says what will be asked", function()
    local function preview(world) world.preview = true end
    local text, _, run = fakes.ask(fixup.own_instance_files, preview)
    t.equal(text, "after the move, where libvirt leaves them to root: disk → libvirt-qemu")
    t.equal(done(run.source), {})
    sees(fixup.own_instance_files, "no file of it lies in the instance's folder", function(world)
        preview(world)
        edit(world, "<disk type='file' device='disk'>", "<disk type='file'><readonly/>")
        edit(world, DISK, "/elsewhere/disk")
    end)
    sees(fixup.own_instance_files, "/srv/disk outside the instance's folder: 64055:64055, right",
        function(world)
        preview(world)
        edit(world, DISK, "/srv/disk")
        file_in(world, "/srv/disk", 64055)
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

-- ---- where libvirt touches nothing ----

local function ask(change)
    local text, refusal, run = fakes.ask(fixup.own_instance_files, change)
    local ok, verified = pcall(fixup.own_instance_files.verify, run)
    return text or refusal, ok and verified or verified.message, run
end

local function both(change)
    local text, verified = ask(change)
    return { text, verified }
end

t.run("left alone: dynamic_ownership = 0 where the guest is", function()
    local text, verified, run = ask(function(world)
        left_to_root(world)
        world.source.facts.libvirt.conf.dynamic_ownership = 0
        world.dest.facts.libvirt.conf.dynamic_ownership = 0
    end)
    t.equal({ text, verified }, { "left alone: dynamic_ownership = 0 on compute-2", "files left alone" })
    t.equal({ done(run.dest), run.warnings }, { {}, {} })
    sees(fixup.own_instance_files, "left alone: dynamic_ownership = 0 on compute-2", function(world)
        world.preview = true
        world.dest.facts.libvirt.conf.dynamic_ownership = 0
    end)
    sees(fixup.own_instance_files, "disk root:root → libvirt-qemu", function(world)
        left_to_root(world)
        world.dest.facts.libvirt.conf.dynamic_ownership = 1
        world.source.facts.libvirt.conf.dynamic_ownership = 0
    end)
end)

t.run("left alone, though the other host's libvirt gave files to root: a warning", function()
    local text, _, run = ask(function(world)
        left_to_root(world)
        world.dest.facts.libvirt.conf.dynamic_ownership = 0
    end)
    t.equal(text, "left alone: dynamic_ownership = 0 on compute-2")
    t.equal(done(run.dest), {})
    t.match(run.warnings[1], "libvirt of compute%-1 gives files back to root, and that of compute%-2, with "
        .. "dynamic_ownership = 0, gives none to QEMU: .* chown on compute%-2 .*: disk, console.log root's")
end)

t.run("left alone: the guest's own label says so", function()
    local function labelled(seclabel)
        return both(function(world)
            left_to_root(world)
            world.xml = world.xml:gsub("<seclabel.-</seclabel>", seclabel)
        end)
    end
    t.equal(labelled "<seclabel type='static' model='dac' relabel='no'><label>+5:+5</label></seclabel>",
        { "left alone: relabel='no' in the guest's XML", "files left alone" })
    t.equal(labelled "<seclabel type='none' model='dac'/>",
        { "left alone: seclabel type='none' in the guest's XML", "files left alone" })
    t.equal(labelled "<seclabel type='none'/>",
        { "left alone: seclabel type='none' in the guest's XML", "files left alone" })
    -- The first driver's: libvirt 9.0 gives the files to QEMU all the same.
    t.equal(labelled("<seclabel type='none' model='apparmor'/><seclabel type='dynamic' model='dac' "
        .. "relabel='yes'><label>+64055:+64055</label></seclabel>"),
        { "disk root:root → libvirt-qemu", "files owned right" })
    t.equal(labelled "<seclabel type='none' model='apparmor'/>",
        { "disk root:root → libvirt-qemu", "files owned right" })
end)

t.run("left alone: one disk of several", function()
    t.equal(both(function(world)
        left_to_root(world)
        disk_label(world, "<seclabel model='dac' relabel='no'/>")
        edit(world, "<boot dev='hd'/>", ("<nvram>%s/vars</nvram>"):format(FOLDER))
        file_in(world, FOLDER .. "/vars")
    end), { "vars 0:0 → libvirt-qemu; left alone: relabel='no' of the disk", "files owned right" })
end)

t.run("libvirt in a container that cannot be looked into: said", function()
    local unseen = "libvirt of compute-2 runs in a container, whose qemu.conf cannot be seen: not known "
        .. "whether it gives files to QEMU"
    sees(fixup.own_instance_files, "after the move, where libvirt leaves them to root: disk → libvirt-qemu; "
        .. unseen, function(world)
        world.preview, world.dest.facts.libvirt.config_unseen = true, true
    end)
    sees(fixup.own_instance_files, "2 files, owned right already; " .. unseen, function(world)
        world.moved, world.dest.facts.libvirt.config_unseen = true, true
    end)
end)

t.run("wanted owners: without a label, qemu.conf's user", function()
    t.equal(wanted(function(world)
        world.xml = world.xml:gsub("<seclabel.-</seclabel>", "")
        world.source.facts.libvirt.conf.user = "oneadmin"
        world.source.facts.users.oneadmin = { uid = 9869, gid = 9869 }
    end).disk, "9869:9869")
end)

-- ---- outside the folder, behind links ----

local function elsewhere(world, owner, mode)
    world.moved = true
    edit(world, DISK, "/srv/disk")
    file_in(world, "/srv/disk", owner)
    world.dest.files["/srv/disk"].mode = mode or 384
end

t.run("a disk outside the folder is looked at, and not touched", function()
    local right = "1 file, owned right already; /srv/disk outside the instance's folder: "
    local text, verified, run = ask(function(world) elsewhere(world, 64055) end)
    t.equal({ text, verified }, { right .. "64055:64055, right", "files owned right" })
    text, verified, run = ask(function(world) elsewhere(world, 0) end)
    t.equal({ text, verified }, { right .. "0:0, QEMU cannot open it",
        "/srv/disk on compute-2 belongs to 0:0, and should be libvirt-qemu's: chown "
        .. "libvirt-qemu:libvirt-qemu /srv/disk" })
    t.equal(done(run.dest), {})
    t.equal(both(function(world) elsewhere(world, 0, 438) end),
        { right .. "0:0, QEMU can open it as it is", "files open to QEMU" })
end)

t.run("what QEMU cannot see is said, never taken for right", function()
    t.equal(both(function(world)
        world.moved = true
        edit(world, DISK, "/srv/secret/disk")
    end), { "1 file, owned right already; /srv/secret/disk not seen",
        "files owned right, /srv/secret/disk not seen" })
end)

t.run("what is only read is not looked at elsewhere", function()
    t.equal(both(function(world)
        elsewhere(world, 0)
        edit(world, "<disk type='file' device='disk'>", "<disk type='file' device='cdrom'><readonly/>")
    end), { "1 file, owned right already", "files owned right" })
end)

t.run("a disk behind a link: out of the folder it is not touched, inside it is", function()
    local function linked(world, target)
        left_to_root(world)
        world.dest.files[target] = { type = "file", mode = 384, uid = 0, gid = 0 }
        world.dest.files[DISK] = { type = "symlink", mode = 511, uid = 64055, gid = 64055, target = target }
    end
    local text, verified, run = ask(function(world) linked(world, "/etc/shadow") end)
    t.equal(text, "1 file, owned right already; " .. DISK
        .. " (→ /etc/shadow) outside the instance's folder: 0:0, QEMU cannot open it")
    t.match(verified, "^/etc/shadow on compute%-2 belongs to 0:0, and should be")
    t.equal(done(run.dest), {})
    text, verified, run = ask(function(world) linked(world, FOLDER .. "/disk.raw") end)
    t.equal({ text, verified }, { "disk.raw 0:0 → libvirt-qemu", "files owned right" })
    t.equal(done(run.dest), { { "chown", FOLDER .. "/disk.raw", 64055, 64055 } })
end)

t.run("an instances folder that is a link itself", function()
    t.equal(wanted(function(world)
        world.source.files[FOLDER].target = "/mnt/a"
        world.source.files["/mnt/a"] = { type = "directory" }
        world.source.files["/mnt/a/disk"] = { type = "file", mode = 384, uid = 0, gid = 0 }
        world.source.files[DISK] = { type = "symlink", target = "/mnt/a/disk" }
        world.source.files[CONSOLE].target = "/mnt/a/console.log"
        world.source.files["/mnt/a/console.log"] = { type = "file", mode = 384, uid = 0, gid = 0 }
    end), { disk = "64055:64055", ["console.log"] = "0:0" })
end)

t.run("a disk that is a volume, a data file, an NVDIMM", function()
    t.equal(both(function(world)
        world.moved = true
        edit(world, "<disk type='file' device='disk'>", "<disk type='volume' device='disk'>")
        edit(world, ("file='%s' index='1'/>"):format(DISK), "pool='p' volume='v'/>")
        edit(world, "<devices>", ("<devices><memory model='nvdimm'><source><path>%s/nv</path></source>"
            .. "</memory><disk type='file'><source file='%s/q'><dataStore type='file'><source file='%s/d'/>"
            .. "</dataStore></source></disk>"):format(FOLDER, FOLDER, FOLDER))
        for _, name in ipairs { "nv", "q", "d" } do file_in(world, FOLDER .. "/" .. name) end
        file_in(world, "/pool/v", 64055)
        world.dest.volumes = function() return { path = "/pool/v" } end
    end), { "q 0:0 → libvirt-qemu, d 0:0 → libvirt-qemu, nv 0:0 → libvirt-qemu; /pool/v outside the "
        .. "instance's folder: 64055:64055, right", "files owned right" })
    t.equal(both(function(world)
        world.moved = true
        edit(world, ("file='%s' index='1'/>"):format(DISK), "pool='p' volume='v'/>")
    end), { "1 file, owned right already; volume v of pool p not seen",
        "files owned right, volume v of pool p not seen" })
end)

-- ---- storage where not even root may ----

-- The disk is of this owner, group and mode, and stays so.
local function squashed(world, uid, gid, mode)
    world.moved, world.dest.refused = true, DISK
    local disk = world.dest.files[DISK]
    disk.uid, disk.gid, disk.user, disk.group, disk.mode = uid, gid, nil, nil, tonumber(mode, 8)
end

t.run("root_squash: no failure where QEMU's user can open the file as it is", function()
    local function stays(uid, gid, mode, change)
        return both(function(world)
            squashed(world, uid, gid, mode)
            if change then change(world) end
        end)
    end
    local text = "1 file, owned right already; disk stays %s's (" .. DISK
        .. " is refused): QEMU can open it as it is"
    t.equal(stays(99, 64055, "660"), { text:format "99:64055", "files open to QEMU" }, "by its group")
    t.equal(stays(99, 99, "666"), { text:format "99:99", "files open to QEMU" }, "as anyone")
    t.equal(stays(64055, 99, "600"), { text:format "64055:99", "files open to QEMU" }, "as its owner")
    t.equal(stays(99, 107, "660"), { text:format "99:107", "files open to QEMU" }, "kvm, its first group")
    local function in_group(world)
        world.dest.files["/etc/group"] = { type = "file" }
        world.dest.texts["/etc/group"] = "root:x:0:\nimages:x:2000:nova,libvirt-qemu\n"
    end
    t.equal(stays(99, 2000, "660", in_group), { text:format "99:2000", "files open to QEMU" })
    for _, wrong in ipairs { { 99, 64055, "640" }, { 99, 99, "664" }, { 99, 2001, "660" },
        { 64055, 107, "066" }, { 0, 0, "644" } } do
        t.match(stays(wrong[1], wrong[2], wrong[3], in_group)[1], "is refused; QEMU cannot open it as it is")
    end
end)

t.run("root_squash: the guest that has the file open is a witness, where nobody changed it since", function()
    local function held(change)
        return ask(function(world)
            squashed(world, 65534, 65534, "600")
            world.instance.files = { DISK }
            world.dest.facts.storage[DISK].fstype = "nfs4"
            if change then change(world) end
        end)
    end
    local text, verified = held()
    t.equal({ text, verified }, { "1 file, owned right already; disk stays 65534:65534's (" .. DISK
        .. " is refused): QEMU had it open", "files open to QEMU" })
    t.match(held(function(world) world.instance.files = {} end), "QEMU cannot open it")
    t.match(held(function(world) world.dest.facts.storage[DISK].fstype = "ext4" end), "QEMU cannot open it",
        "there the host that let it go has given it to somebody")
    t.match(held(function(world) world.dest.files[DISK].uid = 0 end), "QEMU cannot open it")
end)
