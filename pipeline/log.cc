#include "pipeline/log.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "pipeline/lane.h"
#include "pipeline/missing_frames.h"

namespace tributary::pipeline {
namespace {

constexpr base::Nanos kDrainWindow = std::chrono::seconds(1);
constexpr base::Nanos kStalledAfter = 2 * kDrainWindow;
constexpr base::Nanos kExpiryInterval = std::chrono::seconds(10);
// A disk that takes longer is not well, though it may only be busy.
constexpr base::Nanos kSlow = std::chrono::seconds(2);
// More serials, and more sequences, than files that could not be read may have taken.
constexpr uint64_t kUnreadMax = uint64_t{1} << 32;

// What a Batch costs in memory: its bytes as allocated, or copied, and the bookkeeping around them.
size_t MemoryCost(const Batch& batch) { return batch.bytes.capacity() + base::Bytes::kPadding + sizeof(Block::Record); }

// The loss window: what takes telemetry that was answered OK.
std::string_view LostBy(Log::Mode mode) {
  constexpr std::array<std::string_view, 3> kLostBy = {"end of the process", "power loss", "loss of the disk"};
  return kLostBy[static_cast<size_t>(mode)];
}

}  // namespace

std::string_view Log::Name(Mode mode) {
  constexpr std::array<std::string_view, 3> kNames = {"memory", "process", "durable"};
  return kNames[static_cast<size_t>(mode)];
}

Log::Log(base::Loop& loop, Options options) : Log(loop, nullptr, nullptr, std::move(options)) { CHECK(!on_disk()); }

Log::Log(base::Loop& loop, base::FileSystem* file_system, std::unique_ptr<base::Io> io, Options options)
    : loop_(loop), file_system_(file_system), options_(std::move(options)), drain_window_start_(loop.now()) {
  for (const otlp::Signal signal : otlp::kSignals) lanes_[signal] = std::make_unique<Lane>(*this, signal);
  if (!on_disk()) return;
  io_ = std::move(io);
  pool_ = std::make_unique<SegmentPool>(loop, *file_system, *io_,
                                        SegmentPool::Options{.directory = options_.directory,
                                                             .segment_bytes = options_.segment_bytes,
                                                             .bytes_max = options_.bytes_max,
                                                             .write_ahead = options_.mode == Mode::kDurable},
                                        [this] { DiskChanged(); });
}

Log::~Log() {
  io_.reset();
  for (const auto& lane : lanes_.values) lane->Close();
}

void Log::Start() {
  if (!on_disk()) return;
  ForgetUnopenedCursors();
  for (const auto& lane : lanes_.values) lane->FreeWhatIsDone();
  pool_->Start();
  if (options_.age_max) DropExpired();
}

std::unique_ptr<Cursor> Log::OpenCursor(otlp::Signal signal, std::string_view name) {
  Lane& lane = *lanes_[signal];
  if (!on_disk()) return std::unique_ptr<Cursor>(new Cursor(lane, name, nullptr, AckSet(lane.committed())));
  const std::string path = CursorPath(signal, name);
  CursorState state{.acknowledged = AckSet(lane.committed())};
  if (auto saved = CursorFile::Load(*file_system_, path)) {
    state = std::move(*saved);
  } else if (saved.error() != ENOENT) {
    NoteReadFailure(path, saved.error());
    state = {.acknowledged = {}, .may_be_old = true};
  }
  // Its new file is whole. What is nowhere, and perhaps was delivered, must not count as lost by that.
  if (state.may_be_old) lane.AcknowledgeWhatIsGone(state.acknowledged);
  cursor_paths_.insert(path);
  AckSet acknowledged = state.acknowledged;
  const CursorFile::Disk disk{loop_, *file_system_, *io_, options_.mode == Mode::kDurable};
  auto file = std::make_unique<CursorFile>(disk, path, std::move(state));
  return std::unique_ptr<Cursor>(new Cursor(lane, name, std::move(file), std::move(acknowledged)));
}

void Log::Append(Batch batch, Answer answer) {
  Lane& lane = *lanes_[batch.signal];
  if (on_disk() ? unwritten_bytes_ >= options_.memory_bytes_max
                : bytes_ + MemoryCost(batch) > options_.bytes_max && !MakeRoom(MemoryCost(batch))) {
    return answer(Taken::kFull);
  }
  if (!lane.has_cursors()) return answer(Taken::kYes);
  if (!lane.cursors_are_kept()) return answer(Taken::kFailed);
  lane.Append(std::move(batch), std::move(answer));
}

bool Log::Admits(size_t bytes) const {
  if (!on_disk()) return bytes_ + bytes <= options_.bytes_max || options_.when_full == WhenFull::kDropOldest;
  if (!disk_error().empty()) return false;
  if (unwritten_bytes_ >= options_.memory_bytes_max) return false;
  return options_.when_full == WhenFull::kDropOldest || bytes_ + FrameBytes(bytes) <= options_.bytes_max;
}

void Log::set_bytes_max(size_t bytes_max) {
  options_.bytes_max = bytes_max;
  if (pool_) pool_->set_bytes_max(bytes_max);
}

std::optional<base::Nanos> Log::TimeUntilFree(size_t bytes) const {
  if (bytes_ + bytes <= options_.bytes_max) return base::Nanos(0);
  const double excess = static_cast<double>(bytes_ + bytes - options_.bytes_max);
  // The running window counts once it is long enough to mean something, so that a stopped drain is noticed. One that
  // no frame has ended for long says nothing of when the next ones leave.
  const base::Nanos window = loop_.now() - drain_window_start_;
  if (window > kStalledAfter) return std::nullopt;
  const double rate =
      window > kDrainWindow ? static_cast<double>(drain_window_bytes_) / base::Seconds(window) : drain_bytes_per_s_;
  if (rate < 1) return std::nullopt;
  return base::Nanos(static_cast<int64_t>(std::min(excess / rate, 3600.0) * 1e9));
}

void Log::MeasureDrain(size_t bytes) {
  const base::Nanos window = loop_.now() - drain_window_start_;
  if (window >= kDrainWindow) {
    const double rate = static_cast<double>(drain_window_bytes_) / base::Seconds(window);
    drain_bytes_per_s_ = drain_bytes_per_s_ == 0 ? rate : 0.5 * drain_bytes_per_s_ + 0.5 * rate;
    drain_window_start_ = loop_.now();
    drain_window_bytes_ = 0;
  }
  drain_window_bytes_ += bytes;
}

// --- Room -----------------------------------------------------------------------------------------------------------

// A segment file came to be, or could not be made.
void Log::DiskChanged() {
  for (const auto& lane : lanes_.values) lane->DiskChanged();
}

// Whether `bytes` more could be kept, after dropping the oldest if that is the policy.
bool Log::MakeRoom(size_t bytes) {
  const auto has_room = [this, bytes] {
    return on_disk() ? pool_->CanGive(bytes) : bytes_ + bytes <= options_.bytes_max;
  };
  while (!has_room()) {
    if (options_.when_full != WhenFull::kDropOldest) return false;
    Lane* oldest_lane = nullptr;
    base::Time oldest = base::Time::max();
    for (const auto& lane : lanes_.values) {
      const base::Time of_lane = lane->OldestToDrop().value_or(base::Time::max());
      if (of_lane >= oldest) continue;
      oldest = of_lane;
      oldest_lane = lane.get();
    }
    if (oldest_lane == nullptr) return false;
    oldest_lane->DropOldest(Cursor::Loss::kFull);
  }
  return true;
}

void Log::DropExpired() {
  for (const auto& lane : lanes_.values) {
    for (auto youngest = lane->OldestToDrop(); youngest && loop_.now() - *youngest > *options_.age_max;
         youngest = lane->OldestToDrop()) {
      lane->DropOldest(Cursor::Loss::kExpired);
    }
  }
  expiry_ = loop_.RunAfter(kExpiryInterval, [this] { DropExpired(); });
}

// A Block that takes no more frames stays in memory until it is delivered or younger ones need its place.
void Log::Cache(Lane& lane, uint64_t first_sequence, size_t memory_bytes) {
  cached_.push_back({&lane, first_sequence});
  cached_bytes_ += memory_bytes;
  while (!cached_.empty()) {
    const Cached oldest = cached_.front();
    if (oldest.lane->IsCached(oldest.first_sequence)) {
      if (cached_bytes_ <= options_.memory_bytes_max) return;
      oldest.lane->Evict(oldest.first_sequence);
    }
    cached_.pop_front();
  }
}

// --- From life to life ----------------------------------------------------------------------------------------------

base::Result<std::unique_ptr<Log>> Log::Open(base::Loop& loop, base::FileSystem& file_system,
                                             std::unique_ptr<base::Io> io, Options options) {
  CHECK(options.mode != Mode::kMemory);
  std::unique_ptr<Log> log(new Log(loop, &file_system, std::move(io), std::move(options)));
  if (base::Status status = log->OpenDirectory(); !status) return std::unexpected(status.error());
  if (base::Status status = log->Recover(); !status) return std::unexpected(status.error());
  return log;
}

// Makes it, with all above it, so that a power loss does not take it away again; and takes it for this process.
base::Status Log::OpenDirectory() {
  const std::string path = options_.directory + "/cursors/";
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string directory = path.substr(0, slash);
    const auto made = file_system_->MakeDirectory(directory);
    if (!made && made.error() != EEXIST) return base::FailErrno(made.error(), "make directory " + directory);
    // Our own also when they were there: the life that made them may have ended before it came to this.
    const size_t name = directory.rfind('/');
    const std::string parent = name == std::string::npos ? "." : directory.substr(0, std::max<size_t>(1, name));
    if (!made && directory.size() < options_.directory.size()) continue;
    if (const auto synced = file_system_->SyncDirectory(parent); !synced && synced.error() != EACCES) {
      // Nobody knows what a failed sync left, and the next one would not say. To be made anew.
      if (made) (void)file_system_->RemoveDirectory(directory);
      return base::FailErrno(synced.error(), "sync directory " + parent);
    }
  }
  const std::string lock_path = options_.directory + "/lock";
  auto lock = file_system_->Open(lock_path, O_RDWR | O_CREAT);
  if (!lock) return base::FailErrno(lock.error(), "open " + lock_path);
  if (const auto locked = file_system_->Lock(lock->get()); !locked) {
    if (locked.error() != EWOULDBLOCK) return base::FailErrno(locked.error(), "lock " + lock_path);
    return base::Fail("{} is in use by another process; each needs a log.directory of its own", options_.directory);
  }
  lock_ = std::move(*lock);
  return {};
}

