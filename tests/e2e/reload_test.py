"""SIGHUP under load, five times a second: whatever a new configuration changes, what was accepted arrives, once; and one
with a fault changes nothing."""

import contextlib
import itertools
import sys
import threading

import pytest

import ledger
from programs import Agent, Gateway, Load, Sink, free_port, wait_until

RETRY = {"initial": "100ms", "max": "500ms"}
RATE = {"rate": 20_000, "items_per_request": 100, "duration": 4}


@contextlib.contextmanager
def reloading(program, configurations):
    """Has `program` take these configurations in turn, again and again; `taken` in what this gives counts how many."""
    stopping = threading.Event()

    class Reloads:
        taken = 0

    def run():
        for configuration in itertools.cycle(configurations):
            program.configure(configuration)
            program.reload()
            Reloads.taken += 1
            if stopping.wait(0.2):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Reloads
    finally:
        stopping.set()
        thread.join()


def assert_arrived(sink, result, duplicates=0):
    """Every item that was accepted, and no other, was received, at most `duplicates` of them again."""
    assert result["items_ok"] == result["items_sent"] > 0, result
    wait_until(lambda: sink.run(result["run"])["unique"] == result["items_ok"], "all that was accepted arrives")
    run = sink.run(result["run"])
    assert run["fingerprint"] == result["fingerprint_ok"]
    assert run["duplicates"] <= duplicates, run


def upstream(endpoint, **more):
    return {"upstream": {"endpoint": f"http://{endpoint}", "retry": RETRY, **more}}


def test_the_same_file_again_changes_nothing(tmp_path):
    with Sink(tmp_path) as sink, Agent(tmp_path, sink.grpc, retry=RETRY) as agent, ledger.Watch(agent):
        with reloading(agent, [upstream(sink.grpc)]) as reloads, Load(agent.grpc, **RATE) as load:
            result = load.result()
        assert reloads.taken > 10
        assert_arrived(sink, result)
        assert ledger.accounts(agent)["upstream", "traces"].received == result["items_ok"]


def test_every_setting_may_change_under_load(tmp_path):
    with Sink(tmp_path) as sink, Agent(tmp_path, sink.grpc, retry=RETRY) as agent, ledger.Watch(agent):
        configurations = [
            {**upstream(sink.grpc), "memory": {"limit": "64MiB"}},
            {**upstream(sink.grpc, batch={"items": 500, "flush": "20ms"}, concurrency=2), "log_level": "warn"},
            {**upstream(sink.grpc), "resource": {"attributes": {"k8s.node.name": "n" * 2000}}},
            upstream("127.0.0.1:1", colour="blue"),  # a fault: the one before stays in force
        ]
        with reloading(agent, configurations) as reloads, Load(agent.grpc, **RATE) as load:
            result = load.result()
        assert reloads.taken > 10
        assert_arrived(sink, result)
        assert "colour" in agent.log.read_text()


@pytest.mark.parametrize("made_by", ["agent", "gateway"])
def test_another_endpoint_takes_over_what_is_under_way(tmp_path, made_by):
    """Two endpoints of one backend; requests under way to one when the other takes over are sent again."""
    with Sink(tmp_path) as sink:
        if made_by == "agent":
            program = Agent(tmp_path, sink.grpc, retry=RETRY)
            configurations = [upstream(sink.grpc), upstream(sink.http.removeprefix("http://"), protocol="http/protobuf")]
        else:
            backend = {"name": "backend", "type": "otlp", "retry": RETRY}
            configurations = [{"sinks": [{**backend, "endpoint": f"http://{sink.grpc}"}]},
                              {"sinks": [{**backend, "endpoint": sink.http, "protocol": "http/protobuf"}]}]
            program = Gateway(tmp_path, configurations[0]["sinks"])
        with program, ledger.Watch(program):
            with reloading(program, configurations) as reloads, Load(program.grpc, **RATE) as load:
                result = load.result()
            assert reloads.taken > 10
            # What 16 requests under way may hold is the bound; 8,192 items each, if the backend were slow.
            assert_arrived(sink, result, duplicates=reloads.taken * 16 * 8192)
            assert sink.run(result["run"])["duplicates"] < result["items_ok"] / 10


def test_sinks_come_and_go_beside_one_that_stays(tmp_path):
    with Sink(tmp_path) as sink, Sink(tmp_path, "second") as second:
        stays = {"name": "stays", "type": "otlp", "endpoint": f"http://{sink.grpc}", "retry": RETRY}
        # Quick, since it is there for no longer than a batch would wait by default.
        comes_and_goes = {"name": "second", "type": "otlp", "endpoint": f"http://{second.grpc}", "retry": RETRY,
                          "batch": {"flush": "5ms"}}
        dead = {"name": "dead", "type": "otlp", "endpoint": f"http://127.0.0.1:{free_port()}", "retry": RETRY}
        file = {"name": "file", "type": "file", "path": str(tmp_path / "telemetry.jsonl")}
        configurations = [{"sinks": sinks} for sinks in ([stays], [stays, comes_and_goes], [dead, stays, file], [file, stays])]
        with Gateway(tmp_path, [stays]) as gateway, ledger.Watch(gateway):
            with reloading(gateway, configurations) as reloads, Load(gateway.grpc, **RATE) as load:
                result = load.result()
            assert reloads.taken > 10
            assert_arrived(sink, result)
            # It got what came while it was there.
            assert 0 < second.run(result["run"])["unique"] < result["items_ok"]
            account = ledger.accounts(gateway)["stays", "traces"]
            assert account.received == account.delivered == result["items_ok"], account
            gateway.configure({"sinks": [stays]})
            gateway.reload()
            wait_until(lambda: len(gateway.health()["destinations"]) == 1, "the others are gone")
        assert "dead" in gateway.log.read_text()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
