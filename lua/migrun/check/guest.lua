-- SPDX-License-Identifier: MIT
-- Of the guest itself: whether it runs, and whether everything that it has can move.
local common = require "migrun.check.common"
local xml = require "migrun.xml"
local step = common.step

local check = {}

local function since(started)
  if not started then return "running" end
  local format = os.time() - started < 20 * 3600 and "%H:%M" or "%Y-%m-%d %H:%M"
  return "running since " .. os.date(format, math.floor(started))
end

check.guest_is_running = step("guest is running", function(run)
  local guest = run.instance.facts
  if guest.state == "shut off" or guest.state == "crashed" then
    run:refuse(("it is %s (%s): only a running guest can be live-migrated; start it, or migrate it cold")
      :format(guest.state, guest.reason))
  elseif guest.state == "paused" then
    run:refuse(("it is paused (%s): find out who paused it and why, then virsh resume %s")
      :format(guest.reason, guest.name))
  elseif guest.state ~= "running" then
    run:refuse(("it is %s (%s)"):format(guest.state, guest.reason))
  end
  if type(guest.job) == "table" then
    run:refuse(("a job runs on it already (%s): wait for its end (virsh domjobinfo %s)")
      :format(guest.job.operation, guest.name))
  end
  return since(guest.started) .. ", no job"
end)

