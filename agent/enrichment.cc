#include "agent/enrichment.h"

#include <algorithm>
#include <array>

#include "agent/host_resource.h"

namespace tributary::agent {
namespace {

constexpr auto kKeep = otlp::ResourceEdit::Conflict::kKeep;
constexpr auto kReplace = otlp::ResourceEdit::Conflict::kReplace;

// Programs that send what others said, by how the kernel names their processes (15 bytes at most).
constexpr std::array<std::string_view, 12> kForwarders = {
    "otelcol",  "alloy",         "fluent-bit", "vector",          "envoy",           "linkerd2-proxy",
    "telegraf", "datadog-agent", "rotel",      "tributary-agent", "tributary-gatew", "jaeger"};

// Builds have suffixes: otelcol-contrib, envoy's threads' names.
bool IsForwarder(std::string_view comm) {
  return std::ranges::any_of(kForwarders, [comm](std::string_view name) { return comm.starts_with(name); });
}

std::string_view Value(const std::map<std::string, std::string, std::less<>>& attributes, std::string_view key) {
  const auto found = attributes.find(key);
  return found != attributes.end() ? std::string_view(found->second) : std::string_view();
}

void SetText(otlp::ResourceEdit& edit, std::string_view key, std::string_view value,
             otlp::ResourceEdit::Conflict conflict) {
  if (!value.empty()) edit.SetString(key, value, conflict);
}

}  // namespace

Enrichment::Enrichment(const Pods& pods, std::function<void()> refresh, Options options)
    : pods_(pods), refresh_(std::move(refresh)), options_(std::move(options)) {}

void Enrichment::SetOptions(Options options) {
  options_ = std::move(options);
  made_.clear();
  last_ = nullptr;
}

bool Enrichment::IsComplete(base::ByteView source_untrusted) {
  if (!options_.awaits_pods || Of(source_untrusted).complete) return true;
  if (refresh_) refresh_();
  return false;
}

const Enrichment::Made& Enrichment::Of(base::ByteView source_untrusted) {
  const std::string_view source = base::AsText(source_untrusted);
  if (pods_version_ != pods_.version() || made_.size() >= kMadeMax) {
    pods_version_ = pods_.version();
    made_.clear();
    last_ = nullptr;
  }
  if (last_ == nullptr || last_->first != source) {
    auto found = made_.find(source);
    if (found == made_.end()) found = made_.emplace(source, Make(source)).first;
    last_ = &*found;
  }
  return last_->second;
}

// What is set later counts.
Enrichment::Made Enrichment::Make(std::string_view source_untrusted) {
  Attributes source;
  for (auto& [key, value] : ParseResourceAttributes(source_untrusted)) source[key] = std::move(value);
  const bool in_container = source.contains("container.id") || source.contains("k8s.pod.uid");
  const std::string_view comm = Value(source, in_container ? "comm" : "process.executable.name");
  Made made;
  otlp::ResourceEdit& edit = made.edit;
  if (IsForwarder(comm)) {
    AddVia(source, edit);
  } else {
    for (const auto& [key, value] : options_.host) edit.SetString(key, value, kKeep);
    if (in_container) {
      made.complete = AddContainer(source, edit);
    } else {
      SetText(edit, "systemd.unit", Value(source, "systemd.unit"), kKeep);
      SetText(edit, "process.executable.name", comm, kKeep);
      for (const char* number : {"process.pid", "process.user.id"}) {
        const std::string value(Value(source, number));
        if (!value.empty()) edit.SetInt(number, std::strtoll(value.c_str(), nullptr, 10), kKeep);
      }
    }
  }
  for (const auto& [key, value] : options_.given) {
    if (edit.Find(key) == nullptr || edit.Find(key)->conflict == kKeep) edit.SetString(key, value, kKeep);
  }
  return made;
}

bool Enrichment::AddContainer(const Attributes& source, otlp::ResourceEdit& edit) {
  const std::string_view uid = Value(source, "k8s.pod.uid"), container_id = Value(source, "container.id");
  SetText(edit, "container.id", container_id, kReplace);
  SetText(edit, "container.runtime", Value(source, "container.runtime"), kReplace);
  if (uid.empty()) return true;
  edit.SetString("k8s.pod.uid", uid, kReplace);
  const Pods::Found found = pods_.Find(uid, container_id);
  if (found.pod != nullptr) AddAttributes(*found.pod, found.container, options_.fields, edit);
  if (found.pod != nullptr && found.container != nullptr) return true;
  ++(found.pod == nullptr ? unknown_pods_ : unknown_containers_);
  return false;
}

void Enrichment::AddVia(const Attributes& source, otlp::ResourceEdit& edit) const {
  const auto via = [&edit](std::string_view key, std::string_view value) {
    SetText(edit, "tributary.via." + std::string(key), value, kKeep);
  };
  const std::string_view uid = Value(source, "k8s.pod.uid"), container_id = Value(source, "container.id");
  via("container.id", container_id);
  via("k8s.pod.uid", uid);
  via("systemd.unit", Value(source, "systemd.unit"));
  if (const Pod* pod = pods_.Find(uid, container_id).pod) {
    via("k8s.pod.name", pod->name);
    via("k8s.namespace.name", pod->namespace_name);
  }
}

void Enrichment::WriteMetrics(base::MetricsText& metrics) const {
  const auto count = [&metrics](std::string_view reason, uint64_t value) {
    metrics.Counter("tributary_identity_incomplete_total",
                    "Times a sender was looked up of whom Kubernetes had not told (yet).", {{"reason", reason}},
                    static_cast<double>(value));
  };
  count("unknown_pod", unknown_pods_);
  count("unknown_container", unknown_containers_);
}

}  // namespace tributary::agent
