#include "cli/survey.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/whole_file.h"
#include "cli/lost_id.h"
#include "otlp/scan.h"
#include "pipeline/log_recovery.h"
#include "pipeline/missing_frames.h"

namespace tributary::cli {
namespace {

using base::ByteView;
using pipeline::AckSet;
using pipeline::FrameHeader;
using pipeline::kSegmentHeaderBytes;
using pipeline::SegmentHeader;

// "a%2eb" to "a.b", as Log::CursorPath writes it.
std::string Unescaped(std::string_view name) {
  std::string plain;
  for (size_t at = 0; at < name.size(); ++at) {
    unsigned value = 0;
    if (name[at] == '%' && at + 2 < name.size() &&
        std::from_chars(name.data() + at + 1, name.data() + at + 3, value, 16).ptr == name.data() + at + 3) {
      plain += static_cast<char>(value);
      at += 2;
    } else {
      plain += name[at];
    }
  }
  return plain;
}

class Surveyor {
 public:
  Surveyor(base::FileSystem& file_system, Survey& survey, const Watch& watch)
      : file_system_(file_system), survey_(survey), watch_(watch) {}

  base::Status Run() {
    if (auto status = FindFiles(); !status) return status;
    for (const otlp::Signal signal : otlp::kSignals) ExamineLane(signal);
    for (SegmentFound& segment : survey_.segments) {
      if (segment.state == State::kHeaderLost || segment.state == State::kBlank) Salvage(segment);
    }
    return {};
  }

 private:
  // One signal's frames as they are walked, in order.
  struct Lane {
    otlp::Signal signal;
    pipeline::MissingFrames missing;
    std::vector<SegmentFound*> segments;
  };

  std::string PathOf(const std::string& name) const { return survey_.directory + "/" + name; }

  // --- Files --------------------------------------------------------------------------------------------------------

  base::Status FindFiles() {
    const auto names = file_system_.List(survey_.directory);
    if (!names) return base::FailErrno(names.error(), "read directory " + survey_.directory);
    for (const std::string& name : *names) {
      if (name.starts_with("segment-")) FindSegmentFile(name);
    }
    const auto cursors = file_system_.List(PathOf("cursors"));
    if (!cursors && survey_.segments.empty()) {
      return base::Fail(
          "{} is not the directory of a Log: it has neither segment files nor cursors/. Give the directory "
          "that the configuration of the agent or the gateway names",
          survey_.directory);
    }
    if (!cursors && cursors.error() != ENOENT) return base::FailErrno(cursors.error(), "read " + PathOf("cursors"));
    for (const std::string& name : cursors.value_or(std::vector<std::string>())) FindCursor(name);
    std::ranges::sort(survey_.segments, {}, [](const SegmentFound& segment) {
      const SegmentHeader& header = segment.header.value_or(SegmentHeader{.signal = UINT32_MAX});
      return std::tuple(header.signal, header.serial, std::string_view(segment.name));
    });
    return {};
  }

  void FindSegmentFile(const std::string& name) {
    const std::string path = PathOf(name);
    SegmentFound segment{.name = name, .header = {}, .breaks = {}};
    const auto fd = file_system_.Open(path, O_RDONLY);
    segment.file_bytes = fd ? file_system_.Size(fd->get()).value_or(0) : 0;
    if (name.find(".replaced") != std::string::npos) {
      segment.state = State::kReplaced;
    } else if (!fd || !(pipeline::IsSegmentName(name) || name.ends_with(".damaged"))) {
      if (fd) return;  // nobody's
      segment.state = State::kBeyondUse;
    } else {
      std::vector<uint8_t> block(kSegmentHeaderBytes);
      block.resize(file_system_.Read(fd->get(), block, 0).value_or(0));
      DecodeHeader(segment, block);
    }
    if (segment.state != State::kReplaced) all_bytes_ += segment.file_bytes;
    survey_.segments.push_back(std::move(segment));
  }

  static void DecodeHeader(SegmentFound& segment, ByteView block) {
    segment.header = pipeline::DecodeSegmentHeader(block);
    if (segment.header) {
      const size_t half = kSegmentHeaderBytes / 2;
      segment.one_copy = block.size() < kSegmentHeaderBytes || !pipeline::DecodeSegmentHeader(block.first(half)) ||
                         !pipeline::DecodeSegmentHeader(block.subspan(half));
    } else {
      const bool blank = std::ranges::all_of(block, [](uint8_t byte) { return byte == 0; });
      segment.state = blank ? State::kBlank : State::kHeaderLost;
    }
  }

  void FindCursor(const std::string& name) {
    CursorFound cursor{.name = name, .signal = {}, .destination = {}};
    std::string_view rest = name;
    cursor.unfinished = rest.ends_with(".new");
    if (cursor.unfinished) rest.remove_suffix(4);
    for (const otlp::Signal signal : otlp::kSignals) {
      const std::string prefix = std::string(otlp::Name(signal)) + ".";
      if (!rest.starts_with(prefix)) continue;
      cursor.signal = signal;
      cursor.destination = Unescaped(rest.substr(prefix.size()));
    }
    if (const auto file = base::ReadWhole(file_system_, PathOf("cursors/" + name))) {
      const auto state = pipeline::DecodeCursor(file->bytes);
      cursor.whole = state.has_value();
      if (state) cursor.state = *state;
      cursor.state.may_be_old |= file->unreadable_bytes > 0;
    }
    survey_.cursors.push_back(std::move(cursor));
  }

