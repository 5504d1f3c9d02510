// HttpServer: listens on any number of addresses, with or without TLS, and serves one HttpService to whoever connects,
// over HTTP/2 (and so gRPC) and HTTP/1.1 on every port.
//
// Every connection takes its fixed cost from the Budget before it is accepted; while there is none, or no descriptor,
// or connections_max are open, new ones wait in the kernel's queue. So that nobody shuts the others out by connecting
// and doing nothing, or by sending half a request, those that stall the longest are ended when room becomes short.
// Lives on the loop's thread. The service and the budget outlive it; Replies may outlive it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "base/loop.h"
#include "base/metrics_text.h"
#include "base/result.h"
#include "base/socket.h"
#include "base/tls.h"
#include "pipeline/http.h"
#include "pipeline/server_connection.h"

namespace tributary::pipeline {

class HttpServer {
 public:
  HttpServer(base::Loop& loop, base::Budget& budget, HttpService& service, const HttpServerOptions& options = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Returns the address bound, with the port the kernel chose for port 0. `tls` may be null.
  base::Result<base::Address> Listen(const base::Address& address,
                                     std::shared_ptr<const base::TlsContext> tls = nullptr);

  // Of connections accepted from now on. Asked once each, on the loop's thread.
  void set_source_of(SourceOf source_of) { context_->source_of = std::move(source_of); }

  // Stops listening and ends every connection once its requests are answered, or after drain_max.
  void Drain();
  // Open connections. Zero some time after Drain.
  size_t connections() const { return connections_.size(); }

  // Adopts a connected socket. For tests.
  void Adopt(base::Fd socket);

  const HttpServerCounters& counters() const { return context_->counters; }
  // Samples with the label server="`name`".
  void WriteMetrics(std::string_view name, base::MetricsText& metrics) const;

  // The protocols to offer in a TlsContext for Listen.
  static std::vector<std::string> Alpn() { return {"h2", "http/1.1"}; }

 private:
  struct Listener {
    base::Fd socket;
    std::shared_ptr<const base::TlsContext> tls;
    base::Loop::Watch watch;
  };

  void AcceptFrom(Listener& listener);
  bool AcceptOne(Listener& listener);
  void Open(base::Stream stream, base::Reservation reservation);
  void PauseAccepting();
  void MakeRoom(base::Time now);
  void ScheduleTick();
  void Tick();

  std::shared_ptr<ServerContext> context_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::shared_ptr<ServerConnection>> connections_;
  bool accepting_ = true;
  base::Loop::Timer tick_;
};

}  // namespace tributary::pipeline
