// An application instrumented with the OpenTelemetry Java SDK: sends all three signals with PROTOCOL to ENDPOINT, and prints
// each request that the SDK made, as {"signal": ..., "request": protobuf in base64}. Whether the exporters stand on OkHttp or
// on grpc-java is decided by which of the two senders is among the libraries.
//   java Send grpc|http/protobuf ENDPOINT

import static io.opentelemetry.api.common.AttributeKey.*;

import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.Value;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.trace.*;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.internal.marshal.Marshaler;
import io.opentelemetry.exporter.internal.otlp.logs.LogsRequestMarshaler;
import io.opentelemetry.exporter.internal.otlp.metrics.MetricsRequestMarshaler;
import io.opentelemetry.exporter.internal.otlp.traces.TraceRequestMarshaler;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.data.LogRecordData;
import io.opentelemetry.sdk.logs.export.BatchLogRecordProcessor;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.metrics.*;
import io.opentelemetry.sdk.metrics.data.*;
import io.opentelemetry.sdk.metrics.export.*;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.*;
import java.io.*;
import java.time.Duration;
import java.time.Instant;
import java.util.*;
import java.util.concurrent.TimeUnit;

public class Send {
  static volatile boolean failed = false;

  static synchronized void tell(String signal, Marshaler request) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      request.writeBinaryTo(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    String text = Base64.getEncoder().encodeToString(bytes.toByteArray());
    System.out.printf("{\"signal\": \"%s\", \"request\": \"%s\"}%n", signal, text);
  }

  // `result`, insisting on success.
  static CompletableResultCode insist(String signal, CompletableResultCode result) {
    return result.whenComplete(() -> {
      if (result.isSuccess()) return;
      System.err.println("export of " + signal + " failed: " + result.getFailureThrowable());
      failed = true;
    });
  }

  record Traces(SpanExporter inner) implements SpanExporter {
    public CompletableResultCode export(Collection<SpanData> spans) {
      tell("traces", TraceRequestMarshaler.create(spans));
      return insist("traces", inner.export(spans));
    }
    public CompletableResultCode flush() { return inner.flush(); }
    public CompletableResultCode shutdown() { return inner.shutdown(); }
  }

  record Metrics(MetricExporter inner) implements MetricExporter {
    public CompletableResultCode export(Collection<MetricData> metrics) {
      tell("metrics", MetricsRequestMarshaler.create(metrics));
      return insist("metrics", inner.export(metrics));
    }
    public AggregationTemporality getAggregationTemporality(InstrumentType type) {
      return inner.getAggregationTemporality(type);
    }
    public CompletableResultCode flush() { return inner.flush(); }
    public CompletableResultCode shutdown() { return inner.shutdown(); }
  }

  record Logs(LogRecordExporter inner) implements LogRecordExporter {
    public CompletableResultCode export(Collection<LogRecordData> records) {
      tell("logs", LogsRequestMarshaler.create(records));
      return insist("logs", inner.export(records));
    }
    public CompletableResultCode flush() { return inner.flush(); }
    public CompletableResultCode shutdown() { return inner.shutdown(); }
  }

  static final Attributes ATTRIBUTES = Attributes.builder()
      .put("string", "äß€𝄞").put("empty", "").put("yes", true).put("no", false).put("least", Long.MIN_VALUE)
      .put("most", Long.MAX_VALUE).put("double", 0.1).put("infinity", Double.POSITIVE_INFINITY)
      .put("strings", "a", "").put("ints", 1L, -1L).put("doubles", 0.5, 1.5).put("bools", true, false).build();

  static void traces(TracerProvider provider) {
    Tracer tracer = provider.tracerBuilder("e2e.tracer").setInstrumentationVersion("1.2.3")
        .setSchemaUrl("https://example.org/schema").build();
    Span root = tracer.spanBuilder("root").setSpanKind(SpanKind.SERVER).setAllAttributes(ATTRIBUTES).startSpan();
    Context within = Context.root().with(root);
    for (SpanKind kind : SpanKind.values()) {
      Span span = tracer.spanBuilder("kind " + kind).setSpanKind(kind).setParent(within)
          .addLink(root.getSpanContext(), ATTRIBUTES).startSpan();
      span.addEvent("event", ATTRIBUTES, Instant.ofEpochSecond(1_700_000_000, 123_456_789));
      span.setStatus(StatusCode.ERROR, "äß");
      span.recordException(new IllegalStateException("an exception"));
      span.end();
    }
    SpanContext remote = SpanContext.createFromRemoteParent("11112222333344445555666677778888", "1111222233334444",
        TraceFlags.getSampled(), TraceState.builder().put("vendor", "value").put("other", "1").build());
    tracer.spanBuilder("with a remote parent").setParent(Context.root().with(Span.wrap(remote))).startSpan().end();
    for (int i = 0; i < 600; ++i) {
      tracer.spanBuilder("one of many " + i).setParent(within).setAttribute("i", i).startSpan().end();
    }
    root.end();
  }

