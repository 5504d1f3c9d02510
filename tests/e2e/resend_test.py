"""An agent and a gateway that are both killed with SIGKILL at random moments while one sends to the other: what the agent sends
again the gateway knows, and nothing arrives twice.

TRIBUTARY_KILLS says how often; TRIBUTARY_SEED repeats a run's moments.
"""

import os
import random
import sys
import time

import pytest

from link import Link
from programs import Agent, Gateway, Load, Sink, wait_until

KILLS = int(os.environ.get("TRIBUTARY_KILLS", 20))
SEED = int(os.environ.get("TRIBUTARY_SEED", time.time_ns()))
ITEMS_PER_REQUEST = 64
SECONDS_PER_KILL = 0.4  # of what the agent has to send
BYTES_PER_S = 1_500_000
RETRY = {"initial": "20ms", "max": "100ms"}


def metric(program, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in program.metrics_text().splitlines()
               if line.startswith((name + "{", name + " ")))


def held(program):
    return metric(program, "tributary_held_items")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_is_sent_again_arrives_once(tmp_path, protocol):
    print(f"TRIBUTARY_SEED={SEED}")
    moments = random.Random(SEED)

    def log(name):
        return {"mode": "process", "directory": str(tmp_path / f"{name}-log"),
                "limit": f"{max(32, 2 * KILLS) * 16}MiB"}  # each life begins a segment of 16 MiB

    with Sink(tmp_path) as sink:
        # A backend that is no Tributary would get twice what is under way when the gateway dies: it takes nothing before
        # all is in the gateway.
        sink.mode("away")
        with Gateway(tmp_path, log=log("gateway"), sinks=[
                {"name": "backend", "type": "otlp", "endpoint": f"http://{sink.grpc}", "retry": RETRY}]) as gateway:
            port = gateway.grpc_port if protocol == "grpc" else gateway.http_port
            with Link(port, BYTES_PER_S) as link, Agent(
                    tmp_path, link.address, log=log("agent"), retry=RETRY, protocol=protocol, compression="none",
                    batch={"flush": "20ms", "items": 4 * ITEMS_PER_REQUEST}) as agent:
                gateway.kill()
                with Load(agent.grpc, rate=100_000, items_per_request=ITEMS_PER_REQUEST, retry=True, timeout=5,
                          duration=KILLS * SECONDS_PER_KILL * BYTES_PER_S / 280 / 100_000) as load:
                    result = load.result()
                assert result["items_ok"] == result["items_sent"] > 0 == result["resends"]
                gateway.spawn()
                wait_until(gateway.ready, "it starts")
                kills, resent, both = 0, 0, [agent, gateway]
                while held(agent) > 0 and kills < KILLS:
                    time.sleep(0.3 * moments.random())
                    resent += metric(gateway, "tributary_intake_resent_items_total")
                    dying = moments.sample(both, moments.choice([1, 1, 2]))
                    for program in dying:
                        program.kill()
                    for program in dying:
                        program.spawn()
                    for program in both:
                        wait_until(program.ready, "it starts again, whatever it finds")
                    kills += 1
                resent += metric(gateway, "tributary_intake_resent_items_total")
            sink.mode("ok")
            wait_until(lambda: held(gateway) == 0, "the backend has everything", timeout=60)
            seen = sink.run(result["run"])
        assert seen["unique"] == result["items_ok"]
        assert seen["fingerprint"] == result["fingerprint_ok"]
        assert seen["duplicates"] == 0
        assert resent > 0 and kills >= KILLS / 3, "nothing was put to the test"
        print(f"{kills} kills: {result['items_ok']} items, at least {resent:.0f} of them sent again, none twice")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
