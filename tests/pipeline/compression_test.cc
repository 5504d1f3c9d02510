#include "pipeline/compression.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <random>
#include <string>
#include <vector>

namespace tributary::pipeline {
namespace {

using base::Bytes;
using base::ByteView;

constexpr DecompressLimits kLimits;

// Telemetry-like: repetitive, but not trivially so.
std::string Sample(size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) {
    text += "service.name=checkout http.route=/cart/" + std::to_string(random() % 1000) + " status=200;";
  }
  text.resize(size);
  return text;
}

// A Slices of both kinds of piece over `text`, which must outlive it.
base::Slices Pieces(std::string_view text) {
  base::Slices slices;
  const size_t sizes[] = {1, 10, 5000, 1023, 1024, 70000, 3};
  for (size_t i = 0; !text.empty(); ++i) {
    const std::string_view piece = text.substr(0, sizes[i % std::size(sizes)]);
    slices.Refer(base::AsBytes(piece));
    text.remove_prefix(piece.size());
  }
  return slices;
}

Bytes Compressed(Encoding encoding, std::string_view text, int level = kCompressionLevelDefault) {
  Compressor compressor;
  Bytes out;
  compressor.Compress(encoding, Pieces(text), level, out);
  return out;
}

// By zlib itself; `window_bits` as deflateInit2 takes them: 31 gzip, 15 zlib, -15 bare.
std::string Deflated(std::string_view text, int window_bits) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// By zstd's streaming API without a pledged size, as a streaming client sends it.
std::string ZstdStreamed(std::string_view text, int window_log = 0) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer from{text.data(), text.size(), 0};
  while (from.pos < from.size) ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue);
  while (ZSTD_compressStream2(context, &to, &from, ZSTD_e_end) != 0) {
  }
  out.resize(to.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string Expand(Encoding encoding, ByteView compressed, const DecompressLimits& limits = kLimits) {
  Decompressor decompressor;
  Bytes out;
  const auto result = decompressor.Decompress(encoding, compressed, limits, out);
  EXPECT_TRUE(result.has_value()) << Name(encoding) << " error " << static_cast<int>(result.error());
  return std::string(base::AsText(out));
}

DecompressError ErrorOf(Encoding encoding, ByteView compressed, const DecompressLimits& limits = kLimits) {
  Decompressor decompressor;
  Bytes out;
  const auto result = decompressor.Decompress(encoding, compressed, limits, out);
  EXPECT_FALSE(result.has_value()) << Name(encoding) << " gave " << out.size() << " bytes";
  EXPECT_TRUE(out.empty());
  return result ? DecompressError() : result.error();
}

ByteView View(std::string_view text) { return base::AsBytes(text); }

TEST(Compression, GzipAndZstdComeBackAtEverySizeAndLevel) {
  Compressor compressor;
  Decompressor decompressor;
  for (const size_t size : {0, 1, 100, 4096, 65536, 3000000}) {
    const std::string text = Sample(size);
    for (const Encoding encoding : {Encoding::kGzip, Encoding::kZstd}) {
      for (const int level : {1, 3, 9}) {
        Bytes compressed;
        compressor.Compress(encoding, Pieces(text), level, compressed);
        Bytes out;
        ASSERT_TRUE(decompressor.Decompress(encoding, compressed, kLimits, out).has_value());
        EXPECT_TRUE(base::AsText(out) == text) << Name(encoding) << ' ' << size << ' ' << level;
        EXPECT_LT(compressed.size(), size / 4 + 100);
      }
    }
  }
}

TEST(Compression, IncompressibleBytesComeBackToo) {
  std::mt19937_64 random(1);
  std::string noise(300000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const Encoding encoding : {Encoding::kGzip, Encoding::kZstd}) {
    EXPECT_TRUE(Expand(encoding, Compressed(encoding, noise)) == noise);
  }
}

TEST(Compression, OneDecompressorServesEveryEncodingInTurn) {
  Decompressor decompressor;
  const std::string text = Sample(100000);
  const std::pair<Encoding, std::string> messages[] = {
      {Encoding::kGzip, Deflated(text, 31)}, {Encoding::kDeflate, Deflated(text, 15)},
      {Encoding::kZstd, ZstdStreamed(text)}, {Encoding::kDeflate, Deflated(text, -15)},
      {Encoding::kIdentity, text},
  };
  for (int round = 0; round < 3; ++round) {
    for (const auto& [encoding, message] : messages) {
      Bytes out;
      ASSERT_TRUE(decompressor.Decompress(encoding, View(message), kLimits, out).has_value());
      EXPECT_TRUE(base::AsText(out) == text) << Name(encoding);
      // A failure between must not matter to the next.
      decompressor.Decompress(encoding, View(message).first(message.size() / 2), {.bytes_max = 1000}, out);
    }
  }
}

TEST(Compression, ReadsDeflateWithAndWithoutTheZlibWrapping) {
  for (const size_t size : {0, 1, 3, 1000, 100000}) {
    const std::string text = Sample(size);
    EXPECT_EQ(Expand(Encoding::kDeflate, View(Deflated(text, 15))), text);
    EXPECT_EQ(Expand(Encoding::kDeflate, View(Deflated(text, -15))), text);
    EXPECT_EQ(Expand(Encoding::kDeflate, View(Deflated(text, -9))), text);
  }
}

TEST(Compression, ReadsSeveralGzipMembersAndZstdFrames) {
  const std::string a = Sample(70000);
  const std::string b = "tail";
  EXPECT_EQ(Expand(Encoding::kGzip, View(Deflated(a, 31) + Deflated("", 31) + Deflated(b, 31))), a + b);
  EXPECT_EQ(Expand(Encoding::kZstd, View(ZstdStreamed(a) + ZstdStreamed("") + ZstdStreamed(b))), a + b);
  const std::string skippable("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
  EXPECT_EQ(Expand(Encoding::kZstd, View(skippable + ZstdStreamed(b) + skippable)), b);
}

TEST(Compression, NothingIsNotAMessageOfAnyEncoding) {
  EXPECT_EQ(ErrorOf(Encoding::kGzip, {}), DecompressError::kTruncated);
  EXPECT_EQ(ErrorOf(Encoding::kDeflate, {}), DecompressError::kTruncated);
  EXPECT_EQ(ErrorOf(Encoding::kZstd, {}), DecompressError::kTruncated);
  EXPECT_EQ(Expand(Encoding::kIdentity, {}), "");
}

TEST(Compression, RefusesAMessageTruncatedAtAnyByte) {
  const std::string text = Sample(3000);
  const std::pair<Encoding, std::string> messages[] = {
      {Encoding::kGzip, Deflated(text, 31)},
      {Encoding::kDeflate, Deflated(text, 15)},
      {Encoding::kDeflate, Deflated(text, -15)},
      {Encoding::kZstd, ZstdStreamed(text)},
      {Encoding::kZstd, std::string(base::AsText(Compressed(Encoding::kZstd, text)))},
  };
  for (const auto& [encoding, message] : messages) {
    for (size_t size = 0; size < message.size(); ++size) {
      ASSERT_EQ(ErrorOf(encoding, View(message).first(size)), DecompressError::kTruncated)
          << Name(encoding) << ' ' << size;
    }
  }
}

TEST(Compression, RefusesAnythingAfterTheEnd) {
  const std::string text = Sample(3000);
  for (const std::string& tail : {std::string(20, '\0'), std::string("trailing garbage"), std::string(40, '\xff')}) {
    EXPECT_EQ(ErrorOf(Encoding::kGzip, View(Deflated(text, 31) + tail)), DecompressError::kCorrupt);
    EXPECT_EQ(ErrorOf(Encoding::kDeflate, View(Deflated(text, 15) + tail)), DecompressError::kCorrupt);
    EXPECT_EQ(ErrorOf(Encoding::kDeflate, View(Deflated(text, -15) + tail)), DecompressError::kCorrupt);
    EXPECT_EQ(ErrorOf(Encoding::kZstd, View(ZstdStreamed(text) + tail)), DecompressError::kCorrupt);
  }
  EXPECT_EQ(ErrorOf(Encoding::kDeflate, View(Deflated(text, 15) + Deflated(text, 15))), DecompressError::kCorrupt);
}

TEST(Compression, RefusesAnotherEncodingThanTheOneNamed) {
  const std::string text = Sample(3000);
  EXPECT_EQ(ErrorOf(Encoding::kGzip, View(text)), DecompressError::kCorrupt);
  EXPECT_EQ(ErrorOf(Encoding::kZstd, View(text)), DecompressError::kCorrupt);
  EXPECT_EQ(ErrorOf(Encoding::kGzip, View(ZstdStreamed(text))), DecompressError::kCorrupt);
  EXPECT_EQ(ErrorOf(Encoding::kGzip, View(Deflated(text, 15))), DecompressError::kCorrupt);
  EXPECT_EQ(ErrorOf(Encoding::kZstd, View(Deflated(text, 31))), DecompressError::kCorrupt);
}

// A flipped bit may go unseen only where nothing is said about the content: in a header's names, times and hints.
TEST(Compression, NeverGivesOtherBytesForAFlippedBit) {
  const std::string text = Sample(2000);
  const std::pair<Encoding, std::string> messages[] = {{Encoding::kGzip, Deflated(text, 31)},
                                                       {Encoding::kDeflate, Deflated(text, 15)},
                                                       {Encoding::kZstd, ZstdStreamed(text)}};
  for (const auto& [encoding, message] : messages) {
    Decompressor decompressor;
    size_t refused = 0;
    for (size_t bit = 0; bit < 8 * message.size(); ++bit) {
      std::string flipped = message;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      Bytes out;
      if (decompressor.Decompress(encoding, View(flipped), kLimits, out).has_value()) {
        ASSERT_TRUE(base::AsText(out) == text) << Name(encoding) << " bit " << bit;
      } else {
        ++refused;
      }
    }
    EXPECT_GT(refused, 8 * message.size() * 9 / 10) << Name(encoding);
  }
}

TEST(Compression, TheLimitIsExact) {
  const std::string text = Sample(100000);
  for (const auto& [encoding, message] : {std::pair{Encoding::kGzip, Deflated(text, 31)},
                                          {Encoding::kDeflate, Deflated(text, -15)},
                                          {Encoding::kZstd, ZstdStreamed(text)},
                                          {Encoding::kIdentity, text}}) {
    EXPECT_EQ(Expand(encoding, View(message), {.bytes_max = text.size()}), text);
    EXPECT_EQ(ErrorOf(encoding, View(message), {.bytes_max = text.size() - 1}), DecompressError::kTooLarge);
  }
}

TEST(Compression, TheRatioIsHeldOnlyBeyondFourMebibytes) {
  const std::string zeros(4 << 20, '\0');
  for (const auto& [encoding, message] :
       {std::pair{Encoding::kGzip, Deflated(zeros, 31)}, {Encoding::kZstd, ZstdStreamed(zeros)}}) {
    ASSERT_GT(zeros.size() / message.size(), 500u);
    EXPECT_EQ(Expand(encoding, View(message)).size(), zeros.size());
  }
  const std::string more(zeros.size() + 1, '\0');
  EXPECT_EQ(ErrorOf(Encoding::kGzip, View(Deflated(more, 31))), DecompressError::kTooLarge);
  EXPECT_EQ(ErrorOf(Encoding::kZstd, View(ZstdStreamed(more))), DecompressError::kTooLarge);
  EXPECT_EQ(Expand(Encoding::kZstd, View(ZstdStreamed(more)), {.ratio_max = 1'000'000}).size(), more.size());
}

// A gibibyte of zeros in about a megabyte or less, in one piece and in many.
class CompressionBomb : public ::testing::Test {
 protected:
  static constexpr size_t kBombBytes = 1 << 30;

  // Bare deflate data: a block of a mebibyte that refers to nothing before it, again and again, and an empty last
  // block.
  static std::string DeflateBomb() {
    std::string mebibyte(1 << 20, '\0');
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    std::string block(mebibyte.size(), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(mebibyte.data());
    stream.avail_in = static_cast<uInt>(mebibyte.size());
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    EXPECT_EQ(deflate(&stream, Z_FULL_FLUSH), Z_OK);
    block.resize(stream.total_out);
    deflateEnd(&stream);
    std::string bomb;
    for (size_t made = 0; made < kBombBytes; made += mebibyte.size()) bomb += block;
    return bomb + std::string("\x03\x00", 2);
  }
  static std::string GzipBomb() { return std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10) + DeflateBomb(); }

  void ExpectContained(Encoding encoding, std::string_view bomb) {
    Decompressor decompressor;
    Bytes out;
    const auto result = decompressor.Decompress(encoding, View(bomb), kLimits, out);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error(), DecompressError::kTooLarge);
    EXPECT_LE(out.capacity(), std::min(kLimits.bytes_max, std::max<size_t>(4 << 20, kLimits.ratio_max * bomb.size())));
  }
};

TEST_F(CompressionBomb, OfGzipIsContained) {
  const std::string bomb = GzipBomb();
  ASSERT_LT(bomb.size(), 2u << 20);
  ExpectContained(Encoding::kGzip, bomb);
  // A small one, repeated as members that are each within the limits.
  std::string members;
  const std::string member = Deflated(std::string(1 << 20, '\0'), 31);
  for (int i = 0; i < 200; ++i) members += member;
  ExpectContained(Encoding::kGzip, members);
}

TEST_F(CompressionBomb, OfDeflateIsContained) {
  ExpectContained(Encoding::kDeflate, "\x78\x9c" + DeflateBomb());
  ExpectContained(Encoding::kDeflate, DeflateBomb());
}

TEST_F(CompressionBomb, OfZstdIsContained) {
  // Blocks of a repeated byte: four bytes for 128 KiB each, under a header that claims nothing or claims it all.
  const auto frame = [](std::string header) {
    for (size_t made = 0; made < kBombBytes; made += 128 << 10) {
      const bool last = made + (128 << 10) >= kBombBytes;
      const uint32_t block = (128u << 10) << 3 | 1u << 1 | (last ? 1u : 0u);
      header += {static_cast<char>(block), static_cast<char>(block >> 8), static_cast<char>(block >> 16), '\0'};
    }
    return header;
  };
  const std::string magic("\x28\xb5\x2f\xfd", 4);
  const std::string streamed = frame(magic + std::string("\x00\x50", 2));                 // a window of 1 MiB
  const std::string claimed = frame(magic + std::string("\x80\x50\x00\x00\x00\x40", 6));  // and a content size of 1 GiB
  ExpectContained(Encoding::kZstd, streamed);
  ExpectContained(Encoding::kZstd, claimed);
  std::string frames;
  const std::string small = ZstdStreamed(std::string(1 << 20, '\0'));
  for (int i = 0; i < 2000; ++i) frames += small;
  ExpectContained(Encoding::kZstd, frames);
}

TEST_F(CompressionBomb, ThatIsSmallGetsNoMoreThanFourMebibytes) {
  const std::string bomb = Deflated(std::string(5 << 20, '\0'), 31);
  ASSERT_LT(bomb.size(), 8u << 10);
  Decompressor decompressor;
  Bytes out;
  ASSERT_FALSE(decompressor.Decompress(Encoding::kGzip, View(bomb), kLimits, out).has_value());
  EXPECT_LE(out.capacity(), 4u << 20);
}

TEST(Compression, RefusesAZstdWindowOfMoreThanEightMebibytes) {
  const std::string text = Sample(3 << 20);
  EXPECT_EQ(Expand(Encoding::kZstd, View(ZstdStreamed(text, 23))), text);
  EXPECT_EQ(ErrorOf(Encoding::kZstd, View(ZstdStreamed(text, 24))), DecompressError::kTooLarge);
}

TEST(Compression, AFalseClaimOfSizeCostsNothing) {
  std::string message = Deflated(Sample(1000), 31);
  for (size_t i = message.size() - 4; i < message.size(); ++i) message[i] = '\x7f';
  Decompressor decompressor;
  Bytes out;
  const auto result = decompressor.Decompress(Encoding::kGzip, View(message), kLimits, out);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(), DecompressError::kCorrupt);
  EXPECT_LE(out.capacity(), std::max<size_t>(4 << 10, 32 * message.size()));
}

TEST(Compression, EncodingsHaveNames) {
  for (const Encoding encoding : {Encoding::kIdentity, Encoding::kGzip, Encoding::kDeflate, Encoding::kZstd}) {
    EXPECT_EQ(ParseEncoding(Name(encoding)), encoding);
  }
  EXPECT_EQ(ParseEncoding("GZip"), Encoding::kGzip);
  EXPECT_EQ(ParseEncoding(""), Encoding::kIdentity);
  EXPECT_EQ(ParseEncoding("none"), Encoding::kIdentity);
  EXPECT_EQ(ParseEncoding("br"), std::nullopt);
  EXPECT_EQ(ParseEncoding("gzip, gzip"), std::nullopt);
}

}  // namespace
}  // namespace tributary::pipeline
