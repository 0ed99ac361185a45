-- SPDX-License-Identifier: MIT
---@meta
-- The objects and functions that migrun gives to a policy. The editor (LuaLS) reads this file, and the test
-- run checks it against the C code; `migrun check` looks through a policy by it. Every function raises a
-- table {message, code, domain, source} on error; a policy usually needs no error handling. Sizes are in
-- bytes and times in seconds, unless stated otherwise. @changes: what a check may not call (unless: but for a
-- command that reads, or a GET); @migrates: what only a step of the phase migrate may call.

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
---@field facts HostFacts what was seen of it at the start
---@field libvirt Libvirt its libvirtd
---@field settings HostSettings  the site's values for this host
local Host = {}
---The state of a path, symbolic links not followed; nil if it does not exist.
---@param path string
---@return Stat|nil
function Host:stat(path) end
---The contents of a file.
---@param path string
---@return string
function Host:read(path) end
---The entries of a folder, sorted by name.
---@param path string
---@return Entry[]
function Host:list(path) end
---Writes a file atomically; an existing file keeps its owner, mode and attributes.
---@param path string
---@param text string
---@param options WriteOptions|nil
---@changes
function Host:write(path, text, options) end
---Passes the text (nil: no such file) to the function and writes the text that it returns, unless it is nil
---or unchanged. The function must have no side effects.
---@param path string
---@param change fun(text: string|nil): string|nil
---@changes
function Host:edit(path, change) end
---The same for an XML document.
---@param path string
---@param change XmlChange|fun(document: Document)
---@changes
function Host:edit_xml(path, change) end
---Changes a file's user and group (names or numbers; nil: unchanged), provided that the file has not been
---replaced since it was looked at.
---@param path string
---@param user string|integer|nil
---@param group string|integer|nil
---@changes
function Host:chown(path, user, group) end
---Changes a file's mode.
---@param path string
---@param mode Mode
---@changes
function Host:chmod(path, mode) end
---Removes a file (not a folder).
---@param path string
---@changes
function Host:remove(path) end
---A service by its name in the site file ("libvirtd"), or by its unit's name.
---@param name string
---@return Service
function Host:service(name) end
---Runs a command; argv is a list, there is no shell.
---@param argv string[]
---@param options CommandOptions|nil
---@return {status: integer, out: string, err: string}
---@changes unless reads
function Host:command(argv, options) end
---Whether ports of another host can be reached from this one.
---@param other string|Host  a name or address, as this host resolves it
---@param ports integer|integer[]
---@param timeout number|nil  seconds (5)
---@return {address: string, ports: table<integer, {open: boolean, error: string|nil, ms: integer}>}
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
---What was heard since, and how many frames the kernel had no room for. nil: nobody listens (any more, as the
---connection was lost meanwhile).
---@param timeout number|nil  seconds to wait at most for one more (0)
---@return {frames: Frame[], lost: integer}|nil
function Host:watched(timeout) end
---Begins to ask an address ten times a second whether it answers, from this host: by ICMP, or in a TCP
---session with what echoes on a port of it. Returns the address. It takes the place of who was asked before.
---@param address string
---@param port integer|nil
---@return string
function Host:ask(address, port) end
---What became of it: answered = whether it has answered since this call, longest = time between two answers,
---at = when that was over (epoch), error = what ended the session. nil: nobody is asked (any more).
---@param timeout number|nil  seconds to wait at most for an answer (0)
---@return Answers|nil
function Host:answered(timeout) end
---The files and devices behind paths, links followed, as the file server has them rather than the host's
---cache, by path; a path that does not exist is left out.
---@param paths string[]
---@param after number|nil  seconds to wait first
---@return table<string, Behind>
function Host:storage(paths, after) end
---Who listens on TCP ports of this host; pid and program are nil where they may not be seen (in a preview).
---@param ports integer|integer[]
---@return {address: string, port: integer, pid: integer|nil, program: string|nil}[]
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
---Starts it, unless it is active.
---@param options ServiceOptions|nil
---@changes
function Service:start(options) end
---Stops it.
---@param options ServiceOptions|nil
---@changes
function Service:stop(options) end
---Restarts it.
---@param options ServiceOptions|nil
---@changes
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
---here. A run that fails does not take the options' sockets back by itself: a step that uses them has an
---undo.
---@param change fun()
---@param options StopOptions|nil
---@changes
function Service:while_stopped(change, options) end

