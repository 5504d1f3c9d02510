// The server against gRPC's own C++ client.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <future>
#include <iterator>
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
std::shared_ptr<grpc::Channel> Connect(
    const std::string& address,
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials()) {
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
                    std::chrono::milliseconds timeout = 60s,
                    grpc_compression_algorithm compression = GRPC_COMPRESS_NONE) {
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
  EXPECT_EQ(server.service.received[0].head.path_untrusted,
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  EXPECT_TRUE(server.service.received[0].head.is_grpc);
  EXPECT_EQ(server.service.received[0].body, spans.SerializeAsString());
  EXPECT_EQ(server.service.received[1].head.path_untrusted,
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
  EXPECT_EQ(server.service.received[2].head.path_untrusted,
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export");
}

// A request of about `bytes`.
trace::ExportTraceServiceRequest Large(size_t bytes) {
  trace::ExportTraceServiceRequest request;
  request.add_resource_spans()->set_schema_url(std::string(bytes, 'x'));
  return request;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(GrpcClient, SendsGzip) {
  ServerThread server;
  server.Start();
  const auto channel = Connect(server.address);
  ASSERT_TRUE(Export(*channel, Large(100'000), 60s, GRPC_COMPRESS_GZIP).ok());
  server.Stop();
  EXPECT_EQ(server.service.received.at(0).head.content_encoding_untrusted, "gzip");
  EXPECT_LT(server.service.received.at(0).body.size(), 10'000u);
}

TEST(GrpcClient, MakesTenThousandCallsOverOneConnection) {
  ServerThread server;
  server.service.keep_requests = false;
  server.Start();
  const auto channel = Connect(server.address);
  const auto stub = trace::TraceService::NewStub(channel);
  const trace::ExportTraceServiceRequest request = Spans(1);
  // A hundred at a time.
  struct Call {
    grpc::ClientContext context;
    trace::ExportTraceServiceResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<trace::ExportTraceServiceResponse>> reader;
  };
  grpc::CompletionQueue queue;
  int begun = 0, ok = 0;
  const auto begin = [&] {
    auto* call = new Call;
    call->reader = stub->AsyncExport(&call->context, request, &queue);
    call->reader->Finish(&call->response, &call->status, call);
    ++begun;
  };
  while (begun < 100) begin();
  for (int ended = 0; ended < 10'000; ++ended) {
    void* tag = nullptr;
    bool finished = false;
    ASSERT_TRUE(queue.Next(&tag, &finished));
    std::unique_ptr<Call> call(static_cast<Call*>(tag));
    ok += call->status.ok();
    if (begun < 10'000) begin();
  }
  server.Stop();
  EXPECT_EQ(ok, 10'000);
  EXPECT_EQ(server.service.requests, 10'000u);
  EXPECT_EQ(server.server->counters().accepted, 1u);
}

TEST(GrpcClient, MakesTenThousandCallsOverAThousandConnections) {
  rlimit files;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_cur < 5000) GTEST_SKIP() << "needs 5000 file descriptors";
  ServerThread server;
  server.service.keep_requests = false;
  server.Start();
  const trace::ExportTraceServiceRequest request = Spans(1);
  // Connected first, since Debian 13's gRPC now and then takes a connect() that is under way for a failed one and tries
  // again: its Abseil names the memory it allocates, and where the kernel has no names for memory, that sets errno.
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < 1000; ++i) {
    channels.push_back(Connect(server.address));
    ASSERT_TRUE(channels.back()->WaitForConnected(std::chrono::system_clock::now() + 60s));
  }
  uint64_t accepted = 0;
  server.Call([&] { accepted = server.server->counters().accepted; });
  int ok = 0;
  for (int round = 0; round < 10; ++round) {
    for (const auto& channel : channels) ok += Export(*channel, request).ok();
  }
  EXPECT_EQ(ok, 10'000);
  server.Stop();
  EXPECT_EQ(server.server->counters().accepted, accepted) << "a connection was lost";
  EXPECT_EQ(server.server->connections(), 1000u);
  EXPECT_EQ(server.budget.bytes(), 1000 * ServerConnection::kPlainBytes);
}

TEST(GrpcClient, SendsLargeMessagesUpToTheLimit) {
  ServerThread server;
  server.service.keep_requests = false;
  server.Start();
  const auto channel = Connect(server.address);
  EXPECT_TRUE(Export(*channel, Large(63 << 20)).ok());
  EXPECT_EQ(Export(*channel, Large(65 << 20)).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Export(*channel, Spans(1)).ok());
  server.Stop();
  EXPECT_EQ(server.service.requests, 2u);
  EXPECT_EQ(server.server->counters().accepted, 1u);
}

TEST(GrpcClient, IsToldOfItsDeadline) {
  ServerThread server({.tick = 1ms});
  server.service.keep_replies = true;
  server.Start();
  const auto channel = Connect(server.address);
  ASSERT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + 60s));
  EXPECT_EQ(Export(*channel, Spans(1), 50ms).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST(GrpcClient, IsToldWhenToRetry) {
  ServerThread server;
  server.service.rejection = HttpResponse{
      .status = 503, .grpc = GrpcStatus{.code = GrpcCode::kUnavailable, .message = "full", .retry_delay = 3s}};
  server.Start();
  const auto channel = Connect(server.address);
  // A body that has not all been sent when the answer comes, too.
  for (const auto& request : {Spans(1), Large(8 << 20)}) {
    const grpc::Status status = Export(*channel, request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(status.error_message(), "full");
    const std::optional<GrpcStatus> details = DecodeRpcStatus(base::AsBytes(status.error_details()));
    ASSERT_TRUE(details);
    EXPECT_EQ(details->retry_delay, 3s);
  }
}

TEST(GrpcClient, LosesNoCallToTheAgeOfConnections) {
  HttpServerOptions options;
  options.tick = 1ms;
  options.age_max = 10ms;
  ServerThread server(options);
  server.service.keep_requests = false;
  server.Start();
  const auto channel = Connect(server.address);
  const trace::ExportTraceServiceRequest request = Spans(1);
  int calls = 0, ok = 0;
  uint64_t aged = 0;
  while (aged < 5) {
    ++calls;
    ok += Export(*channel, request).ok();
    if (calls % 20 == 0) server.Call([&] { aged = server.server->counters().aged; });
  }
  EXPECT_EQ(ok, calls);
  server.Stop();
  EXPECT_GT(server.server->counters().accepted, 4u);
}

TEST(GrpcClient, SpeaksTls) {
  tests::CertificateAuthority authority;
  const base::TlsFiles files = authority.Issue("DNS:localhost,IP:127.0.0.1");
  ServerThread server({}, std::make_shared<base::TlsContext>(*base::TlsContext::Server(files, HttpServer::Alpn())));
  server.Start();
  grpc::SslCredentialsOptions trusting{.pem_root_certs = ReadFile(authority.ca_file())};
  const auto channel = Connect(server.address, grpc::SslCredentials(trusting));
  EXPECT_TRUE(Export(*channel, Spans(3)).ok());
  EXPECT_TRUE(Export(*channel, Large(20 << 20)).ok());

  tests::CertificateAuthority stranger;
  grpc::SslCredentialsOptions distrusting{.pem_root_certs = ReadFile(stranger.ca_file())};
  EXPECT_EQ(Export(*Connect(server.address, grpc::SslCredentials(distrusting)), Spans(1)).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Export(*Connect(server.address), Spans(1)).error_code(), grpc::StatusCode::UNAVAILABLE);  // plain text
  server.Stop();
  EXPECT_EQ(server.service.requests, 2u);
}

TEST(GrpcClient, ShowsACertificateWhereOneIsDemanded) {
  tests::CertificateAuthority authority;
  base::TlsFiles files = authority.Issue("DNS:localhost,IP:127.0.0.1");
  files.ca_file = authority.ca_file();
  ServerThread server({}, std::make_shared<base::TlsContext>(*base::TlsContext::Server(files, HttpServer::Alpn())));
  server.Start();
  grpc::SslCredentialsOptions anonymous{.pem_root_certs = ReadFile(authority.ca_file())};
  EXPECT_EQ(Export(*Connect(server.address, grpc::SslCredentials(anonymous)), Spans(1)).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  const base::TlsFiles client = authority.Issue("DNS:client");
  grpc::SslCredentialsOptions known{.pem_root_certs = ReadFile(authority.ca_file()),
                                    .pem_private_key = ReadFile(client.key_file),
                                    .pem_cert_chain = ReadFile(client.cert_file)};
  EXPECT_TRUE(Export(*Connect(server.address, grpc::SslCredentials(known)), Spans(1)).ok());
  server.Stop();
  EXPECT_EQ(server.service.requests, 1u);
}

}  // namespace
}  // namespace tributary::pipeline
