-- SPDX-License-Identifier: MIT
-- A compute host's nova.conf for live migration: which Nova it runs, which of its files counts, and what that
-- release wants there. Sources: the release notes and option help of Nova (nova/conf/libvirt.py, vnc.py,
-- imagecache.py), oslo.config's cfg.py for the files.
local common = require "migrun.check.common"
local ini = require "migrun.ini"
local shared = require "migrun.host.shared"

local contains = common.contains
local nova = {}

local FOLDER = "/etc/nova/" -- as nova-compute sees it
local PACKAGES = { "/usr/lib/python3/dist-packages", "/usr/lib/python3.6/site-packages",
  "/usr/lib/python3.9/site-packages", "/usr/lib/python3.12/site-packages",
  "/usr/lib/python2.7/dist-packages", "/usr/lib/python2.7/site-packages" }

-- nova-compute's command line, as it runs there, or "".
local function running_on(host)
  return shared.answer(host, { "pgrep", "-a", "-f", "(^|/)nova-compute( |$)" }):match("[^\n]*")
end

-- The first number of Nova's version: 26 for Zed. Those of 2013.1 to 2015.1 are from before 12 (Liberty). One
-- that runs from a folder of its own is asked itself.
local function release_of(host, running)
  local program = (running .. " "):match("(/%S*/nova%-compute) ")
  local is_packaged = program == nil or program:find("^/usr/s?bin/") ~= nil
  for _, folder in ipairs(is_packaged and PACKAGES or {}) do
    for _, entry in ipairs(host:stat(folder) and host:list(folder) or {}) do
      local version = entry.name:match("^nova%-(%d[%d.]*).*%.%a+%-info$")
      if version then return tonumber(version:match("^%d+")), version end
    end
  end
  local version = shared.answer(host, { program or "nova-compute", "--version" }):match("%d+%.%d+[%d.]*")
  return version and tonumber(version:match("^%d+")), version
end

