"""The agent and the gateway killed with SIGKILL at random moments under load, also while they start: what was answered OK
arrives, whole; what arrives twice was under way.

TRIBUTARY_KILLS says how often (each of the four ways); TRIBUTARY_SEED repeats a run's moments.
"""

import json
import os
import random
import sys
import time

import pytest

from programs import Agent, Gateway, Load, Sink, wait_until

KILLS = int(os.environ.get("TRIBUTARY_KILLS", 40))
SEED = int(os.environ.get("TRIBUTARY_SEED", time.time_ns()))
ITEMS_PER_REQUEST = 64
CONNECTIONS = 4
IN_FLIGHT = 8
SECONDS_PER_KILL = 0.3  # of load; what is left of it after the last kill finds a program that lives


def agent(directory, sink, log):
    return Agent(directory, sink.grpc, log=log, retry={"initial": "20ms", "max": "100ms"}, batch={"flush": "20ms"})


def gateway(directory, sink, log):
    return Gateway(directory, log=log, sinks=[
        {"name": "backend", "type": "otlp", "endpoint": f"http://{sink.grpc}",
         "retry": {"initial": "20ms", "max": "100ms"}, "batch": {"flush": "20ms"}}])


def metric(program, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in program.metrics_text().splitlines()
               if line.startswith((name + "{", name + " ")))


@pytest.mark.parametrize("io", ["io_uring", "thread"])
@pytest.mark.parametrize("start", [agent, gateway], ids=["agent", "gateway"])
def test_what_was_acknowledged_survives_sigkill(tmp_path, start, io):
    print(f"TRIBUTARY_SEED={SEED}")
    moments = random.Random(SEED)
    log = {"mode": "process", "directory": str(tmp_path / "log"), "io": io, "limit": "64MiB"}
    with Sink(tmp_path) as sink, start(tmp_path, sink, log) as program:
        with Load(program.grpc, rate=10_000, items_per_request=ITEMS_PER_REQUEST, connections=CONNECTIONS,
                  in_flight=IN_FLIGHT, duration=KILLS * SECONDS_PER_KILL, retry=True, timeout=2) as load:
            under_load = 0
            for _ in range(KILLS):
                time.sleep(moments.choice([0.005, 0.05, 0.3]) * moments.random())
                under_load += load.running()
                program.kill()
                program.spawn()
                if moments.random() < 0.7:  # otherwise it may die while it recovers
                    wait_until(program.ready, "it starts again, whatever it finds")
            wait_until(program.ready, "it starts again, whatever it finds")
            assert under_load > KILLS / 2, "a machine so slow that the load was over too soon: raise SECONDS_PER_KILL"
            result = load.result()
        assert result["items_ok"] == result["items_sent"] > 0, json.dumps(result)
        seen = wait_until(lambda: (s := sink.run(result["run"]))["unique"] >= result["items_ok"] and s,
                          "everything that was answered OK is there", timeout=60)
        assert seen["missing"] == 0
        assert seen["unique"] == result["items_ok"], "nothing came from nowhere"
        assert seen["fingerprint"] == result["fingerprint_ok"], "nothing was changed on its way"
        assert metric(program, "tributary_log_damaged_frames_total") == 0
        # Twice is what the load sent again because its answer was lost, and at each kill what was on its way to the
        # sink, or was there without the answer being back: at most a request on each of its streams.
        under_way = KILLS * CONNECTIONS * IN_FLIGHT * ITEMS_PER_REQUEST * 16
        assert seen["duplicates"] <= result["resends"] * ITEMS_PER_REQUEST + under_way
        print(f"{KILLS} kills, {under_load} of them under load: {result['items_ok']} items, {result['resends']} requests sent again, "
              f"{seen['duplicates']} items twice")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
