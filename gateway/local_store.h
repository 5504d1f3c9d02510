// LocalStore: a Store as a Sink, and the way to ask it. Owned by its Destination, on the loop's thread; the Store lives
// on a Worker, so that storing, evicting and answering take turns and none needs a lock. A question can hold up what is
// stored for kStoreReadTimeMax at most.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>

#include "base/loop.h"
#include "base/result.h"
#include "base/worker.h"
#include "gateway/store.h"
#include "gateway/store_reader.h"
#include "pipeline/sink.h"

namespace tributary::gateway {

class LocalStore : public pipeline::Sink {
 public:
  using Question = std::move_only_function<StoreResult(Database&)>;  // runs on the Worker
  using Answer = std::move_only_function<void(StoreResult)>;         // on the loop

  static base::Result<std::unique_ptr<LocalStore>> Open(base::Loop& loop, Store::Options options);
  ~LocalStore() override;

  void Send(const pipeline::Outgoing& outgoing, Done done) override;
  void WriteMetrics(std::string_view name, base::MetricsText& metrics) const override;

  // Calls `answer` once, unless the LocalStore is destroyed first.
  void Ask(Question question, Answer answer);

 private:
  LocalStore(base::Loop& loop, std::unique_ptr<Store> store, uint64_t bytes_max);
  void EvictSoon(base::Nanos delay);

  base::Loop& loop_;
  std::unique_ptr<Store> store_;  // the worker's
  uint64_t bytes_max_;

  Store::Usage usage_;        // after the last job
  std::deque<Done> waiting_;  // for their jobs, which end in order
  base::Loop::Timer evict_;

  std::unique_ptr<base::Worker> worker_;  // last: its jobs use everything above
};

}  // namespace tributary::gateway
