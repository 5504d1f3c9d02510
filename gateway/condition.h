// Condition: which telemetry a sink wants, told by resource attributes. All of its clauses must hold:
//
//   when:
//     deployment.environment: production        # is
//     service.name: [cart, pay]                 # is one of
//     k8s.namespace.name: {not: kube-system}    # is not, or not one of, or is not there
//     tenant: {exists: true}                    # is there, whatever it is
//
// Values are compared as text: a boolean is true or false, an integer is in decimal; other values equal nothing.
// Evaluated on bytes, for one resource container (ResourceSpans, ...) at a time. A value; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/yaml.h"

namespace tributary::gateway {

class Condition {
 public:
  Condition() = default;
  // Faults are noted in the document.
  static Condition Read(const base::YamlMap& when);

  bool empty() const { return clauses_.empty(); }
  // `container` must have passed Scan.
  bool Matches(base::ByteView container) const;

 private:
  struct Clause {
    enum class Kind : uint8_t { kIn, kNotIn, kExists, kAbsent };
    std::string attribute;
    Kind kind;
    std::vector<std::string> values;

    bool Holds(base::ByteView container) const;
  };
  static Clause ReadClause(const std::string& attribute, const base::YamlValue& value);

  std::vector<Clause> clauses_;
};

}  // namespace tributary::gateway
