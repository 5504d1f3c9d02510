#include "pipeline/compression.h"

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <limits>

namespace tributary::pipeline {
namespace {

constexpr size_t kRatioFreeBytes = 4 << 20;  // output up to here is not held to the ratio
constexpr size_t kFirstBytesMin = 4 << 10;
constexpr size_t kFirstRatio = 4;      // the first guess at an output's size, times the input's
constexpr size_t kClaimRatioMax = 32;  // a size that the sender claims is believed up to this ratio
constexpr int kWindowLogMax = 23;
constexpr size_t kIdleContextBytesMax = 1 << 20;

// zlib's windowBits say which wrapping is around the deflate data.
constexpr int kGzipWindowBits = 15 + 16;
constexpr int kZlibWindowBits = 15;
constexpr int kRawWindowBits = -15;

// The output of a decompression: grows geometrically up to a cap. To find out whether there is more than the cap, the
// decoder is offered one spare byte.
class CappedOutput {
 public:
  CappedOutput(base::Bytes& out, size_t cap, size_t first_bytes) : out_(out), cap_(cap) {
    out_.Clear();
    out_.Reserve(std::min(cap_, std::max(first_bytes, kFirstBytesMin)));
  }

  // Where the decoder may write next: never empty.
  std::span<uint8_t> Space() {
    if (out_.size() == cap_) return {&spare_, 1};
    if (out_.size() == out_.capacity()) out_.Reserve(std::min(cap_, 2 * out_.capacity()));
    return {out_.data() + out_.size(), std::min(out_.capacity(), cap_) - out_.size()};
  }
  // `bytes` of Space() have been written. False when they are past the cap.
  bool Wrote(size_t bytes) {
    if (out_.size() == cap_) return bytes == 0;
    out_.ResizeUninitialized(out_.size() + bytes);
    return true;
  }

 private:
  base::Bytes& out_;
  const size_t cap_;
  uint8_t spare_ = 0;
};

// RFC 1950's header: method 8 and a check modulo 31. Bare deflate data that an encoder makes never looks like it, for
// that would be a stored block with padding bits set.
bool HasZlibHeader(base::ByteView data) {
  return data.size() >= 2 && (data[0] & 0x0f) == Z_DEFLATED && (data[0] << 8 | data[1]) % 31 == 0;
}

int WindowBits(Encoding encoding, base::ByteView compressed) {
  if (encoding == Encoding::kGzip) return kGzipWindowBits;
  return HasZlibHeader(compressed) ? kZlibWindowBits : kRawWindowBits;
}

using Decompressed = std::expected<void, DecompressError>;
constexpr auto Refuse(DecompressError error) { return std::unexpected(error); }

// What a zstd sender says of the output's size is believed up to a ratio; what it does not say is guessed.
size_t FirstZstdBytes(base::ByteView compressed) {
  const unsigned long long claimed = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  const bool unknown = claimed == ZSTD_CONTENTSIZE_UNKNOWN || claimed == ZSTD_CONTENTSIZE_ERROR;
  return unknown ? kFirstRatio * compressed.size() : std::min<size_t>(claimed, kClaimRatioMax * compressed.size());
}

// RFC 1952: the last four bytes of a member are the size of its content, modulo 2^32.
size_t GzipContentBytes(base::ByteView compressed) {
  const base::ByteView trailer = compressed.last(4);
  return trailer[0] | trailer[1] << 8 | trailer[2] << 16 | static_cast<uint32_t>(trailer[3]) << 24;
}

// Room for compressed output, at least some.
std::span<uint8_t> Grow(base::Bytes& out) {
  if (out.size() == out.capacity()) out.Reserve(std::max(kFirstBytesMin, 2 * out.capacity()));
  return {out.data() + out.size(), out.capacity() - out.size()};
}

}  // namespace

size_t DecompressLimits::OutputMax(size_t compressed_bytes) const {
  const size_t by_ratio = compressed_bytes > bytes_max / ratio_max ? bytes_max : compressed_bytes * ratio_max;
  return std::min(bytes_max, std::max(kRatioFreeBytes, by_ratio));
}

std::string_view Name(Encoding encoding) {
  constexpr std::string_view kNames[] = {"identity", "gzip", "deflate", "zstd"};
  return kNames[static_cast<size_t>(encoding)];
}

std::optional<Encoding> ParseEncoding(std::string_view name) {
  const auto is = [&](std::string_view known) {
    return std::ranges::equal(name, known, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; });
  };
  if (name.empty() || is("none")) return Encoding::kIdentity;
  for (const Encoding encoding : {Encoding::kIdentity, Encoding::kGzip, Encoding::kDeflate, Encoding::kZstd}) {
    if (is(Name(encoding))) return encoding;
  }
  return std::nullopt;
}

