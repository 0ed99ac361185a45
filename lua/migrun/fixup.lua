-- SPDX-License-Identifier: MIT
-- Fix-ups: steps that put right what a migration leaves behind, on the host where the guest is, after success
-- and after failure.
local network = require "migrun.network"

local fixup = {}

-- The files that the guest's XML names, by the user who writes them. Only the disk itself, never the files
-- below it (backingStore), which others share.
local qemu_files = {
  "devices/disk/source/@file", "os/nvram", "os/nvram/source/@file", "os/kernel", "os/initrd", "os/dtb",
}
local character_files = {
  "devices/serial[@type='file']/source/@path", "devices/console[@type='file']/source/@path",
  "devices/parallel[@type='file']/source/@path",
  "devices/serial/log/@file", "devices/console/log/@file", "devices/parallel/log/@file",
}

local function contains(list, value)
  for _, entry in ipairs(list or {}) do
    if entry == value then return true end
  end
  return false
end

local function is_inside(path, folder)
  return path:sub(1, #folder + 1) == folder .. "/" and not path:find("/../", 1, true)
    and not path:find("/./", 1, true)
end

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

-- Whom QEMU runs as, by libvirt's own label of the guest ("+64055:+64055"), else by the user that QEMU's
-- package makes.
local function qemu_owner(run, xml)
  local host = run.instance:host()
  local user, group = (xml:get("seclabel[@model='dac']/label") or ""):match("^(.-):(.*)$")
  if user then return { uid = id(host, user, "uid"), gid = id(host, group, "gid") } end
  for _, name in ipairs { "libvirt-qemu", "qemu" } do
    local known = host.facts.users[name]
    if known then return { uid = known.uid, gid = host.facts.groups[name] or known.gid } end
  end
  error(("cannot tell which user QEMU runs as on %s: the guest's XML has no label, and there is no user "
    .. "libvirt-qemu or qemu"):format(host.name))
end

-- A log that virtlogd writes (the default) is root's; one that QEMU writes itself is QEMU's. A QEMU that has
-- been running since before the migration tells by the file it holds open (which a preview may not see), one
-- that the migration started by its host's stdio_handler (qemu.conf).
local function qemu_writes_logs(run, path)
  local host, held = run.instance:host(), run.instance.facts.files
  if host == run.source and held then return contains(held, path) end
  return host.facts.libvirt.conf.stdio_handler == "file"
end

-- The live XML where the guest is now; in a preview it has not moved yet.
local function live_xml(run)
  if run.preview then return run.instance:xml() end
  local domain = run.instance:host().libvirt:domain(run.instance.uuid)
  return domain and domain:xml() or run.instance:xml()
end

---The files of the guest that a fix-up answers for, with the owner that libvirt gives each at a start: {path,
---uid, gid}. Only those inside the instance's own folder; those that do not exist are left out.
---@param run Run
---@return table[]
function fixup.wanted_owners(run)
  local folder = run.instance:directory()
  local wanted, seen = {}, {}
  if not folder then return wanted end
  local xml, host = live_xml(run), run.instance:host()
  local qemu = qemu_owner(run, xml)
  local function add(path, owner)
    if seen[path] or not is_inside(path, folder) then return end
    seen[path] = true
    local stat = host:stat(path)
    if stat and stat.type == "file" then
      wanted[#wanted + 1] = { path = path, name = path:sub(#folder + 2), uid = owner.uid, gid = owner.gid,
        stat = stat }
    end
  end
  for _, place in ipairs(qemu_files) do
    for _, path in ipairs(xml:find(place)) do
      local source = ("devices/disk/source[@file='%s']"):format(path)
      local label = path:find("'", 1, true) and "" or xml:get(source .. "/seclabel[@model='dac']/label") or ""
      local left_alone = not path:find("'", 1, true)
        and xml:get(source .. "/seclabel[@model='dac']/@relabel") == "no"
      local user, group = label:match("^(.-):(.*)$")
      if not left_alone then
        add(path, user and { uid = id(host, user, "uid"), gid = id(host, group, "gid") } or qemu)
      end
    end
  end
  for _, place in ipairs(character_files) do
    for _, path in ipairs(xml:find(place)) do
      add(path, qemu_writes_logs(run, path) and qemu or { uid = 0, gid = 0 })
    end
  end
  return wanted
end

local function is_right(file)
  return file.stat.uid == file.uid and file.stat.gid == file.gid
end

local function user_name(host, uid)
  for name, user in pairs(host.facts.users) do
    if user.uid == uid then return name end
  end
  return uid == 0 and "root" or tostring(uid)
end

local function owner_text(file)
  return ("%s:%s"):format(file.stat.user or file.stat.uid, file.stat.group or file.stat.gid)
end

-- The changes to make after the move, judged by the files as they are now.
local function forecast(run, files)
  local changes = {}
  for _, file in ipairs(files) do
    if file.uid ~= 0 then
      changes[#changes + 1] = ("%s → %s"):format(file.name, user_name(run.dest, file.uid))
    end
  end
  if #changes == 0 then return "no file of it lies in the instance's folder" end
  return "after the move, where libvirt leaves them to root: " .. table.concat(changes, ", ")
end

fixup.own_instance_files = {
  "own instance files",
  phase = "fixup",
  run = function(run)
    local host, files, changed = run.instance:host(), fixup.wanted_owners(run), {}
    if run.preview and run.dest then return forecast(run, files) end
    local first
    for _, file in ipairs(files) do
      if not is_right(file) then
        -- One that is refused keeps no other file from its owner.
        changed[#changed + 1] = ("%s %s → %s"):format(file.name, owner_text(file), user_name(host, file.uid))
        local done, problem = pcall(host.chown, host, file.path, file.uid, file.gid)
        if not done then first = first or problem end
      end
    end
    if first then error(first, 0) end
    if #changed > 0 then return table.concat(changed, ", ") end
    return #files == 0 and "the instance has no files of its own here" or ("%d files, owned right already")
      :format(#files)
  end,
  -- Asked again at the end: what the verdict says was seen, not assumed.
  verify = function(run)
    for _, file in ipairs(fixup.wanted_owners(run)) do
      if not is_right(file) then
        run:refuse(("%s on %s belongs to %s, and should be %s's")
          :format(file.path, run.instance:host().name, owner_text(file),
          user_name(run.instance:host(), file.uid)))
      end
    end
    return "files owned right"
  end,
}

-- Needs network.watch before the move, to have heard what was announced.
fixup.network_answers = network.answers

return fixup
