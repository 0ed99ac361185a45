-- SPDX-License-Identifier: MIT
-- What migrun saw of two hosts of a lab (tests/lab) and of a guest there, as Lua has it; trimmed.
return {
    source = {
        addresses = { "10.89.0.11" },
        clock = { asked = 1795491600.25, answered = 1795491600.75 },
        time = 1795491600.5,
        told = 1795491600.625,
        boot_id = "8c82333a-e23e-41d4-ae6e-b1bae9c974b0",
        interfaces = {
            { name = "lo", mtu = 65536, up = true, addresses = {} },
            { name = "eth1", mtu = 1500, up = true, master = "br0", addresses = {} },
            { name = "br0", mtu = 1500, up = true, kind = "bridge", addresses = {} },
        },
        nodes = {
            { node = 0, cpus = "0-1", total = 25276514304, free = 23976218624,
                hugepages = { { size = 2097152, total = 0, free = 0 } } },
        },
        cpu = { count = 2, online = "0-1", vendor = "AuthenticAMD", flags = { "fpu", "vme", "de", "pse",
            "sse4_2", "aes", "avx", "hypervisor",
            "avx2" }, model = "AMD EPYC" },
        groups = { kvm = 107, ["libvirt-qemu"] = 64055, root = 0 },
        guests = {
            {
                gid = 64055,
                group = "libvirt-qemu",
                name = "instance-00000001",
                pid = 219,
                started = 1795491241.01,
                uid = 64055,
                user = "libvirt-qemu",
                uuid = "86586fce-b10a-0fc5-c713-67c64d50a7bf",
            },
        },
        hostname = "compute-1",
        instances = { fstype = "fuse.glusterfs", path = "/var/lib/nova/instances",
            source = "/srv/instances" },
        libvirt = {
            conf = { auth_tcp = "none", listen_tcp = 1, remember_owner = 0 },
            domains = {
                {
                    autostart = false,
                    id = 7,
                    max_memory = 268435456,
                    memory = 268435456,
                    name = "instance-00000001",
                    persistent = true,
                    reason = "unpaused",
                    state = "running",
                    uuid = "86586fce-b10a-0fc5-c713-67c64d50a7bf",
                    vcpus = 1,
                },
            },
            hypervisor = "7.2.22",
            libvirt = "9.0.0",
        },
        machine_id = "cd8a74f1496f9a9c16af4bc10fc1d84b",
        memory = { available = 23976218624, hugepage_size = 2097152, hugepages_free = 0, hugepages_total = 0,
            total = 25276514304 },
        os = "Debian GNU/Linux 12 (bookworm)",
        users = { ["libvirt-qemu"] = { gid = 107, group = "kvm", uid = 64055 },
            root = { gid = 0, group = "root", uid = 0 } },
    },
    dest = {
        addresses = { "10.89.0.12" },
        clock = { asked = 1795491600.25, answered = 1795491600.75 },
        time = 1795491600.5,
        told = 1795491600.625,
        boot_id = "e4e6bee1-fcaa-42f1-9265-3696ae11989e",
        interfaces = {
            { name = "lo", mtu = 65536, up = true, addresses = {} },
            { name = "eth1", mtu = 1500, up = true, master = "br0", addresses = {} },
            { name = "br0", mtu = 1500, up = true, kind = "bridge", addresses = {} },
        },
        nodes = {
            { node = 0, cpus = "0-1", total = 25276514304, free = 23976218624,
                hugepages = { { size = 2097152, total = 0, free = 0 } } },
        },
        cpu = { count = 2, online = "0-1", vendor = "AuthenticAMD", flags = { "fpu", "vme", "de", "pse",
            "sse4_2", "aes", "avx", "hypervisor",
            "avx2" }, model = "AMD EPYC" },
        groups = { kvm = 107, ["libvirt-qemu"] = 64055, root = 0 },
        guests = {
            {
                gid = 64055,
                group = "libvirt-qemu",
                name = "busy",
                pid = 374,
                started = 1795491546.28,
                uid = 64055,
                user = "libvirt-qemu",
                uuid = "d07dc549-f06c-9e32-a337-16553dfbcf4b",
            },
        },
        hostname = "compute-2",
        instances = { fstype = "fuse.glusterfs", path = "/var/lib/nova/instances",
            source = "/srv/instances" },
        libvirt = {
            conf = { auth_tcp = "none", listen_tcp = 1, remember_owner = 0 },
            domains = {
                {
                    autostart = false,
                    id = 13,
                    max_memory = 536870912,
                    memory = 536870912,
                    name = "busy",
                    persistent = true,
                    reason = "migrated",
                    state = "running",
                    uuid = "d07dc549-f06c-9e32-a337-16553dfbcf4b",
                    vcpus = 1,
                },
            },
            hypervisor = "7.2.22",
            libvirt = "9.0.0",
        },
        machine_id = "3746bbd42b1334bccccd9e0a984b3647",
        memory = { available = 23976218624, hugepage_size = 2097152, hugepages_free = 0, hugepages_total = 0,
            total = 25276514304 },
        os = "Debian GNU/Linux 12 (bookworm)",
        users = { ["libvirt-qemu"] = { gid = 107, group = "kvm", uid = 64055 },
            root = { gid = 0, group = "root", uid = 0 } },
    },
    storage = { -- as both hosts saw it, the guest being idle for a moment
        ["/var/lib/nova/instances/instance-00000001/disk"] = {
            ctime = 1795547800999178645, fstype = "fuse.glusterfs", inode = 332, mtime = 1795547800999178645,
            path = "/var/lib/nova/instances/instance-00000001/disk", size = 67108864,
            source = "/srv/instances", target = "/var/lib/nova/instances",
            type = "file",
        },
        ["/srv/guest/vmlinuz"] = {
            ctime = 1795547043843178645, fstype = "tmpfs", inode = 8, mtime = 1795547043843178645,
            path = "/srv/guest/vmlinuz", size = 14186432,
            source = "tmpfs", target = "/srv/guest", type = "file",
        },
        ["/srv/guest/initrd.gz"] = {
            ctime = 1795547043495178645, fstype = "tmpfs", inode = 7, mtime = 1795547043495178645,
            path = "/srv/guest/initrd.gz", size = 1179267,
            source = "tmpfs", target = "/srv/guest", type = "file",
        },
    },
    capabilities = "<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><domain>qemu</domain>"
        .. "<machine>pc-q35-7.2</machine>"
        .. "<arch>x86_64</arch><vcpu max='288'/><os><loader supported='yes'>"
        .. "<value>/usr/share/OVMF/OVMF_CODE_4M.fd</value></loader></os>"
        .. "<cpu><mode name='host-model' supported='yes'><model fallback='forbid'>EPYC</model>"
        .. "<vendor>AMD</vendor><feature policy='require' name='x2apic'/></mode></cpu>"
        .. "<devices><tpm supported='yes'><enum name='model'><value>tpm-tis</value></enum>"
        .. "<enum name='backendModel'><value>passthrough</value><value>emulator</value></enum>"
        .. "<enum name='backendVersion'><value>2.0</value></enum></tpm></devices></domainCapabilities>",
    settings = {
        instances = "/var/lib/nova/instances",
        libvirt = { socket = "/run/libvirt/libvirt-sock", socket_ro = "/run/libvirt/libvirt-sock-ro",
            uri = "qemu+tcp://%s/system" },
        logs = { libvirtd = "/var/log/libvirt/libvirtd.log", qemu = "/var/log/libvirt/qemu/%s.log" },
        services = { libvirtd = { unit = "libvirtd" } },
    },
    instance = {
        autostart = false,
        gid = 64055,
        group = "libvirt-qemu",
        id = 7,
        job = "none",
        managed_save = false,
        max_memory = 268435456,
        memory = 268435456,
        name = "instance-00000001",
        os_type = "hvm",
        persistent = true,
        pid = 219,
        reason = "unpaused",
        snapshots = 0,
        started = 1795491241.01,
        state = "running",
        uid = 64055,
        updated = false,
        user = "libvirt-qemu",
        uuid = "86586fce-b10a-0fc5-c713-67c64d50a7bf",
        vcpus = 1,
    },
    directory = "/var/lib/nova/instances/instance-00000001",
    blocks = {
        {
            allocation = 9154560,
            cache = "none",
            capacity = 67108864,
            device = "disk",
            format = "raw",
            job = "none",
            physical = 9154560,
            readonly = false,
            shareable = false,
            source = "/var/lib/nova/instances/instance-00000001/disk",
            target = "vda",
            type = "file",
        },
    },
    reach = {
        address = "10.89.0.12",
        ports = {
            [16509] = { ms = 1, open = true },
            [49152] = { error = "Connection refused", ms = 1, open = false },
            [49215] = { error = "Connection refused", ms = 1, open = false },
        },
    },
    unreachable = { address = "192.0.2.1",
        ports = { [16509] = { error = "Network is unreachable", ms = 0, open = false } } },
    cpu = { message = "", result = "superset" },
    cpu_incompatible = {
        message = "the CPU is incompatible with host CPU: Host CPU does not provide required features: "
            .. "vme, pcid, invpcid, rdseed",
        result = "incompatible",
    },
    files = { -- alike on both: the storage is shared, and the guest's kernel is the same
        ["/var/lib/nova/instances/instance-00000001"] = {
            type = "directory", mode = 493, size = 100, uid = 0, gid = 0,
            user = "root", group = "root" },
        ["/var/lib/nova/instances/instance-00000001/console.log"] = {
            type = "file", mode = 420, size = 0, uid = 0,
            gid = 0, user = "root", group = "root" },
        ["/var/lib/nova/instances/instance-00000001/disk"] = {
            type = "file", mode = 420, size = 67108864, uid = 64055, gid = 64055, user = "libvirt-qemu",
            group = "libvirt-qemu",
        },
        ["/var/lib/nova/instances/instance-00000001/libvirt.xml"] = {
            type = "file", mode = 420, size = 867, uid = 0,
            gid = 0, user = "root", group = "root" },
        ["/srv/guest/vmlinuz"] = {
            type = "file", mode = 420, size = 14186432, uid = 0, gid = 0, user = "root",
            group = "root" },
        ["/srv/guest/initrd.gz"] = {
            type = "file", mode = 420, size = 1179258, uid = 0, gid = 0, user = "root",
            group = "root" },
    },
}
