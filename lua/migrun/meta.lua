-- SPDX-License-Identifier: MIT
---@meta
-- The objects and functions that migrun gives to a policy. The editor (LuaLS) reads this file, and the test
-- run checks it against the C code. Every function raises a table {message, code, domain, source} on error; a
-- policy usually needs no error handling. Sizes are in bytes and times in seconds, unless stated otherwise.

---@class Error  raised by every function; tostring() gives the sentence
---@field message string
---@field domain string  "libvirt", "host", "system", "xml", "command", "refused", "timeout", "interrupted", …
---@field code integer   libvirt's error number, errno, exit status …, by domain
---@field source string  its origin: a host, or file:line

---@class Run
---@field source Host|nil     the guest's host (nil in a policy that takes no instance)
---@field dest Host|nil       the destination
---@field hosts Host[]        all hosts of this run: source and dest, or those that were named
---@field here Host           the machine that migrun runs on
---@field instance Instance|nil
---The policy's parameters, converted to their declared types; and i_know, the topics that the operator knows
---better than a check: {storage = true}.
---@field params table<string, any>
---@field saved table         data shared by steps; plain data, kept in the journal
---@field preview boolean     true in a --dry-run
---@field nova Nova        Nova, with Placement and Neutron; without credentials every request is an error
---@field site table          the site file's values, defaults filled in (read-only)
local Run = {}
---Refuses, with a reason. In a check: the other checks still run. Elsewhere: the step fails; of a fix-up the
---verdict says why ("Moved, but its network is silent"), in the reason's words before its first colon.
---@param reason string
function Run:refuse(reason) end
---Shows the operator a warning, and goes on.
---@param text string
function Run:warn(text) end
---Shows the operator a line of text.
---@param text string
function Run:say(text) end

