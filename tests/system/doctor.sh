#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# doctor.sh COMMAND
# rankview doctor, here: what it says can be read by people and by programs, also of engines.

command=$1
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT

fail() {
  echo "doctor.sh: $*"
  cat "$top/said" "$top/complaints"
  exit 1
}
# run COMMAND...: its exit code says whether there is a problem here, which is not this test's.
run() {
  timeout -k 5 100 "$@" >"$top/said" 2>"$top/complaints" </dev/null
  [ $? -le 1 ] || fail "$*"
}
says() { grep -q -e "$1" "$top/said" || fail "it says nothing of $1"; }

run "$command" doctor
says '^fine    mpi: linked with '
says '^fine    cores: '
run "$command" doctor --json
says '"topic": "memory"'
if command -v python3 >/dev/null; then
  python3 -c 'import json, sys; found = json.load(sys.stdin); assert all(set(f) == {"level", "topic", "what", "advice"} for f in found), found' <"$top/said" ||
    fail "that is no JSON"
fi
run "$command" doctor -n 2 --pairs
says ' threads: MPI gives '
says '^fine    engines: 2 on '
says ' engine 1: on .*: round trip of a task .* us, an argument of 8 MiB at .* GB/s'
says '^fine    bandwidth: between engines'
exit 0
