// OtlpClient against gRPC's own C++ server.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.grpc.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.grpc.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "pipeline/http_server.h"
#include "tests/base/certificates.h"
#include "tests/base/dns_server.h"
#include "tests/pipeline/client_fixture.h"
#include "tests/pipeline/test_service.h"

namespace tributary::pipeline {
namespace {

using otlp::Signal;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using Kind = Outcome::Kind;

namespace collector = opentelemetry::proto::collector;
using TraceRequest = collector::trace::v1::ExportTraceServiceRequest;
using TraceResponse = collector::trace::v1::ExportTraceServiceResponse;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return (std::ostringstream() << file.rdbuf()).str();
}

// The three OTLP services; traces are answered as the test says.
class ReferenceServer {
 public:
  using Answer = std::function<grpc::Status(grpc::ServerContext&, const TraceRequest&, TraceResponse&)>;

  explicit ReferenceServer(Answer answer = nullptr) : traces_(*this), answer_(std::move(answer)) {}
  ~ReferenceServer() { Stop(); }

  void Start(std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials()) {
    Start([](grpc::ServerBuilder&) {}, std::move(credentials));
  }
  void Start(const std::function<void(grpc::ServerBuilder&)>& configure,
             std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port_), credentials, &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(&traces_);
    builder.RegisterService(&metrics_);
    builder.RegisterService(&logs_);
    configure(builder);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void Stop() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + milliseconds(50));
    server_.reset();
  }

  int port() const { return port_; }
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }

  // What came, so far: requests byte for byte, and the last one's metadata.
  struct Received {
    std::vector<std::string> traces, metrics, logs;
    std::set<std::string> peers;
    std::multimap<std::string, std::string> metadata;
  };
  Received received() {
    std::lock_guard lock(mutex_);
    return received_;
  }
  size_t peers() {
    std::lock_guard lock(mutex_);
    return received_.peers.size();
  }

 private:
  void Note(const grpc::ServerContext& context, std::vector<std::string> Received::* requests, std::string request) {
    std::lock_guard lock(mutex_);
    received_.peers.insert(context.peer());
    received_.metadata.clear();
    for (const auto& [name, value] : context.client_metadata()) {
      received_.metadata.emplace(std::string(name.begin(), name.end()), std::string(value.begin(), value.end()));
    }
    (received_.*requests).push_back(std::move(request));
  }

  struct Traces : collector::trace::v1::TraceService::Service {
    explicit Traces(ReferenceServer& s) : server(s) {}
    grpc::Status Export(grpc::ServerContext* context, const TraceRequest* request, TraceResponse* response) override {
      server.Note(*context, &Received::traces, request->SerializeAsString());
      return server.answer_ ? server.answer_(*context, *request, *response) : grpc::Status::OK;
    }
    ReferenceServer& server;
  };
  struct Metrics : collector::metrics::v1::MetricsService::Service {
    explicit Metrics(ReferenceServer& s) : server(s) {}
    grpc::Status Export(grpc::ServerContext* context,
                        const collector::metrics::v1::ExportMetricsServiceRequest* request,
                        collector::metrics::v1::ExportMetricsServiceResponse*) override {
      server.Note(*context, &Received::metrics, request->SerializeAsString());
      return grpc::Status::OK;
    }
    ReferenceServer& server;
  };
  struct Logs : collector::logs::v1::LogsService::Service {
    explicit Logs(ReferenceServer& s) : server(s) {}
    grpc::Status Export(grpc::ServerContext* context, const collector::logs::v1::ExportLogsServiceRequest* request,
                        collector::logs::v1::ExportLogsServiceResponse* response) override {
      server.Note(*context, &Received::logs, request->SerializeAsString());
      response->mutable_partial_success()->set_rejected_log_records(2);
      response->mutable_partial_success()->set_error_message("two are too old");
      return grpc::Status::OK;
    }
    ReferenceServer& server;
  };

  std::mutex mutex_;
  Received received_;  // guarded by mutex_
  Traces traces_;
  Metrics metrics_{*this};
  Logs logs_{*this};
  Answer answer_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A request of about `bytes` with one span.
