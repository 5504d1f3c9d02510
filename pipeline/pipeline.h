// Pipeline: what a process that passes telemetry on is made of: a Log, the Destinations that read it, the Intake that
// fills it, the ports it comes in at, and the pages that tell about all of them. The agent has one, a gateway has one.
//
// Members are declared downstream first, so that construction starts what delivers before what receives, and
// destruction stops receiving before delivering. Lives on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/loop.h"
#include "base/result.h"
#include "pipeline/destination.h"
#include "pipeline/drain.h"
#include "pipeline/intake.h"
#include "pipeline/listeners.h"
#include "pipeline/log.h"
#include "pipeline/settings.h"

namespace tributary::pipeline {

class Pipeline {
 public:
  using Destinations = std::vector<std::unique_ptr<Destination>>;

  // A directory that cannot be used is an error; what is damaged in it is not.
  static base::Result<std::unique_ptr<Pipeline>> Create(base::Loop& loop, const LogSettings& log,
                                                        const MemorySettings& memory);

  Log& log() { return *log_; }
  // Add and remove as the configuration says. All read the Log from when they were added; those added before Open() go
  // on where an earlier life's of their names were.
  Destinations& destinations() { return destinations_; }

  // Who sends telemetry; set before Open(), so that no connection is missed.
  void set_source_of(SourceOf source_of) { listeners_.set_source_of(std::move(source_of)); }
  // What the program itself adds to /metrics.
  void set_more_metrics(std::function<void(base::MetricsText&)> write) { more_metrics_ = std::move(write); }

  // Takes telemetry from now on, and shows the pages: /metrics, /live, /ready and /, which is /ready too.
  base::Status Open(const ListenSettings& listen);
  void SetLimits(const LogSettings& log, const MemorySettings& memory);

  // Takes no more telemetry and sends what it has. When all is sent or `grace` is over, `drained` is told, for people,
  // what becomes of what is left; nothing when nothing is.
  void Drain(base::Nanos grace, std::move_only_function<void(std::string rest)> drained);

 private:
  Pipeline(base::Loop& loop, std::unique_ptr<base::FileSystem> file_system, std::unique_ptr<Log> log,
           const MemorySettings& memory);

  void AddPages();
  std::string MetricsPage() const;

  base::Loop& loop_;
  std::unique_ptr<base::FileSystem> file_system_;
  std::unique_ptr<Log> log_;
  Destinations destinations_;
  Intake intake_;
  Listeners listeners_;
  std::function<void(base::MetricsText&)> more_metrics_;
  std::optional<class Drain> drain_;
};

}  // namespace tributary::pipeline
