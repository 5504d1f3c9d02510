// The ways in which services of the demo shop call one another, each with the spans, attributes and measurements that
// the OpenTelemetry semantic conventions ask of both sides: https://opentelemetry.io/docs/specs/semconv/. One thread.
#pragma once

#include <functional>
#include <string_view>

#include "bench/shop/service.h"
#include "bench/shop/trace.h"

namespace tributary::bench::shop {

// What the called service does: gets its own SERVER or CONSUMER span.
using HttpHandler = std::function<int(ActiveSpan&)>;  // returns the status code
using RpcHandler = std::function<bool(ActiveSpan&)>;  // false: INTERNAL
using MessageHandler = std::function<void(ActiveSpan&)>;

// A request from outside the shop.
int ServeHttp(Trace& trace, Service& server, std::string_view method, std::string_view route,
              const HttpHandler& handle);
int CallHttp(Trace& trace, Service& client, Service& server, std::string_view method, std::string_view route,
             const HttpHandler& handle);
bool CallRpc(Trace& trace, Service& client, Service& server, std::string_view rpc_service, std::string_view method,
             const RpcHandler& handle);
// A statement sent to `database`, which takes about `median_ms`. False after a deadlock.
bool Query(Trace& trace, Service& client, Service& database, std::string_view operation, std::string_view table,
           double median_ms, double failure_probability);
// A message put on `topic`: its context, which the consumers' spans link to.
SpanContext Publish(Trace& trace, Service& producer, std::string_view topic);
// The consumer's side, later, as a part of the same trace.
void Consume(Trace& trace, Service& consumer, std::string_view topic, const SpanContext& message,
             MessageHandler handle);

}  // namespace tributary::bench::shop
