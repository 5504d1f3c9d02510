"""Real backends: Jaeger, Prometheus and Loki behind a gateway with the configurations of deploy/gateway, asked through
their own query APIs for every span, point and line that an agent took.

Each needs its program, named by TRIBUTARY_JAEGER, TRIBUTARY_PROMETHEUS or TRIBUTARY_LOKI or found in PATH; one that is not
there is skipped, saying so."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.parse

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

import ledger
from programs import BIN, Agent, OtlpServer, Program, free_port, get, wait_until

DEPLOY = pathlib.Path(__file__).parents[2] / "deploy/gateway"
SKIPPED = 77
# What a program says when it is asked who it is: others have the same names.
SAYS = {"jaeger": (["version"], "git"), "prometheus": (["--version"], "prometheus, version"),
        "loki": (["-version"], "loki, version")}
STARTUP_SECONDS = 60
TRACES, SPANS_PER_TRACE, LINES = 40, 5, 200


def why_not(name):
    """Why there is no such backend here; nothing when there is."""
    program = binary(name)
    if program is None:
        return f"{name} is not installed, and TRIBUTARY_{name.upper()} does not name it"
    question, answer = SAYS[name]
    asked = subprocess.run([program, *question], capture_output=True, text=True, timeout=60)
    if answer not in (asked.stdout + asked.stderr).lower():
        return f"{program} is not {name}"
    return None


def binary(name):
    return os.environ.get(f"TRIBUTARY_{name.upper()}") or shutil.which(name)


class ExampleGateway(OtlpServer):
    """tributary-gateway with one sink of deploy/gateway/jaeger-prometheus-loki.yaml, at another address."""

    def __init__(self, directory, sink, example_url, url):
        self.grpc_port, self.http_port, metrics_port, health_port = (free_port() for _ in range(4))
        self.metrics_page = f"http://127.0.0.1:{metrics_port}/metrics"
        head, *sinks = re.split(r"(?m)^  - name: ", (DEPLOY / "jaeger-prometheus-loki.yaml").read_text())
        (mine,) = (text for text in sinks if text.startswith(f"{sink}\n"))
        for there, here in ((":4317", f"127.0.0.1:{self.grpc_port}"), (":4318", f"127.0.0.1:{self.http_port}")):
            assert head.count(f" {there}\n") == 1
            head = head.replace(f" {there}\n", f" {here}\n")
        head = head.replace("listen:\n", f"listen:\n  metrics: 127.0.0.1:{metrics_port}\n  health: 127.0.0.1:{health_port}\n")
        assert mine.count(example_url) == 1
        file = directory / "gateway.yaml"
        file.write_text(f"log: {{directory: {directory}/log}}\n{head}  - name: {mine.replace(example_url, url)}")
        super().__init__(directory, "gateway", [BIN / "tributary-gateway", "--config", file],
                         f"http://127.0.0.1:{health_port}/ready")

    def metrics_text(self):
        return get(self.metrics_page)[1].decode()


@contextlib.contextmanager
def chain(directory, sink, example_url, url):
    """An agent before a gateway before the backend at `url`. Leaving it, every item must have been delivered."""
    with ExampleGateway(directory, sink, example_url, url) as gateway, Agent(directory, gateway.grpc) as agent:
        with ledger.Watch(agent, gateway):
            yield agent
            wait_until(lambda: all(account.held == 0 for account in ledger.accounts(gateway).values()), "all is sent")
        accounts = ledger.accounts(gateway)
        assert not any(account.dropped for account in accounts.values()), (accounts, gateway.log.read_text())


def ask(page, **parameters):
    """A backend's answer in JSON, or nothing while it has none."""
    status, body = get(f"{page}?{urllib.parse.urlencode(parameters)}" if parameters else page)
    return json.loads(body) if status == 200 else None


def attributes(**values):
    return [KeyValue(key=key.replace("__", "."), value=AnyValue(string_value=value)) for key, value in values.items()]


def resource(service):
    return attributes(service__name=service, service__instance__id="cart-1", deployment__environment__name="test")


def send(agent, stub, request):
    with grpc.insecure_channel(agent.grpc) as channel:
        stub(channel).Export(request, timeout=20)


