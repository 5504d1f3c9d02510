#include "cli/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <vector>

#include "otlp/json_text.h"

namespace tributary::cli {
namespace {

// Columns as wide as their longest cell, two spaces between.
class Table {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  std::string Text() const {
    std::vector<std::string> titles;
    for (const Column& column : columns_) titles.push_back(column.title);
    std::string text = Line(titles);
    for (const auto& row : rows_) text += Line(row);
    return text;
  }

 private:
  std::string Line(const std::vector<std::string>& cells) const {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      size_t width = columns_[i].title.size();
      for (const auto& row : rows_) width = std::max(width, row[i].size());
      if (i > 0) line += "  ";
      line += columns_[i].align == Align::kLeft ? fmt::format("{:<{}}", cells[i], width)
                                                : fmt::format("{:>{}}", cells[i], width);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
  }

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string Time(uint64_t unix_ns) {
  if (unix_ns == 0) return "-";
  const auto seconds = static_cast<std::time_t>(unix_ns / 1'000'000'000);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(seconds));
}

std::string Size(uint64_t bytes) {
  if (bytes < 10'240) return fmt::format("{} B", bytes);
  if (bytes < 10'240 << 10) return fmt::format("{} KiB", bytes >> 10);
  return fmt::format("{} MiB", bytes >> 20);
}

std::string Sequences(uint64_t first, uint64_t end) {
  return end - first == 1 ? fmt::format("{}", first) : fmt::format("{}-{}", first, end - 1);
}

std::string Plural(uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string Quoted(std::string_view text) {
  std::string valid;  // JSON is UTF-8; a file's name may be anything
  for (const char c : text) valid += static_cast<unsigned char>(c) < 0x80 ? c : '?';
  std::string json;
  otlp::AppendQuoted(valid, json);
  return json;
}

uint64_t MissingIn(const SegmentFound& segment) {
  uint64_t frames = 0;
  for (const Break& place : segment.breaks) frames += place.frames();
  return frames;
}

std::string StateOf(const SegmentFound& segment) {
  std::string state(Name(segment.state));
  if (segment.state == State::kDamaged && segment.breaks.empty()) return "damaged header";
  if (segment.state == State::kDamaged) state = Plural(MissingIn(segment), "damaged frame");
  if (!segment.breaks.empty()) state += fmt::format(" at {}", segment.breaks.front().offset);
  if (segment.breaks.size() > 1) state += fmt::format(" and {} more places", segment.breaks.size() - 1);
  return state;
}

std::string SegmentTable(const Survey& survey) {
  using enum Table::Align;
  Table table({{"SEGMENT"},
               {"SIGNAL"},
               {"SERIAL", kRight},
               {"FRAMES", kRight},
               {"ITEMS", kRight},
               {"WANTED", kRight},
               {"SEQUENCES"},
               {"USED", kRight},
               {"OLDEST"},
               {"YOUNGEST"},
               {"STATE"}});
  for (const SegmentFound& segment : survey.segments) {
    const bool known = segment.header.has_value();
    const bool any = segment.frames > 0;
    table.Add({segment.name, known ? std::string(otlp::Name(segment.signal())) : "-",
               known && segment.state != State::kHeaderLost ? fmt::format("{}", segment.header->serial) : "-",
               known ? fmt::format("{}", segment.frames) : "-", known ? fmt::format("{}", segment.items) : "-",
               known ? fmt::format("{}", segment.wanted_frames) : "-",
               any ? Sequences(segment.first_sequence, segment.last_sequence + 1) : "-", Size(segment.used_bytes),
               Time(segment.oldest_unix_ns), Time(segment.youngest_unix_ns), StateOf(segment)});
  }
  return table.Text();
}

std::string CursorTable(const Survey& survey) {
  using enum Table::Align;
  Table table({{"CURSOR"},
               {"SIGNAL"},
               {"DESTINATION"},
               {"BELOW", kRight},
               {"RANGES", kRight},
               {"UNACKNOWLEDGED FRAMES", kRight},
               {"ITEMS", kRight},
               {"STATE"}});
  for (const CursorFound& cursor : survey.cursors) {
    const bool whole = cursor.whole;
    const std::string signal(cursor.signal ? otlp::Name(*cursor.signal) : "-");
    table.Add({cursor.name, signal, cursor.destination,
               whole ? fmt::format("{}", cursor.state.acknowledged.below()) : "-",
               whole ? fmt::format("{}", cursor.state.acknowledged.ranges().size()) : "-",
               fmt::format("{}", cursor.wanted_frames), fmt::format("{}", cursor.wanted_items),
               cursor.unfinished ? "unfinished"
               : whole           ? "whole"
                                 : "damaged"});
  }
  return table.Text();
}

void AppendSegmentFaults(const SegmentFound& segment, std::string& text) {
  const auto say = [&](std::string what) { text += fmt::format("  {}: {}\n", segment.name, what); };
  if (segment.unreadable_bytes > 0) say(fmt::format("the disk cannot read {} bytes of it", segment.unreadable_bytes));
  if (segment.one_copy) say("one of the two copies of its header is damaged; the other is in force");
  for (const Break& place : segment.breaks) {
    const std::string where = place.bytes == 0 ? fmt::format("from byte {}", place.offset)
                                               : fmt::format("{} bytes from byte {}", place.bytes, place.offset);
    const std::string lost = place.frames() == 0
                                 ? "no frame is missing for it"
                                 : fmt::format("frames {}", Sequences(place.first_sequence, place.end_sequence));
    say(fmt::format(
        "{} not whole: {}{}", where, lost,
        place.lost > 0 ? fmt::format(", {} of them lost", place.lost) : ", never answered OK or delivered: no loss"));
  }
  if (segment.state == State::kHeaderLost) {
    say(fmt::format(
        "no header, so the Log passes over it; {} whole, {} of them not acknowledged: --repair brings these "
        "back",
        Plural(segment.frames, "frame"), segment.wanted_frames));
  }
  if (segment.state == State::kBeyondUse) say("neither a header nor a frame that tells what it was");
  if (segment.state == State::kReplaced) say("set aside by a repair; remove it when nobody needs it any more");
}

std::string Faults(const Survey& survey) {
  std::string text;
  for (const SegmentFound& segment : survey.segments) AppendSegmentFaults(segment, text);
  for (const Missing& gap : survey.missing) {
    text += fmt::format("  {}: frames {} were answered OK and are in no segment{}; {} not acknowledged\n",
                        otlp::Name(gap.signal), Sequences(gap.first_sequence, gap.end_sequence),
                        gap.after.empty() ? "" : " after " + gap.after, gap.wanted);
  }
  for (const CursorFound& cursor : survey.cursors) {
    if (cursor.unfinished) {
      text += fmt::format("  cursors/{}: left by a crash while it was made; of no consequence\n", cursor.name);
    } else if (!cursor.whole) {
      text += fmt::format("  cursors/{}: neither copy is whole: all there is will be sent again to {}\n", cursor.name,
                          cursor.destination);
    }
  }
  return text;
}

struct Sums {
  uint64_t frames = 0;
  uint64_t items = 0;
  uint64_t wanted_items = 0;
  uint64_t damaged_frames = 0;
};

Sums SumsOf(const Survey& survey) {
  Sums sums;
  for (const SegmentFound& segment : survey.segments) {
    sums.frames += segment.frames;
    sums.items += segment.items;
    sums.wanted_items += segment.wanted_items;
    for (const Break& place : segment.breaks) sums.damaged_frames += place.lost;
  }
  return sums;
}

uint64_t MissingFrames(const Survey& survey) {
  uint64_t frames = 0;
  for (const Missing& gap : survey.missing) frames += gap.end_sequence - gap.first_sequence;
  return frames;
}

std::string Summary(const Survey& survey) {
  const Sums sums = SumsOf(survey);
  std::string text = fmt::format(
      "{}: {}; {} whole frames with {} items, {} of them not acknowledged by every cursor; {}\n", survey.directory,
      Plural(survey.segments.size(), "segment file"), sums.frames, sums.items, sums.wanted_items,
      survey.damaged()
          ? fmt::format("DAMAGED: {} damaged, {} missing", Plural(sums.damaged_frames, "frame"), MissingFrames(survey))
          : "nothing is wrong");
  if (survey.in_use)
    text += "A running process has this directory: what it writes just now may look torn or missing.\n";
  return text;
}

std::string SegmentJson(const SegmentFound& segment) {
  std::string json = fmt::format(R"({{"name":{},"state":"{}","file_bytes":{},"used_bytes":{},"unreadable_bytes":{})",
                                 Quoted(segment.name), Name(segment.state), segment.file_bytes, segment.used_bytes,
                                 segment.unreadable_bytes);
  if (segment.header) {
    json += fmt::format(R"(,"signal":"{}","serial":{},"frames":{},"items":{},"wanted_frames":{},"wanted_items":{})",
                        otlp::Name(segment.signal()), segment.header->serial, segment.frames, segment.items,
                        segment.wanted_frames, segment.wanted_items);
    json += fmt::format(R"(,"void_frames":{},"one_header_copy":{})", segment.void_frames, segment.one_copy);
  }
  if (segment.frames > 0) {
    json +=
        fmt::format(R"(,"first_sequence":{},"last_sequence":{},"oldest_unix_ns":"{}","youngest_unix_ns":"{}")",
                    segment.first_sequence, segment.last_sequence, segment.oldest_unix_ns, segment.youngest_unix_ns);
  }
  json += R"(,"breaks":[)";
  for (const Break& place : segment.breaks) {
    if (json.back() != '[') json += ',';
    json += fmt::format(R"({{"offset":{},"bytes":{},"first_sequence":{},"frames":{},"lost_frames":{}}})", place.offset,
                        place.bytes, place.first_sequence, place.frames(), place.lost);
  }
  return json + "]}";
}

std::string CursorJson(const CursorFound& cursor) {
  std::string json = fmt::format(R"({{"name":{},"state":"{}","destination":{},"wanted_frames":{},"wanted_items":{})",
                                 Quoted(cursor.name),
                                 cursor.unfinished ? "unfinished"
                                 : cursor.whole    ? "whole"
                                                   : "damaged",
                                 Quoted(cursor.destination), cursor.wanted_frames, cursor.wanted_items);
  if (cursor.signal) json += fmt::format(R"(,"signal":"{}")", otlp::Name(*cursor.signal));
  if (cursor.whole) {
    json += fmt::format(R"(,"below":{},"ranges":{})", cursor.state.acknowledged.below(),
                        cursor.state.acknowledged.ranges().size());
  }
  return json + "}";
}

template <typename List, typename ToJson>
std::string JsonArray(const List& list, ToJson to_json) {
  std::string json = "[";
  for (const auto& element : list) {
    if (json.size() > 1) json += ',';
    json += to_json(element);
  }
  return json + "]";
}

}  // namespace

std::string AsText(const Survey& survey) {
  std::string text = SegmentTable(survey) + "\n" + CursorTable(survey);
  if (const std::string faults = Faults(survey); !faults.empty()) text += "\n" + faults;
  return text + "\n" + Summary(survey);
}

std::string AsJson(const Survey& survey) {
  const Sums sums = SumsOf(survey);
  const std::string missing = JsonArray(survey.missing, [](const Missing& gap) {
    return fmt::format(R"({{"signal":"{}","first_sequence":{},"frames":{},"wanted_frames":{}}})",
                       otlp::Name(gap.signal), gap.first_sequence, gap.end_sequence - gap.first_sequence, gap.wanted);
  });
  return fmt::format(
      R"({{"directory":{},"in_use":{},"damaged":{},"frames":{},"items":{},"damaged_frames":{},"missing_frames":{},)"
      R"("segments":{},"cursors":{},"missing":{}}})"
      "\n",
      Quoted(survey.directory), survey.in_use, survey.damaged(), sums.frames, sums.items, sums.damaged_frames,
      MissingFrames(survey), JsonArray(survey.segments, SegmentJson), JsonArray(survey.cursors, CursorJson), missing);
}

}  // namespace tributary::cli
