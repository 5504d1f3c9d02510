"""The agent's Log on disk while the backend is away: applications get OK all the time, memory stays flat however long it
lasts, and when the backend is back everything arrives, several times as fast as it came.

TRIBUTARY_AWAY_S says how long the backend is away.
"""

import os
import sys
import time

import pytest

import ledger
from programs import Agent, Load, Sink, wait_until

AWAY_S = float(os.environ.get("TRIBUTARY_AWAY_S", 20))
RATE = 20_000
WARM_S = 5  # of the outage: until memory is what it will be


def held(agent):
    return sum(destination["held_items"] for destination in agent.health()["destinations"])


@pytest.mark.parametrize("mode", ["process", "durable"])
def test_a_backend_away_costs_disk_and_no_memory(tmp_path, mode):
    log = {"mode": mode, "directory": str(tmp_path / "log"), "limit": "8GiB"}
    with Sink(tmp_path) as sink, \
            Agent(tmp_path, sink.grpc, log=log, retry={"initial": "200ms", "max": "1s"}) as agent, ledger.Watch(agent):
        sink.mode("away")
        with Load(agent.grpc, rate=RATE, items_per_request=64, in_flight=64, duration=AWAY_S + 10, timeout=60) as load:
            start = time.monotonic()
            rss_mib = []
            while time.monotonic() - start < AWAY_S:
                time.sleep(0.5)
                if time.monotonic() - start > WARM_S:
                    rss_mib.append(agent.rss_mib())
            held_at_return = held(agent)
            sink.mode("ok")
            returned = time.monotonic()
            # The load goes on; the backlog is through when no more is held than a second brings.
            wait_until(lambda: held(agent) < RATE, "the backlog is delivered", timeout=AWAY_S)
            drained_s = time.monotonic() - returned
            result = load.result()
        assert not result["refused"] and not result["lost"], result
        wait_until(lambda: sink.run(result["run"])["unique"] >= result["items_ok"], "everything arrives", timeout=60)
        seen = sink.run(result["run"])
        assert seen["unique"] == result["items_ok"] == result["items_sent"] and seen["missing"] == 0
        rate = held_at_return / drained_s + RATE
        print(f"{mode}: {held_at_return} items held, RSS {min(rss_mib):.1f} to {max(rss_mib):.1f} MiB, "
              f"drained at {rate:.0f} items/s, {rate / RATE:.1f} times the rate of arrival; "
              f"{seen['duplicates']} twice")
        half = len(rss_mib) // 2
        assert max(rss_mib[half:]) <= 1.1 * max(rss_mib[:half]), rss_mib


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
