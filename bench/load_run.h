// LoadRun: one run of tributary-load: the schedule, the requests under way, and what became of them.
//
// The schedule is open: it says when each request should leave, whatever the server does. When the limit of requests in
// flight holds one back, its latency still counts from the moment it should have left, so that a server which stalls
// shows all the waiting it causes (no coordinated omission). Lives on the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"
#include "bench/item_ids.h"
#include "bench/latency_histogram.h"
#include "bench/load_connection.h"
#include "otlp/signal.h"

namespace tributary::bench {

struct LoadOptions {
  enum class Protocol : uint8_t { kGrpc, kHttp };

  Protocol protocol = Protocol::kGrpc;
  otlp::Signal signal = otlp::Signal::kTraces;
  double rate = 10'000;  // items per second; 0: as fast as the limit of requests in flight allows
  uint32_t items_per_request = 64;
  uint32_t attributes = 5;  // per item
  uint32_t connections = 4;
  uint32_t in_flight = 4;  // requests per connection
  double duration_s = 10;  // 0: until `requests`, or until interrupted
  uint64_t requests = 0;   // 0: no limit
  bool retry = false;
  double timeout_s = 10;
};

class LoadRun {
 public:
  struct Totals {
    uint64_t requests = 0;     // answered OK
    uint64_t items = 0;        // in those
    uint64_t fingerprint = 0;  // of the set of those
    uint64_t rejected_items = 0;
    uint64_t resends = 0;
    std::map<std::string, uint64_t> refused;  // answers that were not OK, by code
    std::map<std::string, uint64_t> lost;     // requests that were never answered, by cause
  };

  LoadRun(base::Loop& loop, const LoadOptions& options, const Endpoint& endpoint);

  // Runs from here until `done`: the schedule has ended and every request is answered or given up.
  void Start(std::function<void()> done);
  // Ends it now; what is under way stays unacknowledged.
  void Interrupt();

  // The run's id, which is the Unix time it began at.
  uint64_t id() const { return id_; }
  size_t request_bytes() const { return samples_.front().body.size(); }
  double seconds() const { return base::Seconds((ended_ == base::Time{} ? loop_.now() : ended_) - began_); }
  const Totals& totals() const { return totals_; }
  const LatencyHistogram& latency() const { return latency_; }  // of requests answered OK
  uint64_t items_sent() const { return last_number_; }
  uint64_t connects() const;
  // Items that the schedule wanted sent and the limit of requests in flight held back to the end.
  uint64_t items_held_back() const;

 private:
  struct Sample {
    base::Bytes body;
    std::vector<ItemIdPlace> ids;  // offsets from the end of the prefix
  };
  // A connection and the requests that belong to it.
  struct Lane {
    std::unique_ptr<LoadConnection> connection;
    uint32_t requests = 0;             // in flight, or waiting to be sent again
    std::vector<LoadRequest*> unsent;  // waiting for the connection
  };

  base::Time Due(uint64_t request) const;
  bool ScheduleEnded(base::Time now) const;
  void SendDue();
  void WakeAt(base::Time when);
  Lane* FreeLane();
  LoadRequest& NewRequest();
  void Send(LoadRequest& request);
  void SendUnsent();
  void OnReply(LoadRequest& request, Reply reply);
  uint64_t Fingerprint(const LoadRequest& request) const;
  void Resend(LoadRequest& request, base::Nanos delay);
  void Retire(LoadRequest& request);
  void AbandonOverdue();
  void Finish();

  base::Loop& loop_;
  const LoadOptions options_;
  const uint64_t id_;
  std::vector<Sample> samples_;
  std::vector<std::unique_ptr<LoadRequest>> requests_;  // all there are
  std::vector<LoadRequest*> idle_;                      // of those, under nobody's way; the last used is used first
  LoadConnection::Events events_;
  std::vector<Lane> lanes_;
  size_t next_lane_ = 0;

  base::Fd pace_;  // a timerfd, because the loop's own timers are good to a millisecond
  base::Loop::Watch pace_watch_;
  base::Time wake_ = base::Time::max();  // when pace_ expires
  base::Loop::Timer overdue_timer_;
  std::function<void()> done_;
  base::Time began_{};
  base::Time ended_{};
  uint64_t scheduled_ = 0;    // requests the schedule has let go
  uint64_t last_number_ = 0;  // given to an item
  Totals totals_;
  LatencyHistogram latency_;
};

}  // namespace tributary::bench
