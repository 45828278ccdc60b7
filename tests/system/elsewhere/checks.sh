# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# Sourced by the tests of how a program elsewhere gets rankview. Wants: mpirun. Defines: work, a directory that goes when the test ends;
# fail WORD..., quietly COMMAND..., runs PROGRAM.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "failed: $*"
  exit 1
}

# Says what the command said only if it fails.
quietly() {
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "$*"; }
}

expect() {
  what=$1
  shift
  timeout 60 "$@" >"$work/out" 2>&1 || { cat "$work/out"; fail "$*"; }
  grep -q -x "$what" "$work/out" || { cat "$work/out"; fail "another output than \"$what\": $*"; }
}

# The program of main.cpp and other.cpp, alone and under mpirun.
runs() {
  expect "1 engines, total 2525" "$1"
  expect "2 engines, total 2525" "$mpirun" --oversubscribe --bind-to none -np 3 "$1"
}
