-- SPDX-License-Identifier: MIT
-- Of the parts that the guest needs from its host: secrets, an emulated TPM, firmware, ports of its own.
local common = require "migrun.check.common"
local destination = require "migrun.destination"
local sharing = require "migrun.check.sharing"
local xml = require "migrun.xml"

local check = {}

-- ---- secrets ----

-- Where a domain's XML names a secret of libvirt's, and what needs it there.
local secret_places = {
  { "devices/disk", "source/auth/secret" }, { "devices/disk", "auth/secret" },
  { "devices/disk", "source/encryption/secret" }, { "devices/disk", "encryption/secret" },
  { "devices/disk", "backingStore//secret" }, { "devices/tpm", "backend/encryption" },
  { "devices/hostdev", "source/auth/secret" },
}

-- {of = "vda", uuid, usage}, …
local function secrets_of(document)
  local all = {}
  for _, place in ipairs(secret_places) do
    for _, fragment in ipairs(document:fragments(place[1])) do
      local device = xml.parse(fragment)
      local of = device:get("target/@dev") or place[1]:match("([^/]*)$")
      for _, inner in ipairs(device:fragments(place[2])) do
        local secret = xml.parse(inner)
        local uuid, usage = secret:get("@uuid") or secret:get("@secret"), secret:get("@usage")
        if uuid or usage then all[#all + 1] = { of = of, uuid = uuid, usage = usage } end
      end
    end
  end
  return all
end

local function is_listed(secrets, wanted)
  for _, secret in ipairs(secrets) do
    if wanted.uuid and secret.uuid:lower() == wanted.uuid:lower() then return true end
    if not wanted.uuid and secret.usage == wanted.usage then return true end
  end
  return false
end

check.secrets_exist = common.there("its secrets are there", function(run)
  local dest, seen, problems = run.dest, {}, {}
  for _, secret in ipairs(secrets_of(run.instance:xml())) do
    local name = secret.uuid or ("for %s"):format(secret.usage)
    if is_listed(common.resources(run, dest, "secrets"), secret) then
      seen[#seen + 1] = ("%s: %s"):format(secret.of, name)
    else
      problems[#problems + 1] = ("%s: libvirt's secret %s is not defined on %s: virsh secret-dumpxml %s "
        .. "here, "
        .. "secret-define and secret-set-value there"):format(secret.of, name, dest.name, name)
    end
  end
  common.refuse_all(run, problems)
  return table.concat(seen, "; ") .. "; whether a value is set cannot be asked"
end, { topic = "secrets", when = function(run) return #secrets_of(run.instance:xml()) > 0 end })

-- ---- TPM ----

local SWTPM = "/var/lib/libvirt/swtpm"

-- Files in which swtpm keeps what a TPM holds, below its folder.
local function state_files(run, tpm)
  local folder = tpm:get("backend/source/@path") or ("%s/%s"):format(SWTPM, run.instance.uuid)
  return { folder .. "/tpm2/tpm2-00.permall", folder .. "/tpm1.2/tpm-00.permall", folder
    .. "/tpm2-00.permall" }
end

-- libvirt's source side removes the state once the guest has left, unless it takes the folder for shared
-- (qemuTPMEmulatorCleanupHost): on storage that is shared, and that it does not know for it, the
-- destination's own goes with it, and the guest's keys are gone at its next start.
local function removed_on_both(run, tpm)
  for _, path in ipairs(state_files(run, tpm)) do
    local here, there = run.source:storage({ path })[path], run.dest:storage({ path })[path]
    if here and there and sharing.is_same_state(here, there) and not sharing.is_known(run.source, here) then
      return ("%s is one file on both hosts, on %s, which libvirt does not take for shared: it would be "
        .. "deleted "
        .. "after the move, with the TPM's keys: shared_filesystems in qemu.conf (libvirt 11), or a file "
        .. "system "
        .. "that libvirt knows"):format(path, here.fstype)
    end
  end
end

check.tpm_can_run = common.there("its TPM can run there", function(run)
  local tpm = xml.parse(run.instance:xml():fragments("devices/tpm")[1])
  local can, dest, version = common.capabilities(run), run.dest, tpm:get("backend/@version")
  local known = #can:fragments("devices/tpm") > 0
  local models = can:find("devices/tpm/enum[@name='backendModel']/value")
  local versions = can:find("devices/tpm/enum[@name='backendVersion']/value")
  if not known then
    run:refuse(("libvirt on %s does not tell whether it can emulate a TPM"):format(dest.name))
  elseif not common.contains(models, "emulator") then
    run:refuse(("%s cannot emulate a TPM: install swtpm and swtpm-tools there, and restart libvirtd")
      :format(dest.name))
  elseif version and #versions > 0 and not common.contains(versions, version) then
    run:refuse(("%s emulates TPM %s, not %s: another swtpm is needed there"):format(dest.name,
      table.concat(versions, ", "), version))
  end
  local lost = removed_on_both(run, tpm)
  if lost then run:refuse(lost) end
  return ("%s emulates TPM %s; its state goes along"):format(dest.name, version or "2.0")
end, { topic = "tpm", when = function(run)
  return common.has(run, "devices/tpm/backend[@type='emulator']")
end })

-- ---- firmware ----

local function parent(path) return path:match("^(.+)/[^/]*$") or "/" end

-- Without the NVRAM itself, libvirt there makes a file for it, from the template that the XML or its own
-- configuration names (qemuPrepareNVRAM); the guest's variables come with it as it moves.
local function nvram_problem(run, document, loader)
  local dest, path = run.dest, document:get("os/nvram/source/@file") or document:get("os/nvram")
  if not path or path == "" or dest:stat(path) then return nil end
  local folder = dest:stat(parent(path))
  if not folder or folder.type ~= "directory" then
    return ("%s, where its NVRAM is to be, is not on %s: mkdir -p it there, as root's"):format(parent(path),
      dest.name)
  end
  local template = document:get("os/nvram/@template")
  if template then
    return not dest:stat(template) and ("the template of its NVRAM, %s, is not on %s: install the firmware's "
      .. "package there (ovmf, edk2-ovmf)"):format(template, dest.name) or nil
  end
  if not common.contains(common.capabilities(run):find("os/loader/value"), loader) then
    return ("libvirt on %s knows no NVRAM template for %s: install the firmware's package there (ovmf, "
      .. "edk2-ovmf), or set nvram in its qemu.conf"):format(dest.name, loader)
  end
end

check.firmware_exists = common.there("its firmware is there", function(run)
  local document, dest, problems = destination.document(run), run.dest, {}
  local loader = document:get("os/loader") or ""
  if loader ~= "" and not dest:stat(loader) then
    problems[1] = ("its firmware %s is not on %s: install its package there (ovmf, edk2-ovmf)"):format(loader,
      dest.name)
  end
  problems[#problems + 1] = nvram_problem(run, document, loader)
  common.refuse_all(run, problems)
  return ("%s there, too"):format(loader ~= "" and loader or "NVRAM")
end, { topic = "firmware", when = function(run)
  return common.has(run, "os/loader") or common.has(run, "os/nvram")
end })

-- ---- ports ----

-- Where a domain's XML has a port of the host's: {device, port, address}. Those that libvirt chose by itself
-- are chosen anew there.
local function port_places(document)
  local ports = {}
  local function add(device, port, address)
    port = math.tointeger(tonumber(port))
    if port and port > 0 then ports[#ports + 1] = { device = device, port = port, address = address } end
  end
  for _, fragment in ipairs(document:fragments("devices/graphics")) do
    local graphics = xml.parse(fragment)
    local kind, address = graphics:get("@type"), graphics:get("listen/@address") or graphics:get("@listen")
    if graphics:get("@autoport") ~= "yes" then
      add(kind, graphics:get("@port"), address)
      add(kind .. " (TLS)", graphics:get("@tlsPort"), address)
      add(kind .. " (websocket)", graphics:get("@websocket"), address)
    end
  end
  for _, kind in ipairs { "serial", "console", "parallel", "channel" } do
    local place = ("devices/%s[@type='tcp']/source[@mode='bind']"):format(kind)
    for _, fragment in ipairs(document:fragments(place)) do
      local source = xml.parse(fragment)
      add(kind, source:get("@service"), source:get("@host"))
    end
  end
  return ports
end

local anywhere = { ["0.0.0.0"] = true, ["::"] = true, ["*"] = true }

-- A socket of every address takes the port on each.
local function collides(wanted, listener)
  return listener.port == wanted.port and (not wanted.address or anywhere[wanted.address]
    or anywhere[listener.address] or listener.address == wanted.address)
end

local function holder(host, listener)
  for _, guest in ipairs(host.facts.guests or {}) do
    if guest.pid == listener.pid then return ("the guest %s (pid %d)"):format(guest.name, guest.pid) end
  end
  return listener.pid and ("%s (pid %d)"):format(listener.program or "a process", listener.pid)
    or ("a process (ss -tlnp 'sport = :%d' there tells which)"):format(listener.port)
end

check.ports_are_free = common.there("its ports are free there", function(run)
  local ports, numbers, seen, problems = port_places(destination.document(run)), {}, {}, {}
  for i, port in ipairs(ports) do numbers[i] = port.port end
  local listeners = run.dest:listeners(numbers)
  for _, port in ipairs(ports) do
    local taken
    for _, listener in ipairs(listeners) do
      if collides(port, listener) then taken = listener end
    end
    if taken then
      problems[#problems + 1] = ("its %s port %d is taken on %s by %s: let libvirt choose it "
        .. "(autoport='yes'), "
        .. "or free it"):format(port.device, port.port, run.dest.name, holder(run.dest, taken))
    else
      seen[#seen + 1] = ("%s %d"):format(port.device, port.port)
    end
  end
  common.refuse_all(run, problems)
  return table.concat(seen, ", ")
end, { topic = "ports", when = function(run) return #port_places(run.instance:xml()) > 0 end })

-- ---- checkpoints ----

check.checkpoints_are_known = common.step("checkpoints", function(run)
  local names = run.instance.facts.checkpoints or {}
  run:warn(("libvirt forgets its checkpoints (%s) as it moves, and keeps their bitmaps in the disks: the "
    .. "next "
    .. "incremental backup fails (Bitmap already exists). Delete them before (virsh checkpoint-delete %s "
    .. "NAME), "
    .. "and let the next backup be a full one"):format(table.concat(names, ", "), run.instance.name))
  return ("%d, which do not go along"):format(#names)
end, { when = function(run) return #(run.instance.facts.checkpoints or {}) > 0 end })

return check
