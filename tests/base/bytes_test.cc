#include "base/bytes.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>

namespace tributary::base {
namespace {

TEST(Bytes, GrowWhileKeepingTheirContent) {
  std::mt19937 random(7);
  Bytes bytes;
  std::string model;
  for (int i = 0; i < 2'000; ++i) {
    const std::string piece(random() % 300, static_cast<char>('a' + i % 26));
    bytes.Append(piece);
    model += piece;
    bytes.Push(static_cast<uint8_t>('0' + i % 10));
    model += static_cast<char>('0' + i % 10);
  }
  EXPECT_EQ(AsText(bytes), model);
  EXPECT_GE(bytes.capacity(), bytes.size());
}

TEST(Bytes, AreFollowedByReadablePadding) {
  for (const size_t size : {1u, 63u, 64u, 100u}) {
    Bytes bytes;
    bytes.Reserve(size);
    bytes.ResizeUninitialized(size);
    std::memset(bytes.data(), 1, size + Bytes::kPadding);  // a sanitizer would object to less
    EXPECT_EQ(bytes.size(), size);
  }
}

TEST(Bytes, MoveLeavesNothingBehind) {
  Bytes from(std::string_view("content"));
  Bytes to = std::move(from);
  EXPECT_EQ(AsText(to), "content");
  EXPECT_TRUE(from.empty());
  EXPECT_EQ(from.capacity(), 0u);
  from.Append(std::string_view("again"));
  EXPECT_EQ(AsText(from), "again");
}

TEST(Bytes, ShrinkWithoutFreeing) {
  Bytes bytes(std::string_view("0123456789"));
  const size_t capacity = bytes.capacity();
  bytes.ResizeUninitialized(4);
  EXPECT_EQ(AsText(bytes), "0123");
  bytes.Clear();
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(bytes.capacity(), capacity);
}

}  // namespace
}  // namespace tributary::base
