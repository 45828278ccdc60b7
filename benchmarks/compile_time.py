#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""compile_time.py [--quick] [CXX]

What a compiler takes for programs that use rankview, against a bare one that includes <boost/mpi.hpp>: CPU time and the peak of its memory,
-O2, without linking. In turns, medians. One line of JSON for each figure.
"""
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

BARE = """
#include <boost/mpi.hpp>
int main(int argc, char** argv) {
  boost::mpi::environment env(argc, argv);
  boost::mpi::communicator world;
  return world.rank();
}
"""

SMALLEST = """
#include <rankview/rankview.hpp>
int twice(int x) { return 2 * x; }
int main(int argc, char** argv) {
  return rankview::run(argc, argv, [](rankview::Client& rc) { return rc[0].apply_sync(twice, 21) == 42 ? 0 : 1; });
}
"""


def flags():
    mpi = subprocess.run(["mpicxx", "--showme:compile"], capture_output=True, text=True, check=True).stdout
    # As the CMake target gives them.
    return ["-std=c++20", "-O2", "-DOMPI_SKIP_MPICXX", "-DMPICH_SKIP_MPICXX", "-I", os.path.join(ROOT, "include"), *shlex.split(mpi)]


def compile_once(compiler, source):
    """CPU seconds and peak bytes of the compiler and what it starts."""
    child = os.posix_spawnp(compiler, [compiler, *flags(), "-c", source, "-o", os.devnull], os.environ)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"compile_time.py: {source} does not compile")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    compiler = arguments[0] if arguments else os.environ.get("CXX", "g++")
    rounds = 1 if "--quick" in sys.argv else 3
    with tempfile.TemporaryDirectory() as folder:

        def write(name, text):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return path

        programs = {
            "bare": write("bare.cpp", BARE),
            "examples/hello_engines.cpp": os.path.join(ROOT, "examples", "hello_engines.cpp"),
            "one apply_sync": write("smallest.cpp", SMALLEST),
        }
        seconds = {name: [] for name in programs}
        peak = {name: [] for name in programs}
        compile_once(compiler, programs["bare"])  # the headers are in the page cache now
        for _ in range(rounds):
            for name, source in programs.items():
                cpu, memory = compile_once(compiler, source)
                seconds[name].append(cpu)
                peak[name].append(memory)

    for what, unit, scale, values in (("compile time", "s", 1, seconds), ("compiler's memory", "MB", 1e-6, peak)):
        floor = statistics.median(values["bare"]) * scale
        for name in list(programs)[1:]:
            here = statistics.median(values[name]) * scale
            print(json.dumps({
                "figure": f"{what}, {name}", "unit": unit, "rankview": round(here, 3), "floor_name": "bare boost/mpi.hpp",
                "floor": round(floor, 3), "ratio": round(here / floor, 3), "at_most": 2.0, "at_least": None,
            }), flush=True)


main()
