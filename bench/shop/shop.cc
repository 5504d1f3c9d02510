#include "bench/shop/shop.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/shop/calls.h"

namespace tributary::bench::shop {

std::string_view Describe(Incident incident) {
  switch (incident) {
    case Incident::kNone:
      return "all is well again";
    case Incident::kSlowDatabase:
      return "db has become slow: look at inv, ord and everything above them";
    case Incident::kPaymentProviderDown:
      return "the payment provider behind pay stops answering: orders fail";
    case Incident::kSlowSearch:
      return "search has become slow";
  }
  return "";
}

Shop::Shop(uint64_t seed, uint64_t start_unix_ns)
    : random_(seed),
      services_{{{"gw", "go", "1.9.0", "gw-7c9d5-x2v8k", start_unix_ns},
                 {"auth", "java", "3.2.1", "auth-6b7f4-q9w2m", start_unix_ns},
                 {"api", "nodejs", "12.4.0", "api-5f6c8-h4j7p", start_unix_ns},
                 {"ord", "java", "2.18.3", "ord-58d9b-k3l6z", start_unix_ns},
                 {"inv", "go", "0.31.2", "inv-84c6d-r5t8n", start_unix_ns},
                 {"db", "cpp", "15.4", "db-0", start_unix_ns},
                 {"pay", "python", "4.0.7", "pay-79b5f-c6v9b", start_unix_ns},
                 {"cart", "dotnet", "1.14.0", "cart-66d8c-m2n5x", start_unix_ns},
                 {"ship", "go", "0.9.5", "ship-5c7b9-f8g3d", start_unix_ns},
                 {"mail", "ruby", "2.2.0", "mail-6f4d7-w7e4r", start_unix_ns},
                 {"rec", "python", "0.12.1", "rec-7b8c6-y3u6i", start_unix_ns},
                 {"search", "rust", "1.0.4", "search-59f7d-a4s7l", start_unix_ns}}} {}

void Shop::Visit(uint64_t start_unix_ns) {
  Trace trace(random_, start_unix_ns);
  struct Journey {
    std::string_view method, route;
    int (Shop::*act)(Trace&);
    double weight;
  };
  static constexpr std::array<Journey, 5> kJourneys = {{{"GET", "/", &Shop::ShowHome, 30},
                                                        {"GET", "/search", &Shop::FindProducts, 25},
                                                        {"GET", "/products/{id}", &Shop::ShowProduct, 25},
                                                        {"POST", "/cart/items", &Shop::FillCart, 12},
                                                        {"POST", "/checkout", &Shop::CheckOut, 8}}};
  std::array<double, kJourneys.size()> weights;
  std::ranges::transform(kJourneys, weights.begin(), &Journey::weight);
  const Journey& journey = kJourneys[std::discrete_distribution<size_t>(weights.begin(), weights.end())(random_)];

  static constexpr std::array kAgents = {"Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0", "ShopApp/7.3 (Android 14)",
                                         "ShopApp/7.3 (iOS 17.5)"};
  ServeHttp(trace, At(kGw), journey.method, journey.route, [&](ActiveSpan& span) {
    span.Set({{"client.address", fmt::format("203.0.113.{}", random_() % 256)},
              {"user_agent.original", kAgents[random_() % kAgents.size()]}});
    trace.Work(0.6);
    const int status = (this->*journey.act)(trace);
    span.Log(status < 500 ? Severity::kInfo : Severity::kError,
             fmt::format("{} {} {}", journey.method, journey.route, status),
             {{"http.response.status_code", int64_t{status}}, {"duration_ms", span.seconds() * 1e3}});
    return status;
  });
  trace.FinishLater();
}

int Shop::ShowHome(Trace& trace) {
  return CallHttp(trace, At(kGw), At(kApi), "GET", "/api/home", [&](ActiveSpan& span) {
    trace.Work(2);
    bool recommended = true;
    trace.AtOnce({[&] { recommended = Recommend(trace); }, [&] { Ask(trace, kApi, "SELECT", "banners", 1.2); }});
    if (!recommended) span.Log(Severity::kWarn, "showing the page without recommendations");
    return 200;
  });
}

int Shop::FindProducts(Trace& trace) {
  return CallHttp(trace, At(kGw), At(kApi), "GET", "/api/search", [&](ActiveSpan& api_span) {
    static constexpr std::array kQueries = {"red shoes", "tea kettle", "usb cable", "winter jacket", "lamp"};
    const std::string query = kQueries[random_() % kQueries.size()];
    api_span.Set({{"shop.search.query", query}});
    const bool ok = CallRpc(trace, At(kApi), At(kSearch), "shop.Search", "Find", [&](ActiveSpan& span) {
      trace.Work(incident_ == Incident::kSlowSearch ? 900 : 12, 0.5);
      const auto hits = static_cast<double>(1 + random_() % 500);
      span.Event("index.searched", {{"shards", int64_t{4}}, {"hits", hits}});
      span.service().RecordExponential("shop.search.hits", "{product}", {}, hits);
      return Ask(trace, kSearch, "SELECT", "products", 2);
    });
    trace.Work(1);
    return ok ? 200 : 503;
  });
}

int Shop::ShowProduct(Trace& trace) {
  return CallHttp(trace, At(kGw), At(kApi), "GET", "/api/products/{id}", [&](ActiveSpan& span) {
    const auto product = static_cast<int64_t>(random_() % 5000);
    span.Set({{"shop.product.id", product}});
    if (trace.Chance(0.02)) {
      span.Log(Severity::kWarn, "no such product", {{"shop.product.id", product}});
      return 404;
    }
    int stock_status = 200;
    trace.AtOnce({[&] {
                    stock_status = CallHttp(trace, At(kApi), At(kInv), "GET", "/stock/{id}", [&](ActiveSpan&) {
                      trace.Work(1);
                      return Ask(trace, kInv, "SELECT", "stock", 1.5) ? 200 : 500;
                    });
                  },
                  [&] { Recommend(trace); }});
    return stock_status == 200 ? 200 : 502;
  });
}

int Shop::FillCart(Trace& trace) {
  if (!LogIn(trace)) return 401;
  return CallHttp(trace, At(kGw), At(kApi), "POST", "/api/cart/items", [&](ActiveSpan&) {
    trace.Work(1);
    return CallHttp(trace, At(kApi), At(kCart), "PUT", "/carts/{id}", [&](ActiveSpan& span) {
      trace.Work(3);
      span.service().AddUpDown("shop.cart.items", "{item}", {}, 1);
      span.Log(Severity::kInfo, "item added", {{"shop.cart.size", static_cast<int64_t>(1 + random_() % 9)}});
      return 200;
    });
  });
}

int Shop::CheckOut(Trace& trace) {
  if (!LogIn(trace)) return 401;
  return CallHttp(trace, At(kGw), At(kApi), "POST", "/api/orders", [&](ActiveSpan&) {
    trace.Work(2);
    return CallHttp(trace, At(kApi), At(kOrd), "POST", "/orders",
                    [&](ActiveSpan& span) { return PlaceOrder(trace, span); });
  });
}

bool Shop::LogIn(Trace& trace) {
  return CallRpc(trace, At(kGw), At(kAuth), "shop.Auth", "Verify", [&](ActiveSpan& span) {
    trace.Work(4);
    if (trace.Chance(0.01)) {
      span.Log(Severity::kWarn, "token has expired");
      return false;
    }
    customers_ = std::max<int64_t>(0, customers_ + static_cast<int64_t>(random_() % 5) - 2);
    return true;
  });
}

bool Shop::Recommend(Trace& trace) {
  return CallRpc(trace, At(kApi), At(kRec), "shop.Recommendations", "List", [&](ActiveSpan& span) {
    trace.Work(8, 0.7);
    if (trace.Chance(0.005)) {
      span.Throw("ValueError", "embedding of the customer is empty",
                 "Traceback (most recent call last):\n  File \"rec/model.py\", line 88, in rank\nValueError: embedding "
                 "of the customer is empty");
      return false;
    }
    return Ask(trace, kRec, "SELECT", "purchases", 3);
  });
}

bool Shop::Reserve(Trace& trace) {
  return CallRpc(trace, At(kOrd), At(kInv), "shop.Inventory", "Reserve", [&](ActiveSpan& span) {
    trace.Work(2);
    for (int attempt = 1; attempt <= 3; ++attempt) {
      if (Ask(trace, kInv, "UPDATE", "stock", 4)) return true;
      span.Log(Severity::kWarn, "reservation deadlocked, trying again", {{"attempt", int64_t{attempt}}});
      trace.Work(10);
    }
    span.Throw("inventory.ErrBusy", "stock could not be reserved in three attempts",
               "goroutine 88 [running]:\nshop/inv.(*Store).Reserve(0xc0001)\n\t/src/inv/store.go:131");
    return false;
  });
}

int Shop::Pay(Trace& trace, double amount) {
  return CallHttp(trace, At(kOrd), At(kPay), "POST", "/charges", [&](ActiveSpan& span) {
    span.Set({{"shop.order.amount", amount}});
    trace.Work(3);
    ActiveSpan provider(trace, span.service(), Span::SPAN_KIND_CLIENT, "POST",
                        {{"http.request.method", "POST"},
                         {"server.address", "api.payments.example"},
                         {"server.port", int64_t{443}},
                         {"url.full", "https://api.payments.example/v2/charges"}});
    if (trace.Chance(incident_ == Incident::kPaymentProviderDown ? 0.7 : 0.01)) {
      trace.Work(2500, 0.1);
      provider.Throw("requests.exceptions.ReadTimeout", "api.payments.example did not answer within 2.5 s",
                     "Traceback (most recent call last):\n  File \"pay/provider.py\", line 57, in "
                     "charge\nrequests.exceptions.ReadTimeout");
      return 504;
    }
    trace.Work(90, 0.5);
    if (trace.Chance(0.04)) {
      provider.Set({{"http.response.status_code", int64_t{402}}});
      provider.Fail("");
      span.Log(Severity::kWarn, "card declined", {{"shop.payment.reason", "insufficient_funds"}});
      return 402;
    }
    provider.Set({{"http.response.status_code", int64_t{201}}});
    return 201;
  });
}

int Shop::PlaceOrder(Trace& trace, ActiveSpan& span) {
  const double amount = 5 + static_cast<double>(random_() % 20'000) / 100;
  const auto order = static_cast<int64_t>(100'000 + random_() % 900'000);
  span.Set({{"shop.order.id", order}, {"shop.order.amount", amount}});
  trace.Work(3);
  if (!Reserve(trace)) return 503;
  if (const int paid = Pay(trace, amount); paid != 201) {
    span.Log(paid < 500 ? Severity::kInfo : Severity::kError, "order not placed: payment failed",
             {{"shop.order.id", order}, {"http.response.status_code", int64_t{paid}}});
    return paid < 500 ? 402 : 502;
  }
  CallHttp(trace, At(kOrd), At(kCart), "DELETE", "/carts/{id}", [&](ActiveSpan& cart) {
    trace.Work(2);
    cart.service().AddUpDown("shop.cart.items", "{item}", {}, -1);
    return 204;
  });
  if (!Ask(trace, kOrd, "INSERT", "orders", 3)) return 503;

  const SpanContext placed = Publish(trace, At(kOrd), "orders.placed");
  span.service().Add("shop.orders", "{order}", {{"shop.currency", "EUR"}}, 1);
  span.service().Add("shop.revenue", "EUR", {}, amount);
  span.Log(Severity::kInfo, "order placed", {{"shop.order.id", order}, {"shop.order.amount", amount}});
  Consume(trace, At(kShip), "orders.placed", placed, [&trace, order](ActiveSpan& ship) {
    trace.Work(12);
    ship.Log(Severity::kInfo, "shipment booked", {{"shop.order.id", order}, {"shop.carrier", "parcel"}});
  });
  Consume(trace, At(kMail), "orders.placed", placed, [&trace, order](ActiveSpan& mail) {
    trace.Work(40, 0.6);
    mail.Log(Severity::kInfo, "confirmation sent", {{"shop.order.id", order}});
  });
  return 201;
}

bool Shop::Ask(Trace& trace, Name client, std::string_view operation, std::string_view table, double median_ms) {
  double slowdown = incident_ == Incident::kSlowDatabase ? 25 : 1;
  if (trace.Chance(0.01)) slowdown *= 15;  // a cold page, a lock
  return Query(trace, At(client), At(kDb), operation, table, median_ms * slowdown,
               operation == "UPDATE" ? 0.02 : 0.001);
}

void Shop::Sample(double interval_s) {
  std::normal_distribution<double> noise(0, 0.03);
  for (Service& service : services_) {
    const double utilization = std::clamp(0.25 + noise(random_), 0.01, 1.0);
    service.Set("process.cpu.utilization", "1", {}, utilization);
    service.Add("process.cpu.time", "s", {{"cpu.mode", "user"}}, utilization * interval_s);
    service.AddUpDown("process.memory.usage", "By", {}, static_cast<int64_t>(random_() % 2'000'001) - 1'000'000);
  }
  At(kAuth).Set("shop.customers.active", "{customer}", {}, static_cast<double>(customers_));
}

}  // namespace tributary::bench::shop
