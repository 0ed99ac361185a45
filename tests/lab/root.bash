# SPDX-License-Identifier: MIT
# Root file systems of other releases of Debian than this machine's, for hosts of the lab: each is made once
# from Debian's archive and kept, and migrun is built in it. Sourced by lab, whose words it uses.
own_release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
declare -A releases=()                  # of hosts that have not this machine's
root_packages=''
kept_roots=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/migrun-lab

# A host's root below its overlay (/ ends in nothing, so that paths can follow), and its folder of migrun.
base() { [[ -z ${releases[$1]:-} ]] || root_of "${releases[$1]}"; }
build_of() { echo "$build${releases[$1]:+/${releases[$1]}}"; }

# Where the root of a release is kept: another list of packages makes another root.
root_of() { echo "$kept_roots/root-$1-$(md5sum <<<"$root_packages" | cut -c1-8)"; }

# take_releases HOST_NAMES WORD …: release=R and HOST=R among the words of `lab up`; the others are left in
# `words`.
take_releases() {
  local names=$1 word host all=${LAB_RELEASE:-} modular=no; shift
  words=()
  # Modular daemons are built in a kept root, this machine's own release too.
  [[ " $* " != *" libvirtd=modular "* ]] || modular=yes all=${all:-trixie}
  for word in "$@"; do [[ $word != release=* ]] || all=${word#*=}; done
  if [[ $all ]]; then for host in $names; do releases[$host]=$all; done; fi
  for word in "$@"; do
    if [[ $word =~ ^(controller|compute-[0-9]+)= ]]; then
      grep -qxF -- "${word%%=*}" <<<"$names" || die "no host '${word%%=*}' (${names//$'\n'/ })"
      releases[${word%%=*}]=${word#*=}
    elif [[ $word != release=* ]]; then words+=("$word"); fi
  done
  for host in "${!releases[@]}"; do
    [[ ${releases[$host]} =~ ^[a-z]+$ ]] ||
      die "'${releases[$host]}' is no release of Debian (trixie, testing)"
    [[ ${releases[$host]} != "$own_release" || $modular == yes ]] || unset "releases[$host]"
  done
}

# Before hosts are up: each release's root is there, and migrun built in it.
make_roots() {
  local release
  ((${#releases[@]})) || return 0
  root_packages=$(make -s --no-print-directory -C "$checkout" host-packages)
  for release in $(printf '%s\n' "${releases[@]}" | sort -u); do
    root_make "$release"
    root_build "$release"
    [[ $libvirtd != modular ]] || root_modular "$release"
  done
}

root_make() {
  local release=$1 root log; root=$(root_of "$1") log=$LAB/root.log
  [[ ! -e $root ]] || return 0
  command -v mmdebstrap >/dev/null || die "missing: mmdebstrap; \`make release-deps\` installs it"
  mkdir -p "$kept_roots"
  exec {lock}>"$kept_roots/lock"
  flock "$lock"
  if [[ ! -e $root ]]; then
    echo "lab: making a root of Debian $release (once)" >&2
    drop_roots "$release"
    # A mirror may lag behind the date up to which testing's index calls itself valid.
    mmdebstrap --quiet --variant=apt --include="${root_packages// /,}" \
      --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' \
      "$release" "$root.new" "$(mirror)" >"$log" 2>&1 ||
      { tail -n 20 "$log" >&2; drop_roots "$release"; die "no root of Debian $release could be made"; }
    mv "$root.new" "$root"      # all of it or nothing
  fi
  exec {lock}>&-
}

# Those of a release that no lab uses.
drop_roots() {
  local root
  for root in "$kept_roots/root-$1"-*; do
    [[ ! -e $root ]] || grep -qF "lowerdir=$root," /proc/mounts ||
      rm -rf --one-file-system "$root"
  done
}

# The mirror of Debian's archive that this machine's apt uses.
mirror() {
  local found
  found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
  echo "${found:-http://deb.debian.org/debian}"
}

# libvirt's modular daemons for a release, kept in its root.
root_modular() {
  local root; root=$(root_of "$1")
  exec {lock}>"$kept_roots/lock"
  flock "$lock"
  if [[ ! -e $root/srv/modular ]]; then
    echo "lab: building libvirt's modular daemons for $1 (once)" >&2
    rm -rf "$root/srv/modular.new"
    in_root "$root" "$here/modular" "$root/srv/modular.new" >"$LAB/modular.log" 2>&1 ||
      { tail -n 20 "$LAB/modular.log" >&2; die "libvirt's modular daemons could not be built for $1"; }
    mv "$root/srv/modular.new" "$root/srv/modular"
  fi
  exec {lock}>&-
}

# in_root ROOT COMMAND …: in an overlay over it that vanishes, with the checkout, the build and the root's srv
# where they lie here.
in_root() {
  unshare --mount --propagation private bash -euc '
    root=$1 checkout=$2 build=$3; shift 3
    at=$(mktemp -d); trap "umount -l $at; rmdir $at" EXIT
    mount -t tmpfs tmpfs $at; mkdir $at/{up,work,root}
    mount -t overlay overlay -o "lowerdir=$root,upperdir=$at/up,workdir=$at/work" $at/root
    for folder in /proc /dev "$checkout" "$build" "$root/srv"; do
      mkdir -p "$at/root$folder"; mount --rbind "$folder" "$at/root$folder"
    done
    cp /etc/resolv.conf $at/root/etc/
    chroot $at/root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
  ' - "$1" "$checkout" "$build" "${@:2}"
}

# migrun of this checkout for a release, with the flags of this machine's.
root_build() {
  local flags=()
  ! grep -qse -fsanitize "$build/flags" || flags+=(SANITIZE=1)
  ! grep -qse -DMIGRUN_FAULTS "$build/flags" || flags+=(FAULTS=1)
  mkdir -p "$build/$1"
  in_root "$(root_of "$1")" make -s -C "$checkout" -j"$(nproc)" BUILD="$build/$1" "${flags[@]}" all \
    >"$LAB/build.log" 2>&1 || { tail -n 20 "$LAB/build.log" >&2; die "migrun could not be built for $1"; }
}
