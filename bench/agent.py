#!/usr/bin/env python3
"""The agent under load, as a whole: tributary-load -> agent -> tributary-sink, OTLP/gRPC without compression.

For requests of 1, 64 and 512 spans of about 280 bytes, twice each: paced (the same rate for every system: CPU time per
span, memory and latency of an agent at its daily work), then flooded (as fast as it answers: throughput, and CPU time
per span when work comes in heaps). CPU time is the agent process's own, from /proc/PID/stat, from before the first
request until the sink has the last span; memory is VmRSS before any load and after each. Every span must arrive exactly
once, or the run fails.

In the JSON, cpu_us_per_span and spans_per_s are those of the flood, paced_* those of the paced load, and rss_mb is the
larger of what either left behind.

Beside it, when `go` is installed, the OpenTelemetry Collector (bench/peers/) does the same work, and the ratio is told.
Ours validates every byte and splices five resource attributes in; the Collector inserts one.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / "release" / "bin"
PEERS = ROOT / "bench" / "peers"

# Spans per request -> spans per second when paced: what two cores carry with any of the systems.
PACED_SPANS_PER_S = {1: 10_000, 64: 100_000, 512: 100_000}
# Requests under way on each of the connections when flooded.
FLOOD_IN_FLIGHT = {1: 32, 64: 8, 512: 4}
CONNECTIONS = 4
# By the agent's mode, the Collector's configuration that promises the same.
OTELCOL_CONFIGS = {"memory": "otelcol-agent.yaml", "process": "otelcol-agent-process.yaml",
                   "durable": "otelcol-agent-durable.yaml"}


@dataclasses.dataclass(frozen=True)
class Cpu:
    user_s: float
    system_s: float

    def __sub__(self, other):
        return Cpu(self.user_s - other.user_s, self.system_s - other.system_s)

    @property
    def total_s(self):
        return self.user_s + self.system_s


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return Cpu(int(fields[11]) / ticks_per_s, int(fields[12]) / ticks_per_s)


def rss_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmRSS")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A child process, its output in a log file, ended on leaving the `with`."""

    def __init__(self, name, command, folder, environment=None):
        self.log = folder / f"{name}.log"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.child.pid

    def await_listening(self, port):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit(f"{self.child.args[0]} does not listen on port {port}:\n{self.log.read_text()[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Sink(Process):
    def __init__(self, folder):
        self.port, self.control = free_port(), free_port()
        super().__init__("sink", [BIN / "tributary-sink", "--grpc", f"127.0.0.1:{self.port}", "--http", "",
                                  "--control", f"127.0.0.1:{self.control}"], folder)
        self.await_listening(self.control)

    def await_run(self, run, items):
        """Returns when every one of `items` of a load run is here, exactly once."""
        deadline = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/stats") as answer:
                stats = json.load(answer)
            got = next((r for r in stats["runs"] if r["run"] == run), {"unique": 0, "duplicates": 0})
            if got["unique"] == items and got["duplicates"] == 0:
                return
            if got["unique"] > items or got["duplicates"] or time.monotonic() > deadline:
                sys.exit(f"{items} spans were answered OK, and the sink has {got}")
            time.sleep(0.01)


def start_tributary(folder, listen_port, sink_port, mode):
    config = folder / "agent.yaml"
    config.write_text(f"""
listen: {{grpc: "127.0.0.1:{listen_port}", http: "", metrics: "127.0.0.1:{free_port()}", health: ""}}
upstream: {{endpoint: "http://127.0.0.1:{sink_port}", compression: none}}
log: {{mode: {mode}, directory: "{folder}/log"}}
resource:
  detect: false
  attributes:
    deployment.environment.name: bench
    host.name: node-7.bench.example
    host.id: 8f2d3c9a4be74d0f9f1c7a60c2f4d1aa
    host.arch: amd64
    os.type: linux
""")
    return Process("agent", [BIN / "tributary-agent", "--config", config], folder)


def start_otelcol(folder, listen_port, sink_port, mode):
    return Process("otelcol", [ROOT / "build" / "peers" / "otelcol" / "otelcol", "--config", PEERS / OTELCOL_CONFIGS[mode]],
                   folder, {"LISTEN_PORT": str(listen_port), "SINK_PORT": str(sink_port), "STORAGE": str(folder)})


def run_load(port, spans_per_request, **options):
    """One run of tributary-load, to its end. What it prints for machines."""
    command = [BIN / "tributary-load", "--json", "--endpoint", f"127.0.0.1:{port}", "--connections", str(CONNECTIONS),
               "--items-per-request", str(spans_per_request)]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not done.stdout:
        sys.exit(f"tributary-load: {done.stderr}")
    result = json.loads(done.stdout)
    if result["lost"] or not result["items_ok"]:
        sys.exit(f"requests went unanswered: {result}")
    return result


def measure(start, mode, spans_per_request, paced_s, flood_s):
    with tempfile.TemporaryDirectory() as folder_name:
        folder = pathlib.Path(folder_name)
        port = free_port()
        with Sink(folder) as sink, start(folder, port, sink.port, mode) as agent:
            agent.await_listening(port)
            time.sleep(0.5)  # what a runtime does after its start is not load
            idle_mb = rss_mb(agent.pid)

            def run(**load_options):
                before = cpu_of(agent.pid)
                load = run_load(port, spans_per_request, **load_options)
                sink.await_run(load["run"], load["items_ok"])
                cpu = cpu_of(agent.pid) - before
                return load, cpu, 1e6 / load["items_ok"], rss_mb(agent.pid)

            paced, paced_cpu, us_per_paced_span, paced_mb = run(
                rate=PACED_SPANS_PER_S[spans_per_request], in_flight=64, duration=paced_s)
            flood, cpu, us_per_span, flood_mb = run(
                rate=0, in_flight=FLOOD_IN_FLIGHT[spans_per_request], duration=flood_s)

    return {
        "spans_per_request": spans_per_request,
        "cpu_us_per_span": round(cpu.total_s * us_per_span, 3),
        "cpu_user_us_per_span": round(cpu.user_s * us_per_span, 3),
        "cpu_system_us_per_span": round(cpu.system_s * us_per_span, 3),
        "spans_per_s": round(flood["items_per_s"]),
        "rss_mb": round(max(paced_mb, flood_mb), 1),
        "rss_idle_mb": round(idle_mb, 1),
        "rss_paced_mb": round(paced_mb, 1),
        "paced_cpu_us_per_span": round(paced_cpu.total_s * us_per_paced_span, 3),
        "paced_spans_per_s": round(paced["items_per_s"]),
        "paced_latency_p50_us": paced["latency_us"]["p50"],
        "paced_latency_p99_us": paced["latency_us"]["p99"],
    }


HEADER = f"""
{'spans/':>8} {'':11} {'-- flooded: CPU us per span --':^36} {'-- paced: CPU and latency us --':^35} {'------ RSS MiB ------':^23}
{'request':>8} {'system':11} {'spans/s':>10} {'user':>8} {'system':>8} {'total':>7} \
{'spans/s':>9} {'CPU':>7} {'p50':>8} {'p99':>8} {'idle':>7} {'paced':>7} {'most':>7}"""


def row(system, r):
    return (f"{r['spans_per_request']:8} {system:11} {r['spans_per_s']:10} {r['cpu_user_us_per_span']:8.2f} "
            f"{r['cpu_system_us_per_span']:8.2f} {r['cpu_us_per_span']:7.2f} "
            f"{r['paced_spans_per_s']:9} {r['paced_cpu_us_per_span']:7.2f} "
            f"{r['paced_latency_p50_us']:8.0f} {r['paced_latency_p99_us']:8.0f} "
            f"{r['rss_idle_mb']:7.1f} {r['rss_paced_mb']:7.1f} {r['rss_mb']:7.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under 40 s, no peers")
    parser.add_argument("--mode", choices=OTELCOL_CONFIGS, default="memory",
                        help="how the agent's Log keeps what it took; beside process and durable, the Collector has its "
                             "persistent queue, without and with fsync (default: memory)")
    parser.add_argument("--json", action="store_true", help="one object a line")
    options = parser.parse_args()

    systems = {"tributary": start_tributary}
    if not options.quick and shutil.which("go"):
        print("Building the OpenTelemetry Collector, if it is not there yet", file=sys.stderr)
        subprocess.run([PEERS / "build_otelcol.sh"], check=True, stdout=sys.stderr)
        systems["otelcol"] = start_otelcol
    paced_s, flood_s = (3, 2) if options.quick else (8, 6)

    if not options.json:
        print(HEADER)
    for spans_per_request in PACED_SPANS_PER_S:
        results = {}
        for system, start in systems.items():
            result = results[system] = measure(start, options.mode, spans_per_request, paced_s, flood_s)
            print(json.dumps({"bench": "agent", "system": system, "mode": options.mode, **result}) if options.json else row(system, result),
                  flush=True)
        if "otelcol" in results:
            ratio = {key: round(results["otelcol"][key] / results["tributary"][key], 1)
                     for key in ("cpu_us_per_span", "paced_cpu_us_per_span", "rss_mb")}
            print(json.dumps({"bench": "agent", "ratio": "otelcol/tributary", "mode": options.mode, "spans_per_request": spans_per_request,
                              **ratio}) if options.json else
                  f"{'':8} otelcol/tributary: CPU {ratio['cpu_us_per_span']} times flooded, "
                  f"{ratio['paced_cpu_us_per_span']} paced; memory {ratio['rss_mb']} times", flush=True)


if __name__ == "__main__":
    main()
