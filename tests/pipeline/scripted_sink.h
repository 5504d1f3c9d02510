// A peer whose every answer a test decides: at once, or later, or never.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/sink.h"
#include "tests/pipeline/items.h"

namespace tributary::test {

class ScriptedSink : public pipeline::Sink {
 public:
  struct Request {
    otlp::Signal signal;
    std::vector<uint64_t> items;
    size_t bytes;
    pipeline::BatchId batch;
  };
  struct Pending {
    Request request;
    const pipeline::Outgoing* outgoing;
    std::string content;
    Done done;
  };
  // The answer to a request, or nullopt to leave it pending.
  using Script = std::function<std::optional<pipeline::Outcome>(const Request&)>;

  explicit ScriptedSink(Script the_script = [](const Request&) { return std::nullopt; })
      : script(std::move(the_script)) {}
  ~ScriptedSink() override { AnswerAll(pipeline::Outcome::Retry(pipeline::Reason::kConnect, "closed")); }

  void Send(const pipeline::Outgoing& outgoing, Done done) override {
    const base::Bytes flat = outgoing.request.Flatten();
    Request request{outgoing.signal, ItemsOf(outgoing.signal, flat), flat.size(), outgoing.batch};
    EXPECT_EQ(request.items.size(), outgoing.items);
    EXPECT_FALSE(request.items.empty());
    std::optional<pipeline::Outcome> outcome = script(request);
    sent.push_back(request);
    if (outcome) {
      done(std::move(*outcome));
    } else {
      pending.push_back({std::move(request), &outgoing, std::string(base::AsText(flat)), std::move(done)});
    }
  }

  // Answers one pending request, after seeing that it was kept as it was sent.
  void Answer(pipeline::Outcome outcome, size_t index = 0) {
    Pending answered = std::move(pending.at(index));
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(index));
    EXPECT_EQ(base::AsText(answered.outgoing->request.Flatten()), answered.content);
    answered.done(std::move(outcome));
  }

  void AnswerAll(const pipeline::Outcome& outcome) {
    while (!pending.empty()) Answer(outcome);
  }

  void WriteMetrics(std::string_view name, base::MetricsText& metrics) const override {
    metrics.Gauge("scripted_sink_pending", "Requests without an answer.", {{"destination", name}},
                  static_cast<double>(pending.size()));
  }

  Script script;
  std::vector<Request> sent;
  std::deque<Pending> pending;
};

}  // namespace tributary::test
