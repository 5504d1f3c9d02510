// Shop: twelve services and what customers do with them, including what goes wrong: cards are declined, the payment
// provider times out, the database deadlocks, and every other minute one service has a bad half minute. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/shop/service.h"
#include "bench/shop/trace.h"

namespace tributary::bench::shop {

// A time in which one thing goes wrong far more often, or takes far longer, than it should.
enum class Incident : uint8_t { kNone, kSlowDatabase, kPaymentProviderDown, kSlowSearch };
std::string_view Describe(Incident incident);

class Shop {
 public:
  Shop(uint64_t seed, uint64_t start_unix_ns);

  // One customer's request, which begins at `start_unix_ns`: the spans, logs and measurements of one trace.
  void Visit(uint64_t start_unix_ns);
  // What services measure of themselves.
  void Sample(double interval_s);
  void set_incident(Incident incident) { incident_ = incident; }

  std::array<Service, 12>& services() { return services_; }

 private:
  enum Name : size_t { kGw, kAuth, kApi, kOrd, kInv, kDb, kPay, kCart, kShip, kMail, kRec, kSearch };
  Service& At(Name name) { return services_[name]; }

  int ShowHome(Trace& trace);
  int FindProducts(Trace& trace);
  int ShowProduct(Trace& trace);
  int FillCart(Trace& trace);
  int CheckOut(Trace& trace);

  bool LogIn(Trace& trace);
  bool Recommend(Trace& trace);
  bool Reserve(Trace& trace);
  int Pay(Trace& trace, double amount);
  int PlaceOrder(Trace& trace, ActiveSpan& span);
  bool Ask(Trace& trace, Name client, std::string_view operation, std::string_view table, double median_ms);

  Random random_;
  std::array<Service, 12> services_;
  Incident incident_ = Incident::kNone;
  int64_t customers_ = 0;  // logged in
};

}  // namespace tributary::bench::shop
