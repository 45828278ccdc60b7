#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""/usr/bin/python3 ipyparallel_local.py [--quick]

ipyparallel with two local engines: tasks a second of a load-balanced map of a trivial function, chunksize 1, and the round trip of
apply_sync. Medians; one line of JSON each.
"""
import json
import logging
import statistics
import sys
import time

import ipyparallel as ipp


def trivial(x):
    return x * 0.5 + 1.0


def main():
    items = 500 if "--quick" in sys.argv else 2_000
    rounds = 3
    values = [i * 0.25 for i in range(items)]
    cluster = ipp.Cluster(n=2, log_level=logging.ERROR)
    with cluster as client:
        client.wait_for_engines(2, timeout=60, interactive=False)
        view = client.load_balanced_view()
        view.map_sync(trivial, values[:20])
        rates = []
        for _ in range(rounds):
            start = time.perf_counter()
            results = list(view.map_sync(trivial, values, chunksize=1))
            rates.append(items / (time.perf_counter() - start))
            assert results == [trivial(x) for x in values]
        engine = client[0]
        trips = []
        for _ in range(items // 10):
            start = time.perf_counter()
            engine.apply_sync(trivial, 1.0)
            trips.append(time.perf_counter() - start)
    print(json.dumps({"peer": "ipyparallel", "figure": "map", "unit": "M tasks/s", "value": statistics.median(rates) / 1e6,
                      "note": f"{items} items, 2 engines"}))
    print(json.dumps({"peer": "ipyparallel", "figure": "round trip", "unit": "us", "value": statistics.median(trips) * 1e6,
                      "note": "client[0].apply_sync(f, x)"}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
