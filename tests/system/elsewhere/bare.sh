#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# bare.sh CMAKE GENERATOR INCLUDE COMPILER MPIRUN
# With a copy of include/ and nothing else: by one command, and in a project with a CMakeLists.txt of its own. Two runtimes in one program
# are noticed.

cmake=$1
generator=$2
include=$3
compiler=$4
mpirun=$5
here=$(cd "$(dirname "$0")" && pwd)
. "$here/checks.sh"
export OMPI_CXX="$compiler"

mkdir "$work/third_party"
cp -r "$include/rankview" "$work/third_party"
cp "$here/main.cpp" "$here/other.cpp" "$here"/../bare/* "$work"
cd "$work" || fail "no place to work"

quietly mpicxx -std=c++20 -Ithird_party app.cpp other.cpp -o by_command -lboost_mpi -lboost_serialization
runs ./by_command

quietly "$cmake" -G "$generator" -S . -B build -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug
quietly "$cmake" --build build
runs build/elsewhere

quietly mpicxx -std=c++20 -Ithird_party -fPIC -shared plugin.cpp -o libplugin.so -lboost_mpi -lboost_serialization
quietly mpicxx build/CMakeFiles/elsewhere.dir/app.cpp.o build/CMakeFiles/elsewhere.dir/other.cpp.o user.cpp -o with_plugin -L. -lplugin -Wl,-rpath,"$work" -lboost_mpi -lboost_serialization
timeout 60 ./with_plugin >out 2>&1 && fail "two runtimes in one program were not noticed"
grep -q "rankview's runtime is in this program more than once: in the executable and .*libplugin.so" out || { cat out; fail "two runtimes: another sentence"; }
