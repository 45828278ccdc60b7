#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""mpirun -np 3 /usr/bin/python3 mpi4py_collectives.py [--quick]

mpi4py's collectives of NumPy arrays: Scatterv, Gatherv, Bcast and Reduce of 80 MB from or to rank 0, which has no part of its own in the
first two. Medians; one line of JSON each.
"""
import json
import statistics
import sys
import time

import numpy as np
from mpi4py import MPI


def main():
    comm = MPI.COMM_WORLD
    rank = comm.rank
    size = 10_000_000
    rounds = 5 if "--quick" in sys.argv else 15
    engines = comm.size - 1
    counts = [0] + [size // engines + (i < size % engines) for i in range(engines)]
    whole = np.arange(size, dtype="d") % 1000
    part = np.zeros(counts[rank])
    received = np.zeros(size)

    def reduce():
        comm.Reduce(MPI.IN_PLACE if rank == 0 else whole, received if rank == 0 else None)

    verbs = {
        "scatter": ("Scatterv", part, lambda: comm.Scatterv([whole, counts], part) if rank == 0 else comm.Scatterv(None, part)),
        "gather": ("Gatherv", received, lambda: comm.Gatherv(part, [received, counts] if rank == 0 else None)),
        "push": ("Bcast", received, lambda: comm.Bcast(whole if rank == 0 else received)),
        "reduce": ("Reduce", received, reduce),
    }
    # The sums that the buffers of all ranks must have in the end, in those of the whole.
    expected = {"scatter": 1, "gather": 1, "push": engines, "reduce": engines}
    for figure, (name, buffer, call) in verbs.items():
        times = []
        for _ in range(rounds):
            buffer.fill(0)
            comm.Barrier()
            start = time.perf_counter()
            call()
            comm.Barrier()
            times.append(time.perf_counter() - start)
            assert comm.allreduce(buffer.sum()) == expected[figure] * whole.sum()
        if rank == 0:
            print(json.dumps({"peer": "mpi4py", "figure": figure, "unit": "GB/s", "value": whole.nbytes / statistics.median(times) / 1e9,
                              "note": f"{name} of {whole.nbytes // 1_000_000} MB, np {comm.size}"}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
