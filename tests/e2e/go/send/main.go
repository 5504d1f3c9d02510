// An application instrumented with the OpenTelemetry Go SDK: sends all three signals with PROTOCOL to ENDPOINT, and
// prints each request that an exporter made, as {"signal": ..., "request": protobuf in base64}.
//
//	send grpc|http/protobuf ENDPOINT
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

var telling sync.Mutex

func tell(signal string, request []byte) {
	telling.Lock()
	defer telling.Unlock()
	must(0, json.NewEncoder(os.Stdout).Encode(map[string]string{
		"signal": signal, "request": base64.StdEncoding.EncodeToString(request)}))
}

// tellingCalls tells what the gRPC exporters send.
func tellingCalls(signal string) grpc.DialOption {
	return grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any, c *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		tell(signal, must(proto.Marshal(request.(proto.Message))))
		return invoke(ctx, method, request, reply, c, options...)
	})
}

// tellingTransport tells what the HTTP exporters send.
type tellingTransport struct{ signal string }

func (t tellingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	body := must(request.GetBody())
	tell(t.signal, must(io.ReadAll(body)))
	return http.DefaultTransport.RoundTrip(request)
}

func exporters(ctx context.Context, protocol, endpoint string) (sdktrace.SpanExporter, sdkmetric.Exporter, sdklog.Exporter) {
	if protocol == "grpc" {
		return must[sdktrace.SpanExporter](otlptrace.New(ctx, otlptracegrpc.NewClient(otlptracegrpc.WithEndpoint(endpoint),
				otlptracegrpc.WithInsecure(), otlptracegrpc.WithDialOption(tellingCalls("traces"))))),
			must[sdkmetric.Exporter](otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(endpoint),
				otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithDialOption(tellingCalls("metrics")))),
			must[sdklog.Exporter](otlploggrpc.New(ctx, otlploggrpc.WithEndpoint(endpoint),
				otlploggrpc.WithInsecure(), otlploggrpc.WithDialOption(tellingCalls("logs"))))
	}
	client := func(signal string) *http.Client { return &http.Client{Transport: tellingTransport{signal}} }
	return must[sdktrace.SpanExporter](otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"),
			otlptracehttp.WithHTTPClient(client("traces")))),
		must[sdkmetric.Exporter](otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint+"/v1/metrics"),
			otlpmetrichttp.WithHTTPClient(client("metrics")))),
		must[sdklog.Exporter](otlploghttp.New(ctx, otlploghttp.WithEndpointURL(endpoint+"/v1/logs"),
			otlploghttp.WithHTTPClient(client("logs"))))
}

var attributes = []attribute.KeyValue{
	attribute.String("string", "äß€𝄞"), attribute.String("empty", ""), attribute.Bool("yes", true),
	attribute.Bool("no", false), attribute.Int64("least", math.MinInt64), attribute.Int64("most", math.MaxInt64),
	attribute.Float64("double", 0.1), attribute.Float64("infinity", math.Inf(1)),
	attribute.StringSlice("strings", []string{"a", ""}), attribute.Int64Slice("ints", []int64{1, -1}),
	attribute.Float64Slice("doubles", []float64{0.5, 1.5}), attribute.BoolSlice("bools", []bool{true, false}),
}

func traces(ctx context.Context, provider trace.TracerProvider) {
	tracer := provider.Tracer("e2e.tracer", trace.WithInstrumentationVersion("1.2.3"),
		trace.WithSchemaURL("https://example.org/schema"))
	within, root := tracer.Start(ctx, "root", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	for _, kind := range []trace.SpanKind{trace.SpanKindInternal, trace.SpanKindClient, trace.SpanKindProducer,
		trace.SpanKindConsumer} {
		_, span := tracer.Start(within, "kind "+kind.String(), trace.WithSpanKind(kind),
			trace.WithLinks(trace.Link{SpanContext: root.SpanContext(), Attributes: attributes}))
		span.AddEvent("event", trace.WithAttributes(attributes...), trace.WithTimestamp(time.Unix(1_700_000_000, 123_456_789)))
		span.SetStatus(codes.Error, "äß")
		span.RecordError(errors.New("an error"))
		span.End()
	}
	state := must(trace.ParseTraceState("vendor=value,other=1"))
	remote := trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled, TraceState: state,
		Remote: true}))
	_, child := tracer.Start(remote, "with a remote parent")
	child.End()
	for i := range 600 {
		_, span := tracer.Start(within, fmt.Sprint("one of many ", i), trace.WithAttributes(attribute.Int("i", i)))
		span.End()
	}
	root.End()
}