---@class Host
---@field name string
---@field facts table     src/world/agent/ops.h; .libvirt is libvirtd's (virt_facts in src/world/libvirt.h)
---@field libvirt Libvirt its libvirtd
---@field settings table  the site's values for this host: instances, services, logs, libvirt, nova
local Host = {}
---The state of a path, symbolic links not followed: {type, mode, uid, gid, user, group, size, mtime, inode,
---device, links}; nil if it does not exist.
---@param path string
---@return table|nil
function Host:stat(path) end
---The contents of a file.
---@param path string
---@return string
function Host:read(path) end
---The entries of a folder, sorted by name: the fields of stat, and name.
---@param path string
---@return table[]
function Host:list(path) end
---Writes a file atomically; an existing file keeps its owner, mode and attributes. options: {mode, user,
---group, secret = true (its content is not shown)}
---@param path string
---@param text string
---@param options table|nil
function Host:write(path, text, options) end
---Passes the text (nil: no such file) to the function and writes the text that it returns, unless it is nil
---or unchanged. The function must have no side effects.
---@param path string
---@param change fun(text: string|nil): string|nil
function Host:edit(path, change) end
---The same for an XML document. change: a function of the document, or {changes = {xpath, …},
---apply = function(document) … end}; a difference outside changes is refused.
---@param path string
---@param change table|fun(document: Document)
function Host:edit_xml(path, change) end
---Changes a file's user and group (names or numbers; nil: unchanged), provided that the file has not been
---replaced since it was looked at.
---@param path string
---@param user string|integer|nil
---@param group string|integer|nil
function Host:chown(path, user, group) end
---Changes a file's mode.
---@param path string
---@param mode integer  for example tonumber("640", 8)
function Host:chmod(path, mode) end
---Removes a file (not a folder).
---@param path string
function Host:remove(path) end
---A service by its name in the site file ("libvirtd"), or by its unit's name.
---@param name string
---@return Service
function Host:service(name) end
---Runs a command; argv is a list, there is no shell. options: {reads = true (it only reads: allowed in
---checks and previews), timeout = seconds (60), input = text, ok = true (return a bad exit status instead
---of raising it), undo = argv of the command that undoes it, secret = true (of its arguments and what it
---says in an error nothing is shown but the program)}
---@param argv string[]
---@param options table|nil
---@return {status: integer, out: string, err: string}
function Host:command(argv, options) end
---Whether ports of another host can be reached from this one: {address, ports = {[16509] = {open, error,
---ms}}}
---@param other string|Host  a name or address, as this host resolves it
---@param ports integer|integer[]
---@param timeout number|nil  seconds (5)
---@return table
function Host:reach(other, ports, timeout) end
---Whether the libvirtd of another host lets this one in, by its virsh and a URI as "qemu+ssh://HOST/system"
---(nothing is asked but its host name): nil when it does, or else why not.
---@param uri string
---@return string|nil
function Host:refused_by(uri) end
---Begins to listen on this host, on all its interfaces, for what guests announce: RARP and (gratuitous) ARP
---frames from these MAC addresses. It takes the place of what was listened for before.
---@param macs string[]
function Host:watch(macs) end
---What was heard since: {frames = {{mac, kind = "rarp"|"garp"|"arp", interface, out = true where this host
---sent it on there, count, first, last (epoch), vlan, address = the sender's}, …}, lost = frames that the
---kernel had no room for}. nil: nobody listens (any more, as the connection was lost meanwhile).
---@param timeout number|nil  seconds to wait at most for one more (0)
---@return table|nil
function Host:watched(timeout) end
---Begins to ask an address ten times a second whether it answers, from this host: by ICMP, or in a TCP
---session with what echoes on a port of it. Returns the address. It takes the place of who was asked before.
---@param address string
---@param port integer|nil
---@return string
function Host:ask(address, port) end
---What became of it: {address, answered = whether it has answered since this call, answers, longest = time
---between two answers, at = when that was over (epoch), error = what ended the session}. nil: nobody is asked
---(any more).
---@param timeout number|nil  seconds to wait at most for an answer (0)
---@return table|nil
function Host:answered(timeout) end
---The files and devices behind paths, links followed, as the file server has them rather than the host's
---cache: {[path] = {type, path, size, inode, mtime, ctime (ns), fstype, source, target (of the mount), ids
---(of a block device)}}; a path that does not exist is left out.
---@param paths string[]
---@param after number|nil  seconds to wait first
---@return table<string, table>
function Host:storage(paths, after) end
---Who listens on TCP ports of this host: {{address, port, pid, program}, …}; pid and program are nil where
---they may not be seen (in a preview).
---@param ports integer|integer[]
---@return table[]
function Host:listeners(ports) end
---A log file, from its present end on.
---@param path string
---@return Log
function Host:log(path) end

---@class Service
---@field name string
local Service = {}
---active, inactive, failed or unknown
---@return string
function Service:state() end
---Starts it, unless it is active. options: {timeout = seconds}; the default is the unit's own limit
---(TimeoutStartSec, TimeoutStopSec) and 10 s more, or 100 s where the site has a command for it.
---@param options table|nil
function Service:start(options) end
---Stops it. options: as start's.
---@param options table|nil
function Service:stop(options) end
---Restarts it. options: as start's.
---@param options table|nil
function Service:restart(options) end
---Waits until it is active and responds.
---@param timeout number|nil  seconds (30)
function Service:wait(timeout) end
---Stops it, calls the function, and starts it, as one transaction on its host: all edits that edit_xml, edit
---and write make there are put in place together, or none is. libvirtd is stopped only if it will find every
---guest again (no job, monitors respond, hooks succeed), and each guest must be managed by the same QEMU
---process afterwards; otherwise, and after any error in the function (even a caught one), the originals are
---restored. A watchdog on the host restores them if migrun, its agent or the network dies, or if the function
---takes longer than 30 s. Files of libvirt's own state (/run/libvirt, /etc/libvirt/qemu) can be changed only
---here. options: {with = {…}, without = {…}}: units of sockets that are started with it from now on, or not
---any more. A run that fails does not take that back by itself: a step that uses it has an undo.
---@param change fun()
---@param options table|nil
function Service:while_stopped(change, options) end

---@class Log
---@field path string
---@field host Host  its host
local Log = {}
---The lines written since the log was opened: {{number, text}, …}
---@return table[]
function Log:lines() end

---@class Libvirt
---@field uri string
local Libvirt = {}
---Its current facts: virt_facts of src/world/libvirt.h
---@return table
function Libvirt:facts() end
---Capabilities of the host, as a document.
---@return Document
function Libvirt:capabilities() end
---The capabilities of guests here, as a document. libvirt chooses what is nil.
---@param emulator string|nil
---@param arch string|nil
---@param machine string|nil
---@param virttype string|nil
---@return Document
function Libvirt:domain_capabilities(emulator, arch, machine, virttype) end
---Whether the guest's CPU can run here: {result = "identical"|"superset"|"incompatible"|"error", message}
---@param cpu string   XML of a <cpu>
---@param emulator string|nil
---@param arch string|nil
---@param machine string|nil
---@param virttype string|nil
---@return table
function Libvirt:compare_cpu(cpu, emulator, arch, machine, virttype) end
---A CPU that guests can have on all hosts whose CPUs are given: <cpu> of the host-model of a host's domain
---capabilities, each.
---@param cpus string[]
---@param arch string|nil
---@param virttype string|nil
---@return Document
function Libvirt:baseline_cpu(cpus, arch, virttype) end
---{total, free, buffers, cached}
---@return table
function Libvirt:memory() end
---A volume of a storage pool: {path, key, source = the pool's source}.
---@param pool string
---@param name string
---@return table
function Libvirt:volume(pool, name) end
---What guests refer to by name: {networks = {{name, active, bridge, forward, mtu, address, portgroups,
---devices}, …}, secrets = {{uuid, usage}, …}, filters = {name, …}, unknown = {networks|secrets|filters = why
---it
---cannot be listed}}
---@return table
function Libvirt:resources() end
---A domain by name or uuid, or nil.
---@param name string
---@return Domain|nil
function Libvirt:domain(name) end
---All domains that run or are defined here.
---@return Domain[]
function Libvirt:domains() end

---@class Domain
---@field name string
---@field uuid string
local Domain = {}
---Its current state: virt_domain of src/world/libvirt.h
---@return table
function Domain:info() end
---The XML, as a document. options: {inactive, secure, migratable, update_cpu}
---@param options table|nil
---@return Document
function Domain:xml(options) end
---Its job: virt_job of src/world/libvirt.h. completed: the last one that has ended.
---@param completed boolean|nil
---@return table
function Domain:job(completed) end
---Its disks: {target, source, type, device, format, cache, capacity, allocation, physical (bytes),
---job: "none"|{type, …}, …}
---@return table[]
function Domain:blocks() end
---Its statistics, by libvirt's names ("balloon.current", "block.0.rd.bytes", …).
---@return table<string, any>
function Domain:stats() end

---@class Instance
---@field name string    its name in libvirt
---@field title string   its name in Nova, if it is Nova's; otherwise the same as name
---@field uuid string
---@field facts table    virt_domain at the source; uid, gid, user, group, pid and files of its QEMU
local Instance = {}
---Its live XML at the source, before anything was changed (a copy).
---@return Document
function Instance:xml() end
---Path of libvirt's status XML of this guest (/run/libvirt/qemu/NAME.xml).
---@return string
function Instance:status_file() end
---Path of its definition (/etc/libvirt/qemu/NAME.xml, or where the site file has definitions).
---@return string
function Instance:definition_file() end
---Its folder inside the site's instances folder (by uuid, or by name), or nil.
---@return string|nil
function Instance:directory() end
---The host where it is now, according to both libvirtds: in a fix-up, the host to work on.
---@return Host
function Instance:host() end
---Moves it by libvirt, peer to peer, and returns when it has moved: {downtime, seconds, total}. Only in the
---migrate step. options: {xml = change of the destination's XML (as in edit_xml; applied to the live XML and
---to the definition), uri (of the destination, as seen from the source), flags = {"UNSAFE", …} (added to
---LIVE, PEER2PEER, PERSIST_DEST, UNDEFINE_SOURCE, and TLS where a host's qemu.conf has migrate_tls_force;
---"-PERSIST_DEST" removes one), params = {bandwidth = …}
---(libvirt's names), timeout = seconds or "auto"}
---@param dest Host
---@param options table|nil
---@return table
function Instance:migrate(dest, options) end

---@class Nova  every read is a new request; a host is one of the run's, or Nova's name of any host
---@field cloud string          its name in clouds.yaml
---@field instance table|nil    with nova = true: the run's instance at the start (nova_server in nova.h)
local Nova = {}
---A server by id, name or libvirt name; without a name, the current state of the run's own: {id, name,
---status, task_state, host, locked, flavor = {ram, …}, …}
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
---Live migrations of a server (of the run's own), the newest first: {{id, uuid, status, source, dest,
---created, updated}, …}
---@param server string|nil  its id
---@return table[]
function Nova:migrations(server) end
---Nova's figures of a running migration: {status, memory_total, memory_remaining, …}
---@param migration integer
---@param server string|nil
---@return table
function Nova:progress(migration, server) end
---The result of an action, by the id of the request that started it: {action, message, events = {{event,
---result, host, details}, …}}
---@param request string
---@param server string|nil
---@return table
function Nova:action(request, server) end
---A resource provider of Placement, of a host or by its own name: {uuid, name, inventories = {MEMORY_MB =
---{total, reserved, allocation_ratio, …}, …}, usages = {MEMORY_MB = …, …}}
---@param of Host|string
---@return table
function Nova:provider(of) end
---The allocations of a consumer (a server; a migration, by its uuid) in Placement: {{name, uuid, resources},
---…}
---@param consumer string|nil
---@return table[]
function Nova:allocations(consumer) end
---A server's ports in Neutron: {{id, mac, addresses, host, status, vif_type, bindings = {{host, status}, …}},
---…}
---@param server string|nil
---@return table[]
function Nova:ports(server) end
---Moves the run's instance by Nova, and returns when it has moved: {downtime, seconds, total}. Only in the
---migrate step. dest nil: the scheduler chooses the host. Watched through Nova and through libvirt's job.
---options: {timeout = seconds or "auto"}
---@param dest Host|nil
---@param options table|nil
---@return table
function Nova:live_migrate(dest, options) end
---Locks the run's instance in Nova; undone when the run fails.
---@param reason string|nil
function Nova:lock(reason) end
---Unlocks it.
function Nova:unlock() end
---Asks Nova to abort a migration of the run's instance.
---@param migration integer
function Nova:abort(migration) end
---Asks Nova to force a migration of the run's instance to complete (the guest is paused, or post-copy
---begins).
---@param migration integer
function Nova:force_complete(migration) end
---Any request; GET reads, every other method is a change. Returns the answer's data (nil: none) and the
---request id. options: {service = "compute" | "placement" | "network" | "identity", microversion = "2.84",
---timeout = seconds, undo = {method, path, body}}
---@param method string
---@param path string  relative to the service's endpoint
---@param body any
---@param options table|nil
---@return any, string
function Nova:request(method, path, body, options) end

