// Slices: one message made of pieces, ready for writev: long pieces are referred to where they lie, short ones
// (headers, rewritten lengths, small requests) are copied together, because an iovec costs more than copying a few
// hundred bytes. Referred-to memory must outlive the Slices. Move-only; any thread, one at a time.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace tributary::base {

class Slices {
 public:
  // Pieces shorter than this are copied rather than referred to.
  static constexpr size_t kReferBytesMin = 1024;

  void Copy(ByteView piece);
  void Copy(std::string_view piece) { Copy(AsBytes(piece)); }
  // Refers to `piece` when it is long enough to be worth an iovec, else copies it.
  void Refer(ByteView piece) {
    if (piece.size() < kReferBytesMin) {
      Copy(piece);
    } else {
      pieces_.push_back({const_cast<uint8_t*>(piece.data()), piece.size()});
      size_ += piece.size();
      tail_is_copy_ = false;
    }
  }
  // Refers to, or copies, every piece of `other`, whose copied pieces must outlive this too.
  void Refer(const Slices& other) {
    for (const iovec& piece : other.pieces_) Refer({static_cast<const uint8_t*>(piece.iov_base), piece.iov_len});
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<const iovec> pieces() const { return pieces_; }
  // Bytes of memory this holds itself (copied pieces), for budgets.
  size_t owned_bytes() const;

  void Clear();
  // The whole message in one run, with Bytes' padding.
  Bytes Flatten() const;

 private:
  // Copies go into blocks that never move, so that iovecs into them stay valid.
  struct Block {
    std::unique_ptr<uint8_t[]> memory;
    size_t used = 0;
    size_t capacity = 0;
  };

  std::vector<iovec> pieces_;
  std::vector<Block> blocks_;
  size_t size_ = 0;
  bool tail_is_copy_ = false;  // the last piece ends where the last block's free space begins
};

}  // namespace tributary::base
