#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""plots.py LINES OUTDIR

Draws what `metg --sweep` and its peer printed, a line of JSON for each length and contender: makespan.png and throughput.png, and the data as
sweep.json.
"""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STYLES = {"rankview": ("#0060a0", "o", 2.2), "loop, 1 in flight": ("#c8a000", "v", 1.2), "loop, 2 in flight": ("#d07000", "s", 1.2),
          "loop, 8 in flight": ("#b02020", "^", 1.2), "mpi4py.futures": ("#707070", "D", 1.2)}


def draw(rows, value, ideal, title, label, path):
    figure, axes = plt.subplots(figsize=(8, 5.2))
    for who, (color, marker, width) in STYLES.items():
        points = sorted((row["length_us"], value(row)) for row in rows if row["who"] == who)
        if points:
            axes.plot(*zip(*points), color=color, marker=marker, linewidth=width, markersize=5, label=who)
    lengths = sorted({row["length_us"] for row in rows})
    axes.plot(lengths, [ideal(length) for length in lengths], "k--", linewidth=1, label="at no cost")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("length of a task, us")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.grid(True, which="major", alpha=0.4)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    lines, out = sys.argv[1:]
    with open(lines, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.startswith("{")]
    engines = rows[0]["engines"]
    where = "one engine" if engines == 1 else f"{engines} engines"
    draw(rows, lambda row: row["seconds"] * row["engines"] / (row["tasks"] * row["length_us"] * 1e-6), lambda length: 1,
         f"Makespan of a map of equal tasks, {where}", "makespan / time that the tasks take", os.path.join(out, "makespan.png"))
    draw(rows, lambda row: row["tasks"] / row["seconds"], lambda length: engines / (length * 1e-6),
         f"Throughput of a map of equal tasks, {where}", "tasks a second", os.path.join(out, "throughput.png"))
    with open(os.path.join(out, "sweep.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    print("written: " + ", ".join(os.path.join(out, name) for name in ("makespan.png", "throughput.png", "sweep.json")))


main()
