// Kubernetes: keeps Pods as the cluster says they are, by the API server's list and watch of this node's pods.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
//
// The watch blocks on a thread of its own, and asks the kubelet, which knows containers before the API server does, on
// another. What was known is kept in a file, so that the next life can tell at once. A server that is away or refuses
// changes nothing of what is known. Owned on the loop's thread, where everything here is called and Pods changes.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "agent/http_get.h"
#include "agent/pods.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/metrics_text.h"
#include "base/worker.h"
#include "pipeline/backoff.h"

namespace tributary::agent {

class Kubernetes {
 public:
  struct Options {
    std::string api_server;  // "https://10.96.0.1:443"
    HttpGet::Credentials api_credentials;
    std::string node_name;  // whose pods are watched; empty: the whole cluster's
    std::string kubelet;    // "https://127.0.0.1:10250"; empty: it is not asked
    HttpGet::Credentials kubelet_credentials;
    std::string cache_file;  // empty: none
    PodFields fields;
    pipeline::Backoff::Options retry = {.initial = std::chrono::milliseconds(500), .max = std::chrono::seconds(30)};

    bool operator==(const Options&) const = default;
  };

  // Where the API server lists this node's pods.
  static std::string ListUrl(const Options& options);

  // `pods` outlives it, and has what the cache file held when this returns.
  Kubernetes(base::Loop& loop, Pods& pods, Options options);
  ~Kubernetes();
  Kubernetes(const Kubernetes&) = delete;
  Kubernetes& operator=(const Kubernetes&) = delete;

  // There is a container that Pods does not know: asks the kubelet, at most once a second however often this is called.
  void Refresh();

  // Whether a list of this life has come.
  bool synced() const { return account_.lists > 0; }
  // What is wrong now, for people; empty when nothing is.
  const std::string& api_error() const { return api_error_; }
  const std::string& kubelet_error() const { return kubelet_error_; }
  void WriteMetrics(base::MetricsText& metrics) const;

 private:
  class Watch;
  struct Account {
    uint64_t lists = 0;
    uint64_t events = 0;
    uint64_t expired = 0;
    uint64_t api_failures = 0;
    uint64_t refreshes = 0;
    uint64_t kubelet_failures = 0;
  };

  void LoadCache();
  void SaveCacheSoon();
  void ExpireEachMinute();
  // Of the watch, on the loop.
  void Listed(PodList list);
  void Happened(PodEvent event);
  void Failed(std::string error);

  base::Loop& loop_;
  Pods& pods_;
  const Options options_;
  Account account_;
  std::string api_error_;
  std::string kubelet_error_;
  uint64_t saved_version_ = 0;
  base::Loop::Timer save_;
  base::Loop::Timer expire_;
  base::Loop::Timer refresh_again_;
  bool refreshing_ = false;
  bool refresh_wanted_ = false;
  HttpGet kubelet_get_;
  base::Worker worker_;           // asks the kubelet and writes the file
  std::unique_ptr<Watch> watch_;  // last: it uses what is above
};

}  // namespace tributary::agent
