-- SPDX-License-Identifier: MIT
-- Certificates for libvirt's TLS, and for QEMU's own encryption of a guest's memory on its way. They are made
-- by a small CA that lives on this machine alone, or they are the site's. Where they lie, and what is asked
-- of them: https://libvirt.org/kbase/tlscerts.html.
local conf = require "migrun.conf"
local common = require "migrun.check.common"
local daemon = require "migrun.host.daemon"
local shared = require "migrun.host.shared"
local names = require "migrun.host.names"

local tls = {}

local SOON_DAYS = 30
local DAY = 86400
local MADE = "(made in the run)\n" -- as a preview shows it

-- The files of a host: libvirtd's own, and those of QEMU.
local function paths_of(host, known)
  local text, qemu = shared.text(host, known.conf) or "", shared.text(host, known.qemu) or ""
  local folder = conf.get(qemu, "migrate_tls_x509_cert_dir") or conf.get(qemu, "default_tls_x509_cert_dir")
    or "/etc/pki/qemu"
  return {
    ca = conf.get(text, "ca_file") or "/etc/pki/CA/cacert.pem",
    cert = conf.get(text, "cert_file") or "/etc/pki/libvirt/servercert.pem",
    key = conf.get(text, "key_file") or "/etc/pki/libvirt/private/serverkey.pem",
    client_cert = "/etc/pki/libvirt/clientcert.pem", client_key = "/etc/pki/libvirt/private/clientkey.pem",
    qemu = folder,
  }
end

local function openssl(run, words, input, fails)
  local ok, answer = pcall(run.here.command, run.here, { "openssl", table.unpack(words) },
    { reads = true, input = input, ok = fails })
  if ok then return answer end
  if tostring(answer):find("No such file", 1, true) then
    error("openssl is not installed on this machine: it makes and reads certificates", 0)
  end
  error(answer, 0)
end

---What a certificate says: {issuer, names, ends: its last day, over: it has ended, soon: it ends within 30
---days}. Raises a sentence about what is none.
---@param run Run
---@param text string
---@return table
function tls.read(run, text)
  local shown = openssl(run, { "x509", "-noout", "-text" }, text, true)
  if shown.status ~= 0 then error("no certificate that openssl can read", 0) end
  local alternatives = {}
  for kind, name in shown.out:gmatch("([DI][NP][SA]?[ %a]*):([%x%w%.%-:*]+)") do
    if kind == "DNS" or kind == "IP Address" then alternatives[name:lower()] = true end
  end
  local function lasts(seconds)
    return openssl(run, { "x509", "-noout", "-checkend", tostring(seconds) }, text, true).status == 0
  end
  return { issuer = shown.out:match("Issuer:%s*([^\n]*)"), subject = shown.out:match("Subject:%s*([^\n]*)"),
    names = alternatives, ends = shown.out:match("Not After%s*:%s*([^\n]*)"), over = not lasts(0),
    soon = not lasts(SOON_DAYS * DAY) }
end

