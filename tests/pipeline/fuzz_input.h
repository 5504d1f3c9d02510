// FuzzInput: a fuzzer's bytes, taken one after the other as small numbers; zeros when they are used up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace tributary::pipeline {

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  uint8_t Byte() {
    if (left_.empty()) return 0;
    const uint8_t byte = left_.front();
    left_ = left_.subspan(1);
    return byte;
  }
  uint64_t Number(int bytes) {
    uint64_t number = 0;
    for (; bytes > 0; --bytes) number = number << 8 | Byte();
    return number;
  }
  base::ByteView Rest() { return std::exchange(left_, {}); }

  // Up to seven times: another byte put somewhere. And the end cut off, one time in four.
  void Damage(std::vector<uint8_t>& content) {
    for (uint8_t times = Byte() % 8; times > 0; --times) {
      const uint64_t at = Number(2);
      const uint8_t byte = Byte();
      if (at < content.size()) content[at] = byte;
    }
    if (Byte() % 4 == 3) content.resize(std::min<size_t>(content.size(), Number(2)));
  }

 private:
  base::ByteView left_;
};

}  // namespace tributary::pipeline
