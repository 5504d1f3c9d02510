#include "bench/load_run.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "bench/otlp_sample.h"

namespace tributary::bench {
namespace {

constexpr size_t kSamples = 64;
// Requests due within this long leave together: waking for each would cost more than sending it.
constexpr base::Nanos kPaceMin = std::chrono::microseconds(100);
constexpr base::Nanos kOverdueInterval = std::chrono::milliseconds(100);
constexpr base::Nanos kResendDelay = std::chrono::milliseconds(100);  // unless the server names one

base::Nanos FromSeconds(double seconds) { return base::Nanos(static_cast<int64_t>(seconds * 1e9)); }

}  // namespace

LoadRun::LoadRun(base::Loop& loop, const LoadOptions& options, const Endpoint& endpoint)
    : loop_(loop), options_(options), id_(base::UnixNanos()) {
  for (size_t i = 0; i < kSamples; ++i) {
    const base::Bytes request =
        SampleRequest(options_.signal, options_.items_per_request, i + 1, options_.attributes, id_);
    Sample& sample = samples_.emplace_back();
    FindItemIds(options_.signal, request, sample.ids);
    CHECK(sample.ids.size() == options_.items_per_request);
    const uint32_t length = __builtin_bswap32(static_cast<uint32_t>(request.size()));
    sample.body.Push(0);
    sample.body.Append({reinterpret_cast<const uint8_t*>(&length), sizeof length});
    sample.body.Append(request.view());
  }

  events_.on_reply = [this](LoadRequest& request, Reply reply) { OnReply(request, std::move(reply)); };
  events_.on_ready = [this] { SendUnsent(); };
  const bool grpc = options_.protocol == LoadOptions::Protocol::kGrpc;
  for (uint32_t i = 0; i < options_.connections; ++i) {
    const auto make = grpc ? MakeGrpcConnection : MakeHttpConnection;
    lanes_.push_back({.connection = make(options_.signal, loop_, endpoint, events_)});
  }
}

void LoadRun::Start(std::function<void()> done) {
  done_ = std::move(done);
  began_ = base::Clock::now();
  pace_ = base::Fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  CHECK(pace_.valid());
  pace_watch_ = loop_.WatchFd(pace_.get(), EPOLLIN, [this](uint32_t) {
    uint64_t expirations;
    [[maybe_unused]] const ssize_t n = read(pace_.get(), &expirations, sizeof expirations);
    wake_ = base::Time::max();
    SendDue();
  });
  AbandonOverdue();
  for (Lane& lane : lanes_) lane.connection->Start();
  SendDue();
}

// --- The schedule ---

base::Time LoadRun::Due(uint64_t request) const {
  return began_ + FromSeconds(static_cast<double>(request) * options_.items_per_request / options_.rate);
}

bool LoadRun::ScheduleEnded(base::Time now) const {
  if (options_.requests != 0 && scheduled_ >= options_.requests) return true;
  return options_.duration_s != 0 && now >= began_ + FromSeconds(options_.duration_s);
}

uint64_t LoadRun::items_held_back() const {
  if (options_.rate == 0) return 0;
  const double seconds_max = options_.duration_s != 0 ? options_.duration_s : seconds();
  uint64_t wanted =
      static_cast<uint64_t>(std::min(seconds(), seconds_max) * options_.rate) / options_.items_per_request;
  if (options_.requests != 0) wanted = std::min(wanted, options_.requests);
  return wanted > scheduled_ ? (wanted - scheduled_) * options_.items_per_request : 0;
}

void LoadRun::SendDue() {
  if (ended_ != base::Time{}) return;
  const base::Time now = base::Clock::now();
  while (!ScheduleEnded(now)) {
    const base::Time due = options_.rate == 0 ? now : Due(scheduled_);
    if (due > now) break;
    Lane* lane = FreeLane();
    if (lane == nullptr) break;
    ++scheduled_;
    LoadRequest& request = NewRequest();
    request.lane = static_cast<size_t>(lane - lanes_.data());
    request.intended = due;
    ++lane->requests;
    Send(request);
  }
  if (ScheduleEnded(now)) {
    if (idle_.size() == requests_.size()) Finish();
    return;
  }
  base::Time next = base::Time::max();
  if (options_.duration_s != 0) next = began_ + FromSeconds(options_.duration_s);
  // Held back by the limit of requests in flight, the next one leaves with a reply, not with the clock.
  if (options_.rate != 0 && Due(scheduled_) > now) next = std::min(next, std::max(now + kPaceMin, Due(scheduled_)));
  WakeAt(next);
}

void LoadRun::WakeAt(base::Time when) {
  if (when >= wake_) return;
  wake_ = when;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(when.time_since_epoch());
  const itimerspec expiry{
      .it_value = {.tv_sec = seconds.count(), .tv_nsec = (when.time_since_epoch() - seconds).count()}};
  CHECK(timerfd_settime(pace_.get(), TFD_TIMER_ABSTIME, &expiry, nullptr) == 0);
}

LoadRun::Lane* LoadRun::FreeLane() {
  for (size_t tried = 0; tried < lanes_.size(); ++tried) {
    Lane& lane = lanes_[next_lane_++ % lanes_.size()];
    if (lane.connection->ready() && lane.requests < options_.in_flight) return &lane;
  }
  return nullptr;
}

LoadRequest& LoadRun::NewRequest() {
  if (idle_.empty()) {
    auto made = std::make_unique<LoadRequest>();
    made->sample = requests_.size() % kSamples;
    made->body = base::Bytes(samples_[made->sample].body.view());
    idle_.push_back(made.get());
    requests_.push_back(std::move(made));
  }
  LoadRequest& request = *idle_.back();
  idle_.pop_back();
  uint8_t* message = request.body.data() + LoadRequest::kPrefix;
  for (const ItemIdPlace& place : samples_[request.sample].ids) {
    WriteItemId(options_.signal, message, place, {.run = id_, .number = ++last_number_});
  }
  return request;
}

// --- Requests under way ---

void LoadRun::Send(LoadRequest& request) {
  Lane& lane = lanes_[request.lane];
  if (!lane.connection->ready()) return lane.unsent.push_back(&request);
  request.sent = loop_.now();
  request.in_flight = true;
  lane.connection->Send(request);
}

void LoadRun::SendUnsent() {
  for (Lane& lane : lanes_) {
    if (!lane.connection->ready()) continue;
    for (LoadRequest* request : std::exchange(lane.unsent, {})) Send(*request);
  }
  SendDue();
}

void LoadRun::OnReply(LoadRequest& request, Reply reply) {
  request.in_flight = false;
  switch (reply.kind) {
    case Reply::Kind::kOk:
      latency_.Record(base::Clock::now() - request.intended);
      ++totals_.requests;
      totals_.items += options_.items_per_request;
      totals_.fingerprint += Fingerprint(request);
      totals_.rejected_items += reply.rejected_items;
      return Retire(request);
    case Reply::Kind::kUnprocessed:
      return Resend(request, base::Nanos(0));
    case Reply::Kind::kRefused:
      ++totals_.refused[reply.code];
      if (options_.retry && reply.retryable) return Resend(request, reply.retry_after.value_or(kResendDelay));
      return Retire(request);
    case Reply::Kind::kLost:
      ++totals_.lost[reply.code];
      if (options_.retry) return Resend(request, kResendDelay);
      return Retire(request);
  }
}

uint64_t LoadRun::Fingerprint(const LoadRequest& request) const {
  uint64_t sum = 0;
  for (const ItemIdPlace& place : samples_[request.sample].ids) {
    sum += Hash(ReadItemId(options_.signal, request.body.data() + LoadRequest::kPrefix, place).number);
  }
  return sum;
}

void LoadRun::Resend(LoadRequest& request, base::Nanos delay) {
  ++totals_.resends;
  request.resend = loop_.RunAfter(delay, [this, &request] { Send(request); });
}

void LoadRun::Retire(LoadRequest& request) {
  --lanes_[request.lane].requests;
  idle_.push_back(&request);
  SendDue();
}

void LoadRun::AbandonOverdue() {
  const base::Time overdue = loop_.now() - FromSeconds(options_.timeout_s);
  for (size_t i = 0; i < requests_.size(); ++i) {  // answering may make more
    LoadRequest& request = *requests_[i];
    if (request.in_flight && request.sent < overdue) lanes_[request.lane].connection->Abandon(request);
  }
  overdue_timer_ = loop_.RunAfter(kOverdueInterval, [this] { AbandonOverdue(); });
}

void LoadRun::Interrupt() {
  if (ended_ == base::Time{}) Finish();
}

void LoadRun::Finish() {
  ended_ = base::Clock::now();
  pace_watch_.Reset();
  overdue_timer_.Cancel();
  done_();
}

uint64_t LoadRun::connects() const {
  uint64_t connects = 0;
  for (const Lane& lane : lanes_) connects += lane.connection->connects();
  return connects;
}

}  // namespace tributary::bench
