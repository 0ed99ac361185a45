# SPDX-License-Identifier: MIT
# libvirt and QEMU on a compute host of the lab, in each of the ways in which sites have them. Sourced by lab,
# whose words it uses.

write_libvirt() {  # adds to its caller's `wants`
  local up=$LAB/$1/up units=$LAB/$1/up/etc/systemd/system socket
  write_qemu "$1"
  # What a container lacks, and remember_owner=0, as on NFS, which keeps no extended attributes.
  printf '%s\n' 'security_driver = "none"' 'namespaces = []' 'cgroup_controllers = []' 'remember_owner = 0' \
    >"$up/etc/libvirt/qemu.conf"
  [[ $console == virtlogd ]] || echo 'stdio_handler = "file"' >>"$up/etc/libvirt/qemu.conf"
  if [[ $libvirtd == modular || $libvirtd == kolla ]]; then "write_$libvirtd"; return; fi
  libvirtd_conf libvirtd
  [[ $libvirtd == shipped ]] || sed -i '1i auth_tcp = "none"' "$up/etc/libvirt/libvirtd.conf"
  if [[ $libvirtd == listen ]]; then
    printf '%s\n' 'listen_tls = 0' 'listen_tcp = 1' >>"$up/etc/libvirt/libvirtd.conf"
    echo 'LIBVIRTD_ARGS="--listen"' >"$up/etc/default/libvirtd"
    for socket in libvirtd{,-ro,-admin}.socket; do ln -sf /dev/null "$units/$socket"; done
    wants+=" libvirtd.service"
  else
    : >"$up/etc/default/libvirtd"
    wants+=" libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"
    [[ $libvirtd == shipped ]] || wants+=" libvirtd-tcp.socket"
  fi
}

mask_libvirtd() {
  local unit
  for unit in libvirtd.service libvirtd{,-ro,-admin,-tcp,-tls}.socket; do
    ln -sf /dev/null "$units/$unit"
  done
}

libvirtd_conf() {  # DAEMON
  printf '%s\n' 'host_uuid_source = "machine-id"' "log_outputs = \"2:file:/var/log/libvirt/$1.log\"" \
    >"$up/etc/libvirt/$1.conf"
}

# What a site adds for such daemons.
site_lines() {
  case $libvirtd in
    modular) cat <<'S'
, services = { libvirtd = "virtqemud" }, logs = { libvirtd = "/var/log/libvirt/virtqemud.log" },
libvirt = { socket = "/run/libvirt/virtqemud-sock", socket_ro = "/run/libvirt/virtqemud-sock-ro" }
S
      ;;
    kolla) cat <<'S'
, services = { libvirtd = { start = { "docker", "start", "nova_libvirt" },
  stop = { "docker", "stop", "nova_libvirt" }, restart = { "docker", "restart", "nova_libvirt" },
  state = { "sh", "-c", "docker inspect -f '{{.State.Running}}' nova_libvirt | grep -q true" },
  sockets = true } },
libvirt = { config = "/etc/kolla/nova-libvirt",
  definitions = "/var/lib/docker/volumes/nova_libvirt_qemu/_data" },
logs = { qemu = "/var/log/kolla/libvirt/qemu/%s.log", libvirtd = "/var/log/kolla/libvirt/libvirtd.log" }
S
      ;;
  esac
}

# Enabled are the sockets, and virtqemud, which starts the guests that are to start with their host.
write_modular() {
  local daemon
  cp -a "$base/srv/modular/." "$up/"
  mask_libvirtd
  for daemon in "$base"/srv/modular/usr/sbin/*; do
    daemon=${daemon##*/}
    libvirtd_conf "$daemon"
    wants+=" $daemon.socket $daemon-ro.socket $daemon-admin.socket"
  done
  sed -i '1i auth_tcp = "none"' "$up/etc/libvirt/virtproxyd.conf"
  wants+=" virtproxyd-tcp.socket virtqemud.service"
}

# The container nova_libvirt: a unit with mounts of its own, on volumes where docker keeps them. It takes its
# configuration from /etc/kolla/nova-libvirt when it starts; /run, the network and the processes are the
# host's.
write_kolla() {
  local volumes=/var/lib/docker/volumes
  mkdir -p "$up$volumes"/{nova_libvirt_qemu,libvirtd}/_data "$up$volumes/kolla_logs/_data/libvirt" \
    "$up/var/lib/docker/nova_libvirt" "$up/etc/kolla/nova-libvirt"
  ln -s "$volumes/kolla_logs/_data" "$up/var/log/kolla"
  ln -s "$here/docker" "$up/usr/local/bin/docker"
  cp -a "$base/etc/libvirt/." "$up/var/lib/docker/nova_libvirt/"
  rm -rf "$up"/var/lib/docker/nova_libvirt/{qemu,hooks}
  mkdir "$up"/var/lib/docker/nova_libvirt/{qemu,hooks}
  cp -a "$base/var/lib/libvirt/." "$up$volumes/libvirtd/_data/"
  [[ $console == file ]] || echo 'stdio_handler = "file"' >>"$up/etc/libvirt/qemu.conf"   # it has no virtlogd
  mv "$up/etc/libvirt/qemu.conf" "$up/etc/kolla/nova-libvirt/"
  printf '%s\n' 'listen_tcp = 1' 'listen_tls = 0' 'auth_tcp = "none"' 'host_uuid_source = "machine-id"' \
    'log_outputs = "2:file:/var/log/kolla/libvirt/libvirtd.log"' >"$up/etc/kolla/nova-libvirt/libvirtd.conf"
  hide "$up" etc/libvirt
  mask_libvirtd
  cat >"$units/docker-nova_libvirt.service" <<U
[Unit]
After=lab-instances.service
[Service]
Type=notify
ExecStartPre=/bin/sh -c 'cp /etc/kolla/nova-libvirt/*.conf /etc/libvirt/'
ExecStart=/usr/sbin/libvirtd --listen
KillMode=process
BindPaths=/var/lib/docker/nova_libvirt:/etc/libvirt $volumes/nova_libvirt_qemu/_data:/etc/libvirt/qemu
BindPaths=$volumes/libvirtd/_data:/var/lib/libvirt $volumes/kolla_logs/_data/libvirt:/var/log/libvirt
U
  wants+=" docker-nova_libvirt.service"
}

# Before 9.0, QEMU's software emulation forgets writes to memory of 64 whole pages' size while it migrates
# (its commit "physmem: Fix migration dirty bitmap coherency with TCG memory access"), and now and then a
# guest's kernel panics at the destination. Memory of an odd size takes another way there, so each guest gets
# 128 KiB more than libvirt asks for; with a newer QEMU too, since hosts of several releases must agree on it.
write_qemu() {
  local qemu=$LAB/$1/up/usr/bin/qemu-system-x86_64
  folder "$LAB/$1/up" usr/bin
  cp "$base/usr/bin/qemu-system-x86_64" "$qemu.real"
  cp "$here/guest/qemu" "$qemu"
}

# libvirt knows shared file systems by their names, so a FUSE bind mount calls itself one of them (by an
# option; a newer one by the name of its program). It looks at the first mount on a folder: the plain one must
# lie elsewhere.
write_instances_mount() {
  cat >"$units/lab-instances.service" <<U
[Unit]
Before=libvirtd.service virtqemud.service
[Service]
Type=forking
ExecStart=@/usr/bin/bindfs glusterfs -o subtype=glusterfs,fsname=gluster:/instances -o allow_other \\
  -o attr_timeout=0,entry_timeout=0 /srv/instances $shared
U
  wants+=" lab-instances.service"
  folder "$up" "${shared#/}"
}
