-- SPDX-License-Identifier: MIT
-- Checks of hosts as they stand: what on them is open to people it should not be open to. Each asks all hosts
-- of the run, and says no with everything that it found and the command that mends it.
local common = require "migrun.check.common"
local conf = require "migrun.conf"
local window = require "migrun.host.window"

local audit = {}

-- A file of libvirt's folder.
local function of_libvirt(host, name) return host.settings.libvirt.config .. "/" .. name end

local function text_of(host, path) return host:stat(path) and host:read(path) or "" end

-- A setting of a host's file; a file that libvirt could not read is a finding of its own.
local function setting(host, path, name, found)
  local ok, value = pcall(conf.get, text_of(host, path), name)
  if ok then return value end
  found[#found + 1] = ("%s: %s is not readable for libvirt (%s)"):format(host.name, path, value)
end

local asks = {}

-- Asks each host: ask(host, found) adds its findings and may give what it saw.
local function step(title, ask)
  asks[#asks + 1] = ask
  return common.step(title, function(run)
    local found, seen = {}, {}
    for _, host in ipairs(run.hosts) do
      local text = ask(host, found, run)
      if text then seen[#seen + 1] = ("%s: %s"):format(host.name, text) end
    end
    common.refuse_all(run, found)
    return table.concat(seen, "; ")
  end)
end

-- The files of the daemons that may serve libvirt's port, or its socket: one of all, or one for each part.
local OF_PORT = { "libvirtd.conf", "virtproxyd.conf" }
local OF_SOCKET = { "libvirtd.conf", "virtqemud.conf", "virtproxyd.conf" }

-- The first of the files that sets a name to "none".
local function without_login(host, files, name, found)
  for _, file in ipairs(files) do
    local path = of_libvirt(host, file)
    if setting(host, path, name, found) == "none" then return path end
  end
end

-- Whether any of these addresses takes a connection from another machine: a guard lets in its own host.
local function is_open_from(other, addresses)
  for _, address in ipairs(addresses) do
    if other:reach(address, { 16509 }).ports[16509].open then return true end
  end
  return false
end

-- Who listens there is asked of the port itself: a file may say what no daemon has read yet.
audit.tcp_port = step("libvirt's TCP port", function(host, found, run)
  local open = {}
  for _, address in ipairs(host.facts.addresses) do
    if host:reach(address, { 16509 }).ports[16509].open then open[#open + 1] = address end
  end
  local path = without_login(host, OF_PORT, "auth_tcp", found)
  if #host.facts.addresses == 0 then return "not known: it has no address" end
  if #open == 0 then return "closed" end
  if not path then return "open, with a login" end
  if window.is_guarded(host) and not is_open_from(run.here, open) then
    return "shut by migrun's guard; each move opens a window"
  end
  found[#found + 1] = ("%s: OPEN, anyone who reaches %s:16509 is root there (auth_tcp = \"none\", %s:%d): "
    .. "migrun prepare-host.lua %s and the other hosts, for ssh or TLS")
    :format(host.name, table.concat(open, ", "), path, conf.line(text_of(host, path), "auth_tcp"), host.name)
end)

audit.socket = step("libvirt's own socket", function(host, found)
  local path = host.settings.libvirt.socket
  local socket = path and host:stat(path)
  if not socket then return "not there" end
  local open, file = socket.mode & 2 ~= 0, without_login(host, OF_SOCKET, "auth_unix_rw", found)
  if not open or not file then
    return ("%s:%s, mode %03o%s"):format(socket.user or socket.uid, socket.group or socket.gid, socket.mode,
      open and ", and its daemon asks for a login" or "")
  end
  found[#found + 1] = ("%s: every user of it is root there by %s (mode %03o, auth_unix_rw = \"none\"): "
    .. "unix_sock_rw_perms = \"0770\" in %s"):format(host.name, path, socket.mode, file)
end)

local EVERYWHERE = { ["0.0.0.0"] = true, ["::"] = true, ["*"] = true }
local SHOWN = 3

-- A password of one guest is not told by libvirt without need; what qemu.conf demands holds for all.
local function is_guarded(host, kind, found)
  for _, name in ipairs { "_tls", "_sasl" } do
    if setting(host, of_libvirt(host, "qemu.conf"), kind .. name, found) == 1 then return true end
  end
  return (setting(host, of_libvirt(host, "qemu.conf"), kind .. "_password", found) or "") ~= ""
end

audit.consoles = step("guests' consoles", function(host, found)
  if not host.libvirt then return "not known: libvirtd does not answer" end
  local open, guarded, count = {}, 0, 0
  for _, kind in ipairs { "vnc", "spice" } do
    local closed = is_guarded(host, kind, found)
    for _, domain in ipairs(host.libvirt:domains()) do
      for _, address in ipairs(domain:xml():find(("devices/graphics[@type='%s']/@listen"):format(kind))) do
        count = count + 1
        if EVERYWHERE[address] and closed then guarded = guarded + 1 end
        if EVERYWHERE[address] and not closed then open[#open + 1] = domain.name end
      end
    end
  end
  if #open == 0 and guarded == 0 then return ("%d, none on every address"):format(count) end
  if #open == 0 then return ("%d on every address, and qemu.conf demands a login"):format(guarded) end
  local names = table.concat(open, ", ", 1, math.min(#open, SHOWN)) .. (#open > SHOWN and ", …" or "")
  found[#found + 1] = ("%s: %d console%s on every address (%s), and qemu.conf demands neither TLS nor a "
    .. "password: vnc_listen and Nova's server_listen on an address of the management network, or a firewall")
    :format(host.name, #open, #open == 1 and " listens" or "s listen", names)
end)

-- Who may read these may be the host, or whoever it is a client of.
local KEYS = {
  "/etc/pki/CA/private/cakey.pem", "/etc/pki/libvirt/private/serverkey.pem",
  "/etc/pki/libvirt/private/clientkey.pem", "/etc/pki/qemu/server-key.pem", "/etc/pki/qemu/client-key.pem",
  "/root/.ssh/id_rsa", "/root/.ssh/id_ecdsa", "/root/.ssh/id_ed25519", "/var/lib/nova/.ssh/id_rsa",
  "/var/lib/nova/.ssh/id_ecdsa", "/var/lib/nova/.ssh/id_ed25519",
}
local SECRETS = { "/etc/nova/nova.conf", "/etc/nova/nova-compute.conf", "/etc/neutron/neutron.conf" }

local function holds_secret(text)
  for line in text:gmatch("[^\r\n]+") do
    if line:find("^%s*transport_url%s*=.*:.*@") or line:find("^%s*[%w_]*password%s*=%s*%S") then
      return true
    end
  end
  return false
end

audit.files = step("keys and passwords in files", function(host, found)
  local count = 0
  local function ask(path, is_open)
    local file = host:stat(path)
    if not file or file.type ~= "file" then return end
    count = count + 1
    if is_open(file.mode) then
      found[#found + 1] = ("%s: %s can be read by every user (mode %03o): chmod o= %s")
        :format(host.name, path, file.mode, path)
    end
  end
  for _, path in ipairs(KEYS) do ask(path, function(mode) return mode & 7 ~= 0 end) end
  for _, path in ipairs(SECRETS) do
    ask(path, function(mode) return mode & 4 ~= 0 and holds_secret(host:read(path)) end)
  end
  return ("%d looked at, none open to every user"):format(count)
end)

---What is open on a host, each with the command that closes it.
---@param run Run
---@param host Host
---@return string[]
function audit.findings(run, host)
  local found = {}
  for _, ask in ipairs(asks) do ask(host, found, run) end
  return found
end

---All of them.
audit.all = { audit.tcp_port, audit.socket, audit.consoles, audit.files }

return audit
