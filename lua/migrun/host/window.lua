-- SPDX-License-Identifier: MIT
-- Plain TCP without a login, for sites that must have it: a guard on each host keeps libvirt's port shut, and
-- a move opens a window in it for its two hosts, for as long as the source's libvirtd needs to connect. The
-- guard is a table of nftables which systemd loads before libvirt's port is opened (and without which it is
-- not); a window is a table of its own that marks packets of the two hosts, with a timeout in the kernel, so
-- that it shuts by itself when everybody who could shut it is dead. No rule of the site's own firewall is
-- touched: what that one drops stays dropped.
local shared = require "migrun.host.shared"

local window = {}

local PORT = 16509
local MARK = "0x6d696772"
local OPEN_SECONDS, OPEN_FOR_NOVA = 20, 60 -- which schedules first, and checks
local GUARD, UNIT = "/etc/migrun/guard.nft", "migrun-guard.service"
local UNITS = "/etc/systemd/system/"

local GUARD_TEXT = ([[
# Loaded by %s: libvirt's plain TCP is shut but for what a window of migrun lets in.
table inet migrun_guard
delete table inet migrun_guard
table inet migrun_guard {
  chain input {
    type filter hook input priority -5; policy accept;
    iif "lo" accept
    tcp dport %d ct state established accept
    tcp dport %d meta mark %s accept
    tcp dport %d reject with tcp reset
  }
}
]]):format(UNIT, PORT, PORT, MARK, PORT)

local UNIT_TEXT = ([[
[Unit]
Description=migrun's guard of libvirt's plain TCP
DefaultDependencies=no
After=local-fs.target nftables.service firewalld.service ufw.service
Before=sockets.target
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f %s
ExecReload=/usr/sbin/nft -f %s
]]):format(GUARD, GUARD) -- a stop leaves it where it is; nftables.service flushes it, and has it loaded again

-- Of what listens: it does not without the guard.
local DROP_IN = ([[
[Unit]
Wants=%s
After=%s

[%%s]
ExecStartPre=/usr/sbin/nft list table inet migrun_guard
]]):format(UNIT, UNIT)

local function is_there(host)
  return host:stat "/usr/sbin/nft" ~= nil
end

---Whether a host has a guard that was loaded. Somebody may have flushed its rules since: whoever can asks the
---port itself, from another host.
---@param host Host
---@return boolean
function window.is_guarded(host)
  return host:stat(GUARD) ~= nil and shared.state(host, UNIT) == "active"
end

---Whether a host has a guard, be it active or not.
---@param host Host
---@return boolean
function window.is_set(host) return host:stat(GUARD) ~= nil end

---Why a host cannot have a guard, or nil.
---@param host Host
---@return string|nil
function window.fault(host)
  if not is_there(host) then
    return "nftables is not installed there (apt install nftables), and without a guard nothing is opened"
  end
end

local function put(host, path, text)
  if shared.text(host, path) == text then return false end
  host:write(path, text)
  return true
end

---Sets a guard before libvirt's port: says whether anything changed.
---@param host Host
---@param known table  daemon.of
---@return boolean
function window.guard(host, known)
  local socket = known.by_sockets and known.sockets.tcp
  local listener = socket or known.ports .. ".service"
  local drop_ins = UNITS .. listener .. ".d"
  shared.folder(host, "/etc/migrun", "755")
  local changed = put(host, GUARD, GUARD_TEXT)
  changed = put(host, UNITS .. UNIT, UNIT_TEXT) or changed
  shared.folder(host, drop_ins, "755")
  changed = put(host, drop_ins .. "/migrun-guard.conf", DROP_IN:format(socket and "Socket" or "Service"))
    or changed
  if changed then host:command({ "systemctl", "daemon-reload" }, { undo = { "true" } }) end
  local guard = host:service(UNIT)
  if host:stat(UNITS .. UNIT) and (changed or shared.state(host, UNIT) ~= "active") then guard:start() end
  return changed
end

---Takes a guard that was set away, once its files are gone and nobody listens any more.
---@param host Host
function window.forget(host)
  if host:stat(GUARD) then return end
  host:command { "systemctl", "daemon-reload" }
  if is_there(host) then
    host:command { "nft", "add table inet migrun_guard; delete table inet migrun_guard" }
  end
end

-- ---- a move's own ----

local function list(addresses, is_six, seconds)
  local found = {}
  for _, address in ipairs(addresses) do
    if (address:find(":", 1, true) ~= nil) == is_six then
      found[#found + 1] = ("%s timeout %ds"):format(address, seconds)
    end
  end
  return #found > 0 and (" elements = { %s };"):format(table.concat(found, ", ")) or ""
end

local function opening(name, addresses, seconds)
  return ([[
table inet %s {
  set four { type ipv4_addr; flags timeout;%s }
  set six { type ipv6_addr; flags timeout;%s }
  chain input {
    type filter hook input priority -10; policy accept;
    tcp dport %d ip saddr @four meta mark set %s
    tcp dport %d ip6 saddr @six meta mark set %s
  }
}
]]):format(name, list(addresses, false, seconds), list(addresses, true, seconds), PORT, MARK, PORT, MARK)
end

local function goes_by_tcp(host) return host.settings.libvirt.uri:find("+tcp://", 1, true) ~= nil end

---A step of policies that move guests: opens the destination's guard for the source's libvirtd, and shuts it
---at every end. Where there is no guard it does nothing.
window.open = {
  "a window in the guard of libvirt's port",
  phase = "prepare", temporary = true,
  when = function(run) return run.dest ~= nil and goes_by_tcp(run.dest) and window.is_guarded(run.dest) end,
  run = function(run)
    local name, seconds = ("migrun_%x"):format(math.random(1, 0x7fffffff)),
      run.nova.instance and OPEN_FOR_NOVA or OPEN_SECONDS
    run.dest:command({ "nft", "-f", "-" }, { input = opening(name, run.source.facts.addresses, seconds),
      undo = { "nft", ("add table inet %s; delete table inet %s"):format(name, name) } })
    return ("%s:%d is open to %s for %d s, to connect in, and to nobody else")
      :format(run.dest.name, PORT, run.source.name, seconds)
  end,
}

---Refuses a guard that lets in another host without a window: its rules are gone.
---@param run Run
---@param host Host
function window.refuse_without_rules(run, host)
  run:refuse(("the guard of libvirt's port on %s has no rules any more (somebody flushed nftables), so that "
    .. "anyone is let in there: systemctl restart migrun-guard"):format(host.name))
end

---Says in one line which of the hosts let in anyone, and what mends it.
---@param run Run
---@param hosts Host[]
function window.warn_of_open(run, hosts)
  local open = {}
  for _, host in ipairs(hosts) do
    local libvirt_conf = host.facts.libvirt.conf or {}
    local listens = libvirt_conf.listen_tcp == 1 or goes_by_tcp(host)
    if listens and libvirt_conf.auth_tcp == "none" and not window.is_guarded(host) then
      open[#open + 1] = host.name
    end
  end
  if #open == 0 then return end
  local all = {}
  for i, host in ipairs(hosts) do all[i] = host.name end
  run:warn(("libvirtd on %s lets in anyone who reaches its TCP port, as root (auth_tcp = \"none\"): migrun "
    .. "prepare-host.lua %s"):format(table.concat(open, " and "), table.concat(all, " ")))
end

return window
