// What fsck finds in a Log's directory: all of it when nothing happened, and exactly what is damaged when something
// did.
#include "cli/survey.h"

#include <algorithm>
#include <numeric>

#include "cli/lost_id.h"
#include "cli/report.h"
#include "tests/cli/log_directory.h"

namespace tributary::cli {
namespace {

using otlp::Signal;

const SegmentFound& Named(const Survey& survey, const std::string& name) {
  const auto found = std::ranges::find(survey.segments, name, &SegmentFound::name);
  EXPECT_NE(found, survey.segments.end()) << name;
  return *found;
}

uint64_t Lost(const Survey& survey) {
  uint64_t frames = 0;
  for (const SegmentFound& segment : survey.segments) {
    for (const Break& place : segment.breaks) frames += place.lost;
  }
  for (const Missing& gap : survey.missing) frames += gap.end_sequence - gap.first_sequence;
  return frames;
}

class SurveyTest : public LogDirectory {
 protected:
  uint64_t LostByTheLog() {
    const std::string metrics = Live()->metrics();
    const std::string name = "\ntributary_log_damaged_frames_total ";
    const size_t at = metrics.find(name);
    EXPECT_NE(at, std::string::npos);
    return std::stoull(metrics.substr(at + name.size()));
  }
};

TEST_F(SurveyTest, CountsWhatALogLeftAndWhatItsReadersHaveToCome) {
  {
    const auto life = Live();
    for (uint64_t item = 1; item <= 200; ++item) life->Append(Signal::kTraces, item);
    for (uint64_t item = 1; item <= 20; ++item) life->Append(Signal::kLogs, item);
    EXPECT_EQ(life->Read(Signal::kTraces, 150).size(), 150u);
    EXPECT_EQ(life->held_items(Signal::kTraces), 50u);
  }
  const Survey survey = Surveyed();
  EXPECT_FALSE(survey.damaged()) << AsText(survey);
  ASSERT_EQ(survey.cursors.size(), 3u);
  for (const CursorFound& cursor : survey.cursors) {
    EXPECT_EQ(cursor.destination, "sink.one");
    const uint64_t wanted = cursor.signal == Signal::kTraces ? 50 : cursor.signal == Signal::kLogs ? 20 : 0;
    EXPECT_EQ(cursor.wanted_frames, wanted);
    EXPECT_EQ(cursor.wanted_items, wanted);
  }
  uint64_t wanted = 0;
  for (const SegmentFound& segment : survey.segments) {
    wanted += segment.wanted_frames;
    if (segment.frames == 0) continue;
    EXPECT_EQ(segment.last_sequence - segment.first_sequence + 1, segment.frames);
    EXPECT_LE(segment.oldest_unix_ns, segment.youngest_unix_ns);
  }
  EXPECT_EQ(wanted, 70u);
}

TEST_F(SurveyTest, SaysWhichFrameIsDamagedAndWhere) {
  FillWithTraces(100);
  const auto frames = FramesOf(Signal::kTraces);
  ASSERT_EQ(frames.size(), 100u);
  const auto& [name, offset, payload_bytes] = frames.at(10);
  Flip(name, offset + 100);
  const Survey survey = Surveyed();
  EXPECT_TRUE(survey.damaged());
  const SegmentFound& segment = Named(survey, name);
  EXPECT_EQ(segment.state, State::kDamaged);
  ASSERT_EQ(segment.breaks.size(), 1u);
  EXPECT_EQ(segment.breaks[0].offset, offset);
  EXPECT_EQ(segment.breaks[0].bytes, pipeline::FrameBytes(payload_bytes));
  EXPECT_EQ(segment.breaks[0].first_sequence, 10u);
  EXPECT_EQ(segment.breaks[0].lost, 1u);
  EXPECT_EQ(Lost(survey), 1u);
  EXPECT_NE(AsText(survey).find("frames 10, 1 of them lost"), std::string::npos) << AsText(survey);
}

// Whatever byte of whatever frame: what fsck counts is what the Log counts.
TEST_F(SurveyTest, LosesWhatTheLogLoses) {
  FillWithTraces(70);
  const auto frames = FramesOf(Signal::kTraces);
  std::filesystem::copy(directory_, root_ + "/kept", std::filesystem::copy_options::recursive);
  for (const uint64_t sequence : {1, 2, 35, 69, 70}) {
    const Where& where = frames.at(sequence);
    for (const uint64_t byte : {0, 5, 9, 40, 55, 56, 300}) {
      std::filesystem::remove_all(directory_);
      std::filesystem::copy(root_ + "/kept", directory_, std::filesystem::copy_options::recursive);
      Flip(where.name, where.offset + byte);
      const Survey survey = Surveyed();
      EXPECT_TRUE(survey.damaged()) << "byte " << byte << " of frame " << sequence;
      EXPECT_EQ(Lost(survey), 1u) << "byte " << byte << " of frame " << sequence << "\n" << AsText(survey);
      EXPECT_EQ(LostByTheLog(), 1u);
    }
  }
}

TEST_F(SurveyTest, TakesATornTailForNoDamage) {
  FillWithTraces(10);
  const auto frames = FramesOf(Signal::kTraces);
  const Where& last = frames.at(10);
  const uint64_t from = last.offset + sizeof(pipeline::FrameHeader) + 500;
  Overwrite(last.name, from, std::string(Content(last.name).size() - from, '\0'));
  const Survey survey = Surveyed();
  const SegmentFound& segment = Named(survey, last.name);
  EXPECT_EQ(segment.state, State::kTornTail);
  EXPECT_EQ(segment.frames, 9u);
  EXPECT_FALSE(survey.damaged()) << AsText(survey);
}

TEST_F(SurveyTest, MissesASegmentThatIsGone) {
  FillWithTraces(200, 120);
  const auto frames = FramesOf(Signal::kTraces);
  const std::string gone = frames.at(150).name;
  std::filesystem::remove(PathOf(gone));
  const Survey survey = Surveyed();
  EXPECT_TRUE(survey.damaged());
  ASSERT_EQ(survey.missing.size(), 1u);
  // Of those in it, those that the reader had not acknowledged.
  const auto wanted =
      std::ranges::count_if(frames, [&](const auto& frame) { return frame.second.name == gone && frame.first > 120; });
  EXPECT_EQ(survey.missing[0].end_sequence - survey.missing[0].first_sequence, static_cast<uint64_t>(wanted));
  EXPECT_EQ(survey.missing[0].wanted, static_cast<uint64_t>(wanted));
  EXPECT_EQ(LostByTheLog(), static_cast<uint64_t>(wanted));
}

TEST_F(SurveyTest, DoesNotMissWhatWasDelivered) {
  FillWithTraces(200, 150);
  const auto frames = FramesOf(Signal::kTraces);
  ASSERT_NE(frames.begin()->second.name, frames.at(200).name);
  std::filesystem::remove(PathOf(frames.begin()->second.name));
  EXPECT_FALSE(Surveyed().damaged());
}

TEST_F(SurveyTest, KnowsAHeaderWhoseFirstCopyIsDamaged) {
  FillWithTraces(10);
  const std::string name = FramesOf(Signal::kTraces).at(1).name;
  Flip(name, 20);
  const Survey survey = Surveyed();
  EXPECT_EQ(Named(survey, name).state, State::kDamaged);
  EXPECT_TRUE(Named(survey, name).one_copy);
  EXPECT_EQ(Named(survey, name).frames, 10u);
}

TEST_F(SurveyTest, ReadsASegmentWhoseHeaderIsLost) {
  {
    const auto life = Live();
    // Times as they are: what could be a request of two signals tells nothing of which it was.
    for (uint64_t time_ns = 1'700'000'000'000'000'000; time_ns < 1'700'000'010'000'000'000; time_ns += 1'000'000'000) {
      for (const Signal signal : otlp::kSignals) life->Append(signal, time_ns);
    }
  }
  for (const Signal signal : otlp::kSignals) {
    const std::string name = FramesOf(signal).at(1).name;
    LoseHeader(name);
    const Survey survey = Surveyed();
    const SegmentFound& segment = Named(survey, name);
    EXPECT_EQ(segment.state, State::kHeaderLost);
    ASSERT_TRUE(segment.header);
    EXPECT_EQ(segment.signal(), signal);
    EXPECT_EQ(segment.frames, 10u);
    EXPECT_EQ(segment.wanted_items, 10u);
  }
}

TEST_F(SurveyTest, ReadsWhatIsLeftWhenTheFirstFramesWentWithTheHeader) {
  FillWithTraces(10);
  const auto frames = FramesOf(Signal::kTraces);
  Overwrite(frames.at(1).name, 0, std::string(frames.at(4).offset + 90, 'x'));
  const Survey survey = Surveyed();
  EXPECT_EQ(Named(survey, frames.at(1).name).first_sequence, 5u);
  EXPECT_EQ(Named(survey, frames.at(1).name).frames, 6u);
}

TEST_F(SurveyTest, SaysWhenNothingOfAFileTellsWhatItWas) {
  FillWithTraces(3);
  const std::string name = FramesOf(Signal::kTraces).at(1).name;
  Overwrite(name, 0, std::string(Content(name).size(), 'x'));
  const Survey survey = Surveyed();
  EXPECT_EQ(Named(survey, name).state, State::kBeyondUse);
  EXPECT_TRUE(survey.damaged());
}

TEST_F(SurveyTest, TellsADamagedCursorFromAnUnfinishedOne) {
  FillWithTraces(10, 5);
  std::ofstream(PathOf("cursors/traces.other.new")) << "half";
  EXPECT_FALSE(Surveyed().damaged());
  Overwrite("cursors/traces.sink%2eone", 0, std::string(pipeline::kCursorFileBytes, 'x'));
  const Survey survey = Surveyed();
  EXPECT_TRUE(survey.damaged());
  const auto cursor = std::ranges::find(survey.cursors, "traces.sink%2eone", &CursorFound::name);
  ASSERT_NE(cursor, survey.cursors.end());
  EXPECT_FALSE(cursor->whole);
  EXPECT_EQ(cursor->wanted_frames, 10u) << "all of it will be sent again";
}

TEST_F(SurveyTest, RefusesADirectoryThatIsNoLogs) {
  const auto nothing = Look(file_system_, root_, {});
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find("is not the directory of a Log"), std::string::npos);
  EXPECT_FALSE(Look(file_system_, root_ + "/nowhere", {}));
}

TEST_F(SurveyTest, NeitherStopsNorReadsBeyondWhateverAFileHolds) {
  FillWithTraces(20);
  const std::string name = FramesOf(Signal::kTraces).at(1).name;
  const size_t size = Content(name).size();
  for (const size_t length : {size_t{0}, size_t{1}, size_t{2'047}, size_t{4'095}, size_t{4'096}, size_t{4'100},
                              size_t{4'152}, size_t{9'000}, size - 1}) {
    std::filesystem::resize_file(PathOf(name), std::min<size_t>(length, Content(name).size()));
    EXPECT_FALSE(AsText(Surveyed()).empty());
    EXPECT_FALSE(AsJson(Surveyed()).empty());
  }
  // What looks like the header of a long frame at every place.
  std::string headers;
  while (headers.size() < 1 << 20) headers += std::string("FRM1\0\0\7\0", 8);
  std::ofstream(PathOf("segment-00000099"), std::ios::binary) << std::string(4'096, 'x') << headers;
  EXPECT_EQ(Named(Surveyed(), "segment-00000099").state, State::kBeyondUse);
}

TEST(LostId, PassesForTheOneThatIsLost) {
  for (const uint64_t id : {uint64_t{0}, uint64_t{1}, uint64_t{0x0123456789abcdef}, ~uint64_t{0}}) {
    base::Bytes frames;
    for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
      const std::string payload(sequence * 11, static_cast<char>('a' + sequence));
      uint8_t header[sizeof(pipeline::FrameHeader)];
      pipeline::EncodeFrameHeader({.sequence = sequence, .items = 1}, id, {}, base::AsBytes(payload), header);
      frames.Append(base::ByteView(header));
      frames.Append(payload);
      while (frames.size() % 8 != 0) frames.Push(0);
    }
    const auto found = FindLostId(frames);
    ASSERT_TRUE(found);
    int whole = 0;
    pipeline::WalkFrames(frames.view(), *found, 0, [&](const auto&, size_t, base::ByteView) { ++whole; });
    EXPECT_EQ(whole, 3);
    for (size_t byte = 0; byte < frames.size(); byte += 8) frames[byte] ^= 1;
    EXPECT_FALSE(FindLostId(frames));
  }
}

}  // namespace
}  // namespace tributary::cli