@pytest.fixture
def jaeger(tmp_path):
    if reason := why_not("jaeger"):
        pytest.skip(reason)
    otlp, http, internal = (f"127.0.0.1:{free_port()}" for _ in range(3))
    command = ["env", f"JAEGER_OTLP={otlp}", f"JAEGER_HTTP={http}", f"JAEGER_GRPC={internal}",
               binary("jaeger"), "--config", DEPLOY / "backends/jaeger.yaml"]
    with Program(tmp_path, "jaeger", command, f"http://{http}/api/services", STARTUP_SECONDS):
        yield f"http://{otlp}", f"http://{http}"


def test_jaeger_has_every_span(tmp_path, jaeger):
    otlp, http = jaeger
    random.seed(time.time_ns())
    now = time.time_ns()
    request = ExportTraceServiceRequest()
    of_cart = request.resource_spans.add()
    of_cart.resource.attributes.extend(resource("cart"))
    scope = of_cart.scope_spans.add()
    sent = {}
    for _ in range(TRACES):
        trace_id, parent = random.randbytes(16), b""
        for i in range(SPANS_PER_TRACE):
            span = scope.spans.add(trace_id=trace_id, span_id=random.randbytes(8), parent_span_id=parent,
                                   name=f"step {i}", start_time_unix_nano=now + i * 1_000_000,
                                   end_time_unix_nano=now + 50_000_000, attributes=attributes(shop__step=f"äß€ {i}"))
            if i == SPANS_PER_TRACE - 1:
                span.status.code = span.status.STATUS_CODE_ERROR
            parent = span.span_id
            sent.setdefault(trace_id.hex(), []).append(span)
    with chain(tmp_path, "jaeger", "http://jaeger-collector:4317", otlp) as agent:
        send(agent, TraceServiceStub, request)
        for trace_id, spans in sent.items():
            def found():
                answer = ask(f"{http}/api/traces/{trace_id}")
                return answer and len(answer["data"][0]["spans"]) == len(spans) and answer["data"][0]
            trace = wait_until(found, f"trace {trace_id} whole")
            for span, seen in zip(spans, sorted(trace["spans"], key=lambda seen: seen["operationName"])):
                tags = {tag["key"]: tag["value"] for tag in seen["tags"]}
                process = {tag["key"]: tag["value"] for tag in trace["processes"][seen["processID"]]["tags"]}
                assert (seen["operationName"], seen["spanID"]) == (span.name, span.span_id.hex())
                assert [r["spanID"] for r in seen["references"]] == [span.parent_span_id.hex()] * bool(span.parent_span_id)
                assert (seen["startTime"], seen["duration"]) == (span.start_time_unix_nano // 1000,
                    (span.end_time_unix_nano - span.start_time_unix_nano) // 1000)
                assert tags["shop.step"] == span.attributes[0].value.string_value
                assert (tags.get("error") is True) == (span.status.code == span.status.STATUS_CODE_ERROR)
                assert trace["processes"][seen["processID"]]["serviceName"] == "cart"
                assert process["deployment.environment.name"] == "test" and process["host.name"]  # the agent's


@pytest.fixture
def prometheus(tmp_path):
    if reason := why_not("prometheus"):
        pytest.skip(reason)
    program, address = binary("prometheus"), f"127.0.0.1:{free_port()}"
    options = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60)
    is_from_3_on = "web.enable-otlp-receiver" in options.stdout + options.stderr
    receiver = "--web.enable-otlp-receiver" if is_from_3_on else "--enable-feature=otlp-write-receiver"
    command = [program, "--config.file", DEPLOY / "backends/prometheus.yml", "--storage.tsdb.path", tmp_path / "tsdb",
               "--web.listen-address", address, receiver]
    with Program(tmp_path, "prometheus", command, f"http://{address}/-/ready", STARTUP_SECONDS):
        yield f"http://{address}"


