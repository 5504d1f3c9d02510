// Bytes: an owned, growable run of bytes, and the padded view that scanners read.
//
// Telemetry is kept as bytes from the socket to the backend, so this is the type most memory of the process is in:
// move-only, uninitialised when it grows, and always followed by kPadding readable bytes, so that a scanner may load
// a whole vector at any position without asking where the end is. The padding's content is arbitrary.
// Any thread; one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace tributary::base {

using ByteView = std::span<const uint8_t>;

inline ByteView AsBytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view AsText(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class Bytes {
 public:
  static constexpr size_t kPadding = 64;

  Bytes() = default;
  explicit Bytes(ByteView content) { Append(content); }
  explicit Bytes(std::string_view content) : Bytes(AsBytes(content)) {}
  ~Bytes() { std::free(data_); }
  Bytes(Bytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Bytes& operator=(Bytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }

  const uint8_t* data() const { return data_; }
  uint8_t* data() { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Bytes that size() can reach without moving. What the allocator was asked for is this plus kPadding.
  size_t capacity() const { return capacity_; }
  ByteView view() const { return {data_, size_}; }
  operator ByteView() const { return view(); }
  uint8_t& operator[](size_t i) { return data_[i]; }
  uint8_t operator[](size_t i) const { return data_[i]; }

  void Reserve(size_t capacity) {
    if (capacity > capacity_) Reallocate(capacity);
  }
  // Grows without writing the new bytes; shrinks without freeing.
  void ResizeUninitialized(size_t size) {
    if (size > capacity_) Reallocate(size > 2 * capacity_ ? size : 2 * capacity_);
    size_ = size;
  }
  void Append(ByteView more) {
    if (more.empty()) return;
    const size_t old_size = size_;
    ResizeUninitialized(old_size + more.size());
    std::memcpy(data_ + old_size, more.data(), more.size());
  }
  void Append(std::string_view more) { Append(AsBytes(more)); }
  void Push(uint8_t byte) {
    ResizeUninitialized(size_ + 1);
    data_[size_ - 1] = byte;
  }
  void Clear() { size_ = 0; }

 private:
  void Reallocate(size_t capacity) {
    void* moved = std::realloc(data_, capacity + kPadding);
    CHECK(moved != nullptr);
    data_ = static_cast<uint8_t*>(moved);
    capacity_ = capacity;
  }

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Bytes that someone else owns and that are followed by Bytes::kPadding readable ones. Made from Bytes, or by a caller
// who says so in writing.
class PaddedView {
 public:
  PaddedView(const Bytes& bytes) : view_(bytes.view()) {}  // NOLINT: this conversion is the point
  static PaddedView Promise(ByteView padded) { return PaddedView(padded); }

  ByteView view() const { return view_; }
  const uint8_t* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }

 private:
  explicit PaddedView(ByteView view) : view_(view) {}
  ByteView view_;
};

}  // namespace tributary::base
