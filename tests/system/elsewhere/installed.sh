#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# installed.sh CMAKE BUILD GENERATOR COMPILER MPIRUN FLAGS
# Installs a build to a place of its own, builds a project elsewhere against that in either form, and runs it.

cmake=$1
build=$2
generator=$3
compiler=$4
mpirun=$5
flags=$6
here=$(cd "$(dirname "$0")" && pwd)
. "$here/checks.sh"

quietly "$cmake" --install "$build" --prefix "$work/prefix"
# Nothing of the source tree may be needed.
grep -r -l -F "$here" "$work/prefix" --include='*.cmake' && fail "the installed files name the source tree"
cp -r "$here" "$work/source"
for form in rankview embedded; do
  quietly "$cmake" -G "$generator" -S "$work/source" -B "$work/$form" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS="$flags" -DRANKVIEW_FORM="rankview::$form"
  quietly "$cmake" --build "$work/$form"
  runs "$work/$form/elsewhere"
done
