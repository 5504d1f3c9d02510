#include "agent/kubernetes.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <utility>

#include "base/whole_file.h"

namespace tributary::agent {
namespace {

using base::Nanos;

// Of a node's pods; what is longer is not one.
constexpr size_t kListBytesMax = 256 << 20;
constexpr size_t kEventBytesMax = 16 << 20;
constexpr Nanos kListTimeout = std::chrono::seconds(60);
// How long the server is to keep up a watch: spread, so that the agents of a cluster do not come back together.
constexpr int kWatchSeconds = 300;
// Beyond that, it is dead and does not know it.
constexpr Nanos kWatchOverdue = std::chrono::seconds(30);
// A watch that ends sooner than this has failed.
constexpr Nanos kWatchMin = std::chrono::seconds(1);
constexpr Nanos kKubeletTimeout = std::chrono::seconds(5);
constexpr Nanos kRefreshInterval = std::chrono::seconds(1);
constexpr Nanos kSaveInterval = std::chrono::seconds(5);
constexpr Nanos kExpireInterval = std::chrono::minutes(1);

// What a refusal means to whoever deployed the agent.
std::string Explain(const HttpGet::Answer& answer, std::string_view what) {
  switch (answer.status) {
    case 401:
      return fmt::format("401: the token of the service account is not accepted ({})", what);
    case 403:
      return fmt::format("403: the service account may not {} (see deploy/daemonset/)", what);
    default:
      return fmt::format("{}: {}", answer.status, answer.error_body);
  }
}

std::string Url(const Kubernetes::Options& options, std::string_view query) {
  std::string url = options.api_server + "/api/v1/pods?" + std::string(query);
  if (!options.node_name.empty()) url += "&fieldSelector=spec.nodeName%3D" + options.node_name;
  return url;
}

// A whole file under another name first, so that there is one at every moment.
void ReplaceFile(const std::string& path, const std::string& content) {
  const std::string fresh_path = path + ".new";
  std::ofstream file(fresh_path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(fresh_path, path, error);
}

// What a server lists. `permission` is what it wants whoever asks to be allowed.
base::Result<PodList> GetPods(HttpGet& get, const std::string& url, Nanos timeout, std::string_view permission,
                              const PodFields& fields) {
  std::string body_untrusted;
  const auto answer = get.Run(url, timeout, [&](std::string_view piece) {
    body_untrusted.append(piece);
    return body_untrusted.size() <= kListBytesMax;
  });
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 200) return base::Fail("{}", Explain(*answer, permission));
  return ParsePodList(body_untrusted, fields);
}

}  // namespace

// --- The watch's thread ---------------------------------------------------------------------------------------------

class Kubernetes::Watch {
 public:
  explicit Watch(Kubernetes& kubernetes)
      : loop_(kubernetes.loop_),
        options_(kubernetes.options_),
        self_(std::make_shared<Kubernetes*>(&kubernetes)),
        get_(options_.api_credentials),
        backoff_(options_.retry),
        thread_([this] { Run(); }) {}
  ~Watch() {
    *self_ = nullptr;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    get_.Stop();
    thread_.join();
  }

 private:
  void Run() {
    while (!stopping()) {
      const base::Status status = version_.empty() ? List() : WatchFrom(version_);
      if (status) {
        backoff_.Reset();
        continue;
      }
      if (stopping()) return;
      Tell([error = status.error().message](Kubernetes& kubernetes) { kubernetes.Failed(error); });
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, backoff_.Next(std::nullopt), [this] { return stopping_; });
    }
  }

  bool stopping() {
    const std::lock_guard lock(mutex_);
    return stopping_;
  }

  base::Status List() {
    auto list = GetPods(get_, ListUrl(options_), kListTimeout, "list pods", options_.fields);
    if (!list) return base::Fail("list of pods: {}", list.error().message);
    version_ = list->resource_version;
    Tell([list = std::move(*list)](Kubernetes& kubernetes) mutable { kubernetes.Listed(std::move(list)); });
    return {};
  }

