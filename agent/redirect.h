// Redirect: bpf/redirect.bpf.c, loaded and attached: localhost:4317 and :4318 lead to this agent from every pod of the
// node, where nobody in the pod listens there itself, so that SDKs need no configuration. Attach once the agent
// listens, at an address that pods reach: one of the node. The kernel takes it down when the agent ends, however it
// ends. Lives on the loop's thread.
//
// Needs what SockOps needs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/metrics_text.h"
#include "base/result.h"

struct redirect_bpf;  // generated

namespace tributary::agent {

class Redirect {
 public:
  struct Target {
    std::string ip4;         // "10.0.0.5"
    uint16_t grpc_port = 0;  // for those who name 4317
    uint16_t http_port = 0;  // for those who name 4318
  };

  // For every process below `cgroup_directory` but this one, until it is destroyed.
  static base::Result<std::unique_ptr<Redirect>> Attach(const std::string& cgroup_directory, const Target& target);
  ~Redirect();
  Redirect(const Redirect&) = delete;
  Redirect& operator=(const Redirect&) = delete;

  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  struct Unload {
    void operator()(redirect_bpf* skeleton) const;
  };

  explicit Redirect(redirect_bpf* skeleton) : skeleton_(skeleton) {}

  base::Status SayWhoWeAre();

  std::unique_ptr<redirect_bpf, Unload> skeleton_;
};

}  // namespace tributary::agent
