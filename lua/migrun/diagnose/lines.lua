-- SPDX-License-Identifier: MIT
-- What a line of a log says, and which of them are asked for.
local lines = {}

local REQUEST = "req%-%x%x%x%x%x%x%x%x%-%x+%-%x+%-%x+%-%x+"
lines.UUID = "%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x"

---Whether a text is a request id of OpenStack, or a uuid.
---@param text string
function lines.is_request(text) return text:find("^" .. REQUEST .. "$") ~= nil end
function lines.is_uuid(text) return text:find("^" .. lines.UUID .. "$") ~= nil end

---The request ids in a line of oslo.log, its own and the global one.
---@param text string
---@return string[]
function lines.requests(text)
  local found = {}
  for request in text:gmatch(REQUEST) do found[#found + 1] = request end
  return found
end

---Whether a text names something: a guest's name as a word of its own.
---@param text string
---@param name string|nil
function lines.names(text, name)
  local init = 1
  while name do
    local from, to = text:find(name, init, true)
    if not from then return false end
    local before, after = text:sub(from - 1, from - 1), text:sub(to + 1, to + 1)
    if not before:find("[%w_%-]") and not after:find("[%w_%-]") then return true end
    init = to + 1
  end
  return false
end

-- Programs that may write into the system's log or the journal, instead of a log of their own.
lines.LIBVIRTS = { "libvirtd", "virtqemud", "virtproxyd", "virtsecretd", "virtstoraged" }

---Whose line of the system's log or of the journal it is: "libvirt", "nova", or "system".
---@param text string
---@return string set
function lines.program_set(text)
  local program = text:match("^%S+ ([%w%-_]+)%[%d+%]: ")            -- the journal's
    or text:match("^%S+ %S+ ([%w%-_]+)%[%d+%]: ")                    -- with its host
    or text:match("^%a+ +%d+ [%d:]+ %S+ ([%w%-_]+)%[%d+%]: ")        -- syslog's
  for _, libvirts in ipairs(lines.LIBVIRTS) do
    if program == libvirts then return "libvirt" end
  end
  local part = program and program:match("^%a+")
  return (part == "nova" or part == "neutron" or part == "placement") and "nova" or "system"
end

---What is looked for in logs that are not the guest's own. A short name is in every other word: only as it is
---quoted, or between blanks.
---@param known table  {subject, uuid, name, request, migration (its uuid)}
---@return string[]
function lines.needles(known)
  local needles, seen = {}, {}
  for _, key in ipairs { "subject", "uuid", "name", "request", "migration" } do
    local text = known[key]
    if text and seen[text] then text = nil end
    if text then seen[text] = true end
    if text and #text >= 4 then
      needles[#needles + 1] = text
    elseif text then
      for _, form in ipairs { "'%s'", '"%s"', " %s ", "=%s,", "-%s." } do
        needles[#needles + 1] = form:format(text)
      end
    end
  end
  return needles
end

---The level of a line of oslo.log, or nil.
---@param text string
function lines.level(text) return text:match("^[%d%-:%. T]+ %d+ (%u+) [%w_%.%-]+ ") end

---A time in a text, as if it were UTC: "2026-11-24T03:44:59.919094Z", "2026-11-24 03:44:59.928+0000".
---@param text string
---@param init integer|nil
function lines.time_in(text, init)
  local from, _, year, month, day, hour, minute, second =
    text:find("(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d%.?%d*)", init)
  if not from then return nil end
  local days = os.time { year = year, month = month, day = day, hour = 12 } // 86400
  return days * 86400 + hour * 3600 + minute * 60 + tonumber(second), from
end

local ERROR_WORDS = { "error", "fail", "cannot", "can't", "could not", "unable", "invalid", "denied",
  "refused", "unsupported", "not support", "mismatch", "no such", "not found", "lost", "abort",
  "terminating" }

---Whether a text's words are those of an error.
---@param text string
function lines.is_error(text)
  local plain = text:lower()
  for _, word in ipairs(ERROR_WORDS) do
    if plain:find(word, 1, true) then return true end
  end
  return false
end

---Whether a line of a QEMU's log explains nothing: starts and ends of its lives, command lines of helpers,
---warnings.
---@param text string
function lines.is_noise(text)
  return text == "" or text:find("^%d+%-%d+%-%d+ .*: starting up")
    or text:find("shutting down, reason=", 1, true) or text:find("^LC_ALL=")
    or text:find("^%u[%u_]*=") or text:find("^/[^ :]+ ") or text:find("^ ?%-")
    or text:find("char device redirected", 1, true) or text:find("initiating migration", 1, true)
    -- libvirtd's own, for a reason that stands elsewhere
    or text:find("terminating on signal 15 from pid %d+ %(.*/%a+d%)")
end

---The guest whose unit a line of systemd or of the kernel names ("machine-qemu\\x2d2\\x2dweb.scope"), and the
---pid of its QEMU, where the line has one.
---@param text string
---@return string|nil name
---@return string|nil pid
function lines.unit_of(text)
  local escaped = text:match("machine%-qemu\\x2d%d+\\x2d([^%s/,]-)%.scope")
  if not escaped then return nil end
  local name = escaped:gsub("\\x(%x%x)", function(code) return string.char(tonumber(code, 16)) end)
  return name, text:match("[,%s]pid=(%d+)")
end

---Whether libvirtd says only that somebody left, which any client does, virsh or nova-compute.
---@param text string
function lines.is_idle(text) return text:find("End of file while reading data", 1, true) ~= nil end

---The message of a line without what stands before it: times, levels, names of programs and functions.
---@param text string
function lines.message(text)
  local message = text:gsub("^%S+ [%w%-_]+%[%d+%]: ", ""):gsub("^%S+ %S+ [%w%-_]+%[%d+%]: ", "")
  message = message:gsub("^%a+ +%d+ [%d:]+ %S+ [%w%-_]+%[%d+%]: ", "")
  message = message:gsub("^%d[%d%-]+[T ][%d:%.,]+[Z%+%d:]* *", "")
  message = message:gsub("^%d+: %a+ : [%w_]+:%d+ : ", ""):gsub("^qemu[^ ]*: ", "")
  message = message:gsub("^%d+ %u+ [%w_%.%-]+ ", ""):gsub("^%[[^%]]*%] ", "")
  message = message:gsub("^%[instance: [^%]]*%] *", ""):gsub("%s*%[[%w%-]+ %-?[%w%- ]*%]$", "")
  return message
end

---What is read of the logs: sets of files (see src/world/logs/search.h). own: the guest's name in libvirt.
---@param own string|nil
---@param places table|nil  {qemu, libvirtd, nova_compute}: the site's paths
---@return table[]
function lines.sets(own, places)
  local function at(path, patterns)
    if path then table.insert(patterns, 1, (path:gsub("%%s", "*")) .. "*") end
    return patterns
  end
  places = places or {}
  local sets = {}
  if own then
    local plain = own:gsub("[%[%]%*%?\\]", "\\%0")
    local paths = { "*/" .. plain .. ".log*" }
    if places.qemu then paths[2] = places.qemu:gsub("%%s", (plain:gsub("%%", "%%%%"))) .. "*" end
    sets[1] = { name = "own", all = true, paths = paths }
  end
  sets[#sets + 1] = { name = "qemu", paths = at(places.qemu, { "*/qemu/*.log*" }),
    words = { "qemu-system", "qemu-kvm", "reason=failed", "reason=crashed" } }
  sets[#sets + 1] = { name = "libvirt", words = { ": error :" },
    paths = at(places.libvirtd, { "*libvirtd*.log*", "*virtqemud*", "*virtproxyd*", "*virtlogd*" }) }
  sets[#sets + 1] = { name = "nova", words = { " ERROR ", " CRITICAL ", " TRACE ", "Skipping host" },
    without = { " DEBUG " },
    paths = at(places.nova_compute, { "*nova*.log*", "*placement*.log*", "*neutron*.log*",
      "*/openvswitch-agent.log*", "*/server.log*", "*nova-api*", "*nova-compute*" }) }
  local system = { "ut of memory", "oom-kill", "Killed process", "No space left", "I/O error", "Remounting",
    "segfault", "denied", "DENIED", "ibvirt", "virtqemud", "virtproxyd", "nova-compute.service", " ERROR ",
    "qemu", "Link is Down", "not responding" }
  sets[#sets + 1] = { name = "system", words = system, paths = { "*/syslog*", "*/messages*", "*/kern.log*",
    "*/daemon.log*", "*dmesg*", "*journalctl*", "*journal*.txt*" } }
  sets[#sets + 1] = { name = "journal", words = system, paths = {} }
  return sets
end

return lines
