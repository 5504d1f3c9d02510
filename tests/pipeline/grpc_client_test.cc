// The server against gRPC's own C++ client.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.grpc.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.grpc.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "pipeline/http_server.h"
#include "tests/base/certificates.h"
#include "tests/pipeline/test_service.h"

namespace tributary::pipeline {
namespace {

namespace trace = opentelemetry::proto::collector::trace::v1;
namespace metrics = opentelemetry::proto::collector::metrics::v1;
namespace logs = opentelemetry::proto::collector::logs::v1;
using namespace std::chrono_literals;

// A server on a loop thread of its own. The service belongs to that thread while it runs.
class ServerThread {
 public:
  explicit ServerThread(HttpServerOptions options = {}, std::shared_ptr<const base::TlsContext> tls = nullptr,
                        size_t budget_bytes = 256 << 20)
      : budget(budget_bytes) {
    server = std::make_unique<HttpServer>(loop, budget, service, options);
    const base::Result<base::Address> bound = server->Listen(*base::Address::Parse("127.0.0.1:0"), std::move(tls));
    EXPECT_TRUE(bound) << bound.error().message;
    address = bound->ToString();
  }
  ~ServerThread() { Stop(); }

  void Start() {
    thread_ = std::thread([this] { loop.Run(); });
  }
  void Stop() {
    if (!thread_.joinable()) return;
    loop.Stop();
    thread_.join();
  }
  // Runs `task` on the loop's thread and waits for it.
  void Call(std::move_only_function<void()> task) {
    std::promise<void> done;
    loop.Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  base::Loop loop;
  base::Budget budget;
  tests::TestService service;
  std::unique_ptr<HttpServer> server;
  std::string address;

 private:
  std::thread thread_;
};

// A channel with a connection of its own.
std::shared_ptr<grpc::Channel> Connect(const std::string& address,
                                       std::shared_ptr<grpc::ChannelCredentials> credentials =
                                           grpc::InsecureChannelCredentials()) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

trace::ExportTraceServiceRequest Spans(int spans) {
  trace::ExportTraceServiceRequest request;
  auto* scope_spans = request.add_resource_spans()->add_scope_spans();
  for (int i = 0; i < spans; ++i) {
    auto* span = scope_spans->add_spans();
    span->set_name("span " + std::to_string(i));
    span->set_trace_id(std::string(16, 'x'));
  }
  return request;
}

grpc::Status Export(grpc::Channel& channel, const trace::ExportTraceServiceRequest& request,
                    std::chrono::milliseconds timeout = 60s, grpc_compression_algorithm compression = GRPC_COMPRESS_NONE) {
  const auto stub = trace::TraceService::NewStub(std::shared_ptr<grpc::Channel>(&channel, [](grpc::Channel*) {}));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  context.set_compression_algorithm(compression);
  trace::ExportTraceServiceResponse response;
  return stub->Export(&context, request, &response);
}

TEST(GrpcClient, CallsAllThreeServices) {
  ServerThread server;
  server.Start();
  const auto channel = Connect(server.address);
  const trace::ExportTraceServiceRequest spans = Spans(3);
  ASSERT_TRUE(Export(*channel, spans).ok());
  {
    grpc::ClientContext context;
    metrics::ExportMetricsServiceResponse response;
    ASSERT_TRUE(metrics::MetricsService::NewStub(channel)->Export(&context, {}, &response).ok());
  }
  {
    grpc::ClientContext context;
    logs::ExportLogsServiceResponse response;
    ASSERT_TRUE(logs::LogsService::NewStub(channel)->Export(&context, {}, &response).ok());
  }
  server.Stop();
  ASSERT_EQ(server.service.received.size(), 3u);
  EXPECT_EQ(server.service.received[0].head.path_untrusted, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  EXPECT_TRUE(server.service.received[0].head.is_grpc);
  EXPECT_EQ(server.service.received[0].body, spans.SerializeAsString());
  EXPECT_EQ(server.service.received[1].head.path_untrusted,
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
  EXPECT_EQ(server.service.received[2].head.path_untrusted, "/opentelemetry.proto.collector.logs.v1.LogsService/Export");
}

}  // namespace
}  // namespace tributary::pipeline