std::string Traces(size_t bytes = 100) {
  TraceRequest request;
  auto* span = request.add_resource_spans()->add_scope_spans()->add_spans();
  span->set_name(std::string(bytes, 's'));
  return request.SerializeAsString();
}

class OtlpGrpcClient : public tests::ClientFixture {
 protected:
  std::unique_ptr<OtlpClient> ConnectTo(const ReferenceServer& server) {
    return Connect({.endpoints = {"http://" + server.endpoint()}});
  }
};

TEST_F(OtlpGrpcClient, DeliversEverySignalByteForByte) {
  ReferenceServer server;
  server.Start();
  auto client = Connect({.endpoints = {server.endpoint()}, .headers = {{"X-Tenant", "acme"}}});
  collector::metrics::v1::ExportMetricsServiceRequest metrics;
  metrics.add_resource_metrics()->add_scope_metrics()->add_metrics()->set_name("requests");
  collector::logs::v1::ExportLogsServiceRequest logs;
  logs.add_resource_logs()->add_scope_logs()->add_log_records()->mutable_body()->set_string_value("hello");
  EXPECT_EQ(Exchange(*client, Traces(), Signal::kTraces).kind, Kind::kDelivered);
  EXPECT_EQ(Exchange(*client, metrics.SerializeAsString(), Signal::kMetrics).kind, Kind::kDelivered);
  const Outcome partial = Exchange(*client, logs.SerializeAsString(), Signal::kLogs);
  EXPECT_EQ(partial.kind, Kind::kDelivered);
  EXPECT_EQ(partial.rejected_items, 2u);
  EXPECT_THAT(partial.detail, HasSubstr("two are too old"));
  const auto received = server.received();
  EXPECT_THAT(received.traces, testing::ElementsAre(Traces()));
  EXPECT_THAT(received.metrics, testing::ElementsAre(metrics.SerializeAsString()));
  EXPECT_THAT(received.logs, testing::ElementsAre(logs.SerializeAsString()));
  EXPECT_EQ(received.metadata.find("x-tenant")->second, "acme");
  EXPECT_EQ(received.metadata.find("user-agent")->second, "tributary/0.1.0");
}

TEST_F(OtlpGrpcClient, TellsEveryStatus) {
  std::atomic<int> code = 0;
  ReferenceServer server([&](grpc::ServerContext&, const TraceRequest&, TraceResponse&) {
    return grpc::Status(static_cast<grpc::StatusCode>(code.load()), "wörds %41");
  });
  server.Start();
  auto client = ConnectTo(server);
  for (code = 1; code <= 16; ++code) {
    const Outcome outcome = Exchange(*client, Traces());
    const bool retry = std::set<int>{1, 4, 10, 11, 14, 15}.contains(code);
    EXPECT_EQ(outcome.kind, retry ? Kind::kRetry : Kind::kRefused) << code;
    EXPECT_THAT(outcome.detail, HasSubstr("w  rds %41"));
  }
  EXPECT_THAT(Metrics(*client),
              AllOf(HasSubstr("tributary_client_requests_total{destination=\"test\",result=\"retry\"} 6"),
                    HasSubstr("tributary_client_connections{destination=\"test\"} 1")));
}

TEST_F(OtlpGrpcClient, ObeysRetryInfo) {
  ReferenceServer server([](grpc::ServerContext&, const TraceRequest&, TraceResponse&) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_nanos(250'000'000);
    google::rpc::Status status;
    status.set_code(grpc::RESOURCE_EXHAUSTED);
    status.add_details()->PackFrom(info);
    return grpc::Status(grpc::RESOURCE_EXHAUSTED, "slow down", status.SerializeAsString());
  });
  server.Start();
  auto client = ConnectTo(server);
  const Outcome outcome = Exchange(*client, Traces());
  EXPECT_EQ(outcome.kind, Kind::kRetry);
  EXPECT_EQ(outcome.reason, Reason::kThrottled);
  EXPECT_EQ(outcome.retry_after, milliseconds(250));
}

