// ApiServer: what of a Kubernetes API server the agent sees: pods listed and watched over HTTP/1.1, resource versions,
// bookmarks, a history that does not reach back for ever; and the ways in which it goes wrong. Also a kubelet: /pods.
//
// Serves on threads of its own, a connection each. Everything here may be called on the test's thread at any time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace tributary::test {

class ApiServer {
 public:
  ApiServer();
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // `json` is a pod without resourceVersion: {"metadata":{"uid":...,...},...}.
  void Put(const std::string& uid, const std::string& json);
  void Delete(const std::string& uid);
  void Bookmark();

  // Faults.
  void ForgetHistory();  // watches of versions before now are told 410
  void DropWatches();    // as a proxy that restarts
  void SendToWatches(const std::string& line);
  void AnswerAllWith(int status);  // 0: as it should be
  void Stop();                     // hangs up on everyone and listens no more
  void Start();                    // again, on the same port
  void SetSlow(bool slow);         // a byte at a time

  struct Seen {
    uint64_t lists = 0;
    uint64_t watches = 0;
    uint64_t kubelet_lists = 0;
    std::string last_url;
    std::string last_authorization;
  };
  Seen seen();

 private:
  struct Event {
    uint64_t version;
    std::string line;
  };

  void Accept(int listener);
  void Serve(base::Fd connection);
  void ServeWatch(int connection, uint64_t version, std::unique_lock<std::mutex>& lock);
  bool Send(int connection, const std::string& text, std::unique_lock<std::mutex>& lock);
  std::string ListText() const;
  void AddEvent(const char* type, const std::string& json);

  std::mutex mutex_;
  std::condition_variable changed_;
  // All below is guarded by mutex_, but for the threads.
  uint16_t port_ = 0;
  base::Fd listener_;
  bool stopping_ = false;
  bool slow_ = false;
  int status_ = 0;
  uint64_t version_ = 100;
  uint64_t forgotten_below_ = 0;
  uint64_t drops_ = 0;
  std::map<std::string, std::string> pods_;  // as given, by uid
  std::vector<Event> history_;
  Seen seen_;
  std::vector<int> open_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace tributary::test
