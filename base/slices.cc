#include "base/slices.h"

#include <algorithm>
#include <cstring>

namespace tributary::base {
namespace {
constexpr size_t kBlockBytesMin = 4 << 10;
constexpr size_t kBlockBytesMax = 256 << 10;
}  // namespace

void Slices::Copy(ByteView piece) {
  while (!piece.empty()) {
    if (blocks_.empty() || blocks_.back().used == blocks_.back().capacity) {
      const size_t grown = blocks_.empty() ? kBlockBytesMin : std::min(blocks_.back().capacity * 2, kBlockBytesMax);
      blocks_.push_back({std::make_unique_for_overwrite<uint8_t[]>(grown), 0, grown});
      tail_is_copy_ = false;
    }
    Block& block = blocks_.back();
    const size_t n = std::min(piece.size(), block.capacity - block.used);
    uint8_t* target = block.memory.get() + block.used;
    std::memcpy(target, piece.data(), n);
    block.used += n;
    if (tail_is_copy_) {
      pieces_.back().iov_len += n;
    } else {
      pieces_.push_back({target, n});
      tail_is_copy_ = true;
    }
    size_ += n;
    piece = piece.subspan(n);
  }
}

size_t Slices::owned_bytes() const {
  size_t sum = pieces_.capacity() * sizeof(iovec);
  for (const Block& block : blocks_) sum += block.capacity;
  return sum;
}

void Slices::Clear() {
  pieces_.clear();
  blocks_.clear();
  size_ = 0;
  tail_is_copy_ = false;
}

Bytes Slices::Flatten() const {
  Bytes flat;
  flat.Reserve(size_);
  for (const iovec& piece : pieces_) flat.Append({static_cast<const uint8_t*>(piece.iov_base), piece.iov_len});
  return flat;
}

}  // namespace tributary::base
