#include "cli/export.h"

#include <cerrno>
#include <utility>

#include "otlp/json.h"
#include "otlp/scan.h"

namespace tributary::cli {

base::Result<Export> Export::Open(Options options) {
  if (options.file == "-") return Export(std::move(options), stdout);
  std::FILE* out = std::fopen(options.file.c_str(), "wxe");
  if (out == nullptr && errno == EEXIST) {
    return base::Fail("{} exists and is not overwritten: remove it, or name another file", options.file);
  }
  if (out == nullptr) return base::FailErrno(errno, "create " + options.file);
  return Export(std::move(options), out);
}

Export::Export(Export&& other) noexcept
    : options_(std::move(other.options_)), out_(std::exchange(other.out_, nullptr)) {}

Export::~Export() {
  if (out_ != nullptr && out_ != stdout) std::fclose(out_);
}

void Export::Take(const FrameFound& frame) {
  const otlp::Signal signal = frame.segment.signal();
  if (options_.signal && *options_.signal != signal) return;
  if (options_.unacknowledged && !frame.wanted) return;
  if (!otlp::Scan(signal, base::PaddedView::Promise(frame.payload))) {
    ++malformed_;
    return;
  }
  line_.clear();
  otlp::ProtoToJson(signal, frame.payload, line_);
  line_ += '\n';
  if (std::fwrite(line_.data(), 1, line_.size(), out_) != line_.size() && error_ == 0) error_ = errno;
  ++frames_;
  items_ += frame.header.items;
}

base::Status Export::Close() {
  if (std::fflush(out_) != 0 && error_ == 0) error_ = errno;
  if (error_ != 0) return base::FailErrno(error_, "write " + options_.file);
  return {};
}

}  // namespace tributary::cli
