#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""/usr/bin/python3 ipyparallel_collectives.py [--quick]

ipyparallel with two local engines: scatter and gather of a NumPy array of 80 MB. Medians; one line of JSON each.
"""
import json
import logging
import statistics
import sys
import time

import ipyparallel as ipp
import numpy as np


def main():
    rounds = 3 if "--quick" in sys.argv else 9
    whole = np.arange(10_000_000, dtype="d") % 1000
    times = {"scatter": [], "gather": []}
    cluster = ipp.Cluster(n=2, log_level=logging.ERROR)
    with cluster as client:
        client.wait_for_engines(2, timeout=60, interactive=False)
        view = client[:]
        for _ in range(1 + rounds):
            start = time.perf_counter()
            view.scatter("part", whole, block=True)
            times["scatter"].append(time.perf_counter() - start)
            start = time.perf_counter()
            back = view.gather("part", block=True)
            times["gather"].append(time.perf_counter() - start)
            assert np.array_equal(back, whole)
    for figure, measured in times.items():
        print(json.dumps({"peer": "ipyparallel", "figure": f"{figure} into new memory", "unit": "GB/s",
                          "value": whole.nbytes / statistics.median(measured[1:]) / 1e9,
                          "note": f"{figure} of {whole.nbytes // 1_000_000} MB, 2 engines"}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
