// A backend on grpc-java: takes OTLP/gRPC on a port of its own and tells each request on a line of JSON: {"signal",
// "request": protobuf in base64, "peer", "ms": when}, and what it refused as {"refused": signal, "ms": when}. It refuses the
// first REFUSALS requests, asking to wait 300 ms, and has connections end after MAX_AGE_MS (0: never). A line on its standard
// input makes it stop in order and start again on the same port, told as {"listening": port}; it ends when that input does.
//   java Receive REFUSALS MAX_AGE_MS

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.rpc.Code;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.*;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import io.opentelemetry.proto.collector.logs.v1.*;
import io.opentelemetry.proto.collector.metrics.v1.*;
import io.opentelemetry.proto.collector.trace.v1.*;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.util.Base64;
import java.util.concurrent.TimeUnit;

public class Receive {
  static final io.grpc.Context.Key<String> PEER = io.grpc.Context.key("peer");
  static int refusals;

  // The peer's address, for the services.
  static final ServerInterceptor NOTING_THE_PEER = new ServerInterceptor() {
    public <Q, A> ServerCall.Listener<Q> interceptCall(ServerCall<Q, A> call, Metadata head, ServerCallHandler<Q, A> next) {
      String peer = String.valueOf(call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR));
      return Contexts.interceptCall(io.grpc.Context.current().withValue(PEER, peer), call, head, next);
    }
  };

  static synchronized <A> void take(String signal, Message request, A answer, StreamObserver<A> reply) {
    long ms = System.nanoTime() / 1_000_000;
    if (refusals > 0) {
      --refusals;
      System.out.printf("{\"refused\": \"%s\", \"ms\": %d}%n", signal, ms);
      var delay = com.google.protobuf.Duration.newBuilder().setNanos(300_000_000);
      reply.onError(StatusProto.toStatusException(Status.newBuilder().setCode(Code.UNAVAILABLE_VALUE).setMessage("not now")
          .addDetails(Any.pack(RetryInfo.newBuilder().setRetryDelay(delay).build())).build()));
      return;
    }
    System.out.printf("{\"signal\": \"%s\", \"peer\": \"%s\", \"ms\": %d, \"request\": \"%s\"}%n", signal, PEER.get(), ms,
        Base64.getEncoder().encodeToString(request.toByteArray()));
    reply.onNext(answer);
    reply.onCompleted();
  }

  static class Traces extends TraceServiceGrpc.TraceServiceImplBase {
    public void export(ExportTraceServiceRequest request, StreamObserver<ExportTraceServiceResponse> reply) {
      take("traces", request, ExportTraceServiceResponse.getDefaultInstance(), reply);
    }
  }

  static class Metrics extends MetricsServiceGrpc.MetricsServiceImplBase {
    public void export(ExportMetricsServiceRequest request, StreamObserver<ExportMetricsServiceResponse> reply) {
      take("metrics", request, ExportMetricsServiceResponse.getDefaultInstance(), reply);
    }
  }

  static class Logs extends LogsServiceGrpc.LogsServiceImplBase {
    public void export(ExportLogsServiceRequest request, StreamObserver<ExportLogsServiceResponse> reply) {
      take("logs", request, ExportLogsServiceResponse.getDefaultInstance(), reply);
    }
  }

  static Server start(int port, int maxAgeMs) throws IOException {
    var builder = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port)).intercept(NOTING_THE_PEER)
        .addService(new Traces()).addService(new Metrics()).addService(new Logs());
    if (maxAgeMs > 0) builder.maxConnectionAge(maxAgeMs, TimeUnit.MILLISECONDS);
    Server server = builder.build().start();
    synchronized (Receive.class) {
      System.out.printf("{\"listening\": %d}%n", server.getPort());
    }
    return server;
  }

  public static void main(String[] arguments) throws Exception {
    refusals = Integer.parseInt(arguments[0]);
    int maxAgeMs = Integer.parseInt(arguments[1]);
    Server server = start(0, maxAgeMs);
    int port = server.getPort();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    while (lines.readLine() != null) {
      server.shutdown().awaitTermination();
      server = start(port, maxAgeMs);
    }
    server.shutdownNow();
  }
}
