// How proto3 JSON spells scalars: https://protobuf.dev/programming-guides/json/. Readers are strict where that page is,
// and lenient where it asks for it (integers as 1e3, both base64 alphabets). Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "otlp/schema.h"

namespace tributary::otlp {

// Value of an unquoted or, when `quoted`, quoted number, boolean or enum as it goes on the wire: a varint's value, or
// the bits of a fixed field. False when it is not one, or out of the kind's range.
bool ParseScalar(Kind kind, std::string_view text, bool quoted, uint64_t& raw);
// "a 64-bit integer": what ParseScalar wanted.
std::string_view Describe(Kind kind);
bool IsJsonNumber(std::string_view text);

// Appends the decoded bytes; after false `out` has some of them.
bool DecodeHex(std::string_view text, base::Bytes& out);
bool DecodeBase64(std::string_view text, base::Bytes& out);

// `raw` as ParseScalar gives it. Quotes where JSON needs them.
void AppendScalar(Kind kind, uint64_t raw, std::string& json);
// `text` must be UTF-8.
void AppendQuoted(std::string_view text, std::string& json);
void AppendHex(base::ByteView bytes, std::string& json);
void AppendBase64(base::ByteView bytes, std::string& json);

}  // namespace tributary::otlp
