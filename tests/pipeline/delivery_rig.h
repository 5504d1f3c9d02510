// A Log, a Destination and a ScriptedSink on a loop of their own, and the account that /metrics gives of them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "pipeline/destination.h"
#include "pipeline/log.h"
#include "tests/pipeline/items.h"
#include "tests/pipeline/scripted_sink.h"

namespace tributary::test {

// What /metrics says of one signal's items.
struct Account {
  uint64_t received = 0;
  uint64_t delivered = 0;
  uint64_t held = 0;
  std::map<std::string, uint64_t> dropped;  // by reason; none that are zero

  uint64_t dropped_items() const {
    uint64_t sum = 0;
    for (const auto& [reason, items] : dropped) sum += items;
    return sum;
  }
  bool operator==(const Account&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Account& account);
};

class DeliveryRig {
 public:
  explicit DeliveryRig(const pipeline::Delivery::Options& options, const pipeline::Delivery::View& view = {},
                       otlp::SignalSet signals = otlp::SignalSet::All(), size_t log_bytes_max = 64 << 20);

  base::Loop& loop() { return loop_; }
  pipeline::Log& log() { return log_; }
  pipeline::Destination& destination() { return *destination_; }
  ScriptedSink& sink() { return *sink_; }

  // Whether the Log took it.
  bool Append(otlp::Signal signal, const std::vector<Resource>& resources);
  bool AppendBytes(otlp::Signal signal, base::ByteView request, uint32_t items, uint32_t resources = 1);

  // One turn of the loop, without waiting; afterwards the account must close.
  void Turn();
  template <typename Done>
  void RunUntil(Done done) {
    while (!done()) {
      loop_.RunOnce(std::chrono::milliseconds(100));
      ExpectAccountsClose();
    }
  }

  void ReplaceSink(ScriptedSink::Script script);
  void DestroyDestination() { destination_.reset(); }

  Account account(otlp::Signal signal) const;
  void ExpectAccountsClose() const;

 private:
  base::Loop loop_;
  pipeline::Log log_;
  ScriptedSink* sink_;
  std::unique_ptr<pipeline::Destination> destination_;
};

}  // namespace tributary::test
