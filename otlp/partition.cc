#include "otlp/partition.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>

#include "otlp/wire.h"

namespace tributary::otlp {
namespace {

using base::Bytes;
using base::ByteView;

constexpr int kLevelsMax = 5;

// The messages from the request down to the items, and the numbers of the fields that lead from each to the next (bit
// n: field n), the last one's to the items. Request, container, scope; of metrics also Metric and its data.
struct Levels {
  int count;
  std::array<uint32_t, kLevelsMax> down;
};
constexpr uint32_t Bit(uint32_t field) { return 1u << field; }
constexpr uint32_t kMetricData = Bit(5) | Bit(7) | Bit(9) | Bit(10) | Bit(11);
constexpr Levels kScopedItems = {3, {Bit(1), Bit(2), Bit(2)}};
constexpr PerSignal<Levels> kLevels = {
    {{kScopedItems, {5, {Bit(1), Bit(2), Bit(2), kMetricData, Bit(1)}}, kScopedItems}}};
constexpr int kMetricLevel = 3;

bool Leads(const Field& field, uint32_t down) {
  return field.type == WireType::kLength && field.number < 32 && (down >> field.number & 1) != 0;
}

// A message above the items: what it holds besides the way down.
struct Envelope {
  uint32_t number;  // of its field in the message above
  Bytes fields;
};
using Path = std::array<const Envelope*, kLevelsMax>;  // outermost first

// Finds the items of a request in their order. The paths it hands out live as long as it does.
class Walk {
 public:
  explicit Walk(Signal signal) : levels_(kLevels[signal]) {}

  template <typename Visit>  // void(const Path&, const Field& item)
  void Request(ByteView request, const Visit& visit) {
    Message(0, 0, request, visit);
  }

 private:
  template <typename Visit>
  void Message(int level, uint32_t number, ByteView body, const Visit& visit) {
    if (level == kMetricLevel) body = WithOneDataField(body);
    Envelope& envelope = envelopes_.emplace_back(number);
    path_[level] = &envelope;
    const uint32_t down = levels_.down[level];
    Field field;
    FieldReader besides(body);
    while (besides.Next(field)) {
      if (!Leads(field, down)) envelope.fields.Append(field.whole);
    }
    CHECK(!besides.failed());
    for (FieldReader reader(body); reader.Next(field);) {
      if (!Leads(field, down)) continue;
      if (level + 1 == levels_.count) {
        visit(std::as_const(path_), std::as_const(field));
      } else {
        Message(level + 1, field.number, field.content, visit);
      }
    }
  }

  ByteView WithOneDataField(ByteView metric);

  const Levels levels_;
  Path path_{};
  std::deque<Envelope> envelopes_;
  std::deque<Bytes> rewritten_;
};

// Metric.data is a oneof of messages: several of one kind merge, one of another kind takes their place. Nobody encodes
// that on purpose, but points that are overruled, or that get their temporality from the next field, must not turn up
// by themselves. Such a metric is rewritten the way it reads.
ByteView Walk::WithOneDataField(ByteView metric) {
  Bytes merged, data;
  uint32_t number = 0;
  int data_fields = 0;
  Field field;
  for (FieldReader reader(metric); reader.Next(field);) {
    data_fields += Leads(field, kMetricData);
  }
  if (data_fields <= 1) return metric;

  for (FieldReader reader(metric); reader.Next(field);) {
    if (!Leads(field, kMetricData)) {
      merged.Append(field.whole);
      continue;
    }
    if (field.number != number) data.Clear();
    number = field.number;
    data.Append(field.content);
  }
  AppendLengthDelimited(merged, number, data);
  return rewritten_.emplace_back(std::move(merged));
}

// Puts a request together from items, opening messages on the way as their paths demand. Lengths stand in front of what
// they measure, so the request is planned first, in the order of its bytes, and written when it is complete.
class Plan {
 public:
  explicit Plan(Signal signal) : levels_(kLevels[signal].count) {}

  uint32_t items() const { return items_; }
  // Of the request, which has items, if `item` were in it too.
  size_t BytesWith(const Path& path, ByteView item) const;
  void Add(const Path& path, ByteView item);
  // The request as it is now; starts anew.
  Part Write();

 private:
  // A message's start, or items.
  struct Step {
    const Envelope* opened = nullptr;
    size_t body_bytes = 0;  // of the message, without the message that is still open in it
    ByteView items;
  };

  // How many messages of `path` are open.
  int Common(const Path& path) const {
    int level = 0;
    while (level < open_count_ && steps_[open_[level]].opened == path[level]) ++level;
    return level;
  }
  size_t OpenFieldBytes(int level) const;
  void Close(int level);

