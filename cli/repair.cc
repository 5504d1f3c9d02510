#include "cli/repair.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/whole_file.h"

namespace tributary::cli {
namespace {

using base::ByteView;
using pipeline::FrameHeader;
using pipeline::kSegmentHeaderBytes;
using pipeline::SegmentHeader;

constexpr std::string_view kPrefix = "segment-";
constexpr std::string_view kDamaged = ".damaged";

// --- Planning -------------------------------------------------------------------------------------------------------

// Segments of one signal that the Log would read, by serial, and those that the repair puts between them.
struct Place {
  uint64_t serial;
  uint64_t first_sequence;
  uint64_t end_sequence;  // one beyond its last whole frame
};

std::vector<Place> PlacesOf(const Survey& survey, otlp::Signal signal) {
  std::vector<Place> places;
  for (const SegmentFound& segment : survey.segments) {
    const bool read = segment.header && segment.state != State::kHeaderLost && segment.state != State::kBeyondUse;
    if (!read || segment.signal() != signal) continue;
    const uint64_t first = segment.header->first_sequence;
    places.push_back({segment.header->serial, first, segment.frames > 0 ? segment.last_sequence + 1 : first});
  }
  return places;
}

uint64_t HighestNumber(const Survey& survey) {
  uint64_t highest = 0;
  for (const SegmentFound& segment : survey.segments) {
    uint64_t number = 0;
    const std::string_view digits = std::string_view(segment.name).substr(kPrefix.size());
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    highest = std::max(highest, number);
  }
  return highest;
}

// Finds a segment without a header its place among `places`, and which of its frames belong there: none that an
// earlier segment has, and none that a later one gave anew. False when there is no serial left.
bool FindPlace(const SegmentFound& segment, std::vector<Place>& places, Repair& repair) {
  const auto after = std::find_if(places.rbegin(), places.rend(), [&](const Place& place) {
                       return place.first_sequence <= segment.first_sequence;
                     }).base();
  uint64_t first = segment.first_sequence;
  for (auto place = places.begin(); place != after; ++place) first = std::max(first, place->end_sequence);
  uint64_t end = segment.last_sequence + 1;
  for (auto place = after; place != places.end(); ++place) end = std::min(end, place->first_sequence);
  repair.first_sequence = first;
  repair.end_sequence = std::max(first, end);
  if (first >= end) return true;
  const uint64_t serial = after == places.begin() ? 0 : std::prev(after)->serial + 1;
  if (after != places.end() && serial >= after->serial) return false;
  repair.header = *segment.header;
  repair.header.serial = serial;
  repair.header.first_sequence = first;
  repair.header.created_unix_ns = segment.oldest_unix_ns;
  places.insert(after, {serial, first, end});
  return true;
}

Repair PlanSalvage(const SegmentFound& segment, std::vector<Place>& places) {
  Repair repair{.kind = Repair::Kind::kSetAside, .name = segment.name, .why = {}, .new_name = {}, .header = {}};
  repair.old_id = segment.header->segment_id;
  if (segment.wanted_frames == 0) {
    repair.why = "no cursor waits for its frames (--export still reads them before that)";
  } else if (!FindPlace(segment, places, repair)) {
    repair.kind = Repair::Kind::kNothing;
    repair.why = "there is no place for it between its neighbours; --export reads its frames";
  } else if (repair.first_sequence == repair.end_sequence) {
    repair.why = "the Log has its frames elsewhere";
  } else {
    repair.kind = Repair::Kind::kRewrite;
    repair.why = fmt::format("its header is lost, and is made anew from what its {} frames tell", segment.frames);
  }
  return repair;
}

Repair PlanRewrite(const SegmentFound& segment) {
  return {.kind = Repair::Kind::kRewrite,
          .name = segment.name,
          .why = fmt::format("{} of its frames are whole and go on counting", segment.frames),
          .new_name = {},
          .header = *segment.header,
          .old_id = segment.header->segment_id,
          .first_sequence = segment.header->first_sequence,
          .end_sequence = segment.void_from};
}

// --- Doing ----------------------------------------------------------------------------------------------------------

// Whoever runs a repair, the file is the Log's process's.
void GiveToOwnerOf(const std::string& directory, int fd) {
  struct stat owner;
  if (::stat(directory.c_str(), &owner) != 0) return;
  if (::fchown(fd, owner.st_uid, owner.st_gid) != 0)
    return;  // only root may; others are the owner, or see it in `ls -l`
}

base::Status WriteNew(base::FileSystem& file_system, const std::string& directory, const std::string& name,
                      ByteView content) {
  const std::string unfinished = directory + "/fsck.new";
  const auto fd = file_system.Open(unfinished, O_RDWR | O_CREAT | O_TRUNC);
  if (!fd) return base::FailErrno(fd.error(), "create " + unfinished);
  GiveToOwnerOf(directory, fd->get());
  auto done = file_system.WriteAll(fd->get(), content, 0);
  if (done) done = file_system.Sync(fd->get());
  if (done) done = file_system.Rename(unfinished, directory + "/" + name);
  if (done) done = file_system.SyncDirectory(directory);
  if (done) return {};
  (void)file_system.Unlink(unfinished);
  return base::FailErrno(done.error(), fmt::format("write {}/{}", directory, name));
}

// Returns the name it has afterwards.
base::Result<std::string> SetAside(base::FileSystem& file_system, const std::string& directory, std::string name) {
  const std::string old_path = directory + "/" + name;
  if (name.ends_with(kDamaged)) name.resize(name.size() - kDamaged.size());
  name += ".replaced";
  std::string free_name = name;
  for (int i = 2; file_system.Open(directory + "/" + free_name, O_RDONLY); ++i)
    free_name = fmt::format("{}-{}", name, i);
  auto done = file_system.Rename(old_path, directory + "/" + free_name);
  if (done) done = file_system.SyncDirectory(directory);
  if (!done) return base::FailErrno(done.error(), fmt::format("rename {} to {}", old_path, free_name));
  return free_name;
}

base::Result<uint64_t> Rewrite(base::FileSystem& file_system, const std::string& directory, const Repair& repair) {
  const std::string path = directory + "/" + repair.name;
  const auto old = base::ReadWhole(file_system, path);
  if (!old) return base::FailErrno(old.error(), "read " + path);
  base::Bytes content = EncodeSegmentHeader(repair.header);
  uint64_t frames = 0;
  const ByteView all = old->bytes;
  pipeline::WalkFrames(all.subspan(std::min(all.size(), kSegmentHeaderBytes)), repair.old_id, repair.first_sequence,
                       [&](const FrameHeader& frame, size_t offset, ByteView body) {
                         if (frame.sequence >= repair.end_sequence) return;
                         content.Append(all.subspan(kSegmentHeaderBytes + offset, sizeof frame + body.size()));
                         while (content.size() % 8 != 0) content.Push(0);
                         frames += (frame.flags & FrameHeader::kEnd) == 0 ? 1 : 0;
                       });
  if (auto written = WriteNew(file_system, directory, repair.new_name, content); !written) {
    return std::unexpected(written.error());
  }
  return frames;
}

}  // namespace

std::vector<Repair> Plan(const Survey& survey) {
  std::vector<Repair> repairs;
  std::vector<const SegmentFound*> lost;
  for (const SegmentFound& segment : survey.segments) {
    if (segment.state == State::kDamaged) repairs.push_back(PlanRewrite(segment));
    if (segment.state == State::kHeaderLost) lost.push_back(&segment);
    if (segment.state == State::kBeyondUse) {
      repairs.push_back({.kind = Repair::Kind::kSetAside,
                         .name = segment.name,
                         .why = "nothing of it can be saved",
                         .new_name = {},
                         .header = {}});
    }
  }
  std::ranges::sort(lost, {}, [](const SegmentFound* segment) { return segment->first_sequence; });
  for (const otlp::Signal signal : otlp::kSignals) {
    std::vector<Place> places = PlacesOf(survey, signal);
    for (const SegmentFound* segment : lost) {
      if (segment->signal() == signal) repairs.push_back(PlanSalvage(*segment, places));
    }
  }
  uint64_t number = HighestNumber(survey);
  for (Repair& repair : repairs) {
    if (repair.kind == Repair::Kind::kRewrite) repair.new_name = fmt::format("{}{:08}", kPrefix, ++number);
  }
  for (const CursorFound& cursor : survey.cursors) {
    if (!cursor.unfinished) continue;
    repairs.push_back({.kind = Repair::Kind::kRemove,
                       .name = "cursors/" + cursor.name,
                       .why = "a crash left it in the middle of its making",
                       .new_name = {},
                       .header = {}});
  }
  return repairs;
}

base::Result<std::string> Do(base::FileSystem& file_system, const std::string& directory, const Repair& repair) {
  if (repair.kind == Repair::Kind::kNothing) return "left as it is: " + repair.why;
  if (repair.kind == Repair::Kind::kRemove) {
    const auto gone = file_system.Unlink(directory + "/" + repair.name);
    if (!gone) return base::FailErrno(gone.error(), fmt::format("remove {}/{}", directory, repair.name));
    return "removed";
  }
  std::string told;
  if (repair.kind == Repair::Kind::kRewrite) {
    const auto frames = Rewrite(file_system, directory, repair);
    if (!frames) return std::unexpected(frames.error());
    told = fmt::format("{} whole frames written to {}, ", *frames, repair.new_name);
  }
  const auto aside = SetAside(file_system, directory, repair.name);
  if (!aside) return std::unexpected(aside.error());
  return told + "set aside as " + *aside;
}

}  // namespace tributary::cli