---@class Document  XML; XPath with the prefixes qemu: and nova:; a relative path starts at the root element
local Document = {}
---The values (of attributes, texts of elements) of all matches.
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
---Sets an attribute or an element's text; returns the number of matches.
---@param xpath string
---@param value string|number
---@return integer
function Document:set(xpath, value) end
---Adds a fragment as the last child of each match; returns the number of matches.
---@param xpath string
---@param fragment string
---@return integer
function Document:add(xpath, fragment) end
---Removes elements or attributes; returns the number of matches.
---@param xpath string
---@return integer
function Document:remove(xpath) end
---The whole document, as it would be written.
---@return string
function Document:text() end

---@class xml   the module: local xml = require "migrun.xml"
local xml = {}
---Parses a document; a text that is not well-formed is an error.
---@param text string
---@return Document
function xml.parse(text) end

---@class json  local json = require "migrun.json"
local json = {}
---Encodes plain data as JSON.
---@param value any
---@return string
function json.encode(value) end
---Decodes a JSON text.
---@param text string
---@return any
function json.decode(text) end

---@class Param
---A secret's value is read from a file (-p name=@/path) or from a variable of the environment
---(-p name=env:NAME), is neither shown nor journaled, and has no default.
---@field type "string"|"integer"|"number"|"boolean"|"duration"|"secret"
---@field default any
---@field help string
---@field choices any[]|nil
---@field min number|string|nil  the least value (of integer, number and duration)
---@field max number|string|nil  the greatest