---@class Log
---@field path string
---@field host Host  its host
local Log = {}
---The lines written since the log was opened.
---@return {number: integer, text: string}[]
function Log:lines() end

---@class Libvirt
---@field uri string
local Libvirt = {}
---Its current facts.
---@return LibvirtFacts
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
---Whether the guest's CPU can run here: result is identical, superset, incompatible or error.
---@param cpu string   XML of a <cpu>
---@param emulator string|nil
---@param arch string|nil
---@param machine string|nil
---@param virttype string|nil
---@return {result: string, message: string|nil}
function Libvirt:compare_cpu(cpu, emulator, arch, machine, virttype) end
---A CPU that guests can have on all hosts whose CPUs are given: <cpu> of the host-model of a host's domain
---capabilities, each.
---@param cpus string[]
---@param arch string|nil
---@param virttype string|nil
---@return Document
function Libvirt:baseline_cpu(cpus, arch, virttype) end
---The memory of the host.
---@return {total: integer, free: integer, buffers: integer|nil, cached: integer|nil}
function Libvirt:memory() end
---A volume of a storage pool; source is the pool's.
---@param pool string
---@param name string
---@return {path: string, key: string, source: string|nil}
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
---Its current state.
---@return DomainFacts
function Domain:info() end
---The XML, as a document.
---@param options XmlOptions|nil
---@return Document
function Domain:xml(options) end
---Its job, by libvirt's names: {type = "none", "bounded", "unbounded", "completed", "failed" or "cancelled",
---operation, data_total, memory_remaining, downtime, …}. completed: the last one that has ended.
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
---@field facts InstanceFacts  of its domain at the source, and its QEMU
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
---Moves it by libvirt, peer to peer, and returns when it has moved. Only in the migrate step.
---@param dest Host
---@param options MigrateOptions|nil
---@return Moved
---@migrates
function Instance:migrate(dest, options) end

---@class Nova  every read is a new request; a host is one of the run's, or Nova's name of any host
---@field cloud string          its name in clouds.yaml
---@field instance Server|nil   with nova = true: the run's instance at the start
local Nova = {}
---A server by id, name or libvirt name; without a name, the current state of the run's own.
---@param name string|nil
---@return Server
function Nova:server(name) end
---Services, of one host or all.
---@param host Host|string|nil
---@return ComputeService[]
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
---Moves the run's instance by Nova, and returns when it has moved. Only in the migrate step. dest nil: the
---scheduler chooses the host. Watched through Nova and through libvirt's job.
---@param dest Host|nil
---@param options LiveMigrateOptions|nil
---@return Moved
---@migrates
function Nova:live_migrate(dest, options) end
---Locks the run's instance in Nova; undone when the run fails.
---@param reason string|nil
---@changes
function Nova:lock(reason) end
---Unlocks it.
---@changes
function Nova:unlock() end
---Asks Nova to abort a migration of the run's instance.
---@param migration integer
---@changes
function Nova:abort(migration) end
---Asks Nova to force a migration of the run's instance to complete (the guest is paused, or post-copy
---begins).
---@param migration integer
---@changes
function Nova:force_complete(migration) end
---Any request; GET reads, every other method is a change. Returns the answer's data (nil: none) and the
---request id.
---@param method string
---@param path string  relative to the service's endpoint
---@param body any
---@param options RequestOptions|nil
---@return any, string
---@changes unless GET
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

-- ---- what is seen of hosts and guests, as plain data ----