  const int levels_;
  uint32_t items_ = 0;
  std::vector<Step> steps_;
  std::array<size_t, kLevelsMax> open_{};  // positions in steps_, outermost first
  int open_count_ = 0;
};

// Of the message open at `level` with all that is open in it, as a field of the message above.
size_t Plan::OpenFieldBytes(int level) const {
  size_t inner = 0;
  for (int i = open_count_ - 1; i >= level; --i) {
    const Step& step = steps_[open_[i]];
    inner = LengthDelimitedSize(step.opened->number, step.body_bytes + inner);
  }
  return inner;
}

size_t Plan::BytesWith(const Path& path, ByteView item) const {
  const int common = Common(path);
  size_t added = item.size();
  for (int i = levels_ - 1; i >= common; --i) {
    added = LengthDelimitedSize(path[i]->number, path[i]->fields.size() + added);
  }
  added += OpenFieldBytes(common);
  for (int i = common - 1; i >= 1; --i) {
    added = LengthDelimitedSize(path[i]->number, steps_[open_[i]].body_bytes + added);
  }
  return steps_[open_[0]].body_bytes + added;
}

void Plan::Add(const Path& path, ByteView item) {
  const int common = Common(path);
  Close(common);
  for (int i = common; i < levels_; ++i) {
    open_[i] = steps_.size();
    steps_.push_back({.opened = path[i], .body_bytes = path[i]->fields.size()});
  }
  open_count_ = levels_;
  steps_[open_[levels_ - 1]].body_bytes += item.size();
  ByteView& last = steps_.back().items;
  if (last.data() + last.size() == item.data()) {
    last = {last.data(), last.size() + item.size()};  // neighbours stay together
  } else {
    steps_.push_back({.items = item});
  }
  ++items_;
}

// Closes all but the `level` outermost messages.
void Plan::Close(int level) {
  for (int i = open_count_ - 1; i >= std::max(level, 1); --i) {
    const Step& closed = steps_[open_[i]];
    steps_[open_[i - 1]].body_bytes += LengthDelimitedSize(closed.opened->number, closed.body_bytes);
  }
  open_count_ = level;
}

Part Plan::Write() {
  Part part;
  if (items_ == 0) return part;
  Close(0);
  part.items = std::exchange(items_, 0);
  part.request.Reserve(steps_[0].body_bytes);
  for (const Step& step : steps_) {
    if (step.opened == nullptr) {
      part.request.Append(step.items);
      continue;
    }
    if (step.opened->number != 0) {
      AppendTag(part.request, step.opened->number, WireType::kLength);
      AppendVarint(part.request, step.body_bytes);
    }
    part.request.Append(step.opened->fields);
  }
  steps_.clear();
  return part;
}

// The last one, as singular fields go; zero if it has a wrong length.
TraceId TraceIdOf(ByteView span) {
  TraceId id{};
  Field field;
  for (FieldReader reader(span); reader.Next(field);) {
    if (field.number != 1) continue;
    id = {};
    if (field.content.size() == id.size()) std::copy_n(field.content.begin(), id.size(), id.begin());
  }
  return id;
}

}  // namespace

std::vector<Part> Split(Signal signal, ByteView request, uint32_t items_max, size_t bytes_max) {
  CHECK(items_max > 0);
  std::vector<Part> parts;
  Plan plan(signal);
  Walk walk(signal);
  walk.Request(request, [&](const Path& path, const Field& item) {
    const bool full = plan.items() > 0 && (plan.items() == items_max || plan.BytesWith(path, item.whole) > bytes_max);
    if (full) parts.push_back(plan.Write());
    plan.Add(path, item.whole);
  });
  if (plan.items() > 0) parts.push_back(plan.Write());
  return parts;
}

std::vector<Part> PartitionByTrace(ByteView request, uint32_t buckets,
                                   const std::function<uint32_t(const TraceId&)>& bucket_of) {
  std::vector<Plan> plans(buckets, Plan(Signal::kTraces));
  Walk walk(Signal::kTraces);
  walk.Request(request, [&](const Path& path, const Field& span) {
    const uint32_t bucket = bucket_of(TraceIdOf(span.content));
    CHECK(bucket < buckets);
    plans[bucket].Add(path, span.whole);
  });
  std::vector<Part> parts;
  for (Plan& plan : plans) parts.push_back(plan.Write());
  return parts;
}

Part FilterResources(Signal signal, ByteView request, const std::function<bool(ByteView)>& keep) {
  Part part;
  Field field;
  FieldReader reader(request);
  while (reader.Next(field)) {
    if (!Leads(field, kLevels[signal].down[0]) || !keep(field.content)) continue;
    part.request.Append(field.whole);
    Walk(signal).Request(field.whole, [&](const Path&, const Field&) { ++part.items; });
  }
  CHECK(!reader.failed());
  return part;
}

}  // namespace tributary::otlp