base::Status Log::Recover() {
  const std::string& directory = options_.directory;
  const auto names = file_system_->List(directory);
  if (!names) return base::FailErrno(names.error(), "read directory " + directory);

  otlp::PerSignal<std::vector<CursorState>> cursors;
  if (base::Status status = FindCursors(cursors); !status) return status;
  std::vector<FoundFile> found = FindSegments(*names);
  std::ranges::sort(found, {}, [](const FoundFile& file) { return file.header->serial; });
  for (const auto& lane : lanes_.values) {
    std::vector<FoundFile> files;
    for (const FoundFile& file : found) {
      if (file.header->signal == static_cast<uint32_t>(lane->signal())) files.push_back(file);
    }
    RecoverLane(*lane, std::move(files), cursors[lane->signal()]);
  }
  return {};
}

// What was acknowledged may be gone from the segments already; its sequences are not given again.
base::Status Log::FindCursors(otlp::PerSignal<std::vector<CursorState>>& cursors) {
  const std::string directory = options_.directory + "/cursors";
  const auto names = file_system_->List(directory);
  if (!names) return base::FailErrno(names.error(), "read directory " + directory);
  for (const std::string& name : *names) {
    for (const auto& lane : lanes_.values) {
      if (!name.starts_with(fmt::format("{}.", otlp::Name(lane->signal())))) continue;
      const auto loaded = CursorFile::Load(*file_system_, directory + "/" + name);
      some_unread_ |= !loaded;
      const CursorState state = loaded.value_or(CursorState{.acknowledged = {}, .may_be_old = true});
      lane->Reserve(state.acknowledged.end());
      if (!name.ends_with(".new")) cursors[lane->signal()].push_back(state);
    }
  }
  return {};
}

