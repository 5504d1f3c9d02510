// Where a Batch came from, as a frame keeps it: what is not exactly what Encode writes is nothing.
#include "pipeline/origin.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tributary::pipeline {
namespace {

using base::ByteView;
using Buffer = std::vector<uint8_t>;

const auto kSource = std::make_shared<const std::string>("10.0.0.7");
const BatchId kBatch{.stream = 7, .below = 90, .ranges = {{100, 164}, {170, 171}}};

Buffer Encoded(const Origin& origin) {
  Buffer bytes(EncodedBytes(origin));
  Encode(origin, bytes.data());
  return bytes;
}

TEST(Origin, OfWhichNothingIsKnownTakesNoBytes) {
  EXPECT_EQ(EncodedBytes({}), 0u);
  EXPECT_EQ(EncodedBytes({.source = std::make_shared<const std::string>(), .batch = {}}), 0u);
  EXPECT_FALSE(DecodeBatchId({}));
  EXPECT_TRUE(DecodeSource({}).empty());
}

TEST(Origin, KeepsTheSourceTheBatchOrBoth) {
  for (const auto& source : {decltype(kSource)(), kSource}) {
    for (const BatchId& batch : {BatchId(), kBatch}) {
      if (!source && !batch) continue;
      const Buffer bytes = Encoded({source, batch});
      EXPECT_EQ(base::AsText(DecodeSource(bytes)), source ? *source : "");
      EXPECT_EQ(DecodeBatchId(bytes).value_or(BatchId()), batch);
    }
  }
}

TEST(Origin, FitsItsLargestSize) {
  BatchId batch{.stream = UINT64_MAX, .below = 0, .ranges = {}};
  for (size_t i = 0; i < BatchId::kRangesMax; ++i) batch.ranges.push_back({2 * i, 2 * i + 1});
  const auto source = std::make_shared<const std::string>(Origin::kSourceBytesMax, 's');
  const Buffer bytes = Encoded({source, batch});
  EXPECT_EQ(bytes.size(), kOriginBytesMax);
  EXPECT_EQ(DecodeBatchId(bytes), batch);
  EXPECT_EQ(base::AsText(DecodeSource(bytes)), *source);
}

TEST(Origin, RefusesOtherLengths) {
  const Buffer whole = Encoded({kSource, kBatch});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeBatchId(ByteView(whole).first(size)));
    EXPECT_TRUE(DecodeSource(ByteView(whole).first(size)).empty());
  }
  Buffer longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(DecodeBatchId(longer));
  EXPECT_TRUE(DecodeSource(longer).empty());
  for (const size_t at : {3, 7}) {  // a source, and ranges, of gigabytes
    Buffer giant = whole;
    giant[at] = 0xff;
    EXPECT_FALSE(DecodeBatchId(giant));
    EXPECT_TRUE(DecodeSource(giant).empty());
  }
}

TEST(Origin, RefusesRangesThatNoSenderHas) {
  using Ranges = std::vector<AckSet::Range>;
  for (const Ranges& ranges : {Ranges{{5, 5}}, Ranges{{5, 4}}, Ranges{{5, 7}, {6, 9}}, Ranges{{5, 7}, {7, 9}},
                               Ranges{{8, 9}, {5, 7}}, Ranges{{5, UINT64_MAX}}}) {
    EXPECT_FALSE(AreApart(ranges));
    EXPECT_FALSE(DecodeBatchId(Encoded({nullptr, {.stream = 1, .below = 1, .ranges = ranges}})));
  }
  EXPECT_TRUE(AreApart({{0, 1}, {2, UINT64_MAX - 1}}));
}

}  // namespace
}  // namespace tributary::pipeline
