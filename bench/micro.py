#!/usr/bin/env python3
"""Runs one Google Benchmark program of build/release/bench: micro.py NAME [--quick] [--json].

Without --json the program prints its own table. With it, each case is one object a line, in CPU time per item:
{"bench":"scan","system":"tributary","case":"ScanSpans/512","cpu_ns_per_item":40.1,"cpu_ns_per_iteration":20531.2}
An item is a span, log record or data point.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def cpu_ns_per_item(case):
    """Counters are seconds for one, or ones for a second: of CPU time, as Google Benchmark measures by default."""
    for counter in ("per_item", "per_span"):
        if counter in case:
            return 1e9 * case[counter]
    if "items_per_second" in case:
        return 1e9 / case["items_per_second"]
    return None


def lines(name, report):
    for case in report["benchmarks"]:
        if case.get("run_type") == "aggregate":
            continue
        if case.get("error_occurred"):
            sys.exit(f"{case['name']}: {case['error_message']}")
        line = {"bench": name, "system": "tributary", "case": case["name"].removeprefix("BM_")}
        per_item = cpu_ns_per_item(case)
        if per_item is not None:
            line["cpu_ns_per_item"] = round(per_item, 2)
        line["cpu_ns_per_iteration"] = round(case["cpu_time"] * NS[case["time_unit"]], 2)
        if "bytes_per_second" in case:
            line["bytes_per_s"] = round(case["bytes_per_second"])
        yield line


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    command = [ROOT / "build" / "release" / "bench" / f"{options.name}_benchmark"]
    if options.quick:
        command.append("--benchmark_min_time=0.05")
    if not options.json:
        sys.exit(subprocess.run(command).returncode)
    done = subprocess.run(command + ["--benchmark_format=json"], stdout=subprocess.PIPE, check=True)
    for line in lines(options.name, json.loads(done.stdout)):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
