#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# gnu_parallel.sh COMMAND
# Has GNU parallel and rankview farm run the same, and compares what they print to both streams, what they leave with, and their job logs but for
# times. What the two themselves say about it is not compared.

command=$(realpath "$1")
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1
# The shell that both use, and no configuration of anybody's.
export LC_ALL=C PARALLEL_SHELL=/bin/sh HOME="$top" PARALLEL_HOME="$top/home"
mkdir home
input=/dev/null
compared=0
bad=0

# What is said of itself: "parallel: ...", and after two of its sentences the command on the next line; "rankview farm: ...".
spoken() { awk '/^parallel: This job |killed because/ { getline; next } /^parallel: |^rankview( farm)?: / { next } { print }' "$1"; }

# Several commands at a time may end in any order.
part_of() { cut -f 1,2,5- "$1" | sort -n; }

# same [OPTION...] [-- COMMAND... [::: ARGUMENT...]]; the input of both is $input.
same() {
  rm -rf log results
  parallel --will-cite --joblog log "$@" <"$input" >out.parallel 2>err.parallel
  code=$?
  rm -rf results.parallel
  [ -d results ] && mv results results.parallel
  [ -f log ] && part_of log >log.parallel
  rm -f log
  "$command" farm --joblog log "$@" <"$input" >out.farm 2>err.farm
  got=$?
  [ -f log ] && part_of log >log.farm
  compared=$((compared + 1))
  what=
  [ $got -eq $code ] || what="exit code $got instead of $code"
  cmp -s out.parallel out.farm || what="$what; stdout"
  spoken err.parallel >said.parallel
  spoken err.farm >said.farm
  cmp -s said.parallel said.farm || what="$what; stderr"
  # A dry run has none.
  case " $* " in *" --dry-run "*) ;; *) cmp -s log.parallel log.farm || what="$what; the job log" ;; esac
  if [ -d results ]; then diff -r results.parallel results >/dev/null || what="$what; the results"; fi
  [ -z "$what" ] && return
  bad=1
  echo "gnu_parallel.sh: different for: $*"
  echo "  $what"
  diff -a out.parallel out.farm | head -n 20
  diff -a said.parallel said.farm | head -n 20
  diff -a log.parallel log.farm | head -n 20
}

# ---- commands, a line each ----

cat >lines <<'END'
echo "double 'single' quotes"
echo 'é ü 漢字'; echo "back\\slash"
printf 'a\0b\n'
printf 'no newline'
head -c 3000000 /dev/zero | tr '\0' x
cat
cd /tmp && pwd
(sleep 3; echo late) & echo early
kill -9 $$
kill -TERM $$
kill -SEGV $$
kill -PIPE $$
exit 42
nosuchcommand arg
echo $((1+2)) ${HOME} ~
# only a comment

for i in 1 2 3; do echo $i; done
true && false || echo x >&2
FOO=bar env | grep ^FOO=
echo   many    spaces  
	echo tab
ls /nonexistent
./nosuchfile
/tmp
echo a; echo b >&2; exit 3
"unterminated
exec sleep 0
trap 'echo trapped' EXIT
printf '%s\n' "$PARALLEL_SEQ"
echo last without newline
END
printf 'echo no newline behind it' >>lines
input=lines
same -j1
same -k -j3
same -k -j3 --tag
same -j1 --dry-run
# What goes on behind a command's end has its output lost, but where it goes to a file, or straight on.
grep -v late lines >ending
input=ending
same -j1 --results results
same -j1 -u
same -j1 --resume
printf 'echo a\necho b\0true\0' >null
input=null
same -j1 -0
input=/dev/null
same -j1 -- echo

# ---- arguments ----

