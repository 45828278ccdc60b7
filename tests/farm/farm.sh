#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# farm.sh COMMAND
# What rankview farm does that GNU parallel does not, or differently: resuming by the text of commands, signals, commands of any length, input
# that is still being written.

command=$(realpath "$1")
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1

fail() {
  echo "farm.sh: $*"
  head -c 2000 said complaints
  exit 1
}
# farm CODE WORD...: the exit code; what it prints is in `said` and `complaints`.
farm() {
  code=$1
  shift
  "$command" farm "$@" >said 2>complaints
  got=$?
  [ "$got" -eq "$code" ] || fail "rankview farm $*: $got instead of $code"
}
says() { [ "$(cat said)" = "$1" ] || fail "it says something else than: $1"; }
complains() { grep -q -e "$1" complaints || fail "it complains of nothing like $1"; }
# Until a file is there, for 20 s.
await() {
  tries=0
  until [ -e "$1" ]; do
    tries=$((tries + 1))
    [ $tries -lt 2000 ] || fail "$1 never comes"
    sleep 0.01
  done
}
# Whether processes are left that were started with this word.
gone() {
  tries=0
  while pgrep -f "$1" >/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || fail "these are left: $(pgrep -fa "$1")"
    sleep 0.01
  done
}

# ---- resuming ----

