#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
# Part of rankview: views, engines and load balancing over MPI.
"""table.py LINES CODEC OUT

Makes one table of what the benchmarks printed, a line of JSON for each figure, and of Google Benchmark's report, and writes all of it to OUT.
"""
import json
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone


def row(figure, unit, rankview, floor_name="", floor=None, ratio=None):
    return {"figure": figure, "unit": unit, "rankview": rankview, "floor_name": floor_name, "floor": floor, "ratio": ratio,
            "at_most": None, "at_least": None}


def codec_rows(path):
    """codec/<who>/<case> side by side; the rest by itself. CPU time, which other programs disturb least."""
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return [{"figure": "codec, wire, scheduler", "error": "benchmarks/codec did not run"}]
    with open(path, encoding="utf-8") as file:
        runs = [run for run in json.load(file)["benchmarks"] if run.get("run_type") != "aggregate" or run["aggregate_name"] == "median"]
    times = {run["run_name"]: (run["cpu_time"], run["time_unit"]) for run in runs}
    rows = []
    for name, (time, unit) in times.items():
        if not name.startswith("codec/"):
            rows.append(row(name, unit, time))
        elif name.startswith("codec/rankview/"):
            case = name.removeprefix("codec/rankview/")
            others = {n.split("/")[1]: t for n, (t, _) in times.items() if n.startswith("codec/") and n.endswith("/" + case)}
            del others["rankview"]
            for who, other in others.items():
                rows.append(row(f"codec, {case}", unit, time, who, other, time / other))
            if not others:
                rows.append(row(f"codec, {case}", unit, time))
    return rows


def peer_rows(peers, figures):
    """Beside rankview's own figure of the same run."""
    own = {"map": "map, np 3", "round trip": "round trip, int", "METG(50 %)": "METG(50 %), np 2"}
    own |= {verb: f"{verb} of 80 MB, np 3" for verb in ("scatter", "gather", "push", "reduce")}
    own |= {f"{verb} into new memory": f"{verb} of 80 MB into new memory, np 3" for verb in ("scatter", "gather")}
    own |= {figure: f"{figure}, np 3" for figure in ("tiny tasks with the hub", "a tiny task in the hub")}
    rows = []
    for peer in peers:
        name = f"{peer['figure']} against {peer['peer']}"
        if "error" in peer:
            rows.append({"figure": name, "error": peer["error"]})
            continue
        here = next((f["rankview"] for f in figures if f["figure"] == own[peer["figure"]]), None)
        rows.append(row(name, peer["unit"], here, f"{peer['peer']}, {peer['note']}", peer["value"], here / peer["value"] if here else None))
    return rows


def verdict(figure):
    value = figure["rankview"] if figure["ratio"] is None else figure["ratio"]
    if figure["at_most"] is not None:
        return f"<= {figure['at_most']:g}", value <= figure["at_most"]
    if figure["at_least"] is not None:
        return f">= {figure['at_least']:g}", value >= figure["at_least"]
    return "", None


def text(value):
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def print_table(figures):
    cells = [("figure", "rankview", "unit", "floor", "against", "ratio", "required", "")]
    for figure in figures:
        if "error" in figure:
            cells.append((figure["figure"], "", "", "", "could not run: " + figure["error"], "", "", "FAILED"))
            continue
        required, met = verdict(figure)
        cells.append((figure["figure"], text(figure["rankview"]), figure["unit"], text(figure["floor"]), figure["floor_name"],
                      text(figure["ratio"]), required, {None: "", True: "met", False: "MISSED"}[met]))
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    to_the_right = {1, 3, 5}
    for number, line in enumerate(cells):
        print("  ".join(c.rjust(w) if i in to_the_right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip())
        if number == 0:
            print("  ".join("-" * w for w in widths))


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


def main():
    lines, codec, out = sys.argv[1:]
    with open(lines, encoding="utf-8") as file:
        printed = [json.loads(line) for line in file if line.startswith("{")]
    figures = [p for p in printed if "peer" not in p]
    figures += peer_rows([p for p in printed if "peer" in p], [f for f in figures if "error" not in f])
    figures += codec_rows(codec)
    for figure in figures:
        if "error" not in figure:
            figure["met"] = verdict(figure)[1]
    print_table(figures)

    machine = {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": first_line("git", "describe", "--always", "--dirty"),
        "compiler": first_line("c++", "--version"),
        "mpi": first_line("mpirun", "--version"),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "figures": figures}, file, indent=1)
        file.write("\n")
    missed = sum(figure.get("met") is False for figure in figures)
    failed = sum("error" in figure for figure in figures)
    required = sum(figure.get("met") is not None for figure in figures)
    print(f"\n{required - missed} of {required} required figures met, {failed} could not be run; written to {out}")


main()
