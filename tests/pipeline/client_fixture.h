// What tests of OtlpClient share: a loop, requests to send, and waiting for their Outcomes.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/loop.h"
#include "pipeline/otlp_client.h"

namespace tributary::tests {

class ClientFixture : public testing::Test {
 protected:
  std::unique_ptr<pipeline::OtlpClient> Connect(pipeline::OtlpClient::Options options) {
    auto client = pipeline::OtlpClient::Create(loop_, std::move(options));
    EXPECT_TRUE(client.has_value()) << (client ? "" : client.error().message);
    return std::move(*client);
  }

  // One request on its way: its bytes go as soon as the Outcome is told, as Delivery's do.
  struct Sent {
    base::Bytes bytes;
    pipeline::Outgoing outgoing;
  };
  void Post(pipeline::Sink& sink, otlp::Signal signal, std::string_view request,
            std::function<void(pipeline::Outcome)> done) {
    auto sent = std::make_unique<Sent>();
    sent->bytes = base::Bytes(request);
    sent->outgoing.signal = signal;
    sent->outgoing.items = 100;
    sent->outgoing.request.Refer(sent->bytes.view());
    const pipeline::Outgoing& outgoing = sent->outgoing;
    sink.Send(outgoing, [sent = std::move(sent), done = std::move(done)](pipeline::Outcome outcome) mutable {
      CHECK(sent != nullptr);  // told once
      sent.reset();
      done(std::move(outcome));
    });
  }
  void Post(pipeline::Sink& sink, std::string_view request) {
    Post(sink, otlp::Signal::kTraces, request, [this](pipeline::Outcome outcome) { outcomes_.push_back(outcome); });
  }

  void RunUntil(const std::function<bool()>& done) {
    while (!done()) loop_.RunOnce(std::chrono::seconds(1));
  }
  void RunUntilOutcomes(size_t n) {
    RunUntil([&] { return outcomes_.size() >= n; });
  }
  // Sends one request and waits for what becomes of it.
  pipeline::Outcome Exchange(pipeline::Sink& sink, std::string_view request,
                             otlp::Signal signal = otlp::Signal::kTraces) {
    std::optional<pipeline::Outcome> outcome;
    Post(sink, signal, request, [&](pipeline::Outcome told) { outcome = std::move(told); });
    RunUntil([&] { return outcome.has_value(); });
    return *outcome;
  }
  static std::string Metrics(const pipeline::Sink& sink) {
    base::MetricsText metrics;
    sink.WriteMetrics("test", metrics);
    return metrics.Render();
  }

  base::Loop loop_;
  std::vector<pipeline::Outcome> outcomes_;  // of Post
};

}  // namespace tributary::tests