-- The files that nova-compute reads, in its order: those that its command line names, else oslo's defaults.
-- In a container they lie in another folder of the host (the site file's nova.config).
local function chain_of(host, running)
  local folder = host.settings.nova.config .. "/"
  local function there(path)
    return path:sub(1, #FOLDER) == FOLDER and folder .. path:sub(#FOLDER + 1) or path
  end
  local files = {}
  local function add(path)
    path = there(path)
    if host:stat(path) then files[#files + 1] = path end
  end
  local function add_folder(path)
    path = there(path):gsub("/+$", "")
    for _, entry in ipairs(host:stat(path) and host:list(path) or {}) do
      if entry.name:find("%.conf$") then add(path .. "/" .. entry.name) end
    end
  end
  for option, path in running:gmatch("%-%-config%-(%a+)[= ](%S+)") do
    if option == "file" then add(path) elseif option == "dir" then add_folder(path) end
  end
  if #files == 0 then
    for _, name in ipairs { "nova", "nova-compute" } do add(FOLDER .. name .. ".conf") end
    for _, name in ipairs { "nova", "nova-compute" } do add_folder(FOLDER .. name .. ".conf.d") end
  end
  return files
end

---The Nova of a host: {release, version, files: in the order in which they are read, runs}; nil: it has none.
---Raises a sentence about a file that oslo could not read.
---@param host Host
---@return table|nil
function nova.of(host)
  local running = running_on(host)
  local files = chain_of(host, running)
  if #files == 0 then return nil end
  local release, version = release_of(host, running)
  if not release then
    error(("%s has %s, and its Nova does not tell its version (nova-compute --version)")
      :format(host.name, files[1]), 0)
  end
  if release > 2000 then release = 11 end
  local known = { release = release, version = version, files = files, texts = {},
    runs = running ~= "" }
  for _, path in ipairs(files) do
    if host:stat(path).type ~= "file" then
      error(("%s on %s is a link or no file, and migrun writes through none: put the file itself there")
        :format(path, host.name), 0)
    end
    known.texts[path] = host:read(path)
    local ok, problem = pcall(ini.get, known.texts[path], "DEFAULT", "host")
    if not ok then error(("%s on %s: %s"):format(path, host.name, problem), 0) end
  end
  return known
end

-- Older names of an option: {section, key, the last release that reads it}, and the first that knows the name
-- of today.
local OLDER = {
  ["vnc.server_listen"] = { since = 16, { "vnc", "vncserver_listen", 20 },
    { "DEFAULT", "vncserver_listen", 20 } },
  ["vnc.server_proxyclient_address"] = { since = 16, { "vnc", "vncserver_proxyclient_address", 20 },
    { "DEFAULT", "vncserver_proxyclient_address", 20 } },
  ["vnc.enabled"] = { since = 12, { "DEFAULT", "vnc_enabled", 99 } },
  ["image_cache.manager_interval"] = { since = 21, { "DEFAULT", "image_cache_manager_interval", 99 } },
}

-- The names that a release reads, the newest first.
local function names_of(known, section, key)
  local older = OLDER[section .. "." .. key] or { since = 0 }
  local names = { known.release >= older.since and { section, key } or nil }
  for _, name in ipairs(older) do
    if known.release <= name[3] then names[#names + 1] = name end
  end
  return names
end

---Where the value of an option that counts stands: {path, section, key, value}, or nil. The last file counts
---first, and in each of them the newer name.
---@param known table  nova.of
---@param section string
---@param key string
---@return table|nil
function nova.find(known, section, key)
  local places = names_of(known, section, key)
  for i = #known.files, 1, -1 do
    local path = known.files[i]
    for _, place in ipairs(places) do
      local value = ini.get(known.texts[path], place[1], place[2])
      if value then return { path = path, section = place[1], key = place[2], value = value } end
    end
  end
end

local function value_of(known, section, key)
  local found = nova.find(known, section, key)
  return found and found.value
end

local function is_true(value)
  local word = value and value:lower()
  return word == "true" or word == "1" or word == "yes" or word == "on"
end

local function is_false(value)
  local word = value and value:lower()
  return word == "false" or word == "0" or word == "no" or word == "off"
end

-- What a set of texts becomes, and a sentence about it.
local function set(plan, section, key, value)
  local found = nova.find(plan.known, section, key)
  local path = found and found.path or plan.known.files[1]
  section, key = table.unpack(found and { found.section, found.key } or names_of(plan.known, section, key)[1])
  if found and (found.value == value or (is_true(found.value) and value == "True")) then return end
  plan.known.texts[path] = ini.set(plan.known.texts[path], section, key, value)
  plan.said[#plan.said + 1] = ("[%s] %s = %s"):format(section, key, value)
end

local function unset(plan, section, key)
  local found = nova.find(plan.known, section, key)
  while found do
    plan.known.texts[found.path] = ini.unset(plan.known.texts[found.path], found.section, found.key)
    plan.said[#plan.said + 1] = ("[%s] %s taken away"):format(found.section, found.key)
    found = nova.find(plan.known, section, key)
  end
end

local function note(plan, text) plan.notes[#plan.notes + 1] = text end

-- How the source's libvirtd reaches the destination's, and whether QEMU encrypts what goes to the other's.
local function plan_transport(plan, transport, encrypts)
  local release = plan.known.release
  if release >= 17 then -- Queens (Pike has the scheme, and does not heed it everywhere); a URI counts more
    unset(plan, "libvirt", "live_migration_uri")
    local scheme = value_of(plan.known, "libvirt", "live_migration_scheme")
    if not (transport == "tcp" and scheme == nil) then -- tcp is what there is without it
      set(plan, "libvirt", "live_migration_scheme", transport)
    end
    if encrypts and release >= 20 then -- Train
      set(plan, "libvirt", "live_migration_with_native_tls", "True")
    elseif is_true(value_of(plan.known, "libvirt", "live_migration_with_native_tls")) then
      set(plan, "libvirt", "live_migration_with_native_tls", "False")
    end
    -- A stream in libvirt's own connection and QEMU's own encryption exclude each other.
    if encrypts and is_true(value_of(plan.known, "libvirt", "live_migration_tunnelled")) then
      set(plan, "libvirt", "live_migration_tunnelled", "False")
    end
  else
    local section = release >= 12 and "libvirt" or "DEFAULT"
    set(plan, section, "live_migration_uri", ("qemu+%s://%%s/system"):format(transport))
  end
end

local FLAGS = "VIR_MIGRATE_UNDEFINE_SOURCE, VIR_MIGRATE_PEER2PEER, VIR_MIGRATE_LIVE"

local function plan_flags(plan)
  local section = nova.find(plan.known, "DEFAULT", "live_migration_flag") and "DEFAULT" or "libvirt"
  local found = nova.find(plan.known, section, "live_migration_flag")
  local has_unsafe = found and found.value:find("UNSAFE", 1, true)
  if plan.known.release >= 15 then -- Ocata sets them itself
    if found then
      note(plan, ("[%s] live_migration_flag is not read by Nova %s, which sets the flags itself%s")
        :format(section, plan.known.version, has_unsafe and "; UNSAFE is left out" or ""))
    end
  elseif has_unsafe or (plan.known.release < 13 and not (found and found.value:find("LIVE", 1, true))) then
    set(plan, found and section or plan.known.release >= 12 and "libvirt" or "DEFAULT", "live_migration_flag",
      FLAGS)
    if has_unsafe then
      note(plan, "UNSAFE is left out: with it a disk that the other host caches is moved without a word")
    end
  end
end

-- Caches of the host that keep a disk from being moved safely.
local function plan_cache(plan)
  local modes = value_of(plan.known, "libvirt", "disk_cachemodes")
  if not modes then return end
  local changed = modes:gsub("(%a+)=(%a+)", function(source, mode)
    local is_cached = mode ~= "none" and mode ~= "directsync"
    if source ~= "network" and is_cached then return source .. "=none" end
  end)
  if changed ~= modes then set(plan, "libvirt", "disk_cachemodes", changed) end
end

local EVERYWHERE = { ["0.0.0.0"] = true, ["::"] = true }

-- Since Juno the destination's address goes into the guest's XML there.
local function plan_console(plan, host, address)
  if plan.known.release < 12 then
    set(plan, "DEFAULT", "vncserver_listen", "0.0.0.0")
    set(plan, "DEFAULT", "vncserver_proxyclient_address", address)
    note(plan, "this Nova does not give a guest the destination's address, so consoles listen on every one")
    return
  end
  if is_false(value_of(plan.known, "vnc", "enabled")) then return end
  local own = value_of(plan.known, "DEFAULT", "my_ip")
  own = contains(host.facts.addresses, own) and own or address
  for _, key in ipairs { "server_listen", "server_proxyclient_address" } do
    local value = value_of(plan.known, "vnc", key)
    local is_own = value == "$my_ip" or contains(host.facts.addresses, value)
    if not is_own then
      if EVERYWHERE[value] then
        note(plan, ("%s is left out of %s: this Nova gives a guest the destination's own address")
          :format(value, key))
      end
      set(plan, "vnc", key, own)
    end
  end
end

-- What stands there and is read no more.
local function note_unread(plan)
  for _, older in pairs(OLDER) do
    for _, name in ipairs(older) do
      for _, path in ipairs(plan.known.files) do
        if plan.known.release > name[3] and ini.get(plan.known.texts[path], name[1], name[2]) then
          note(plan, ("[%s] %s is not read by Nova %s"):format(name[1], name[2], plan.known.version))
        end
      end
    end
  end
  table.sort(plan.notes)
end

-- 0 was "never" once, and is "as often as you like" since Kilo.
local function plan_images(plan)
  local interval = value_of(plan.known, "image_cache", "manager_interval")
  if plan.known.release >= 12 and interval == "0" then
    set(plan, "image_cache", "manager_interval", "-1")
    note(plan, "0 is the default rate for this Nova, and -1 is never")
  elseif plan.known.release < 12 and not interval then
    set(plan, "DEFAULT", "image_cache_manager_interval", "0")
  end
end

---Whether nova-compute reaches its own libvirtd by plain TCP (connection_uri), so that the port cannot be
---closed.
---@param known table
---@return boolean
function nova.needs_tcp(known)
  local uri = value_of(known, "libvirt", "connection_uri")
  return uri ~= nil and uri:find("+tcp://", 1, true) ~= nil
end

---What a host's files become: {files = {{path, text}, …} (those that change), said: what is set, notes: what
---is left alone and why}.
---@param host Host
---@param known table      nova.of; its texts are changed
---@param transport string
---@param address string   the host's own, of the network that the other hosts reach
---@param encrypts boolean QEMU is to encrypt the guest's memory: qemu.conf has migrate_tls_force
---@return table
function nova.plan(host, known, transport, address, encrypts)
  local before = {}
  for path, text in pairs(known.texts) do before[path] = text end
  local plan = { known = known, said = {}, notes = {}, files = {} }
  plan_transport(plan, transport, encrypts)
  plan_flags(plan)
  plan_cache(plan)
  plan_console(plan, host, address)
  plan_images(plan)
  note_unread(plan)
  for _, path in ipairs(known.files) do
    if known.texts[path] ~= before[path] then
      plan.files[#plan.files + 1] = { path = path, text = known.texts[path] }
    end
  end
  return plan
end

return nova
