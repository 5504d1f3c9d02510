#include "base/budget.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

namespace tributary::base {
namespace {

TEST(Budget, RefusesWhatIsNotThereAndChangesNothing) {
  Budget budget(100);
  Reservation first(budget), second(budget);
  EXPECT_TRUE(first.GrowTo(60));
  EXPECT_FALSE(second.GrowTo(41));
  EXPECT_EQ(second.bytes(), 0u);
  EXPECT_EQ(budget.bytes(), 60u);
  EXPECT_TRUE(second.GrowTo(40));
  EXPECT_EQ(budget.bytes_free(), 0u);
  first.Release();
  EXPECT_EQ(budget.bytes(), 40u);
  EXPECT_TRUE(second.GrowTo(100));
}

TEST(Budget, GrowsAReservationByTheDifferenceAndNeverShrinksIt) {
  Budget budget(100);
  Reservation reservation(budget);
  EXPECT_TRUE(reservation.GrowTo(30));
  EXPECT_TRUE(reservation.GrowTo(10));
  EXPECT_EQ(reservation.bytes(), 30u);
  EXPECT_TRUE(reservation.GrowTo(100));
  EXPECT_EQ(budget.bytes(), 100u);
}

TEST(Budget, MadeSmallerRefusesUntilEnoughCameBack) {
  Budget budget(100);
  Reservation held(budget), asking(budget);
  EXPECT_TRUE(held.GrowTo(80));
  budget.set_bytes_max(50);
  EXPECT_EQ(budget.bytes_free(), 0u);
  EXPECT_FALSE(asking.GrowTo(1));
  held.Release();
  EXPECT_TRUE(asking.GrowTo(50));
}

TEST(Budget, IsGivenBackByMovedReservationsOnce) {
  Budget budget(100);
  {
    Reservation first(budget);
    EXPECT_TRUE(first.GrowTo(10));
    Reservation second = std::move(first);
    EXPECT_EQ(first.bytes(), 0u);
    EXPECT_EQ(second.bytes(), 10u);
    second = Reservation(budget);
    EXPECT_EQ(budget.bytes(), 0u);
  }
  EXPECT_EQ(budget.bytes(), 0u);
}

TEST(Budget, IsTheSumOfItsReservations) {
  std::mt19937 random(3);
  Budget budget(10'000);
  std::vector<Reservation> reservations;
  for (int step = 0; step < 10'000; ++step) {
    if (reservations.empty() || random() % 3 == 0) {
      reservations.emplace_back(budget);
    } else if (random() % 4 == 0) {
      std::swap(reservations[random() % reservations.size()], reservations.back());
      reservations.pop_back();
    } else {
      Reservation& grown = reservations[random() % reservations.size()];
      const size_t bytes = random() % 2'000;
      const bool fits = bytes <= grown.bytes() || bytes - grown.bytes() <= budget.bytes_free();
      ASSERT_EQ(grown.GrowTo(bytes), fits);
    }
    size_t sum = 0;
    for (const Reservation& reservation : reservations) sum += reservation.bytes();
    ASSERT_EQ(budget.bytes(), sum);
    ASSERT_LE(sum, budget.bytes_max());
  }
}

}  // namespace
}  // namespace tributary::base