---@class HostFacts
---@field hostname string
---@field fqdn string
---@field machine_id string
---@field boot_id string
---@field time number  its clock at the beginning, and
---@field told number  at the end of what it told
---@field clock {asked: number, answered: number}  when it was asked, by migrun's own clock
---@field kernel string
---@field os string
---@field arch string
---@field units table<string, {state: string, pid: integer|nil}>  the site's services, by their units
---@field addresses string[]  no loopback, no link-local
---@field own_addresses string[]  those that its own name has in /etc/hosts
---@field interfaces Interface[]
---@field gnutls string|nil  "3.7.9"
---@field mounts {target: string, source: string, fstype: string}[]
---@field memory HostMemory
---@field nodes NumaNode[]
---@field cpu HostCpu
---@field users table<string, {uid: integer, gid: integer, group: string|nil}>  those of libvirt and QEMU
---@field groups table<string, integer>
---@field instances {path: string, fstype: string, source: string, device: integer, inode: integer}|nil
---@field guests Guest[]  the QEMU processes
---@field libvirt LibvirtFacts
---@field storage table<string, Behind>  the guest's files and devices, as this host has them

---@class Interface
---@field name string
---@field mtu integer
---@field up boolean
---@field kind string|nil  "bridge", "openvswitch", "vlan", …; nil: a real device
---@field vlan integer|nil
---@field master string|nil
---@field addresses InterfaceAddress[]

---@class InterfaceAddress
---@field address string
---@field prefix integer
---@field secondary boolean|nil  it came later than another of its network, or is to go

---@class HostMemory
---@field total integer
---@field available integer
---@field hugepages_total integer
---@field hugepages_free integer
---@field hugepage_size integer
---@field hugepages {size: integer, total: integer, free: integer}[]  size in bytes, the others in pages

---@class NumaNode
---@field node integer
---@field cpus string  "0-3"
---@field total integer
---@field free integer
---@field hugepages {size: integer, total: integer, free: integer}[]

---@class HostCpu
---@field model string
---@field vendor string
---@field count integer
---@field flags string[]
---@field online string    "0-3"
---@field machines string|nil  those that machine.slice may use
---@field libvirtd string|nil  those that its process may use

---@class Guest
---@field name string
---@field uuid string
---@field pid integer
---@field uid integer
---@field gid integer
---@field user string|nil
---@field group string|nil
---@field started number  epoch
---@field files string[]|nil  regular files that it holds open; nil in a preview

---@class LibvirtFacts
---@field uri string
---@field hostname string
---@field libvirt string     "9.0.0"
---@field hypervisor string  QEMU's version, "7.2.22"
---@field memory {total: integer, free: integer}
---@field cpus integer
---@field cpu_model string
---@field arch string
---@field domains DomainFacts[]
---@field conf LibvirtConf  of the host's facts: what is set in libvirtd.conf and qemu.conf
---@field config_unseen boolean|nil  of the host's facts: its container cannot be looked into
---@field error string|nil   why libvirtd was not asked; then the others are nil

---@class LibvirtConf
---@field listen_tcp integer|nil
---@field auth_tcp string|nil
---@field migration_port_min integer|nil
---@field migration_port_max integer|nil
---@field migration_address string|nil
---@field migration_host string|nil
---@field remember_owner integer|nil
---@field dynamic_ownership integer|nil
---@field stdio_handler string|nil
---@field user string|nil
---@field group string|nil
---@field migrate_tls_force integer|nil
---@field shared_filesystems string[]|nil
---@field cgroup_controllers string[]|nil

---@class DomainFacts
---@field name string
---@field uuid string
---@field id integer|nil
---@field state string   "running", "paused", "shut off", "crashed", …
---@field reason string  "booted", "user", "migrated", …
---@field persistent boolean
---@field autostart boolean
---@field updated boolean
---@field memory integer
---@field max_memory integer
---@field vcpus integer
---@field snapshots integer|nil
---@field checkpoints string[]|nil
---@field managed_save boolean|nil
---@field job "none"|{type: string, operation: string}
---@field os_type string|nil