func metrics(ctx context.Context, provider metric.MeterProvider) {
	meter := provider.Meter("e2e.meter", metric.WithInstrumentationVersion("3.0"))
	counter := must(meter.Int64Counter("counter", metric.WithUnit("1"), metric.WithDescription("äß€")))
	upDown := must(meter.Float64UpDownCounter("up_down"))
	histogram := must(meter.Float64Histogram("explicit", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.1, 1, 10)))
	exponential := must(meter.Float64Histogram("exponential"))
	gauge := must(meter.Int64Gauge("gauge"))
	for i := range 20 {
		some := metric.WithAttributes(attribute.Int("i", i%3))
		counter.Add(ctx, int64(i), some)
		upDown.Add(ctx, -float64(i)/2, metric.WithAttributes(attributes...))
		histogram.Record(ctx, float64(i)*0.7, some)
		exponential.Record(ctx, math.Pow(1.7, float64(i)))
		gauge.Record(ctx, int64(i)-10)
	}
	must(meter.Float64ObservableGauge("observed", metric.WithFloat64Callback(
		func(_ context.Context, observer metric.Float64Observer) error {
			observer.Observe(2.5, metric.WithAttributes(attributes...))
			return nil
		})))
}

func logs(ctx context.Context, provider otellog.LoggerProvider) {
	logger := provider.Logger("e2e.logger", otellog.WithInstrumentationVersion("2.0"))
	for _, body := range []attribute.Value{attribute.StringValue("text"), attribute.StringValue(""), attribute.Int64Value(7),
		attribute.Float64Value(1.5), attribute.BoolValue(true), attribute.ByteSliceValue([]byte{0, 255, 1}),
		attribute.SliceValue(attribute.StringValue("mixed"), attribute.SliceValue(attribute.BoolValue(false))),
		attribute.MapValue(attribute.Map("nested", attribute.String("deeper", "äß")))} {
		var record otellog.Record
		record.SetBody(body)
		record.SetSeverity(otellog.SeverityWarn)
		record.SetSeverityText("WARN")
		record.SetTimestamp(time.Unix(1_700_000_000, 5))
		record.SetObservedTimestamp(time.Unix(1_700_000_001, 6))
		record.SetEventName("an.event")
		record.AddAttributes(attributes...)
		record.AddAttributes(attribute.ByteSlice("bytes", []byte{1, 2}))
		logger.Emit(ctx, record)
	}
}

func main() {
	protocol, endpoint := os.Args[1], strings.TrimSuffix(os.Args[2], "/")
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Fatal(err) }))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	spans, points, records := exporters(ctx, protocol, endpoint)
	about := resource.NewSchemaless(attribute.String("service.name", "e2e-go"), attribute.StringSlice("list", []string{"x", "y"}))

	tracers := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(spans))
	exponential := sdkmetric.NewView(sdkmetric.Instrument{Name: "exponential"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}})
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithView(exponential),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points, sdkmetric.WithInterval(time.Hour))))
	loggers := sdklog.NewLoggerProvider(sdklog.WithResource(about), sdklog.WithProcessor(sdklog.NewBatchProcessor(records)))

	traces(ctx, tracers)
	metrics(ctx, meters)
	logs(ctx, loggers)
	for _, shutdown := range []func(context.Context) error{tracers.Shutdown, meters.Shutdown, loggers.Shutdown} {
		must(0, shutdown(ctx))
	}
}
