#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""mpirun -np 3 /usr/bin/python3 -m mpi4py.futures mpi4py_futures.py [--quick]

mpi4py.futures: tasks a second of a map of a trivial function, chunksize 1, and the round trip of one call. Medians; one line of JSON each.
"""
import json
import statistics
import sys
import time

from mpi4py.futures import MPIPoolExecutor


def trivial(x):
    return x * 0.5 + 1.0


def main():
    items = 2_000 if "--quick" in sys.argv else 20_000
    rounds = 3
    values = [i * 0.25 for i in range(items)]
    with MPIPoolExecutor() as executor:
        executor.bootup()
        list(executor.map(trivial, values[:200]))
        rates = []
        for _ in range(rounds):
            start = time.perf_counter()
            results = list(executor.map(trivial, values, chunksize=1))
            rates.append(items / (time.perf_counter() - start))
            assert results == [trivial(x) for x in values]
        trips = []
        for _ in range(items // 10):
            start = time.perf_counter()
            executor.submit(trivial, 1.0).result()
            trips.append(time.perf_counter() - start)
    print(json.dumps({"peer": "mpi4py.futures", "figure": "map", "unit": "M tasks/s", "value": statistics.median(rates) / 1e6,
                      "note": f"{items} items, np 3"}))
    print(json.dumps({"peer": "mpi4py.futures", "figure": "round trip", "unit": "us", "value": statistics.median(trips) * 1e6,
                      "note": "submit(f, x).result()"}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
