#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""mpirun -np 2 /usr/bin/python3 -m mpi4py.futures mpi4py_metg.py [--quick] [--sweep]

mpi4py.futures: METG(50 %), the shortest task with which half of the workers' time goes into tasks. --sweep prints how long tasks of 1 us to
10 ms take instead. Tasks compute for a given time by the clock, chunksize 1.
"""
import json
import statistics
import sys
import time

from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor


def compute(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def elapsed(executor, seconds, tasks):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in executor.map(compute, [seconds] * tasks, chunksize=1):
            pass
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def sweep(executor, workers, quick):
    for us in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000):
        tasks = int(min(max((0.1 if quick else 0.5) * 1e6 / us * workers, 20 if quick else 50), 500 if quick else 2000))
        print(json.dumps({"who": "mpi4py.futures", "engines": workers, "length_us": us, "tasks": tasks,
                          "seconds": elapsed(executor, us * 1e-6, tasks)}))


def metg(executor, workers, quick):
    tasks = 300 if quick else 1000
    length, before = 50e-6, 0
    while True:
        share = length * tasks / (elapsed(executor, length, tasks) * workers)
        if share >= 0.5:
            break
        before, length = share, length * 1.5
    if before:
        length *= 1.5 ** (-(share - 0.5) / (share - before))
    print(json.dumps({"peer": "mpi4py.futures", "figure": "METG(50 %)", "unit": "us", "value": length * 1e6, "note": "np 2"}))


def main():
    quick = "--quick" in sys.argv
    workers = MPI.COMM_WORLD.Get_size() - 1
    with MPIPoolExecutor() as executor:
        executor.bootup()
        elapsed(executor, 1e-6, 200)
        if "--sweep" in sys.argv:
            sweep(executor, workers, quick)
        else:
            metg(executor, workers, quick)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