TEST_F(OtlpGrpcClient, CompressesWithGzip) {
  ReferenceServer server;
  server.Start();
  auto client = Connect({.endpoints = {server.endpoint()}, .compression = Encoding::kGzip});
  EXPECT_EQ(Exchange(*client, Traces(1 << 20)).kind, Kind::kDelivered);
  EXPECT_EQ(server.received().traces.at(0), Traces(1 << 20));
  EXPECT_THAT(Metrics(*client), testing::ContainsRegex("sent_bytes_total\\{destination=\"test\"\\} [0-9]{4}\n"));
}

TEST_F(OtlpGrpcClient, IsRefusedWhereItsCompressionIsUnknown) {
  ReferenceServer server;
  server.Start();
  auto client = Connect({.endpoints = {server.endpoint()}, .compression = Encoding::kZstd});
  EXPECT_EQ(Exchange(*client, Traces()).kind, Kind::kRefused);  // UNIMPLEMENTED, or INTERNAL by old versions
}

TEST_F(OtlpGrpcClient, IsToldThatARequestIsTooLarge) {
  ReferenceServer server;
  server.Start();  // takes 4 MiB
  auto client = Connect({.endpoints = {server.endpoint()}, .request_bytes_max = 6 << 20});
  const Outcome by_server = Exchange(*client, Traces(5 << 20));
  EXPECT_EQ(by_server.kind, Kind::kRefused);
  EXPECT_EQ(by_server.reason, Reason::kTooLarge);
  const Outcome by_client = Exchange(*client, Traces(7 << 20));
  EXPECT_EQ(by_client.kind, Kind::kRefused);
  EXPECT_EQ(by_client.reason, Reason::kTooLarge);
  EXPECT_EQ(Exchange(*client, Traces(3 << 20)).kind, Kind::kDelivered);
}

