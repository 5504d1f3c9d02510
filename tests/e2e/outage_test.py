"""The agent while its upstream fails: OK until its memory is full, then a refusal that says when to come back; what it said
OK to is not lost; when the upstream is back, what happens now does not queue behind what happened then."""

import os
import sys
import threading
import time
import urllib.error
import urllib.request

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

import ledger
import otlp
from link import Link
from programs import Agent, Gateway, Load, Sink, wait_until
from receiver import Receiver

MEMORY_MIB = 16
# What a process needs besides telemetry: its code, its connections, what the allocator has not given back.
OVERHEAD_MIB = 16
# Fast, so that a test need not wait for the default second.
RETRY = {"initial": "100ms", "max": "500ms"}
# How long the gateway is away in the test that is about the time it is away.
OUTAGE_S = float(os.environ.get("TRIBUTARY_OUTAGE_S", 60))


@pytest.fixture
def sink(tmp_path):
    with Sink(tmp_path) as sink:
        yield sink


@pytest.fixture
def agent(tmp_path, sink):
    with Agent(tmp_path, sink.grpc, memory={"limit": f"{MEMORY_MIB}MiB"}, retry=RETRY) as agent, ledger.Watch(agent):
        yield agent


def spans(count, name="span"):
    """One request; about 1 KiB a span."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for i in range(count):
        scope.spans.add(trace_id=b"t" * 16, span_id=i.to_bytes(8, "big"), name=name, trace_state="x" * 1000)
    return request


def fill(agent):
    """Sends until the agent refuses; the refusal."""
    with grpc.insecure_channel(agent.grpc) as channel:
        stub = TraceServiceStub(channel)
        for _ in range(MEMORY_MIB * 2):
            try:
                stub.Export(spans(1000))
            except grpc.RpcError as error:
                return error
    pytest.fail("the agent took twice its memory")


def post(agent, request):
    """Over OTLP/HTTP; raises urllib.error.HTTPError when it is refused."""
    urllib.request.urlopen(urllib.request.Request(f"{agent.http}/v1/traces", request.SerializeToString(),
                                                  {"content-type": "application/x-protobuf"}), timeout=20).close()


def assert_retryable_grpc(refusal):
    """UNAVAILABLE, and when to come back."""
    assert refusal.code() is grpc.StatusCode.UNAVAILABLE
    details = dict(refusal.trailing_metadata())["grpc-status-details-bin"]
    retry_info = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(retry_info)
    assert 0 < retry_info.retry_delay.ToTimedelta().total_seconds() <= 60


def assert_retryable_http(refusal):
    """503, and when to come back."""
    assert refusal.code == 503
    assert int(refusal.headers["retry-after"]) >= 1
    assert status_pb2.Status.FromString(refusal.read()).message


def held(agent):
    return sum(account.held for account in ledger.accounts(agent).values())


def delivered(agent):
    return sum(account.delivered for account in ledger.accounts(agent).values())


class Application:
    """Sends a span over gRPC and one over HTTP, again and again, and holds every answer to OTLP: OK, or a proper
    retryable refusal. Leaving the block fails the test if any was neither."""

    def __init__(self, agent):
        self.agent = agent
        self.taken = 0
        self.refused = {"grpc": 0, "http": 0}
        self.fault = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            with grpc.insecure_channel(self.agent.grpc) as channel:
                stub = TraceServiceStub(channel)
                while not self.stopping.wait(0.05):
                    self._send(stub)
        except Exception as fault:
            self.fault = fault

    def _send(self, stub):
        try:
            stub.Export(spans(1), timeout=20)
            self.taken += 1
        except grpc.RpcError as refusal:
            assert_retryable_grpc(refusal)
            self.refused["grpc"] += 1
        try:
            post(self.agent, spans(1))
            self.taken += 1
        except urllib.error.HTTPError as refusal:
            assert_retryable_http(refusal)
            self.refused["http"] += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        if self.fault is not None:
            raise self.fault


def test_a_full_agent_says_when_to_come_back(agent, sink):
    sink.mode("away")
    refusal = fill(agent)
    assert_retryable_grpc(refusal)
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(agent, spans(1000))
    assert_retryable_http(refused.value)

    taken = held(agent)
    assert taken > 0
    sink.mode("ok")
    wait_until(lambda: sink.items("traces") == taken, f"all {taken} spans that were taken arrive")


@pytest.mark.parametrize("mode", ["away", "unavailable", "throttle", "stall"])
def test_nothing_accepted_is_lost_while_the_upstream_fails(agent, sink, mode):
    with Load(agent.grpc, rate=50_000, duration=5, items_per_request=100, in_flight=16, retry=True) as load:
        wait_until(lambda: sink.items("traces") > 10_000, "the load is flowing")
        sink.mode(mode, retry_after_ms=200)
        refused = 'tributary_refused_requests_total'
        wait_until(lambda: sum(ledger.parse(agent.metrics_text())[refused].values()) > 0, "the agent is full")
        sink.mode("ok")
        result = load.result()
    assert agent.rss_mib_max() < MEMORY_MIB + OVERHEAD_MIB
    assert result["refused"].keys() == {"UNAVAILABLE"} and not result["lost"], result
    assert result["items_ok"] == result["items_sent"] > 10_000, result
    wait_until(lambda: sink.run(result["run"])["unique"] == result["items_ok"], "all that was accepted arrives")
    assert sink.run(result["run"])["missing"] == 0
    wait_until(lambda: held(agent) == 0, "nothing is held any more")


def test_a_minute_without_the_gateway(tmp_path):
    """20,000 spans a second, of about 280 bytes, over a link that carries twice that."""
    memory_mib = 64
    with (Sink(tmp_path) as sink,
          Gateway(tmp_path, [{"name": "sink", "type": "otlp", "endpoint": f"http://{sink.grpc}"}]) as gateway,
          Link(gateway.grpc_port, bytes_per_s=12e6) as link,
          Agent(tmp_path, link.address, memory={"limit": f"{memory_mib}MiB"}, retry=RETRY, batch={"items": 1000}) as agent,
          ledger.Watch(agent, gateway)):
        with (Application(agent) as application,
              Load(agent.grpc, rate=20_000, items_per_request=100, duration=OUTAGE_S + 20) as load):
            wait_until(lambda: sink.items("traces") > 40_000, "the load is flowing")
            assert application.taken > 0 and not any(application.refused.values())
            gateway.stop()
            away_since = time.monotonic()

            # OK until the agent is full.
            wait_until(lambda: all(application.refused.values()), "the agent refuses", timeout=OUTAGE_S)
            metrics = ledger.parse(agent.metrics_text())
            assert metrics["tributary_log_bytes"][()] > 0.95 * metrics["tributary_log_bytes_max"][()]

            time.sleep(max(0, away_since + OUTAGE_S - time.monotonic()))
            backlog, delivered_before = held(agent), delivered(agent)
            assert backlog > 100_000
            gateway.start()
            wait_until(lambda: delivered(agent) > delivered_before, "the agent has found the gateway", timeout=60)

            # What is new gets through before what is old.
            with Load(agent.grpc, rate=1000, items_per_request=10, duration=0, requests=500, retry=True) as late_load:
                wait_until(lambda: len(sink.stats()["runs"]) == 2 and sink.latest_run()["unique"] >= 500,
                           "spans of after the outage arrive", timeout=60)
                went_first = delivered(agent) - delivered_before
                late = late_load.result()
            assert went_first < backlog * 3 / 4, f"{went_first} spans, of a backlog of {backlog}"
            result = load.result()
        wait_until(lambda: held(agent) == held(gateway) == 0, "nothing is held any more", timeout=60)

        # All that was accepted has arrived, and nothing else.
        for sent in (result, late):
            arrived = sink.run(sent["run"])
            assert (arrived["unique"], arrived["fingerprint"]) == (sent["items_ok"], sent["fingerprint_ok"])
        assert sink.stats()["signals"]["traces"]["foreign"] >= application.taken
        # A machine that is busy sends less than was asked for.
        assert late["items_ok"] == late["items_sent"] >= 500, late
        assert result["refused"].keys() == {"UNAVAILABLE"} and not result["lost"], result
        assert agent.rss_mib_max() < memory_mib + OVERHEAD_MIB


def test_an_agent_that_ends_sends_what_it_holds(tmp_path, sink):
    with Agent(tmp_path, sink.grpc, name="ending") as agent:
        sink.mode("stall")
        with Load(agent.grpc, rate=0, requests=50, duration=0, items_per_request=100, retry=True) as load:
            result = load.result()
        ending = threading.Thread(target=agent.stop)
        ending.start()
        sink.mode("ok")
        ending.join()
    assert sink.run(result["run"])["unique"] == result["items_ok"] == 5000


def test_live_telemetry_overtakes_the_backlog(tmp_path):
    away = threading.Event()
    away.set()

    def refuse(context):
        if away.is_set():
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        time.sleep(0.05)  # a slow backend, so that the backlog takes a while

    with Receiver() as receiver:
        receiver.refuse = refuse
        with (Agent(tmp_path, receiver.grpc, retry=RETRY, concurrency=1, batch={"items": 100, "flush": "10ms"}) as agent,
              grpc.insecure_channel(agent.grpc) as channel, ledger.Watch(agent)):
            stub = TraceServiceStub(channel)
            for _ in range(60):
                stub.Export(spans(100, "old"))
            # Long enough that the agent calls it a backlog.
            wait_until(lambda: agent.health()["destinations"][0]["oldest_held_seconds"] > 6, "the upstream is away")
            away.clear()
            wait_until(lambda: receiver.traces, "the first of the backlog arrives")
            stub.Export(spans(1, "new"))
            wait_until(lambda: otlp.count(receiver.traces) == 6001, "all has arrived")
    order = [{span.name for container in request.resource_spans for scope in container.scope_spans for span in scope.spans}
             for request in receiver.traces]
    new = next(i for i, names in enumerate(order) if "new" in names)
    assert new < len(order) / 2, f"the new span came as request {new + 1} of {len(order)}"


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
