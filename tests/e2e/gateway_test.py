"""The gateway: every backend gets what is meant for it, whole, and none waits for another."""

import json
import sys

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

import everything
import ledger
import otlp
from programs import BIN, Agent, Gateway, Load, Program, Sink, free_port, get, wait_until
from receiver import Receiver

SIGNALS = ["traces", "metrics", "logs"]
RETRY = {"initial": "100ms", "max": "500ms"}


def otlp_sink(name, endpoint, **more):
    return {"name": name, "type": "otlp", "endpoint": f"http://{endpoint}", "retry": RETRY, **more}


def send(gateway, *requests):
    stubs = {ExportTraceServiceRequest: TraceServiceStub, ExportMetricsServiceRequest: MetricsServiceStub,
             ExportLogsServiceRequest: LogsServiceStub}
    with grpc.insecure_channel(gateway.grpc) as channel:
        for request in requests:
            stubs[type(request)](channel).Export(request)


# --- Isolation ---

def test_a_dead_and_a_stalled_backend_delay_no_other(tmp_path):
    with Sink(tmp_path, "live") as live, Sink(tmp_path, "stalled") as stalled:
        stalled.mode("stall")
        sinks = [otlp_sink("live", live.grpc), otlp_sink("stalled", stalled.grpc, timeout="1s"),
                 otlp_sink("dead", f"127.0.0.1:{free_port()}")]
        with Gateway(tmp_path, sinks) as gateway, ledger.Watch(gateway):
            oldest = {}
            with Load(gateway.grpc, rate=20_000, items_per_request=100, duration=4) as load:
                while load.running():
                    for destination in gateway.health()["destinations"]:
                        seconds = destination["oldest_held_seconds"] or 0
                        oldest[destination["name"]] = max(seconds, oldest.get(destination["name"], 0))
                result = load.result()
            assert result["items_ok"] == result["items_sent"], result
            # The others wait as long as the load lasts.
            assert oldest["live"] < oldest["dead"] / 2, oldest
            assert oldest["dead"] > 3 and oldest["stalled"] > 3, oldest
            wait_until(lambda: live.run(result["run"])["unique"] == result["items_ok"], "the live one has everything")
            accounts = ledger.accounts(gateway)
            assert accounts["dead", "traces"].held == result["items_ok"], accounts

            stalled.mode("ok")
            wait_until(lambda: stalled.run(result["run"])["unique"] == result["items_ok"], "the stalled one catches up")
            # Or SIGTERM would wait for the dead one.
            gateway.configure({"sinks": sinks[:2]})
            gateway.reload()
            wait_until(lambda: len(gateway.health()["destinations"]) == 2, "the dead one is given up")


def test_a_gateway_that_restarts_costs_nothing(tmp_path):
    with Sink(tmp_path) as sink:
        with Gateway(tmp_path, [otlp_sink("sink", sink.grpc)]) as gateway:
            with Agent(tmp_path, gateway.grpc, retry=RETRY) as agent, ledger.Watch(agent):
                with Load(agent.grpc, rate=20_000, items_per_request=100, duration=4, retry=True) as load:
                    for _ in range(2):
                        before = sink.items("traces")
                        wait_until(lambda: sink.items("traces") > before, "the load is flowing")
                        gateway.stop()
                        gateway.start()
                    result = load.result()
                assert result["items_ok"] == result["items_sent"], result
                wait_until(lambda: sink.run(result["run"])["unique"] == result["items_ok"], "all arrives")
    assert not result["refused"] and not result["lost"], "the agent had memory for the time"


# --- Who gets what ---