// Those that have a header. One that was never used is given to the pool, one that is damaged beyond use is left where
// it is, under a name that says so.
std::vector<FoundFile> Log::FindSegments(const std::vector<std::string>& names) {
  std::vector<FoundFile> found;
  for (const std::string& name : names) {
    if (!IsSegmentName(name)) continue;
    const std::string path = options_.directory + "/" + name;
    auto file = FindSegment(*file_system_, path);
    if (!file) {
      NoteReadFailure(path, file.error());
      ++account_.damaged_segments;
      some_unread_ = true;
      continue;
    }
    account_.read_failures += file->failed_reads;
    pool_->Count(*file->file);
    if (file->header) {
      last_serial_ = std::max(last_serial_, file->header->serial);
      found.push_back(std::move(*file));
    } else if (file->blank) {
      pool_->Give(std::move(file->file));
    } else {
      ++account_.damaged_segments;
      spdlog::error("{} is damaged beyond use; it stays as {}.damaged", path, name);
      (void)file_system_->Rename(path, path + ".damaged");
    }
  }
  if (some_unread_) last_serial_ += kUnreadMax;
  return found;
}

// `files` are the signal's, by serial.
void Log::RecoverLane(Lane& lane, std::vector<FoundFile> files, const std::vector<CursorState>& cursors) {
  std::vector<std::unique_ptr<Segment>> segments;
  MissingFrames missing;
  uint64_t end = UINT64_MAX;  // of what counts: later segments gave the sequences from here on anew
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    RecoveredSegment recovered = RecoverSegment(*file_system_, *file, end, loop_.now(), taken_batches_, sources_);
    end = std::min(end, file->header->first_sequence);
    account_.read_failures += recovered.failed_reads;
    const Segment& segment = *recovered.segment;
    missing.AddAnswered(file->header->life_first_sequence, recovered.committed);
    missing.AddExtent(segment.first_sequence, segment.end_sequence());
    for (const Extent& extent : segment.extents) {
      missing.AddWhole(extent.first_sequence, extent.end_sequence());
      account_.recovered_items += extent.items;
    }
    lane.Reserve(segment.end_sequence());
    if (recovered.unreadable_bytes > 0) {
      spdlog::error("{}: the disk cannot read {} bytes of it", file->file->path, recovered.unreadable_bytes);
      ++account_.damaged_segments;
      some_unread_ = true;
    }
    if (!segment.extents.empty()) {
      segments.push_back(std::move(recovered.segment));
    } else if (recovered.unreadable_bytes == 0) {
      pool_->Give(file->file);  // nothing in it counts
    }
  }
  account_.damaged_frames += missing.LostTo(cursors).CountIn(0, missing.answered_end());

  std::ranges::reverse(segments);
  lane.Restore(std::move(segments));
  lane.Reserve(missing.answered_end());
  if (some_unread_) lane.Reserve(lane.committed() + kUnreadMax);
}

