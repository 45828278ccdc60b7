#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# Builds and runs the tests: sh tests/run.sh [format|debug|tidy|asan|tsan|release|shared|benchmarks]...
# Without arguments: all of them. `debug` has every test; the others have those that they may find something in.
# `asan` and `tsan` are clang's, the others GCC's; the fuzzers are in `asan`. The last line says how many passed and failed. Test cases are
# counted one by one, a test without cases as one.

every="format debug tidy asan tsan release shared benchmarks"
wanted=
for argument in "$@"; do
  case " $every " in
    *" $argument "*) wanted="$wanted $argument" ;;
    *)
      echo "usage: sh tests/run.sh [$(echo "$every" | tr ' ' '|')]..." >&2
      exit 2
      ;;
  esac
done
[ -n "$wanted" ] || wanted=$every

. "$(dirname "$0")/../.ci/setup.sh"
need catch2 ccache procps || exit 1
case $wanted in *benchmarks*) need libbenchmark-dev python3 || exit 1 ;; esac
# What the compiler says to misuse is asked of both.
case $wanted in *debug* | *asan* | *tsan*) need clang-19 || exit 1 ;; esac
case $wanted in *asan* | *tsan*) need libclang-rt-19-dev || exit 1 ;; esac
# What rankview farm is compared with.
case $wanted in *debug*) need parallel iproute2 || exit 1 ;; esac
case $wanted in *format*) need clang-format git || exit 1 ;; esac
case $wanted in *tidy*) need clang-tidy || exit 1 ;; esac

# What a clone elsewhere has compiled already is not compiled again.
export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
# Wanted where headers are compiled beforehand.
export CCACHE_SLOPPINESS=pch_defines,time_macros

passed=0
failed=0
started=$(date +%s)
failures=$(mktemp)
said=$(mktemp)
suppressions=$(pwd)/tests/suppressions

# Whoever watches wants to know that it goes on.
(while sleep 50; do echo "... $(($(date +%s) - started)) s"; done) &
heart=$!
trap 'kill "$heart" 2>/dev/null; rm -f "$failures" "$said"' EXIT
trap 'exit 1' HUP INT TERM

# abort_on_error would leave core files; an exit code of its own tells a sanitizer's finding from a failed check.
export LSAN_OPTIONS="suppressions=$suppressions/lsan.supp:print_suppressions=0"
export ASAN_OPTIONS="detect_leaks=1:fast_unwind_on_malloc=0:detect_stack_use_after_return=0:exitcode=66"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="suppressions=$suppressions/tsan.supp:halt_on_error=0:history_size=4:second_deadlock_stack=1:ignore_noninstrumented_modules=1:exitcode=66"

# Prints "PASSED FAILED" for a log of ctest, and the names of tests that failed to $failures.
count() {
  awk -v preset="$1" -v failures="$failures" '
    function finish() {
      if (name == "") return
      if (skipped) { name = ""; return }
      if (cases == 0) { cases = 1; bad = ok ? 0 : 1 }
      # It may end badly after the last case.
      if (!ok && bad == 0) bad = 1
      if (bad > cases) cases = bad
      good_sum += cases - bad
      bad_sum += bad
      if (bad) print preset ": " name >> failures
      name = ""
    }
    /^[0-9]+\/[0-9]+ Testing: / { finish(); name = $3; cases = 0; bad = 0; ok = 0; skipped = 0 }
    # With several ranks each may say this; they count once.
    /^All tests passed \(.* in [0-9]+ test cases?\)/ && cases == 0 { n = $0; sub(/.* in /, "", n); cases = n + 0 }
    /^test cases: / {
      split($0, part, "|")
      n = part[1]; sub(/^test cases: */, "", n)
      f = 0
      for (i in part) if (part[i] ~ /failed/ && part[i] !~ /as expected/) f = part[i] + 0
      if (n + 0 > cases) cases = n + 0
      if (f > bad) bad = f
    }
    /^Test Passed\.|^Test Pass Reason:/ { ok = 1 }
    /^Test Skipped\.|^Test not run/ { skipped = 1 }
    END { finish(); print good_sum + 0, bad_sum + 0 }
  ' "$2"
}

