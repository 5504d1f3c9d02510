// What this host is, as OpenTelemetry resource attributes.
// https://opentelemetry.io/docs/specs/semconv/resource/host/ and .../resource/os/
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tributary::agent {

// host.name, host.id (the machine id, when there is one), host.arch, os.type, os.description: what this machine tells
// without privilege. `root` is where its file system is seen: "/" or, in a container, the host's mount.
std::vector<std::pair<std::string, std::string>> DetectHost(const std::string& root);

// OTEL_RESOURCE_ATTRIBUTES of the agent's own environment, "key=value,key=value" with percent-encoding; malformed pairs
// make the whole variable count as unset, as the specification asks.
std::vector<std::pair<std::string, std::string>> ParseResourceAttributes(std::string_view text_untrusted);

}  // namespace tributary::agent
