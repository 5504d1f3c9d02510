// LogDirectory: a directory that a real Log wrote, for tests that look at it, damage it, and have a Log read it again.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/io.h"
#include "base/loop.h"
#include "base/metrics_text.h"
#include "cli/survey.h"
#include "otlp/scan.h"
#include "pipeline/log.h"
#include "tests/pipeline/items.h"

namespace tributary::cli {

class LogDirectory : public testing::Test {
 protected:
  // One life of a Log, with a reader for each signal.
  class Life {
   public:
    explicit Life(LogDirectory& test, const std::string& directory) : test_(test) {
      pipeline::Log::Options options;
      options.mode = pipeline::Log::Mode::kProcess;
      options.directory = directory;
      options.bytes_max = 16 << 20;
      options.segment_bytes = 64 << 10;
      auto io = base::OpenIo(test.loop_, test.file_system_, base::IoKind::kThread);
      auto log = pipeline::Log::Open(test.loop_, test.file_system_, std::move(*io), std::move(options));
      EXPECT_TRUE(log);
      log_ = std::move(*log);
      for (const otlp::Signal signal : otlp::kSignals) cursors_[signal] = log_->OpenCursor(signal, "sink.one");
      log_->Start();
    }

    // Appends a request with this item and returns when it was answered.
    void Append(otlp::Signal signal, uint64_t item, size_t padding_bytes = 1'000) {
      base::Bytes request =
          test::MakeRequest(signal, {{.service = "shop", .items = {item}, .padding_bytes = padding_bytes}});
      test_.appended_[{signal, item}] = std::string(base::AsText(request));
      bool taken = false;
      const auto counts = otlp::Scan(signal, request);
      ASSERT_TRUE(counts);
      log_->Append({signal, *counts, std::move(request)}, [&taken](pipeline::Log::Taken answer) {
        EXPECT_EQ(answer, pipeline::Log::Taken::kYes);
        taken = true;
      });
      for (int i = 0; i < 10'000 && !taken; ++i) test_.loop_.RunOnce(std::chrono::milliseconds(10));
      ASSERT_TRUE(taken);
    }
    // Reads and acknowledges up to `frames_max` frames; returns their items.
    std::vector<uint64_t> Read(otlp::Signal signal, size_t frames_max = SIZE_MAX) {
      std::vector<uint64_t> items;
      pipeline::Cursor& cursor = *cursors_[signal];
      using From = pipeline::Cursor::From;
      for (int i = 0; i < 10'000 && items.size() < frames_max; ++i) {
        const From from = cursor.has_backlog() ? From::kBacklog : From::kLive;
        if (!cursor.Prepare(from, 1 << 16)) {
          test_.loop_.RunOnce(std::chrono::milliseconds(10));
          continue;
        }
        const auto frame = cursor.Next(from);
        if (!frame && !cursor.has_backlog()) break;
        if (!frame) continue;
        for (const uint64_t item : test::ItemsOf(signal, frame->bytes())) items.push_back(item);
        cursor.Acknowledge(*frame);
      }
      return items;
    }
    uint64_t held_items(otlp::Signal signal) const { return cursors_[signal]->totals().held_items; }
    std::string metrics() const {
      base::MetricsText metrics;
      log_->WriteMetrics(metrics);
      return metrics.Render();
    }

   private:
    LogDirectory& test_;
    std::unique_ptr<pipeline::Log> log_;
    otlp::PerSignal<std::unique_ptr<pipeline::Cursor>> cursors_;
  };

  LogDirectory() : root_(testing::TempDir() + "/fsck_test.XXXXXX") {
    EXPECT_NE(::mkdtemp(root_.data()), nullptr);
    directory_ = root_ + "/log";
  }
  ~LogDirectory() override { std::filesystem::remove_all(root_); }

  std::unique_ptr<Life> Live() { return std::make_unique<Life>(*this, directory_); }
  // A life that takes traces 1 to `count`, of which it delivers the first `delivered`.
  void FillWithTraces(uint64_t count, size_t delivered = 0) {
    const auto life = Live();
    for (uint64_t item = 1; item <= count; ++item) life->Append(otlp::Signal::kTraces, item);
    EXPECT_EQ(life->Read(otlp::Signal::kTraces, delivered).size(), delivered);
  }

  Survey Surveyed(const Watch& watch = {}) {
    auto survey = Look(file_system_, directory_, watch);
    EXPECT_TRUE(survey) << survey.error().message;
    return std::move(*survey);
  }
  // Where each whole frame of a signal lies: file and offset of its header, by sequence.
  struct Where {
    std::string name;
    uint64_t offset;
    uint64_t payload_bytes;
  };
  std::map<uint64_t, Where> FramesOf(otlp::Signal signal) {
    std::map<uint64_t, Where> frames;
    for (const SegmentFound& segment : Surveyed().segments) {
      if (!segment.header || segment.signal() != signal) continue;
      const std::string content = Content(segment.name);
      pipeline::WalkFrames(base::AsBytes(content).subspan(pipeline::kSegmentHeaderBytes), segment.header->segment_id,
                           segment.header->first_sequence,
                           [&](const pipeline::FrameHeader& frame, size_t offset, base::ByteView payload) {
                             if ((frame.flags & pipeline::FrameHeader::kEnd) != 0) return;
                             frames[frame.sequence] = {segment.name, pipeline::kSegmentHeaderBytes + offset,
                                                       payload.size()};
                           });
    }
    return frames;
  }

  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }
  std::string Content(const std::string& name) const {
    std::ifstream file(PathOf(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Overwrite(const std::string& name, uint64_t offset, const std::string& bytes) const {
    std::fstream file(PathOf(name), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
    ASSERT_TRUE(file.good());
  }
  void Flip(const std::string& name, uint64_t offset) const {
    Overwrite(name, offset, std::string(1, static_cast<char>(~Content(name)[offset])));
  }
  void LoseHeader(const std::string& name) const {
    Overwrite(name, 0, std::string(pipeline::kSegmentHeaderBytes, 'x'));
  }

  std::string root_;
  std::string directory_;
  base::FileSystem file_system_;
  base::Loop loop_;
  std::map<std::pair<otlp::Signal, uint64_t>, std::string> appended_;  // requests by signal and item
};

}  // namespace tributary::cli