---@class InstanceFacts: DomainFacts
---@field pid integer|nil  these are of its QEMU
---@field uid integer|nil
---@field gid integer|nil
---@field user string|nil
---@field group string|nil
---@field started number|nil
---@field files string[]|nil

---@class HostSettings
---@field instances string
---@field services table<string, any>
---@field logs table<string, string>
---@field libvirt table<string, string>
---@field nova table<string, string>

---@class Stat
---@field type string  "file", "directory", "link", …
---@field mode integer
---@field uid integer
---@field gid integer
---@field user string|nil
---@field group string|nil
---@field size integer
---@field mtime number
---@field inode integer
---@field device integer
---@field links integer

---@class Entry: Stat  of a folder
---@field name string

---@class Behind  a path: the file or device that it leads to
---@field type string
---@field path string
---@field size integer
---@field inode integer
---@field mtime integer  ns
---@field ctime integer  ns
---@field fstype string
---@field source string
---@field target string  of the mount
---@field ids string[]|nil  of a block device: what identifies it on every host

---@class Frame  that a guest sent
---@field mac string
---@field kind "rarp"|"garp"|"arp"
---@field interface string
---@field out boolean|nil  this host sent it on there
---@field count integer
---@field first number  epoch
---@field last number
---@field vlan integer|nil
---@field address string|nil  the sender's

---@class Answers
---@field address string
---@field answered boolean
---@field answers integer
---@field longest number
---@field at number
---@field error string|nil

---@class Moved  what a migration came to
---@field downtime number|nil
---@field seconds number
---@field total integer|nil

---@class Server  of Nova
---@field id string
---@field name string
---@field status string
---@field vm_state string|nil
---@field task_state string  "" when there is none
---@field power_state any
---@field host string|nil
---@field hypervisor string|nil
---@field libvirt_name string|nil
---@field locked boolean|nil
---@field locked_reason string|nil
---@field created string
---@field az string|nil
---@field project string|nil
---@field groups string[]|nil
---@field flavor {name: string, vcpus: integer, ram: integer, disk: integer, extra: table}
---@field volumes integer
---@field fault string
---@field host_status string|nil

---@class ComputeService  of Nova
---@field id any
---@field host string
---@field binary string
---@field state "up"|"down"
---@field status "enabled"|"disabled"
---@field reason string|nil
---@field zone string
---@field forced_down boolean|nil

-- ---- options ----

---A file's mode, for example tonumber("640", 8): Lua has no octal numbers.
---@alias Mode integer

---A time in seconds.
---@alias Timeout number|"auto"

---@class XmlChange  a difference outside changes is refused
---@field changes string[]  XPaths of what it touches
---@field apply fun(document: Document)

---@class WriteOptions
---@field mode Mode|nil
---@field user string|integer|nil
---@field group string|integer|nil
---@field secret boolean|nil  its content is not shown

---@class CommandOptions
---@field reads boolean|nil   it only reads: allowed in checks and previews
---@field timeout number|nil  seconds (60)
---@field input string|nil
---@field ok boolean|nil      return a bad exit status instead of raising it
---@field undo string[]|nil   argv of the command that undoes it
---@field secret boolean|nil  of its arguments and what it says in an error nothing is shown but the program

---The default is the unit's own limit (TimeoutStartSec, TimeoutStopSec) and 10 s more, or 100 s where the
---site has a command for it.
---@class ServiceOptions
---@field timeout number|nil

---@class StopOptions
---@field with string[]|nil     units of sockets that are started with it from now on
---@field without string[]|nil  or not any more

---@class XmlOptions
---@field inactive boolean|nil
---@field secure boolean|nil
---@field migratable boolean|nil
---@field update_cpu boolean|nil

