# SPDX-License-Identifier: MIT
# Fills the lab's cloud for the first time. Sourced by cloud.bash.

# Makes and fills all databases, with users, images and flavors, and keeps them.
cloud_fill() {
  echo "lab: filling the cloud's databases; they are kept in $cloud_cache" >&2
  on controller sh -c 'systemctl stop mariadb; rm -rf /var/lib/mysql/*;
    mariadb-install-db --user=mysql --skip-test-db; systemctl start mariadb' \
    >"$LAB/fill.log" 2>&1 || { tail -n 5 "$LAB/fill.log" >&2; die "MariaDB could not be set up"; }
  make_databases
  on controller systemctl start keystone
  wait_for Keystone controller keystone/keystone.log answers 5000/v3
  on controller "$here/cloud/seed" identity ||
    { show_log controller keystone/keystone.log; die "Keystone could not be filled"; }
  wait_for RabbitMQ controller rabbitmq/rabbitmq-server.log active controller rabbitmq-server
  start_openstack
  await_openstack
  on controller "$here/cloud/seed" images || {
    show_log controller glance/glance-api.log; show_log controller nova/nova-api.log
    die "the cloud could not be filled"
  }
  # shellcheck disable=SC2086
  on controller systemctl stop $cloud_units mariadb
  on controller tar -cz -C / var/lib/mysql var/lib/glance/images >"$1.new"
  mv "$1.new" "$1"
  ls -t "$cloud_cache"/cloud-*.tar.gz | tail -n +4 | xargs -r rm
  on controller systemctl start mariadb
}

make_databases() {
  local name job jobs=()
  for name in keystone placement glance neutron nova nova_api nova_cell0; do
    echo "CREATE DATABASE $name;"
  done |
    on controller sh -c 'mariadb; mariadb -e "GRANT ALL ON *.* TO lab@127.0.0.1 IDENTIFIED BY \"lab\""'
  { as keystone keystone-manage db_sync &&
    as keystone keystone-manage bootstrap --bootstrap-project-name demo --bootstrap-password admin \
    --bootstrap-region-id RegionOne \
      --bootstrap-{admin,internal,public}-url=http://controller:5000/v3 &&
    as placement placement-manage db sync && as glance glance-manage db_sync &&
    as neutron neutron-db-manage upgrade heads; } >"$LAB/fill-others.log" 2>&1 &
  jobs+=($!)
  { as nova nova-manage api_db sync && as nova nova-manage cell_v2 map_cell0 &&
    as nova nova-manage db sync && as nova nova-manage cell_v2 create_cell --name cell1; } \
    >"$LAB/fill-nova.log" 2>&1 &
  jobs+=($!)
  for job in "${jobs[@]}"; do
    wait "$job" || { tail -n 5 "$LAB"/fill-*.log >&2; die "a database could not be filled"; }
  done
}
