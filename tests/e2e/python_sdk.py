"""An application instrumented with the OpenTelemetry Python SDK that uses everything the SDK offers, and remembers the
requests that the SDK makes of it."""

import opentelemetry.exporter.otlp.proto.grpc._log_exporter as grpc_logs
import opentelemetry.exporter.otlp.proto.grpc.metric_exporter as grpc_metrics
import opentelemetry.exporter.otlp.proto.grpc.trace_exporter as grpc_traces
import opentelemetry.exporter.otlp.proto.http._log_exporter as http_logs
import opentelemetry.exporter.otlp.proto.http.metric_exporter as http_metrics
import opentelemetry.exporter.otlp.proto.http.trace_exporter as http_traces
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

ATTRIBUTES = {
    "string": "text",
    "empty string": "",
    "unicode": "äß€𝄞 \x7f\n\t\"quoted\"",
    "true": True,
    "false": False,
    "zero": 0,
    "smallest int": -(2**63),
    "largest int": 2**63 - 1,
    "double": 3.14159,
    "infinity": float("inf"),
    "nan": float("nan"),
    "strings": ["a", "", "ä"],
    "ints": [1, -1, 2**62],
    "doubles": [0.5, -0.0],
    "bools": [True, False],
    "no elements": [],
    "bytes": bytes(range(256)),
    "map": {"nested": {"deeper": [1, "two", {"three": 3.0}]}, "empty": {}},
}
LOG_BODIES = ["text", "", 7, -1.5, True, b"\x00\xff raw", ["mixed", 1, 2.0, False, None, ["nested"]],
              {"map": {"of": ["things", {"and": b"bytes"}]}}, None]


class _SpanTee(SpanExporter):
    def __init__(self, inner, kept):
        self._inner, self._kept = inner, kept

    def export(self, spans):
        self._kept.append(encode_spans(spans))
        result = self._inner.export(spans)
        assert result is SpanExportResult.SUCCESS
        return result

    def shutdown(self):
        self._inner.shutdown()


class _MetricTee(MetricExporter):
    def __init__(self, inner, kept):
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner, self._kept = inner, kept

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self._kept.append(encode_metrics(metrics_data))
        result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        assert result is MetricExportResult.SUCCESS
        return result

    def force_flush(self, timeout_millis=10_000):
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis=30_000, **kwargs):
        self._inner.shutdown(timeout_millis, **kwargs)


class _LogTee(LogRecordExporter):
    def __init__(self, inner, kept):
        self._inner, self._kept = inner, kept

    def export(self, batch):
        self._kept.append(encode_logs(batch))
        result = self._inner.export(batch)
        assert result is LogRecordExportResult.SUCCESS
        return result

    def force_flush(self, timeout_millis=10_000):
        return self._inner.force_flush(timeout_millis)

    def shutdown(self):
        self._inner.shutdown()


class Sent:
    """The requests the SDK made."""

    def __init__(self):
        self.traces, self.metrics, self.logs = [], [], []


def send_everything_by_grpc(endpoint, compression=None):
    options = {"endpoint": endpoint, "insecure": True, "compression": compression}
    return _send_everything(grpc_traces.OTLPSpanExporter(**options), grpc_metrics.OTLPMetricExporter(**options),
                            grpc_logs.OTLPLogExporter(**options))


def send_everything_by_http(endpoint, compression=None):
    return _send_everything(
        http_traces.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", compression=compression),
        http_metrics.OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", compression=compression),
        http_logs.OTLPLogExporter(endpoint=f"{endpoint}/v1/logs", compression=compression))


def _send_everything(span_exporter, metric_exporter, log_exporter):
    sent = Sent()
    resource = Resource.create({"service.name": "e2e", "service.instance.id": "e2e-1", "list": ["x", "y"], "n": 4},
                               schema_url="https://opentelemetry.io/schemas/1.30.0")
    tracer_provider = TracerProvider(resource=resource)
    tracer_provider.add_span_processor(BatchSpanProcessor(_SpanTee(span_exporter, sent.traces)))
    logger_provider = LoggerProvider(resource=resource)
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(_LogTee(log_exporter, sent.logs)))
    meter_provider = MeterProvider(
        resource=resource,
        metric_readers=[PeriodicExportingMetricReader(_MetricTee(metric_exporter, sent.metrics), 3_600_000)],
        views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation(max_size=20))])

    tracer = tracer_provider.get_tracer("e2e.tracer", "1.2.3", schema_url="https://example.org/schema",
                                        attributes={"scope attribute": "of the tracer"})
    with tracer.start_as_current_span("root", kind=SpanKind.SERVER, attributes=ATTRIBUTES) as root:
        _make_spans(tracer, root.get_span_context())
        _make_logs(logger_provider.get_logger("e2e.logger", "2.0"))
        _make_measurements(meter_provider.get_meter("e2e.meter", "3.0", schema_url="https://example.org/meter"))

    for provider in (tracer_provider, meter_provider, logger_provider):
        assert provider.force_flush() is not False
        provider.shutdown()
    assert sent.traces and sent.metrics and sent.logs
    return sent


def _make_spans(tracer, root_context):
    for kind in SpanKind:
        with tracer.start_as_current_span(f"kind {kind.name}", kind=kind, links=[Link(root_context, ATTRIBUTES), Link(root_context)]) as span:
            span.add_event("event", ATTRIBUTES, timestamp=1_700_000_000_123_456_789)
            span.add_event("")
    with tracer.start_as_current_span("ok") as span:
        span.set_status(Status(StatusCode.OK))
    try:
        with tracer.start_as_current_span("fails"):
            raise ValueError("an exception event with äß€")
    except ValueError:
        pass
    context = trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(
        0x11112222333344445555666677778888, 0x1111222233334444, is_remote=True, trace_flags=trace.TraceFlags(1),
        trace_state=trace.TraceState([("vendor", "state"), ("other", "one")]))))
    tracer.start_span("with a remote parent and trace state", context=context).end()
    for i in range(600):  # more than one request
        tracer.start_span(f"one of many {i}", attributes={"i": i}).end()


def _make_logs(logger):
    for i, body in enumerate(LOG_BODIES):
        logger.emit(LogRecord(timestamp=1_700_000_000_000_000_000 + i, observed_timestamp=1_700_000_001_000_000_000 + i,
                              severity_number=list(SeverityNumber)[i * 2 + 1], severity_text=f"LEVEL{i}", body=body,
                              attributes=ATTRIBUTES, event_name=f"event.{i}"))
    logger.emit(LogRecord(body="hardly anything else"))


def _make_measurements(meter):
    counter = meter.create_counter("counter", unit="1", description="counts, äß€")
    up_down = meter.create_up_down_counter("up_down", unit="By")
    histogram = meter.create_histogram("explicit", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1, 10])
    exponential = meter.create_histogram("exponential", unit="ms")
    gauge = meter.create_gauge("gauge")
    for i in range(20):
        attributes = {"i": i % 3, "s": "x"}
        counter.add(i, attributes)
        up_down.add(-i * 0.5, attributes)
        histogram.record(i * 0.7, attributes)  # within a sampled span: with exemplars
        exponential.record(1.7**i, attributes)
        exponential.record(0, attributes)
        gauge.set(i - 10, attributes)
    meter.create_observable_gauge("observed", [lambda options: [Observation(-5, ATTRIBUTES), Observation(2.5, {})]])
    meter.create_observable_counter("observed_total", [lambda options: [Observation(2**53 + 1, {})]])
