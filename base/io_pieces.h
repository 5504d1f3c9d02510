// IoPieces: what is left of one gathered write, as the system calls want it. The memory is its owner's. One thread at a
// time.
#pragma once

#include <limits.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace tributary::base {

class IoPieces {
 public:
  explicit IoPieces(std::span<const ByteView> pieces) {
    vectors_.reserve(pieces.size());
    for (const ByteView piece : pieces) {
      if (!piece.empty()) vectors_.push_back({const_cast<uint8_t*>(piece.data()), piece.size()});
    }
  }

  bool empty() const { return first_ == vectors_.size(); }
  // From the front, no more than one call takes.
  std::span<const iovec> next() const {
    return std::span(vectors_).subspan(first_, std::min<size_t>(vectors_.size() - first_, IOV_MAX));
  }
  // All that is left goes into one call.
  bool next_is_last() const { return vectors_.size() - first_ <= IOV_MAX; }

  // `bytes` of it are written.
  void Advance(size_t bytes) {
    while (bytes > 0 && bytes >= vectors_[first_].iov_len) bytes -= vectors_[first_++].iov_len;
    if (bytes == 0) return;
    iovec& partly = vectors_[first_];
    partly = {static_cast<uint8_t*>(partly.iov_base) + bytes, partly.iov_len - bytes};
  }

 private:
  std::vector<iovec> vectors_;  // none empty
  size_t first_ = 0;
};

}  // namespace tributary::base
