// Configuration files: YAML read strictly. Every fault is found in one run and told with file, line and key: a key that
// nothing asked for, a value of the wrong type, one out of range, one missing.
//
//   auto document = base::LoadYaml("/etc/tributary/agent.yaml");
//   if (!document) return std::unexpected(document.error());
//   base::YamlMap root = document->root();
//   config.data_dir = root.String("data_dir", "/var/lib/tributary");     // with a default
//   base::YamlMap upstream = root.Map("upstream");
//   config.endpoint = upstream.String("endpoint");                       // required
//   config.timeout = upstream.Duration("timeout", 1ms, 1h, 10s);
//   if (base::Status status = document->Finish(); !status) return status;
//
// A getter that finds a fault notes it and returns the default, or an empty value; the caller need not look until
// Finish. Asking for a key is what makes it known: all keys that a section may have must be asked for (or Has()).
//
// Scalars may name environment variables as in the OpenTelemetry Collector: ${NAME}, ${env:NAME}, ${env:NAME:-default},
// and $$ for a dollar sign. They are put in after parsing, so a value can never add structure. Unlike the Collector, an
// unset variable without a default is a fault. A key whose value is null or left empty counts as absent. Anchors and
// aliases work; tags, merge keys and several documents in one file do not.
//
// Values and maps refer to their YamlDocument and must not outlive it. One thread at a time; start-up only.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tributary::base {

struct YamlNode;
struct YamlState;
class YamlMap;

// Any value, for those of several possible types. Getters note a fault when it is of another one.
class YamlValue {
 public:
  bool is_null() const;
  bool is_scalar() const;
  bool is_list() const;
  bool is_map() const;
  // A scalar in quotes is meant as text, even if it looks like a number.
  bool is_quoted() const;

  std::string String() const;
  bool Bool() const;  // true or false
  int64_t Int(int64_t min, int64_t max) const;
  double Double(double min, double max) const;
  uint64_t Size(uint64_t min, uint64_t max) const;  // bytes, see base/units.h
  std::chrono::nanoseconds Duration(std::chrono::nanoseconds min, std::chrono::nanoseconds max) const;
  std::vector<YamlValue> List() const;
  YamlMap Map() const;

  // "upstream.tls" or "sinks[2]"; empty for the file itself.
  const std::string& path() const { return path_; }
  // Notes a fault of the caller's own finding here: "not host:port".
  void Fail(std::string_view message) const;

 private:
  friend class YamlMap;
  friend class YamlDocument;
  YamlValue(YamlState* state, const YamlNode* node, std::string path)
      : state_(state), node_(node), path_(std::move(path)) {}
  void FailType(std::string_view wanted) const;
  template <typename T>
  T InRange(std::optional<T> value, T min, T max, std::string_view wanted) const;

  YamlState* state_;
  const YamlNode* node_;
  std::string path_;
};

// A map being read. One that is absent reads as empty.
class YamlMap {
 public:
  // True when the key is there and not null.
  bool Has(std::string_view key) const;
  // In the order of the file; all count as known. For maps whose keys are names that the user chose.
  std::vector<std::string> Keys() const;

  // Without a `fallback` the key is required.
  std::string String(std::string_view key, std::optional<std::string> fallback = {}) const;
  bool Bool(std::string_view key, std::optional<bool> fallback = {}) const;
  int64_t Int(std::string_view key, int64_t min, int64_t max, std::optional<int64_t> fallback = {}) const;
  double Double(std::string_view key, double min, double max, std::optional<double> fallback = {}) const;
  uint64_t Size(std::string_view key, uint64_t min, uint64_t max, std::optional<uint64_t> fallback = {}) const;
  std::chrono::nanoseconds Duration(std::string_view key, std::chrono::nanoseconds min, std::chrono::nanoseconds max,
                                    std::optional<std::chrono::nanoseconds> fallback = {}) const;
  // The value whose name is given: Choice<Mode>("mode", {{"memory", Mode::kMemory}, ...}, Mode::kProcess).
  template <typename T>
  T Choice(std::string_view key, std::initializer_list<std::pair<std::string_view, T>> choices,
           std::optional<T> fallback = {}) const;

  // Absent ones are empty.
  YamlMap Map(std::string_view key) const;
  std::vector<YamlMap> Maps(std::string_view key) const;
  std::vector<std::string> Strings(std::string_view key) const;
  std::map<std::string, std::string> StringMap(std::string_view key) const;

  std::optional<YamlValue> Find(std::string_view key) const;
  // Notes a fault of the caller's own finding at `key`, or at this map when it does not have the key.
  void Fail(std::string_view key, std::string_view message) const;

  const std::string& path() const { return value_.path(); }

 private:
  friend class YamlValue;
  friend class YamlDocument;
  explicit YamlMap(YamlValue value);
  std::string PathOf(std::string_view key) const;
  template <typename T, typename Read>
  T ReadOr(std::string_view key, const std::optional<T>& fallback, Read read) const;
  void FailChoice(std::string_view key, const std::vector<std::string_view>& names) const;

  YamlValue value_;
};

class YamlDocument {
 public:
  YamlDocument(YamlDocument&&) noexcept;
  YamlDocument& operator=(YamlDocument&&) noexcept;
  ~YamlDocument();

  // An empty file reads as an empty map.
  YamlMap root() const;
  // All faults noted, and all keys that nothing asked for, by line, one per line of the message.
  Status Finish() const;

 private:
  friend Result<YamlDocument> ParseYaml(std::string_view text, std::string file);
  explicit YamlDocument(std::unique_ptr<YamlState> state);
  std::unique_ptr<YamlState> state_;
};

// Fails when the file cannot be read, is not YAML, has a key twice in a map, or names a variable that is not set.
Result<YamlDocument> LoadYaml(const std::string& file);
// The same for text; `file` is what faults are told with.
Result<YamlDocument> ParseYaml(std::string_view text, std::string file);

template <typename T>
T YamlMap::Choice(std::string_view key, std::initializer_list<std::pair<std::string_view, T>> choices,
                  std::optional<T> fallback) const {
  const std::optional<YamlValue> value = Find(key);
  if (!value && fallback) return *fallback;
  const std::string name = String(key);
  std::vector<std::string_view> names;
  for (const auto& [choice, meaning] : choices) {
    if (choice == name) return meaning;
    names.push_back(choice);
  }
  if (value) FailChoice(key, names);
  return fallback.value_or(T());
}

}  // namespace tributary::base
