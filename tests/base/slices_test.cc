#include "base/slices.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace tributary::base {
namespace {

std::string Text(const Slices& slices) { return std::string(AsText(slices.Flatten())); }

TEST(Slices, StartEmpty) {
  const Slices slices;
  EXPECT_TRUE(slices.empty());
  EXPECT_TRUE(slices.pieces().empty());
  EXPECT_EQ(slices.Flatten().size(), 0u);
}

TEST(Slices, ReferToLongPiecesAndCopyShortOnesTogether) {
  const std::string at_least(Slices::kReferBytesMin, 'r');
  const std::string below(Slices::kReferBytesMin - 1, 'c');
  Slices slices;
  slices.Copy("ab");
  slices.Refer(AsBytes(below));
  slices.Copy("cd");
  slices.Refer(AsBytes(at_least));
  slices.Copy("ef");
  slices.Copy("gh");
  ASSERT_EQ(slices.pieces().size(), 3u);
  EXPECT_EQ(slices.pieces()[1].iov_base, at_least.data());
  EXPECT_EQ(Text(slices), "ab" + below + "cd" + at_least + "efgh");
}

TEST(Slices, CopyWhatMayChangeAfterwards) {
  std::string piece = "before";
  Slices slices;
  slices.Copy(piece);
  piece = "after!";
  EXPECT_EQ(Text(slices), "before");
}

TEST(Slices, EmptyPiecesAddNothing) {
  Slices slices;
  slices.Copy("");
  slices.Refer(ByteView());
  EXPECT_TRUE(slices.pieces().empty());
}

TEST(Slices, KeepCopiesInPlaceWhenTheyMove) {
  Slices slices;
  slices.Copy("short");
  const Slices moved = std::move(slices);
  EXPECT_EQ(Text(moved), "short");
}

TEST(Slices, ClearedMayBeUsedAgain) {
  Slices slices;
  slices.Copy("old");
  slices.Clear();
  EXPECT_TRUE(slices.empty());
  EXPECT_TRUE(slices.pieces().empty());
  slices.Copy("new");
  EXPECT_EQ(Text(slices), "new");
}

TEST(Slices, OwnWhatTheyCopied) {
  Slices slices;
  const std::string piece(1'000'000, 'x');
  slices.Refer(AsBytes(piece));
  EXPECT_LT(slices.owned_bytes(), 1'000u);
  slices.Copy(piece);
  EXPECT_GE(slices.owned_bytes(), piece.size());
  EXPECT_LT(slices.owned_bytes(), 2 * piece.size());
}

// Pieces of every length around the thresholds, against a string that is simply appended to.
TEST(Slices, RandomPiecesFlattenToWhatAModelSays) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::vector<std::unique_ptr<std::string>> referred;  // outlives the Slices
    Slices slices, other;
    std::string model, model_of_other;
    for (int step = 0; step < 60; ++step) {
      const size_t length = random() % 4 == 0 ? random() % 20'000 : random() % 1'100;
      referred.push_back(std::make_unique<std::string>(length, static_cast<char>('a' + step % 26)));
      const std::string& piece = *referred.back();
      switch (random() % 4) {
        case 0:
          slices.Copy(piece);
          model += piece;
          break;
        case 1:
          other.Refer(AsBytes(piece));
          model_of_other += piece;
          break;
        default:
          slices.Refer(AsBytes(piece));
          model += piece;
          break;
      }
      ASSERT_EQ(slices.size(), model.size());
    }
    slices.Refer(other);
    ASSERT_EQ(Text(slices), model + model_of_other) << "seed " << seed;
    ASSERT_EQ(slices.size(), model.size() + model_of_other.size());
  }
}

}  // namespace
}  // namespace tributary::base
