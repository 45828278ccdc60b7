#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# hosts.sh up DIR N | on DIR HOST COMMAND... | power_off DIR HOST | cut DIR HOST | mend DIR HOST | down DIR
# N hosts on this machine, a1, a2 and so on, each with its own network, name, processes and /dev/shm, joined by a bridge. What they are is kept in DIR.
# Wants to be root and to be allowed to make namespaces: `up` ends with 77 where it is not.
# DIR/agent is what mpirun starts its daemons with there (plm_rsh_agent), in the place of ssh.

set -eu
verb=$1
dir=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)

on() {
  host=$1
  shift
  nsenter -t "$(cat "$dir/$host.pid")" -n -u -p -m --wd="$PWD" "$@"
}

case $verb in
  up)
    mkdir -p "$dir"
    if ! unshare -n -u -p -m -f true 2>/dev/null || ! command -v ip >/dev/null; then
      echo "hosts.sh: wants root, namespaces and ip"
      exit 77
    fi
    # Another one may be here: the first network that is free.
    net=91
    while ! ip link add "rvbridge$net" type bridge 2>/dev/null; do
      net=$((net + 1))
      if [ $net -gt 120 ]; then
        echo "hosts.sh: no bridge can be made"
        exit 77
      fi
    done
    echo $net >"$dir/net"
    ip addr add "10.$net.0.1/24" dev "rvbridge$net"
    ip link set "rvbridge$net" up
    echo "127.0.0.1 localhost" >"$dir/etc_hosts"
    for i in $(seq "$1"); do echo "10.$net.0.$((10 + i)) a$i" >>"$dir/etc_hosts"; done
    for i in $(seq "$1"); do
      # The first process of a host lives for as long as the host does, and names itself where those outside see it.
      mkfifo "$dir/a$i.up"
      setsid unshare -n -u -p -m -f --mount-proc --kill-child sh -c "
        mount --make-rprivate /
        hostname a$i
        mount -t tmpfs -o size=1g,mode=1777 tmpfs /dev/shm
        mount --bind '$dir/etc_hosts' /etc/hosts
        echo up >'$dir/a$i.up'
        exec sleep infinity" >"$dir/a$i.log" 2>&1 </dev/null &
      outer=$!
      read -r _ <"$dir/a$i.up"
      pgrep -P $outer >"$dir/a$i.pid"
      ip link add "rv${net}a$i" type veth peer name eth0 netns "$(cat "$dir/a$i.pid")"
      ip link set "rv${net}a$i" master "rvbridge$net" up
      on "a$i" ip link set lo up
      on "a$i" ip addr add "10.$net.0.$((10 + i))/24" dev eth0
      on "a$i" ip link set eth0 up
    done
    printf '#!/bin/sh\nhost=$1\nshift\nexec sh "%s/hosts.sh" on "%s" "$host" sh -c "$*"\n' "$here" "$dir" >"$dir/agent"
    chmod +x "$dir/agent"
    ;;
  on) on "$@" ;;
  power_off) kill -9 "$(cat "$dir/$1.pid")" ;;
  cut) ip link set "rv$(cat "$dir/net")$1" down ;;
  mend) ip link set "rv$(cat "$dir/net")$1" up ;;
  down)
    [ -e "$dir/net" ] || exit 0
    net=$(cat "$dir/net")
    for pid in "$dir"/a*.pid; do
      host=$(basename "$pid" .pid)
      kill -9 "$(cat "$pid")" 2>/dev/null || :
      ip link del "rv$net$host" 2>/dev/null || :
    done
    ip link del "rvbridge$net"
    rm -rf "$dir"
    ;;
  *)
    sed -n '5,8p' "$0"
    exit 2
    ;;
esac
