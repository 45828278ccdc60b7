#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# test.sh CMAKE BUILD GENERATOR COMPILER MPIRUN FLAGS
# Installs a build to a place of its own, builds a project elsewhere against that, and runs it.

cmake=$1
build=$2
generator=$3
compiler=$4
mpirun=$5
flags=$6
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "install test: $*"
  exit 1
}

"$cmake" --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || { cat "$work/log"; fail "cannot install"; }
# Nothing of the source tree may be needed.
grep -r -l -F "$here" "$work/prefix" --include='*.cmake' && fail "the installed files name the source tree"
cp -r "$here" "$work/source"
"$cmake" -G "$generator" -S "$work/source" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="$flags" >"$work/log" 2>&1 || { cat "$work/log"; fail "cannot configure"; }
"$cmake" --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; fail "cannot build"; }

check() {
  timeout 60 "$@" >"$work/out" 2>&1 || { cat "$work/out"; fail "it failed: $*"; }
}
check "$work/build/elsewhere"
grep -q -x "1 engines, total 2525" "$work/out" || { cat "$work/out"; fail "another output than it should have"; }
check "$mpirun" --oversubscribe --bind-to none -np 3 "$work/build/elsewhere"
grep -q -x "2 engines, total 2525" "$work/out" || { cat "$work/out"; fail "another output than it should have under mpirun"; }