---@class MigrateOptions
---@field xml XmlChange|fun(document: Document)|nil  of the destination's XML, both live and of its definition
---@field uri string|nil  of the destination, as seen from the source
---Added to LIVE, PEER2PEER, PERSIST_DEST, UNDEFINE_SOURCE, and TLS where a host's qemu.conf has
---migrate_tls_force; "-PERSIST_DEST" removes one.
---@field flags MigrationFlag[]|nil
---@field params MigrationParams|nil
---@field timeout Timeout|nil

---libvirt's names of flags, without VIR_MIGRATE_.
---@alias MigrationFlag
---| "LIVE"  # the guest runs on meanwhile
---| "PEER2PEER"  # the source's libvirtd talks to the destination's
---| "TUNNELLED"  # the memory goes through libvirt's connection
---| "PERSIST_DEST"  # it is defined on the destination
---| "UNDEFINE_SOURCE"  # and no more on the source
---| "PAUSED"  # it stays paused there
---| "NON_SHARED_DISK"  # its disks are copied, whole
---| "NON_SHARED_INC"  # the top layers of its disks are copied
---| "CHANGE_PROTECTION"  # nobody changes its definition meanwhile
---| "UNSAFE"  # though libvirt calls its disks' caches unsafe
---| "OFFLINE"  # its definition alone
---| "COMPRESSED"  # its memory is compressed
---| "ABORT_ON_ERROR"  # an I/O error ends it
---| "AUTO_CONVERGE"  # a guest that writes too fast is slowed down
---| "RDMA_PIN_ALL"  # all of its memory is pinned
---| "POSTCOPY"  # it may be switched to post-copy
---| "TLS"  # its memory is encrypted
---| "PARALLEL"  # over several connections
---| "NON_SHARED_SYNCHRONOUS_WRITES"  # disks that are copied are written on both ends at once
---| "POSTCOPY_RESUME"  # goes on with a post-copy that broke
---| "ZEROCOPY"  # without copies in the kernel (with PARALLEL)
---| "-LIVE"
---| "-PEER2PEER"
---| "-PERSIST_DEST"
---| "-UNDEFINE_SOURCE"
---| "-TLS"

---libvirt's typed parameters.
---@class MigrationParams
---@field migrate_uri string|nil
---@field destination_name string|nil
---@field destination_xml string|nil
---@field persistent_xml string|nil
---@field bandwidth integer|nil  MiB/s
---@field ["bandwidth.postcopy"] integer|nil  MiB/s
---@field graphics_uri string|nil
---@field listen_address string|nil
---@field migrate_disks string|string[]|nil
---@field disks_port integer|nil
---@field disks_uri string|nil
---@field compression string|string[]|nil
---@field ["compression.mt.level"] integer|nil
---@field ["compression.mt.threads"] integer|nil
---@field ["compression.mt.dthreads"] integer|nil
---@field ["compression.xbzrle.cache"] integer|nil  bytes
---@field ["auto_converge.initial"] integer|nil    percent of throttling
---@field ["auto_converge.increment"] integer|nil  percent
---@field ["parallel.connections"] integer|nil
---@field ["tls.destination"] string|nil

---@class LiveMigrateOptions
---@field timeout Timeout|nil

---@class RequestOptions
---@field service "compute"|"placement"|"network"|"identity"|nil
---@field microversion string|nil  "2.84"
---@field timeout Timeout|nil
---@field undo any[]|nil  {method, path, body}

-- ---- a policy ----

---@class Param
---A secret's value is read from a file (-p name=@/path) or from a variable of the environment
---(-p name=env:NAME), is neither shown nor journaled, and has no default.
---@field type "string"|"integer"|"number"|"boolean"|"duration"|"secret"
---@field default any  without one it is required
---@field help string
---@field choices any[]|nil
---@field min number|string|nil  the least value (of integer, number and duration)
---@field max number|string|nil  the greatest
---@field pattern string|nil      of a string: Lua's pattern, which the whole text matches
---@field unit string|nil         of an integer or number: shown, as "MiB/s"

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

-- ---- the library: steps, and functions that steps use ----

