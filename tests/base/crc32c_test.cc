#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace tributary::base {
namespace {

// Bit by bit, straight from the polynomial.
uint32_t Reference(ByteView bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

TEST(Crc32c, IsTheOneOfTheRfc) {
  std::array<uint8_t, 32> bytes;
  EXPECT_EQ(Crc32c({}), 0u);
  EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xE3069283);
  bytes.fill(0);
  EXPECT_EQ(Crc32c(bytes), 0x8A9136AA);
  bytes.fill(0xFF);
  EXPECT_EQ(Crc32c(bytes), 0x62A8AB43);
  for (uint8_t i = 0; i < 32; ++i) bytes[i] = i;
  EXPECT_EQ(Crc32c(bytes), 0x46DD794E);
  std::ranges::reverse(bytes);
  EXPECT_EQ(Crc32c(bytes), 0x113FDB5C);
}

TEST(Crc32c, AgreesWithThePolynomialAtEveryLengthAndAlignment) {
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(5000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  for (size_t from = 0; from < 16; ++from) {
    for (size_t size = 0; size < 600; ++size) {
      const ByteView part = ByteView(bytes).subspan(from, size);
      ASSERT_EQ(Crc32c(part), Reference(part)) << "from " << from << ", " << size << " bytes";
    }
  }
  EXPECT_EQ(Crc32c(bytes), Reference(bytes));
}

TEST(Crc32c, OfPartsOneAfterTheOtherIsThatOfTheWhole) {
  const ByteView whole = AsBytes("one part and then another one");
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    EXPECT_EQ(Crc32c(whole.subspan(cut), Crc32c(whole.first(cut))), Crc32c(whole));
  }
}

}  // namespace
}  // namespace tributary::base
