// MetricsText: a page in Prometheus' text exposition format, written on request.
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
//
// Counters are plain integers in the objects that count; at a scrape each object writes its own samples here, on the
// loop's thread, so that one page is one consistent moment. Samples of one family may come from many objects: they are
// kept together, in the order of first mention.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tributary::base {

class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // `name` of a counter ends in _total. Label values are escaped here.
  void Counter(std::string_view name, std::string_view help, Labels labels, double value);
  void Gauge(std::string_view name, std::string_view help, Labels labels, double value);

  std::string Render() const;

 private:
  struct Family {
    std::string name, help;
    std::string_view type;
    std::string samples;
  };
  void Sample(std::string_view type, std::string_view name, std::string_view help, Labels labels, double value);

  std::vector<Family> families_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace tributary::base
