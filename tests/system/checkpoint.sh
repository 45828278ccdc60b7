#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# checkpoint.sh COMMAND PROGRAM
# Looks at what rankview_resumed keeps by `rankview checkpoint`, tidies it, and runs the program again.

command=$1
program=$2
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
kept=$top/kept

fail() {
  echo "checkpoint.sh: $*"
  cat "$top/said" "$top/complaints"
  exit 1
}
# expect CODE ARGUMENT...: the exit code of the command.
expect() {
  code=$1
  shift
  "$command" checkpoint "$@" >"$top/said" 2>"$top/complaints"
  got=$?
  [ "$got" -eq "$code" ] || fail "rankview checkpoint $*: $got instead of $code"
}
says() { grep -q -e "$1" "$top/said" || fail "says nothing of $1"; }
complains() { grep -q -e "$1" "$top/complaints" || fail "complains of nothing like $1"; }
run() { RANKVIEW_EXPLAIN=1 "$program" "$kept" "$top/log" 7 strict >"$top/said" 2>"$top/complaints" || fail "the program failed"; }

expect 1 "$kept"
complains 'No such file or directory'
for job in 1 2; do
  run
  says '7 of 7 right'
done
expect 0 "$kept"
[ "$(wc -l <"$top/said")" -eq 8 ] || fail "the list has another length"
says 'Cube'
expect 0 "$kept" list --json
says '"status": "ok"'
if command -v python3 >/dev/null; then
  python3 -c 'import json, sys; items = json.load(sys.stdin); assert len(items) == 7 and all(i["when"] > 1.7e9 for i in items), items' <"$top/said" ||
    fail "the list is no JSON"
fi
expect 0 "$kept" verify
says 'all is well: 7 tasks in 1 journals'

# One task is forgotten, and done by the next run.
key=$("$command" checkpoint "$kept" | awk 'NR == 4 { print $1 }')
expect 0 "$kept" forget "$(echo "$key" | cut -c 1-16)"
says "$key is forgotten"
expect 1 "$kept" forget "$key"
complains 'has nothing whose key begins with'
run
says '7 of 7 right'
[ "$(grep -c 'runs: new' "$top/complaints")" -eq 1 ] || fail "not one task has run"
expect 0 "$kept" verify
says 'all is well: 7 tasks in 2 journals'
expect 0 "$kept" compact
says '2 journals are one: 7 results'
expect 0 "$kept" verify
says 'all is well: 7 tasks in 1 journals'
run
[ "$(grep -c 'runs: new' "$top/complaints")" -eq 0 ] || fail "what is there was done again"

# Not while a job uses it.
(
  exec 9<"$kept/in-use"
  flock -s 9 || exit 1
  "$command" checkpoint "$kept" compact 2>"$top/complaints"
  [ $? -eq 1 ] && grep -q 'a job uses the checkpoint' "$top/complaints"
) || fail "it is compacted while it is used"

# What is refused.
expect 2 "$kept" forget
expect 2 "$kept" verify "$key"
mkdir "$top/other"
expect 1 "$top/other"
complains 'is no checkpoint'
expect 1 "$program"
complains 'Not a directory'
mkdir "$top/open"
chmod 777 "$top/open"
expect 1 "$top/open" compact
complains 'may be written to by other users'
mkdir "$top/linked"
ln -s "$(ls "$kept"/*.journal)" "$top/linked/a.journal"
expect 1 "$top/linked" verify
says 'it cannot be used: '
if [ "$(id -u)" -eq 0 ]; then
  cp -r "$kept" "$top/stranger"
  chown 1234 "$top/stranger"
  expect 1 "$top/stranger"
  complains 'belongs to another user'
fi

# Damage is told, with its place.
journal=$(ls "$kept"/*.journal)
printf 'x' | dd of="$journal" bs=1 seek=3000 conv=notrunc status=none
expect 1 "$kept" verify
says 'it is damaged: .* bytes, the first at'
run
says '7 of 7 right'
exit 0