printf 'echo a\necho b; exit 3\necho a\necho c\n' >tasks
farm 1 -j1 --checkpoint kept tasks
says "a
b
a
c"
farm 0 -j1 --checkpoint kept --resume tasks
says ""
# In another order, one of the equal lines gone, a new one, and an equal one more.
printf 'echo c\necho new\necho b; exit 3\necho a\n' >edited
farm 0 -j1 --checkpoint kept --resume --explain edited
says "new"
[ "$(cat complaints)" = "command 2 runs: it has not been run: echo new
3 are left out" ] || fail "it explains something else"
printf 'echo a\necho a\necho a\n' >thrice
farm 0 -j1 --checkpoint kept --resume --joblog log thrice
says "a"
[ "$(tail -n +2 log | cut -f 1)" = 3 ] || fail "another one than the third has run"
farm 1 -j1 --checkpoint kept --failed edited
says "b"
farm 1 -j1 --checkpoint kept --resume-failed edited
says "b"
farm 1 -j1 --checkpoint kept edited
says "c
new
b
a"
"$command" checkpoint kept --failed >said || fail "the checkpoint cannot be looked into"
grep -q 'exit status 3 on .*: echo b; exit 3' said || fail "the checkpoint does not tell what has failed"
# A command that has its slot in it is the same in another one.
# What they wrote is there as well, of each what it wrote last.
"$command" log kept --failed >said || fail "the log cannot be read"
grep -q ' 3  .*:  echo b; exit 3' said || fail "the log does not tell what has failed"
rm -rf written
farm 1 -j1 --checkpoint written -- 'echo out {}; echo err {} >&2; printf "\0"; exit {}' ::: 0 1
farm 1 -j1 --checkpoint written --failed -- 'echo out {}; echo err {} >&2; printf "\0"; exit {}' ::: 0 1
"$command" log written 2 >said 2>complaints || fail "the log of a command"
[ "$(tr '\0' 0 <said)$(cat complaints)" = "out 1
0err 1" ] || fail "what a command wrote"
[ "$("$command" log written -p 2>/dev/null | wc -c)" -eq 14 ] || fail "what all commands wrote"
"$command" log written 3 2>complaints && fail "there is no command 3"
complains 'no output of a command 3'
"$command" log results-of-nobody 2>complaints && fail "there is no such log"

farm 0 -j1 --checkpoint slotted -- 'sleep 0; echo {%}' ::: a b
farm 0 -j2 --checkpoint slotted --resume -- 'sleep 0; echo {%}' ::: b a
says ""

# ---- ends before the end ----

# It is told to end when two commands run, each of which leaves a mark; a third waits.
interrupted() {
  rm -rf begun.* kept2
  printf 'touch begun.1; %s 1001\ntouch begun.2; %s 1001 & wait\ntouch begun.3\n' "$2" "$2" >tasks
  "$command" farm -j2 --checkpoint kept2 --joblog log2 tasks >said 2>complaints &
  farm=$!
  await begun.1
  await begun.2
  kill "-$1" $farm
  wait $farm
  got=$?
}
cp "$(command -v sleep)" farm-sleeper-$$
interrupted TERM "./farm-sleeper-$$"
[ $got -eq 255 ] || fail "after SIGTERM it leaves with $got"
gone farm-sleeper-$$
[ -e begun.3 ] && fail "the third command has begun"
[ "$(wc -l <log2)" -eq 1 ] || fail "what was killed is in the log"
printf 'touch begun.1\ntouch begun.2\ntouch begun.3\n' >tasks
# They have another text now.
farm 0 -j2 --checkpoint kept2 --resume tasks
[ -e begun.3 ] || fail "the third command was not resumed"

# Whoever is killed leaves nothing, be it the process that one sees or the one behind it; not even what has left the group of its command.
for who in first second; do
  rm -f begun.*
  apart=
  [ $who = second ] && apart=setsid
  printf "touch begun.1; ./farm-sleeper-$$ 1002\ntouch begun.2; $apart ./farm-sleeper-$$ 1002 & wait\n" >tasks
  "$command" farm -j2 tasks >said 2>complaints &
  farm=$!
  await begun.1
  await begun.2
  victim=$farm
  [ $who = second ] && victim=$(pgrep -P $farm)
  kill -KILL "$victim"
  wait $farm 2>/dev/null
  gone farm-sleeper-$$
done

# ---- a job that is about to end ----

# Nothing begins in the last second, and the job wants to be started again; it has told how much was done, and commands are not told.
rm -rf kept
yes 'sleep 0.2; [ -z "$RANKVIEW_WALLTIME$RANKVIEW_TALLY" ] || echo told' | head -n 20 >tasks
RANKVIEW_WALLTIME=2 RANKVIEW_WALLTIME_MARGIN_S=1 RANKVIEW_TALLY=$top/tally
export RANKVIEW_WALLTIME RANKVIEW_WALLTIME_MARGIN_S RANKVIEW_TALLY
farm 75 -j1 --checkpoint kept tasks
says ""
done=$(cat tally)
[ "$done" -ge 1 ] && [ "$done" -le 10 ] || fail "it says that it has done $done"
# What does not end in that second is killed, and is run again.
rm tally
farm 75 -j1 --checkpoint other -- sleep ::: 1234.5
complains "the job's time is over: 1 commands are killed"
[ "$(cat tally)" = 0 ] || fail "what was killed counts as done"
gone 'sleep 1234.5'
RANKVIEW_WALLTIME=nonsense farm 255 -- true ::: a
complains RANKVIEW_WALLTIME
unset RANKVIEW_WALLTIME RANKVIEW_WALLTIME_MARGIN_S
rm tally
farm 0 --checkpoint kept --resume tasks
[ "$(cat tally)" = $((20 - done)) ] || fail "of 20, $done were done, and then $(cat tally)"
unset RANKVIEW_TALLY

# SIGHUP and SIGUSR1 let commands end; the second wants to be started again.
for signal in HUP USR1; do
  rm -rf begun.* go kept2
  printf 'touch begun.1; until [ -e go ]; do sleep 0.01; done; echo 1\ntouch begun.3\n' >tasks
  "$command" farm -j1 --halt soon,fail=1 --checkpoint kept2 tasks >said 2>complaints &
  farm=$!
  await begun.1
  kill -$signal $farm
  while [ ! -s complaints ]; do sleep 0.01; done
  touch go
  wait $farm
  got=$?
  says 1
  [ -e begun.3 ] && fail "a command has begun behind SIG$signal"
  [ $signal = HUP ] && [ $got -ne 0 ] && fail "after SIGHUP it leaves with $got"
  [ $signal = USR1 ] && [ $got -ne 75 ] && fail "after SIGUSR1 it leaves with $got"
done
farm 0 --checkpoint kept2 --resume tasks
[ -e begun.3 ] || fail "what was left was not resumed"

# But not where that means nothing.
rm -f begun.*
printf 'touch begun.1; until [ -e begun.2 ]; do sleep 0.01; done\n' >tasks
(trap '' HUP && exec "$command" farm tasks >said 2>complaints) &
farm=$!
await begun.1
kill -HUP $farm
touch begun.2
wait $farm || fail "it does not outlive the terminal"
[ -s complaints ] && fail "it has heard of the terminal's end"

# ---- commands and output of any kind ----

# A line of a megabyte; GNU parallel refuses those.
{ printf 'echo a' && head -c 1000000 /dev/zero | tr '\0' ' ' && echo 'b; exit 5'; } >tasks
farm 1 --joblog log tasks
says "a b"
tail -n 1 log | cut -f 7 | grep -q '^5$' || fail "the exit value of a long line"
# 100 MB, with whatever bytes there are.
farm 0 -- 'head -c {} /dev/urandom | tee copy' ::: 100000000
cmp said copy || fail "100 MB are not what they were"
# Arguments with newlines are one argument; GNU parallel makes two of them.
farm 0 -k -- echo ::: 'a
b' c
says "a
b
c"
# Another shell.
farm 0 --shell bash ::: 'echo ${BASH_VERSION:+bash}'
says bash
farm 255 --shell no-such-shell ::: true
complains 'there is no program no-such-shell'
# Commands are started while the list is being written, and output does not wait for its end.
mkfifo list
"$command" farm -j1 <list >said 2>complaints &
farm=$!
exec 4>list
echo 'touch first-ran' >&4
await first-ran
echo 'echo half; touch second-ran' >&4
await second-ran
tries=0
until [ "$(cat said)" = half ]; do
  tries=$((tries + 1))
  [ $tries -lt 2000 ] || fail "output waits for the end of the input"
  sleep 0.01
done
exec 4>&-
wait $farm || fail "a list that is being written"

# Somebody reads no more.
"$command" farm -j1 -- 'echo {}; sleep 0' ::: $(seq 500) 2>complaints | head -n 1 >said
says 1

# ---- what is refused ----

farm 255 --memfree 1G ::: true
complains 'memfree is an option of GNU parallel'
farm 255 --nonsense ::: true
complains nonsense
farm 255 tasks more tasks
complains 'a command and its arguments go behind --'
farm 255 nowhere
complains 'nowhere: No such file'
farm 255 --resume tasks
complains 'give --checkpoint DIR'
farm 255 --resume --failed --checkpoint kept tasks
complains 'one says what is run'
farm 255 --halt now,fail=10% tasks
complains 'percentage'
farm 255 --colsep '[,;]' tasks
complains 'regular expression'
farm 255 -- 'echo {= $_++ =}' ::: a
complains 'Perl'
farm 255 --joblog /nowhere/log tasks
complains '/nowhere/log'
farm 255 -j many tasks
complains '--jobs should be'
farm 1 --results /proc/nowhere tasks
complains 'cannot be started'
(ulimit -n 64 && "$command" farm -j1000 -- 'exit {}' ::: $(yes 0 | head -n 200) 2>complaints) || fail "few descriptors"
complains 'ulimit -n'
farm 0 --help
[ "$(wc -l <said)" -le 50 ] || fail "the help fills more than a screen"
exit 0
