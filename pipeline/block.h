// Block: consecutive frames of one signal, in memory: the tail of a Log as it is being written, or a stretch read back
// from disk. Frames refer to it, so it lives as long as anyone uses one of them. Long requests are taken over as they
// came, short ones are copied together, because thousands of allocations cost more than copying them. Loop's thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "otlp/scan.h"
#include "pipeline/log_format.h"
#include "pipeline/origin.h"

namespace tributary::pipeline {

class Block {
 public:
  struct Record {
    base::ByteView bytes;   // followed by base::Bytes::kPadding readable ones
    base::ByteView origin;  // as Encode(Origin) wrote it
    otlp::Counts counts;
    base::Time appended;
    size_t lost_bytes = 0;  // of a frame that could not be read back: what `bytes` would have been
    bool lost = false;

    size_t size() const { return bytes.size() + lost_bytes; }
    size_t body_bytes() const { return origin.size() + size(); }
  };

  // Of memory; a longer request has a Block of its own. On disk, what is worth reading back at once; in memory, what
  // one frame that stays may keep from being freed.
  static constexpr size_t kBytesMaxOnDisk = 256 << 10;
  static constexpr size_t kBytesMaxInMemory = 32 << 10;

  // `life_id` is of the life of the Log that its frames were appended in.
  explicit Block(uint64_t first_sequence, uint64_t life_id, size_t bytes_max = kBytesMaxOnDisk)
      : first_sequence_(first_sequence), life_id_(life_id), bytes_max_(bytes_max) {}

  uint64_t life_id() const { return life_id_; }
  uint64_t first_sequence() const { return first_sequence_; }
  uint64_t end_sequence() const { return first_sequence_ + records_.size(); }
  const Record& record(uint64_t sequence) const { return records_[sequence - first_sequence_]; }
  bool Has(uint64_t sequence) const { return sequence >= first_sequence_ && sequence < end_sequence(); }
  bool empty() const { return records_.empty(); }
  std::vector<Record>& records() { return records_; }

  // What it takes of memory, less what is left of the last chunk.
  size_t memory_bytes() const { return memory_bytes_; }
  bool TakesAnother(size_t body_bytes) const { return records_.empty() || memory_bytes_ + body_bytes < bytes_max_; }

  // Takes a request as the next frame. Before its bytes, or for a long one elsewhere, is its origin, and before that
  // `header_bytes` of room, which may be written to. Returns how the frame is to be written: header and all, up to a
  // multiple of 8, in one piece or two.
  struct Placed {
    uint8_t* header = nullptr;
    base::ByteView origin;
    base::ByteView payload;
    base::ByteView first;
    base::ByteView second;  // may be empty
  };
  Placed Add(base::Bytes request, const Origin& origin, otlp::Counts counts, base::Time appended, size_t header_bytes) {
    const size_t size = request.size();
    const size_t origin_bytes = EncodedBytes(origin);
    const size_t before = header_bytes + origin_bytes;
    const size_t padding = (8 - (before + size) % 8) % 8;
    const bool adopts = size >= kAdoptBytesMin;
    uint8_t* at = adopts ? Room(before, 0) : Room(before + size + padding, kChunkBytes);
    Encode(origin, at + header_bytes);
    Placed placed{.header = at, .origin = {at + header_bytes, origin_bytes}, .payload = {}, .first = {}, .second = {}};
    if (adopts) {
      std::memset(request.data() + size, 0, padding);
      placed.payload = request.view();
      placed.first = {at, before};
      placed.second = {request.data(), size + padding};
      memory_bytes_ += request.capacity() + base::Bytes::kPadding;
      adopted_.push_back(std::move(request));
    } else {
      std::ranges::copy(request.view(), at + before);
      std::fill_n(at + before + size, padding, uint8_t{0});  // nothing at all where an empty request needs no memory
      placed.payload = {at + before, size};
      placed.first = {at, before + size + padding};
    }
    AddRecord({.bytes = placed.payload, .origin = placed.origin, .counts = counts, .appended = appended});
    return placed;
  }

  // For what is read back: the memory that records refer to, and the records.
  void Adopt(base::Bytes memory) {
    memory_bytes_ += memory.capacity() + base::Bytes::kPadding;
    adopted_.push_back(std::move(memory));
  }
  void AddRecord(const Record& record) {
    memory_bytes_ += sizeof(Record);
    records_.push_back(record);
  }

  // Forgets the frames from `end` on, of which nobody knows yet.
  void Cut(uint64_t end) { records_.resize(end - first_sequence_); }

 private:
  static constexpr size_t kAdoptBytesMin = 16 << 10;
  static constexpr size_t kChunkBytes = 32 << 10;

  // 8-aligned memory that never moves; null for none. From a chunk of `chunk_bytes` when the last has not enough left.
  uint8_t* Room(size_t bytes, size_t chunk_bytes) {
    if (bytes == 0) return nullptr;
    bytes = (bytes + 7) & ~size_t{7};
    if (bytes > chunk_left_.size()) {
      chunk_bytes = std::max(bytes, chunk_bytes);
      chunks_.push_back(std::make_unique_for_overwrite<uint8_t[]>(chunk_bytes + base::Bytes::kPadding));
      chunk_left_ = {chunks_.back().get(), chunk_bytes};
    }
    memory_bytes_ += bytes;
    return std::exchange(chunk_left_, chunk_left_.subspan(bytes)).data();
  }

  uint64_t first_sequence_;
  uint64_t life_id_;
  size_t bytes_max_;
  std::vector<Record> records_;
  std::vector<std::unique_ptr<uint8_t[]>> chunks_;
  std::span<uint8_t> chunk_left_;
  std::vector<base::Bytes> adopted_;
  size_t memory_bytes_ = 0;
};

// One frame that a Cursor gave out. It holds on to its bytes.
class Frame {
 public:
  Frame() = default;
  Frame(std::shared_ptr<const Block> block, uint64_t sequence) : block_(std::move(block)), sequence_(sequence) {}

  uint64_t sequence() const { return sequence_; }
  // Of the life of the Log that it was appended in; 0 when that is not known.
  uint64_t life_id() const { return block_->life_id(); }
  base::ByteView bytes() const { return record().bytes; }
  // Who sent it (Origin::source); empty when that is not known.
  base::ByteView source() const { return DecodeSource(record().origin); }
  otlp::Counts counts() const { return record().counts; }
  base::Time appended() const { return record().appended; }

 private:
  const Block::Record& record() const { return block_->record(sequence_); }

  std::shared_ptr<const Block> block_;
  uint64_t sequence_ = 0;
};

}  // namespace tributary::pipeline
