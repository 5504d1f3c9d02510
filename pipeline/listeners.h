// Listeners: every port of a process. Telemetry comes in at the OTLP ports and goes to the Intake; operators, scrapers
// and probes find their pages at the metrics and health ports. Lives on the loop's thread; what it refers to outlives
// it.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/budget.h"
#include "base/loop.h"
#include "base/result.h"
#include "pipeline/admin_service.h"
#include "pipeline/http_server.h"
#include "pipeline/intake.h"
#include "pipeline/otlp_service.h"
#include "pipeline/settings.h"

namespace tributary::pipeline {

class Listeners {
 public:
  // `receive_bytes_max` bounds the memory of connections and of requests being received.
  Listeners(base::Loop& loop, Intake& intake, size_t receive_bytes_max);

  // Listens at every address of `settings` that is not empty. The pages at the metrics and the health port are the
  // same.
  base::Status Open(const ListenSettings& settings);

  AdminService& pages() { return pages_; }
  // Who sends telemetry, asked of each connection accepted from now on.
  void set_source_of(SourceOf source_of) { otlp_server_.set_source_of(std::move(source_of)); }
  void set_receive_bytes_max(size_t bytes);
  // Stops taking telemetry: connections are told to end once their requests are answered. The pages stay.
  void Drain();

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  // Pages are small and few; they keep answering when telemetry has used up its own budget.
  static constexpr size_t kPageBytesMax = 4 << 20;

  base::Budget receive_budget_;
  base::Budget page_budget_;
  OtlpService otlp_;
  AdminService pages_;
  HttpServer otlp_server_;
  HttpServer page_server_;
};

}  // namespace tributary::pipeline
