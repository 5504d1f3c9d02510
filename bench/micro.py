#!/usr/bin/env python3
"""Runs one Google Benchmark program of build/release/bench: micro.py NAME [--quick] [--json].

Without --json the program prints its own table. With it, each case is one object a line, in CPU time per item:
{"bench":"scan","system":"tributary","case":"Traces/512","cpu_ns_per_item":35.1,"bytes_per_s":8.0e9}
An item is what the benchmark counts with SetItemsProcessed; a case that counts none has cpu_ns_per_iteration instead.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def lines(name, report):
    for case in report["benchmarks"]:
        if case.get("run_type") == "aggregate":
            continue
        if case.get("error_occurred"):
            sys.exit(f"{case['name']}: {case['error_message']}")
        assert case["time_unit"] == "ns", case
        line = {"bench": name, "system": "tributary", "case": case["name"].removeprefix("BM_")}
        # Both rates are per second of CPU time, as Google Benchmark measures by default.
        if "items_per_second" in case:
            line["cpu_ns_per_item"] = round(1e9 / case["items_per_second"], 2)
        else:
            line["cpu_ns_per_iteration"] = round(case["cpu_time"], 2)
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
