// OtlpClient: the Sink that speaks OTLP over the network: OTLP/gRPC on HTTP/2, or OTLP/HTTP on HTTP/1.1.
//
// Each Send is one request, tried once: framed, compressed if so configured, given to a connection to one of the
// endpoints' addresses, and its answer turned into an Outcome; one that is not answered in time is taken back. The
// request's bytes are sent from where they lie. Lives on the loop's thread.
// https://opentelemetry.io/docs/specs/otlp/
#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/end_of_turn.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/tls.h"
#include "otlp/signal.h"
#include "pipeline/compression.h"
#include "pipeline/http_pool.h"
#include "pipeline/sink.h"

namespace tributary::pipeline {

class OtlpClient : public Sink {
 public:
  enum class Protocol : uint8_t { kGrpc, kHttpProtobuf };
  struct Options {
    // As Endpoint::Parse reads them: several stand for the same destination, and share its requests.
    std::vector<std::string> endpoints;
    Protocol protocol = Protocol::kGrpc;
    Encoding compression = Encoding::kIdentity;
    int compression_level = kCompressionLevelDefault;
    std::vector<std::pair<std::string, std::string>> headers;  // given to every request
    otlp::PerSignal<std::string> paths;  // HTTP: instead of the endpoint's path and /v1/traces, /v1/metrics, /v1/logs
    base::TlsFiles tls;                  // used for https endpoints
    std::string tls_server_name;         // what the certificate must be for, when not the endpoint's host
    bool tls_verify = true;              // false: whoever answers is believed; for trying things out
    base::Nanos timeout = std::chrono::seconds(10);  // from Send to its Outcome
    base::Nanos connect_timeout = std::chrono::seconds(5);
    size_t request_bytes_max = 64 << 20;  // before compression; larger ones are not sent
    std::string user_agent = "tributary/0.1.0";
    std::string dns_servers;  // see base::Resolver

    bool operator==(const Options&) const = default;
    // Whether a client made with the `other` options may go on under these. Certificates are read when one is made, and
    // may have been renewed since.
    bool KeepsClientOf(const Options& other) const { return *this == other && tls == base::TlsFiles(); }
  };

  static base::Result<std::unique_ptr<OtlpClient>> Create(base::Loop& loop, Options options);
  ~OtlpClient() override;

  void Send(const Outgoing& outgoing, Done done) override;
  void WriteMetrics(std::string_view name, base::MetricsText& metrics) const override;

 private:
  struct Call;
  using Calls = std::list<Call>;

  OtlpClient(base::Loop& loop, Options options, HttpPool::Options pool);
  void Frame(const Outgoing& outgoing, Call& call);
  void Finish(Calls::iterator call, Outcome outcome);
  void TellOutcomes();
  void Expire();
  void ArmTimer();

  base::Loop& loop_;
  Options options_;
  std::string name_;  // of the destination, in Outcomes
  Compressor compressor_;
  std::array<uint64_t, 3> outcomes_{};  // by Outcome::Kind
  Calls calls_;                         // under way, the oldest first: which is the order of their deadlines
  Calls finished_;                      // their Outcomes are told at the end of the turn
  HttpPool pool_;
  base::Loop::Timer deadline_;
  base::EndOfTurn tell_;
};

}  // namespace tributary::pipeline
