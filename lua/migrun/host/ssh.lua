-- SPDX-License-Identifier: MIT
-- The way by ssh: a key of each host's root for migrations alone, which opens nothing on the other hosts but
-- libvirt's socket. libvirt runs ssh as root of the source (https://libvirt.org/uri.html, ssh transport).
local shared = require "migrun.host.shared"
local names = require "migrun.host.names"

local ssh = {}

local FOLDER = "/root/.ssh"
local KEY = FOLDER .. "/migrun_ed25519"
local USUAL = { "id_rsa", "id_ecdsa", "id_ed25519", "id_dsa" }
local HELPER = "/usr/bin/virt-ssh-helper"

function ssh.uri(host) return ("qemu+ssh://%s/system"):format(names.in_uri(host.name)) end

---Why root of one host is not let in by libvirt of another by ssh, or nil.
---@param from Host
---@param to Host
---@return string|nil
function ssh.refused(from, to) return from:refused_by(ssh.uri(to)) end

-- The public keys of a host's sshd: those that its configuration names, else sshd's own defaults.
local function host_keys(host)
  local paths, keys = {}, {}
  for path in shared.answer(host, { "sshd", "-T" }):gmatch("hostkey (%S+)") do paths[#paths + 1] = path end
  if #paths == 0 then
    for _, kind in ipairs { "ed25519", "ecdsa", "rsa" } do
      paths[#paths + 1] = ("/etc/ssh/ssh_host_%s_key"):format(kind)
    end
  end
  for _, path in ipairs(paths) do
    local text = shared.text(host, path .. ".pub")
    local kind, key = (text or ""):match("^(%S+) (%S+)")
    if kind then keys[#keys + 1] = kind .. " " .. key end
  end
  return keys
end

local function with_lines(text, lines)
  for _, line in ipairs(lines) do
    if not ("\n" .. text .. "\n"):find("\n" .. line .. "\n", 1, true) then
      text = text .. ((text == "" or text:find("\n$")) and "" or "\n") .. line .. "\n"
    end
  end
  return text
end

-- A file of root's ssh; a new one is root's alone.
local function add_lines(host, name, lines)
  local path = FOLDER .. "/" .. name
  local text = shared.text(host, path)
  local new = with_lines(text or "", lines)
  if new ~= text then host:write(path, new, not text and { mode = tonumber("600", 8) } or nil) end
end

local in_preview = {} -- keys that a preview has said would be made

local function public_key(run, host)
  if not host:stat(KEY) and not in_preview[host.name] then
    shared.folder(host, FOLDER, "700")
    host:command({ "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "migrun " .. host.name, "-f", KEY },
      { undo = { "rm", "-f", KEY, KEY .. ".pub" } })
    in_preview[host.name] = run.preview
  end
  if in_preview[host.name] then return "ssh-ed25519 (made-in-the-run) migrun " .. host.name end
  return (host:read(KEY .. ".pub"):gsub("%s+$", ""))
end

-- A server's command: nothing of what the client asks for is run.
local function command_of(host)
  if host:stat(HELPER) then return HELPER .. " qemu:///system" end
  return "nc -U " .. host.settings.libvirt.socket
end

---Lets root of one host reach libvirt of another, and nothing else there.
---@param run Run
---@param from Host
---@param to Host
function ssh.let_in(run, from, to)
  local key, address = public_key(run, from), names.address(run, to)
  local known = {}
  for _, server_key in ipairs(host_keys(to)) do
    known[#known + 1] = ("%s,%s %s"):format(to.name, address, server_key)
  end
  if #known == 0 then error(("sshd on %s has no public key that could be read"):format(to.name), 0) end
  add_lines(from, "known_hosts", known)
  local options = { ("Host %s %s"):format(to.name, address) }
  for _, name in ipairs(USUAL) do -- a key that is named takes the place of the usual ones
    local usual = FOLDER .. "/" .. name
    if from:stat(usual) then options[#options + 1] = "    IdentityFile " .. usual end
  end
  options[#options + 1] = "    IdentityFile " .. KEY
  local block = table.concat(options, "\n")
  local text = shared.text(from, FOLDER .. "/config")
  if not ("\n" .. (text or "")):find("\n" .. block .. "\n", 1, true) then
    from:write(FOLDER .. "/config", block .. "\n" .. (text or ""),
      not text and { mode = tonumber("600", 8) } or nil)
  end
  shared.folder(to, FOLDER, "700")
  add_lines(to, "authorized_keys", { ('restrict,from="%s",command="%s" %s')
    :format(table.concat(from.facts.addresses, ","), command_of(to), key) })
end

return ssh