  static void metrics(SdkMeterProvider provider) {
    var meter = provider.meterBuilder("e2e.meter").setInstrumentationVersion("3.0").build();
    var counter = meter.counterBuilder("counter").setUnit("1").setDescription("äß€").build();
    var upDown = meter.upDownCounterBuilder("up_down").ofDoubles().build();
    var histogram = meter.histogramBuilder("explicit").setUnit("s")
        .setExplicitBucketBoundariesAdvice(List.of(0.1, 1.0, 10.0)).build();
    var exponential = meter.histogramBuilder("exponential").build();
    var gauge = meter.gaugeBuilder("gauge").ofLongs().build();
    for (int i = 0; i < 20; ++i) {
      Attributes some = Attributes.of(longKey("i"), (long) i % 3);
      counter.add(i, some);
      upDown.add(-i / 2.0, ATTRIBUTES);
      histogram.record(i * 0.7, some);
      exponential.record(Math.pow(1.7, i));
      gauge.set(i - 10);
    }
    meter.gaugeBuilder("observed").buildWithCallback(observer -> observer.record(2.5, ATTRIBUTES));
  }

  static void logs(SdkLoggerProvider provider) {
    var logger = provider.loggerBuilder("e2e.logger").setInstrumentationVersion("2.0").build();
    List<Value<?>> bodies = List.of(Value.of("text"), Value.of(""), Value.of(7), Value.of(1.5), Value.of(true),
        Value.of(new byte[] {0, -1, 1}), Value.of(List.of(Value.of("mixed"), Value.of(1), Value.of(List.of(Value.of(false))))),
        Value.of(Map.of("nested", Value.of(Map.of("deeper", Value.of("äß"))))));
    for (Value<?> body : bodies) {
      logger.logRecordBuilder().setBody(body).setSeverity(Severity.WARN).setSeverityText("WARN").setAllAttributes(ATTRIBUTES)
          .setTimestamp(Instant.ofEpochSecond(1_700_000_000, 5)).setObservedTimestamp(Instant.ofEpochSecond(1_700_000_001, 6))
          .emit();
    }
  }

  public static void main(String[] arguments) {
    boolean grpc = arguments[0].equals("grpc");
    String endpoint = grpc ? "http://" + arguments[1] : arguments[1];
    Resource resource = Resource.create(Attributes.of(stringKey("service.name"), "e2e-java",
        stringArrayKey("list"), List.of("x", "y")));
    SpanExporter spans = grpc ? OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).build()
        : OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").build();
    MetricExporter points = grpc ? OtlpGrpcMetricExporter.builder().setEndpoint(endpoint).build()
        : OtlpHttpMetricExporter.builder().setEndpoint(endpoint + "/v1/metrics").build();
    LogRecordExporter records = grpc ? OtlpGrpcLogRecordExporter.builder().setEndpoint(endpoint).build()
        : OtlpHttpLogRecordExporter.builder().setEndpoint(endpoint + "/v1/logs").build();

    var tracers = SdkTracerProvider.builder().setResource(resource)
        .addSpanProcessor(BatchSpanProcessor.builder(new Traces(spans)).build()).build();
    var meters = SdkMeterProvider.builder().setResource(resource)
        .registerView(InstrumentSelector.builder().setName("exponential").build(),
            View.builder().setAggregation(Aggregation.base2ExponentialBucketHistogram()).build())
        .registerMetricReader(PeriodicMetricReader.builder(new Metrics(points)).setInterval(Duration.ofHours(1)).build())
        .build();
    var loggers = SdkLoggerProvider.builder().setResource(resource)
        .addLogRecordProcessor(BatchLogRecordProcessor.builder(new Logs(records)).build()).build();

    traces(tracers);
    metrics(meters);
    logs(loggers);
    // Spans and log records in the order they were made; a provider's shutdown sends what is left.
    for (CompletableResultCode done : List.of(tracers.shutdown(), meters.shutdown(), loggers.shutdown())) {
      if (!done.join(30, TimeUnit.SECONDS).isSuccess()) failed = true;
    }
    System.exit(failed ? 1 : 0);
  }
}
