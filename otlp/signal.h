// Signal: the three kinds of OTLP request this project carries, and their names on the wire and in metrics.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tributary::otlp {

enum class Signal : uint8_t { kTraces, kMetrics, kLogs };

inline constexpr std::array kSignals = {Signal::kTraces, Signal::kMetrics, Signal::kLogs};

// Any value per signal.
template <typename T>
struct PerSignal {
  std::array<T, kSignals.size()> values{};
  T& operator[](Signal signal) { return values[static_cast<size_t>(signal)]; }
  const T& operator[](Signal signal) const { return values[static_cast<size_t>(signal)]; }
  bool operator==(const PerSignal&) const = default;
};

// A set of signals, as a value.
class SignalSet {
 public:
  constexpr SignalSet() = default;
  static constexpr SignalSet All() {
    return SignalSet().With(Signal::kTraces).With(Signal::kMetrics).With(Signal::kLogs);
  }
  constexpr SignalSet With(Signal signal) const { return SignalSet(bits_ | 1u << static_cast<unsigned>(signal)); }
  constexpr bool Has(Signal signal) const { return bits_ >> static_cast<unsigned>(signal) & 1; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool operator==(const SignalSet&) const = default;

 private:
  constexpr explicit SignalSet(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

// "traces", "metrics", "logs": configuration keys and the `signal` label of metrics.
std::string_view Name(Signal signal);
// "spans", "data points", "log records": what an item of the signal is called.
std::string_view ItemName(Signal signal);
// "/v1/traces": OTLP/HTTP, https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
std::string_view HttpPath(Signal signal);
// "/opentelemetry.proto.collector.trace.v1.TraceService/Export": OTLP/gRPC.
std::string_view GrpcPath(Signal signal);

}  // namespace tributary::otlp
