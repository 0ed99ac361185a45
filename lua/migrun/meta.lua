-- SPDX-License-Identifier: MIT
---@meta
-- What the core gives a policy. The editor (LuaLS) reads it; the test run checks it against the bindings.
-- Errors: every function raises a table {message, code, domain, source}; a policy that does nothing special needs no
-- error handling. Sizes are bytes, times seconds, unless said otherwise.

---@class Error  raised by every function; tostring() gives the sentence
---@field message string
---@field domain string  "libvirt", "host", "system", "xml", "command", "refused", "timeout", "interrupted", "policy", "site"
---@field code integer   libvirt's error number, errno, exit status …, by domain
---@field source string  where it comes from: a host, or file:line

---@class Run
---@field source Host|nil     where the guest is (a policy that takes no instance has none)
---@field dest Host|nil       where it shall go
---@field hosts Host[]        all hosts of this run: source and dest, or the named one
---@field here Host           the machine that migrun runs on
---@field instance Instance|nil
---@field params table<string, any>   the policy's parameters, converted by their declared types
---@field saved table         what steps share; plain data, kept in the journal
---@field preview boolean     true in a --dry-run
---@field nova Nova        Nova, with Placement and Neutron; what it is asked without credentials is an error that says so
---@field site table          the site file's values, defaults filled in (read-only)
local Run = {}
---Says no, with a reason. In a check: the other checks are still asked. Elsewhere: the step fails.
---@param reason string
function Run:refuse(reason) end
---Says something that the operator should see, and goes on.
---@param text string
function Run:warn(text) end
---One line for the operator.
---@param text string
function Run:say(text) end

---@class Host
---@field name string
---@field facts table     see src/world/agent/ops.h; .libvirt is libvirtd's own (virt_facts in src/world/libvirt.h)
---@field libvirt Libvirt its libvirtd
---@field settings table  the site's values for this host: instances, services, logs, libvirt
local Host = {}
---What a path is, not following a symbolic link: {type, mode, uid, gid, user, group, size, mtime, inode, device, links}; nil when there is nothing.
---@param path string
---@return table|nil
function Host:stat(path) end
---The bytes of a file.
---@param path string
---@return string
function Host:read(path) end
---Entries of a folder: stat's members and name, sorted by name.
---@param path string
---@return table[]
function Host:list(path) end
---Puts text into a file, atomically; owner, mode and attributes of an existing file are kept. options: {mode, user, group}
---@param path string
---@param text string
---@param options table|nil
function Host:write(path, text, options) end
---Gives the function the text (nil: no such file) and writes the text that it returns; the function is pure.
---What is returned unchanged (or nil) is not written.
---@param path string
---@param change fun(text: string|nil): string|nil
function Host:edit(path, change) end
---The same with an XML document. change: a function of the document, or {changes = {xpath, …}, apply = function(document) … end};
---a difference outside changes is refused.
---@param path string
---@param change table|fun(document: Document)
function Host:edit_xml(path, change) end
---Gives a file to user and group (names or numbers; nil: as it is). The file that was looked at is the file that is changed.
---@param path string
---@param user string|integer|nil
---@param group string|integer|nil
function Host:chown(path, user, group) end
---Gives a file another mode.
---@param path string
---@param mode integer  for example tonumber("640", 8)
function Host:chmod(path, mode) end
---Removes a file (not a folder).
---@param path string
function Host:remove(path) end
---A service by the name that the site gives it ("libvirtd") or a unit's own.
---@param name string
---@return Service
function Host:service(name) end
---Runs a command; argv is a list, there is no shell. options: {reads = true (it only reads: allowed in checks and previews), timeout = seconds (60),
---input = text, ok = true (a bad exit status is returned, not raised), undo = argv of a command that takes it back}
---@param argv string[]
---@param options table|nil
---@return {status: integer, out: string, err: string}
function Host:command(argv, options) end
---Whether ports of another host answer from here: {address, ports = {[16509] = {open, error, ms}}}
---@param other string|Host  a name or address, as this host resolves it
---@param ports integer|integer[]
---@param timeout number|nil  seconds (5)
---@return table
function Host:reach(other, ports, timeout) end
---What stands behind paths, links followed, by the server's word rather than by what the host remembers: {[path] = {type, path, size, inode,
---mtime, ctime (ns), fstype, source, target (of the mount), ids (of a block device)}}; a path where nothing is is left out.
---@param paths string[]
---@param after number|nil  seconds to wait first
---@return table<string, table>
function Host:storage(paths, after) end
---A log file, from now on.
---@param path string
---@return Log
function Host:log(path) end