  base::Status WatchFrom(const std::string& version) {
    const int seconds = std::uniform_int_distribution<>(kWatchSeconds, 2 * kWatchSeconds)(random_);
    const base::Time began = base::Clock::now();
    std::string line_untrusted, fault;
    const auto answer = get_.Run(
        Url(options_,
            fmt::format("watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}", seconds, version)),
        std::chrono::seconds(seconds) + kWatchOverdue, [&](std::string_view piece) {
          for (size_t end; (end = piece.find('\n')) != std::string_view::npos; piece.remove_prefix(end + 1)) {
            line_untrusted.append(piece.substr(0, end));
            fault = TakeEvent(std::exchange(line_untrusted, {}));
            if (!fault.empty()) return false;
          }
          line_untrusted.append(piece);
          return line_untrusted.size() <= kEventBytesMax;
        });
    if (version_.empty()) return {};  // expired: a list comes next
    if (!fault.empty()) return base::Fail("watch of pods: {}", fault);
    if (!answer) return base::Fail("watch of pods: {}", answer.error().message);
    if (answer->status == 410) {
      Expire();
      return {};
    }
    if (answer->status != 200) return base::Fail("watch of pods: {}", Explain(*answer, "watch pods"));
    if (base::Clock::now() - began < kWatchMin) return base::Fail("watch of pods: ended at once");
    return {};
  }

  // What is wrong with it, or nothing.
  std::string TakeEvent(std::string line_untrusted) {
    auto event = ParsePodEvent(line_untrusted, options_.fields);
    if (!event) return event.error().message;
    if (event->kind == PodEvent::Kind::kError) return event->detail;
    if (event->kind == PodEvent::Kind::kExpired) {
      Expire();
      return event->detail;
    }
    version_ = event->resource_version;
    Tell([event = std::move(*event)](Kubernetes& kubernetes) mutable { kubernetes.Happened(std::move(event)); });
    return {};
  }

  void Expire() {
    version_.clear();
    Tell([](Kubernetes& kubernetes) { ++kubernetes.account_.expired; });
  }

  template <typename Task>
  void Tell(Task task) {
    loop_.Post([self = self_, task = std::move(task)]() mutable {
      if (*self != nullptr) task(**self);
    });
  }

  base::Loop& loop_;
  const Options& options_;
  const std::shared_ptr<Kubernetes*> self_;  // its content is the loop thread's
  HttpGet get_;
  pipeline::Backoff backoff_;
  std::string version_;  // the newest that is known; empty: nothing is
  std::minstd_rand random_{std::random_device{}()};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_

  std::thread thread_;  // last: it uses everything above
};

// --- On the loop ----------------------------------------------------------------------------------------------------

std::string Kubernetes::ListUrl(const Options& options) { return Url(options, "resourceVersion=0"); }

Kubernetes::Kubernetes(base::Loop& loop, Pods& pods, Options options)
    : loop_(loop),
      pods_(pods),
      options_(std::move(options)),
      kubelet_get_(options_.kubelet_credentials),
      worker_(loop, "tributary-pods") {
  LoadCache();
  ExpireEachMinute();
  watch_ = std::make_unique<Watch>(*this);
}

Kubernetes::~Kubernetes() { kubelet_get_.Stop(); }

void Kubernetes::LoadCache() {
  if (options_.cache_file.empty()) return;
  const std::string content_untrusted = base::ReadText(options_.cache_file);
  if (content_untrusted.empty()) return;
  auto list = ParsePodList(content_untrusted, options_.fields);
  if (!list) return spdlog::warn("{} is not used: {}", options_.cache_file, list.error().message);
  pods_.Replace(std::move(list->pods), loop_.now());
  saved_version_ = pods_.version();
}

