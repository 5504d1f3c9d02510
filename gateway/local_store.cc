#include "gateway/local_store.h"

#include <utility>

namespace tributary::gateway {
namespace {
// How often items that became too old are looked for.
constexpr base::Nanos kEvictEvery = std::chrono::seconds(10);
}  // namespace

base::Result<std::unique_ptr<LocalStore>> LocalStore::Open(base::Loop& loop, Store::Options options) {
  const uint64_t bytes_max = options.bytes_max;
  auto store = Store::Open(std::move(options));
  if (!store) return std::unexpected(store.error());
  return std::unique_ptr<LocalStore>(new LocalStore(loop, std::move(*store), bytes_max));
}

LocalStore::LocalStore(base::Loop& loop, std::unique_ptr<Store> store, uint64_t bytes_max)
    : loop_(loop),
      store_(std::move(store)),
      bytes_max_(bytes_max),
      usage_(store_->usage()),
      worker_(std::make_unique<base::Worker>(loop, "local-store")) {
  EvictSoon(base::Nanos(0));
}

LocalStore::~LocalStore() {
  worker_.reset();
  for (Done& done : waiting_) done(pipeline::Outcome::Retry(pipeline::Reason::kStorage, "the store is being closed"));
}

void LocalStore::Send(const pipeline::Outgoing& outgoing, Done done) {
  waiting_.push_back(std::move(done));
  worker_->Run([this, &outgoing]() -> base::Loop::Task {
    const base::Bytes request = outgoing.request.Flatten();
    auto outcome = store_->Write(outgoing.signal, request, outgoing.items, base::UnixNanos());
    return [this, outcome = std::move(outcome), usage = store_->usage()]() mutable {
      usage_ = usage;
      Done first = std::move(waiting_.front());
      waiting_.pop_front();
      first(std::move(outcome));
    };
  });
}

void LocalStore::Ask(Question question, Answer answer) {
  worker_->Run([this, question = std::move(question), answer = std::move(answer)]() mutable -> base::Loop::Task {
    return [result = question(store_->database()), answer = std::move(answer)]() mutable { answer(std::move(result)); };
  });
}

// One step a job, so that sends and questions get in between.
void LocalStore::EvictSoon(base::Nanos delay) {
  evict_ = loop_.RunAfter(delay, [this] {
    worker_->Run([this]() -> base::Loop::Task {
      const bool more = store_->EvictOld(base::UnixNanos());
      return [this, more, usage = store_->usage()] {
        usage_ = usage;
        EvictSoon(more ? base::Nanos(0) : kEvictEvery);
      };
    });
  });
}

void LocalStore::WriteMetrics(std::string_view name, base::MetricsText& metrics) const {
  metrics.Gauge("tributary_store_bytes", "Bytes on disk of the local store and its write-ahead log.",
                {{"destination", name}}, static_cast<double>(usage_.bytes));
  metrics.Gauge("tributary_store_bytes_max", "What they may be at most.", {{"destination", name}},
                static_cast<double>(bytes_max_));
  for (const otlp::Signal signal : otlp::kSignals) {
    metrics.Counter("tributary_store_evicted_items_total",
                    "Items that made room for newer ones in the local store, or became too old.",
                    {{"destination", name}, {"signal", otlp::Name(signal)}},
                    static_cast<double>(usage_.evicted_items[signal]));
  }
  if (usage_.oldest_unix_ns) {
    metrics.Gauge("tributary_store_oldest_timestamp_seconds", "When the oldest item in the local store arrived.",
                  {{"destination", name}}, static_cast<double>(*usage_.oldest_unix_ns) / 1e9);
  }
}

}  // namespace tributary::gateway
