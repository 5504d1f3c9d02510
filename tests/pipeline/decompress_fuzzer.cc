// Any bytes, as a compressed message of the encoding that the first byte names: the output stays within the limits, and
// comes back when compressed again.
#include "base/check.h"
#include "pipeline/compression.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  using namespace tributary::pipeline;
  if (size == 0) return 0;
  constexpr Encoding kEncodings[] = {Encoding::kGzip, Encoding::kDeflate, Encoding::kZstd, Encoding::kIdentity};
  const Encoding encoding = kEncodings[data[0] % std::size(kEncodings)];
  constexpr DecompressLimits kLimits{.bytes_max = 1 << 20};

  static Decompressor decompressor;
  static Compressor compressor;
  base::Bytes plain;
  const auto result = decompressor.Decompress(encoding, {data + 1, size - 1}, kLimits, plain);
  CHECK(plain.capacity() <= kLimits.bytes_max);
  if (!result) {
    CHECK(plain.empty());
    return 0;
  }
  base::Slices pieces;
  pieces.Refer(plain.view().first(plain.size() / 2));
  pieces.Refer(plain.view().subspan(plain.size() / 2));
  for (const Encoding again : {Encoding::kGzip, Encoding::kZstd}) {
    base::Bytes compressed;
    compressor.Compress(again, pieces, kCompressionLevelDefault, compressed);
    base::Bytes back;
    CHECK(decompressor.Decompress(again, compressed, kLimits, back).has_value());
    CHECK(base::AsText(back) == base::AsText(plain));
  }
  return 0;
}
