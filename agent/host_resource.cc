#include "agent/host_resource.h"

#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <string_view>

#include "pipeline/grpc_status.h"

namespace tributary::agent {
namespace {

using Attributes = std::vector<std::pair<std::string, std::string>>;

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Semantic conventions' names for what uname calls the machine.
std::string_view Architecture(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  if (machine.starts_with("arm")) return "arm32";
  return machine;
}

// PRETTY_NAME of os-release: PRETTY_NAME="Debian GNU/Linux 12 (bookworm)".
std::string PrettyName(const std::string& path) {
  std::ifstream file(path);
  constexpr std::string_view kKey = "PRETTY_NAME=";
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kKey)) continue;
    std::string name = line.substr(kKey.size());
    std::erase(name, '"');
    return name;
  }
  return "";
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

Attributes DetectHost(const std::string& root) {
  Attributes attributes;
  const auto add = [&attributes](std::string key, std::string value) {
    if (!value.empty()) attributes.emplace_back(std::move(key), std::move(value));
  };
  utsname names{};
  const bool known = ::uname(&names) == 0;
  add("host.name", known ? names.nodename : "");
  add("host.id", FirstLine(root + "etc/machine-id"));
  add("host.arch", std::string(Architecture(known ? names.machine : "")));
  add("os.type", "linux");
  add("os.description", PrettyName(root + "etc/os-release"));
  return attributes;
}

Attributes ParseResourceAttributes(std::string_view text_untrusted) {
  Attributes attributes;
  while (!text_untrusted.empty()) {
    const std::string_view pair = text_untrusted.substr(0, text_untrusted.find(','));
    text_untrusted.remove_prefix(std::min(text_untrusted.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    const std::string_view key = Trimmed(pair.substr(0, equals));
    if (equals == std::string_view::npos || key.empty()) return {};
    attributes.emplace_back(key, pipeline::PercentDecode(Trimmed(pair.substr(equals + 1))));
  }
  return attributes;
}

}  // namespace tributary::agent
