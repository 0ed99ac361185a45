# SPDX-License-Identifier: MIT
# A guest's network through its move: what it announces, and whether it answers (migrun.network).
load helper

# site NETWORK: the site file of these tests, with that in its network table.
site() {
  on controller sh -c 'cat >/run/network-site.lua' <<<"return { hosts = { 'compute-1', 'compute-2' },
    network = { $1 } }"
}
# moves TO [OPTION …]: web moves there by a policy that proves its network.
moves() { run migrun "${@:2}" --site /run/network-site.lua tests/e2e/policies/network.lua web "$1"; }
# The longest time between two answers in a TCP session of the controller's with its port 7, which lasts until
# the file appears; an answer is asked for 50 times a second.
session() {
  on controller perl -MIO::Socket::INET -MTime::HiRes=time,sleep -e '
    my ($address, $end) = @ARGV;
    my $socket = IO::Socket::INET->new(PeerAddr => "$address:7", Timeout => 5) or die "no session: $@";
    my ($longest, $answers) = (0, 0);
    $| = 1;
    until (-e $end) {
      my $asked = time;
      print $socket "$answers\n";
      my $answer = <$socket> // die "the session broke";
      die "another answer: $answer" unless $answer == $answers++;
      $longest = time - $asked if time - $asked > $longest;
      print "began\n" if $answers == 1;
      sleep 0.02;
    }
    printf "%d answers, longest gap %.2f s\n", $answers, $longest' "$(lab address web)" "$1"
}
# The guest, and its way: from where it is after an earlier test.
guest() {
  from=compute-1 to=compute-2
  if stands web "$to" 2>/dev/null; then from=compute-2 to=compute-1; fi
  ensure web "$from" memory=96 listen=own nic=bridge
}

@test "a TCP session lives through the move; what was announced and the longest gap stand in the verdict" {
  guest
  site "probe = { session = 7, address = '$(lab address web)' }"
  on controller rm -f /run/network-end
  session /run/network-end >"$BATS_TEST_TMPDIR/session" 2>&1 3>&- &
  await 10 grep -q began "$BATS_TEST_TMPDIR/session"
  moves $to
  on controller touch /run/network-end
  wait $! || fail "$(cat "$BATS_TEST_TMPDIR/session")"
  ends_with_status 0
  verdict_is "Moved: web runs on $to and is gone from $from; .*, its network answers, longest gap"
  says "$to gets answers from $(lab address web):7 (TCP session), named by the probe"
  [[ $output =~ announced\ on\ vnet[0-9]+\ \(.*RARP.*\),\ sent\ on\ by\ host0 ]] || fail "$output"
  gap=$(tail -n 1 "$BATS_TEST_TMPDIR/session"); echo "# the controller's session: $gap" >&3
  [[ $gap =~ ^[0-9]+\ answers,\ longest\ gap\ [0-9] ]]
  loses_nothing web
}

@test "by ping, from the host that migrun runs on; QEMU announces it five times more" {
  guest
  site "probe = { ping = true, address = '$(lab address web)', from = 'here' }, announce = 5"
  moves $to --dry-run
  ends_with_status 0
  says "controller gets answers from $(lab address web) (ping), named by the probe"
  says '"rounds":5'
  says "does $(lab address web) (ping) answer?"
  ! on $from grep -q custom-monitor /run/libvirt/qemu/web.xml || fail "a preview has used its monitor"
  moves $to
  ends_with_status 0
  verdict_is "Moved: web .*, its network answers, longest gap"
  says "(ping) answers controller, longest gap"
  [[ $output =~ \(([0-9]+)\ ×\ RARP ]] && ((BASH_REMATCH[1] >= 6)) || fail "$output"
  says "qemu-monitor-command $(uuid_of web)"
  on $to grep -q custom-monitor /run/libvirt/qemu/web.xml
}

@test "the address by what it announces, where nobody named it" {
  guest
  site "probe = { tcp = 7 }"
  moves $to
  ends_with_status 0
  says "its address is what it will announce"
  says "$(lab address web):7 answers $to"
}

@test "a bridge on the destination that is joined to nothing: moved, but its network is silent" {
  guest
  on $to ip link add br-alone type bridge
  on $to ip link set br-alone up
  site "probe = { ping = true, address = '$(lab address web)', from = 'here' }, within = 3"
  moves $to -p bridge=br-alone
  ends_with_status 4
  verdict_is "Moved, but its network is silent: web runs on $to and is gone from $from;"
  says "controller got no answer from $(lab address web) (ping) within 3 s; seen of it on $to: "
  says "RARP in by br-alone"
  says_not "out by host0"
  says "no other interface of $to sent on what the guest announced"
  says "ssh $to bridge link"
  # Its way back: what did not answer before tells nothing, and answers now.
  moves $from
  ends_with_status 0
  says "gets no answer from $(lab address web) (ping) even before the move"
  verdict_is "Moved: web runs on $from .*, its network answers"
  on $to ip link del br-alone
  stands web $from
}

@test "a run that was killed as the guest moved: a recovery asks the probe, though nobody listened" {
  guest
  site "probe = { ping = true, address = '$(lab address web)' }"
  on $from virsh -q migrate-setspeed web 10
  begin --site /run/network-site.lua tests/e2e/policies/network.lua web $to
  await 30 eval "on $from virsh -q domjobinfo web | grep -q 'Memory processed: *[1-9]'"
  interrupt KILL
  finish
  on $from virsh -q migrate-setspeed web 8796093022207
  run migrun --site /run/network-site.lua recover
  ends_with_status 0
  says "nobody listened for what it announced; $(lab address web) (ping) answers $to"
  stands web $to
  forget web
}

@test "a guest without an interface is not asked; options of a site that are wrong" {
  idle still compute-1 listen=$net.11
  site "probe = { ping = true }"
  run migrun --site /run/network-site.lua tests/e2e/policies/network.lua still compute-2
  ends_with_status 0
  says_not "listens for"
  site "probe = { ping = true, tcp = 22 }"
  moves compute-2
  ends_with_status 1
  says "network.probe should be { ping = true }, { tcp = PORT } or { session = PORT }"
  forget still
}