Decompressor::Decompressor() = default;
Decompressor::~Decompressor() = default;

void Decompressor::FreeLibdeflate::operator()(libdeflate_decompressor* context) const {
  libdeflate_free_decompressor(context);
}
void Decompressor::FreeInflate::operator()(z_stream_s* stream) const {
  inflateEnd(stream);
  delete stream;
}
void Decompressor::FreeZstd::operator()(ZSTD_DCtx_s* context) const { ZSTD_freeDCtx(context); }

std::expected<void, DecompressError> Decompressor::Decompress(Encoding encoding, base::ByteView compressed_untrusted,
                                                              const DecompressLimits& limits, base::Bytes& out) {
  out.Clear();
  const size_t size = compressed_untrusted.size();
  if (size > std::numeric_limits<uInt>::max()) return Refuse(DecompressError::kTooLarge);
  if (encoding == Encoding::kIdentity) {
    if (size > limits.bytes_max) return Refuse(DecompressError::kTooLarge);
    out.Append(compressed_untrusted);
    return {};
  }
  if (size == 0) return Refuse(DecompressError::kTruncated);

  const size_t cap = limits.OutputMax(size);
  if (encoding == Encoding::kGzip && GunzipWhole(compressed_untrusted, cap, out)) return {};
  const Decompressed result = encoding == Encoding::kZstd ? Unzstd(compressed_untrusted, cap, out)
                                                          : Inflate(encoding, compressed_untrusted, cap, out);
  if (zstd_ != nullptr && ZSTD_sizeof_DCtx(zstd_.get()) > kIdleContextBytesMax) zstd_.reset();
  if (!result) out.Clear();
  return result;
}

// False when it is not one member of the size that it claims: truncated, corrupt, several members, or a bomb.
bool Decompressor::GunzipWhole(base::ByteView compressed, size_t cap, base::Bytes& out) {
  constexpr size_t kMemberBytesMin = 18;
  if (compressed.size() < kMemberBytesMin) return false;
  const size_t claimed = GzipContentBytes(compressed);
  if (claimed > std::min(cap, kClaimRatioMax * compressed.size())) return false;
  if (gunzip_ == nullptr) gunzip_.reset(libdeflate_alloc_decompressor());
  CHECK(gunzip_ != nullptr);
  out.Reserve(claimed);
  size_t read;
  size_t written;
  const libdeflate_result result = libdeflate_gzip_decompress_ex(gunzip_.get(), compressed.data(), compressed.size(),
                                                                 out.data(), claimed, &read, &written);
  if (result != LIBDEFLATE_SUCCESS || read != compressed.size()) return false;
  out.ResizeUninitialized(written);
  return true;
}

Decompressed Decompressor::Inflate(Encoding encoding, base::ByteView compressed, size_t cap, base::Bytes& out) {
  if (inflate_ == nullptr) {
    inflate_.reset(new z_stream{});
    CHECK(inflateInit2(inflate_.get(), kGzipWindowBits) == Z_OK);
  }
  z_stream& stream = *inflate_;
  CappedOutput output(out, cap, kFirstRatio * compressed.size());
  CHECK(inflateReset2(&stream, WindowBits(encoding, compressed)) == Z_OK);
  stream.next_in = const_cast<uint8_t*>(compressed.data());
  stream.avail_in = static_cast<uInt>(compressed.size());
  for (;;) {
    const std::span<uint8_t> space = output.Space();
    const uInt offered = static_cast<uInt>(std::min<size_t>(space.size(), std::numeric_limits<uInt>::max()));
    stream.next_out = space.data();
    stream.avail_out = offered;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (!output.Wrote(offered - stream.avail_out)) return Refuse(DecompressError::kTooLarge);
    if (result == Z_STREAM_END) {
      if (stream.avail_in == 0) return {};
      // gzip may have several members; after anything else there is nothing.
      if (encoding != Encoding::kGzip) return Refuse(DecompressError::kCorrupt);
      CHECK(inflateReset(&stream) == Z_OK);
    } else if (result == Z_BUF_ERROR) {  // there was room, so it wants more input
      return Refuse(DecompressError::kTruncated);
    } else if (result != Z_OK) {
      CHECK(result != Z_MEM_ERROR && result != Z_STREAM_ERROR);
      return Refuse(DecompressError::kCorrupt);
    }
  }
}

