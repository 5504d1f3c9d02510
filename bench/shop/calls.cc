#include "bench/shop/calls.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace tributary::bench::shop {
namespace {

constexpr double kNetworkMs = 0.25;
constexpr int64_t kHttpPort = 8080, kRpcPort = 9090, kDatabasePort = 5432;

Attributes With(Attributes attributes, const Attributes& more) {
  attributes.insert(attributes.end(), more.begin(), more.end());
  return attributes;
}

}  // namespace

int ServeHttp(Trace& trace, Service& server, std::string_view method, std::string_view route,
              const HttpHandler& handle) {
  const Attributes request = {{"http.request.method", std::string(method)},
                              {"http.route", std::string(route)},
                              {"url.scheme", "http"},
                              {"network.protocol.version", "1.1"}};
  ActiveSpan span(trace, server, Span::SPAN_KIND_SERVER, fmt::format("{} {}", method, route), request);
  span.Set({{"url.path", std::string(route)}, {"server.address", server.name()}, {"server.port", kHttpPort}});
  const int status = handle(span);
  span.Set({{"http.response.status_code", int64_t{status}}});
  Attributes measured = With(request, {{"http.response.status_code", int64_t{status}}});
  if (status >= 500) {
    span.Fail("");
    measured.emplace_back("error.type", std::to_string(status));
  }
  server.RecordSeconds("http.server.request.duration", measured, span.seconds(), span.context(), trace.now_unix_ns());
  return status;
}

int CallHttp(Trace& trace, Service& client, Service& server, std::string_view method, std::string_view route,
             const HttpHandler& handle) {
  const Attributes request = {
      {"http.request.method", std::string(method)}, {"server.address", server.name()}, {"server.port", kHttpPort}};
  ActiveSpan span(trace, client, Span::SPAN_KIND_CLIENT, method, request);
  span.Set({{"url.full", fmt::format("http://{}:{}{}", server.name(), kHttpPort, route)}});
  trace.Work(kNetworkMs);
  const int status = ServeHttp(trace, server, method, route, handle);
  trace.Work(kNetworkMs);
  span.Set({{"http.response.status_code", int64_t{status}}});
  Attributes measured = With(request, {{"http.response.status_code", int64_t{status}}});
  if (status >= 400) {
    span.Fail("");
    measured.emplace_back("error.type", std::to_string(status));
  }
  client.RecordSeconds("http.client.request.duration", measured, span.seconds(), span.context(), trace.now_unix_ns());
  return status;
}

bool CallRpc(Trace& trace, Service& client, Service& server, std::string_view rpc_service, std::string_view method,
             const RpcHandler& handle) {
  constexpr int64_t kOk = 0, kInternal = 13;
  const std::string name = fmt::format("{}/{}", rpc_service, method);
  const Attributes call = {
      {"rpc.system", "grpc"}, {"rpc.service", std::string(rpc_service)}, {"rpc.method", std::string(method)}};
  ActiveSpan client_span(trace, client, Span::SPAN_KIND_CLIENT, name, call);
  client_span.Set({{"server.address", server.name()}, {"server.port", kRpcPort}});
  trace.Work(kNetworkMs);
  bool ok = false;
  {
    ActiveSpan span(trace, server, Span::SPAN_KIND_SERVER, name, call);
    ok = handle(span);
    const Attributes status = {{"rpc.grpc.status_code", ok ? kOk : kInternal}};
    span.Set(status);
    if (!ok) span.Fail("INTERNAL");
    server.RecordSeconds("rpc.server.duration", With(call, status), span.seconds(), span.context(),
                         trace.now_unix_ns());
  }
  trace.Work(kNetworkMs);
  client_span.Set({{"rpc.grpc.status_code", ok ? kOk : kInternal}});
  if (!ok) client_span.Fail("INTERNAL");
  return ok;
}

bool Query(Trace& trace, Service& client, Service& database, std::string_view operation, std::string_view table,
           double median_ms, double failure_probability) {
  const Attributes query = {{"db.system.name", "postgresql"},
                            {"db.namespace", "shop"},
                            {"db.operation.name", std::string(operation)},
                            {"db.collection.name", std::string(table)}};
  const std::string name = fmt::format("{} {}", operation, table);
  ActiveSpan client_span(trace, client, Span::SPAN_KIND_CLIENT, name, query);
  client_span.Set({{"db.query.text", fmt::format("{} ... {} WHERE id = $1", operation, table)},
                   {"server.address", database.name()},
                   {"server.port", kDatabasePort}});
  trace.Work(kNetworkMs);
  const bool deadlock = trace.Chance(failure_probability);
  {
    ActiveSpan span(trace, database, Span::SPAN_KIND_SERVER, name, query);
    trace.Work(median_ms, 0.6);
    if (deadlock) {
      span.Throw("deadlock_detected", fmt::format("deadlock detected while updating {}", table),
                 "DETAIL: process 4711 waits for ShareLock on transaction 815; blocked by process 42");
    } else {
      span.Set({{"db.response.returned_rows", static_cast<int64_t>(trace.random()() % 40)}});
    }
  }
  trace.Work(kNetworkMs);
  if (deadlock) client_span.Fail("deadlock detected");
  client.RecordSeconds("db.client.operation.duration", query, client_span.seconds(), client_span.context(),
                       trace.now_unix_ns());
  return !deadlock;
}

SpanContext Publish(Trace& trace, Service& producer, std::string_view topic) {
  const Attributes message = {{"messaging.system", "kafka"},
                              {"messaging.operation.type", "send"},
                              {"messaging.destination.name", std::string(topic)}};
  ActiveSpan span(trace, producer, Span::SPAN_KIND_PRODUCER, fmt::format("send {}", topic), message);
  span.Set({{"messaging.destination.partition.id", std::to_string(trace.random()() % 12)}});
  trace.Work(1.5);
  producer.Add("messaging.client.sent.messages", "{message}", message, 1);
  return span.context();
}

void Consume(Trace& trace, Service& consumer, std::string_view topic, const SpanContext& message,
             MessageHandler handle) {
  trace.Later(message, [&trace, &consumer, topic = std::string(topic), message, handle = std::move(handle)] {
    const Attributes consumed = {{"messaging.system", "kafka"},
                                 {"messaging.operation.type", "process"},
                                 {"messaging.destination.name", topic},
                                 {"messaging.consumer.group.name", consumer.name()}};
    trace.Work(30, 0.8);  // in the queue
    ActiveSpan span(trace, consumer, Span::SPAN_KIND_CONSUMER, fmt::format("process {}", topic), consumed);
    span.Link(message, {});
    handle(span);
    consumer.Add("messaging.client.consumed.messages", "{message}", consumed, 1);
  });
}

}  // namespace tributary::bench::shop