---@class check  steps of the phase check: require "migrun.check"
---@field all Step[]
---@field checkpoints_are_known Step  checkpoints
---@field clocks_agree Step  clocks agree
---@field cpu_is_compatible Step  cpu is compatible
---@field destination_is_another_host Step  destination is another host
---@field devices_can_move Step  its devices can move
---@field firmware_exists Step  its firmware is there
---@field guest_is_not_on_destination Step  guest is not there yet
---@field guest_is_running Step  guest is running
---@field hosts_reach_each_other Step  hosts reach each other
---@field libvirt_calls_it_safe Step  libvirt calls it safe
---@field listen_addresses_exist Step  listen addresses exist
---@field machine_exists Step  machine exists there
---@field memory_can_be_encrypted Step  certificates of QEMU
---@field memory_fits Step  memory fits
---@field network Step  its network is there
---@field no_block_jobs Step  no block job
---@field no_host_devices Step  no device of the host
---@field no_snapshots Step  no snapshot
---@field nothing_is_renamed Step  nothing is called otherwise there
---@field pins_exist Step  pinned to what is there
---@field ports_are_free Step  its ports are free there
---@field same_qemu_user Step  same QEMU user
---@field same_storage Step  same disks on both hosts
---@field secrets_exist Step  its secrets are there
---@field status_listens_at_source Step  status XML listens here
---@field tpm_can_run Step  its TPM can run there
---@field transport_is_guarded Step  transport is guarded
---@field versions_are_good Step  no bad pair of versions
---@field what_goes_along Step  what goes along
local check = {}
---All checks but these: check.all_but { check.clocks_agree, … }.
---@param left_out Step[]
---@return Step[]
function check.all_but(left_out) end

---@class prepare  steps of the phase prepare: require "migrun.prepare"
---@field token_seen_on_both Step  a token is seen on both hosts
local prepare = {}

---@class fixup  steps of the phase fixup: require "migrun.fixup"
---@field network_answers Step  network answers
---@field own_instance_files Step  own instance files
local fixup = {}

---As in examples/site.lua.
---@class NetworkOptions
---@field probe Probe|nil
---@field announce integer|nil  more announcements by QEMU (0 to 100)
---@field within integer|nil    seconds to wait for all that (1 to 60)

---@class Probe  one of ping, tcp and session
---@field ping boolean|nil
---@field tcp integer|nil      a port that is open
---@field session integer|nil  a port that echoes
---@field address string|nil
---@field from string|nil

---@class network  whether a guest's network lives after its move: require "migrun.network"
---@field answers Step  network answers
---@field watch Step  watch its network
local network = {}
---A pair of steps that does otherwise than the site file says.
---@param options NetworkOptions
---@return {watch: Step, answers: Step}
function network.with(options) end

---@class nova  steps of a move by Nova: require "migrun.nova"
---@field all Step[]
---@field cpu_is_compatible Step  cpu is compatible
---@field hosts_are_in_one_cell Step  both are in one cell
---@field instance_is_ready Step  instance is ready in Nova
---@field live_migration Step  live migration by Nova
---@field lock_as_found Step  lock in Nova
---@field placement_has_room Step  Placement has room
---@field server_group_allows Step  server group allows it
---@field service_as_found Step  nova-compute as it was
---@field services_are_up Step  nova-compute is up
local nova = {}
---The nova-compute service of a host, as Nova has it.
---@param run Run
---@param host Host
---@return table
function nova.compute_service(run, host) end