-- A policy file returns
---@class Policy
---@field api 1
---@field summary string
---@field nova boolean|nil     the instance is Nova's: INSTANCE is a name or id in Nova, HOST may be "any"
---What its arguments are: { "instance", "host" } (default), { "instance" }, { "host" }, { "hosts" }, {}, or
---{ "instance", "hosts" }: checks alone, asked of each host (first without any: run.dest is nil).
---@field takes string[]|nil
---@field audits boolean|nil   its preview ends with status 2 where a check warns: cron can ask it
---@field params table<string, Param>|nil
---@field steps (Step|Step[])[]  a list among them stands for its steps (check.all)
-- and a step is
---@class Step
---@field [1] string     title, unique in the policy
---@field phase "check"|"prepare"|"migrate"|"fixup"
---@field when (fun(run: Run): boolean|string|nil)|nil   false/nil: skip the step; a string: why it runs
---@field needs string[]|nil   titles of the checks that must pass before this check runs
---Of a check that an operator may know better about: -p i_know=TOPIC tells its refusal, and goes on.
---@field topic string|nil
---@field run fun(run: Run): string|nil    returns a description of what it found, or did
---Of a prepare step: its changes are for the time of the move, and undone at every end, also after the guest
---has moved.
---@field temporary boolean|nil
---Of a prepare step: takes back what migrun cannot undo by itself (a request, a command), once the changes
---that it can undo are undone: after a failure, and of a temporary step at every end. The step may have
---stopped half way: look before you change.
---@field undo (fun(run: Run): string|nil)|nil
---@field verify (fun(run: Run): string|nil)|nil   of a fixup: looks again, for the verdict
