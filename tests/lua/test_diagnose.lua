-- SPDX-License-Identifier: MIT
-- From an error to its cause: the catalogue, and which of several lines counts.
local t = require "t"
local catalogue = require "migrun.catalogue"
local diagnose = require "migrun.diagnose"

-- ---- diagnoses ----

local fake_hosts = { source = { name = "compute-1" }, dest = { name = "compute-2" } }

-- Errors as libvirt 9 to 11 and QEMU 7 to 10 write them: the error, its cause (whole), and a word of the
-- remedy.
local KNOWN = {
    { "internal error: process exited while connecting to monitor: 2026-11-24T03:44:59.919094Z "
        .. "qemu-system-x86_64: -vnc 10.89.0.11:1,audiodev=audio1: Failed to bind socket: Cannot assign "
        .. "requested address",
        "QEMU on compute-2 could not listen on 10.89.0.11 for VNC: that address is not compute-2's",
        "policies/libvirt%.lua" },
    { "qemu-system-x86_64: -vnc [2001:db8::11]:1,audiodev=audio1: Failed to bind socket: Cannot assign "
        .. "requested address",
        "QEMU on compute-2 could not listen on [2001:db8::11] for VNC: that address is not compute-2's",
        "server_listen" },
    { "qemu-kvm: -chardev socket,id=charserial0,host=10.89.0.11,port=10000,server=on: Failed to bind "
        .. "socket: Cannot assign requested address",
        "QEMU on compute-2 could not listen on an address that is not compute-2's", "rewrite the address" },
    { 'internal error: process exited while connecting to monitor: qemu-kvm: -device virtio-blk-pci: '
        .. 'Failed to get "write" lock\n'
        .. "Is another process using the image [/x/disk]?",
        "the disk is locked by another QEMU: the guest may be running twice", "stop here" },
    { "Unsafe migration: Migration without shared storage is unsafe",
        "a disk lies on storage that libvirt does not recognize as shared", "%-p i_know=unsafe" },
    { "Unsafe migration: Migration may lead to data corruption if disks use cache other than none or "
        .. "directsync",
        "a disk has a cache mode that this libvirt does not consider safe to migrate", "cache='none'" },
    { "Unsafe migration: Migration may lead to data corruption if disks use cache != none",
        "a disk has a cache mode that this libvirt does not consider safe to migrate", "5%.6" },
    { "qemu-system-x86_64: -blockdev {}: Could not open '/var/lib/nova/instances/x/disk': Permission denied",
        "QEMU is not allowed to open /var/lib/nova/instances/x/disk: it does not belong to QEMU's user",
        "fix%-ownership" },
    { "Cannot access storage file '/var/lib/nova/instances/x/disk' (as uid:64055, gid:64055): No such file "
        .. "or directory",
        "/var/lib/nova/instances/x/disk is not available on compute-2", "mount" },
    { "unsupported configuration: Setting different DAC user or group on /x/disk which is already in use",
        "libvirt remembers another owner of /x/disk in the file's attributes", "remember_owner = 0" },
    { "internal error: Attempt to migrate guest to the same host 00000000",
        "both names lead to one host, or both hosts have one uuid", "host_uuid" },
    { "operation failed: guest CPU doesn't match specification: missing features: pcid,invpcid",
        "compute-2 lacks features of the guest's CPU: pcid,invpcid",
        "microcode" },
    { "the CPU is incompatible with host CPU: Host CPU does not provide required features: vme, pcid",
        "the guest's CPU does not run on compute-2: Host CPU does not provide required features: vme, pcid",
        "at least as new" },
    { "internal error: Unknown CPU feature arch-facilities",
        "libvirt on compute-2 does not know the CPU feature arch-facilities", "upgrade libvirt" },
    { "Unable to resolve address 'compute-2' service '49152': Name or service not known",
        "compute-1 cannot resolve the name compute-2", "/etc/hosts" },
    { "internal error: hostname on destination resolved to localhost, but migration requires an FQDN",
        "compute-2 calls itself localhost", "127%.0%.1%.1" },
    { "operation failed: Failed to connect to remote libvirt URI qemu+tcp://compute-2/system: unable to "
        .. "connect to server at 'compute-2:16509': Connection refused",
        "compute-1 cannot connect to libvirtd at compute-2:16509: Connection refused",
        "libvirtd%-tcp%.socket" },
    { "unable to connect to server at 'compute-2:49153': No route to host",
        "the migration port compute-2:49153 does not let compute-1 through",
        "open ports 49152%-49215 on compute%-2" },
    { "internal error: Unable to find an unused port in range 'migration' (49152-49215)",
        "compute-2 has no free migration port", "migration_port_min" },
    { "authentication failed: Failed to verify peer's certificate",
        "libvirt on compute-2 does not let compute-1 in", "auth_tcp" },
    { "operation unsupported: this libvirtd instance allows migration only with VIR_MIGRATE_TLS flag",
        "compute-2 takes only encrypted migrations", '"TLS"' },
    { "internal error: client socket is closed",
        "the connection between libvirtd on compute-1 and on compute-2 broke: one of them ended, or was "
            .. "restarted", "systemctl status" },
    { "internal error: connection closed due to keepalive timeout",
        "the network between compute-1 and compute-2 broke", "check the network" },
    { "operation failed: another migration job is already running for domain 'x'",
        "another migration of this guest is under way", "domjobinfo" },
    { "Timed out during operation: cannot acquire state change lock (held by "
        .. "monitor=remoteDispatchDomainMigratePerform3Params)",
        "something else holds the guest in libvirt", "the message" },
    { "operation invalid: cannot migrate domain with 2 snapshots", "the guest has 2 internal snapshots",
        "delete them" },
    { "Requested operation is not valid: domain has active block job",
        "a block job runs on one of the guest's disks", "virsh blockjob" },
    { "Requested operation is not valid: cannot migrate a domain with <hostdev mode='subsystem' type='usb'>",
        "a device of the host is passed through to the guest", "detach" },
    { "internal error: unable to execute QEMU command 'migrate': State blocked by non-migratable device "
        .. "'0000:00:05.0/ivshmem'",
        "the guest's device 0000:00:05.0/ivshmem cannot be migrated", "detach" },
    { "State blocked by non-migratable CPU device (invtsc flag)",
        "the guest's CPU has invtsc, which ties it to its host's clock", "TSC" },
    { "Requested operation is not valid: domain is marked for auto destroy",
        "the guest ends with the client that started it", "hold" },
    { "operation failed: domain 'x' is already defined with uuid 86586fce-b10a-0fc5-c713-67c64d50a7bf",
        "compute-2 has a definition of that name already",
        "undefine" },
    { "operation failed: domain 'x' already exists with uuid 86586fce-b10a-0fc5-c713-67c64d50a7bf",
        "compute-2 has a guest of that name already", "whose" },
    { "unsupported configuration: Target network card MTU 1450 does not match source 1500",
        "the destination's XML changes what the guest sees of its hardware", "belongs to the host" },
    { "Hook script execution failed: internal error: Child process (LC_ALL=C /etc/libvirt/hooks/qemu x "
        .. "migrate begin -) unexpected exit status 1",
        "the hook /etc/libvirt/hooks/qemu on compute-2 said no", "by hand" },
    { "qemu-system-x86_64: Unknown savevm section or instance '0000:00:04.0/virtio-net' 0. Make sure that "
        .. "your current VM setup matches",
        "QEMU on compute-2 does not have the same devices as on compute-1", "live XML" },
    { "qemu-system-x86_64: Machine type received is 'pc-i440fx-2.5' and local is 'pc-i440fx-2.6'",
        "QEMU on compute-2 takes the machine type pc-i440fx-2.5 to be another one", "version" },
    { "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory",
        "compute-2 does not have enough memory for it", "free memory" },
    { "qemu-system-x86_64: unable to map backing store for guest RAM: Cannot allocate memory",
        "compute-2 does not have enough (huge) pages for it", "allocate" },
    { "cannot fork child process: Cannot allocate memory", "compute-2 does not have enough memory for it",
        "another host" },
    { "Postcopy is not supported: Userfaultfd not available",
        "the kernel of a host does not let QEMU use userfaultfd", "unprivileged_userfaultfd" },
    { "migration of disk vda failed: No space left on device", "compute-2 has no space left for it",
        "free space" },
    { "authentication unavailable: no polkit agent available to authenticate action "
        .. "'org.libvirt.unix.manage'",
        "this user may not manage guests", "group" },
    { "End of file while reading data: Input/output error", "libvirtd at the other end went away",
        "its log" },
    { "operation failed: Lost connection to destination host", "compute-1 lost compute-2",
        "libvirtd on compute%-2" },
    { "operation failed: job 'migration out' failed: Unable to write to socket: Bad file descriptor",
        "the connection to QEMU on compute-2 broke: QEMU ended there, or the network did", "QEMU log" },
    { "operation failed: job 'migration in' failed: Unable to read from socket: Connection reset by peer",
        "the connection to QEMU on compute-2 broke: QEMU ended there, or the network did", "QEMU log" },
    { "operation failed: domain is not running", "the guest's QEMU ended on one side",
        "/var/log/libvirt/qemu/" },
    { "operation failed: domain is no longer running", "the guest's QEMU ended on one side",
        "/var/log/libvirt/qemu/" },
}

