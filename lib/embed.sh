#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# embed.sh [--check]
# Writes include/rankview/embedded.hpp: the library's sources behind each other, each with the headers it needs before it. With --check says
# whether it stands there already.

cd "$(dirname "$0")" || exit 1
to=../include/rankview/embedded.hpp
new=$(mktemp) || exit 1
trap 'rm -f "$new"' EXIT

# The sources in the order of the build.
sources=$(sed -n 's/^ *\([a-z]*\/[a-z_]*\.cpp\))*$/\1/p' CMakeLists.txt)
awk -v sources="$sources" '
  # Empty lines that stood between what is gone would stand behind each other.
  function out(line) {
    if (line != "" || last != "") print line
    last = line
  }
  # Puts a file out, and before it what it includes of ours, each once.
  function put(file, line, part) {
    if (file in seen) return
    seen[file] = 1
    while ((status = (getline line < file)) > 0) {
      if (line ~ /^#include "/) {
        split(line, part, "\"")
        put(part[2])
      } else if (line ~ /^#include </) {
        if (!(line in included)) out(line)
        included[line] = 1
      } else if (line !~ /^#pragma once$/ && line !~ /^\/\/ SPDX-License-Identifier/ && line !~ /^\/\/ Part of rankview:/) {
        out(line)
      }
    }
    if (status < 0) {
      print file ": cannot be read" > "/dev/stderr"
      exit 1
    }
    close(file)
  }
  BEGIN {
    out("// SPDX-License-Identifier: BSL-1.0")
    out("// Part of rankview: views, engines and load balancing over MPI.")
    out("//")
    out("// The whole runtime, for programs that link no library of rankview: include this in exactly one translation unit, and link MPI,")
    out("// Boost.MPI and Boost.Serialization. Made from lib/ by lib/embed.sh.")
    out("#pragma once")
    out("")
    n = split(sources, file, " ")
    for (i = 1; i <= n; ++i) put(file[i])
  }
' >"$new" || exit 1
if [ "$1" = --check ]; then
  cmp -s "$new" "$to" && exit 0
  echo "include/rankview/embedded.hpp is not what lib/ makes: run sh lib/embed.sh"
  exit 1
fi
cat "$new" >"$to"
