// FileSink: writes telemetry to a file, one OTLP/JSON export request a line, as the OpenTelemetry Collector's file
// exporter does: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/
// The file is turned over by size (rotating_file.h). The path comes from the configuration alone, never from telemetry.
//
// Owned by its Destination, on the loop's thread; converting and writing happen on a Worker. A disk that is full or
// failing is a retryable Outcome.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/loop.h"
#include "base/result.h"
#include "base/worker.h"
#include "gateway/rotating_file.h"
#include "pipeline/sink.h"

namespace tributary::gateway {

class FileSink : public pipeline::Sink {
 public:
  static base::Result<std::unique_ptr<FileSink>> Open(base::Loop& loop, RotatingFile::Options options);
  ~FileSink() override;

  void Send(const pipeline::Outgoing& outgoing, Done done) override;
  void WriteMetrics(std::string_view name, base::MetricsText& metrics) const override;

 private:
  struct Written {
    pipeline::Outcome outcome;
    uint64_t bytes = 0;
    uint64_t rotations = 0;  // ever
  };

  struct Job {
    explicit Job(Done d) : done(std::move(d)) {}
    Done done;
    std::optional<Written> written;  // the worker's, until its task runs on the loop
  };

  FileSink(base::Loop& loop, RotatingFile file);
  Written Write(const pipeline::Outgoing& outgoing);

  RotatingFile file_;  // the worker's
  std::string line_;   // the worker's; kept for its memory

  std::deque<std::shared_ptr<Job>> waiting_;  // they end in order
  uint64_t bytes_ = 0;
  uint64_t rotations_ = 0;

  std::unique_ptr<base::Worker> worker_;  // last: its jobs use everything above
};

}  // namespace tributary::gateway
