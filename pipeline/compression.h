// The content codings of OTLP bodies, both ways: gzip (RFC 1952), deflate (RFC 1950, and bare RFC 1951 since senders
// disagree), zstd (RFC 8878).
//
// What arrives is hostile until it has been decompressed: a kilobyte may claim to be a gigabyte. So the output has a
// cap from the caller's limits, is never allocated beyond it, and work stops at the first byte past it.
//
// gzip is what foreign senders compress with, and costs more than everything else done to their spans. libdeflate does
// it several times as fast as zlib, but only in one piece whose size is known: so a gzip body of one honest member goes
// through libdeflate, and zlib streams the others and says what is wrong with the broken ones.
//
// A Decompressor and a Compressor keep their libraries' contexts from one message to the next, made when first needed;
// a Decompressor gives back what a sender's choice of window made it grow to. One of each per loop thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/slices.h"

struct libdeflate_compressor;
struct libdeflate_decompressor;
struct z_stream_s;
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace tributary::pipeline {

enum class Encoding : uint8_t { kIdentity, kGzip, kDeflate, kZstd };

// "identity", "gzip", "deflate", "zstd": content-encoding and grpc-encoding.
std::string_view Name(Encoding encoding);
// Of one such name, in any case; none and empty are kIdentity.
std::optional<Encoding> ParseEncoding(std::string_view name);

struct DecompressLimits {
  size_t bytes_max = 64 << 20;
  // Output beyond 4 MiB must not be more than this many times the input. Telemetry compresses 5 to 20 times.
  size_t ratio_max = 100;

  // What `compressed_bytes` may become at most.
  size_t OutputMax(size_t compressed_bytes) const;
};

enum class DecompressError : uint8_t {
  kTooLarge,   // past the limits, or needs a window of more than 8 MiB
  kCorrupt,    // not of the encoding, a wrong checksum, or something else after the end
  kTruncated,  // ends too early, maybe within a further gzip member or zstd frame
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();

  // Replaces the content of `out`. After an error `out` is empty; what it had allocated is within the limits.
  std::expected<void, DecompressError> Decompress(Encoding encoding, base::ByteView compressed_untrusted,
                                                  const DecompressLimits& limits, base::Bytes& out);

 private:
  struct FreeLibdeflate {
    void operator()(libdeflate_decompressor* context) const;
  };
  struct FreeInflate {
    void operator()(z_stream_s* stream) const;
  };
  struct FreeZstd {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  bool GunzipWhole(base::ByteView compressed, size_t cap, base::Bytes& out);
  std::expected<void, DecompressError> Inflate(Encoding encoding, base::ByteView compressed, size_t cap,
                                               base::Bytes& out);
  std::expected<void, DecompressError> Unzstd(base::ByteView compressed, size_t cap, base::Bytes& out);

  std::unique_ptr<libdeflate_decompressor, FreeLibdeflate> gunzip_;
  std::unique_ptr<z_stream_s, FreeInflate> inflate_;
  std::unique_ptr<ZSTD_DCtx_s, FreeZstd> zstd_;
};

// Level 1 of either: OTLP is so repetitive that level 6 costs two to four times as much and saves nothing
// (bench/compression_benchmark.cc: 0.61 and 0.40 us per span of 280 bytes, both to a sixth).
inline constexpr int kCompressionLevelDefault = 1;

class Compressor {
 public:
  Compressor();
  ~Compressor();

  // Replaces the content of `out` with `in`, encoded as one gzip member (of a copy in one piece) or one zstd frame.
  // `encoding` is kGzip (levels 1 to 12) or kZstd (1 to 19).
  void Compress(Encoding encoding, const base::Slices& in, int level, base::Bytes& out);

 private:
  struct FreeLibdeflate {
    void operator()(libdeflate_compressor* context) const;
  };
  struct FreeZstd {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  void Gzip(const base::Slices& in, int level, base::Bytes& out);
  void Zstd(const base::Slices& in, int level, base::Bytes& out);

  std::unique_ptr<libdeflate_compressor, FreeLibdeflate> gzip_;
  int gzip_level_ = 0;
  std::unique_ptr<ZSTD_CCtx_s, FreeZstd> zstd_;
};

}  // namespace tributary::pipeline