def test_signals_and_conditions_choose_what_a_backend_gets(tmp_path):
    def traces_of(service):
        request = ExportTraceServiceRequest()
        container = request.resource_spans.add()
        attribute = container.resource.attributes.add(key="service.name")
        attribute.value.string_value = service
        container.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name=service)
        return request

    with Receiver() as of_cart, Receiver() as of_logs:
        sinks = [otlp_sink("cart", of_cart.grpc, when={"service.name": ["cart", "pay"]}, signals=["traces", "metrics"]),
                 otlp_sink("logs", of_logs.grpc, signals=["logs"])]
        _, metrics, logs = everything.requests()
        with Gateway(tmp_path, sinks) as gateway, ledger.Watch(gateway):
            send(gateway, traces_of("cart"), traces_of("auth"), traces_of("pay"), metrics, logs)
            wait_until(lambda: otlp.count(of_cart.traces) == 2, "the traces of cart and pay")
            wait_until(lambda: otlp.count(of_logs.logs) == otlp.count([logs]), "the logs")
            not_matched = otlp.count([metrics]) - sum(not otlp.points(metric) for container in metrics.resource_metrics
                                                      for scope in container.scope_metrics for metric in scope.metrics)
            wait_until(lambda: ledger.accounts(gateway)["cart", "metrics"].dropped_by_reason["not_matched"] == not_matched,
                       "what is not for a destination is accounted for")
        otlp.assert_same(otlp.items([traces_of("cart"), traces_of("pay")]), otlp.items(of_cart.traces))
        assert not of_cart.logs and not of_cart.metrics and not of_logs.traces and not of_logs.metrics


def test_http_backends_get_their_path_and_headers(tmp_path):
    with Sink(tmp_path) as sink, Gateway(tmp_path, [
            {"name": "http", "type": "otlp", "protocol": "http/protobuf", "endpoint": sink.http, "compression": "gzip",
             "headers": {"authorization": "Bearer x"}}]) as gateway, ledger.Watch(gateway):
        sent = everything.requests()
        send(gateway, *sent)
        for signal in SIGNALS:
            wait_until(lambda: sink.items(signal) > 0, f"{signal} arrive")


# --- Files and the local store ---

def test_a_file_has_every_field_in_lines_of_json(tmp_path):
    file = tmp_path / "telemetry.jsonl"
    sent = everything.requests(left_out={"key_strindex", "string_value_strindex"})
    with Gateway(tmp_path, [{"name": "file", "type": "file", "path": str(file)}]) as gateway, ledger.Watch(gateway):
        send(gateway, *sent)
        wait_until(lambda: all(ledger.accounts(gateway)["file", signal].delivered > 0 for signal in SIGNALS), "all is written")
    written = {"resourceSpans": [], "resourceMetrics": [], "resourceLogs": []}
    types = {"resourceSpans": ExportTraceServiceRequest, "resourceMetrics": ExportMetricsServiceRequest,
             "resourceLogs": ExportLogsServiceRequest}
    for line in file.read_text().splitlines():
        document = json.loads(line)
        (key,) = document
        written[key].append(otlp.from_json(document, types[key]()))
    for request, arrived in zip(sent, written.values()):
        otlp.assert_same(otlp.items([request]), otlp.items(arrived))


def test_the_local_store_shows_the_shop(tmp_path):
    pages_port = free_port()
    pages = f"http://127.0.0.1:{pages_port}"
    local = {"name": "local", "type": "local", "path": str(tmp_path / "store.db"), "pages": f"127.0.0.1:{pages_port}"}
    with Gateway(tmp_path, [local]) as gateway, Agent(tmp_path, gateway.grpc) as agent, ledger.Watch(agent, gateway):
        with Program(tmp_path, "shop", [BIN / "tributary-shop", "--endpoint", agent.grpc, "--rate", "50"]):
            everyone = {"gw", "auth", "api", "ord", "inv", "db", "pay", "cart", "ship", "mail", "rec", "search"}

            def services():
                status, body = get(f"{pages}/api/services")
                return body.decode() if status == 200 else ""
            wait_until(lambda: all(f'"{name}"' in services() for name in everyone), "all twelve services are in the store")
            wait_until(lambda: b'"ord"' in get(f"{pages}/api/traces?service=ord")[1], "traces of ord are shown")
            status, page = get(f"{pages}/")
            assert status == 200 and b"<html" in page
        wait_until(lambda: all(account.held == 0 for account in ledger.accounts(gateway).values()), "all is stored")
        accounts = ledger.accounts(gateway)
        assert all(accounts["local", signal].delivered > 0 for signal in SIGNALS), accounts
        assert not any(account.dropped for account in accounts.values()), accounts


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v", "-p", "no:cacheprovider"]))
