"""The agent while its upstream fails: OK until its memory is full, then a refusal that says when to come back; what it said
OK to is not lost; when the upstream is back, what happens now does not queue behind what happened then."""

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
from programs import Agent, Load, Sink, wait_until
from receiver import Receiver

MEMORY_MIB = 16
# What a process needs besides telemetry: its code, its connections, what the allocator has not given back.
OVERHEAD_MIB = 16
# Fast, so that a test need not wait for the default second.
RETRY = {"initial": "100ms", "max": "500ms"}


@pytest.fixture
def sink(tmp_path):
    with Sink(tmp_path) as sink:
        yield sink


@pytest.fixture
def agent(tmp_path, sink):
    with Agent(tmp_path, sink.grpc, memory={"limit": f"{MEMORY_MIB}MiB"}) as agent:
        agent.configure({"upstream": {"endpoint": f"http://{sink.grpc}", "retry": RETRY},
                         "memory": {"limit": f"{MEMORY_MIB}MiB"}})
        agent.reload()
        with ledger.Watch(agent):
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


def held(agent):
    return sum(account.held for account in ledger.accounts(agent).values())


def test_a_full_agent_says_when_to_come_back(agent, sink):
    sink.mode("away")
    refusal = fill(agent)
    assert refusal.code() is grpc.StatusCode.UNAVAILABLE
    details = dict(refusal.trailing_metadata())["grpc-status-details-bin"]
    retry_info = error_details_pb2.RetryInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(retry_info)
    assert 0 < retry_info.retry_delay.ToTimedelta().total_seconds() <= 60

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{agent.http}/v1/traces", spans(1000).SerializeToString(),
                                                      {"content-type": "application/x-protobuf"}))
    assert refused.value.code == 503
    assert int(refused.value.headers["retry-after"]) >= 1
    assert status_pb2.Status.FromString(refused.value.read()).message

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
        rss_mib = agent.rss_mib()
        sink.mode("ok")
        result = load.result()
    assert rss_mib < MEMORY_MIB + OVERHEAD_MIB
    assert result["refused"].keys() == {"UNAVAILABLE"} and not result["lost"], result
    assert result["items_ok"] == result["items_sent"] > 10_000, result
    wait_until(lambda: sink.run(result["run"])["unique"] == result["items_ok"], "all that was accepted arrives")
    assert sink.run(result["run"])["missing"] == 0
    wait_until(lambda: held(agent) == 0, "nothing is held any more")


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
        config = {"upstream": {"endpoint": f"http://{receiver.grpc}", "retry": RETRY, "concurrency": 1,
                               "batch": {"items": 100, "flush": "10ms"}}}
        with Agent(tmp_path, receiver.grpc) as agent:
            agent.configure(config)
            agent.reload()
            with grpc.insecure_channel(agent.grpc) as channel, ledger.Watch(agent):
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
