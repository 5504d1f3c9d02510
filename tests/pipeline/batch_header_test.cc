// What two Tributaries say of resends is read to the letter, or not at all.
#include "pipeline/batch_header.h"

#include <gtest/gtest.h>

#include <string>

namespace tributary::pipeline {
namespace {

TEST(BatchHeader, SaysStreamLeastAndRanges) {
  const BatchId batch{.stream = 0xc6a0be1f3d24c57, .below = 1000, .ranges = {{1000, 1064}, {1070, 1071}}};
  const std::string value = FormatBatchId(batch);
  EXPECT_EQ(value, "0c6a0be1f3d24c57;1000;1000-1063,1070-1070");
  EXPECT_EQ(ParseBatchId(value), batch);
  EXPECT_EQ(ParseRanges(FormatRanges(batch.ranges)), batch.ranges);
}

TEST(BatchHeader, OfTheLargestNumbersFits) {
  BatchId batch{.stream = UINT64_MAX, .below = UINT64_MAX - 100, .ranges = {}};
  for (uint64_t i = BatchId::kRangesMax; i > 0; --i) {
    batch.ranges.push_back({UINT64_MAX - 3 * i, UINT64_MAX - 3 * i + 2});
  }
  const std::string value = FormatBatchId(batch);
  EXPECT_LE(value.size(), kBatchValueBytesMax);
  EXPECT_EQ(ParseBatchId(value), batch);
}

TEST(BatchHeader, CutAnywhereIsNothing) {
  const std::string value = "0c6a0be1f3d24c57;10;10-10,12-12";
  ASSERT_TRUE(ParseBatchId(value));
  for (size_t size = 0; size < value.size(); ++size) {
    if (size == value.find(',')) continue;  // a shorter whole one
    // So is one whose last number lost digits, unless that makes its range end before it begins.
    EXPECT_FALSE(ParseBatchId(value.substr(0, size))) << value.substr(0, size);
  }
}

TEST(BatchHeader, RefusesWhatNoTributarySays) {
  for (const std::string_view value : {
           "",
           "0c6a0be1f3d24c57",
           "c6a0be1f3d24c57;10;10-12",    // 15 digits
           "00c6a0be1f3d24c57;10;10-12",  // 17
           "0C6A0BE1F3D24C57;10;10-12",   // capitals
           "0x6a0be1f3d24c57;10;10-12",
           "0c6a0be1f3d24c57;10;",                         // no ranges
           "0c6a0be1f3d24c57;;10-12",                      //
           "0c6a0be1f3d24c57;10;10",                       // half a range
           "0c6a0be1f3d24c57;10;10-",                      //
           "0c6a0be1f3d24c57;10;-12",                      //
           "0c6a0be1f3d24c57;10;12-10",                    // backwards
           "0c6a0be1f3d24c57;10;10-12,12-14",              // overlapping
           "0c6a0be1f3d24c57;10;10-12,13-14",              // touching: one range in two
           "0c6a0be1f3d24c57;10;15-16,10-12",              // descending
           "0c6a0be1f3d24c57;11;10-12",                    // below what may come
           "0c6a0be1f3d24c57;10;10-12,",                   //
           "0c6a0be1f3d24c57;10;10-12 ",                   //
           " 0c6a0be1f3d24c57;10;10-12",                   //
           "0c6a0be1f3d24c57;10;10-12;",                   //
           "0c6a0be1f3d24c57;010;10-12",                   // leading zeros
           "0c6a0be1f3d24c57;+10;10-12",                   //
           "0c6a0be1f3d24c57;10;10-18446744073709551615",  // no sequence comes after it
           "0c6a0be1f3d24c57;10;10-18446744073709551616",
           "0c6a0be1f3d24c57;1;1-1,3-3,5-5,7-7,9-9,11-11,13-13,15-15,17-17",  // nine ranges
       }) {
    EXPECT_FALSE(ParseBatchId(value)) << value;
  }
  EXPECT_FALSE(ParseBatchId(std::string_view("0c6a0be1f3d24c57;10;10-12\0", 26)));
  EXPECT_TRUE(ParseBatchId("0c6a0be1f3d24c57;0;0-0"));
}

}  // namespace
}  // namespace tributary::pipeline
