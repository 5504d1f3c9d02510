// Identity: who sent what comes over a connection, as the kernel tells it, asked once when the connection is accepted.
// The answer is a text in the syntax of OTEL_RESOURCE_ATTRIBUTES, "container.id=4f5e...,k8s.pod.uid=...", which travels
// with every frame of the connection (pipeline/origin.h) and becomes attributes on the way out (enrichment.h).
//
// Of several methods the first that knows answers: BPF, which knows every local client, then inet_diag, which knows
// those in our own network namespace and no process. A client that nobody knows gets no answer, never a guess: a wrong
// name is worse than none. What is missing is said once, in the log, and at /metrics; everything else works without.
//
//   container.id, k8s.pod.uid, container.runtime   of a process in a container
//   systemd.unit, process.pid, process.executable.name, process.user.id   of one of the host
//
// process.executable.name is the kernel's name of the process (15 bytes at most); for a process in a container it is
// there only to tell a forwarder by (enrichment.h), as `comm`.
//
// Lives on the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent/cgroups.h"
#include "agent/sock_diag.h"
#include "agent/sock_ops.h"
#include "base/metrics_text.h"
#include "base/result.h"

namespace tributary::agent {

class Identity {
 public:
  enum class Method : uint8_t { kSockOps, kSockDiag, kNone };

  // Attaches BPF where it may; before anybody listens.
  Identity();

  // Names `port`: one that is listened at, or that clients name and DNAT leads from.
  void AddPort(uint16_t port);

  // Who is at the other end of an accepted socket; null when that is not known. One text for all that are the same.
  std::shared_ptr<const std::string> SourceOf(int socket);

  // Why there is no BPF; empty when there is.
  const std::string& lacks() const { return lacks_; }

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  static constexpr size_t kMethods = 3;
  static constexpr size_t kTextsMax = 4096;

  explicit Identity(const base::Result<std::string>& cgroup_root);

  std::optional<CgroupOwner> OwnerOf(const tributary_sender& sender);
  std::string TextOf(const tributary_sender& sender);
  std::shared_ptr<const std::string> Intern(std::string text);

  std::unique_ptr<SockOps> sock_ops_;  // null without BPF
  std::string lacks_;
  SockDiag sock_diag_;
  Cgroups cgroups_;
  std::unordered_map<std::string_view, std::shared_ptr<const std::string>> texts_;  // keys are the values' own
  std::array<uint64_t, kMethods> connections_{};
  uint64_t unknown_cgroups_ = 0;
};

}  // namespace tributary::agent
