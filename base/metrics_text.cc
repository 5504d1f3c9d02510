#include "base/metrics_text.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace tributary::base {
namespace {

// In label values \, " and line feeds are escaped; in help texts only \ and line feeds.
void AppendEscaped(std::string& out, std::string_view text, bool quotes_too) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes_too) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void AppendValue(std::string& out, double value) {
  if (std::isfinite(value)) {
    fmt::format_to(std::back_inserter(out), "{}", value);
  } else {
    out += std::isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  }
}

}  // namespace

void MetricsText::Counter(std::string_view name, std::string_view help, Labels labels, double value) {
  Sample("counter", name, help, labels, value);
}

void MetricsText::Gauge(std::string_view name, std::string_view help, Labels labels, double value) {
  Sample("gauge", name, help, labels, value);
}

void MetricsText::Sample(std::string_view type, std::string_view name, std::string_view help, Labels labels,
                         double value) {
  const auto [known, is_new] = index_.try_emplace(std::string(name), families_.size());
  if (is_new) families_.push_back({std::string(name), std::string(help), type, {}});
  std::string& samples = families_[known->second].samples;
  samples += name;
  char separator = '{';
  for (const auto& [label, label_value] : labels) {
    samples += separator;
    samples += label;
    samples += "=\"";
    AppendEscaped(samples, label_value, true);
    samples += '"';
    separator = ',';
  }
  if (separator == ',') samples += '}';
  samples += ' ';
  AppendValue(samples, value);
  samples += '\n';
}

std::string MetricsText::Render() const {
  std::string page;
  for (const Family& family : families_) {
    page += "# HELP " + family.name + ' ';
    AppendEscaped(page, family.help, false);
    page += "\n# TYPE " + family.name + ' ';
    page += family.type;
    page += '\n';
    page += family.samples;
  }
  return page;
}

}  // namespace tributary::base
