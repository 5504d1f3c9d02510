#include "tests/pipeline/delivery_rig.h"

#include <charconv>
#include <optional>
#include <sstream>
#include <string_view>

namespace tributary::test {
namespace {

constexpr std::string_view kName = "peer";

// The value of a label in a sample's line.
std::string_view Label(std::string_view line, std::string_view label) {
  const size_t begin = line.find(std::string(label) + "=\"");
  if (begin == std::string_view::npos) return {};
  line.remove_prefix(begin + label.size() + 2);
  return line.substr(0, line.find('"'));
}

uint64_t Value(std::string_view line) {
  line.remove_prefix(line.rfind(' ') + 1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  EXPECT_TRUE(error == std::errc() && end == line.data() + line.size()) << line;
  return value;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Account& account) {
  out << "received " << account.received << ", delivered " << account.delivered << ", held " << account.held;
  for (const auto& [reason, items] : account.dropped) out << ", dropped " << items << " as " << reason;
  return out;
}

DeliveryRig::DeliveryRig(const pipeline::Delivery::Options& options, const pipeline::Delivery::View& view,
                         otlp::SignalSet signals, size_t log_bytes_max)
    : log_(loop_, {.bytes_max = log_bytes_max}) {
  auto sink = std::make_unique<ScriptedSink>();
  sink_ = sink.get();
  destination_ =
      std::make_unique<pipeline::Destination>(loop_, log_, std::string(kName), signals, std::move(sink), view, options);
}

bool DeliveryRig::Append(otlp::Signal signal, const std::vector<Resource>& resources) {
  uint32_t items = 0;
  for (const Resource& resource : resources) items += static_cast<uint32_t>(resource.items.size());
  return AppendBytes(signal, MakeRequest(signal, resources), items, static_cast<uint32_t>(resources.size()));
}

bool DeliveryRig::AppendBytes(otlp::Signal signal, base::ByteView request, uint32_t items, uint32_t resources) {
  std::optional<pipeline::Log::Taken> taken;
  log_.Append({signal, {.items = items, .resources = resources}, base::Bytes(request)},
              [&](pipeline::Log::Taken answer) { taken = answer; });
  return taken.value() == pipeline::Log::Taken::kYes;
}

void DeliveryRig::Turn() {
  loop_.RunOnce(base::Nanos(0));
  ExpectAccountsClose();
}

void DeliveryRig::ReplaceSink(ScriptedSink::Script script) {
  auto sink = std::make_unique<ScriptedSink>(std::move(script));
  sink_ = sink.get();
  destination_->ReplaceSink(std::move(sink));
}

Account DeliveryRig::account(otlp::Signal signal) const {
  base::MetricsText metrics;
  destination_->WriteMetrics(metrics);
  std::istringstream page(metrics.Render());
  Account account;
  for (std::string line; std::getline(page, line);) {
    if (Label(line, "signal") != otlp::Name(signal) || Label(line, "destination") != kName) continue;
    const std::string_view name = std::string_view(line).substr(0, line.find('{'));
    if (name == "tributary_received_items_total") account.received = Value(line);
    if (name == "tributary_delivered_items_total") account.delivered = Value(line);
    if (name == "tributary_held_items") account.held = Value(line);
    if (name == "tributary_dropped_items_total" && Value(line) > 0) {
      account.dropped.emplace(Label(line, "reason"), Value(line));
    }
  }
  return account;
}

void DeliveryRig::ExpectAccountsClose() const {
  if (!destination_) return;
  for (const otlp::Signal signal : otlp::kSignals) {
    const Account sum = account(signal);
    EXPECT_EQ(sum.received, sum.delivered + sum.dropped_items() + sum.held) << otlp::Name(signal) << ": " << sum;
  }
}

}  // namespace tributary::test
