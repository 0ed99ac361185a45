-- SPDX-License-Identifier: MIT
-- The daemon of a host that serves libvirt's ports: where its files lie, how it listens, and what has to be
-- changed for a transport. One daemon serves all (libvirtd), or one for each part, and virtproxyd serves the
-- ports (https://libvirt.org/daemons.html). With systemd's sockets it listens on those that are active, and
-- its own listen_tls and listen_tcp count for nothing; else only with --listen.
local conf = require "migrun.conf"
local shared = require "migrun.host.shared"

local daemon = {}

local OF_PORTS = { virtqemud = "virtproxyd" }
local UNIT_FOLDERS = { "/etc/systemd/system/", "/lib/systemd/system/", "/usr/lib/systemd/system/" }
local WANTS = "/etc/systemd/system/sockets.target.wants/"

local function unit_text(host, unit)
  for _, folder in ipairs(UNIT_FOLDERS) do
    local file = host:stat(folder .. unit)
    if file and file.type == "file" then return host:read(folder .. unit) end
  end
  return ""
end

-- A unit that is masked is a link to /dev/null.
local function has_unit(host, unit)
  local own = host:stat(UNIT_FOLDERS[1] .. unit)
  return (not own or own.type == "file") and unit_text(host, unit) ~= ""
end

---What is known of it: {unit, ports: the daemon that serves them, conf and qemu: files, by_sockets, sockets =
---{tls, tcp}: units, active = {tls, tcp}, enabled = {tls, tcp}, arguments = {file, name}: where --listen
---stands, where it has one}.
---@param host Host
---@return table
function daemon.of(host)
  local unit = (host.settings.services.libvirtd or {}).unit or "libvirtd"
  local ports = OF_PORTS[unit] or unit
  local config = host.settings.libvirt.config
  local found = { unit = unit, ports = ports, conf = ("%s/%s.conf"):format(config, ports),
    qemu = config .. "/qemu.conf", sockets = {}, active = {}, enabled = {} }
  found.by_sockets = shared.state(host, ports .. ".socket") == "active"
  for _, transport in ipairs { "tls", "tcp" } do
    local socket = ("%s-%s.socket"):format(ports, transport)
    found.sockets[transport] = has_unit(host, socket) and socket or nil
    found.active[transport] = found.sockets[transport] ~= nil and shared.state(host, socket) == "active"
    found.enabled[transport] = host:stat(WANTS .. socket) ~= nil
  end
  local file = unit_text(host, ports .. ".service"):match("\nEnvironmentFile=%-?(/[^\n]*)")
  found.arguments = file and { file = file, name = ports:upper() .. "_ARGS" }
  return found
end

---The texts of its files, by their paths; false: there is no such file.
---@param host Host
---@param known table
---@return table<string, string|false>
function daemon.texts(host, known)
  local texts = {}
  for _, path in ipairs { known.conf, known.qemu, known.arguments and known.arguments.file } do
    texts[path] = shared.text(host, path) or false
  end
  return texts
end

---A file of arguments with one more in it: NAME="--listen".
---@param text string
---@param name string
---@param argument string
---@return string
function daemon.with_argument(text, name, argument)
  local found, value
  for from, quoted, to in ("\n" .. text):gmatch("\n()[ \t]*" .. name .. "=([^\n]*)()") do
    found, value = { from - 1, to - 2 }, quoted:match('^"(.*)"%s*$') or quoted:match("^'(.*)'%s*$") or quoted
  end
  if found and (" " .. value .. " "):find(" " .. argument .. " ", 1, true) then return text end
  if found then
    local all = (value == "" and "" or value .. " ") .. argument
    return text:sub(1, found[1] - 1) .. ('%s="%s"'):format(name, all) .. text:sub(found[2] + 1)
  end
  return text .. ((text == "" or text:find("\n$")) and "" or "\n") .. ('%s="%s"\n'):format(name, argument)
end

---Whether anyone who reaches libvirt's TCP port is let in, as its daemon's file says.
---@param text string
---@return boolean
function daemon.is_open(text) return conf.get(text, "auth_tcp") == "none" end

---The daemon's file for a transport. Plain TCP without a login is closed, unless it is what is wanted.
---@param known table     daemon.of
---@param transport string "ssh" | "tls" | "tcp"
---@param text string
---@param keeps boolean|nil  plain TCP stays as it is: a guard keeps others away
---@return string
function daemon.configured(known, transport, text, keeps)
  if transport == "tcp" then
    text = conf.get(text, "auth_tcp") and text or conf.set(text, "auth_tcp", "none")
    return known.by_sockets and text or conf.set(text, "listen_tcp", 1)
  end
  if daemon.is_open(text) and not keeps then
    text = conf.comment_out(text, "auth_tcp")
    if conf.get(text, "listen_tcp") == 1 then text = conf.set(text, "listen_tcp", 0) end
  end
  local listens = transport == "tls" and not known.by_sockets and conf.get(text, "listen_tls") == 0
  return listens and conf.set(text, "listen_tls", 1) or text
end

---The sockets' units to start and to stop for a transport: {with, without}.
---@param known table
---@param transport string
---@param open boolean  anyone was let in by plain TCP
---@return {with: string[], without: string[]}
function daemon.sockets_for(known, transport, open)
  local change = { with = {}, without = {} }
  if not known.by_sockets then return change end
  if transport ~= "ssh" and not known.active[transport] then
    change.with[1] = known.sockets[transport]
  end
  if transport ~= "tcp" and open and known.active.tcp then change.without[1] = known.sockets.tcp end
  return change
end

return daemon
