// Sizes and durations as people write them in configuration files and on command lines. Pure functions; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tributary::base {

// "64MiB", "4KiB", "1048576": a whole number of bytes, KiB, MiB, GiB or TiB.
std::optional<uint64_t> ParseSize(std::string_view text);

// "200ms", "5s", "1m30s", "1.5h", "0": Go's notation (https://pkg.go.dev/time#ParseDuration) without a sign.
std::optional<std::chrono::nanoseconds> ParseDuration(std::string_view text);

}  // namespace tributary::base
