// What base/yaml.cc reads and base/yaml_parse.cc builds: a YAML file as a tree, without yaml-cpp. Private to the two.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tributary::base {

struct YamlNode {
  enum class Type : uint8_t { kNull, kScalar, kList, kMap };

  Type type = Type::kNull;
  bool quoted = false;
  int line = 0;
  std::string scalar;
  std::vector<const YamlNode*> list;
  // With the line of each key, in the order of the file. An alias shares the node it names.
  struct Entry {
    std::string key;
    int line;
    const YamlNode* value;
  };
  std::vector<Entry> map;
  // Nodes in this tree, counting shared ones each time: what it costs to walk it.
  uint64_t size = 1;
};

struct YamlState {
  // A map that has been looked into.
  struct Visited {
    const YamlNode* node;
    std::set<std::string, std::less<>> known;  // keys that were asked for
  };
  struct Fault {
    int line;
    std::string message;
    auto operator<=>(const Fault&) const = default;
  };

  std::string file;
  std::deque<YamlNode> nodes;
  const YamlNode* root = nullptr;
  std::map<std::string, Visited> visited;  // by path
  std::set<Fault> faults;
};

// Fills `state.nodes` and `state.root`.
Status BuildYamlTree(std::string_view text, YamlState& state);

}  // namespace tributary::base