  // --- Frames -------------------------------------------------------------------------------------------------------

  std::optional<base::WholeFile> Read(SegmentFound& segment) {
    watch_.progress(segment.name, read_bytes_, all_bytes_);
    read_bytes_ += segment.file_bytes;
    auto file = base::ReadWhole(file_system_, PathOf(segment.name));
    if (!file) return std::nullopt;
    segment.unreadable_bytes = file->unreadable_bytes;
    return std::move(*file);
  }

  void ExamineLane(otlp::Signal signal) {
    Lane lane{.signal = signal, .missing = {}, .segments = {}};
    for (SegmentFound& segment : survey_.segments) {
      if (segment.header && segment.signal() == signal) lane.segments.push_back(&segment);
    }
    uint64_t void_from = UINT64_MAX;
    for (auto segment = lane.segments.rbegin(); segment != lane.segments.rend(); ++segment) {
      (*segment)->void_from = void_from;
      void_from = std::min(void_from, (*segment)->header->first_sequence);
    }
    for (SegmentFound* segment : lane.segments) Examine(lane, *segment);
    std::vector<pipeline::CursorState> cursors;
    for (const CursorFound& cursor : survey_.cursors) {
      if (!cursor.unfinished && cursor.signal == signal) cursors.push_back(cursor.state);
    }
    const AckSet lost = lane.missing.LostTo(cursors);
    AckSet in_breaks;
    for (SegmentFound* segment : lane.segments) {
      for (const Break& place : segment->breaks) in_breaks.AddRange(place.first_sequence, place.end_sequence);
      Judge(lost, *segment);
    }
    for (const AckSet::Range& range : lost.ranges()) {
      in_breaks.ForEachMissing(range.begin, range.end, [&](uint64_t begin, uint64_t end) {
        survey_.missing.push_back({signal, begin, end, WantedOf(signal, begin, end), NameBefore(lane, begin)});
      });
    }
  }

  static std::string NameBefore(const Lane& lane, uint64_t sequence) {
    std::string name;
    for (const SegmentFound* segment : lane.segments) {
      if (segment->header->first_sequence <= sequence) name = segment->name;
    }
    return name;
  }

  void Examine(Lane& lane, SegmentFound& segment) {
    const auto file = Read(segment);
    if (!file) {
      segment.state = State::kBeyondUse;
      return;
    }
    uint64_t expected = segment.header->first_sequence;
    const ByteView all = file->bytes;
    const ByteView frames = all.subspan(std::min(all.size(), kSegmentHeaderBytes));
    size_t accounted = 0;  // of `frames`
    const auto take = [&](const FrameHeader& frame, size_t offset, ByteView body) {
      lane.missing.AddAnswered(segment.header->life_first_sequence, frame.committed);
      const size_t before = std::exchange(accounted, offset + pipeline::FrameBytes(body.size()));
      if (frame.sequence >= segment.void_from) {
        ++segment.void_frames;
        return;
      }
      if (offset > before) {
        segment.breaks.push_back({kSegmentHeaderBytes + before, offset - before, expected, frame.sequence});
      }
      expected = frame.sequence;
      if ((frame.flags & FrameHeader::kEnd) != 0) return;
      ++expected;
      lane.missing.AddWhole(frame.sequence, expected);
      lane.missing.AddExtent(segment.header->first_sequence, expected);
      Count(segment, frame, body);
    };
    pipeline::WalkFrames(frames, segment.header->segment_id, segment.header->first_sequence, take);
    segment.used_bytes = kSegmentHeaderBytes + accounted;
    if (const uint64_t end = EndOfTail(segment, frames, accounted); end > expected) {
      segment.breaks.push_back({segment.used_bytes, 0, expected, end});
    }
  }

  // One beyond the last frame that begins after all that are whole, of whose body something is missing.
  static uint64_t EndOfTail(const SegmentFound& segment, ByteView frames, size_t from) {
    uint64_t end = 0;
    const uint64_t id = segment.header->segment_id;
    for (auto frame = pipeline::FindFrame(frames, from, id); frame;
         frame = pipeline::FindFrame(frames, frame->offset + 8, id)) {
      if (frame->header.sequence < segment.void_from) end = std::max(end, frame->header.sequence + 1);
    }
    return end;
  }

