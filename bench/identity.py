#!/usr/bin/env python3
"""Who connects: identity.py [--quick] [--json]. Runs build/release/bench/identity_cost, which says what its figures are:
{"bench":"identity","system":"tributary","connections":10000,"wrong":0,"us_per_connection":2.1,"bpf_ns_per_connect":1900,...}
"""

import argparse
import json
import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "build" / "release" / "bench" / "identity_cost"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    done = subprocess.run([PROGRAM, *(["--connections", "2000"] if options.quick else [])], stdout=subprocess.PIPE)
    if not done.stdout:
        sys.exit(done.returncode)
    figures = json.loads(done.stdout)
    if options.json:
        print(json.dumps({"bench": "identity", "system": "tributary", **figures}))
    else:
        print("{connections} connections of {containers} containers: {wrong} wrong, {unknown} unknown; "
              "{us_per_connection} us CPU each, {bpf_ns_per_connect} ns of BPF".format(**figures))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
