// From YAML text to a YamlNode tree, by yaml-cpp's events. Everything that could make a small file large or a deep one
// overflow the stack is bounded here, and no exception of yaml-cpp leaves this file.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <cstdlib>
#include <sstream>
#include <unordered_map>

#include "base/yaml_tree.h"

namespace tributary::base {
namespace {

constexpr size_t kTextBytesMax = 4 << 20;
constexpr size_t kDepthMax = 64;
constexpr uint64_t kNodesMax = 100'000;  // with every alias written out

// Thrown within this file, through yaml-cpp's parser.
struct Refused {
  int line;
  std::string message;
};

bool IsVariableName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name) {
    if (!(c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return false;
  }
  return true;
}

// Value of what stands between ${ and }.
std::string Variable(std::string_view reference, int line) {
  std::string_view name = reference;
  if (name.starts_with("env:")) name.remove_prefix(4);
  const size_t colon = name.find(":-");
  const bool has_fallback = colon != std::string_view::npos;
  const std::string_view fallback = has_fallback ? name.substr(colon + 2) : std::string_view();
  name = name.substr(0, colon);
  if (!IsVariableName(name) || fallback.find("${") != std::string_view::npos) {
    throw Refused{line, fmt::format("'${{{}}}' is not ${{env:NAME}} or ${{env:NAME:-default}}", reference)};
  }
  if (const char* const value = std::getenv(std::string(name).c_str())) return value;
  if (has_fallback) return std::string(fallback);
  throw Refused{line, fmt::format("environment variable {0} is not set (${{env:{0}:-}} if it may be empty)", name)};
}

std::string Substitute(std::string_view text, int line) {
  std::string out;
  for (;;) {
    const size_t dollar = text.find('$');
    out += text.substr(0, dollar);
    if (dollar == std::string_view::npos) return out;
    text.remove_prefix(dollar);
    if (text.starts_with("$$")) {
      out += '$';
      text.remove_prefix(2);
    } else if (text.starts_with("${")) {
      const size_t brace = text.find('}');
      if (brace == std::string_view::npos) throw Refused{line, "'${' without '}' ($$ is a dollar sign)"};
      out += Variable(text.substr(2, brace - 2), line);
      text.remove_prefix(brace + 1);
    } else {
      out += '$';
      text.remove_prefix(1);
    }
  }
}

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlState& state) : state_(state) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{LineOf(mark), "a second document in one file"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Leaf(NewNode(mark, anchor)); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = NewNode(mark, anchor);
    node.quoted = tag == "!";
    if (tag != "!" && tag != "?") RefuseTag(node.line);
    node.type = YamlNode::Type::kScalar;
    node.scalar = IsKey() ? value : Substitute(value, node.line);
    Leaf(node);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refused{LineOf(mark), "an alias within what it stands for"};
    if (IsKey()) throw Refused{LineOf(mark), "an alias as a key"};
    Add(*found->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Type::kList, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(YamlNode::Type::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map whose end has not come yet.
  struct Level {
    YamlNode* node;
    YAML::anchor_t anchor;
    bool has_key = false;  // of a map: a key has come, and its value is next
    std::string key;
    int key_line = 0;
    std::set<std::string> keys;
  };

  static int LineOf(const YAML::Mark& mark) { return mark.line + 1; }
  [[noreturn]] static void RefuseTag(int line) { throw Refused{line, "tags are not supported"}; }

  bool IsKey() const {
    return !levels_.empty() && levels_.back().node->type == YamlNode::Type::kMap && !levels_.back().has_key;
  }

  YamlNode& NewNode(const YAML::Mark& mark, YAML::anchor_t anchor) {
    const int line = LineOf(mark);
    if (state_.nodes.size() >= kNodesMax) throw Refused{line, "too many values"};
    YamlNode& node = state_.nodes.emplace_back();
    node.line = line;
    anchor_ = anchor;
    return node;
  }

  void Leaf(YamlNode& node) {
    if (IsKey()) {
      SetKey(node);
    } else {
      Finish(node, anchor_);
    }
  }

  void SetKey(const YamlNode& node) {
    Level& level = levels_.back();
    if (node.type != YamlNode::Type::kScalar) throw Refused{node.line, "a key that is not text"};
    if (!level.keys.insert(node.scalar).second) {
      throw Refused{node.line, fmt::format("key '{}' is given twice", node.scalar)};
    }
    level.has_key = true;
    level.key = node.scalar;
    level.key_line = node.line;
  }

  void Open(YamlNode::Type type, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    YamlNode& node = NewNode(mark, anchor);
    if (!tag.empty() && tag != "?") RefuseTag(node.line);
    if (IsKey()) throw Refused{node.line, "a key that is not text"};
    if (levels_.size() == kDepthMax) throw Refused{node.line, "nested too deeply"};
    node.type = type;
    levels_.push_back({.node = &node, .anchor = anchor});
  }

  void Close() {
    const Level level = std::move(levels_.back());
    levels_.pop_back();
    Finish(*level.node, level.anchor);
  }

  void Finish(YamlNode& node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = &node;
    Add(node);
  }

  // Puts a finished value, or one that an alias names, where it belongs.
  void Add(const YamlNode& value) {
    if (levels_.empty()) {
      state_.root = &value;
      return;
    }
    Level& level = levels_.back();
    level.node->size += value.size;
    if (level.node->size > kNodesMax) throw Refused{value.line, "too many values, with aliases written out"};
    if (level.node->type == YamlNode::Type::kList) {
      level.node->list.push_back(&value);
    } else {
      level.node->map.push_back({std::move(level.key), level.key_line, &value});
      level.has_key = false;
    }
  }

  YamlState& state_;
  std::vector<Level> levels_;
  std::unordered_map<YAML::anchor_t, const YamlNode*> anchors_;
  YAML::anchor_t anchor_ = YAML::NullAnchor;  // of the node made last
  int documents_ = 0;
};

}  // namespace

Status BuildYamlTree(std::string_view text, YamlState& state) {
  if (text.size() > kTextBytesMax) return Fail("{}: larger than {} bytes", state.file, kTextBytesMax);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    TreeBuilder builder(state);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return Fail("{}:{}: {}", state.file, refused.line, refused.message);
  } catch (const YAML::Exception& exception) {
    return Fail("{}:{}: {}", state.file, exception.mark.line + 1, exception.msg);
  }
  if (state.root == nullptr) state.root = &state.nodes.emplace_back(YamlNode{.line = 1});
  return {};
}

}  // namespace tributary::base
