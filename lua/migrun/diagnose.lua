-- SPDX-License-Identifier: MIT
-- From an error of libvirt or QEMU to its cause and remedy. Patterns are matched loosely, as the words change
-- with releases; the destination's QEMU log is asked first, as libvirt's own message is often only the
-- carrier of what QEMU said there.
local diagnose = {}

-- {pattern, cause, remedy}. The cause may name %d (the destination), %s (the source) and captures %1.
local known = {
  { "%-vnc ([%x%.:%[%]]+):%d+.*failed to bind socket: cannot assign requested address",
    "QEMU on %d could not listen on %1 for VNC: that address is not %d's",
    "rewrite the address on the way (policies/libvirt.lua does), or let guests listen on each host's own "
      .. "(server_listen in nova.conf)" },
  { "failed to bind socket: cannot assign requested address",
    "QEMU on %d could not listen on an address that is not %d's",
    "rewrite the address on the way (policies/libvirt.lua does), or let guests listen on each host's own "
      .. "(server_listen in nova.conf)" },
  { "failed to get \"write\" lock",
    "the disk is locked by another QEMU: the guest may be running twice",
    "stop here, and find the other QEMU before anything else (lslocks, fuser on every host that mounts the "
      .. "disk)" },
  { "unsafe migration: migration without shared storage is unsafe",
    "a disk lies on storage that libvirt does not recognize as shared",
    "mount it as a shared file system, name it in shared_filesystems of qemu.conf, or, when you know that "
      .. "it is shared, -p unsafe=true" },
  { "unsafe migration: migration may lead to data corruption",
    "a disk has a cache mode that this libvirt does not consider safe to migrate",
    "cache='none' and a hard reboot of the guest, or newer libvirt (5.6) and QEMU (4.0); -p unsafe=true "
      .. "only when you know that the storage is coherent" },
  { "could not open '([^']+)': permission denied",
    "QEMU is not allowed to open %1: it does not belong to QEMU's user",
    "restore its owner with policies/fix-ownership.lua; see dynamic_ownership and remember_owner in "
      .. "qemu.conf, and root_squash of the export" },
  { "cannot access storage file '([^']+)'",
    "%1 is not available on %d",
    "mount the storage there, or correct its owner and mode" },
  { "setting different dac user or group on ([^ ]+) which is already in use",
    "libvirt remembers another owner of %1 in the file's attributes",
    "remember_owner = 0 in qemu.conf of both hosts, where the storage is shared" },
  { "attempt to migrate guest to the same host", "both names lead to one host, or both hosts have one uuid",
    "give each host its own uuid (host_uuid in libvirtd.conf) or machine id" },
  { "guest cpu doesn't match specification: missing features: (.+)",
    "%d lacks features of the guest's CPU: %1",
    "choose a host with them; the same microcode and kernel on all, or a baseline CPU model for guests" },
  { "the cpu is incompatible with host cpu: (.+)", "the guest's CPU does not run on %d: %1",
    "choose a host with a CPU at least as new" },
  { "unknown cpu feature:? ?(.+)", "libvirt on %d does not know the CPU feature %1",
    "upgrade libvirt there" },
  { "unable to resolve address '([^']+)'", "%s cannot resolve the name %1",
    "the same names on every host, by DNS or /etc/hosts" },
  { "hostname on destination resolved to localhost", "%d calls itself localhost",
    "fix the 127.0.1.1 line of its /etc/hosts, or set migration_host in qemu.conf" },
  { "unable to connect to server at '([^']*:49[12]%d%d)'", "the migration port %1 does not let %s through",
    "open ports 49152-49215 on %d (migration_port_min and _max in qemu.conf)" },
  { "unable to connect to server at '([^']+)': (.+)", "%s cannot connect to libvirtd at %1: %2",
    "let libvirtd on %d listen there (libvirtd-tcp.socket or --listen), and look at the firewall" },
  { "unable to find an unused port in range", "%d has no free migration port",
    "free some, or widen migration_port_min and _max in qemu.conf" },
  { "authentication failed", "libvirt on %d does not let %s in",
    "check auth_tcp and the certificates of both" },
  { "only with vir_migrate_tls flag", "%d takes only encrypted migrations",
    "flags = { \"TLS\" } in the policy" },
  { "client socket is closed",
    "the connection between libvirtd on %s and on %d broke: one of them ended, or was restarted",
    "make sure that both run (systemctl status libvirtd), then try again" },
  { "keepalive timeout", "the network between %s and %d broke",
    "check the network; the guest is where the verdict says" },
  { "another migration job is already running", "another migration of this guest is under way",
    "wait for its end: virsh domjobinfo" },
  { "cannot acquire state change lock", "something else holds the guest in libvirt",
    "the message names its holder; wait, or look at that libvirtd" },
  { "cannot migrate domain with (%d+) snapshots", "the guest has %1 internal snapshots",
    "delete them, with --metadata where only libvirt's record is meant" },
  { "domain has active block job", "a block job runs on one of the guest's disks",
    "wait for its end, or abort it: virsh blockjob" },
  { "cannot migrate a domain with <hostdev", "a device of the host is passed through to the guest",
    "detach it first" },
  { "non%-migratable device '([^']+)'", "the guest's device %1 cannot be migrated", "detach it first" },
  { "invtsc", "the guest's CPU has invtsc, which ties it to its host's clock",
    "drop the feature, or name the TSC's frequency" },
  { "domain is marked for auto destroy", "the guest ends with the client that started it",
    "end that client's hold on it first" },
  { "is already defined with uuid", "%d has a definition of that name already",
    "make sure that it runs nowhere, then virsh undefine it there" },
  { "already exists with uuid", "%d has a guest of that name already",
    "find out whose it is before anything else" },
  { "target .* does not match source", "the destination's XML changes what the guest sees of its hardware",
    "a policy may change only what belongs to the host" },
  { "hook script execution failed", "the hook /etc/libvirt/hooks/qemu on %d said no",
    "run it there by hand with the guest's XML" },
  { "unknown savevm section", "QEMU on %d does not have the same devices as on %s",
    "compare the live XML of both sides, hotplugged devices above all" },
  { "machine type received is '([^']+)'", "QEMU on %d takes the machine type %1 to be another one",
    "a machine type with a version" },
  { "cannot set up guest memory", "%d does not have enough memory for it",
    "free memory there, or choose another host" },
  { "unable to map backing store", "%d does not have enough (huge) pages for it",
    "free or allocate them there" },
  { "cannot allocate memory", "%d does not have enough memory for it",
    "free memory there, or choose another host" },
  { "postcopy is not supported", "the kernel of a host does not let QEMU use userfaultfd",
    "vm.unprivileged_userfaultfd = 1 on both" },
  { "no space left on device", "%d has no space left for it", "free space there" },
  { "authentication unavailable: no polkit agent", "this user may not manage guests",
    "be in the group libvirt, or root" },
  { "end of file while reading data", "libvirtd at the other end went away",
    "its log on that host says why; is it running again?" },
  { "lost connection to destination host", "%s lost %d", "check the network and libvirtd on %d" },
  { "unable to write to socket", "the connection to QEMU on %d broke: QEMU ended there, or the network did",
    "see that host's QEMU log and its kernel's (was it short of memory?), then try again" },
  { "unable to read from socket", "the connection to QEMU on %d broke: QEMU ended there, or the network did",
    "see that host's QEMU log and its kernel's (was it short of memory?), then try again" },
  { "domain is not running", "the guest's QEMU ended on one side",
    "its log says why: /var/log/libvirt/qemu/ on both hosts" },
  { "domain is no longer running", "the guest's QEMU ended on one side",
    "its log says why: /var/log/libvirt/qemu/ on both hosts" },
}

