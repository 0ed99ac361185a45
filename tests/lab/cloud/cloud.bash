# SPDX-License-Identifier: MIT
# The lab's cloud: OpenStack on its hosts, from Debian's packages and in their units. Sourced by ../lab, whose
# words it uses.
. "$here/cloud/conf.bash"
. "$here/cloud/fill.bash"

cloud_units="keystone placement-api glance-api neutron-api neutron-rpc-server"
cloud_units+=" nova-api nova-conductor nova-scheduler"
cloud_cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/migrun-lab
cloud_api="$here/cloud/api"

mapfile -t cloud_packages <"$here/cloud/packages"

# Installs what this machine lacks, before it has hosts: they show its files.
cloud_install() {
  local missing
  missing=$(comm -13 \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${cloud_packages[@]}" 2>/dev/null |
      sed -n 's/^installed //p' | sort) \
    <(printf '%s\n' "${cloud_packages[@]}" | sort) | paste -sd ' ')
  [[ $missing ]] || return 0
  [[ -z $(any_lab) ]] ||
    die "missing: $missing; another lab is up, whose hosts show this machine's files: take it down first"
  # shellcheck disable=SC2086
  "$checkout/tests/deps" $missing >&2 || die "the cloud's packages could not be installed"
}

# The kept databases and images: made once for these packages, this guest and what fills them.
cloud_kept() {
  { dpkg-query -W "${cloud_packages[@]}"; cat "$here"/cloud/{fill.bash,seed} "$here/guest/init" \
    "$LAB/guest/vmlinuz" "$(command -v busybox)"; } |
    md5sum | sed -E "s|^(.{12}).*|$cloud_cache/cloud-\1.tar.gz|"
}

# Before the hosts are up.
cloud_lay_out() {
  chown nova: "$LAB/instances"
  cloud_kept >"$LAB/kept"
  [[ -e $(<"$LAB/kept") ]] || return 0
  mkdir -p "$LAB/controller/up"; folder "$LAB/controller/up" var/lib/glance
  tar -xzf "$(<"$LAB/kept")" -C "$LAB/controller/up"
}

# The errors in a log on a host, or its last lines.
show_log() {
  echo "--- $1:/var/log/$2" >&2
  on "$1" sh -c "
    grep -hE ' (ERROR|CRITICAL) |^[A-Za-z.]*(Error|Exception)|\[error\]' /var/log/$2 | tail -n 6 | grep . ||
    tail -n 6 /var/log/$2" >&2 || true
}

# wait_for WHAT HOST LOG COMMAND …: until COMMAND succeeds.
wait_for() {
  local what=$1 host=$2 log=$3 deadline=$((SECONDS + 600)); shift 3
  echo "lab: waiting for $what" >&2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || { show_log "$host" "$log"; die "$what did not come up"; }
    sleep 0.3
  done
}
answers() { curl --noproxy '*' -so /dev/null "http://$(address controller):$1"; }
active() { on "$1" systemctl is-active "${@:2}"; }
# as USER COMMAND …, on the controller
as() { on controller setpriv --reuid="$1" --regid="$1" --init-groups "${@:2}"; }

start_openstack() {
  # shellcheck disable=SC2086
  on controller systemctl start --no-block $cloud_units
}
await_openstack() {
  wait_for Keystone controller keystone/keystone.log answers 5000/v3
  wait_for Placement controller placement/placement-api.log answers 8778
  wait_for Glance controller glance/glance-api.log answers 9292
  wait_for Neutron controller neutron/neutron-api.log answers 9696
  wait_for Nova controller nova/nova-api.log answers 8774
}

cloud_up() {
  local host kept; kept=$(<"$LAB/kept")
  [[ -e $kept ]] || cloud_fill "$kept"
  wait_for MariaDB controller mysql/error.log active controller mariadb
  # They come up again with their hosts.
  # shellcheck disable=SC2086
  on controller systemctl add-wants lab.target $cloud_units 2>/dev/null
  start_openstack
  wait_for RabbitMQ controller rabbitmq/rabbitmq-server.log active controller rabbitmq-server
  for host in $(computes); do
    on "$host" systemctl add-wants lab.target nova-compute neutron-linuxbridge-agent 2>/dev/null
    on "$host" systemctl start --no-block nova-compute neutron-linuxbridge-agent
  done
  await_openstack
  for host in $(computes); do
    wait_for "nova-compute on $host" "$host" nova/nova-compute.log active "$host" nova-compute
  done
  echo "lab: waiting for Nova and Placement to know the compute hosts" >&2
  # shellcheck disable=SC2046
  on controller "$cloud_api" ready $(computes) || {
    show_log controller nova/nova-scheduler.log
    for host in $(computes); do
      show_log "$host" nova/nova-compute.log; show_log "$host" neutron/neutron-linuxbridge-agent.log
    done
    die "the cloud did not come up"
  }
}

cloud_start() {  # HOST is up again
  if [[ $1 == controller ]]; then await_openstack
  else wait_for "nova-compute on $1" "$1" nova/nova-compute.log active "$1" nova-compute; fi
}

cloud_known() { [[ -e $LAB/kept ]] || die "this lab has no cloud: 'lab up --cloud' brings one up"; }

listen() {
  local host
  cloud_known
  options "server_listen $server_listens" "server_listen=${1:-}"
  for host in $(computes); do
    compute_conf "$host" | on "$host" tee /etc/nova/nova-compute.conf >/dev/null
    on "$host" systemctl restart --no-block nova-compute
  done
  for host in $(computes); do
    wait_for "nova-compute on $host" "$host" nova/nova-compute.log active "$host" nova-compute
  done
  # shellcheck disable=SC2046
  on controller "$cloud_api" ready $(computes)
}

server() {
  local name=${1:-} host=${2:-} id
  cloud_known
  [[ $# -ge 2 ]] || die "server NAME HOST [k=v …], or server --delete NAME"
  if [[ $name == --delete ]]; then on controller "$cloud_api" delete "$host"; return; fi
  known "$host"; [[ $host != controller ]] || die "the controller runs no servers"
  image=guest flavor=lab.small network=lab
  options 'image [A-Za-z0-9.-]+
flavor [A-Za-z0-9.-]+
network lab|none' "${@:3}"
  id=$(on controller "$cloud_api" boot "$name" "$host" "$image" "$flavor" "$network") || {
    show_log controller nova/nova-conductor.log; show_log "$host" nova/nova-compute.log
    die "$name did not boot"
  }
  await 600 ticked "$LAB/instances/$id" ||
    die "$name did not boot: $(tail -c 200 "$LAB/instances/$id/console.log")"
  echo "$id"
}