for _, row in ipairs(KNOWN) do
    local text, cause, remedy = table.unpack(row)
    t.run("diagnosis: " .. text:gsub("\n", " "):sub(1, 90), function()
        local known_cause, known_remedy = diagnose.known(text, fake_hosts)
        t.equal(known_cause, cause)
        t.match(known_remedy, remedy)
        t.equal(diagnose.known(text:upper(), fake_hosts) ~= nil, true, "in capitals")
    end)
end

-- The rest of what is known, as the programs of today or of their day write it: the error, its kind,
-- its cause.
local MORE = {
    { 'qemu-system-x86_64: Failed to get shared "write" lock', "danger",
        "the disk is locked by another QEMU: the guest may be running twice" },
    { "qemu-system-x86_64: Detected IO failure for postcopy. Migration paused.", "danger" },
    { "operation failed: job 'migration out' failed in post-copy phase", "danger" },
    { "Instance x has been moved to another host compute-2(compute-2). There are allocations remaining "
        .. "against the source host that might need to be removed", "danger" },
    { "internal error: unable to execute QEMU command 'migrate-incoming': Failed to bind socket: Cannot "
        .. "assign requested address", "cause",
        "QEMU on compute-2 was told to receive the guest on an address that is not compute-2's" },
    { "qemu: -incoming tcp:10.0.0.9:49152: Failed to bind socket: Cannot assign requested address", "cause",
        "QEMU on compute-2 was told to receive the guest on 10.0.0.9, which is not compute-2's" },
    { "inet_listen_opts: bind(ipv4,10.0.0.11,5901): Cannot assign requested address", "cause",
        "QEMU on compute-2 could not listen on 10.0.0.11: that address is not compute-2's" },
    { "Failed to start VNC server on `10.0.0.11:0': Failed to bind socket: Cannot assign requested address",
        "cause", "QEMU on compute-2 could not listen on 10.0.0.11 for VNC: that address is not compute-2's" },
    { "qemu-system-x86_64: -vnc 0.0.0.0:7: Failed to find an available port: Address already in use",
        "cause" },
    { "qemu-system-x86_64: -chardev socket,port=10000: Failed to bind socket: Address already in use",
        "cause" },
    { "qemu-system-x86_64: -blockdev {}: Could not open backing file: Could not open '/b': Permission denied",
        "cause" },
    { "Could not open '/x/disk': No such file or directory", "cause", "/x/disk is not there on compute-2" },
    { "qemu-system-x86_64: -drive file=/dev/drbd0: Wrong medium type", "cause" },
    { "internal error: cannot load AppArmor profile 'libvirt-8658'", "cause" },
    { "internal error: unable to execute QEMU command 'object-add': Unable to access credentials "
        .. "/etc/pki/qemu/ca-cert.pem: No such file or directory", "cause",
        "QEMU on compute-2 cannot read its certificate or key (/etc/pki/qemu/ca-cert.pem)" },
    { "qemu-system-x86_64: VQ 0 vring.num 1024 exceeds allocated max 256", "cause",
        "QEMU on compute-2 gives a virtio device queues of 256 entries at most, and the guest's have 1024",
        "upgrade compute%-1" },
    { "qemu-system-x86_64: Features 0x1c0010130afffaf unsupported. Allowed features: 0x10179bfffef", "cause",
        "QEMU or the kernel of compute-2 offers a virtio device less than the guest uses (0x1c0010130afffaf, "
            .. "and there is 0x10179bfffef)" },
    { "qemu-system-x86_64: Failed to load virtio-net:virtio", "cause",
        "QEMU on compute-2 cannot load the state of virtio-net:virtio" },
    { "qemu-system-x86_64: Size mismatch: 0000:00:03.0/virtio-net-pci.rom: 0x40000 != 0x20000: Invalid "
        .. "argument",
        "cause" },
    { 'qemu-system-x86_64: Unknown ramblock "ivshmem", cannot accept migration', "cause" },
    { "qemu-system-x86_64: Mismatched RAM page size pc.ram (local) 4096 != 2097152", "cause" },
    { "qemu: warning: error while loading state section id 2", "cause",
        "QEMU on compute-2 cannot read what QEMU on compute-1 sends of a device: they are of different "
            .. "releases" },
    { "qemu-system-x86_64: error while loading state for instance 0x0 of device '0000:00:02.0/virtio-gpu'",
        "cause", "QEMU on compute-2 cannot load the state of 0000:00:02.0/virtio-gpu: another release, "
            .. "or another "
            .. "set-up of it" },
    { "operation failed: guest CPU doesn't match specification: extra features: ht", "cause",
        "compute-2 gives the guest features that its CPU has not: ht" },
    { "InvalidCPUInfo: Unacceptable CPU info: CPU doesn't have compatibility.", "cause" },
    { "CPU doesn't have compatibility.\n\n0\n\nRefer to http://libvirt.org/html/#virCPUCompareResult",
        "cause" },
    { "unsupported configuration: domain has 'invtsc' CPU feature but TSC frequency is not specified",
        "cause" },
    { "State blocked: 'hv-passthrough' CPU flag prevents migration, use explicit set of hv-* flags instead",
        "cause" },
    { "SEV: Migration is not implemented", "cause" },
    { "Requested operation is not valid: cannot migrate a domain with <interface type='hostdev'>", "cause" },
    { "0000:00:05.0: Migration is disabled for VFIO device", "cause" },
    { "Multiple VFIO devices migration is supported only if all of them support P2P migration", "cause" },
    { "The vmdk format used by node 'drive0' does not support live migration", "cause",
        "a disk is a file of format vmdk, which cannot be moved while it is open" },
    { "Operation not supported: migration with this virtiofs device is not supported", "cause" },
    { "Operation not supported: migration with transient disk is not supported", "cause" },
    { "Operation not supported: a slirp-helper cannot be migrated", "cause" },
    { "Operation not supported: shmem device 'my_shmem0' cannot be migrated, only shmem with role='master'",
        "cause" },
    { "TPM secret was not found. Try hard-rebooting the instance to recover.", "cause" },
    { "Bitmap already exists: backup-2026", "cause" },
    { "migration of disk vda failed: Source and target image have different sizes", "cause" },
    { "operation failed: job 'migration out' failed due to I/O error", "cause" },
    { "Migration pre-check error: Unable to migrate x: Disk of instance is too large(available on "
        .. "destination "
        .. "host:1024 < need:4096)", "cause", "the disk needs 4096 bytes, and compute-2 has 1024" },
    { "compute-2 is not on shared storage: Shared storage live-migration requires either shared storage or "
        .. "boot-from-volume with no local disks.", "cause" },
    { "compute-2 is not on local storage: Block migration can not be used with shared storage.", "cause" },
    { "The supplied disk path (/var/lib/nova/instances/x) already exists, it is expected not to "
        .. "exist.", "cause" },
    { "Migration pre-check error: Unable to migrate x to compute-2: Lack of memory(host:-3400 <= "
        .. "instance:4096)",
        "cause", "compute-2 has -3400 MiB left by Nova's count, and the instance needs 4096 (it counts "
            .. "total × "
            .. "ram_allocation_ratio - used; below 0 it is promised out)" },
    { "Failed to connect to '10.0.0.12:49152': No route to host", "cause",
        "QEMU on compute-1 cannot connect to 10.0.0.12:49152: No route to host" },
    { "Cannot recv data: Host key verification failed.: Connection reset by peer", "cause",
        "root of compute-1 does not know the ssh key of compute-2" },
    { "Cannot recv data: root@compute-2: Permission denied (publickey,password).", "cause" },
    { "The server certificate /etc/pki/libvirt/servercert.pem has expired", "cause" },
    { "Certificate [session] owner does not match the hostname compute-2", "cause",
        "the certificate of compute-2 is not for the name compute-2" },
    { "authentication failed: Certificate does not match the hostname compute-2", "cause" },
    { "The certificate hasn't got a known issuer", "cause" },
    { "internal error: Failed to reserve port 49152", "cause" },
    { "access denied: 'QEMU' denied access", "cause" },
    { "migration of domain x is being actively monitored by another thread", "cause" },
    { "There's a migration process in progress", "cause" },
    { "Guest is waiting for an incoming migration", "cause" },
    { "operation failed: this domain exists already", "cause" },
    { "Userfaultfd not available: Operation not permitted", "cause" },
    { "Postcopy is not yet compatible with multifd", "cause" },
    { "cannot abort migration in post-copy mode", "cause" },
    { "Postcopy migration in progress, cannot cancel.", "cause" },
    { "post-copy is not supported with tunnelled migration", "cause" },
    { "Flags 'VIR_MIGRATE_TUNNELLED' and 'VIR_MIGRATE_PARALLEL' are mutually exclusive", "cause",
        "VIR_MIGRATE_TUNNELLED and VIR_MIGRATE_PARALLEL exclude each other" },
    { "bandwidth must be less than 17592186044415", "cause" },
    { "unable to execute QEMU command 'migrate-set-parameters': Parameter 'multifd-channels' expects uint8_t",
        "cause", "QEMU takes 1 to 255 parallel connections" },
    { "Storage pool not found: no storage pool with matching target path '/srv/local'", "cause",
        "libvirt on compute-2 makes the image of a disk that is copied only in a storage pool, and none has "
            .. "/srv/local" },
    { "unable to execute QEMU command 'migrate-incoming': Failed to bind socket: Permission denied", "cause",
        "QEMU on compute-2 may not listen on the port that it was told to receive the guest on: those below "
            .. "1024 are root's" },
    { "Zero copy only available for non-compressed non-TLS multifd migration", "cause" },
    { "The instance requires a newer hypervisor version than has been provided.", "cause" },
    { "The supplied hypervisor type of is invalid.", "cause" },
    { "Unable to migrate instance (x) to current host (compute-1).", "cause" },
    { "Compute service of compute-2 is unavailable at this time.", "cause",
        "nova-compute of compute-2 does not report: it is down, or its clock is wrong" },
    { "Compute host compute-9 could not be found.", "cause", "Nova knows no host compute-9" },
    { "Cannot 'os-migrateLive' while instance is in task_state migrating", "cause",
        "Nova is at work on the instance (while instance is in task_state migrating)" },
    { "Instance x in vm_state error. Cannot migrate while the instance is in this state.", "cause" },
    { "Instance 8658 is locked", "cause" },
    { "Timeout while checking if we can live migrate to host: compute-2", "cause" },
    { "Binding failed for port 0f3a, please check neutron logs for more information.", "cause",
        "Neutron cannot give the port 0f3a a place on compute-2" },
    { "Timed out waiting for events: [('network-vif-plugged', '0f3a')]", "cause" },
    { "Failed to validate instance group policy due to: x", "cause" },
    { "Instance has an associated NUMA topology, cell contains compute nodes older than train", "cause" },
    { "This request does not explicitly request live-migratable devices.", "cause" },
    { "Unable to determine in which cell the destination host can be found.", "cause" },
    { "Your destination node does not support retrieving listen addresses. In order for live migration "
        .. "to work "
        .. "properly you must disable serial console.", "cause" },
    { "Invalid characters in hostname 'a b'", "cause" },
    { "Live migration not completed after 800 sec", "cause" },
    { "Failed waiting for network virtual interfaces to be plugged", "cause" },
    { "Failed to submit live migration 3 for instance x for processing.", "cause" },
    { "During sync_power_state the instance has a pending task (migrating). Skip.", "cause" },
    { "Exceeded max scheduling retries 3 for instance x during live migration", "cause" },
    { "No valid host was found. There are not enough hosts available.", "cause" },
    { "2026-11-27 23:15:02.074 216 WARNING nova.scheduler.filters.compute_filter [None req-1] (compute-2, "
        .. "compute-2) ram: 11354MB disk: 7168MB io_ops: 0 instances: 0 has not been heard from in a while",
        "cause",
        "nova-compute of compute-2 does not report: it is down, or its clock is wrong" },
    { "Got no allocation candidates from the Placement API. This could be due to insufficient resources or a "
        .. "temporary occurrence as compute nodes start up.", "cause" },
    { "Filter AggregateImagePropertiesIsolation returned 0 hosts", "cause",
        "Nova's scheduler leaves no host: its AggregateImagePropertiesIsolation refuses all" },
    { "Cannot 'os-migrateLive' instance 1b2f0322-3b52-48de-bdad-f0c7eb6de657 while it is in vm_state stopped",
        "cause", "the instance is not in a state for it (vm_state stopped)" },
    { "Lack of memory(host:-452.67 <= instance:256)", "cause" },
    { "GLib: ../../../glib/gmem.c:136: failed to allocate 2917184 bytes", "cause" },
    { "Cannot access backing file '/srv/own/base' of storage file '/x' (as uid:64055, gid:64055): No such "
        .. "file or directory", "cause",
        "a file below the guest's disk is not available on compute-2: /srv/own/base" },
    { "kernel: Out of memory: Killed process 4121 (qemu-system-x86) total-vm:1", "why" },
    { "kernel: Memory cgroup out of memory: Killed process 4121 (qemu-system-x86)", "why" },
    { "kernel: oom-kill: Killed process 4121 (qemu-system-x86)", "why" },
    { "machine-qemu\\x2d1\\x2dg.scope: A process of this unit has been killed by the OOM killer.", "why" },
    { "machine-qemu\\x2d1\\x2dg.scope: Failed with result 'oom-kill'.", "why" },
    { "kernel: qemu-system-x86[4121]: segfault at 0 ip 0", "why" },
    { "systemd[1]: Stopping libvirtd.service - Virtualization daemon...", "why" },
    { "systemd[1]: virtqemud.service: Main process exited, code=killed, status=9/KILL", "why" },
    { "kernel: nfs: server filer not responding, still trying", "why" },
    { "kernel: ixgbe 0000:01:00.0 eth0: NIC Link is Down", "why" },
    { "dnsmasqCapsNewFromBinary:673 : Unable to find 'dnsmasq' binary in $PATH: No such file or directory",
        "noise" },
    { "virHostCPUGetCPUID:1422 : Unable to open /dev/kvm: No such file or directory", "noise" },
    { "virCgroupDetectControllers:451 : At least one cgroup controller is required: x", "noise" },
    { "compute-1 libvirtd[12]: libvirt version: 9.0.0, package: 9.0.0-4+deb12u2 (Debian)", "noise" },
    { "compute-1 libvirtd[12]: hostname: compute-1", "noise" },
    { "Failed to get udev device for syspath '/sys/devices/virtual/dmi/id'", "noise" },
    { "Child process (/usr/sbin/dmidecode -q -t 0) unexpected exit status 1", "noise" },
    { "Configured security driver \"none\" disables default policy to create confined guests", "noise" },
    { "kvm: -drive file=/x: could not open disk image /srv/g/disk: Permission denied", "cause",
        "QEMU is not allowed to open /srv/g/disk: it does not belong to QEMU's user" },
    { "qemu: terminating on signal 15 from pid 2101", "consequence" },
    { "qemu-system-x86_64: check_section_footer: Read section footer failed: -5", "consequence" },
    { "qemu-system-x86_64: failed to save SaveStateEntry with id(name): 3(ram): -5", "consequence" },
    { "Unable to read from monitor: Connection reset by peer", "carrier" },
    { "internal error: QEMU unexpectedly closed the monitor (vm='x')", "carrier" },
    { "process exited while connecting to monitor", "carrier" },
    { "operation failed: job 'migration out' unexpectedly failed", "carrier" },
    { "operation failed: migration job: unexpectedly failed", "carrier" },
    { "migration failed. Message from the source host: x. Message from the destination host: y", "carrier" },
    { "operation failed: cannot migrate domain: something new", "carrier" },
    { "Pre live migration failed at compute-2", "carrier" },
    { "Error while check_can_live_migrate_source from compute-2 to host compute-1: x", "carrier" },
    { "Live Migration failure: something new", "carrier" },
    { "HTTP 400: Bad Request (Request-ID: req-180d27b5)", "carrier" },
    { "qemu-system-x86_64: load of migration failed: Operation not permitted", "consequence" },
    { "operation aborted: job 'migration out' canceled by client", "consequence" },
    { "operation aborted: migration job: canceled by client", "consequence" },
    { "Migration operation has aborted", "consequence" },
}

