#include "agent/doctor.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/cgroups.h"
#include "agent/http_get.h"
#include "agent/identity.h"
#include "agent/sock_ops.h"
#include "base/io.h"
#include "base/loop.h"
#include "base/socket.h"

namespace tributary::agent {
namespace {

constexpr base::Nanos kServerTimeout = std::chrono::seconds(5);
constexpr int kAcceptTimeout_ms = 2000;
constexpr size_t kAnswerBytesMax = 64 << 20;

Finding Good(std::string what, std::string detail) { return {std::move(what), true, std::move(detail), ""}; }
Finding Lacking(std::string what, std::string detail, std::string advice) {
  return {std::move(what), false, std::move(detail), std::move(advice)};
}

Finding Kernel() {
  utsname name{};
  ::uname(&name);
  const std::string release = std::string("Linux ") + name.release;
  if (::access("/sys/kernel/btf/vmlinux", R_OK) == 0) return Good("kernel", release + ", with BTF");
  return Lacking("kernel", release + ", without BTF (/sys/kernel/btf/vmlinux)",
                 "senders are not known by BPF; use a kernel built with CONFIG_DEBUG_INFO_BTF");
}

Finding Cgroup() {
  const auto root = FindCgroupRoot();
  if (root) return Good("cgroup", "the unified hierarchy is at " + *root);
  return Lacking("cgroup", root.error().message,
                 "containers and pods are not known; mount the host's /sys/fs/cgroup into the agent's container");
}

Finding Bpf() {
  const auto root = FindCgroupRoot();
  if (!root) return Lacking("bpf", "not tried: " + root.error().message, "see cgroup");
  const auto sock_ops = SockOps::Attach(*root);
  if (sock_ops) return Good("bpf", "sockops attached and detached");
  return Lacking(
      "bpf", sock_ops.error().message,
      "senders of pods are not known; run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and without a "
      "seccomp profile that refuses bpf(2)");
}

// A connection to ourselves, and who the kernel says it is from.
Finding Sender() {
  Identity identity;  // before the listener, as in an agent
  const auto listener = base::Listen(*base::Address::Parse("127.0.0.1:0"));
  if (!listener) return Lacking("sender", listener.error().message, "");
  const base::Address address = base::LocalAddress(listener->get());
  identity.AddPort(address.port());
  const auto client = base::Connect(address);
  pollfd ready{.fd = listener->get(), .events = POLLIN, .revents = 0};
  if (!client || ::poll(&ready, 1, kAcceptTimeout_ms) != 1) {
    return Lacking("sender", "no connection over loopback", "is the loopback interface up?");
  }
  const base::Fd accepted = base::Accept(listener->get());
  if (const auto source = identity.SourceOf(accepted.get())) return Good("sender", "this very process is " + *source);
  return Lacking("sender", "a connection over loopback is nobody's",
                 "telemetry goes on without its sender; see bpf and cgroup");
}

Finding Files(const Config& config) {
  base::Loop loop;
  base::FileSystem file_system;
  const auto io = base::OpenIo(loop, file_system, config.log.io);
  if (!io) return Lacking("io", io.error().message, "set log.io to auto");
  if ((*io)->reason().empty()) return Good("io", "io_uring");
  return Good("io", fmt::format("a thread, as cheap but slower to catch up: {}", (*io)->reason()));
}

Finding Log(const Config& config) {
  if (config.log.mode == pipeline::Log::Mode::kMemory) {
    return Good("log", "in memory: what is held ends with the process");
  }
  const std::string& directory = config.log.directory;
  struct statvfs space{};
  if (::statvfs(directory.c_str(), &space) != 0) {
    if (errno == ENOENT) return Good("log", directory + " is not there yet; the agent makes it");
    return Lacking("log", fmt::format("{}: {}", directory, std::strerror(errno)), "set log.directory");
  }
  if (::access(directory.c_str(), W_OK) != 0) {
    return Lacking("log", fmt::format("{}: {}", directory, std::strerror(errno)),
                   "the agent will not start; let its user write there, or set log.directory");
  }
  const uint64_t free_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  const std::string detail =
      fmt::format("{}: {} MiB free, log.limit is {} MiB", directory, free_bytes >> 20, config.log.bytes_max >> 20);
  if (free_bytes > config.log.bytes_max) return Good("log", detail);
  return Lacking("log", detail,
                 "the disk may be full before the Log is: lower log.limit, or give it a disk of its own");
}

Finding Server(std::string what, const std::string& url, const HttpGet::Credentials& credentials, std::string advice) {
  HttpGet get(credentials);
  std::string body_untrusted;
  const auto answer = get.Run(url, kServerTimeout, [&](std::string_view piece) {
    body_untrusted.append(piece);
    return body_untrusted.size() <= kAnswerBytesMax;
  });
  if (!answer) return Lacking(std::move(what), fmt::format("{}: {}", url, answer.error().message), std::move(advice));
  if (answer->status != 200) {
    return Lacking(std::move(what), fmt::format("{}: {}", url, answer->status), std::move(advice));
  }
  const auto list = ParsePodList(body_untrusted, {});
  if (!list) return Lacking(std::move(what), fmt::format("{}: {}", url, list.error().message), std::move(advice));
  return Good(std::move(what), fmt::format("{}: {} pods", url, list->pods.size()));
}

std::vector<Finding> Cluster(const KubernetesSettings& settings) {
  if (!settings.pods_file.empty()) return {Good("pods", "told by " + settings.pods_file)};
  if (!settings.cluster) {
    return {
        Good("kubernetes", "not asked: this is not a pod with a service account, and kubernetes.enabled is not true")};
  }
  const Kubernetes::Options& cluster = *settings.cluster;
  std::vector<Finding> findings = {
      Server("kubernetes", Kubernetes::ListUrl(cluster), cluster.api_credentials,
             "pods have no names; apply the permissions of deploy/daemonset/, and look at kubernetes.api_server")};
  if (!cluster.kubelet.empty()) {
    findings.push_back(Server("kubelet", cluster.kubelet + "/pods", cluster.kubelet_credentials,
                              "new containers are known some seconds later; allow `get` of nodes/pods, or set "
                              "kubernetes.kubelet to \"\""));
  }
  return findings;
}

}  // namespace

std::vector<Finding> Examine(const Config& config) {
  spdlog::set_level(spdlog::level::off);  // what is lacking is said in the findings
  std::vector<Finding> findings = {Kernel(), Cgroup(), Bpf(), Sender(), Files(config), Log(config)};
  for (Finding& finding : Cluster(config.kubernetes)) findings.push_back(std::move(finding));
  return findings;
}

}  // namespace tributary::agent
