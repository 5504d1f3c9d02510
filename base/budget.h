// Budget: a number of bytes that may be held at once, and Reservations that hold them.
//
// Memory is bounded by asking first: whoever is about to keep bytes that a peer sends takes them from a Budget, and
// refuses the peer when the Budget says no. Lives on the loop's thread; outlives its Reservations.
#pragma once

#include <cstddef>
#include <utility>

#include "base/check.h"

namespace tributary::base {

class Budget {
 public:
  explicit Budget(size_t bytes_max) : bytes_max_(bytes_max) {}
  ~Budget() { CHECK(bytes_ == 0); }
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  size_t bytes() const { return bytes_; }
  size_t bytes_max() const { return bytes_max_; }
  size_t bytes_free() const { return bytes_max_ > bytes_ ? bytes_max_ - bytes_ : 0; }
  // A smaller maximum takes nothing away from those who hold; it refuses new ones until enough came back.
  void set_bytes_max(size_t bytes_max) { bytes_max_ = bytes_max; }

 private:
  friend class Reservation;
  size_t bytes_max_;
  size_t bytes_ = 0;
};

class Reservation {
 public:
  explicit Reservation(Budget& budget) : budget_(&budget) {}
  ~Reservation() { Release(); }
  Reservation(Reservation&& other) noexcept : budget_(other.budget_), bytes_(std::exchange(other.bytes_, 0)) {}
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  // Makes this hold `bytes` in all; false, and nothing changes, when the budget has too few left.
  [[nodiscard]] bool GrowTo(size_t bytes) {
    if (bytes <= bytes_) return true;
    const size_t more = bytes - bytes_;
    if (more > budget_->bytes_free()) return false;
    budget_->bytes_ += more;
    bytes_ = bytes;
    return true;
  }
  // Gives back what is held above `bytes`.
  void ShrinkTo(size_t bytes) {
    if (bytes >= bytes_) return;
    budget_->bytes_ -= bytes_ - bytes;
    bytes_ = bytes;
  }
  // One that holds nothing does not touch its budget, and so may outlive it.
  void Release() {
    if (bytes_ == 0) return;
    budget_->bytes_ -= bytes_;
    bytes_ = 0;
  }
  size_t bytes() const { return bytes_; }

 private:
  Budget* budget_;
  size_t bytes_ = 0;
};

}  // namespace tributary::base