TEST_F(OtlpGrpcClient, SendsTenThousandRequestsOverOneConnection) {
  ReferenceServer server;
  server.Start();
  auto client = ConnectTo(server);
  size_t sent = 0, delivered = 0;
  std::function<void()> post = [&] {
    ++sent;
    Post(*client, Signal::kTraces, Traces(sent % 5000), [&](Outcome outcome) {
      delivered += outcome.kind == Kind::kDelivered;
      if (sent < 10'000) post();
    });
  };
  for (int i = 0; i < 32; ++i) post();
  RunUntil([&] { return delivered >= 10'000; });
  EXPECT_EQ(server.received().traces.size(), 10'000u);
  EXPECT_EQ(server.peers(), 1u);
}

TEST_F(OtlpGrpcClient, KeepsToTheStreamsThePeerAllows) {
  std::atomic<int> now = 0, most = 0;
  ReferenceServer server([&](grpc::ServerContext&, const TraceRequest&, TraceResponse&) {
    const int here = ++now;
    for (int seen = most; here > seen && !most.compare_exchange_weak(seen, here);) continue;
    std::this_thread::yield();
    --now;
    return grpc::Status::OK;
  });
  server.Start([](grpc::ServerBuilder& builder) { builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 2); });
  auto client = ConnectTo(server);
  for (int i = 0; i < 200; ++i) Post(*client, Traces(1000));
  RunUntilOutcomes(200);
  for (const Outcome& outcome : outcomes_) EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.detail;
  EXPECT_LE(most, 2);
  EXPECT_EQ(server.peers(), 1u);
}

TEST_F(OtlpGrpcClient, TakesBackARequestThatIsNotAnsweredInTime) {
  std::atomic<bool> was_cancelled = false;
  ReferenceServer server([&](grpc::ServerContext& context, const TraceRequest& request, TraceResponse&) {
    const bool is_slow = request.resource_spans(0).scope_spans(0).spans(0).name().size() == 100;
    while (is_slow && !context.IsCancelled()) std::this_thread::sleep_for(milliseconds(1));
    was_cancelled = was_cancelled || context.IsCancelled();
    return grpc::Status::OK;
  });
  server.Start();
  auto client = Connect({.endpoints = {server.endpoint()}, .timeout = milliseconds(100)});
  const Outcome outcome = Exchange(*client, Traces(100));
  EXPECT_EQ(outcome.kind, Kind::kRetry);
  // Whose clock is faster: either the client's deadline or the server's, which the client told.
  EXPECT_THAT(outcome.reason, testing::AnyOf(Reason::kTimeout, Reason::kUnavailable)) << outcome.detail;
  RunUntil([&] { return was_cancelled.load(); });
  EXPECT_EQ(Exchange(*client, Traces(99)).kind, Kind::kDelivered);
  EXPECT_EQ(server.peers(), 1u);
}

TEST_F(OtlpGrpcClient, LosesAndDoublesNoOutcomeWhileTheServerRestarts) {
  ReferenceServer server;
  server.Start();
  auto client = ConnectTo(server);
  std::atomic<bool> over = false;
  std::thread operations([&] {
    for (int i = 0; i < 10; ++i) {
      std::this_thread::sleep_for(milliseconds(20));  // a server's life, not a synchronisation
      server.Stop();
      server.Start();
    }
    over = true;
  });
  size_t under_way = 0, delivered = 0, retried = 0, refused = 0;
  std::string last_refusal;
  std::function<void()> post = [&] {
    ++under_way;
    Post(*client, Signal::kTraces, Traces(20'000), [&](Outcome outcome) {
      --under_way;
      delivered += outcome.kind == Kind::kDelivered;
      retried += outcome.kind == Kind::kRetry;
      if (outcome.kind == Kind::kRefused) ++refused, last_refusal = outcome.detail;
      if (!over) post();
    });
  };
  for (int i = 0; i < 8; ++i) post();
  RunUntil([&] { return under_way == 0; });
  operations.join();
  EXPECT_EQ(refused, 0u) << last_refusal;
  EXPECT_GT(delivered, 0u);
  EXPECT_LE(delivered, server.received().traces.size());
  EXPECT_EQ(Exchange(*client, Traces()).kind, Kind::kDelivered);
  EXPECT_GT(server.peers(), 1u);
}

TEST_F(OtlpGrpcClient, MovesOnWithoutARetryWhenConnectionsReachTheirAge) {
  ReferenceServer server;
  server.Start([](grpc::ServerBuilder& builder) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 20);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 10'000);
  });
  auto client = ConnectTo(server);
  size_t under_way = 0;
  std::vector<Outcome> failed;
  std::function<void()> post = [&] {
    ++under_way;
    Post(*client, Signal::kTraces, Traces(10'000), [&](Outcome outcome) {
      --under_way;
      if (outcome.kind != Kind::kDelivered) failed.push_back(outcome);
      if (server.peers() < 10) post();
    });
  };
  for (int i = 0; i < 8; ++i) post();
  RunUntil([&] { return under_way == 0; });
  EXPECT_TRUE(failed.empty()) << failed[0].detail;
}

TEST_F(OtlpGrpcClient, TellsARetryableOutcomeWhenItIsDestroyedFirst) {
  std::atomic<bool> release = false;
  ReferenceServer server([&](grpc::ServerContext&, const TraceRequest&, TraceResponse&) {
    release.wait(false);
    return grpc::Status::OK;
  });
  server.Start();
  auto client = ConnectTo(server);
  for (int i = 0; i < 5; ++i) Post(*client, Traces(100'000));
  RunUntil([&] { return server.peers() > 0; });
  client.reset();
  ASSERT_EQ(outcomes_.size(), 5u);
  for (const Outcome& outcome : outcomes_) EXPECT_EQ(outcome.kind, Kind::kRetry);
  release = true;
  release.notify_all();
}

TEST_F(OtlpGrpcClient, MayBeDestroyedByWhoeverIsToldAnOutcome) {
  ReferenceServer server;
  server.Start();
  auto client = ConnectTo(server);
  int told = 0;
  for (int i = 0; i < 3; ++i) {
    Post(*client, Signal::kTraces, Traces(), [&](Outcome) {
      ++told;
      client.reset();
    });
  }
  RunUntil([&] { return told == 3; });
}

TEST_F(OtlpGrpcClient, SaysWhyNobodyCanBeReached) {
  ReferenceServer server;
  server.Start();
  const std::string endpoint = server.endpoint();
  server.Stop();
  auto client = Connect({.endpoints = {endpoint}});
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Exchange(*client, Traces());
    EXPECT_EQ(outcome.kind, Kind::kRetry);
    EXPECT_EQ(outcome.reason, Reason::kConnect);
    EXPECT_THAT(outcome.detail, AllOf(HasSubstr(endpoint), HasSubstr("Connection refused")));
  }
  server.Start();
  EXPECT_EQ(Exchange(*client, Traces()).kind, Kind::kDelivered);
}

TEST_F(OtlpGrpcClient, UsesEveryAddressOfAName) {
  ReferenceServer server;
  server.Start();  // on 127.0.0.1 only
  tests::DnsServer dns(loop_);
  dns.names["gateway.test"] = {"127.0.0.1", "127.0.0.2"};
  auto client = Connect({.endpoints = {fmt::format("gateway.test:{}", server.port())}, .dns_servers = dns.address()});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Exchange(*client, Traces()).kind, Kind::kDelivered);
  EXPECT_THAT(Metrics(*client),
              AllOf(HasSubstr("tributary_client_addresses{destination=\"test\"} 2"),
                    HasSubstr("tributary_client_connections{destination=\"test\"} 1"),
                    testing::ContainsRegex("connection_failures_total\\{destination=\"test\"\\} [1-9]")));
}

TEST_F(OtlpGrpcClient, SharesRequestsAmongEndpoints) {
  ReferenceServer one, two;
  one.Start();
  two.Start();
  auto client = Connect({.endpoints = {one.endpoint(), two.endpoint()}});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Exchange(*client, Traces()).kind, Kind::kDelivered);
  EXPECT_GT(one.received().traces.size(), 5u);
  EXPECT_GT(two.received().traces.size(), 5u);
  EXPECT_EQ(one.received().traces.size() + two.received().traces.size(), 50u);
}