t.run("catalogue: every entry is the first to match one of these errors", function()
    local first = {}
    local function lowered(pattern)
        return (pattern:gsub("(%%?)(%a)", function(escape, letter)
            return escape == "" and letter:lower() or escape .. letter
        end))
    end
    for _, list in ipairs { KNOWN, MORE } do
        for _, row in ipairs(list) do
            for _, entry in ipairs(catalogue) do
                if row[1]:lower():find(lowered(entry[2])) then
                    first[entry] = true
                    break
                end
            end
        end
    end
    for _, entry in ipairs(catalogue) do t.ok(first[entry], entry[2]) end
end)

t.run("catalogue: kinds, causes, remedies; a danger's never starts, resumes or deletes anything", function()
    local kinds = { cause = true, carrier = true, consequence = true, danger = true, why = true,
        noise = true }
    for _, entry in ipairs(catalogue) do
        t.ok(kinds[entry[1]], entry[2])
        t.ok(entry.by and entry.source, entry[2])
        local needs_none = { consequence = true, carrier = true, noise = true }
        t.ok(needs_none[entry[1]] or (entry[3] and entry[4]), entry[2])
        for _, word in ipairs(entry[1] == "danger" and { "virsh destroy", "virsh resume", "undefine", "rm ",
            "--postcopy" }
            or {}) do
            t.ok(not entry[4]:find(word, 1, true), entry[2])
        end
    end
end)

