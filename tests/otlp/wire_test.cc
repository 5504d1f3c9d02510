#include "otlp/wire.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>

namespace tributary::otlp {
namespace {

using base::AsBytes;
using base::AsText;
using base::Bytes;

TEST(Varint, IsReadBackAsItWasWritten) {
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const uint64_t value : {uint64_t{1} << shift, (uint64_t{1} << shift) - 1, ~uint64_t{0} >> shift}) {
      uint8_t encoded[kVarintBytesMax];
      const uint8_t* const end = WriteVarint(encoded, value);
      EXPECT_EQ(static_cast<size_t>(end - encoded), VarintSize(value)) << value;
      uint64_t read = 0;
      EXPECT_EQ(ReadVarint(encoded, end, read), end);
      EXPECT_EQ(read, value);
      EXPECT_EQ(ReadVarint(encoded, end - 1, read), nullptr) << "cut short";
    }
  }
}

TEST(Varint, MayBeLongerThanItNeedsUpToTenBytes) {
  const std::string_view ten("\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10);
  const std::string_view eleven("\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
  uint64_t value = 0;
  EXPECT_EQ(ReadVarint(AsBytes(ten).data(), AsBytes(ten).data() + 10, value), AsBytes(ten).data() + 10);
  EXPECT_EQ(value, 1u);
  EXPECT_EQ(ReadVarint(AsBytes(eleven).data(), AsBytes(eleven).data() + 11, value), nullptr);
}

TEST(FieldReader, WalksFieldsOfEveryWireType) {
  Bytes message;
  AppendTag(message, 1, WireType::kVarint);
  AppendVarint(message, 300);
  AppendFixed64(message, 2, 0x0123456789abcdef);
  AppendLengthDelimited(message, 536870911, "text");  // the largest number there is
  AppendTag(message, 4, WireType::kFixed32);
  message.Append("\x01\x02\x03\x04");

  FieldReader reader(message);
  Field field;
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.number, 1u);
  EXPECT_EQ(field.type, WireType::kVarint);
  EXPECT_EQ(field.value, 300u);
  EXPECT_EQ(field.whole.size(), 3u);
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.type, WireType::kFixed64);
  EXPECT_EQ(field.value, 0x0123456789abcdefu);
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.number, 536870911u);
  EXPECT_EQ(AsText(field.content), "text");
  EXPECT_EQ(field.whole.size(), 5u + 1 + 4);
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.type, WireType::kFixed32);
  EXPECT_EQ(field.value, 0x04030201u);
  EXPECT_EQ(field.whole.data() + field.whole.size(), message.data() + message.size());
  EXPECT_FALSE(reader.Next(field));
  EXPECT_FALSE(reader.failed());
}

TEST(FieldReader, PassesOverAGroupAsOneField) {
  Bytes message;
  AppendTag(message, 7, WireType::kStartGroup);
  AppendLengthDelimited(message, 1, "inside");
  AppendTag(message, 8, WireType::kStartGroup);
  AppendTag(message, 8, WireType::kEndGroup);
  AppendTag(message, 7, WireType::kEndGroup);
  const size_t group_bytes = message.size();
  AppendLengthDelimited(message, 9, "behind");

  FieldReader reader(message);
  Field field;
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.number, 7u);
  EXPECT_EQ(field.type, WireType::kStartGroup);
  EXPECT_EQ(field.whole.size(), group_bytes);
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.number, 9u);
  EXPECT_FALSE(reader.Next(field));
  EXPECT_FALSE(reader.failed());
}

TEST(FieldReader, FailsOnWhatIsMalformedAndStaysFailed) {
  for (const std::string_view message : {std::string_view("\x08"),  // a varint without a byte
                                         std::string_view("\x09"
                                                          "1234567"),  // fixed64, one byte short
                                         std::string_view("\x0d"
                                                          "123"),           // fixed32, one byte short
                                         std::string_view("\x0a\x05text"),  // a length beyond the end
                                         std::string_view("\x0b\x08\x01"),  // a group without an end
                                         std::string_view("\x0c"),          // the end of no group
                                         std::string_view("\x0e"),          // wire type 6
                                         std::string_view("\x80")}) {       // half a tag
    FieldReader reader(AsBytes(message));
    Field field;
    EXPECT_FALSE(reader.Next(field)) << testing::PrintToString(message);
    EXPECT_TRUE(reader.failed()) << testing::PrintToString(message);
    EXPECT_FALSE(reader.Next(field));
    EXPECT_TRUE(reader.failed());
  }
}

TEST(FieldReader, FindsNothingInAnEmptyMessage) {
  FieldReader reader{base::ByteView()};
  Field field;
  EXPECT_FALSE(reader.Next(field));
  EXPECT_FALSE(reader.failed());
}

}  // namespace
}  // namespace tributary::otlp
