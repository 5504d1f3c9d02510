#include "gateway/file_sink.h"

#include <utility>

#include "otlp/json.h"

namespace tributary::gateway {
namespace {
// A line buffer that grew beyond this is given back.
constexpr size_t kLineBytesKept = 1 << 20;
}  // namespace

base::Result<std::unique_ptr<FileSink>> FileSink::Open(base::Loop& loop, RotatingFile::Options options) {
  auto file = RotatingFile::Open(std::move(options));
  if (!file) return std::unexpected(file.error());
  return std::unique_ptr<FileSink>(new FileSink(loop, std::move(*file)));
}

FileSink::FileSink(base::Loop& loop, RotatingFile file)
    : file_(std::move(file)), worker_(std::make_unique<base::Worker>(loop, "file-sink")) {}

// What is in the file is delivered, although the loop was not told yet.
FileSink::~FileSink() {
  worker_.reset();
  for (const auto& job : waiting_) {
    job->done(job->written ? std::move(job->written->outcome)
                           : pipeline::Outcome::Retry(pipeline::Reason::kStorage, "the file is being closed"));
  }
}

void FileSink::Send(const pipeline::Outgoing& outgoing, Done done) {
  auto job = std::make_shared<Job>(std::move(done));
  waiting_.push_back(job);
  worker_->Run([this, job, &outgoing]() -> base::Loop::Task {
    job->written = Write(outgoing);
    return [this, job] {
      bytes_ += job->written->bytes;
      rotations_ = job->written->rotations;
      waiting_.pop_front();
      job->done(std::move(job->written->outcome));
    };
  });
}

FileSink::Written FileSink::Write(const pipeline::Outgoing& outgoing) {
  line_.clear();
  otlp::ProtoToJson(outgoing.signal, outgoing.request.Flatten(), line_);
  line_ += '\n';
  Written written;
  if (auto appended = file_.Append(line_)) {
    written.bytes = line_.size();
  } else {
    written.outcome = pipeline::Outcome::Retry(pipeline::Reason::kStorage, std::move(appended.error().message));
  }
  written.rotations = file_.rotations();
  if (line_.capacity() > kLineBytesKept) line_ = std::string();
  return written;
}

void FileSink::WriteMetrics(std::string_view name, base::MetricsText& metrics) const {
  metrics.Counter("tributary_file_written_bytes_total", "Bytes written to the file.", {{"destination", name}},
                  static_cast<double>(bytes_));
  metrics.Counter("tributary_file_rotations_total", "Times the file was set aside because it was full.",
                  {{"destination", name}}, static_cast<double>(rotations_));
}

}  // namespace tributary::gateway
