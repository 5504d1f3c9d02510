// CanonicalWriter: builds a protobuf message from fields that come in any order. What it leaves in the buffer is
// canonical: fields in number order, minimal lengths, and of a field written twice only the last.
//
// A nested message is written in place, after one byte kept for its length; closing it moves the body up when the
// length needs more bytes, and sorts it when its fields did not come in order. Most producers write in order, so that
// is rare. Owned by one transcoding; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "otlp/wire.h"

namespace tributary::otlp {

class CanonicalWriter {
 public:
  // Appends to `out`, which must outlive this.
  explicit CanonicalWriter(base::Bytes& out) : out_(out) { levels_.push_back({.body = out.size()}); }

  // Every field starts with this, also when nothing follows because the value is the default: it takes the place of
  // what was written before under the number. A repeated field's values share one Field() when they come together.
  void Field(uint32_t number);

  void Scalar(uint32_t number, WireType type, uint64_t raw) {
    AppendTag(out_, number, type);
    Raw(type, raw);
  }
  // An element of a packed field: the varint, or the low bytes of `raw`.
  void Raw(WireType type, uint64_t raw);
  void LengthDelimited(uint32_t number, base::ByteView content) { AppendLengthDelimited(out_, number, content); }

  // A nested message, a packed field, or bytes of a size not yet known.
  void Open(uint32_t number);
  void Close();
  // Ends the outermost message.
  void Finish() { Sort(levels_.back()); }

  base::Bytes& out() { return out_; }

 private:
  struct Level {
    size_t body;            // where it begins in out_
    size_t runs_begin = 0;  // in runs_
    uint32_t last_number = 0;
    bool in_order = true;
  };
  // The bytes that one Field() is about, up to where the next run begins.
  struct Run {
    uint32_t number;
    uint32_t begin;
    uint32_t end;  // set when sorting
  };

  void Sort(const Level& level);

  base::Bytes& out_;
  std::vector<Level> levels_;
  std::vector<Run> runs_;
  base::Bytes sorted_;
};

}  // namespace tributary::otlp
