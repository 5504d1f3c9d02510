#include "cli/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "agent/doctor.h"
#include "otlp/json_text.h"

namespace tributary::cli {
namespace {

// Where an agent without one would send is of no concern here.
constexpr const char* kNoConfig = "upstream: {endpoint: http://127.0.0.1:4317}";

std::string AsJson(const agent::Finding& finding) {
  std::string json = "{\"what\":";
  otlp::AppendQuoted(finding.what, json);
  json += fmt::format(",\"ok\":{},\"detail\":", finding.good);
  otlp::AppendQuoted(finding.detail, json);
  json += ",\"advice\":";
  otlp::AppendQuoted(finding.advice, json);
  return json + "}\n";
}

std::string AsText(const agent::Finding& finding) {
  std::string text = fmt::format("{:<7} {:<11} {}\n", finding.good ? "OK" : "LACKING", finding.what, finding.detail);
  if (!finding.advice.empty()) text += fmt::format("{:<19} -> {}\n", "", finding.advice);
  return text;
}

}  // namespace

int Doctor(const DoctorOptions& options) {
  const auto config = options.config_file.empty() ? agent::Config::Parse(kNoConfig, "defaults")
                                                  : agent::Config::Load(options.config_file);
  if (!config) {
    fmt::print(stderr, "tributary doctor: {}\n", config.error().message);
    return 2;
  }
  const std::vector<agent::Finding> findings = agent::Examine(*config);
  for (const agent::Finding& finding : findings) fmt::print("{}", options.json ? AsJson(finding) : AsText(finding));
  return std::ranges::all_of(findings, &agent::Finding::good) ? 0 : 1;
}

}  // namespace tributary::cli