for _, row in ipairs(MORE) do
    t.run("diagnosis: " .. row[1]:gsub("\n", " "):sub(1, 90), function()
        t.equal(diagnose.kind(row[1]), row[2])
        if row[3] then t.equal((diagnose.known(row[1], fake_hosts)), row[3]) end
    end)
end

t.run("diagnosis: nothing is known of what nobody knows, and of mere carriers", function()
    for _, text in ipairs {
        "", "something new", "cannot migrate domain: ", "job 'migration out' unexpectedly failed",
        "load of migration failed: Input/output error",
        "process exited while connecting to monitor",
        "operation aborted: job 'migration out' canceled by client",
    } do
        t.equal({ diagnose.known(text, fake_hosts) }, {}, text)
    end
end)

t.run("diagnosis: without a destination, and with a percent sign in the error", function()
    t.equal(diagnose.known("migration of disk vda failed: No space left on device", {}),
        "the destination has no space left for it")
    t.equal(diagnose.known("Unable to resolve address 'x'", {}), "the source cannot resolve the name x")
    t.equal(diagnose.known("Cannot access storage file '/x/%1 %d'", fake_hosts),
        "/x/%1 %d is not available on compute-2")
end)

-- A log with these lines, of which the first is the given one.
local function fake_log(lines, first)
    return {
        host = { name = "compute-2" }, path = "/var/log/libvirt/qemu/instance-00000001.log",
        lines = function()
            local result = {}
            for i, text in ipairs(lines) do result[i] = { number = (first or 1) + i - 1, text = text } end
            return result
        end,
    }
