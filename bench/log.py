#!/usr/bin/env python3
"""What keeping costs: log.py [--quick] [--json].

Runs build/release/bench/log_cost once for each of the Log's modes and ways to the disk (the files are under /tmp, or
under $TRIBUTARY_BENCH_DIRECTORY), then log_benchmark. Of each run:
{"bench":"log","system":"tributary","mode":"durable","io":"io_uring","spans_per_request":512,"cpu_us_per_span":0.07,...}

ok_p99_ms is from when a request was due until it was answered OK; in mode durable the disk's own part of that is beside
it, as sync_p99_ms. The Log alone: `./run bench agent --mode=...` has the agent around it, and the Collector beside it.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).resolve().parent
PROGRAMS = BENCH.parent / "build" / "release" / "bench"
RUNS = [("memory", None), ("process", "io_uring"), ("process", "thread"), ("durable", "io_uring"),
        ("durable", "thread")]


def measure(mode, io, quick):
    with tempfile.TemporaryDirectory(dir=os.environ.get("TRIBUTARY_BENCH_DIRECTORY")) as directory:
        command = [PROGRAMS / "log_cost", "--mode", mode, "--directory", directory]
        command += ["--io", io] if io else []
        command += ["--quick"] if quick else []
        figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return {"bench": "log", "system": "tributary", "mode": mode, **({"io": io} if io else {}), **figures}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    if not options.json:
        print("512 spans a request        CPU us/span   RSS MB   OK p50 ms   OK p99 ms   sync p99 ms")
    for mode, io in RUNS:
        line = measure(mode, io, options.quick)
        if options.json:
            print(json.dumps(line), flush=True)
        else:
            print(f"{mode:<9}{io or '':<18}{line['cpu_us_per_span']:>11.3f}{line['rss_mb']:>9.1f}"
                  f"{line['ok_p50_ms']:>12.2f}{line['ok_p99_ms']:>12.2f}{line['sync_p99_ms']:>14.2f}", flush=True)
    micro = [sys.executable, BENCH / "micro.py", "log"] + [f"--{name}" for name in ("quick", "json")
                                                           if getattr(options, name)]
    sys.exit(subprocess.run(micro).returncode)


if __name__ == "__main__":
    main()
