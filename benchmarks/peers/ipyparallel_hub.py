#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""/usr/bin/python3 ipyparallel_hub.py [--quick]

ipyparallel with two local engines and its hub's SQLite database: tasks a second of a load-balanced map of a trivial function, chunksize 1, all
of them recorded, and bytes of the database a task. One line of JSON each.
"""
import glob
import json
import logging
import os
import sys
import tempfile
import time

import ipyparallel as ipp


def trivial(x):
    return x * 0.5 + 1.0


def main():
    items = 500 if "--quick" in sys.argv else 2_000
    values = [i * 0.25 for i in range(items)]
    with tempfile.TemporaryDirectory() as directory:
        cluster = ipp.Cluster(
            n=2, log_level=logging.ERROR,
            controller_args=["--sqlitedb", f"--SQLiteDB.location={directory}", "--SQLiteDB.filename=tasks.db"])
        with cluster as client:
            client.wait_for_engines(2, timeout=60, interactive=False)
            view = client.load_balanced_view()
            view.map_sync(trivial, values[:20])
            start = time.perf_counter()
            results = list(view.map_sync(trivial, values, chunksize=1))
            rate = items / (time.perf_counter() - start)
            assert results == [trivial(x) for x in values]
            # The hub is told by the way, and writes now and then.
            limit = time.monotonic() + 60
            while len(client.db_query({"completed": {"$ne": None}}, ["msg_id"])) < items and time.monotonic() < limit:
                time.sleep(0.2)
            recorded = len(client.db_query({"completed": {"$ne": None}}, ["msg_id"]))
        size = sum(os.path.getsize(path) for path in glob.glob(f"{directory}/tasks.db*"))
    note = f"{items} items, 2 engines, {recorded} recorded"
    print(json.dumps({"peer": "ipyparallel", "figure": "tiny tasks with the hub", "unit": "M tasks/s", "value": rate / 1e6, "note": note}))
    print(json.dumps({"peer": "ipyparallel", "figure": "a tiny task in the hub", "unit": "bytes", "value": size / max(1, recorded), "note": note}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