def test_prometheus_has_every_point(tmp_path, prometheus):
    request = ExportMetricsServiceRequest()
    of_cart = request.resource_metrics.add()
    of_cart.resource.attributes.extend(resource("cart"))
    metrics = of_cart.scope_metrics.add().metrics
    cumulative = 2
    started, now = time.time_ns() - 10**10, time.time_ns()
    queue = metrics.add(name="shop.queue").gauge
    orders = metrics.add(name="shop.orders").sum
    orders.is_monotonic, orders.aggregation_temporality = True, cumulative
    waits = metrics.add(name="shop.wait", unit="s").histogram
    waits.aggregation_temporality = cumulative
    for i in range(50):
        about = {"time_unix_nano": now, "attributes": attributes(shop__shelf=f"shelf {i}")}
        queue.data_points.add(as_double=i / 4, **about)
        orders.data_points.add(as_int=1000 + i, start_time_unix_nano=started, **about)
        waits.data_points.add(count=3 + i, sum=1.5, bucket_counts=[1, 2, i], explicit_bounds=[0.5, 1],
                              start_time_unix_nano=started, **about)
    # The names Prometheus gives to OTLP's metrics and attributes.
    expected = {"shop_queue": lambda i: i / 4, "shop_orders_total": lambda i: 1000 + i,
                "shop_wait_seconds_count": lambda i: 3 + i, "shop_wait_seconds_sum": lambda i: 1.5,
                'shop_wait_seconds_bucket{le="1"}': lambda i: 3}
    with chain(tmp_path, "prometheus", "http://prometheus:9090", prometheus) as agent:
        send(agent, MetricsServiceStub, request)
        for query, value in expected.items():
            def found():
                answer = ask(f"{prometheus}/api/v1/query", query=query)
                return answer and len(answer["data"]["result"]) == 50 and answer["data"]["result"]
            seen = {series["metric"]["shop_shelf"]: series for series in wait_until(found, f"50 series of {query}")}
            for i in range(50):
                series = seen[f"shelf {i}"]
                assert float(series["value"][1]) == value(i), series
                assert (series["metric"]["job"], series["metric"]["instance"]) == ("cart", "cart-1"), series
        (about,) = ask(f"{prometheus}/api/v1/query", query="target_info")["data"]["result"]
        assert about["metric"]["deployment_environment_name"] == "test" and about["metric"]["host_name"]
        # What an outage held up arrives after what is newer.
        for point in queue.data_points:
            point.time_unix_nano = now - 5 * 60 * 10**9
        del metrics[1:]
        send(agent, MetricsServiceStub, request)

        def late():
            answer = ask(f"{prometheus}/api/v1/query", query="sum(count_over_time(shop_queue[1h]))")
            return answer["data"]["result"][0]["value"][1] == "100"
        wait_until(late, "the older points too")


@pytest.fixture
def loki(tmp_path):
    if reason := why_not("loki"):
        pytest.skip(reason)
    http_port, grpc_port = free_port(), free_port()
    command = ["env", "LOKI_HOST=127.0.0.1", f"LOKI_HTTP_PORT={http_port}", f"LOKI_GRPC_PORT={grpc_port}",
               f"LOKI_DIRECTORY={tmp_path / 'loki'}", binary("loki"), "-config.file", DEPLOY / "backends/loki.yaml",
               "-config.expand-env=true"]
    with Program(tmp_path, "loki", command, f"http://127.0.0.1:{http_port}/ready", STARTUP_SECONDS):
        yield f"http://127.0.0.1:{http_port}"


def test_loki_has_every_line(tmp_path, loki):
    request = ExportLogsServiceRequest()
    of_cart = request.resource_logs.add()
    of_cart.resource.attributes.extend(resource("cart"))
    records = of_cart.scope_logs.add().log_records
    now, trace_id = time.time_ns(), random.randbytes(16)
    for i in range(LINES):
        records.add(time_unix_nano=now + i * 1000, severity_number=9, severity_text="INFO", trace_id=trace_id,
                    span_id=random.randbytes(8), body=AnyValue(string_value=f"line {i} äß€"),
                    attributes=attributes(shop__shelf=f"shelf {i}"))
    with chain(tmp_path, "loki", "http://loki:3100", loki) as agent:
        send(agent, LogsServiceStub, request)

        def found():
            answer = ask(f"{loki}/loki/api/v1/query_range", query='{service_name="cart"}', limit=LINES + 1,
                         start=now - 1, end=now + 10**9)
            streams = answer["data"]["result"] if answer else []
            lines = [(int(value[0]), value[1], stream["stream"]) for stream in streams for value in stream["values"]]
            return len(lines) == LINES and sorted(lines, key=lambda line: line[0])
        for i, (at, text, labels) in enumerate(wait_until(found, f"{LINES} lines")):
            assert (at, text) == (now + i * 1000, f"line {i} äß€")
            assert labels["shop_shelf"] == f"shelf {i}" and labels["trace_id"] == trace_id.hex(), labels
            assert labels["deployment_environment_name"] == "test" and labels["host_name"], labels


if __name__ == "__main__":
    reasons = {name: why_not(name) for name in SAYS}
    for reason in filter(None, reasons.values()):
        print(f"SKIPPED: {reason}")
    if all(reasons.values()):
        sys.exit(SKIPPED)
    sys.exit(pytest.main([__file__, "-v", "-rs", "-p", "no:cacheprovider"]))