---@class Service
---@field name string
local Service = {}
---active, inactive, failed or unknown
---@return string
function Service:state() end
---Starts it, where it does not run.
function Service:start() end
---Stops it.
function Service:stop() end
---Stops and starts it.
function Service:restart() end
---Waits until it is active and answers.
---@param timeout number|nil  seconds (30)
function Service:wait(timeout) end
---Stops it, calls the function, and starts it, as one transaction on its host: what edit_xml, edit and write change there meanwhile goes into
---place together, or not at all. libvirtd is stopped only where every guest will be found again (no job, monitors answer, hooks pass), and
---each must be managed afterwards by the same QEMU; else, and after any error in the function (a caught one too), the originals are put back.
---Its guard on the host does the same when migrun, its agent or the network dies, or when the function takes longer than 30 s. Files of
---libvirt's own state (/run/libvirt, /etc/libvirt/qemu) can be changed only here.
---@param change fun()
function Service:while_stopped(change) end

---@class Log
---@field path string
---@field host Host  where it lies
local Log = {}
---Lines that were written since the log was opened: {{number, text}, …}
---@return table[]
function Log:lines() end

---@class Libvirt
---@field uri string
local Libvirt = {}
---Its facts now: virt_facts of src/world/libvirt.h
---@return table
function Libvirt:facts() end
---Capabilities of the host, as a document.
---@return Document
function Libvirt:capabilities() end
---What guests can have here, as a document. What is left out is libvirt's own choice.
---@param emulator string|nil
---@param arch string|nil
---@param machine string|nil
---@param virttype string|nil
---@return Document
function Libvirt:domain_capabilities(emulator, arch, machine, virttype) end
---Whether the guest's CPU runs here: {result = "identical"|"superset"|"incompatible"|"error", message}
---@param cpu string   XML of a <cpu>
---@param emulator string|nil
---@param arch string|nil
---@param machine string|nil
---@param virttype string|nil
---@return table
function Libvirt:compare_cpu(cpu, emulator, arch, machine, virttype) end
---{total, free, buffers, cached}
---@return table
function Libvirt:memory() end
---A volume of a storage pool: {path, key, source = where the pool has it from}.
---@param pool string
---@param name string
---@return table
function Libvirt:volume(pool, name) end
---A domain by name or uuid, or nil.
---@param name string
---@return Domain|nil
function Libvirt:domain(name) end
---All that run or are defined here.
---@return Domain[]
function Libvirt:domains() end

---@class Domain
---@field name string
---@field uuid string
local Domain = {}
---State now: virt_domain of src/world/libvirt.h
---@return table
function Domain:info() end
---The XML, as a document. options: {inactive, secure, migratable, update_cpu}
---@param options table|nil
---@return Document
function Domain:xml(options) end
---Its job: virt_job of src/world/libvirt.h. completed: the last one that ended.
---@param completed boolean|nil
---@return table
function Domain:job(completed) end
---Its disks: {target, source, type, device, format, cache, capacity, allocation, physical (bytes), job: "none"|{type, …}, …}
---@return table[]
function Domain:blocks() end
---Its counters, by libvirt's names ("balloon.current", "block.0.rd.bytes", …).
---@return table<string, any>
function Domain:stats() end

