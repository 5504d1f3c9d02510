// The format's bytes, as docs/formats/log.md gives them: what is written today must be read in years.
#include "pipeline/log_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/block.h"

namespace tributary::pipeline {
namespace {

using base::ByteView;
using Buffer = std::vector<uint8_t>;

constexpr uint64_t kId = 0x1122334455667788;

// The CRCs were computed by another program.
constexpr std::string_view kSegmentHeader =
    "5452494253454731"  // magic
    "8877665544332211"  // segment_id
    "0700000000000000"  // serial
    "e803000000000000"  // first_sequence
    "8403000000000000"  // life_first_sequence
    "efcdab8967452301"  // life_id
    "15cd853dfe9c9717"  // created_unix_ns
    "02000000"          // signal
    "98e8513e";         // crc
constexpr std::string_view kFrame =
    "46524d31"          // magic
    "05000000"          // payload_bytes
    "d204000000000000"  // sequence
    "ce04000000000000"  // committed
    "15cd853dfe9c9717"  // appended_unix_ns
    "03000000"          // items
    "02000000"          // resources
    "00000000"          // flags
    "fbbd5553"          // body_crc
    "00000000"          // origin_bytes
    "c8e980ba"          // header_crc
    "68656c6c6f";       // "hello"
// The same, of which it is known where it came from.
constexpr std::string_view kFrameWithOrigin =
    "46524d31"                          // magic
    "05000000"                          // payload_bytes
    "d204000000000000"                  // sequence
    "ce04000000000000"                  // committed
    "15cd853dfe9c9717"                  // appended_unix_ns
    "03000000"                          // items
    "02000000"                          // resources
    "00000000"                          // flags
    "fa53d405"                          // body_crc
    "40000000"                          // origin_bytes
    "73967f0a"                          // header_crc
    "08000000"                          // source_bytes
    "02000000"                          // ranges
    "efcdab8967452301"                  // stream
    "5a00000000000000"                  // below
    "6400000000000000a400000000000000"  // [100, 164)
    "aa00000000000000ab00000000000000"  // [170, 171)
    "31302e302e302e37"                  // "10.0.0.7"
    "68656c6c6f";                       // "hello"
constexpr std::string_view kCursorSlot =
    "5452494243555231"                  // magic
    "0500000000000000"                  // generation
    "6400000000000000"                  // below
    "02000000"                          // ranges
    "b5010dd9"                          // crc
    "67000000000000006900000000000000"  // [103, 105)
    "6e000000000000006f00000000000000"  // [110, 111)
    ;

std::string Hex(ByteView bytes) {
  std::string hex;
  for (const uint8_t byte : bytes) hex += fmt::format("{:02x}", byte);
  return hex;
}

Buffer FromHex(std::string_view hex) {
  Buffer bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

// Calls `check` with each bit of `bytes` flipped in turn.
void ForEachFlip(Buffer bytes, const std::function<void(const Buffer&)>& check) {
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    SCOPED_TRACE(fmt::format("byte {}, bit {}", bit / 8, bit % 8));
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    check(bytes);
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
}

CursorState StateInForce() {
  CursorState state{.generation = 5, .acknowledged = AckSet(100)};
  state.acknowledged.AddRange(103, 105);
  state.acknowledged.Add(110);
  return state;
}

TEST(LogFormat, WritesASegmentHeaderTwice) {
  const base::Bytes block = EncodeSegmentHeader({.segment_id = kId,
                                                 .serial = 7,
                                                 .first_sequence = 1000,
                                                 .life_first_sequence = 900,
                                                 .life_id = 0x0123456789abcdef,
                                                 .created_unix_ns = 1700000000123456789,
                                                 .signal = static_cast<uint32_t>(otlp::Signal::kLogs)});
  ASSERT_EQ(block.size(), 4096u);
  EXPECT_EQ(Hex(block.view().first(sizeof(SegmentHeader))), kSegmentHeader);
  EXPECT_EQ(Hex(block.view().subspan(2048, sizeof(SegmentHeader))), kSegmentHeader);
  EXPECT_EQ(std::ranges::count(block.view(), 0),
            4096 - 2 * std::ranges::count_if(FromHex(kSegmentHeader), std::identity{}));
}

TEST(LogFormat, ReadsASegmentHeaderFromEitherCopy) {
  for (const size_t whole : {0u, 2048u}) {
    Buffer block(kSegmentHeaderBytes, 0xee);
    std::ranges::copy(FromHex(kSegmentHeader), block.begin() + static_cast<ptrdiff_t>(whole));
    const auto header = DecodeSegmentHeader(block);
    ASSERT_TRUE(header);
    EXPECT_EQ(header->segment_id, kId);
    EXPECT_EQ(header->serial, 7u);
    EXPECT_EQ(header->first_sequence, 1000u);
  }
}

TEST(LogFormat, RefusesASegmentHeaderWithAnyBitFlipped) {
  ForEachFlip(FromHex(kSegmentHeader), [](const Buffer& flipped) { EXPECT_FALSE(DecodeSegmentHeader(flipped)); });
}

TEST(LogFormat, WritesAFrame) {
  const base::Bytes payload(base::AsBytes("hello"));
  Buffer frame(sizeof(FrameHeader));
  EncodeFrameHeader(
      {.sequence = 1234, .committed = 1230, .appended_unix_ns = 1700000000123456789, .items = 3, .resources = 2}, kId,
      {}, payload.view(), frame.data());
  EXPECT_EQ(Hex(frame) + Hex(payload.view()), kFrame);
  EXPECT_EQ(FrameBytes(payload.size()), 64u);
}

TEST(LogFormat, WritesAFrameWithItsOrigin) {
  const Origin origin{.source = std::make_shared<const std::string>("10.0.0.7"),
                      .batch = {.stream = 0x0123456789abcdef, .below = 90, .ranges = {{100, 164}, {170, 171}}}};
  Block block(1234, 0);
  const Block::Placed placed =
      block.Add(base::Bytes(base::AsBytes("hello")), origin, {.items = 3, .resources = 2}, {}, sizeof(FrameHeader));
  EncodeFrameHeader(
      {.sequence = 1234, .committed = 1230, .appended_unix_ns = 1700000000123456789, .items = 3, .resources = 2}, kId,
      placed.origin, placed.payload, placed.header);
  EXPECT_EQ(placed.first.size(), FrameBytes(block.record(1234).body_bytes()));
  EXPECT_TRUE(placed.second.empty());
  EXPECT_EQ(Hex(placed.first), std::string(kFrameWithOrigin) + "000000");
}

TEST(LogFormat, ReadsAFrameWithItsOrigin) {
  size_t frames = 0;
  WalkFrames(FromHex(kFrameWithOrigin), kId, 0, [&](const FrameHeader& header, size_t, ByteView body) {
    ++frames;
    EXPECT_EQ(base::AsText(PayloadOf(header, body)), "hello");
    EXPECT_EQ(base::AsText(DecodeSource(OriginOf(header, body))), "10.0.0.7");
    EXPECT_EQ(DecodeBatchId(OriginOf(header, body)),
              (BatchId{.stream = 0x0123456789abcdef, .below = 90, .ranges = {{100, 164}, {170, 171}}}));
  });
  EXPECT_EQ(frames, 1u);
}

TEST(LogFormat, RefusesAFrameHeaderWithAnyBitFlippedOrOfAnotherSegment) {
  Buffer header = FromHex(kFrame);
  header.resize(sizeof(FrameHeader));
  ASSERT_TRUE(DecodeFrameHeader(header, kId));
  ForEachFlip(header, [](const Buffer& flipped) { EXPECT_FALSE(DecodeFrameHeader(flipped, kId)); });
  EXPECT_FALSE(DecodeFrameHeader(header, kId + 1));
  for (size_t size = 0; size < header.size(); ++size)
    EXPECT_FALSE(DecodeFrameHeader(ByteView(header).first(size), kId));
}

TEST(LogFormat, RefusesAPayloadWithAnyBitFlippedOrCut) {
  const Buffer frame = FromHex(kFrame);
  const FrameHeader header = DecodeFrameHeader(frame, kId).value();
  const Buffer payload(frame.begin() + sizeof header, frame.end());
  ASSERT_TRUE(BodyIsWhole(header, kId, payload));
  ForEachFlip(payload, [&](const Buffer& flipped) { EXPECT_FALSE(BodyIsWhole(header, kId, flipped)); });
  EXPECT_FALSE(BodyIsWhole(header, kId, ByteView(payload).first(4)));
}

TEST(LogFormat, WritesACursorSlot) { EXPECT_EQ(Hex(EncodeCursor(StateInForce())), kCursorSlot); }

TEST(LogFormat, ReadsTheYoungerCursorSlotThatIsWhole) {
  const Buffer young = FromHex(kCursorSlot);
  const base::Bytes old = EncodeCursor({.generation = 4, .acknowledged = AckSet(90)});
  for (const bool young_is_first : {true, false}) {
    Buffer file(kCursorFileBytes);
    const size_t young_at = young_is_first ? 0 : kCursorSlotBytes;
    std::ranges::copy(young, file.begin() + static_cast<ptrdiff_t>(young_at));
    std::ranges::copy(old.view(), file.begin() + static_cast<ptrdiff_t>(kCursorSlotBytes - young_at));
    auto state = DecodeCursor(file);
    ASSERT_TRUE(state);
    EXPECT_EQ(state->generation, 5u);
    EXPECT_EQ(state->acknowledged, StateInForce().acknowledged);
    // A damaged one leaves the other.
    for (size_t at = 0; at < young.size(); ++at) {
      file[young_at + at] ^= 0x10;
      state = DecodeCursor(file);
      ASSERT_TRUE(state) << at;
      EXPECT_EQ(state->generation, 4u) << at;
      file[young_at + at] ^= 0x10;
    }
  }
}

TEST(LogFormat, RefusesACursorSlotWithAnyBitFlipped) {
  ForEachFlip(FromHex(kCursorSlot), [](Buffer flipped) {
    flipped.resize(kCursorFileBytes);
    EXPECT_FALSE(DecodeCursor(flipped));
  });
}

TEST(LogFormat, LeavesOutTheYoungestRangesThatACursorSlotHasNoRoomFor) {
  CursorState state{.generation = 2, .acknowledged = AckSet(10)};
  for (uint64_t i = 0; i < 300; ++i) state.acknowledged.Add(20 + 2 * i);
  const base::Bytes slot = EncodeCursor(state);
  EXPECT_LE(slot.size(), kCursorSlotBytes);
  Buffer file(kCursorFileBytes);
  std::ranges::copy(slot.view(), file.begin());
  const auto read = DecodeCursor(file);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->acknowledged.ranges().size(), 254u);
  EXPECT_TRUE(std::ranges::equal(read->acknowledged.ranges(), std::span(state.acknowledged.ranges()).first(254)));
}

TEST(LogFormat, FindsTheFramesAroundADamagedOne) {
  Buffer frames;
  std::vector<size_t> places;
  for (uint64_t sequence = 10; sequence < 15; ++sequence) {
    const Buffer payload(sequence * 10, static_cast<uint8_t>(sequence));
    places.push_back(frames.size());
    frames.resize(frames.size() + FrameBytes(payload.size()));
    EncodeFrameHeader({.sequence = sequence}, kId, {}, payload, frames.data() + places.back());
    std::ranges::copy(payload, frames.begin() + static_cast<ptrdiff_t>(places.back() + sizeof(FrameHeader)));
  }
  const auto walk = [&frames](uint64_t first_sequence) {
    std::vector<uint64_t> found;
    WalkFrames(frames, kId, first_sequence,
               [&found](const FrameHeader& header, size_t, ByteView) { found.push_back(header.sequence); });
    return found;
  };
  EXPECT_EQ(walk(0), (std::vector<uint64_t>{10, 11, 12, 13, 14}));
  EXPECT_EQ(walk(12), (std::vector<uint64_t>{12, 13, 14}));
  for (size_t frame = 0; frame < places.size(); ++frame) {
    std::vector<uint64_t> others = {10, 11, 12, 13, 14};
    others.erase(others.begin() + static_cast<ptrdiff_t>(frame));
    for (const size_t at : {size_t{0}, size_t{5}, sizeof(FrameHeader) - 1, sizeof(FrameHeader) + 50}) {
      frames[places[frame] + at] ^= 1;
      EXPECT_EQ(walk(0), others) << "frame " << frame << ", byte " << at;
      frames[places[frame] + at] ^= 1;
    }
  }
}

}  // namespace
}  // namespace tributary::pipeline