-- Letters match in either case, so that captures keep the text's own.
for _, entry in ipairs(known) do
  entry[1] = entry[1]:gsub("(%%?)(%a)", function(escape, letter)
    return escape == "" and ("[%s%s]"):format(letter, letter:upper()) or escape .. letter
  end)
end

-- QEMU's start and end of every life; they explain nothing.
local function is_noise(text)
  return text == "" or text:find("^%d+%-%d+%-%d+ .*: starting up")
    or text:find("shutting down, reason=", 1, true) or text:find("^LC_ALL=")
    or text:find("^%u[%u_]*=") or text:find("^/[^ ]*qemu") or text:find("^%-")
    or text:find("char device redirected", 1, true)
    -- what the other end makes of an abort
    or text:find("initiating migration", 1, true) or text:find("load of migration failed", 1, true)
    -- libvirtd's own, for a reason that stands elsewhere
    or text:find("terminating on signal 15 from pid %d+ %(.*/%a+d%)")
end

local function fill(text, run, captures)
  local names = {
    d = run.dest and run.dest.name or "the destination",
    s = run.source and run.source.name or "the source",
  }
  return (text:gsub("%%([ds%d])", function(key) return names[key] or captures[tonumber(key)] or "?" end))
end

---Cause and remedy of a text, or nil when none is known.
---@param text string
---@param run Run
---@return string|nil cause
---@return string|nil remedy
function diagnose.known(text, run)
  for _, entry in ipairs(known) do
    local captures = { text:match(entry[1]) }
    if #captures > 0 then return fill(entry[2], run, captures), fill(entry[3], run, captures) end
  end