-- Every name and address by which another host may call this one.
local function wanted_names(run, host)
  local list, seen = { host.name }, { [host.name] = true }
  for _, name in ipairs { host.facts.hostname or host.name, host.facts.fqdn or host.name } do
    if not seen[name] then list[#list + 1], seen[name] = name, true end
  end
  local address = names.address(run, host)
  return list, address and { address } or {}
end

-- "c1.example.org" is one of "*.example.org", too.
local function is_for(seen, name)
  name = name:lower()
  local rest = name:match("^[^.]+(%..+)$")
  return seen.names[name] or (rest and seen.names["*" .. rest]) or false
end

-- Why a certificate is not for this host by what others call it, or nil. The site's has to be for the name by
-- which hosts call each other, as URIs have it; migrun's own is for all.
local function wrong_name(run, host, seen, is_own)
  if not is_for(seen, host.name) then return ("is not for the name %s"):format(host.name) end
  local hosts, addresses = wanted_names(run, host)
  for _, name in ipairs(is_own and hosts or {}) do
    if not is_for(seen, name) then return ("is not for the name %s"):format(name) end
  end
  for _, address in ipairs(is_own and addresses or {}) do
    local is_four = not address:find(":", 1, true) -- others are written in more than one way
    if is_four and not seen.names[address] then return ("is not for the address %s"):format(address) end
  end
end

-- All certificates of a host that are there, by their paths: libvirt's and QEMU's, of server and client.
local function each_certificate(run, host, paths, visit)
  local read = {} -- most are the same
  for _, path in ipairs { paths.cert, paths.client_cert, paths.qemu .. "/server-cert.pem",
    paths.qemu .. "/client-cert.pem" } do
    local text = shared.text(host, path)
    if text and not read[text] then
      local ok, seen = pcall(tls.read, run, text)
      read[text] = { ok and seen or nil, not ok and tostring(seen) or nil }
    end
    if text then visit(path, table.unpack(read[text], 1, 2)) end
  end
end

local function plain(text) return (text or ""):gsub("%s+", "") end

local function ca_of(run, folder)
  local path = folder .. "/cacert.pem"
  return run.here:stat(path) and run.here:read(path) or nil
end

---What a host has: {state = "none" | "ours" | "site", fault, soon, ends, missing: files of QEMU's}.
---@param run Run
---@param host Host
---@param known table   daemon.of
---@param folder string  the CA's
---@return table
function tls.of(run, host, known, folder)
  local paths = paths_of(host, known)
  local text, ca = shared.text(host, paths.cert), shared.text(host, paths.ca)
  if not text and not ca then return { state = "none" } end
  if not text or not ca then
    return { state = "site", fault = ("is not whole: %s is missing"):format(text and paths.ca or paths.cert) }
  end
  local ok, seen = pcall(tls.read, run, text)
  if not ok then return { state = "site", fault = "cannot be read: " .. tostring(seen) } end
  local own = ca_of(run, folder)
  local is_own = own ~= nil and plain(own) == plain(ca)
  local found = { state = is_own and "ours" or "site", soon = false, ends = seen.ends }
  each_certificate(run, host, paths, function(path, its)
    local other = path ~= paths.cert and (" (%s)"):format(path) or ""
    if its and its.over then found.fault = found.fault or ("has expired (%s)%s"):format(its.ends, other) end
    found.soon = found.soon or (its ~= nil and its.soon)
  end)
  found.fault = found.fault or wrong_name(run, host, seen, is_own)
  if not found.fault and found.state == "site" then
    local signer = tls.read(run, ca)
    if plain(signer.subject) ~= plain(seen.issuer) then
      found.fault = ("was made by another CA (%s) than that of %s"):format(seen.issuer, paths.ca)
    end
  end
  for _, name in ipairs { "ca-cert.pem", "server-cert.pem", "server-key.pem", "client-cert.pem",
    "client-key.pem" } do
    if not host:stat(paths.qemu .. "/" .. name) then found.missing = paths.qemu .. "/" .. name end
  end
  for _, path in ipairs { paths.key, paths.client_cert, paths.client_key } do
    if not host:stat(path) then found.missing = path end
  end
  return found
end

---Refuses where a host's certificate for libvirt has ended, warns where it soon will. Every run asks it whose
---hosts reach each other by TLS.
---@param run Run
---@param hosts Host[]
function tls.ask_dates(run, hosts)
  local over = {}
  for _, host in ipairs(hosts) do
    local renews = ("migrun prepare-host.lua %s renews it, where migrun made it"):format(host.name)
    local told = {} -- of those that are the same one is enough
    each_certificate(run, host, paths_of(host, daemon.of(host)), function(path, seen, problem)
      local text = problem and ("how long %s on %s is valid is not known: %s")
        :format(path, host.name, problem)
      if seen and seen.soon then
        text = ("the certificate %s on %s %s %s: %s"):format(path, host.name,
          seen.over and "has expired on" or "expires on", seen.ends, renews)
      end
      local of = seen or problem
      if not text or told[of] then return end
      told[of] = true
      if seen and seen.over then over[#over + 1] = text else run:warn(text) end
    end)
  end
  common.refuse_all(run, over)
end

-- Whether QEMU's user on a host may read a file, by its mode.
local function qemu_reads(host, stat)
  local qemu = common.qemu_user(host)
  return qemu.uid == 0 or qemu.uid == stat.uid and stat.mode & 256 ~= 0
    or qemu.gid == stat.gid and stat.mode & 32 ~= 0 or stat.mode & 4 ~= 0
end

-- What of QEMU's own certificates keeps it from taking, or sending, memory by TLS there, or nil. name: by
-- which the other side calls it.
local function memory_fault(run, host, files, name)
  local folder = paths_of(host, daemon.of(host)).qemu
  for _, file in ipairs(files) do
    local path = folder .. "/" .. file
    local stat = host:stat(path)
    if not stat then return ("%s is not on %s"):format(path, host.name) end
    if not qemu_reads(host, stat) then
      return ("QEMU (%s) may not read %s on %s: chgrp and chmod 640 it"):format(common.qemu_user(host).user,
        path, host.name)
    end
    local ok, seen = true, nil
    if file:find("cert", 1, true) then ok, seen = pcall(tls.read, run, host:read(path)) end
    if not ok then return ("%s on %s cannot be read: %s"):format(path, host.name, tostring(seen)) end
    if seen and seen.over then return ("%s on %s has expired on %s"):format(path, host.name, seen.ends) end
    if seen and file == "server-cert.pem" and not is_for(seen, name) then
      return ("%s on %s is not for the name %s"):format(path, host.name, name)
    end
  end
end

---Refuses where QEMU's certificates would keep a guest's memory from being encrypted on its way: missing,
---unreadable, expired, or not of the destination's name
---(https://www.qemu.org/docs/master/system/tls.html).
---@param run Run
---@param name string  by which the destination is called
function tls.ask_memory(run, name)
  local problems = {}
  problems[1] = memory_fault(run, run.dest, { "ca-cert.pem", "server-cert.pem", "server-key.pem" }, name)
  problems[#problems + 1] = memory_fault(run, run.source, { "ca-cert.pem" }, name)
  if #problems > 0 then
    run:refuse(("%s: migrun prepare-host.lua -p transport=tls %s %s puts certificates there")
      :format(table.concat(problems, "; "), run.source.name, run.dest.name))
  end
end

-- ---- making them ----

local function own_ca(run, path)
  local here = run.here
  if here:stat(path .. "/cakey.pem") then return here:read(path .. "/cacert.pem") end
  local key = openssl(run, { "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256" }).out
  local text = openssl(run, { "req", "-new", "-x509", "-key", "/dev/stdin", "-days", "3650", "-subj",
    "/CN=migrun's CA for live migration", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
    "keyUsage=critical,keyCertSign,cRLSign" }, key).out
  shared.folder(here, path, "700")
  here:write(path .. "/cakey.pem", key, { mode = tonumber("600", 8), secret = true })
  if run.preview then text = MADE end
  here:write(path .. "/cacert.pem", text, { mode = tonumber("644", 8) })
  return text
end

local function certificate(run, host, path, days)
  local hosts, addresses = wanted_names(run, host)
  local alternatives = {}
  for _, name in ipairs(hosts) do alternatives[#alternatives + 1] = "DNS:" .. name end
  for _, address in ipairs(addresses) do alternatives[#alternatives + 1] = "IP:" .. address end
  local wish = path .. "/" .. host.name .. ".cnf"
  run.here:write(wish, table.concat({ "basicConstraints = critical, CA:FALSE",
    "keyUsage = critical, digitalSignature, keyEncipherment", "extendedKeyUsage = serverAuth, clientAuth",
    "subjectAltName = " .. table.concat(alternatives, ", ") }, "\n") .. "\n")
  local key = openssl(run, { "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256" }).out
  if run.preview then return key, MADE end -- what would sign it is not there yet
  local request = openssl(run, { "req", "-new", "-key", "/dev/stdin", "-subj", "/CN=" .. host.name }, key).out
  local text = openssl(run, { "x509", "-req", "-CA", path .. "/cacert.pem", "-CAkey", path .. "/cakey.pem",
    "-set_serial", ("0x%x%07x"):format(os.time(), math.random(0, 0xfffffff)), "-days", tostring(days),
    "-extfile", wish }, request).out
  return key, text
end

---Makes a host's certificate by the CA of this machine, and puts it in its place.
---@param run Run
---@param host Host
---@param known table
---@param path string  the CA's folder
---@param days integer how long it is valid
function tls.make(run, host, known, path, days)
  local ca = own_ca(run, path)
  local key, text = certificate(run, host, path, days)
  local paths, group = paths_of(host, known), common.qemu_user(host).group
  local public, private = { mode = tonumber("644", 8) }, { mode = tonumber("600", 8), secret = true }
  local for_qemu = { mode = tonumber("640", 8), user = "root", group = group, secret = true }
  for _, file in ipairs { { paths.ca, ca, public }, { paths.cert, text, public }, { paths.key, key, private },
    { paths.client_cert, text, public }, { paths.client_key, key, private },
    { paths.qemu .. "/ca-cert.pem", ca, public }, { paths.qemu .. "/server-cert.pem", text, public },
    { paths.qemu .. "/server-key.pem", key, for_qemu }, { paths.qemu .. "/client-cert.pem", text, public },
    { paths.qemu .. "/client-key.pem", key, for_qemu } } do
    shared.folder(host, file[1]:match("^(.*)/"), "755")
    host:write(file[1], file[2], file[3])
  end
end

return tls