// Signals and names, which may hold anything, are told apart by their place; what no file name may hold is escaped.
std::string Log::CursorPath(otlp::Signal signal, std::string_view name) const {
  std::string path = fmt::format("{}/cursors/{}.", options_.directory, otlp::Name(signal));
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    path += plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return path;
}

void Log::ForgetUnopenedCursors() {
  const std::string directory = options_.directory + "/cursors";
  for (const std::string& name : file_system_->List(directory).value_or(std::vector<std::string>())) {
    const std::string path = directory + "/" + name;
    if (cursor_paths_.contains(path)) continue;
    if (!name.ends_with(".new"))
      spdlog::warn("{}: nothing reads for this destination any more; what it held goes", path);
    (void)file_system_->Unlink(path);
  }
}

// What of an extent is not acknowledged, from its file.
Cursor::Unread Log::CountRest(const Segment& segment, const Extent& extent, const AckSet& acknowledged) {
  const auto block = ReadBlock(*file_system_, segment, extent, loop_.now());
  Cursor::Unread rest;
  for (uint64_t sequence = extent.first_sequence; sequence < extent.end_sequence(); ++sequence) {
    if (acknowledged.Contains(sequence)) continue;
    const Block::Record& record = block->record(sequence);
    rest.frames += 1;
    rest.items += record.counts.items;
    rest.bytes += record.size();
  }
  return rest;
}

