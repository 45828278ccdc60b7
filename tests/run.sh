#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
#
# Builds and runs the tests: sh tests/run.sh [debug|asan|tsan|release|fuzz|all]...
# Without arguments: debug and fuzz. The last line says how many passed and failed. Test cases are counted one by one, a test
# without cases as one.

wanted=
for argument in "$@"; do
  case $argument in
    debug | asan | tsan | release | fuzz) wanted="$wanted $argument" ;;
    all) wanted="debug release asan tsan fuzz" ;;
    *)
      echo "usage: sh tests/run.sh [debug|asan|tsan|release|fuzz|all]..." >&2
      exit 2
      ;;
  esac
done
[ -n "$wanted" ] || wanted="debug fuzz"

. "$(dirname "$0")/../.ci/setup.sh"
need catch2 || exit 1
case $wanted in *release*) need libbenchmark-dev || exit 1 ;; esac
case $wanted in *fuzz*) need clang libclang-rt-14-dev || need clang || exit 1 ;; esac

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

for preset in $wanted; do
  echo "---- $preset, after $(($(date +%s) - started)) s"
  case $preset in
    fuzz)
      if cmake -G Ninja -S . -B build/fuzz -D CMAKE_CXX_COMPILER=clang++ -D CMAKE_C_COMPILER=clang -D RANKVIEW_FUZZ=ON \
        -D RANKVIEW_EXAMPLES=OFF -D RANKVIEW_FUZZ_SECONDS="${RANKVIEW_FUZZ_SECONDS:-15}" >"$said" 2>&1; then
        if cmake --build build/fuzz -j "$jobs" --target rankview_fuzzers; then run fuzz -L fuzz -j 2; else broken fuzz; fi
      else
        cat "$said"
        broken fuzz
      fi
      ;;
    asan | tsan)
      # What must not compile does so with every preset, and fuzzing brings its own sanitizers.
      if build "$preset"; then run "$preset" -E '^compile_fail' -j 1; else broken "$preset"; fi
      ;;
    *)
      # Tests say themselves how many cores they take.
      if build "$preset"; then run "$preset" -j "$jobs"; else broken "$preset"; fi
      ;;
  esac
done

echo "---- $wanted: $(($(date +%s) - started)) s"
if [ -s "$failures" ]; then
  echo "failed:"
  sed 's/^/  /' "$failures"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