---@class listen  addresses that a guest listens on: require "migrun.listen"
---@field places string[]
local listen = {}
---A host's own address that takes the place of another host's: in the same network, if it has one there. An
---address that may be with another host tomorrow is taken only if there is no other one, or if the other
---host's is of that kind, too (passing; a VPN's).
---@param host Host|string[]
---@param other string     the other host's address
---@param passing boolean|nil
---@return string|nil
function listen.nearest(host, other, passing) end
---Addresses that a guest listens on and that its source has but its destination has not, each with what
---replaces it there (nil: the destination has no address of that family), and what would serve every host. A
---name counts as the address that each host knows by it.
---@param document Document
---@param source Host|string[]     or its addresses
---@param dest Host|string[]|nil
---@return {address: string, replacement: string|nil, everywhere: string, devices: string[]}[]
function listen.foreign(document, source, dest) end
---Puts other addresses in the places where a guest listens.
---@param document Document
---@param replacements table<string, string>  what stands there → what is to stand there
function listen.rewrite(document, replacements) end
---The change of XML that gives the guest the destination's own address wherever it listens on one that the
---source alone has.
---@param run Run
---@return XmlChange
function listen.to_destination(run) end
---Refuses a guest's XML on the source (its status XML, or a domain's) that listens on an address which only
---the destination has: when the move fails, the guest cannot be started there again. For the older way;
---0.0.0.0 serves both hosts.
---@param run Run
---@param document Document
function listen.refuse_destination(run, document) end

