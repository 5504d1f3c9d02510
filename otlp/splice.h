// Resource splice: gives attributes to every Resource of an OTLP request without decoding it. Only the two lengths
// around each Resource are rewritten; everything else is referred to where it lies. Input must have passed Scan (a
// malformed one is a programmer's error). Any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/slices.h"
#include "otlp/signal.h"

namespace tributary::otlp {

// The attributes to give. Built once (per configuration, per pod), used for many requests.
class ResourceEdit {
 public:
  enum class Conflict : uint8_t {
    kKeep,     // a Resource that has the key keeps its own value
    kReplace,  // the value given here wins; a different one there is kept as "claimed.KEY", once
  };

  void SetString(std::string_view key, std::string_view value, Conflict conflict);
  void SetInt(std::string_view key, int64_t value, Conflict conflict);
  void SetBool(std::string_view key, bool value, Conflict conflict);
  void SetDouble(std::string_view key, double value, Conflict conflict);
  // An array of strings.
  void SetStrings(std::string_view key, std::initializer_list<std::string_view> values, Conflict conflict);
  bool empty() const { return attributes_.empty(); }
  // What it adds to a request per resource container at most, bytes.
  size_t encoded_bytes() const;

  struct Attribute {
    std::string key;
    base::Bytes encoded;  // as a field of Resource: tag, length, KeyValue
    Conflict conflict;
    std::optional<std::string> text;  // the value, of a string
  };
  const std::vector<Attribute>& attributes() const { return attributes_; }
  // Its attribute of this key, or nullptr.
  const Attribute* Find(std::string_view key) const;

 private:
  void Set(std::string_view key, base::Bytes value, Conflict conflict);
  std::vector<Attribute> attributes_;  // at most one per key, the last Set wins
};

// Appends the edited request to `out`. Both `request` and `edit` must outlive `out`. A ResourceSpans (Metrics, Logs)
// without a Resource gets one; several Resources in one, which protobuf would merge, are merged. Works for all three
// signals alike: their top two levels have the same shape. Returns how many claims were replaced.
uint32_t SpliceResource(base::ByteView request, const ResourceEdit& edit, base::Slices& out);

// Value of the first resource attribute with this key, if it is a string, in `resource_container` (the body of one
// ResourceSpans, ResourceMetrics or ResourceLogs), or nullopt.
std::optional<std::string_view> ResourceStringAttribute(base::ByteView resource_container, std::string_view key);

}  // namespace tributary::otlp