---@class Instance
---@field name string    libvirt's name of the guest
---@field title string   its name in Nova, where it is Nova's; else as name
---@field uuid string
---@field facts table    virt_domain at the source, as gathered with the hosts' facts, and uid, gid, user, group, pid, files of its QEMU
local Instance = {}
---Its live XML at the source, before anything was changed (a copy).
---@return Document
function Instance:xml() end
---Path of libvirt's status XML of this guest (/run/libvirt/qemu/NAME.xml).
---@return string
function Instance:status_file() end
---Path of its definition (/etc/libvirt/qemu/NAME.xml).
---@return string
function Instance:definition_file() end
---Its folder inside the site's instances folder (by uuid, else by name), or nil.
---@return string|nil
function Instance:directory() end
---The host where it is now, by both libvirtds: in a fix-up, where the files are to be put right.
---@return Host
function Instance:host() end
---Moves it by libvirt, peer to peer, and returns when it has moved: {downtime, seconds, total}. The migrate step's alone.
---options: {xml = change of the destination's XML (as edit_xml's; made to the live one and to the definition for its next start), uri (as
---the source reaches the destination), flags = {"UNSAFE", …} (added to LIVE, PEER2PEER, PERSIST_DEST, UNDEFINE_SOURCE; "-PERSIST_DEST" takes
---one away), params = {bandwidth = …} (libvirt's names), timeout = seconds or "auto"}
---@param dest Host
---@param options table|nil
---@return table
function Instance:migrate(dest, options) end

---@class Nova  reads are asked anew each time; hosts are the run's, or Nova's names of any
---@field cloud string          as clouds.yaml has it
---@field instance table|nil    the run's instance, as it was at the start (nova_server in src/world/openstack/nova.h); nil without nova = true
local Nova = {}
---A server by id, name or libvirt name; without one the run's own, as it is now: {id, name, status, task_state, host, locked, flavor = {ram, …}, …}
---@param name string|nil
---@return table
function Nova:server(name) end
---Services, of one host or all: {{host, binary, state, status, reason, zone, forced_down}, …}
---@param host Host|string|nil
---@return table[]
function Nova:services(host) end
---The hypervisor of a compute service's host: {name, host, state, status, type, version, id, ip}
---@param host Host|string
---@return table
function Nova:hypervisor(host) end
---Live migrations of a server (of the run's own), the newest first: {{id, uuid, status, source, dest, created, updated}, …}
---@param server string|nil  its id
---@return table[]
function Nova:migrations(server) end
---Nova's own figures of a migration that runs: {status, memory_total, memory_remaining, …}
---@param migration integer
---@param server string|nil
---@return table
function Nova:progress(migration, server) end
---What became of an action, by the id of the request that began it: {action, message, events = {{event, result, host, details}, …}}
---@param request string
---@param server string|nil
---@return table
function Nova:action(request, server) end
---A resource provider of Placement (a hypervisor's name): {uuid, name, inventories = {MEMORY_MB = {total, reserved, allocation_ratio, …}, …},
---usages = {MEMORY_MB = …, …}}
---@param name string
---@return table
function Nova:provider(name) end
---What a consumer (a server; a migration, by its uuid) holds in Placement: {{name, uuid, resources}, …}
---@param consumer string|nil
---@return table[]
function Nova:allocations(consumer) end
---A server's ports in Neutron: {{id, mac, host, status, vif_type, bindings = {{host, status}, …}}, …}
---@param server string|nil
---@return table[]
function Nova:ports(server) end
---Moves the run's instance by Nova, and returns when it has moved: {downtime, seconds, total}. The migrate step's alone. dest nil: a host of
---the scheduler's choice. Watched through Nova and through libvirt's job. options: {timeout = seconds or "auto"}
---@param dest Host|nil
---@param options table|nil
---@return table
function Nova:live_migrate(dest, options) end
---Locks the run's instance in Nova; undone when the run fails.
---@param reason string|nil
function Nova:lock(reason) end
---Takes the lock off.
function Nova:unlock() end
---Asks Nova to abort a migration of the run's instance.
---@param migration integer
function Nova:abort(migration) end
---Asks Nova to complete a migration of the run's instance by force (it is paused, or goes post-copy).
---@param migration integer
function Nova:force_complete(migration) end
---Any request; GET reads, all else is a change. Returns the answer's data (nil: none) and the request id. options: {service = "compute" |
---"placement" | "network" | "identity", microversion = "2.84", timeout = seconds, undo = {method, path, body}}
---@param method string
---@param path string  from the service's endpoint on
---@param body any
---@param options table|nil
---@return any, string
function Nova:request(method, path, body, options) end

---@class Document  XML; XPath with libvirt's and Nova's namespaces (qemu:, nova:); a relative path starts at the root element
local Document = {}
---Values (attribute values, text contents) of all matches.
---@param xpath string
---@return string[]
function Document:find(xpath) end
---The first value, or nil.
---@param xpath string
---@return string|nil
function Document:get(xpath) end
---The XML of each match.
---@param xpath string
---@return string[]
function Document:fragments(xpath) end
---Sets an attribute or an element's text; returns how many.
---@param xpath string
---@param value string|number
---@return integer
function Document:set(xpath, value) end
---Adds a fragment as the last child of each match; returns how many.
---@param xpath string
---@param fragment string
---@return integer
function Document:add(xpath, fragment) end
---Removes elements or attributes; returns how many.
---@param xpath string
---@return integer
function Document:remove(xpath) end
---The whole, as it would be written.
---@return string
function Document:text() end

---@class xml   the module: local xml = require "migrun.xml"
local xml = {}
---A document of its own; what is not well-formed is an error.
---@param text string
---@return Document
function xml.parse(text) end

---@class json  local json = require "migrun.json"
local json = {}
---The JSON of plain data.
---@param value any
---@return string
function json.encode(value) end
---The data of a JSON text.
---@param text string
---@return any
function json.decode(text) end

-- A policy file returns
---@class Policy
---@field api 1
---@field summary string
---@field nova boolean|nil     its instance is Nova's: INSTANCE is a name or id in Nova, which is asked for the source; HOST may be "any"
---@field takes string[]|nil   { "instance", "host" } (default), { "instance" }, { "host" } or {}
---@field params table<string, {type: "string"|"integer"|"number"|"boolean"|"duration", default: any, help: string, choices: any[]|nil}>|nil
---@field steps Step[]
-- where each step is
---@class Step
---@field [1] string     title, unique in the policy
---@field phase "check"|"prepare"|"migrate"|"fixup"
---@field when (fun(run: Run): boolean|string|nil)|nil   false/nil: the step is left out (a string says why it is done)
---@field needs string[]|nil   titles of checks whose yes this check needs
---@field run fun(run: Run): string|nil    what it returns is what was seen, or done
---@field verify (fun(run: Run): string|nil)|nil   of a fixup: asked again at the end; what it returns stands in the verdict
