#include "pipeline/missing_frames.h"

#include <gtest/gtest.h>

namespace tributary::pipeline {
namespace {

using Range = AckSet::Range;

CursorState Whole(uint64_t below) { return {.generation = 1, .acknowledged = AckSet(below)}; }
CursorState MayBeOld(uint64_t below) { return {.generation = 1, .acknowledged = AckSet(below), .may_be_old = true}; }

// Of one life, which answered all before 90: a segment of 10 to 39 without 20 to 24, one of 60 to 89 that ends at 80.
MissingFrames TwoSegments() {
  MissingFrames missing;
  missing.AddAnswered(1, 90);
  missing.AddWhole(10, 20);
  missing.AddWhole(25, 40);
  missing.AddExtent(10, 40);
  missing.AddWhole(60, 80);
  missing.AddExtent(60, 80);
  return missing;
}

TEST(MissingFrames, AreThoseAnsweredThatAreNowhereAndThatACursorHasStillToCome) {
  EXPECT_EQ(TwoSegments().LostTo({Whole(15)}).ranges(), (std::vector<Range>{{20, 25}, {40, 60}, {80, 90}}));
  EXPECT_EQ(TwoSegments().LostTo({Whole(1)}).CountIn(0, 100), 9u + 5 + 20 + 10) << "also before all that is there";
  EXPECT_EQ(TwoSegments().LostTo({Whole(85)}).ranges(), (std::vector<Range>{{85, 90}}));
  EXPECT_EQ(TwoSegments().LostTo({Whole(90), Whole(50)}).ranges(), (std::vector<Range>{{50, 60}, {80, 90}}));
  EXPECT_TRUE(TwoSegments().LostTo({Whole(100)}).ranges().empty());
}

TEST(MissingFrames, BeyondWhatWasAnsweredAreATornTail) {
  MissingFrames missing;
  missing.AddAnswered(1, 12);
  missing.AddWhole(1, 10);
  missing.AddWhole(15, 20);
  missing.AddExtent(1, 20);
  missing.AddAnswered(20, 30);
  missing.AddWhole(20, 30);
  missing.AddExtent(20, 30);
  EXPECT_EQ(missing.LostTo({Whole(1)}).ranges(), (std::vector<Range>{{10, 12}}));
  EXPECT_EQ(missing.answered_end(), 30u);
}

TEST(MissingFrames, CountForACursorThatMayBeOldOnlyWhereNothingCanHaveBeenFreed) {
  EXPECT_EQ(TwoSegments().LostTo({MayBeOld(0)}).ranges(), (std::vector<Range>{{20, 25}}));
  EXPECT_TRUE(TwoSegments().LostTo({MayBeOld(30)}).ranges().empty());
  EXPECT_EQ(TwoSegments().LostTo({MayBeOld(0), Whole(88)}).ranges(), (std::vector<Range>{{20, 25}, {88, 90}}));
}

TEST(MissingFrames, AreNobodysWithoutACursor) { EXPECT_TRUE(TwoSegments().LostTo({}).ranges().empty()); }

}  // namespace
}  // namespace tributary::pipeline
