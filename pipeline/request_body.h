// RequestBody: the body of one request while it comes in, kept in one run of bytes under a limit and a budget.
//
// A declared length is believed only for the last step of growth: the budget is asked, and memory taken, as bytes
// really arrive. Lives on the loop's thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/budget.h"
#include "base/bytes.h"
#include "pipeline/http.h"

namespace tributary::pipeline {

class RequestBody {
 public:
  explicit RequestBody(base::Budget& budget) : reservation_(budget) {}

  // `declared` is SIZE_MAX when the peer declared nothing.
  void Begin(size_t bytes_max, size_t declared) {
    bytes_max_ = bytes_max;
    declared_ = declared;
  }

  // Keeps `more`, or says why not.
  std::optional<HttpService::BodyFault> Append(base::ByteView more) {
    const size_t size = bytes_.size() + more.size();
    if (size > bytes_max_) return HttpService::BodyFault::kTooLarge;
    // Counted in small steps, or a few senders who stop half-way would hold the whole budget with next to nothing.
    if (!reservation_.GrowTo(RoundUp(size, kCountedBytes))) return HttpService::BodyFault::kNoMemory;
    // Taken in large ones, twice as much each time, since moving what is there costs; what was not written to is not
    // there yet.
    if (size > bytes_.capacity()) {
      bytes_.Reserve(std::max(RoundUp(size, kTakenBytes), std::min(declared_, 2 * bytes_.capacity())));
    }
    bytes_.Append(more);
    return std::nullopt;
  }

  size_t size() const { return bytes_.size(); }
  // The body is then the caller's, to account for too.
  base::Bytes Take() {
    reservation_.Release();
    return std::exchange(bytes_, base::Bytes());
  }

 private:
  static constexpr size_t kCountedBytes = 16 << 10;
  static constexpr size_t kTakenBytes = 256 << 10;

  // `size` in whole steps, but no more than was declared.
  size_t RoundUp(size_t size, size_t step) const {
    return std::max(size, std::min(declared_, (size + step - 1) / step * step));
  }

  size_t bytes_max_ = 0;
  size_t declared_ = SIZE_MAX;
  base::Bytes bytes_;
  base::Reservation reservation_;
};

}  // namespace tributary::pipeline
