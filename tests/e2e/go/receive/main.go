// A backend on grpc-go: takes OTLP/gRPC on a port of its own and tells each request on a line of JSON: {"signal",
// "request": protobuf in base64, "peer", "ms": when}, and what it refused as {"refused": signal, "ms": when}. It refuses the first REFUSALS
// requests, asking to wait 300 ms, and has connections end after MAX_AGE_MS (0: never). A line on its standard input
// makes it stop in order and start again on the same port, told as {"listening": port}; it ends when that input does.
//
//	receive REFUSALS MAX_AGE_MS
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracespb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

var begin = time.Now()

type backend struct {
	mutex    sync.Mutex
	refusals int
}

func tell(what map[string]any) { must(0, json.NewEncoder(os.Stdout).Encode(what)) }

func (b *backend) take(ctx context.Context, signal string, request proto.Message) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.refusals > 0 {
		b.refusals--
		tell(map[string]any{"refused": signal, "ms": time.Since(begin).Milliseconds()})
		wait := &errdetails.RetryInfo{RetryDelay: durationpb.New(300 * time.Millisecond)}
		return must(status.New(codes.Unavailable, "not now").WithDetails(wait)).Err()
	}
	from, _ := peer.FromContext(ctx)
	tell(map[string]any{"signal": signal, "peer": from.Addr.String(), "ms": time.Since(begin).Milliseconds(),
		"request": base64.StdEncoding.EncodeToString(must(proto.Marshal(request)))})
	return nil
}

type traces struct {
	tracespb.UnimplementedTraceServiceServer
	*backend
}

func (s traces) Export(ctx context.Context, r *tracespb.ExportTraceServiceRequest) (*tracespb.ExportTraceServiceResponse, error) {
	return &tracespb.ExportTraceServiceResponse{}, s.take(ctx, "traces", r)
}

type metrics struct {
	metricspb.UnimplementedMetricsServiceServer
	*backend
}

func (s metrics) Export(ctx context.Context, r *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	return &metricspb.ExportMetricsServiceResponse{}, s.take(ctx, "metrics", r)
}

type logs struct {
	logspb.UnimplementedLogsServiceServer
	*backend
}

func (s logs) Export(ctx context.Context, r *logspb.ExportLogsServiceRequest) (*logspb.ExportLogsServiceResponse, error) {
	return &logspb.ExportLogsServiceResponse{}, s.take(ctx, "logs", r)
}

func start(b *backend, port int, maxAge time.Duration) (*grpc.Server, int) {
	listener := must(net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)))
	server := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: maxAge}))
	tracespb.RegisterTraceServiceServer(server, traces{backend: b})
	metricspb.RegisterMetricsServiceServer(server, metrics{backend: b})
	logspb.RegisterLogsServiceServer(server, logs{backend: b})
	go func() { must(0, server.Serve(listener)) }()
	port = listener.Addr().(*net.TCPAddr).Port
	b.mutex.Lock()
	defer b.mutex.Unlock()
	tell(map[string]any{"listening": port})
	return server, port
}

func main() {
	b := &backend{refusals: must(strconv.Atoi(os.Args[1]))}
	maxAge := time.Duration(must(strconv.Atoi(os.Args[2]))) * time.Millisecond
	server, port := start(b, 0, maxAge)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		server.GracefulStop()
		server, port = start(b, port, maxAge)
	}
	server.Stop()
}
