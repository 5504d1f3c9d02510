#!/usr/bin/env python3
"""Checks who may know whom: every #include of a room's file against the table of rooms in docs/architecture.md.

The table is read from the document, so it cannot drift from what is enforced. Two more rules of the same kind:
protocol libraries appear only where bytes enter or leave, and libprotobuf and gRPC (the oracles) only in tests and
benches. Headers are compiled by the units that include them first, so self-containment is not checked here.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "architecture.md"
ANYTHING = "anything"

# Header prefix -> the rooms whose files may include it.
LIBRARIES = {
    "nghttp2/": {"pipeline", "tests", "bench"},
    "grpc/": {"tests", "bench"},
    "grpcpp/": {"tests", "bench"},
    "google/protobuf/": {"tests", "bench"},
}
# The code generated from proto/ is protobuf objects, which only tests and benches may hold.
GENERATED_SUFFIXES = (".pb.h", ".grpc.pb.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)


def read_table():
    """Room -> set of rooms it may include (its own always), or ANYTHING; from rows like "| `base/` | ... | std |"."""
    allowed = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        rooms = re.findall(r"`(\w+)/`", cells[0])
        if len(cells) != 3 or not rooms:
            continue
        words = set(re.findall(r"\w+", cells[2]))
        for room in rooms:
            allowed[room] = ANYTHING if ANYTHING in words else words | {room}
    return allowed


def sources():
    """Every C and C++ file of the tree, with its path from the root; build/ and hidden folders are not of the tree."""
    for suffix in ("h", "cc", "c"):
        for path in sorted(ROOT.glob(f"*/**/*.{suffix}")):
            parts = path.relative_to(ROOT).parts
            if parts[0] != "build" and not parts[0].startswith("."):
                yield path.relative_to(ROOT).as_posix()


def violation(room, included, allowed):
    """Why a file of `room` may not include `included`, or None."""
    target = included.split("/")[0]
    if "/" in included and target in allowed and target != room and allowed[room] != ANYTHING \
            and target not in allowed[room]:
        return f"{room}/ may not know {target}/"
    for prefix, rooms in LIBRARIES.items():
        if included.startswith(prefix) and room not in rooms:
            return f"{prefix} may be included only in {', '.join(sorted(rooms))}"
    if included.endswith(GENERATED_SUFFIXES) and allowed[room] != ANYTHING:
        return "protobuf objects are for tests and benches"
    return None


def check_the_checker(allowed):
    """The rules must be able to fail: known-bad edges are refused, known-good ones are not."""
    for room, included in [("base", "otlp/scan.h"), ("otlp", "pipeline/log.h"), ("agent", "gateway/config.h"),
                           ("gateway", "agent/config.h"), ("otlp", "nghttp2/nghttp2.h"), ("agent", "grpcpp/grpcpp.h"),
                           ("pipeline", "opentelemetry/proto/trace/v1/trace.pb.h"), ("cli", "gateway/config.h"),
                           ("pipeline", "cli/survey.h")]:
        assert violation(room, included, allowed), f"{room} including {included} must be refused"
    for room, included in [("otlp", "base/bytes.h"), ("agent", "pipeline/log.h"), ("tests", "grpcpp/grpcpp.h"),
                           ("pipeline", "nghttp2/nghttp2.h"), ("base", "fmt/format.h")]:
        assert not violation(room, included, allowed), f"{room} including {included} must be allowed"


def main():
    allowed = read_table()
    check_the_checker(allowed)
    checked = 0
    errors = []
    for path in sources():
        room = path.split("/")[0]
        if room not in allowed:
            errors.append(f"{path}: {room}/ is no room of {TABLE.relative_to(ROOT)}")
            continue
        for included in INCLUDE.findall((ROOT / path).read_text()):
            checked += 1
            why = violation(room, included, allowed)
            if why:
                errors.append(f"{path}: #include {included}: {why}")
    print("\n".join(errors + [f"{checked} includes checked, {len(errors)} refused"]))
    sys.exit(1 if errors or checked == 0 else 0)


if __name__ == "__main__":
    main()
