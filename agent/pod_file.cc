#include "agent/pod_file.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "base/whole_file.h"

namespace tributary::agent {
namespace {

constexpr base::Nanos kLookInterval = std::chrono::seconds(1);

}  // namespace

PodFile::PodFile(base::Loop& loop, Pods& pods, std::string path, PodFields fields)
    : loop_(loop), pods_(pods), path_(std::move(path)), fields_(std::move(fields)) {
  Look();
}

void PodFile::Look() {
  again_ = loop_.RunAfter(kLookInterval, [this] { Look(); });
  std::error_code error;
  const auto written = std::filesystem::last_write_time(path_, error);
  if (error) {
    if (error_.empty()) spdlog::warn("kubernetes.pods_file: {}: {}", path_, error.message());
    error_ = fmt::format("{}: {}", path_, error.message());
    read_.reset();
    return;
  }
  if (read_ == written) return;
  read_ = written;
  auto list = ParsePodList(base::ReadText(path_), fields_);
  if (!list) {
    error_ = fmt::format("{}: {}", path_, list.error().message);
    spdlog::warn("kubernetes.pods_file: {}", error_);
    return;
  }
  error_.clear();
  pods_.Replace(std::move(list->pods), loop_.now());
}

}  // namespace tributary::agent
