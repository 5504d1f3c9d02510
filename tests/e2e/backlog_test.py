"""The agent's Log on disk while the backend is away: applications get OK all the time, memory stays flat however long it
lasts, and when the backend is back everything arrives, several times as fast as it came, and what is new does not queue
behind what is old.

TRIBUTARY_AWAY_S says how long the backend is away.
"""

import os
import sys
import time

import pytest

import ledger
from link import Link
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


def test_what_is_new_does_not_queue_behind_a_backlog_on_disk(tmp_path):
    """The link lets the backlog through in ten seconds at best."""
    log = {"mode": "process", "directory": str(tmp_path / "log")}
    with (Sink(tmp_path) as sink, Link(int(sink.grpc.rpartition(":")[2]), bytes_per_s=8e6) as link,
          Agent(tmp_path, link.address, log=log, retry={"initial": "100ms", "max": "200ms"}) as agent,
          ledger.Watch(agent)):
        sink.mode("away")
        with Load(agent.grpc, rate=0, requests=600, duration=0, items_per_request=512) as load:
            old = load.result()
        assert old["items_ok"] == 600 * 512
        # Long enough that the agent calls it a backlog.
        wait_until(lambda: agent.health()["destinations"][0]["oldest_held_seconds"] > 6, "the backend is away")
        sink.mode("ok")
        wait_until(lambda: held(agent) < old["items_ok"], "the backlog begins to drain")
        with Load(agent.grpc, rate=1000, items_per_request=10, duration=3) as load:
            wait_until(lambda: len(sink.stats()["runs"]) == 2 and sink.latest_run()["unique"] >= 1000,
                       "what is new arrives", timeout=60)
            left = held(agent)
            print(f"{left} of {old['items_ok']} were left when what is new arrived")
            new = load.result()
        assert left > old["items_ok"] / 4, f"{left} of {old['items_ok']} were left when what is new arrived"
        wait_until(lambda: held(agent) == 0, "nothing is held any more", timeout=60)
        for sent in (old, new):
            arrived = sink.run(sent["run"])
            assert (arrived["unique"], arrived["missing"]) == (sent["items_ok"], 0)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, *sys.argv[1:]]))
