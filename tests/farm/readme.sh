#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# readme.sh COMMAND README
# Does what the README has under "No C++? Start here", and compares what comes of it.

directory=$(dirname "$(realpath "$1")")
readme=$(realpath "$2")
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1
# The first piece of that language below the heading.
piece() { awk -v begin="\`\`\`$1" '/^## /{ there = /^## No C\+\+/ } /^```/ { if (on) exit; on = there && $0 == begin; next } on' "$readme"; }
piece sh >commands
piece text >expected
[ -s commands ] && [ -s expected ] || { echo "readme.sh: the README has no such pieces"; exit 1; }
PATH=$directory:$PATH sh ./commands >said 2>&1
diff expected said
