-- SPDX-License-Identifier: MIT
-- Functions that the checks share.
local xml = require "migrun.xml"

local common = {}

---A check. options: {topic: what an operator may know better (-p i_know=TOPIC), when}
function common.step(title, run, options)
  options = options or {}
  return { title, phase = "check", run = run, topic = options.topic, when = options.when }
end

---A check of the destination: it is left out where there is none yet (Nova's scheduler chooses).
function common.there(title, run, options)
  local when = options and options.when
  return common.step(title, run, { topic = options and options.topic,
    when = function(run) return run.dest ~= nil and (when == nil or when(run)) end })
end

---Whether a guest's XML has something at a place.
function common.has(run, place)
  return #run.instance:xml():fragments(place) > 0
end

---Bytes as people read them.
function common.size(bytes)
  local gib = bytes / 2 ^ 30
  if gib >= 10 then return ("%.1f GiB"):format(gib) end
  if bytes >= 2 ^ 20 or bytes == 0 then return ("%d MiB"):format(bytes // 2 ^ 20) end
  return ("%d KiB"):format((bytes + 1023) // 1024)
end

function common.contains(list, value)
  for _, entry in ipairs(list or {}) do
    if entry == value then return true end
  end
  return false
end

---Whether a version ("9.0.0") is at least another; one that is not known is not.
function common.at_least(version, wanted)
  local function numbers(text)
    local major, minor, micro = (text or ""):match("^(%d+)%.?(%d*)%.?(%d*)")
    return (tonumber(major) or 0) * 1000000 + (tonumber(minor) or 0) * 1000 + (tonumber(micro) or 0)
  end
  return numbers(version) >= numbers(wanted)
end

---Says no with all of these reasons at once; does nothing when there is none.
function common.refuse_all(run, reasons)
  if #reasons > 0 then run:refuse(table.concat(reasons, "; ")) end
end

---libvirt's own refusal as an answer; other errors are raised on.
function common.ask(run, question, ...)
  local ok, answer = pcall(question, ...)
  if ok then return answer end
  if type(answer) ~= "table" or answer.domain ~= "libvirt" then error(answer, 0) end
  run:refuse(answer.message)
end

local capabilities = setmetatable({}, { __mode = "k" }) -- by host

---What the destination's libvirt can give to guests of this one's kind: its domain capabilities, asked once.
function common.capabilities(run)
  local document, libvirt = run.instance:xml(), run.dest.libvirt
  if not capabilities[run.dest] then
    capabilities[run.dest] = common.ask(run, libvirt.domain_capabilities, libvirt,
      document:get("devices/emulator"), document:get("os/type/@arch"), document:get("os/type/@machine"),
      document:get("@type"))
  end
  return capabilities[run.dest]
end

local resources = setmetatable({}, { __mode = "k" })

---Networks, secrets or filters of a host's libvirt, asked once; refuses where it cannot list them.
function common.resources(run, host, kind)
  if not resources[host] then resources[host] = host.libvirt:resources() end
  local known = resources[host]
  if not known[kind] then
    run:refuse(("libvirt on %s does not list its %s (%s): does their daemon run there?")
      :format(host.name, kind, known.unknown and known.unknown[kind] or "unknown"))
  end
  return known[kind]
end

---A size that libvirt writes with its unit, in bytes (https://libvirt.org/formatdomain.html, KiB where none
---is
---given).
function common.bytes(number, unit)
  local factors = { b = 1, bytes = 1, kb = 1000, k = 1024, kib = 1024, mb = 10 ^ 6, m = 2 ^ 20, mib = 2 ^ 20,
    gb = 10 ^ 9, g = 2 ^ 30, gib = 2 ^ 30, tb = 10 ^ 12, t = 2 ^ 40, tib = 2 ^ 40 }
  local factor = factors[(unit or "KiB"):lower()]
  return factor and tonumber(number) and math.tointeger(tonumber(number) * factor)
end

---The guest's disks: {target, device, type, path (of a file or a device), protocol, name, pool, volume,
---readonly,
---shareable, transient, cache, format, startup (its startupPolicy), backing (files below it), document}; a
---drive
---with nothing in it is left out. document: another XML of the guest than the source's.
function common.disks(run, document)
  local disks = {}
  for _, fragment in ipairs((document or run.instance:xml()):fragments("devices/disk")) do
    local disk = xml.parse(fragment)
    local function has(element) return #disk:fragments(element) > 0 end
    local kind = disk:get("@type")
    -- A medium that was taken out leaves its source, without a file.
    local is_empty = (kind == "file" or kind == "block") and not disk:get("source/@file")
      and not disk:get("source/@dev")
    if has("source") and not is_empty then
      disks[#disks + 1] = {
        document = disk, target = disk:get("target/@dev") or "a disk", type = disk:get("@type"),
        device = disk:get("@device") or "disk", startup = disk:get("source/@startupPolicy"),
        path = disk:get("source/@file") or disk:get("source/@dev"),
        protocol = disk:get("source/@protocol"), name = disk:get("source/@name"),
        pool = disk:get("source/@pool"), volume = disk:get("source/@volume"),
        readonly = has("readonly"), shareable = has("shareable"), transient = has("transient"),
        cache = disk:get("driver/@cache"), format = disk:get("driver/@type"), backing = {},
      }
      local chain, place = disks[#disks].backing, "backingStore"
      while has(place) do -- one below the other
        for _, path in ipairs(disk:find(place .. "/source/@file")) do chain[#chain + 1] = path end
        for _, path in ipairs(disk:find(place .. "/source/@dev")) do chain[#chain + 1] = path end
        place = place .. "/backingStore"
      end
    end
  end
  return disks
end

-- A user or group of qemu.conf or of a label, by the host's own numbers: "+64055", 64055, or a name.
local function number_of(word, known)
  local number = math.tointeger(tonumber(tostring(word):match("^%+?(%d+)$")))
  if number then return number end
  local entry = known[word]
  return type(entry) == "table" and entry.uid or entry
end

---Whom QEMU runs as on a host: {user, group, uid, gid}. By the guest's own label where that is fixed, else by
---qemu.conf, else by the user that QEMU's package makes.
function common.qemu_user(host, label)
  local users, groups, conf = host.facts.users, host.facts.groups, host.facts.libvirt.conf or {}
  local own = users["libvirt-qemu"] and "libvirt-qemu" or users.qemu and "qemu" or "root"
  local user, group = conf.user or own, conf.group or groups[own] and own or users[own] and users[own].group
  if label then user, group = label:match("^(.-):(.*)$") end
  return { user = user, group = group, uid = number_of(user, users), gid = number_of(group, groups) }
end

return common