check.no_block_jobs = step("no block job", function(run)
  local blocks, jobs = run.source.libvirt:domain(run.instance.uuid):blocks(), {}
  for _, block in ipairs(blocks) do
    if type(block.job) == "table" then
      jobs[#jobs + 1] = ("disk %s has a block job (%s): wait for its end, or abort it (virsh blockjob %s %s)")
        :format(block.target, block.job.type, run.instance.name, block.target)
    end
  end
  common.refuse_all(run, jobs)
  return ("%d disk%s, none is copied, committed or backed up"):format(#blocks, #blocks == 1 and "" or "s")
end)

check.no_snapshots = step("no snapshot", function(run)
  local count, name = run.instance.facts.snapshots or 0, run.instance.name
  if count > 0 then
    run:refuse(("libvirt knows %d snapshot%s of it, and moves no guest with snapshots: virsh snapshot-list "
      .. "%s; virsh snapshot-delete --metadata %s NAME makes libvirt forget one and keeps its data")
      :format(count, count == 1 and "" or "s", name, name))
  end
  return "libvirt knows none"
end)

-- A device with <teaming type='transient'> is unplugged by QEMU for the move, and its virtio partner carries
-- on.
local function is_teamed(device) return device:get("teaming/@type") == "transient" end

local function address_of(device)
  local parts = {}
  for _, part in ipairs { "domain", "bus", "slot", "function" } do
    local number = tonumber(device:get("source/address/@" .. part))
    if number then parts[#parts + 1] = number end
  end
  if #parts == 4 then return (" %04x:%02x:%02x.%x"):format(table.unpack(parts)) end
  local uuid, vendor, product = device:get("source/address/@uuid"), device:get("source/vendor/@id"),
    device:get("source/product/@id")
  return uuid and " " .. uuid or vendor and (" %s:%s"):format(vendor, product) or ""
end

check.no_host_devices = step("no device of the host", function(run)
  local document, found, teamed = run.instance:xml(), {}, 0
  for _, place in ipairs { "devices/hostdev", "devices/interface[@type='hostdev']",
    "devices/interface[@type='vdpa']" } do
    for _, fragment in ipairs(document:fragments(place)) do
      local device = xml.parse(fragment)
      local kind = place == "devices/hostdev" and (device:get("@type") or device:get("@mode"))
        or device:get("@type") .. " interface"
      if is_teamed(device) then teamed = teamed + 1 else found[#found + 1] = kind .. address_of(device) end
    end
  end
  if #found > 0 then
    run:refuse(("it uses %s of %s, which stays there: detach it for the move (virsh detach-device), or "
      .. "pair a network card with a virtio one (<teaming type='transient'>); a site whose devices can "
      .. "migrate leaves this check out"):format(table.concat(found, ", "), run.source.name))
  end
  return teamed > 0 and ("%d, unplugged by QEMU for the move"):format(teamed) or "it uses none"
end, { topic = "devices" })

-- Image formats whose drivers in QEMU block a migration.
local fixed_formats = { qcow = true, vdi = true, vhdx = true, vmdk = true, vpc = true }

local function disk_reasons(run, reasons)
  for _, disk in ipairs(common.disks(run)) do
    if disk.transient then
      reasons[#reasons + 1] = ("disk %s is transient: what the guest wrote to it would be lost")
        :format(disk.target)
    end
    if fixed_formats[disk.format] then
      reasons[#reasons + 1] = (
        "disk %s is a %s image, which QEMU cannot hand over: convert it (qemu-img convert -O qcow2)")
        :format(disk.target, disk.format)
    end
  end
end

local function share_reasons(document, reasons)
  for _ in ipairs(document:fragments("devices/filesystem/driver[@type='virtiofs']")) do
    reasons[#reasons + 1] = "it has a folder of the host by virtiofs: unmount it in the guest and detach it"
  end
  for _, fragment in ipairs(document:fragments("devices/shmem")) do
    local shmem = xml.parse(fragment)
    if shmem:get("@role") ~= "master" then
      reasons[#reasons + 1] = ("shared memory %s stays on the host: only one with role='master' goes along")
        :format(shmem:get("@name") or "")
    end
  end
end

local function board_reasons(document, reasons)
  if #document:fragments("devices/tpm/backend[@type='passthrough']") > 0 then
    reasons[#reasons + 1] = "it uses the host's own TPM, which stays there"
  end
  if #document:fragments("launchSecurity") > 0 then
    reasons[#reasons + 1] = ("its memory is sealed to the host's processor (launchSecurity %s)")
      :format(document:get("launchSecurity/@type") or "")
  end
  if #document:fragments("cpu/feature[@name='invtsc'][@policy='require']") > 0
    and #document:find("clock/timer[@name='tsc']/@frequency") == 0 then
    reasons[#reasons + 1] = "its CPU has invtsc and its clock no frequency: add <timer name='tsc' "
      .. "frequency='…'/>, or take invtsc away"
  end
end

check.devices_can_move = step("its devices can move", function(run)
  local document, reasons = run.instance:xml(), {}
  disk_reasons(run, reasons)
  share_reasons(document, reasons)
  board_reasons(document, reasons)
  common.refuse_all(run, reasons)
  for _, fragment in ipairs(document:fragments("devices/filesystem")) do
    local share = xml.parse(fragment)
    run:warn(("the guest must not have %s (9p) mounted: QEMU moves no guest that has")
      :format(share:get("target/@dir") or "a folder of the host"))
  end
  return "no transient disk, shared folder or memory, TPM of the host, or fixed image"
end, { topic = "devices" })

local function nvram_text(document, run)
  local path = document:get("os/nvram/source/@file") or document:get("os/nvram")
  if not path or path == "" then return nil end
  local there = run.dest.facts.storage[path]
  return there and ("NVRAM is on both hosts (%s)"):format(path)
    or ("what its NVRAM holds goes along, into a new file on %s; %s stays on %s")
    :format(run.dest.name, path, run.source.name)
end

check.what_goes_along = common.there("what goes along", function(run)
  local document, guest, told = run.instance:xml(), run.instance.facts, {}
  told[1] = guest.persistent and "its definition"
    or "no definition: it is transient, and libvirt forgets it when it stops"
  if guest.autostart then
    told[#told + 1] = ("autostart, which migrun sets on %s after the move"):format(run.dest.name)
  end
  if guest.persistent and guest.updated then
    told[#told + 1] = "definition and running guest differ: its next start there takes the definition"
  end
  told[#told + 1] = nvram_text(document, run)
  return table.concat(told, "; ")
end)

return check
