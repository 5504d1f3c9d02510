#include "tests/agent/node_sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <ranges>
#include <sstream>

namespace tributary {
namespace {

base::Fd OpenNetwork() { return base::Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)); }

// The first cgroup2 mount, or one of the test's own, which is gone with its mount namespace.
base::Result<std::string> CgroupMount() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string device, directory, type;
    fields >> device >> directory >> type;
    if (type == "cgroup2") return directory;
  }
  char directory[] = "/tmp/tributary-cgroup-XXXXXX";
  if (::unshare(CLONE_NEWNS) != 0) return base::FailErrno(errno, "unshare mounts");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return base::FailErrno(errno, "mount /");
  if (::mkdtemp(directory) == nullptr) return base::FailErrno(errno, directory);
  if (::mount("cgroup2", directory, "cgroup2", 0, nullptr) != 0) return base::FailErrno(errno, "mount cgroup2");
  return directory;
}

}  // namespace

void Shell(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

base::Result<NodeSandbox> NodeSandbox::Make() {
  if (::geteuid() != 0) return base::Fail("not root");
  auto mount = CgroupMount();
  if (!mount) return std::unexpected(mount.error());
  const std::string directory = fmt::format("{}/tributary-test-{}", *mount, ::getpid());
  if (::mkdir(directory.c_str(), 0755) != 0) return base::FailErrno(errno, directory);
  NodeSandbox sandbox(*mount, directory);
  const base::Fd home = OpenNetwork();
  if (!home.valid() || ::unshare(CLONE_NEWNET) != 0) return base::FailErrno(errno, "unshare network");
  if (::setns(home.get(), CLONE_NEWNET) != 0) return base::FailErrno(errno, "return to the network");
  return sandbox;
}

NodeSandbox::~NodeSandbox() {
  if (directory_.empty()) return;
  for (const pid_t process : processes_) {
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
  }
  for (const std::string& cgroup : cgroups_ | std::views::reverse) ::rmdir(cgroup.c_str());
  ::rmdir(directory_.c_str());
}

uint64_t NodeSandbox::AddCgroup(const std::string& name) {
  cgroups_.push_back(directory_ + "/" + name);
  EXPECT_EQ(::mkdir(cgroups_.back().c_str(), 0755), 0) << cgroups_.back();
  struct stat status{};
  EXPECT_EQ(::stat(cgroups_.back().c_str(), &status), 0);
  return status.st_ino;
}

base::Fd NodeSandbox::AddNetwork() {
  const base::Fd home = OpenNetwork();
  EXPECT_EQ(::unshare(CLONE_NEWNET), 0);
  base::Fd network = OpenNetwork();
  Shell("ip link set lo up");
  EXPECT_EQ(::setns(home.get(), CLONE_NEWNET), 0);
  return network;
}

void NodeSandbox::InNetwork(const base::Fd& network, const std::function<void()>& work) {
  const base::Fd home = OpenNetwork();
  ASSERT_EQ(::setns(network.get(), CLONE_NEWNET), 0);
  work();
  ASSERT_EQ(::setns(home.get(), CLONE_NEWNET), 0);
}

void NodeSandbox::Join(const base::Fd& left, const std::string& left_address, const base::Fd& right,
                       const std::string& right_address) {
  const int number = veths_++;
  const auto up = [number](const std::string& address) {
    Shell(fmt::format("ip addr add {} dev veth{} && ip link set veth{} up", address, number, number));
  };
  InNetwork(left, [&] {
    Shell(fmt::format("ip link add veth{} type veth peer name veth{} netns /proc/{}/fd/{}", number, number, ::getpid(),
                      right.get()));
    up(left_address);
  });
  InNetwork(right, [&] { up(right_address); });
}

bool NodeSandbox::CanTranslate() {
  bool can = false;
  InNetwork(AddNetwork(), [&can] {
    can = std::system(
              "ip link add veth type veth peer name peer 2>&1 && nft add table ip t '{ chain c { type nat hook "
              "postrouting priority 100; }; }' 2>&1") == 0;
  });
  return can;
}

pid_t NodeSandbox::Run(const std::string& cgroup, const base::Fd& network, const std::function<void()>& work) {
  const std::string procs = directory_ + "/" + cgroup + "/cgroup.procs";
  const pid_t process = ::fork();
  if (process != 0) {
    processes_.push_back(process);
    return process;
  }
  const bool there = (std::ofstream(procs) << ::getpid() << std::flush).good();
  if (!there || ::setns(network.get(), CLONE_NEWNET) != 0) ::_exit(101);
  work();
  ::_exit(0);
}

int NodeSandbox::Wait(pid_t process) {
  int status = -1;
  ::waitpid(process, &status, 0);
  std::erase(processes_, process);
  return status;
}

}  // namespace tributary
