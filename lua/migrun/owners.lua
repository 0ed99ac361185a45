-- SPDX-License-Identifier: MIT
-- Whose the guest's files are, and whose they should be: libvirt gives them to QEMU's user at a start, and
-- the side that lets go of the guest takes them back (libvirt's src/security/security_dac.c). Only files are
-- asked for: a block device is its host's own, and libvirt gives it to QEMU there at each start.
local sharing = require "migrun.check.sharing"
local xml = require "migrun.xml"

local owners = {}

-- Beside the disks: the files that the guest's XML names. What QEMU only reads is looked at in the instance's
-- folder alone; elsewhere others share it.
local others = {
  { "os/nvram" }, { "os/nvram/source/@file" }, { "devices/memory[@model='nvdimm']/source/path" },
  { "os/kernel", is_read = true }, { "os/initrd", is_read = true }, { "os/dtb", is_read = true },
}
for _, device in ipairs { "serial", "console", "parallel", "channel" } do
  others[#others + 1] = { ("devices/%s[@type='file']/source/@path"):format(device), is_log = true }
  others[#others + 1] = { ("devices/%s/log/@file"):format(device), is_log = true }
end

local function contains(list, value)
  for _, entry in ipairs(list or {}) do
    if entry == value then return true end
  end
  return false
end

-- ---- users ----

-- A number of a label ("+64055") or a name of it as the host's number.
local function id(host, word, kind)
  if word:sub(1, 1) == "+" then return math.tointeger(tonumber(word:sub(2))) end
  local user = host.facts.users[word]
  local number = math.tointeger(tonumber(word)) or (kind == "gid" and host.facts.groups[word])
    or (kind == "uid" and user and user.uid)
  if number then return number end
  error(("the number of the %s %s, which the guest's XML names, is not known on %s")
    :format(kind == "gid" and "group" or "user", word, host.name))
end

local function by_label(host, label)
  local user, group = (label or ""):match("^(.-):(.*)$")
  return user and { uid = id(host, user, "uid"), gid = id(host, group, "gid") }
end

-- Whom QEMU runs as, by libvirt's own label of the guest ("+64055:+64055"), else by qemu.conf, else by the
-- user that QEMU's package makes.
local function qemu_owner(host, document)
  local owner = by_label(host, document:get("seclabel[@model='dac']/label"))
  if owner then return owner end
  local users, groups, conf = host.facts.users, host.facts.groups, host.facts.libvirt.conf
  for _, name in ipairs { conf.user or "libvirt-qemu", conf.user or "qemu" } do
    local known = users[name]
    if known then return { uid = known.uid, gid = groups[conf.group or name] or known.gid } end
  end
  error(("cannot tell which user QEMU runs as on %s: the guest's XML has no label, and there is no user %s")
    :format(host.name, conf.user or "libvirt-qemu or qemu"))
end

-- The groups of a user beside its own, as libvirt gives them to QEMU.
local function is_member(host, uid, gid)
  for name, user in pairs(host.facts.users) do
    if user.uid == uid then
      if user.gid == gid then return true end
      local text = host:stat("/etc/group") and host:read("/etc/group") or ""
      for number, members in text:gmatch("[^:\n]*:[^:\n]*:(%d+):([^\n]*)") do
        if tonumber(number) == gid and ("," .. members .. ","):find("," .. name .. ",", 1, true) then
          return true
        end
      end
    end
  end
  return false
end

-- Whether who should own a file can open it as it is, by its mode.
local function can_open(host, file)
  local stat, needed = file.stat, file.is_read and 4 or 6
  local shift = file.uid == stat.uid and 6
    or (file.gid == stat.gid or is_member(host, file.uid, stat.gid)) and 3 or 0
  return file.uid == 0 or (stat.mode >> shift) & needed == needed
end

-- ---- what the guest's XML names ----

-- Why libvirt touches no file of the guest on a host, or nil. A `none` without a model is the first security
-- driver's; there is another label then, where that is not DAC.
local function left_alone(host, document)
  local function has(place) return #document:fragments(place) > 0 end
  if host.facts.libvirt.conf.dynamic_ownership == 0 then
    return ("dynamic_ownership = 0 on %s"):format(host.name)
  elseif has("seclabel[@model='dac'][@relabel='no']") then
    return "relabel='no' in the guest's XML"
  elseif has("seclabel[@model='dac'][@type='none']")
    or has("seclabel[@type='none'][not(@model)]") and not has("seclabel[@model='dac']") then
    return "seclabel type='none' in the guest's XML"
  end
end

local function path_of(host, disk)
  local path = disk:get("source/@file")
  local pool, volume = disk:get("source/@pool"), disk:get("source/@volume")
  if path or not volume then return path end
  local ok, found = pcall(host.libvirt.volume, host.libvirt, pool, volume)
  if ok then return found.path:sub(1, 1) == "/" and found.path or nil end
  return ("volume %s of pool %s"):format(volume, pool)
end

-- Every file that the XML names, once: {path, is_read, is_log, owner (nil: QEMU's), alone (why libvirt leaves
-- it alone)}. Of a disk only the disk itself, never the files below it (backingStore), which others share.
local function named(host, document)
  local files, seen = {}, {}
  local function add(path, file)
    if not path or seen[path] then return end
    seen[path], file.path = true, path
    files[#files + 1] = file
  end
  for _, fragment in ipairs(document:fragments("devices/disk")) do
    local disk = xml.parse(fragment)
    local label, is_read = "source/seclabel[@model='dac']", #disk:fragments("readonly") > 0
    local alone = disk:get(label .. "/@relabel") == "no" and "relabel='no' of the disk" or nil
    add(path_of(host, disk), { is_read = is_read, alone = alone,
      owner = not alone and by_label(host, disk:get(label .. "/label")) or nil })
    add(disk:get("source/dataStore/source/@file"), { is_read = is_read, alone = alone })
  end
  for _, other in ipairs(others) do
    for _, path in ipairs(document:find(other[1])) do
      add(path, { is_read = other.is_read, is_log = other.is_log })
    end
  end
  return files
end

-- A log that virtlogd writes (the default) is root's; one that QEMU writes itself is QEMU's. A QEMU that has
-- been running since before the migration tells by the file it holds open (which a preview may not see), one
-- that the migration started by its host's stdio_handler (qemu.conf).
local function qemu_writes_logs(run, path)
  local host, held = run.instance:host(), run.instance.facts.files
  if host == run.source and held then return contains(held, path) end
  return host.facts.libvirt.conf.stdio_handler == "file"
end

-- ---- what there is ----

-- The live XML where the guest is now; in a preview it has not moved yet.
local function live_xml(run)
  if run.preview then return run.instance:xml() end
  local domain = run.instance:host().libvirt:domain(run.instance.uuid)
  return domain and domain:xml() or run.instance:xml()
end

local function is_inside(path, folder)
  return folder ~= nil and path:sub(1, #folder + 1) == folder .. "/"
end

-- Whose a file should be, and what state it is in: "right", "open" (another's, but who should own it can open
-- it), "held" (QEMU held it open, on storage where nobody has changed its owner since: all_squash, access
-- control lists), "wrong".
local function judge(run, file)
  local host, stat = run.instance:host(), file.stat
  if stat.uid == file.uid and stat.gid == file.gid then return "right" end
  if can_open(host, file) then return "open" end
  -- From storage that libvirt knows for shared a guest departs without its disks' owners being changed.
  local is_held = contains(run.instance.facts.files, file.real) and sharing.is_known(host, file.behind)
  return is_held and stat.uid ~= 0 and "held" or "wrong"
end

---The guest's files where it is now: {path, name (in the instance's folder, or the path), real (links
---followed), stat, uid, gid (whose it should be), state ("right", "open", "held" or "wrong")}, and what keeps
---migrun from changing it: alone (why libvirt leaves it as it is; then it has no uid, gid and state), outside
---(it lies outside the instance's folder, or a link leads out of it), unseen (nothing but path is known).
---@param run Run
---@return table[]
function owners.files(run)
  local host, folder, document = run.instance:host(), run.instance:directory(), live_xml(run)
  local all_alone = left_alone(run.preview and run.dest or host, document)
  local list, files, paths = {}, named(host, document), { folder }
  for _, file in ipairs(files) do paths[#paths + 1] = file.path:sub(1, 1) == "/" and file.path or nil end
  local seen = #paths > 0 and host:storage(paths) or {}
  local home = folder and seen[folder] and seen[folder].path
  local qemu
  for _, file in ipairs(files) do
    local behind = seen[file.path]
    file.alone = all_alone or file.alone
    file.unseen = not behind
    local is_of_here = behind and is_inside(behind.path, home)
    if behind and behind.type == "file" and (is_of_here or not file.is_read) then
      file.real, file.behind, file.outside = behind.path, behind, not is_of_here
      file.name = is_of_here and behind.path:sub(#home + 2)
        or file.path .. (file.path ~= behind.path and (" (→ %s)"):format(behind.path) or "")
      file.stat = host:stat(file.real)
    end
    if file.stat and not file.alone then
      qemu = qemu or qemu_owner(host, document)
      local owner = file.owner or qemu
      if file.is_log and not qemu_writes_logs(run, file.real) then owner = { uid = 0, gid = 0 } end
      file.uid, file.gid = owner.uid, owner.gid
      file.state = judge(run, file)
    end
    if file.stat or file.unseen and not file.is_read and not file.is_log then list[#list + 1] = file end
  end
  return list
end

---"libvirt-qemu:libvirt-qemu", or numbers where the host has no name for them.
---@param host Host
---@param uid integer
---@param gid integer
---@return string, string  the user's name, and both
function owners.name(host, uid, gid)
  local user, group = uid == 0 and "root" or tostring(uid), gid == 0 and "root" or tostring(gid)
  for name, known in pairs(host.facts.users) do
    if known.uid == uid then user = name end
  end
  for name, number in pairs(host.facts.groups) do
    if number == gid then group = name end
  end
  return user, user .. ":" .. group
end

return owners
