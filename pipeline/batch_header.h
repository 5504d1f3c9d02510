// How two Tributaries speak of resends, in header fields of a request and its answer, gRPC or not. A server that knows
// nothing of them ignores them.
//
//   tributary-batch: 9c6a0be1f3d24c57;1000;1000-1063,1070-1070    stream in hex; the least that may come again;
//                                                                  the sequences that the request is made of
//   tributary-have: 1000-1003                                      in ABORTED or 409: the request was not taken,
//   because
//                                                                  these of its sequences are here already
// Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/ack_set.h"
#include "pipeline/origin.h"

namespace tributary::pipeline {

inline constexpr std::string_view kBatchField = "tributary-batch";
inline constexpr std::string_view kHaveField = "tributary-have";
// Longer values are none of ours: 16 digits, 20, and twice 20 for each range.
inline constexpr size_t kBatchValueBytesMax = 16 + 1 + 20 + BatchId::kRangesMax * 42;

std::string FormatBatchId(const BatchId& batch);
std::string FormatRanges(const std::vector<AckSet::Range>& ranges);

// Nothing when it is not to the letter what the above write.
std::optional<BatchId> ParseBatchId(std::string_view value_untrusted);
std::optional<std::vector<AckSet::Range>> ParseRanges(std::string_view value_untrusted);

}  // namespace tributary::pipeline