end

-- libvirt's error of this instance in the log of the source's nova-compute: Nova's API does not pass it on.
local function libvirt_error_of(run, log)
  local found, where
  for _, line in ipairs(log and log:lines() or {}) do
    local message = line.text:find(run.instance.uuid, 1, true)
      and line.text:match("Live Migration failure: (.*)$")
    if message then
      found = message:gsub(": libvirt%.libvirtError: .*$", "")
      where = ("%s:%s:%d"):format(log.host.name, log.path, line.number)
    end
  end
  return found, where
end

---The lines below the verdict: {label, text} each, with the line of the destination's QEMU log where
---it stands.
---@param run Run
---@param failure Error
---@param log Log|nil  since the migration began
---@param nova_log Log|nil  the source's nova-compute's, since then
---@return table[]
function diagnose.explain(run, failure, log, nova_log)
  local where, said
  local by_nova, carried = failure.domain == "openstack", nil
  if by_nova and failure.code == 0 then carried, where = libvirt_error_of(run, nova_log) end
  if carried then
    -- Nova said nothing of it; what libvirt said is in the log, and its carrier may be QEMU's own words.
    failure = { domain = "libvirt", message = carried, code = failure.code, said = failure.message }
  end
  for _, line in ipairs(log and failure.domain == "libvirt" and log:lines() or {}) do
    if not is_noise(line.text) then
      where, said = ("%s:%s:%d"):format(log.host.name, log.path, line.number), line.text
      if diagnose.known(line.text, run) then break end
    end
  end
  local cause, remedy
  if said then cause, remedy = diagnose.known(said, run) end
  if not cause then
    cause, remedy = diagnose.known(failure.message, run)
    if cause then said = nil end -- a line that explains nothing stands in the way of what does
  end
  local text = cause or failure.message
  if carried and not said then
    text = cause and ("%s\n  %s\n    %s"):format(cause, where, carried) or ("%s\n  %s"):format(carried, where)
  end
  if said then text = ("%s\n  %s\n    %s"):format(text, where, said) end
  local details = { { label = "Cause", text = text } }
  -- libvirt's own words, where they say more than the log's line does.
  local tail = said and said:match("qemu[^ ]*: (.*)$") or said
  if failure.said then
    details[#details + 1] = { label = "Said", text = failure.said }
  elseif cause and not (tail and failure.message:find(tail, 1, true)) then
    details[#details + 1] = { label = "Said", text = failure.message }
  end
  if remedy then details[#details + 1] = { label = "Remedy", text = remedy } end
  return details
end

return diagnose
