// The agent's configuration: one YAML file, every key optional but upstream.endpoint. docs/configuration.md explains it
// to users.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/kubernetes_settings.h"
#include "base/result.h"
#include "pipeline/delivery.h"
#include "pipeline/otlp_client.h"
#include "pipeline/settings.h"

namespace tributary::agent {

struct Config {
  // Applications' telemetry comes in on loopback, since whoever reaches these ports may write anything.
  pipeline::ListenSettings listen = {.grpc = "127.0.0.1:4317", .http = "127.0.0.1:4318"};
  // The address of this node that localhost's OTLP ports lead to in every pod; empty: they lead nowhere.
  std::string redirect;
  pipeline::LogSettings log;
  pipeline::MemorySettings memory;
  bool detect = true;  // who sends, and what this host is
  std::vector<std::pair<std::string, std::string>> resource_attributes;
  KubernetesSettings kubernetes;
  pipeline::OtlpClient::Options upstream;
  pipeline::Delivery::Options delivery;
  std::string log_level = "info";

  // Every fault of the file is told at once, with file, line and key.
  static base::Result<Config> Load(const std::string& file);
  static base::Result<Config> Parse(std::string_view text, const std::string& file);
};

}  // namespace tributary::agent
