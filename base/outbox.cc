#include "base/outbox.h"

#include <algorithm>
#include <array>

namespace tributary::base {

Stream::IoResult Outbox::WriteTo(Stream& stream) {
  while (!empty()) {
    std::array<iovec, 64> window;  // as many as Stream gives the kernel at once
    const auto left = pending_.pieces().subspan(piece_);
    const size_t n = std::min(left.size(), window.size());
    std::copy_n(left.begin(), n, window.begin());
    window[0].iov_base = static_cast<uint8_t*>(window[0].iov_base) + offset_;
    window[0].iov_len -= offset_;
    const Stream::IoResult result = stream.Write({window.data(), n});
    if (result.kind != Stream::Kind::kOk) return result;
    Advance(result.bytes);
  }
  return {Stream::Kind::kOk};
}

void Outbox::Advance(size_t bytes) {
  written_of_pending_ += bytes;
  if (empty()) return Discard();
  offset_ += bytes;
  while (offset_ >= pending_.pieces()[piece_].iov_len) offset_ -= pending_.pieces()[piece_++].iov_len;
}

void Outbox::KeepOwnCopy() {
  Slices copy;
  size_t skip = offset_;
  for (const iovec& piece : pending_.pieces().subspan(piece_)) {
    copy.Copy(ByteView(static_cast<const uint8_t*>(piece.iov_base), piece.iov_len).subspan(skip));
    skip = 0;
  }
  Discard();
  pending_ = std::move(copy);
}

void Outbox::Discard() {
  written_before_ += written_of_pending_;
  pending_.Clear();
  piece_ = offset_ = written_of_pending_ = 0;
}

}  // namespace tributary::base
