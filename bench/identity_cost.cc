// What it costs to know who connects, and whether the answer is right: sixteen containers of a made-up node connect
// over loopback, one connection after another, and each says who it is. Of every connection accepted the kernel is
// asked, and the two must agree. Prints one line of JSON:
//   us_per_connection    CPU time of Identity::SourceOf, on the loop's thread
//   bpf_ns_per_connect   time in the BPF programs for one connection, both its ends, by the kernel's own statistics
//   wrong                connections given to another container: a wrong name is worse than none
//   unknown              connections given to nobody
// Needs root, BPF and a writable cgroup2.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "agent/identity.h"
#include "base/check.h"
#include "base/command_line.h"
#include "base/socket.h"
#include "tests/agent/node_sandbox.h"

namespace tributary::bench {
namespace {

constexpr uint8_t kContainers = 16;

std::string ContainerId(uint8_t container) { return fmt::format("{:064x}", 0xc0ffee00u + container); }

double ThreadCpuSeconds() {
  timespec time;
  CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// How long our BPF programs of this name have run, ever, in nanoseconds.
uint64_t BpfRunTime(const char* name) {
  uint64_t sum = 0;
  for (uint32_t id = 0; ::bpf_prog_get_next_id(id, &id) == 0;) {
    const base::Fd program(::bpf_prog_get_fd_by_id(id));
    bpf_prog_info info = {};
    uint32_t length = sizeof info;
    if (!program.valid() || ::bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0) continue;
    if (std::strcmp(info.name, name) == 0) sum += info.run_time_ns;
  }
  return sum;
}

// In a container: connects `count` times, and says each time which one it is.
void Connect(const base::Address& server, uint8_t container, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    const base::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(::connect(socket.get(), server.get(), server.length) == 0);
    CHECK(::send(socket.get(), &container, 1, MSG_NOSIGNAL) == 1);
    char byte;
    ::recv(socket.get(), &byte, 1, 0);  // until the other end hangs up
  }
}

int Main(int argc, char** argv) {
  uint32_t connections = 10'000;
  CLI::App app("What it costs to know who connects. Usually run by `./run bench identity`.", "identity");
  app.add_option("--connections", connections, "How many")->capture_default_str();
  if (const std::optional<int> code = base::ParseCommandLine(app, argc, argv)) return *code;

  auto sandbox = NodeSandbox::Make();
  if (!sandbox) {
    fmt::print(stderr, "identity: no node to play with: {}\n", sandbox.error().message);
    return 1;
  }
  agent::Identity identity;
  if (!identity.lacks().empty()) {
    fmt::print(stderr, "identity: no BPF: {}\n", identity.lacks());
    return 1;
  }
  const base::Fd statistics(::bpf_enable_stats(BPF_STATS_RUN_TIME));
  const base::Fd network = sandbox->AddNetwork();
  base::Fd listener;
  sandbox->InNetwork(network, [&] { listener = std::move(*base::Listen(*base::Address::Parse("127.0.0.1:0"))); });
  const base::Address server = base::LocalAddress(listener.get());
  identity.AddPort(server.port());
  CHECK(::fcntl(listener.get(), F_SETFL, ::fcntl(listener.get(), F_GETFL) & ~O_NONBLOCK) == 0);

  sandbox->AddCgroup("kubepods");
  const uint32_t each = connections / kContainers;
  for (uint8_t container = 0; container < kContainers; ++container) {
    const std::string pod = fmt::format("kubepods/pod6f32ee86-5c29-4560-b482-44c3de2d{:04x}", container);
    sandbox->AddCgroup(pod);
    sandbox->AddCgroup(pod + "/" + ContainerId(container));
    sandbox->Run(pod + "/" + ContainerId(container), network, [&] { Connect(server, container, each); });
  }

  const uint64_t bpf_before_ns = BpfRunTime("identify");
  double cpu_s = 0;
  uint32_t wrong = 0, unknown = 0;
  const uint32_t accepted_max = each * kContainers;
  for (uint32_t i = 0; i < accepted_max; ++i) {
    const base::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    CHECK(connection.valid());
    const double before_s = ThreadCpuSeconds();
    const auto source = identity.SourceOf(connection.get());
    cpu_s += ThreadCpuSeconds() - before_s;
    uint8_t container;
    CHECK(::recv(connection.get(), &container, 1, 0) == 1);
    if (source == nullptr) {
      ++unknown;
    } else if (source->find("container.id=" + ContainerId(container)) == std::string::npos) {
      ++wrong;
    }
  }
  const auto count = static_cast<double>(accepted_max);
  fmt::print(R"({{"connections":{},"containers":{},"wrong":{},"unknown":{},"us_per_connection":{:.3f},)"
             R"("bpf_ns_per_connect":{:.0f}}})"
             "\n",
             accepted_max, kContainers, wrong, unknown, cpu_s * 1e6 / count,
             static_cast<double>(BpfRunTime("identify") - bpf_before_ns) / count);
  return wrong == 0 ? 0 : 2;
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) { return tributary::bench::Main(argc, argv); }