TEST_F(OtlpGrpcClient, TellsThatANameDoesNotExist) {
  tests::DnsServer dns(loop_);
  auto client = Connect({.endpoints = {"nowhere.test:4317"}, .dns_servers = dns.address()});
  const Outcome outcome = Exchange(*client, Traces());
  EXPECT_EQ(outcome.reason, Reason::kConnect);
  EXPECT_THAT(outcome.detail, HasSubstr("resolve nowhere.test"));
}

class OtlpGrpcClientWithTls : public OtlpGrpcClient {
 protected:
  static std::shared_ptr<grpc::ServerCredentials> Credentials(const base::TlsFiles& files,
                                                              const std::string& client_ca = "") {
    grpc::SslServerCredentialsOptions options(client_ca.empty()
                                                  ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                                  : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_key_cert_pairs.push_back({ReadFile(files.key_file), ReadFile(files.cert_file)});
    if (!client_ca.empty()) options.pem_root_certs = ReadFile(client_ca);
    return grpc::SslServerCredentials(options);
  }

  tests::CertificateAuthority authority_;
};

TEST_F(OtlpGrpcClientWithTls, DeliversToAServerItTrusts) {
  ReferenceServer server;
  server.Start(Credentials(authority_.Issue("DNS:localhost,IP:127.0.0.1")));
  const base::TlsFiles trust{.ca_file = authority_.ca_file()};
  auto by_address = Connect({.endpoints = {"https://" + server.endpoint()}, .tls = trust});
  EXPECT_EQ(Exchange(*by_address, Traces(1 << 20)).kind, Kind::kDelivered);
  auto by_name = Connect({.endpoints = {fmt::format("https://localhost:{}", server.port())}, .tls = trust});
  EXPECT_EQ(Exchange(*by_name, Traces()).kind, Kind::kDelivered);
  EXPECT_EQ(server.received().traces.at(0), Traces(1 << 20));
}

TEST_F(OtlpGrpcClientWithTls, ShowsItsCertificate) {
  ReferenceServer server;
  server.Start(Credentials(authority_.Issue("IP:127.0.0.1"), authority_.ca_file()));
  base::TlsFiles files = authority_.Issue("DNS:agent");
  files.ca_file = authority_.ca_file();
  auto client = Connect({.endpoints = {"https://" + server.endpoint()}, .tls = files});
  EXPECT_EQ(Exchange(*client, Traces()).kind, Kind::kDelivered);
  auto nobody = Connect({.endpoints = {"https://" + server.endpoint()}, .tls = {.ca_file = authority_.ca_file()}});
  EXPECT_EQ(Exchange(*nobody, Traces()).reason, Reason::kConnect);
}

TEST_F(OtlpGrpcClientWithTls, RefusesACertificateItCannotTrust) {
  const struct {
    std::string names;
    bool own_authority;
    std::string server_name;
    std::string complaint;
  } kTable[] = {
      {"IP:127.0.0.1", false, "", "certificate"},
      {"DNS:other", true, "", "IP address mismatch"},
      {"IP:127.0.0.1", true, "gateway.test", "hostname mismatch"},
  };
  tests::CertificateAuthority stranger;
  for (const auto& row : kTable) {
    ReferenceServer server;
    server.Start(Credentials((row.own_authority ? authority_ : stranger).Issue(row.names)));
    auto client = Connect({.endpoints = {"https://" + server.endpoint()},
                           .tls = {.ca_file = authority_.ca_file()},
                           .tls_server_name = row.server_name});
    const Outcome outcome = Exchange(*client, Traces());
    EXPECT_EQ(outcome.kind, Kind::kRetry);
    EXPECT_EQ(outcome.reason, Reason::kConnect);
    EXPECT_THAT(outcome.detail, HasSubstr(row.complaint));
    EXPECT_TRUE(server.received().traces.empty());
  }
}

TEST_F(OtlpGrpcClientWithTls, BelievesAnyoneWhenToldTo) {
  tests::CertificateAuthority stranger;
  ReferenceServer server;
  server.Start(Credentials(stranger.Issue("DNS:other")));
  auto client = Connect({.endpoints = {"https://" + server.endpoint()}, .tls_verify = false});
  EXPECT_EQ(Exchange(*client, Traces()).kind, Kind::kDelivered);
}

TEST_F(OtlpGrpcClientWithTls, InsistsThatThePeerChoosesHttp2) {
  // Ours, told nothing of ALPN: after the handshake it would speak HTTP/2.
  base::Budget budget(64 << 20);
  tests::TestService service;
  HttpServer server(loop_, budget, service, {});
  const auto tls = std::make_shared<base::TlsContext>(*base::TlsContext::Server(authority_.Issue("IP:127.0.0.1"), {}));
  const auto address = server.Listen(*base::Address::Parse("127.0.0.1:0"), tls);
  auto client = Connect({.endpoints = {"https://" + address->ToString()}, .tls = {.ca_file = authority_.ca_file()}});
  const Outcome outcome = Exchange(*client, Traces());
  EXPECT_EQ(outcome.reason, Reason::kConnect);
  EXPECT_THAT(outcome.detail, HasSubstr("ALPN"));
  EXPECT_EQ(service.requests, 0u);
}

TEST_F(OtlpGrpcClientWithTls, DoesNotTalkPlainToATlsServerNorTheOtherWayRound) {
  ReferenceServer tls_server, plain_server;
  tls_server.Start(Credentials(authority_.Issue("IP:127.0.0.1")));
  plain_server.Start();
  auto plain = Connect({.endpoints = {"http://" + tls_server.endpoint()}});
  EXPECT_EQ(Exchange(*plain, Traces()).reason, Reason::kConnect);
  auto tls = Connect({.endpoints = {"https://" + plain_server.endpoint()}, .tls = {.ca_file = authority_.ca_file()}});
  EXPECT_EQ(Exchange(*tls, Traces()).reason, Reason::kConnect);
}

}  // namespace
}  // namespace tributary::pipeline
