// Drain: the end of a process' work. Has every Destination send what it has, and says when that is done or the time for
// it is over. Lives on the loop's thread; destroying it forgets the question.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "pipeline/destination.h"

namespace tributary::pipeline {

class Drain {
 public:
  using Destinations = std::vector<std::unique_ptr<Destination>>;

  // Calls `finished` once, later, with the number of items that are still held.
  Drain(base::Loop& loop, const Destinations& destinations, base::Nanos grace,
        std::move_only_function<void(uint64_t held_items)> finished)
      : loop_(loop), destinations_(destinations), end_(loop.now() + grace), finished_(std::move(finished)) {
    for (const auto& destination : destinations) destination->Drain();
    Look();
  }

 private:
  static constexpr base::Nanos kLookAgainAfter = std::chrono::milliseconds(20);

  void Look() {
    timer_ = loop_.RunAfter(kLookAgainAfter, [this] {
      uint64_t held_items = 0;
      for (const auto& destination : destinations_) held_items += destination->held_items();
      if (held_items == 0 || loop_.now() >= end_) {
        finished_(held_items);
      } else {
        Look();
      }
    });
  }

  base::Loop& loop_;
  const Destinations& destinations_;
  const base::Time end_;
  std::move_only_function<void(uint64_t)> finished_;
  base::Loop::Timer timer_;
};

}  // namespace tributary::pipeline