Decompressed Decompressor::Unzstd(base::ByteView compressed, size_t cap, base::Bytes& out) {
  if (zstd_ == nullptr) {
    zstd_.reset(ZSTD_createDCtx());
    CHECK(zstd_ != nullptr);
    CHECK(!ZSTD_isError(ZSTD_DCtx_setParameter(zstd_.get(), ZSTD_d_windowLogMax, kWindowLogMax)));
  }
  ZSTD_DCtx* const context = zstd_.get();
  ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
  CappedOutput output(out, cap, FirstZstdBytes(compressed));
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  for (;;) {
    const std::span<uint8_t> space = output.Space();
    ZSTD_outBuffer to{space.data(), space.size(), 0};
    const size_t result = ZSTD_decompressStream(context, &to, &in);
    if (ZSTD_isError(result)) {
      const bool window = ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge;
      return Refuse(window ? DecompressError::kTooLarge : DecompressError::kCorrupt);
    }
    if (!output.Wrote(to.pos)) return Refuse(DecompressError::kTooLarge);
    if (in.pos < in.size) continue;  // also from one frame to the next
    if (result == 0) break;
    if (to.pos < to.size) return Refuse(DecompressError::kTruncated);
  }
  return {};
}

Compressor::Compressor() = default;
Compressor::~Compressor() = default;

void Compressor::FreeLibdeflate::operator()(libdeflate_compressor* context) const {
  libdeflate_free_compressor(context);
}
void Compressor::FreeZstd::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

void Compressor::Compress(Encoding encoding, const base::Slices& in, int level, base::Bytes& out) {
  out.Clear();
  switch (encoding) {
    case Encoding::kGzip:
      return Gzip(in, level, out);
    case Encoding::kZstd:
      return Zstd(in, level, out);
    case Encoding::kIdentity:
    case Encoding::kDeflate:
      CHECK(false);
  }
}

void Compressor::Gzip(const base::Slices& in, int level, base::Bytes& out) {
  if (gzip_ == nullptr || gzip_level_ != level) {
    gzip_.reset(libdeflate_alloc_compressor(level));
    CHECK(gzip_ != nullptr);
    gzip_level_ = level;
  }
  // Copying costs a fiftieth of what compressing does.
  const base::Bytes whole = in.Flatten();
  out.Reserve(libdeflate_gzip_compress_bound(gzip_.get(), whole.size()));
  const size_t size = libdeflate_gzip_compress(gzip_.get(), whole.data(), whole.size(), out.data(), out.capacity());
  CHECK(size > 0);
  out.ResizeUninitialized(size);
}

void Compressor::Zstd(const base::Slices& in, int level, base::Bytes& out) {
  out.Reserve(in.size() / kFirstRatio);
  if (zstd_ == nullptr) zstd_.reset(ZSTD_createCCtx());
  CHECK(zstd_ != nullptr);
  ZSTD_CCtx* const context = zstd_.get();
  ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
  CHECK(!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)));
  CHECK(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, in.size())));
  const auto write = [&](ZSTD_inBuffer& from, ZSTD_EndDirective directive) {
    const std::span<uint8_t> space = Grow(out);
    ZSTD_outBuffer to{space.data(), space.size(), 0};
    const size_t left = ZSTD_compressStream2(context, &to, &from, directive);
    CHECK(!ZSTD_isError(left));
    out.ResizeUninitialized(out.size() + to.pos);
    return left;
  };
  for (const iovec& piece : in.pieces()) {
    ZSTD_inBuffer from{piece.iov_base, piece.iov_len, 0};
    while (from.pos < from.size) write(from, ZSTD_e_continue);
  }
  ZSTD_inBuffer none{nullptr, 0, 0};
  while (write(none, ZSTD_e_end) != 0) {
  }
}

}  // namespace tributary::pipeline