---@class destination  a guest's XML on its destination: require "migrun.destination"
local destination = {}
---What the site calls otherwise on the destination: {bridge = {["br-a"] = "br-b"}, …}.
---@param run Run
---@return table<string, table<string, string>>
function destination.maps(run) end
---What of the guest's XML these maps rename: {"br-a → br-b", …}.
---@param run Run
---@return string[]
function destination.renamed(run) end
---The change of XML that the guest needs there (migrate's xml): addresses that the source alone has
---become the destination's own, and what the site maps is renamed.
---@param run Run
---@return XmlChange
function destination.xml(run) end
---The guest's XML as the destination will get it.
---@param run Run
---@return Document
function destination.document(run) end

---@class status  libvirt's record of a guest: require "migrun.status"
local status = {}
---Whether a running guest's record holds a capability flag of QEMU.
---@param run Run
---@param flag string
---@return boolean
function status.has_flag(run, flag) end
---The addresses that the guest listens on and that only its source has (a run without destination: that its
---host has).
---@param run Run
---@return string[]
function status.bound(run) end
---The change of a status XML: the guest listens on every address instead of those that only its source has,
---and capability flags are taken away. Never the destination's address: after a move that fails the guest
---would have one that its host has not.
---@param run Run
---@param options {flags: string[]|nil}|nil
---@return XmlChange
function status.ready_to_move(run, options) end
---The same change of the guest's definition, which goes with it: its next start must not need the source's
---address.
---@param run Run
---@return XmlChange
function status.ready_to_start_elsewhere(run) end

---@class owners  who owns a guest's files: require "migrun.owners"
local owners = {}
---The guest's files where it is now: {path, name (in the instance's folder, or the path), real (links
---followed), stat, uid, gid (whose it should be), state ("right", "open", "held" or "wrong")}, and what keeps
---migrun from changing it: alone (why libvirt leaves it as it is; then it has no uid, gid and state), outside
---(it lies outside the instance's folder, or a link leads out of it), unseen (nothing but path is known).
---@param run Run
---@return table[]
function owners.files(run) end
---"libvirt-qemu:libvirt-qemu", or numbers where the host has no name for them.
---@param host Host
---@param uid integer
---@param gid integer
---@return string, string  the user's name, and both
function owners.name(host, uid, gid) end

---@class conf  files as libvirt's qemu.conf: require "migrun.conf"
local conf = {}
---The value of a setting (a number, a text or a list), or nil. Raises one sentence about a file that libvirt
---could not read.
---@param text string
---@param name string
---@return number|string|table|nil
function conf.get(text, name) end
---The number of the line that a setting begins on, or nil.
---@param text string
---@param name string
---@return integer|nil
function conf.line(text, name) end
---The text with a setting: put in the place of its value, else below the line that has it commented out, else
---at the end. true and false are written as 1 and 0. The same text where it is set so already.
---@param text string
---@param name string
---@param value number|string|boolean|table
---@return string
function conf.set(text, name, value) end
---The text without a setting, however often it is there.
---@param text string
---@param name string
---@return string
function conf.unset(text, name) end
---The text with a setting commented out, however often it is there.
---@param text string
---@param name string
---@return string
function conf.comment_out(text, name) end

---@class ini  files as nova.conf: require "migrun.ini"
local ini = {}
---All values of a key of a section, in their order: of an option that may be given several times (oslo's
---MultiStrOpt) all count, of others the last. Raises one sentence about a file that oslo could not read.
---@param text string
---@param section string
---@param key string
---@return string[]
function ini.values(text, section, key) end
---The value of a key of a section that counts, or nil.
---@param text string
---@param section string
---@param key string
---@return string|nil
function ini.get(text, section, key) end
---The text with a key of a section set: a list gives an option that may be given several times these values
---and no others. The same text where it is set so already.
---@param text string
---@param section string
---@param key string
---@param value string|number|boolean|string[]
---@return string
function ini.set(text, section, key, value) end
---The text without a key of a section.
---@param text string
---@param section string
---@param key string
---@return string
function ini.unset(text, section, key) end

---@class ranges  lists as "0-3,8": require "migrun.ranges"
local ranges = {}
---The numbers of a list, ascending; nil where it is none.
---@param text string|nil
---@return integer[]|nil
function ranges.parse(text) end
---Numbers (ascending or not) as a list: "0-3,8".
---@param numbers integer[]
---@return string
function ranges.text(numbers) end
---Those of some numbers that are not among others.
---@param numbers integer[]
---@param among integer[]
---@return integer[]
function ranges.missing(numbers, among) end

---@class cpu  what CPUs hosts can give: require "migrun.cpu"
---@field baseline Step  what all of them can give
---@field each Step  what each host can give
---@field nova Step  so that Nova gives it to guests
local cpu = {}

---@class audit  what is open on a host: require "migrun.audit"
---@field all Step[]
---@field consoles Step  guests' consoles
---@field files Step  keys and passwords in files
---@field socket Step  libvirt's own socket
---@field tcp_port Step  libvirt's TCP port
local audit = {}
---What is open on a host, each with the command that closes it.
---@param run Run
---@param host Host
---@return string[]
function audit.findings(run, host) end

---@class host  steps of a host that is made ready: require "migrun.host"
---@field all Step[]
---@field certificates_fit Step  certificates
---@field configure Step  libvirt's settings and Nova's
---@field is_at_rest Step  no migration runs
---@field is_closed Step  what is open
---@field is_known Step  what runs there
---@field let_in_by_ssh Step  keys for ssh
---@field libvirt_answers Step  each libvirtd lets the others in
---@field mend_names Step  names in /etc/hosts
---@field names_are_right Step  names
---@field place_certificates Step  certificates in place
---@field transport_is_chosen Step  the way from libvirtd to libvirtd
local host = {}

---@class host.window  the guard of libvirt's port: require "migrun.host.window"
---@field open Step  a window in the guard of libvirt's port
local window = {}
---Whether a host has a guard that was loaded. Somebody may have flushed its rules since: whoever can asks the
---port itself, from another host.
---@param host Host
---@return boolean
function window.is_guarded(host) end
---Whether a host has a guard, be it active or not.
---@param host Host
---@return boolean
function window.is_set(host) end
---Why a host cannot have a guard, or nil.
---@param host Host
---@return string|nil
function window.fault(host) end
---Sets a guard before libvirt's port: says whether anything changed.
---@param host Host
---@param known table  daemon.of
---@return boolean
function window.guard(host, known) end
---Takes a guard that was set away, once its files are gone and nobody listens any more.
---@param host Host
function window.forget(host) end
---Refuses a guard that lets in another host without a window: its rules are gone.
---@param run Run
---@param host Host
function window.refuse_without_rules(run, host) end
---Says in one line which of the hosts let in anyone, and what mends it.
---@param run Run
---@param hosts Host[]
function window.warn_of_open(run, hosts) end