# Runs ctest in a build directory and counts.
run() {
  preset=$1
  log=build/$preset/Testing/Temporary/LastTest.log
  rm -f "$log"
  shift
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error "$@"
  code=$?
  before=$failed
  if [ -f "$log" ]; then
    count "$preset" "$log" >"$said"
    read -r good bad <"$said"
    passed=$((passed + good))
    failed=$((failed + bad))
  fi
  # Whatever it was, it was no success.
  if [ $code -ne 0 ] && [ $failed -eq $before ]; then
    echo "$preset: ctest ended with $code" >>"$failures"
    failed=$((failed + 1))
  fi
}

# A build that fails counts as a failed test.
broken() {
  echo "$1: does not build" >>"$failures"
  failed=$((failed + 1))
}

# Counts a check that is not ctest's by how it ended: check NAME COMMAND...
check() {
  what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    echo "$what" >>"$failures"
    failed=$((failed + 1))
  fi
}

# Every source file as .clang-format has it, but for the one that is made from others.
formatted() { git ls-files '*.hpp' '*.cpp' | grep -v -x include/rankview/embedded.hpp | xargs clang-format --dry-run -Werror; }

# The library by .clang-tidy: all of its sources as one, since most of the time goes into headers.
tidy() {
  mkdir -p build/tidy && ls "$PWD"/lib/*/*.cpp | sed 's/.*/#include "&"/' >build/tidy/all.cpp
  mpi=$(mpicxx --showme:incdirs | sed 's#[^ ]*#-isystem &#g')
  clang-tidy build/tidy/all.cpp --quiet --config-file=.clang-tidy --warnings-as-errors='*' -- -std=c++20 -DOMPI_SKIP_MPICXX= \
    -DMPICH_SKIP_MPICXX= -Iinclude -Ilib $mpi 2>"$said"
}

# The benchmarks at small size: that they run. Their figures are for whoever reads; none decides.
benchmarks() { sh benchmarks/run.sh --quick --no-peers; }

# Under a sanitizer many ranks on two cores find nothing that few do not, and the README and installations are for the compiler.
sanitized='^(fuzz|unit\.|sim\.|farm\.(lines|loop|output|processes|command_farm)$|(system|mpi)\..*\.np1$|mpi\..*\.np4$|system\.(ending|misuse)\..*\.np2$|mpi_(calls|endpoint))'
# What has threads of its own, and the system tests, in which processes end.
with_threads='threads;checkpoint;async_result;abort;iteration;metadata;continuations;dependencies;attempts;imap;subtask;publish;client;communicator;reduce;load_balanced_view;slots;user_code'
threaded="^(unit\.(local_|idle|call_memory|checkpoint|lock|hub)|sim\.|farm\.(loop|output|processes|command_farm)\$|mpi\.($(echo $with_threads | tr ';' '|'))\.np[124]\$|system\.(embedded|ending)\..*\.np[12]\$)"
# What the optimiser could break, at the number of ranks with most going on.
optimised='^(examples|mpi\..*\.np4$|mpi_(calls|endpoint))'

for preset in $wanted; do
  echo "---- $preset, after $(($(date +%s) - started)) s"
  case $preset in
    format) check format formatted ;;
    benchmarks) check benchmarks benchmarks ;;
    tidy) check tidy tidy ;;
    asan) if parts='' build asan -DRANKVIEW_EXAMPLES=OFF; then run asan -R "$sanitized" -j "$jobs"; else broken asan; fi ;;
    tsan)
      if parts="tests/unit/all tests/sim/all tests/farm/all tests/mpi/all tests/system/all" build tsan -DRANKVIEW_EXAMPLES=OFF "-DRANKVIEW_TEST_NOUNS=$with_threads"; then
        run tsan -R "$threaded" -j "$jobs"
      else
        broken tsan
      fi
      ;;
    release)
      if parts="examples/all tests/mpi/all" build release -DRANKVIEW_BENCHMARKS=OFF; then
        run release -R "$optimised" -j "$jobs"
      else
        broken release
      fi
      ;;
    shared)
      if parts="tests/mpi/all tests/system/all" build shared -DRANKVIEW_EXAMPLES=OFF; then
        run shared -R '^(mpi\..*\.np2$|system\.(exported|modules|embedded|installed))' -j "$jobs"
      else
        broken shared
      fi
      ;;
    # Tests say themselves how many cores they take. What a backtrace needs is enough to be debugged with, and quicker to compile.
    debug) if parts='' build debug -DCMAKE_CXX_FLAGS_DEBUG=-g1; then run debug -j "$jobs"; else broken debug; fi ;;
  esac
done

echo "---- all of it: $(($(date +%s) - started)) s"
if [ -s "$failures" ]; then
  echo "failed:"
  sed 's/^/  /' "$failures"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
