#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# leftovers.sh COMMAND...
# Runs a command, to which the name of a file is added, and which fails. The processes whose numbers it has written there are gone soon.

file=$(mktemp -u)
trap 'rm -f "$file" "$file.new"' EXIT
timeout -k 5 60 "$@" "$file" </dev/null && { echo "it did not fail"; exit 1; }
[ -s "$file" ] || { echo "it has started nothing"; exit 1; }

# One that nobody waits for stays as a zombie where the first process of the system does not.
lives() { [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

for process in $(cat "$file"); do
  tries=0
  while lives "$process"; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "process $process is still there"; exit 1; }
    sleep 0.1
  done
done
