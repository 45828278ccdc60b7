#!/bin/sh
# compare.sh EXPECTED COMMAND...: runs the command; its output must be what the file says.
expected=$1
shift
actual=$("$@") || { echo "exit code $?"; exit 1; }
[ "$actual" = "$(cat "$expected")" ] && exit 0
echo "expected:"
cat "$expected"
echo "printed:"
echo "$actual"
exit 1
