// An application instrumented with the OpenTelemetry JavaScript SDK: sends all three signals with PROTOCOL to ENDPOINT, and
// prints each request that the SDK made, as {"signal": ..., "request": protobuf in base64}.
//   node send.mjs grpc|http/protobuf|http/json ENDPOINT
import { context, SpanKind, SpanStatusCode, trace, TraceFlags, ValueType } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter as GrpcLogs } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as JsonLogs } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as ProtoLogs } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter as GrpcMetrics } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPMetricExporter as JsonMetrics } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtoMetrics } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as GrpcTraces } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonTraces } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoTraces } from "@opentelemetry/exporter-trace-otlp-proto";
import { ProtobufLogsSerializer, ProtobufMetricsSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [protocol, endpoint] = process.argv.slice(2);
const [Traces, Metrics, Logs] = {
  "grpc": [GrpcTraces, GrpcMetrics, GrpcLogs],
  "http/protobuf": [ProtoTraces, ProtoMetrics, ProtoLogs],
  "http/json": [JsonTraces, JsonMetrics, JsonLogs],
}[protocol];
const options = (signal) => ({ url: protocol === "grpc" ? `http://${endpoint}` : `${endpoint}/v1/${signal}` });

// `exporter`, which also tells what it is given, and insists on success.
function telling(exporter, signal, serializer) {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) => {
    const request = Buffer.from(serializer.serializeRequest(items)).toString("base64");
    process.stdout.write(JSON.stringify({ signal, request }) + "\n");
    send(items, (result) => {
      if (result.code !== 0) {
        console.error(`export of ${signal} failed:`, result.error);
        process.exitCode = 1;
      }
      done(result);
    });
  };
  return exporter;
}

const resource = resourceFromAttributes({ "service.name": "e2e-node", list: ["x", "y"], n: 4 });
const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(telling(new Traces(options("traces")), "traces", ProtobufTraceSerializer))],
});
const meters = new MeterProvider({
  resource,
  readers: [new PeriodicExportingMetricReader({
    exporter: telling(new Metrics(options("metrics")), "metrics", ProtobufMetricsSerializer), exportIntervalMillis: 3_600_000,
    exportTimeoutMillis: 20_000,
  })],
  views: [{ instrumentName: "exponential", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const loggers = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: telling(new Logs(options("logs")), "logs", ProtobufLogsSerializer) })],
});

const attributes = {
  string: "äß€𝄞", empty: "", yes: true, no: false, zero: 0, int: Number.MAX_SAFE_INTEGER, negative: -42, double: 0.1,
  strings: ["a", ""], ints: [1, -1], doubles: [0.5, 1.5], bools: [true, false], none: [],
};

const tracer = tracers.getTracer("e2e.tracer", "1.2.3", { schemaUrl: "https://example.org/schema" });
const root = tracer.startSpan("root", { kind: SpanKind.SERVER, attributes });
const within = trace.setSpan(context.active(), root);
for (const kind of [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER]) {
  const span = tracer.startSpan(`kind ${kind}`, { kind, links: [{ context: root.spanContext(), attributes }] }, within);
  span.addEvent("event", attributes, [1_700_000_000, 123_456_789]);
  span.setStatus({ code: SpanStatusCode.ERROR, message: "äß" });
  span.recordException(new Error("an exception"));
  span.end();
}
const remote = trace.setSpanContext(context.active(), {
  traceId: "11112222333344445555666677778888", spanId: "1111222233334444", isRemote: true, traceFlags: TraceFlags.SAMPLED,
});
tracer.startSpan("with a remote parent", {}, remote).end();
for (let i = 0; i < 600; ++i) tracer.startSpan(`one of many ${i}`, { attributes: { i } }, within).end();

const logger = loggers.getLogger("e2e.logger", "2.0");
for (const body of ["text", "", 7, 1.5, true, ["mixed", 1, null, ["nested"]], { map: { of: ["things", { and: 1 }] } },
                    new Uint8Array([0, 255, 1])]) {
  logger.emit({ body, severityNumber: SeverityNumber.WARN, severityText: "WARN", attributes, context: within,
                timestamp: [1_700_000_000, 5], observedTimestamp: [1_700_000_001, 6], eventName: "an.event" });
}

const meter = meters.getMeter("e2e.meter", "3.0");
const counter = meter.createCounter("counter", { unit: "1", description: "äß€", valueType: ValueType.INT });
const upDown = meter.createUpDownCounter("up_down");
const histogram = meter.createHistogram("explicit", { unit: "s", advice: { explicitBucketBoundaries: [0.1, 1, 10] } });
const exponential = meter.createHistogram("exponential");
const gauge = meter.createGauge("gauge");
for (let i = 0; i < 20; ++i) {
  counter.add(i, { i: i % 3 });
  upDown.add(-i / 2, attributes);
  histogram.record(i * 0.7, { i: i % 3 });
  exponential.record(1.7 ** i);
  gauge.record(i - 10);
}
meter.createObservableGauge("observed").addCallback((result) => result.observe(2.5, attributes));

root.end();
for (const provider of [tracers, meters, loggers]) {
  await provider.forceFlush();
  await provider.shutdown();
}
