#include "agent/config.h"

#include <utility>

#include "base/yaml.h"

namespace tributary::agent {
namespace {

base::Result<Config> Read(base::Result<base::YamlDocument> document) {
  if (!document) return std::unexpected(document.error());
  const base::YamlMap root = document->root();
  Config config;
  config.listen = pipeline::ReadListen(root, config.listen);
  config.redirect = root.String("redirect", "");
  config.log = pipeline::ReadLog(root, "tributary-agent");
  config.memory = pipeline::ReadMemory(root);
  config.log_level = pipeline::ReadLogLevel(root);

  const base::YamlMap resource = root.Map("resource");
  config.detect = resource.Bool("detect", config.detect);
  for (const auto& [key, value] : resource.StringMap("attributes")) config.resource_attributes.emplace_back(key, value);

  const bool keeps_files = config.log.mode != pipeline::Log::Mode::kMemory;
  config.kubernetes = ReadKubernetes(root, keeps_files ? config.log.directory : "");

  const base::YamlMap upstream = root.Map("upstream");
  config.upstream = pipeline::ReadOtlpClient(upstream);
  config.delivery = pipeline::ReadDeliveryOptions(upstream);

  if (base::Status status = document->Finish(); !status) return std::unexpected(status.error());
  return config;
}

}  // namespace

base::Result<Config> Config::Load(const std::string& file) { return Read(base::LoadYaml(file)); }

base::Result<Config> Config::Parse(std::string_view text, const std::string& file) {
  return Read(base::ParseYaml(text, file));
}

}  // namespace tributary::agent
