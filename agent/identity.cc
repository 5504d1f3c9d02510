#include "agent/identity.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "base/whole_file.h"

namespace tributary::agent {
namespace {

// A process names itself and its cgroup as it likes: what would mean something in the text, or is not printable, is
// '?'.
std::string Plain(std::string_view name_untrusted) {
  std::string plain(name_untrusted);
  for (char& c : plain) {
    if (c <= ' ' || c > '~' || c == ',' || c == '=' || c == '%') c = '?';
  }
  return plain;
}

// When process `pid` of our own pid namespace began, in clock ticks since boot. Its name, the second field of
// /proc/PID/stat, may hold anything, so fields are counted from the last parenthesis.
std::optional<uint64_t> StartTicks(uint32_t pid) {
  const std::string stat = base::ReadText(fmt::format("/proc/{}/stat", pid));
  size_t at = stat.rfind(')');
  constexpr int kFieldsToStart = 20;
  for (int field = 0; field < kFieldsToStart && at != stat.npos; ++field) at = stat.find(' ', at + 1);
  if (at == stat.npos) return std::nullopt;
  return std::strtoull(stat.c_str() + at, nullptr, 10);
}

// Of a process whose cgroup in the unified hierarchy says nothing: on nodes of version 1 others do. Nothing when we
// cannot see the process, or its pid is somebody else's by now.
std::optional<CgroupOwner> OwnerByProc(const tributary_sender& sender) {
  if (sender.tgid == 0) return std::nullopt;
  CgroupOwner owner = Cgroups::OwnerOf(base::ReadText(fmt::format("/proc/{}/cgroup", sender.tgid)));
  const uint64_t tick_ns = 1'000'000'000 / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  if (StartTicks(sender.tgid) != sender.start_boottime_ns / tick_ns) return std::nullopt;
  return owner;
}

void Append(std::string& text, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (!text.empty()) text += ',';
  text.append(key).append("=").append(value);
}

}  // namespace

Identity::Identity() : Identity(FindCgroupRoot()) {}

Identity::Identity(const base::Result<std::string>& cgroup_root) : cgroups_(cgroup_root.value_or("")) {
  auto sock_ops = cgroup_root ? SockOps::Attach(*cgroup_root) : std::unexpected(cgroup_root.error());
  if (sock_ops) {
    sock_ops_ = std::move(*sock_ops);
  } else {
    lacks_ = sock_ops.error().message;
    spdlog::warn("senders are known only on this host's own network: {}", lacks_);
  }
}

void Identity::AddPort(uint16_t port) {
  if (sock_ops_) sock_ops_->AddPort(port);
}

std::shared_ptr<const std::string> Identity::SourceOf(int socket) {
  Method method = Method::kNone;
  std::optional<tributary_sender> sender;
  if (sock_ops_) sender = sock_ops_->SenderOf(socket);
  if (sender) {
    method = Method::kSockOps;
  } else if (const auto owner = sock_diag_.ClientOf(socket)) {
    method = Method::kSockDiag;
    sender = tributary_sender{.cgroup_id = owner->cgroup_id, .uid = owner->uid};
  }
  ++connections_[static_cast<size_t>(method)];
  return sender ? Intern(TextOf(*sender)) : nullptr;
}

std::optional<CgroupOwner> Identity::OwnerOf(const tributary_sender& sender) {
  if (sender.cgroup_id == Cgroups::kRootId) return OwnerByProc(sender);
  const CgroupOwner* owner = cgroups_.Find(sender.cgroup_id);
  return owner != nullptr ? std::optional(*owner) : std::nullopt;
}

// Empty when where it runs is not known: the host's pid of a process that may be in a container would only mislead.
std::string Identity::TextOf(const tributary_sender& sender) {
  const std::optional<CgroupOwner> owner = OwnerOf(sender);
  if (!owner) {
    ++unknown_cgroups_;
    return "";
  }
  std::string text;
  const std::string comm = Plain({sender.comm, ::strnlen(sender.comm, sizeof sender.comm)});
  if (!owner->container_id.empty() || !owner->pod_uid.empty()) {
    Append(text, "container.id", owner->container_id);
    Append(text, "container.runtime", owner->runtime);
    Append(text, "k8s.pod.uid", owner->pod_uid);
    Append(text, "comm", comm);
    return text;
  }
  Append(text, "systemd.unit", Plain(owner->systemd_unit));
  if (sender.tgid != 0) Append(text, "process.pid", fmt::to_string(sender.tgid));
  Append(text, "process.executable.name", comm);
  Append(text, "process.user.id", fmt::to_string(sender.uid));
  return text;
}

std::shared_ptr<const std::string> Identity::Intern(std::string text) {
  if (text.empty()) return nullptr;
  if (const auto same = texts_.find(text); same != texts_.end()) return same->second;
  if (texts_.size() >= kTextsMax) texts_.clear();
  auto interned = std::make_shared<const std::string>(std::move(text));
  texts_.emplace(*interned, interned);
  return interned;
}

void Identity::WriteMetrics(base::MetricsText& metrics) const {
  constexpr std::array<std::string_view, kMethods> kNames = {"sockops", "inet_diag", "none"};
  for (size_t i = 0; i < kMethods; ++i) {
    metrics.Counter("tributary_identity_connections_total", "Connections accepted, by how their sender is known.",
                    {{"method", kNames[i]}}, static_cast<double>(connections_[i]));
  }
  metrics.Counter("tributary_identity_unknown_cgroups_total",
                  "Connections of a known process whose cgroup could not be found, mostly since it was gone.", {},
                  static_cast<double>(unknown_cgroups_));
  metrics.Gauge("tributary_identity_info", "1, with what is lacking to know every local sender.",
                {{"bpf", sock_ops_ ? "attached" : "none"}, {"lacks", lacks_}}, 1);
  if (!sock_ops_) return;
  constexpr std::array<std::string_view, TRIBUTARY_IDENTITY_COUNTS> kEvents = {"connect", "joined", "not_joined",
                                                                               "storage_failed"};
  const auto counts = sock_ops_->Counts();
  for (size_t i = 0; i < counts.size(); ++i) {
    metrics.Counter("tributary_identity_kernel_total", "What the kernel's side saw of connections to our ports.",
                    {{"event", kEvents[i]}}, static_cast<double>(counts[i]));
  }
}

}  // namespace tributary::agent
