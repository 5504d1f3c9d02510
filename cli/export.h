// Frames as OTLP/JSON, one Export request a line, as the OpenTelemetry Collector's file exporter writes them and its
// otlpjsonfile receiver reads them. Lives in one call of Look(); any thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "cli/survey.h"
#include "otlp/signal.h"

namespace tributary::cli {

class Export {
 public:
  struct Options {
    std::string file;  // "-": standard output. One that exists is not touched
    std::optional<otlp::Signal> signal;
    bool unacknowledged = false;  // only frames that some cursor waits for
  };
  static base::Result<Export> Open(Options options);
  ~Export();
  Export(Export&& other) noexcept;
  Export& operator=(Export&&) = delete;

  void Take(const FrameFound& frame);
  // After the last: an error when not all was written.
  base::Status Close();

  uint64_t frames() const { return frames_; }
  uint64_t items() const { return items_; }
  // Whole frames that are no OTLP requests.
  uint64_t malformed() const { return malformed_; }

 private:
  Export(Options options, std::FILE* out) : options_(std::move(options)), out_(out) {}

  Options options_;
  std::FILE* out_;
  int error_ = 0;
  std::string line_;
  uint64_t frames_ = 0;
  uint64_t items_ = 0;
  uint64_t malformed_ = 0;
};

}  // namespace tributary::cli
