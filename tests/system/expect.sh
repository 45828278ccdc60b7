#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# expect.sh CODE [CHECK...] -- COMMAND...
# Runs a command and checks how it ended. CODE is its exit code, or several, `1|7`, or `fails` for any but 0. Each CHECK is about its output, both streams
# together: `+TEXT` occurs, `-TEXT` does not, `N*TEXT` occurs N times.

code=$1
shift
checks=$(mktemp)
output=$(mktemp)
trap 'rm -f "$checks" "$output"' EXIT
while [ "$1" != -- ]; do
  printf '%s\n' "$1" >>"$checks"
  shift
done
shift

# Far longer than any of these programs takes; who reaches it hangs.
limit=${EXPECT_LIMIT:-60}
again=yes
while :; do
  timeout -k 5 "$limit" "$@" >"$output" 2>&1 </dev/null
  got=$?
  # When all ranks are gone and it has told how, mpirun may wait for itself for ever: in PMIx_server_finalize of PMIx 4.2, seldom. That is no
  # fault of the program's, so it has another chance.
  case $got in 124 | 137) ;; *) break ;; esac
  [ "$again" = yes ] && grep -q 'detected that one or more processes exited with non-zero status' "$output" || break
  again=no
done

bad=0
complain() {
  echo "expect.sh: $*"
  bad=1
}
if [ "$got" -eq 124 ] || [ "$got" -eq 137 ]; then
  complain "it did not end within $limit s"
elif [ "$code" = fails ]; then
  [ "$got" -ne 0 ] || complain "it exited with 0, and should have failed"
else
  case "|$code|" in
    *"|$got|"*) ;;
    *) complain "it exited with $got instead of $code" ;;
  esac
fi

while IFS= read -r check; do
  case $check in
    +*) grep -q -F -- "${check#+}" "$output" || complain "its output lacks: ${check#+}" ;;
    -*) grep -q -F -- "${check#-}" "$output" && complain "its output has: ${check#-}" ;;
    *)
      times=$(grep -o -F -- "${check#*\*}" "$output" | wc -l)
      [ "$times" -eq "${check%%\**}" ] || complain "its output has ${times} times instead of ${check%%\**}: ${check#*\*}"
      ;;
  esac
done <"$checks"

if [ "$bad" -ne 0 ]; then
  echo "command: $*"
  echo "output:"
  cat "$output"
fi
exit "$bad"