end

local function lines_of(text)
    local lines = {}
    for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
    return lines
end

local function failed(message, domain)
    return { message = message, domain = domain or "libvirt", code = 1, source = "compute-1" }
end

local BIND = "2026-11-24T03:44:59.919094Z qemu-system-x86_64: -vnc 10.89.0.11:1,audiodev=audio1: "
    .. "Failed to bind socket: Cannot assign requested address"

t.run("explain: cause, the line of the log, remedy; libvirt's own words are left out where the log says "
    .. "the same", function()
    local log = fake_log(lines_of(t.read("tests/lua/facts/qemu.log")), 386)
    local message = "cannot migrate instance-00000001 to qemu+tcp://compute-2/system on compute-1: "
        .. "internal error: process exited while connecting to monitor: " .. BIND
    local cause, remedy = diagnose.known(BIND, fake_hosts)
    t.equal(diagnose.explain(fake_hosts, failed(message), log), {
        { label = "Cause", text = cause
            .. "\n  compute-2:/var/log/libvirt/qemu/instance-00000001.log:397\n    " .. BIND },
        { label = "Remedy", text = remedy },
    })
end)

t.run("explain: libvirt's own words where they say something else", function()
    local details = diagnose.explain(fake_hosts,
        failed("job 'migration out' failed: Unable to write to socket"), fake_log { BIND })
    t.equal({ details[1].label, details[2].label, details[3].label, #details },
        { "Cause", "Said", "Remedy", 3 })
    t.match(details[1].text, "^QEMU on compute%-2 could not listen")
    t.equal(details[2].text, "job 'migration out' failed: Unable to write to socket")
end)

t.run("explain: without a log, by the error alone", function()
    local details = diagnose.explain(fake_hosts,
        failed("operation failed: Lost connection to destination host"))
    t.equal(details, {
        { label = "Cause", text = "compute-1 lost compute-2" },
        { label = "Said", text = "operation failed: Lost connection to destination host" },
        { label = "Remedy", text = "check the network and libvirtd on compute-2" },
    })
end)

t.run("explain: what nobody knows is the error's own words, with the line that QEMU left", function()
    t.equal(diagnose.explain(fake_hosts, failed("a new error"), fake_log {}),
        { { label = "Cause", text = "a new error" } })
    t.equal(diagnose.explain(fake_hosts, failed("a new error"), fake_log { "qemu-system-x86_64: oops" }),
        { { label = "Cause", text = "a new error\n  "
            .. "compute-2:/var/log/libvirt/qemu/instance-00000001.log:1\n    qemu-system-x86_64: oops" } })
end)

t.run("explain: a line that is not known stands not in the way of a cause that is", function()
    local details = diagnose.explain(fake_hosts, failed("domain is not running"),
        fake_log { "qemu-system-x86_64: oops" })
    t.equal(details[1], { label = "Cause", text = "the guest's QEMU ended on one side" })
    t.equal(details[2], { label = "Said", text = "domain is not running" })
end)

t.run("explain: the first line that is known is the one, what follows is its consequence", function()
    local details = diagnose.explain(fake_hosts, failed("domain is not running"),
        fake_log { "warning: something", BIND, "qemu-system-x86_64: cannot set up guest memory" })
    t.match(details[1].text, "could not listen.*:2\n")
end)

t.run("explain: QEMU's start and end, and what only follows from libvirt's own abort, explain nothing",
    function()
    for _, line in ipairs {
        "2026-11-24 03:44:59.769+0000: starting up libvirt version: 9.0.0",
        "2026-11-24 03:44:59.928+0000: shutting down, reason=failed",
        "2026-11-24 03:34:00.279+0000: initiating migration", "LC_ALL=C \\", "XDG_DATA_HOME=/x \\",
        "/usr/bin/qemu-system-x86_64 \\", "-name guest=x \\", "",
        "char device redirected to /dev/pts/1 (label charserial0)",
        "2026-11-24T03:40:59.982649Z qemu-system-x86_64: load of migration failed: Invalid argument",
        "2026-11-24T03:34:00.393858Z qemu-system-x86_64: terminating on signal 15 from pid 49 "
            .. "(/usr/sbin/libvirtd)",
        "2026-11-24T03:34:00.393858Z qemu-system-x86_64: terminating on signal 15 from pid 49 "
            .. "(/usr/sbin/virtqemud)",
    } do
        t.equal(diagnose.explain(fake_hosts, failed("a new error"), fake_log { line }),
            { { label = "Cause", text = "a new error" } }, line)
    end
    local killed = "qemu-system-x86_64: terminating on signal 15 from pid 4711 (kill)"
    t.match(diagnose.explain(fake_hosts, failed("a new error"), fake_log { killed })[1].text, "from pid 4711")
end)

t.run("explain: the log tells of libvirt's errors only", function()
    for _, domain in ipairs { "refused", "timeout", "interrupted", "policy" } do
        t.equal(diagnose.explain(fake_hosts, failed("a new error", domain), fake_log { BIND }),
            { { label = "Cause", text = "a new error" } }, domain)
    end
end)

-- What operators' logs have shown (each was taken for something else once).
t.run("explain: the first error of the log counts, not what libvirt passes on", function()
    for _, carrier in ipairs { "job 'migration out' failed: Unable to write to socket: Broken pipe",
        "domain is not running", "internal error: client socket is closed" } do
        local details = diagnose.explain(fake_hosts, failed(carrier), fake_log {
            "qemu-system-x86_64: warning: TCG doesn't support requested feature: CPUID.80000007H:EDX.invtsc",
            "/usr/bin/swtpm socket --ctrl type=unixio,path=/run/x --tpmstate dir=/var/lib/error",
            "qemu-system-x86_64: Features 0x1c0010130afffaf unsupported. Allowed features: 0x10179bfffef",
            "qemu-system-x86_64: Failed to load virtio-net:virtio",
            "qemu-system-x86_64: error while loading state for instance 0x0 of device 'x'",
            "qemu-system-x86_64: load of migration failed: Operation not permitted" })
        t.match(details[1].text, "offers a virtio device less than the guest uses.*:3\n")
        t.equal(details[2], { label = "Said", text = carrier })
    end
end)

t.run("explain: an error that nobody knows is shown as it stands, and nothing is guessed", function()
    local carrier = "Unable to read from socket: Connection reset by peer"
    local log = fake_log { "qemu-system-x86_64: frobnication failed", BIND }
    local details = diagnose.explain(fake_hosts, failed(carrier), log)
    t.equal(details, {
        { label = "Cause", text = "not known; the first error in the logs of its QEMU:\n  "
            .. "compute-2:/var/log/libvirt/qemu/instance-00000001.log:1\n    "
            .. "qemu-system-x86_64: frobnication failed" },
        { label = "Said", text = carrier },
    })
end)

t.run("explain: a lock of the disk counts wherever it stands; a warning explains nothing", function()
    local details = diagnose.explain(fake_hosts, failed("domain is not running"), fake_log {
        "qemu-system-x86_64: frobnication failed", 'qemu-system-x86_64: Failed to get shared "write" lock' })
    t.match(details[1].text, "the guest may be running twice")
    details = diagnose.explain(fake_hosts, failed("a new error"), fake_log {
        "qemu-system-x86_64: warning: host doesn't support requested feature" })
    t.equal(details, { { label = "Cause", text = "a new error" } })
end)

t.run("explain: over both hosts' logs by true time, whatever their clocks say", function()
    local function log_of(host, ahead, lines)
        local log = fake_log(lines)
        log.host = { name = host, facts = { told = 100 + ahead, time = 100 + ahead,
            clock = { asked = 100, answered = 100 } } }
        log.path = "/var/log/libvirt/qemu/x.log"
        return log
    end
    local at = "2026-11-24T03:44:%02d.000000Z qemu-system-x86_64: "
    for _, skew in ipairs { 0, 3, 20 } do
        local function there(second, text) return at:format(second + skew) .. text end
        local details = diagnose.explain(fake_hosts, failed("domain is not running"),
            log_of("compute-2", skew, { there(12, "Unable to read from socket: Connection reset by peer"),
            there(12, "load of migration failed: Input/output error"), there(13, "a late failure") }), nil,
            log_of("compute-1", 0, { at:format(10) .. "frobnication failed" }))
        t.match(details[1].text, "not known.*compute%-1:/var/log/libvirt/qemu/x.log:1\n.*frobnication failed")
        details = diagnose.explain(fake_hosts, failed("domain is not running"),
            log_of("compute-2", skew, { there(9, "cannot set up guest memory 'pc.ram': x") }), nil,
            log_of("compute-1", 0, { at:format(10) .. "frobnication failed" }))
        t.match(details[1].text, "^compute%-2 does not have enough memory for it\n  compute%-2:")
    end
end)

t.run("a remedy names the ports as they are set there", function()
    local hosts = { source = { name = "c1" }, dest = { name = "c2",
        facts = { libvirt = { conf = { migration_port_min = 50000, migration_port_max = 50010 } } } } }
    local _, remedy = diagnose.known("unable to connect to server at 'c2:50003': No route to host", hosts)
    t.equal(remedy, "open ports 50000-50010 on c2 (migration_port_min and _max in qemu.conf)")
end)