void Log::NoteReadFailure(const std::string& path, int error) {
  if (account_.read_failures++ == 0)
    spdlog::error("read {}: {}; further failures are counted only", path, std::strerror(error));
}

// --- Telling --------------------------------------------------------------------------------------------------------

std::string Log::disk_error() const {
  if (!on_disk()) return {};
  if (!write_error_.empty()) return write_error_;
  if (!pool_->error().empty()) return pool_->error();
  for (const auto& lane : lanes_.values) {
    if (!lane->cursors_are_kept()) return "a cursor file cannot be made";
  }
  base::Nanos wait{};
  for (const auto& lane : lanes_.values) wait = std::max(wait, lane->oldest_wait());
  return wait > kSlow ? fmt::format("a write has been under way for {:.1f} s", base::Seconds(wait)) : std::string();
}

void Log::WriteMetrics(base::MetricsText& metrics) const {
  metrics.Gauge("tributary_log_bytes", "What the frames in the Log take, of memory or of disk.", {},
                static_cast<double>(bytes_));
  sources_.WriteMetrics(metrics);
  metrics.Gauge("tributary_log_bytes_max", "The Log's cap.", {}, static_cast<double>(options_.bytes_max));
  metrics.Gauge("tributary_log_info", "How the Log keeps what it took, by what means, and how that may still be lost.",
                {{"mode", Name(options_.mode)}, {"io", io_ ? io_->name() : "none"}, {"lost_by", LostBy(options_.mode)}},
                1);
  if (!on_disk()) return;
  metrics.Gauge("tributary_log_disk_bytes", "All segment files, those ready for use included.", {},
                static_cast<double>(pool_->bytes()));
  metrics.Gauge("tributary_log_memory_bytes", "Memory of young frames and of those being written.", {},
                static_cast<double>(cached_bytes_ + unwritten_bytes_));
  metrics.Gauge("tributary_log_disk_ok", "1 while the disk does what it should.", {}, disk_error().empty() ? 1 : 0);
  metrics.Counter("tributary_log_recovered_items_total", "Items found at the start, delivered or not.", {},
                  static_cast<double>(account_.recovered_items));
  metrics.Counter("tributary_log_damaged_frames_total", "Frames answered OK that were not found whole at the start.",
                  {}, static_cast<double>(account_.damaged_frames));
  metrics.Counter("tributary_log_damaged_segments_total", "Segment files that could not be read at the start.", {},
                  static_cast<double>(account_.damaged_segments));
  metrics.Counter("tributary_log_write_failures_total", "Writes or syncs that failed; their senders were refused.", {},
                  static_cast<double>(account_.write_failures));
  metrics.Counter("tributary_log_read_failures_total", "Reads that failed.", {},
                  static_cast<double>(account_.read_failures));
  metrics.Counter("tributary_log_stalls_total", "Times that the disk was so slow that senders were refused.", {},
                  static_cast<double>(account_.stalls));
}

}  // namespace tributary::pipeline
