#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# exported.sh LIBRARY
# A shared library of rankview shows names of include/ only: nothing of its inside, of Boost, of the standard library or of MPI. What users
# name carries the ABI's version.

names=$(nm -DC --defined-only "$1" | cut -d' ' -f3- | sed 's/^\(typeinfo\|typeinfo name\|vtable\|guard variable\) for //')
[ -n "$names" ] || { echo "no names at all in $1"; exit 1; }
wrong=$(echo "$names" | grep -v '^rankview::'; echo "$names" | grep -E '^rankview::(abi_[0-9_]+::)?(transport|scheduler|wire|controller|engine|launch|detail::Controller)\b')
unversioned=$(echo "$names" | grep -E '^rankview::(Client|DirectView|detail|this_task)\b')
[ -z "$wrong$unversioned" ] && exit 0
echo "names that should not be seen outside of $1:"
echo "$wrong$unversioned"
exit 1
