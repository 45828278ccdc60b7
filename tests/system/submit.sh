#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# submit.sh COMMAND CAMPAIGN: rankview submit with a batch system that is not one. Its jobs are as short as it likes, and a sweep that is
# longer goes on from job to job until nothing is left.

command=$(realpath "$1")
campaign=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "submit.sh: $*"
  cat "$work"/said.* "$work"/sweep/.rankview/*/record 2>/dev/null
  exit 1
}

# A qsub as that of PBS Pro, which checks what it is given and starts it at once; its jobs may run for three seconds.
mkdir "$work/bin" "$work/sweep"
cat >"$work/bin/qsub" <<'QSUB'
#!/bin/sh
for wanted in '^#PBS -N sweep$' '^#PBS -l select=3:ncpus=1:mpiprocs=1$' '^#PBS -l walltime=0:00:03$' '^#PBS -q short$' '^#PBS -W group_list=us$'; do
  grep -q -e "$wanted" "$1" || { echo "qsub: the script lacks $wanted" >&2; exit 1; }
done
! grep -q '^#PBS -A' "$1" || { echo "qsub: this site knows no accounts" >&2; exit 1; }
id=$(($(cat "$WORK/last" 2>/dev/null || echo 0) + 1))
echo $id >"$WORK/last"
PBS_JOBID=$id.fake setsid bash "$1" >"$WORK/said.$id" 2>&1 </dev/null &
echo "Welcome to this site."
echo "$id.fake"
QSUB
printf '#!/bin/sh\necho "qstat: Unknown Job Id" >&2\nexit 153\n' >"$work/bin/qstat"
chmod +x "$work/bin/qsub" "$work/bin/qstat"
export WORK="$work" PATH="$work/bin:$PATH" RANKVIEW_CONFIG="$work/config.toml"
printf '[submit]\nqueue = "short"\naccount = "us"\n' >"$RANKVIEW_CONFIG"

cd "$work/sweep" || exit 1
"$command" submit -n 2 --time 3s --name sweep --scheduler pbs --until-done --add='-W group_list=us' --skip=-A -- "$campaign" "$work/kept" >"$work/said.0" ||
  fail "it was not submitted"
grep -q '^submitted job 1.fake (pbs), campaign sweep$' "$work/said.0" || fail "it does not say what it has submitted"
record=.rankview/sweep/record
left=600
until grep -q 'ended.*	0	' $record; do
  grep -q 'ended.*	1	' $record && fail "a job has failed"
  left=$((left - 1))
  [ $left -gt 0 ] || fail "it does not get done"
  sleep 0.1
done
[ "$(grep -c submitted $record)" -ge 2 ] || fail "one job was enough, so nothing was tried"
[ "$(grep -c submitted $record)" -eq "$(grep -c ended $record)" ] || fail "a job was lost"
# Each task was done once: the batch system killed nobody.
[ "$(awk -F'\t' '$2 == "ended" { done += $6 } END { print done }' $record)" -eq 120 ] || fail "tasks were done twice, or not at all"
grep -q 'all are done' .rankview/sweep/output.* || fail "what the last job has printed is not there"
"$command" jobs | grep -q 'done, on .* tasks' || fail "rankview jobs does not know that it is done"

# What is typed wrong is said so, and is no failure of a job.
for wrong in 'submti' 'submit -n many' 'submit -n 2 --time 30:00 -- true' 'jobs none' 'cancel none'; do
  "$command" $wrong >"$work/said.2" 2>&1 && fail "rankview $wrong is accepted"
done

# The same without a batch system.
"$command" submit -n 2 --name rehearsal --fake-walltime 3s --until-done -- "$campaign" "$work/rehearsed" >"$work/said.1" 2>&1 || fail "the rehearsal failed"
grep -q 'allocation 2:' "$work/said.1" || fail "the rehearsal needed no second allocation"
grep -q 'all are done' "$work/said.1" || fail "the rehearsal did not get done"
echo "done in $(grep -c submitted $record) jobs"