void Kubernetes::SaveCacheSoon() {
  if (options_.cache_file.empty() || save_.pending() || pods_.version() == saved_version_) return;
  save_ = loop_.RunAfter(kSaveInterval, [this] {
    saved_version_ = pods_.version();
    worker_.Run([path = options_.cache_file, content = FormatPodList(pods_.present())] {
      ReplaceFile(path, content);
      return [] {};
    });
  });
}

void Kubernetes::ExpireEachMinute() {
  expire_ = loop_.RunAfter(kExpireInterval, [this] {
    pods_.Expire(loop_.now());
    ExpireEachMinute();
  });
}

void Kubernetes::Listed(PodList list) {
  ++account_.lists;
  if (!api_error_.empty() || account_.lists == 1) spdlog::info("{} pods on this node", list.pods.size());
  api_error_.clear();
  pods_.Replace(std::move(list.pods), loop_.now());
  SaveCacheSoon();
}

void Kubernetes::Happened(PodEvent event) {
  ++account_.events;
  api_error_.clear();
  if (event.kind == PodEvent::Kind::kPut) pods_.Put(std::move(event.pod));
  if (event.kind == PodEvent::Kind::kDeleted) pods_.Delete(event.pod.uid, loop_.now());
  SaveCacheSoon();
}

// Told once, until something works again.
void Kubernetes::Failed(std::string error) {
  ++account_.api_failures;
  if (api_error_.empty()) spdlog::warn("Kubernetes: {}; going on with the {} pods that are known", error, pods_.size());
  api_error_ = std::move(error);
}

void Kubernetes::Refresh() {
  if (options_.kubelet.empty()) return;
  refresh_wanted_ = true;
  if (refreshing_ || refresh_again_.pending()) return;
  refresh_wanted_ = false;
  refreshing_ = true;
  ++account_.refreshes;
  worker_.Run([this]() -> base::Loop::Task {
    auto list = GetPods(kubelet_get_, options_.kubelet + "/pods", kKubeletTimeout, "get nodes/pods", options_.fields);
    return [this, list = std::move(list)]() mutable {
      refreshing_ = false;
      refresh_again_ = loop_.RunAfter(kRefreshInterval, [this] {
        if (refresh_wanted_) Refresh();
      });
      if (!list) {
        ++account_.kubelet_failures;
        if (kubelet_error_.empty()) spdlog::warn("kubelet: {}", list.error().message);
        kubelet_error_ = list.error().message;
        return;
      }
      kubelet_error_.clear();
      // What is gone is the API server's to tell.
      for (Pod& pod : list->pods) pods_.Put(std::move(pod));
      SaveCacheSoon();
    };
  });
}

void Kubernetes::WriteMetrics(base::MetricsText& metrics) const {
  const auto count = [](uint64_t value) { return static_cast<double>(value); };
  metrics.Gauge("tributary_kubernetes_pods", "Pods that are known, those deleted lately included.", {},
                count(pods_.size()));
  metrics.Gauge("tributary_kubernetes_synced", "1 once a list of the API server has come.", {}, synced() ? 1 : 0);
  metrics.Counter("tributary_kubernetes_lists_total", "Lists of the API server.", {}, count(account_.lists));
  metrics.Counter("tributary_kubernetes_events_total", "Events of the API server's watch.", {}, count(account_.events));
  metrics.Counter("tributary_kubernetes_expired_total", "Watches that were too far behind and began anew.", {},
                  count(account_.expired));
  metrics.Counter("tributary_kubernetes_refreshes_total", "Times the kubelet was asked.", {},
                  count(account_.refreshes));
  metrics.Counter("tributary_kubernetes_failures_total", "Requests that failed, by who was asked.", {{"server", "api"}},
                  count(account_.api_failures));
  metrics.Counter("tributary_kubernetes_failures_total", "Requests that failed, by who was asked.",
                  {{"server", "kubelet"}}, count(account_.kubelet_failures));
}

}  // namespace tributary::agent
