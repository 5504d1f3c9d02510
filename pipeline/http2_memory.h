// Http2Memory: what nghttp2 allocates for one session, counted. Peers make it grow in ways no other limit sees: a
// header field that never ends, the debug text of a GOAWAY, tables, queues of acknowledgements.
//
// So many bytes are covered by what the session's owner has reserved for its usual state (all, until it says how many);
// more is asked of the budget. Once that refused, some call of nghttp2 has failed or will, perhaps one whose result
// nobody looks at: the session is then to be ended. Lives on the loop's thread and outlives the session.
#pragma once

#include <malloc.h>
#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/budget.h"

namespace tributary::pipeline {

class Http2Memory {
 public:
  explicit Http2Memory(base::Budget& budget) : beyond_(budget) {}
  Http2Memory(const Http2Memory&) = delete;
  Http2Memory& operator=(const Http2Memory&) = delete;

  void set_covered_bytes(size_t bytes) { covered_bytes_ = bytes; }
  bool refused() const { return refused_; }

  // For nghttp2_session_server_new3, which copies it.
  nghttp2_mem Allocator() { return {this, Malloc, Free, Calloc, Realloc}; }

 private:
  static Http2Memory& Self(void* user_data) { return *static_cast<Http2Memory*>(user_data); }

  static void* Malloc(size_t size, void* user_data) {
    return Self(user_data).Admits(size) ? Self(user_data).Count(std::malloc(size)) : nullptr;
  }
  static void* Calloc(size_t count, size_t size, void* user_data) {
    return Self(user_data).Admits(count * size) ? Self(user_data).Count(std::calloc(count, size)) : nullptr;
  }
  static void* Realloc(void* old, size_t size, void* user_data) {
    Http2Memory& self = Self(user_data);
    if (!self.Admits(size)) return nullptr;
    const size_t old_size = malloc_usable_size(old);
    void* moved = std::realloc(old, size);
    if (moved != nullptr) self.bytes_ -= old_size;
    return self.Count(moved);
  }
  static void Free(void* memory, void* user_data) {
    Http2Memory& self = Self(user_data);
    self.bytes_ -= malloc_usable_size(memory);
    std::free(memory);
    if (self.beyond_.bytes() == 0) return;
    self.beyond_.ShrinkTo(self.bytes_ > self.covered_bytes_ ? self.bytes_ - self.covered_bytes_ : 0);
  }

  bool Admits(size_t more) {
    const size_t bytes = bytes_ + more;
    if (bytes <= covered_bytes_ || beyond_.GrowTo(bytes - covered_bytes_)) return true;
    refused_ = true;
    return false;
  }
  void* Count(void* memory) {
    bytes_ += malloc_usable_size(memory);
    return memory;
  }

  size_t covered_bytes_ = SIZE_MAX;
  size_t bytes_ = 0;
  bool refused_ = false;
  base::Reservation beyond_;
};

}  // namespace tributary::pipeline
