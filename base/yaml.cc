#include "base/yaml.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <numeric>
#include <utility>

#include "base/units.h"
#include "base/yaml_tree.h"

namespace tributary::base {
namespace {

using Type = YamlNode::Type;

std::string Join(std::string_view path, std::string_view key) {
  if (key.find_first_of(".[") != std::string_view::npos) return fmt::format("{}['{}']", path, key);
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

// What of a value at fault goes into a message of one line.
std::string Excerpt(std::string_view text) {
  constexpr size_t kBytesMax = 60;
  const std::string_view line = text.substr(0, text.find_first_of("\r\n")).substr(0, kBytesMax);
  return fmt::format("{}{}", line, line.size() < text.size() ? "..." : "");
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "010" is octal to some readers and ten to others.
std::optional<int64_t> ParseInt(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  return ParseNumber<int64_t>(text);
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

// "did you mean 'endpoint'?" or "known keys: endpoint, timeout".
std::string Suggestion(std::string_view unknown, const std::set<std::string, std::less<>>& known) {
  constexpr size_t kKeyBytesMax = 64;
  std::string_view closest;
  size_t closest_distance = std::min<size_t>(3, unknown.size() / 2 + 1);
  if (unknown.size() <= kKeyBytesMax) {
    for (const std::string& key : known) {
      const size_t distance = EditDistance(unknown, key);
      if (distance < closest_distance) {
        closest = key;
        closest_distance = distance;
      }
    }
  }
  if (!closest.empty()) return fmt::format("did you mean '{}'?", closest);
  return known.empty() ? "it has no keys" : fmt::format("known keys: {}", fmt::join(known, ", "));
}

std::string Text(double number) { return fmt::format("{}", number); }
std::string Text(int64_t number) { return fmt::format("{}", number); }
std::string Text(uint64_t bytes) { return fmt::format("{} bytes", bytes); }
std::string Text(std::chrono::nanoseconds duration) {
  return fmt::format("{}s", std::chrono::duration<double>(duration).count());
}

}  // namespace

bool YamlValue::is_null() const { return node_->type == Type::kNull; }
bool YamlValue::is_scalar() const { return node_->type == Type::kScalar; }
bool YamlValue::is_list() const { return node_->type == Type::kList; }
bool YamlValue::is_map() const { return node_->type == Type::kMap; }
bool YamlValue::is_quoted() const { return node_->quoted; }

void YamlValue::Fail(std::string_view message) const {
  state_->faults.insert({node_->line, path_.empty() ? std::string(message) : fmt::format("{}: {}", path_, message)});
}

void YamlValue::FailType(std::string_view wanted) const {
  switch (node_->type) {
    case Type::kNull:
      return Fail(fmt::format("is empty, not {}", wanted));
    case Type::kScalar:
      return Fail(fmt::format("'{}' is not {}", Excerpt(node_->scalar), wanted));
    case Type::kList:
      return Fail(fmt::format("is a list, not {}", wanted));
    case Type::kMap:
      return Fail(fmt::format("is a map, not {}", wanted));
  }
}

template <typename T>
T YamlValue::InRange(std::optional<T> value, T min, T max, std::string_view wanted) const {
  if (!is_scalar() || !value) {
    FailType(wanted);
  } else if (!(*value >= min && *value <= max)) {
    Fail(fmt::format("{} is not between {} and {}", node_->scalar, Text(min), Text(max)));
  } else {
    return *value;
  }
  return min;
}

std::string YamlValue::String() const {
  if (!is_scalar()) FailType("text");
  return node_->scalar;
}

bool YamlValue::Bool() const {
  if (!is_scalar() || (node_->scalar != "true" && node_->scalar != "false")) FailType("true or false");
  return node_->scalar == "true";
}

int64_t YamlValue::Int(int64_t min, int64_t max) const {
  return InRange(ParseInt(node_->scalar), min, max, "a whole number");
}

double YamlValue::Double(double min, double max) const {
  return InRange(ParseNumber<double>(node_->scalar), min, max, "a number");
}

uint64_t YamlValue::Size(uint64_t min, uint64_t max) const {
  return InRange(ParseSize(node_->scalar), min, max, "a size such as 64MiB, 4KiB or 512");
}

std::chrono::nanoseconds YamlValue::Duration(std::chrono::nanoseconds min, std::chrono::nanoseconds max) const {
  return InRange(ParseDuration(node_->scalar), min, max, "a duration such as 200ms, 5s or 1m30s");
}

std::vector<YamlValue> YamlValue::List() const {
  if (!is_list()) FailType("a list");
  std::vector<YamlValue> values;
  for (const YamlNode* element : node_->list) {
    values.push_back({state_, element, fmt::format("{}[{}]", path_, values.size())});
  }
  return values;
}

YamlMap YamlValue::Map() const {
  if (!is_map() && !is_null()) FailType("a map");
  return YamlMap(*this);
}

YamlMap::YamlMap(YamlValue value) : value_(std::move(value)) {
  value_.state_->visited.try_emplace(path(), YamlState::Visited{value_.node_, {}});
}

std::string YamlMap::PathOf(std::string_view key) const { return Join(path(), key); }

std::optional<YamlValue> YamlMap::Find(std::string_view key) const {
  value_.state_->visited.at(path()).known.emplace(key);
  const auto& entries = value_.node_->map;
  const auto found = std::ranges::find(entries, key, &YamlNode::Entry::key);
  if (found == entries.end() || found->value->type == Type::kNull) return std::nullopt;
  return YamlValue(value_.state_, found->value, PathOf(key));
}

bool YamlMap::Has(std::string_view key) const { return Find(key).has_value(); }

std::vector<std::string> YamlMap::Keys() const {
  std::vector<std::string> keys;
  for (const YamlNode::Entry& entry : value_.node_->map) {
    value_.state_->visited.at(path()).known.insert(entry.key);
    keys.push_back(entry.key);
  }
  return keys;
}

void YamlMap::Fail(std::string_view key, std::string_view message) const {
  if (const auto value = Find(key)) return value->Fail(message);
  value_.state_->faults.insert({value_.node_->line, fmt::format("{}: {}", PathOf(key), message)});
}

template <typename T, typename Read>
T YamlMap::ReadOr(std::string_view key, const std::optional<T>& fallback, Read read) const {
  if (const auto value = Find(key)) return read(*value);
  const bool has_keys = value_.is_map() || value_.is_null();  // else that is the fault, and it is noted
  if (!fallback && has_keys) Fail(key, "is required");
  return fallback.value_or(T());
}

std::string YamlMap::String(std::string_view key, std::optional<std::string> fallback) const {
  return ReadOr(key, fallback, [](const YamlValue& value) { return value.String(); });
}

bool YamlMap::Bool(std::string_view key, std::optional<bool> fallback) const {
  return ReadOr(key, fallback, [](const YamlValue& value) { return value.Bool(); });
}

int64_t YamlMap::Int(std::string_view key, int64_t min, int64_t max, std::optional<int64_t> fallback) const {
  return ReadOr(key, fallback, [&](const YamlValue& value) { return value.Int(min, max); });
}

double YamlMap::Double(std::string_view key, double min, double max, std::optional<double> fallback) const {
  return ReadOr(key, fallback, [&](const YamlValue& value) { return value.Double(min, max); });
}

uint64_t YamlMap::Size(std::string_view key, uint64_t min, uint64_t max, std::optional<uint64_t> fallback) const {
  return ReadOr(key, fallback, [&](const YamlValue& value) { return value.Size(min, max); });
}

std::chrono::nanoseconds YamlMap::Duration(std::string_view key, std::chrono::nanoseconds min,
                                           std::chrono::nanoseconds max,
                                           std::optional<std::chrono::nanoseconds> fallback) const {
  return ReadOr(key, fallback, [&](const YamlValue& value) { return value.Duration(min, max); });
}

void YamlMap::FailChoice(std::string_view key, const std::vector<std::string_view>& names) const {
  Fail(key, fmt::format("'{}' is not one of {}", Excerpt(Find(key)->String()), fmt::join(names, ", ")));
}

YamlMap YamlMap::Map(std::string_view key) const {
  if (const auto value = Find(key)) return value->Map();
  // Faults within it ("is required") are told with this map's line.
  YamlNode& absent = value_.state_->nodes.emplace_back();
  absent.line = value_.node_->line;
  return YamlMap(YamlValue(value_.state_, &absent, PathOf(key)));
}

std::vector<YamlMap> YamlMap::Maps(std::string_view key) const {
  std::vector<YamlMap> maps;
  if (const auto list = Find(key)) {
    for (const YamlValue& value : list->List()) maps.push_back(value.Map());
  }
  return maps;
}

std::vector<std::string> YamlMap::Strings(std::string_view key) const {
  std::vector<std::string> strings;
  if (const auto list = Find(key)) {
    for (const YamlValue& value : list->List()) strings.push_back(value.String());
  }
  return strings;
}

std::map<std::string, std::string> YamlMap::StringMap(std::string_view key) const {
  std::map<std::string, std::string> strings;
  const YamlMap map = Map(key);
  for (const std::string& name : map.Keys()) strings[name] = map.String(name);
  return strings;
}

YamlDocument::YamlDocument(std::unique_ptr<YamlState> state) : state_(std::move(state)) {}
YamlDocument::YamlDocument(YamlDocument&&) noexcept = default;
YamlDocument& YamlDocument::operator=(YamlDocument&&) noexcept = default;
YamlDocument::~YamlDocument() = default;

YamlMap YamlDocument::root() const { return YamlValue(state_.get(), state_->root, "").Map(); }

Status YamlDocument::Finish() const {
  std::set<YamlState::Fault> faults = state_->faults;
  for (const auto& [path, visited] : state_->visited) {
    for (const YamlNode::Entry& entry : visited.node->map) {
      if (visited.known.contains(entry.key)) continue;
      faults.insert({entry.line, fmt::format("unknown key '{}'{}{} ({})", entry.key, path.empty() ? "" : " in ", path,
                                             Suggestion(entry.key, visited.known))});
    }
  }
  if (faults.empty()) return {};
  std::string message;
  for (const YamlState::Fault& fault : faults) {
    if (!message.empty()) message += '\n';
    message += fmt::format("{}:{}: {}", state_->file, fault.line, fault.message);
  }
  return std::unexpected(Error{std::move(message)});
}

Result<YamlDocument> ParseYaml(std::string_view text, std::string file) {
  auto state = std::make_unique<YamlState>();
  state->file = std::move(file);
  if (Status status = BuildYamlTree(text, *state); !status) return std::unexpected(status.error());
  return YamlDocument(std::move(state));
}

Result<YamlDocument> LoadYaml(const std::string& file) {
  const std::unique_ptr<FILE, int (*)(FILE*)> in(std::fopen(file.c_str(), "re"), &std::fclose);
  if (in == nullptr) return FailErrno(errno, file);
  std::string text;
  char piece[16 << 10];
  while (const size_t size = std::fread(piece, 1, sizeof piece, in.get())) text.append(piece, size);
  if (std::ferror(in.get())) return FailErrno(errno, file);
  return ParseYaml(text, file);
}

}  // namespace tributary::base