same -k -- echo {} ::: a 'b c' "d'e" '' '$HOME' '*' '"' '\' '~' '#' 'é' '{}' ' '
same -k --dry-run -- echo {} ::: a 'b c' "d'e" "'" "''" "'x" "x'" '' 'é' 'a=b' '~x' 'a,b' 'a:b@c%d'
same -k -- 'echo "[{.}]" [{/}] [{//}] [{/.}]' ::: a a.b /a a/ /a/ /a/b/ a.b/c a/.b .b / a//b a.b.c 'x y.z/w v.u'
same -k -- echo {1} {2} {3}x{-1} {2.} ::: a b.c ::: 1 2
same -k -- echo {} ::: a b :::+ 1 2 3 ::: X Y :::+ 11 22
same -k -- echo {#} {} ::: a b
same -k -- {} ::: 'echo a; echo b' false
same -k -- '{1} {2} x {}' ::: echo printf ::: 'a b'
same -j1 -- 'echo $PARALLEL_JOBSLOT {%} {}' ::: a 'b c'
same -k --dry-run -- '{#} {}' ::: 'a b'
same -k --dry-run -- ' {} {}' ::: 'a b'
same -k --dry-run -- '{%}{}' ::: 'a b'
same -k ::: 'echo a' 'exit 3'
same -k -- echo '{nothing}' '{' ::: a
seq 3 >numbers
printf 'x\ny z\n' >letters
same -k -- echo :::: numbers letters
same -k -- echo :::: numbers ::::+ letters
same -k -a numbers -- echo {1}{2} ::: a b
same -k -a numbers -a letters -- echo
input=numbers
same -k -- echo {}-{} x
same -k -- echo :::: letters - ::: q
printf 'a,b,,\n, c ,d\n,,\n\nlast' >table
input=table
same -k -C , -- echo '[{1}]' '[{2}]' '[{3}]' '[{}]'
same -k --colsep '\s+' -- echo '[{1}]' '[{2}]'
same -k -d , -- echo
printf ' \na\n\n\tb\n' >blanks
input=blanks
same -k -- echo
same -k -r -- echo {#} {}
input=/dev/null
same -k --tag -- 'printf "x\ny"; echo e >&2 #' ::: a 'b c'
# (GNU parallel takes {#} in a tag for the number of another command now and then.)
same -k --tagstring '{1}-{2}' -- echo ::: a b ::: 1 2
same -k --results results -- 'echo out{}; echo err >&2' ::: a 'b/c' 'd e' 'f\g' ::: x y

# ---- what fails ----

input=/dev/null
same -j1 --retries 3 ::: 'echo x; false' 'echo y'
same -j1 --retries 1 ::: 'echo x; false'
rm -f tries
same -j1 --retries 3 ::: 'echo x >>tries; echo try; [ $(wc -l <tries) -ge 2 ]'
for halt in never now,fail=1 soon,fail=1 now,fail=2 soon,fail=2 now,success=1 soon,success=1 now,done=2 soon,done=2 0 1 2; do
  same -j1 --halt $halt ::: 'echo a' 'exit 3' 'echo b' 'exit 4' 'echo c'
done
same -j1 --halt now,fail=1 ::: 'kill -9 $$'
same -j2 --halt now,fail=1 ::: 'sleep 30; echo never' 'echo part; sleep 0.5; exit 7' 'echo x'
same -j2 --halt soon,fail=1 ::: 'sleep 1; echo late; exit 4' 'sleep 0.3; exit 7' 'echo x'
same -j1 --timeout 1 ::: 'echo begun; sleep 30; echo never' 'echo quick'
same -j1 --timeout 1 --retries 2 ::: 'echo begun; sleep 30'
i=0
while [ $i -lt 120 ]; do
  echo false
  i=$((i + 1))
done >failing
input=failing
same -k -j4

# ---- resuming from a log of the other's ----

input=/dev/null
list="true false echo exit"
for first in parallel farm; do
  for how in --resume --resume-failed; do
    rm -f log
    if [ $first = parallel ]; then set -- parallel --will-cite; else set -- "$command" farm; fi
    "$@" -j1 --joblog log ::: true false 'echo a' >/dev/null 2>&1
    cp log log.other
    parallel --will-cite -j1 $how --joblog log ::: true false 'echo a' 'echo new' 'exit 2' >out.parallel 2>/dev/null
    code=$?
    "$command" farm -j1 $how --joblog log.other ::: true false 'echo a' 'echo new' 'exit 2' >out.farm 2>/dev/null
    got=$?
    cut -f 1,2,5- log >log.parallel
    cut -f 1,2,5- log.other >log.farm
    compared=$((compared + 1))
    if [ $got -ne $code ] || ! cmp out.parallel out.farm || ! cmp log.parallel log.farm; then
      echo "gnu_parallel.sh: a log of $first's is resumed differently by $how: $got instead of $code"
      diff log.parallel log.farm
      bad=1
    fi
  done
done

echo "$compared compared"
exit $bad
