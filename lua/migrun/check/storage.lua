-- SPDX-License-Identifier: MIT
-- Of the guest's storage: that both hosts mean the same disk by the same name, proven by what each of them
-- sees of it.
local common = require "migrun.check.common"
local destination = require "migrun.destination"
local sharing = require "migrun.check.sharing"
local contains, size = common.contains, common.size
local behind, is_same_state = sharing.behind, sharing.is_same_state

local check = {}

-- ---- files ----

local function time_text(nanoseconds)
  return ("%s.%06d"):format(os.date("%H:%M:%S", nanoseconds // 1000000000), nanoseconds % 1000000000 // 1000)
end

local function place_text(seen) return ("%s %s"):format(seen.fstype, seen.source) end

-- How the file there differs from the one here, in what tells most first.
local function difference(here, there, source, dest)
  local different = {}
  local function compare(kind, value)
    if here[kind] ~= there[kind] then
      different[#different + 1] = ("%s there, %s on %s"):format(value(there), value(here), source.name)
    end
  end
  compare("size", function(seen) return seen.size .. " bytes" end)
  compare("inode", function(seen) return "inode " .. seen.inode end)
  compare("ctime", function(seen) return "last changed " .. time_text(seen.ctime) end)
  if place_text(here) ~= place_text(there) then
    different[#different + 1] = ("on %s there, on %s on %s")
      :format(place_text(there), place_text(here), source.name)
  end
  return table.concat(different, ", ")
end

local ROUNDS = 3

-- Where the guest writes, two looks at one file seldom fall between the same two writes. So the destination's
-- is taken between two of the source's: it must be one of them, or, while the guest writes without pause, lie
-- between them, and where the inodes differ do so twice. The later rounds wait, as some servers' clients show
-- a write of another host only after a second.
local function proven_as_it_changes(source, dest, path, inode_is_same)
  local between = 0
  for round = 1, ROUNDS do
    local before = source:storage({ path }, round > 1 and 1 or nil)[path]
    local there = dest:storage({ path })[path]
    local after = source:storage({ path })[path]
    if not (before and there and after) then return false end
    if is_same_state(there, before) or is_same_state(there, after) then return true end
    if before.ctime < there.ctime and there.ctime < after.ctime then
      between = between + (inode_is_same and 2 or 1)
    end
    if between >= 2 then return true end
  end
  return false
end

-- Both hosts' view of a file that must be one; nil, and the reason, when it is not proven to be.
local function one_file(run, path, here, there)
  local source, dest = run.source, run.dest
  if not is_same_state(here, there)
    and not proven_as_it_changes(source, dest, path, here.inode == there.inode) then
    return nil, ("%s is another file on %s: %s")
      :format(path, dest.name, difference(here, there, source, dest))
  end
  return ("one file on both, inode %d, %s, last changed %s, on %s")
    :format(there.inode, size(there.size), time_text(here.ctime), place_text(here))
end

-- ---- devices ----

local function one_device(run, path, here, there)
  for _, id in ipairs(here.ids) do
    if contains(there.ids, id) then
      if here.size == there.size then return ("one device on both, %s, %s"):format(id, size(here.size)) end
      return nil, ("%s (%s) has %d bytes on %s and %d on %s: rescan it on the host that has the old size")
        :format(path, id, here.size, run.source.name, there.size, run.dest.name)
    end
  end
  if #here.ids == 0 or #there.ids == 0 then
    return nil, ("it cannot be told whether %s is the same device on %s: it has no WWN, serial or "
      .. "device-mapper uuid on %s (a loop device, DRBD)")
      :format(path, run.dest.name, #here.ids == 0 and run.source.name or run.dest.name)
  end
  return nil, ("%s is another device on %s: %s there, %s on %s")
    :format(path, run.dest.name, there.ids[1], here.ids[1], run.source.name)
end

-- The disk behind a path of each host (they are the same, but for volumes).
local function one_disk(run, here_path, there_path)
  local here, there = behind(run.source, here_path), behind(run.dest, there_path)
  if not here then
    return nil, ("%s cannot be seen on %s, where the guest uses it"):format(here_path, run.source.name)
  end
  if not there then
    return nil, ("%s is not on %s: is its storage mounted there?"):format(there_path, run.dest.name)
  end
  if here.type ~= there.type or (here.type ~= "file" and here.type ~= "block") then
    return nil, ("%s is a %s on %s and a %s on %s")
      :format(here_path, here.type, run.source.name, there.type, run.dest.name)
  end
  return (here.type == "file" and one_file or one_device)(run, here_path, here, there)
end

-- ---- network disks, volumes ----

local default_ports = {
  rbd = 6789, iscsi = 3260, nbd = 10809, gluster = 24007, nfs = 2049, http = 80, https = 443, ftp = 21,
  ftps = 990, ssh = 22, sheepdog = 7000,
  vxhs = 9999,
}

-- The cluster in a Ceph configuration.
local function cluster_of(host, path)
  if not host:stat(path) then return nil end
  local text, found = host:read(path), {}
  for _, key in ipairs { "fsid", "mon[_ ]host" } do
    found[#found + 1] = ("\n" .. text):match("\n%s*" .. key .. "%s*=%s*([^\n]-)%s*\n")
  end
  return table.concat(found, ", ")
end

local function one_cluster(run, disk)
  local path = disk.document:get("source/config/@file") or "/etc/ceph/ceph.conf"
  local here, there = cluster_of(run.source, path), cluster_of(run.dest, path)
  if not there then
    return nil, ("%s is not on %s, and the disk names no monitor"):format(path, run.dest.name)
  end
  if here ~= there then
    return nil, ("%s tells of another cluster on %s: %s there, %s on %s")
      :format(path, run.dest.name, there, here or "none", run.source.name)
  end
  return "cluster " .. there
end

-- The XML is the same on both hosts, and so the name; what is asked is whether a server of it answers there.
local function one_network_disk(run, disk)
  local tried = {}
  if #disk.document:fragments("source/host[@transport='unix']") > 0 then
    return nil, ("its server is reached by a socket of %s itself"):format(run.source.name)
  end
  local names, ports = disk.document:find("source/host/@name"), disk.document:find("source/host/@port")
  if #names == 0 and disk.protocol == "rbd" then return one_cluster(run, disk) end
  for i, name in ipairs(names) do
    local port = #ports == #names and math.tointeger(tonumber(ports[i])) or default_ports[disk.protocol]
    if not port then return ("served by %s"):format(name) end
    local ok, answer = pcall(run.dest.reach, run.dest, name, port)
    if not ok and (type(answer) ~= "table" or answer.domain ~= "host") then error(answer, 0) end
    if ok and answer.ports[port].open then return ("%s:%d answers %s"):format(name, port, run.dest.name) end
    tried[#tried + 1] = ("%s:%d (%s)"):format(name, port, ok and answer.ports[port].error or answer.message)
  end
  if #tried == 0 then return "it names no server" end
  return nil, ("%s reaches no server of it: %s"):format(run.dest.name, table.concat(tried, ", "))
end

local function one_volume(run, disk)
  local function find(host)
    local ok, volume = pcall(host.libvirt.volume, host.libvirt, disk.pool, disk.volume)
    if ok then return volume end
    if type(volume) ~= "table" or volume.domain ~= "libvirt" then error(volume, 0) end
    return nil, ("volume %s of pool %s is not on %s: %s")
      :format(disk.volume, disk.pool, host.name, volume.message)
  end
  local here, problem = find(run.source)
  if not here then return nil, problem end
  local there, other = find(run.dest)
  if not there then return nil, other end
  if here.path:sub(1, 1) == "/" and there.path:sub(1, 1) == "/" then
    return one_disk(run, here.path, there.path)
  end
  if here.key ~= there.key or here.source ~= there.source then
    return nil, ("volume %s of pool %s is %s of %s on %s, and %s of %s on %s")
      :format(disk.volume, disk.pool, there.key, there.source, run.dest.name,
      here.key, here.source, run.source.name)
  end
  return ("volume %s of pool %s: %s of %s on both"):format(disk.volume, disk.pool, here.key, here.source)
end

-- ---- what is only read ----

-- Such a file need not be one and the same: it must be there, as long as here.
local function is_there(run, path, there_path)
  local here, there = behind(run.source, path), behind(run.dest, there_path)
  if not here then return true end
  if not there then
    return false, ("%s is not on %s: is its storage mounted there?"):format(there_path, run.dest.name)
  end
  if here.size ~= there.size then
    return false, ("%s is another file on %s: %d bytes there, %d on %s")
      :format(path, run.dest.name, there.size, here.size, run.source.name)
  end
  return true
end

-- Media that libvirt drops on the way where they are missing (startupPolicy), so that the guest finds an
-- empty drive (https://libvirt.org/formatdomain.html).
local dropped = { optional = true, requisite = true }

-- Files that are only read: {here, there, disk (of a medium)}, …
local function read_only_files(run, disks, disks_there)
  local document, other, files = run.instance:xml(), destination.document(run), {}
  for i, disk in ipairs(disks) do
    if disk.readonly and disk.path then
      files[#files + 1] = { here = disk.path, there = disks_there[i].path or disk.path, disk = disk }
    end
    for k, path in ipairs(disk.backing) do
      files[#files + 1] = { here = path, there = disks_there[i].backing[k] or path }
    end
  end
  for _, place in ipairs { "os/kernel", "os/initrd", "os/dtb", "os/loader" } do
    local there = other:find(place)
    for i, path in ipairs(document:find(place)) do
      files[#files + 1] = { here = path, there = there[i] or path }
    end
  end
  return files
end

-- Whether such a file is there; or that it is a medium which the guest goes without, or one to be taken out.
local function file_or_medium(run, file, seen)
  local ok, problem = is_there(run, file.here, file.there)
  local disk = file.disk
  if ok or not disk or (disk.device ~= "cdrom" and disk.device ~= "floppy") then return ok, problem end
  if dropped[disk.startup] and not behind(run.dest, file.there) then
    run:warn(("%s: %s is not on %s: libvirt takes it out of the drive on the way (startupPolicy='%s')")
      :format(disk.target, file.here, run.dest.name, disk.startup))
    seen[#seen + 1] = ("%s goes along empty"):format(disk.target)
    return true
  end
  return false, ("%s; take the medium out for the move: virsh change-media %s %s --eject"):format(problem,
    run.instance.name, disk.target)
end

-- ---- the checks ----

-- there: the same disk as the destination gets it.
local function one_disk_of_any_kind(run, disk, there)
  if disk.type == "nvme" or disk.type == "vhostuser" or disk.type == "vhostvdpa" or disk.type == "dir" then
    return nil, ("it is %s's own (%s)"):format(run.source.name, disk.type)
  elseif disk.path then
    return one_disk(run, disk.path, there.path or disk.path)
  elseif disk.protocol then
    local text, problem = one_network_disk(run, disk)
    return text and ("%s %s, %s"):format(disk.protocol, disk.name or "", text),
      problem and ("%s %s: %s"):format(disk.protocol, disk.name or "", problem)
  elseif disk.pool then
    return one_volume(run, disk)
  end
  return nil, ("a disk of the type %s is not known here"):format(disk.type)
end

check.same_storage = common.there("same disks on both hosts", function(run)
  local disks, there = common.disks(run), common.disks(run, destination.document(run))
  local seen, problems, others = {}, {}, 0
  for i, disk in ipairs(disks) do
    if not (disk.readonly and disk.path) then
      local text, problem = one_disk_of_any_kind(run, disk, there[i])
      if text then
        seen[#seen + 1] = ("%s: %s"):format(disk.target, text)
      else
        problems[#problems + 1] = ("%s: %s"):format(disk.target, problem)
      end
    end
  end
  for _, file in ipairs(read_only_files(run, disks, there)) do
    local ok, problem = file_or_medium(run, file, seen)
    if ok then others = others + 1 else problems[#problems + 1] = problem end
  end
  common.refuse_all(run, problems)
  if others > 0 then
    seen[#seen + 1] = ("%d read-only file%s there too"):format(others, others == 1 and "" or "s")
  end
  return #seen > 0 and table.concat(seen, "; ") or "the guest has no disk"
end, { topic = "storage" })

-- Why libvirt calls a disk unsafe, or nil; it asks no read-only disk, and no network disk.
local function unsafe_reason(run, disk)
  local host, coherent = run.source, false
  if disk.type == "nvme" then return ("%s is an NVMe device of %s"):format(disk.target, host.name) end
  if disk.type == "file" then
    local seen = behind(host, disk.path)
    if not seen then return nil end
    local fstype = sharing.type_for_libvirt(host, seen)
    if not sharing.is_known(host, seen) then
      return ("%s lies on %s (%s), which libvirt does not recognize as shared storage")
        :format(disk.target, fstype, seen.source)
    end
    coherent = sharing.cluster_types[fstype]
  end
  local facts = host.facts.libvirt
  local drops_cache = common.at_least(facts.libvirt, "5.6.0") and common.at_least(facts.hypervisor, "4.0.0")
  local uncached = disk.cache == "none" or disk.cache == "directsync"
  if not (coherent or drops_cache or disk.shareable or uncached) then
    return ("%s has cache='%s', which libvirt %s and QEMU %s do not flush on the way (give it cache='none')")
      :format(disk.target, disk.cache or "default", facts.libvirt,
        facts.hypervisor or "of an unknown version")
  end
end

-- Where its operator knows better than libvirt (i_know=unsafe), a policy moves the guest with the flag
-- UNSAFE.
check.libvirt_calls_it_safe = common.there("libvirt calls it safe", function(run)
  local reasons, seen = {}, {}
  for _, disk in ipairs(common.disks(run)) do
    if not disk.readonly and disk.type ~= "network" then
      reasons[#reasons + 1] = unsafe_reason(run, disk)
      seen[#seen + 1] = ("%s cache='%s'"):format(disk.target, disk.cache or "default")
    end
  end
  if #reasons > 0 then
    run:refuse(table.concat(reasons, "; ")
      .. ": libvirt would call the migration unsafe. Where both hosts do share the storage, -p i_know=unsafe "
      .. "passes it, or shared_filesystems in qemu.conf (libvirt 11)")
  end
  return #seen > 0 and table.concat(seen, ", ") or "no disk that it asks about"
end, { topic = "unsafe" })

return check