  void Count(SegmentFound& segment, const FrameHeader& frame, ByteView body) {
    if (segment.frames++ == 0) {
      segment.first_sequence = frame.sequence;
      segment.oldest_unix_ns = frame.appended_unix_ns;
    }
    segment.last_sequence = frame.sequence;
    segment.items += frame.items;
    segment.oldest_unix_ns = std::min(segment.oldest_unix_ns, frame.appended_unix_ns);
    segment.youngest_unix_ns = std::max(segment.youngest_unix_ns, frame.appended_unix_ns);
    const bool salvaged = segment.state == State::kHeaderLost;  // it is not in the Log, so no cursor has it to come
    bool wanted = false;
    for (CursorFound& cursor : survey_.cursors) {
      if (cursor.unfinished || cursor.signal != segment.signal() || !cursor.Wants(frame.sequence)) continue;
      wanted = true;
      if (salvaged) continue;
      ++cursor.wanted_frames;
      cursor.wanted_items += frame.items;
    }
    segment.wanted_frames += wanted ? 1 : 0;
    segment.wanted_items += wanted ? frame.items : 0;
    watch_.frame({segment, frame, pipeline::PayloadOf(frame, body), wanted});
  }

  uint64_t WantedOf(otlp::Signal signal, uint64_t begin, uint64_t end) const {
    uint64_t wanted = 0;
    for (const CursorFound& cursor : survey_.cursors) {
      if (cursor.unfinished || cursor.signal != signal) continue;
      wanted = std::max(wanted, end - begin - cursor.state.acknowledged.CountIn(begin, end));
    }
    return wanted;
  }

  // Once it is known what is lost.
  static void Judge(const AckSet& lost, SegmentFound& segment) {
    if (segment.state == State::kBeyondUse) return;
    bool damaged = segment.one_copy || segment.unreadable_bytes > 0;
    for (Break& place : segment.breaks) {
      place.lost = lost.CountIn(place.first_sequence, place.end_sequence);
      damaged |= place.lost > 0;
    }
    if (damaged) {
      segment.state = State::kDamaged;
    } else if (!segment.breaks.empty()) {
      segment.state = State::kTornTail;
    } else if (segment.frames == 0 && segment.void_frames > 0) {
      segment.state = State::kVoid;
    }
  }

  // --- Files without a header ---------------------------------------------------------------------------------------

  void Salvage(SegmentFound& segment) {
    const bool blank = segment.state == State::kBlank;
    const auto file = Read(segment);
    const ByteView all = file ? file->bytes.view() : ByteView();
    const ByteView frames = all.subspan(std::min(all.size(), kSegmentHeaderBytes));
    const auto id = FindLostId(frames);
    const auto signal = id ? SignalOf(frames, *id) : std::nullopt;
    if (!signal) {
      segment.state = blank && !id ? State::kBlank : State::kBeyondUse;
      return;
    }
    segment.state = State::kHeaderLost;
    segment.header = SegmentHeader{.segment_id = *id, .signal = static_cast<uint32_t>(*signal)};
    segment.used_bytes = kSegmentHeaderBytes +
                         pipeline::WalkFrames(frames, *id, 0, [&](const FrameHeader& frame, size_t, ByteView body) {
                           if ((frame.flags & FrameHeader::kEnd) == 0) Count(segment, frame, body);
                         });
    segment.header->first_sequence = segment.first_sequence;
  }

  // The one that all frames are requests of, with as many items as they say.
  static std::optional<otlp::Signal> SignalOf(ByteView frames, uint64_t id) {
    std::vector<otlp::Signal> possible(otlp::kSignals.begin(), otlp::kSignals.end());
    bool any = false;
    pipeline::WalkFrames(frames, id, 0, [&](const FrameHeader& frame, size_t, ByteView body) {
      if ((frame.flags & FrameHeader::kEnd) != 0) return;
      any = true;
      std::erase_if(possible, [&](otlp::Signal signal) {
        const auto counts = otlp::Scan(signal, base::PaddedView::Promise(pipeline::PayloadOf(frame, body)));
        return !counts || *counts != otlp::Counts{frame.items, frame.resources};
      });
    });
    return any && possible.size() == 1 ? std::optional(possible.front()) : std::nullopt;
  }

  base::FileSystem& file_system_;
  Survey& survey_;
  const Watch& watch_;
  uint64_t all_bytes_ = 0;
  uint64_t read_bytes_ = 0;
};

}  // namespace

std::string_view Name(State state) {
  constexpr std::array<std::string_view, 8> kNames = {"whole", "torn tail",   "damaged",    "void",
                                                      "blank", "header lost", "beyond use", "replaced"};
  return kNames[static_cast<size_t>(state)];
}

bool Survey::damaged() const {
  return !missing.empty() || std::ranges::any_of(segments, [](const SegmentFound& segment) {
    return segment.state == State::kDamaged || segment.state == State::kHeaderLost ||
           segment.state == State::kBeyondUse;
  }) || std::ranges::any_of(cursors, [](const CursorFound& cursor) { return !cursor.unfinished && !cursor.whole; });
}

base::Result<Survey> Look(base::FileSystem& file_system, const std::string& directory, const Watch& watch) {
  Survey survey{.directory = directory, .segments = {}, .cursors = {}, .missing = {}};
  if (base::Status status = Surveyor(file_system, survey, watch).Run(); !status) {
    return std::unexpected(status.error());
  }
  return survey;
}

}  // namespace tributary::cli
