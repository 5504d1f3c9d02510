// Gateway: the parts of tributary-gateway, owned and wired. It does nothing itself. Lives on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/budget.h"
#include "base/loop.h"
#include "base/result.h"
#include "gateway/config.h"
#include "gateway/local_store.h"
#include "gateway/store_pages.h"
#include "pipeline/destination.h"
#include "pipeline/http_server.h"
#include "pipeline/pipeline.h"
#include "pipeline/sink.h"

namespace tributary::gateway {

class Gateway {
 public:
  // Listens and delivers when it returns; what cannot be (an address in use, a directory missing) is told.
  static base::Result<std::unique_ptr<Gateway>> Start(base::Loop& loop, Config config);

  // Applies `config`. A sink that stays keeps what it holds, whatever else about it changed; one that is new gets what
  // comes from now on; what one holds that is gone is dropped, and said in the log. After an error the old
  // configuration stays in force. What cannot change: the addresses that are listened on, a sink's type and signals,
  // a file, and a local store.
  base::Status Reload(Config config);

  // Takes no more telemetry and sends what it has. When all is sent or `grace` is over, `drained` is told, for people,
  // what becomes of what is left; nothing when nothing is.
  void Drain(base::Nanos grace, std::move_only_function<void(std::string rest)> drained);

 private:
  // The pages of a local store, at an address of their own.
  struct Browser {
    Browser(base::Loop& loop, LocalStore& store) : pages(store), server(loop, budget, pages) {}

    base::Budget budget{16 << 20};
    StorePages pages;
    pipeline::HttpServer server;
  };
  // What a sink's settings become, before anything that is in force changes.
  struct Opened {
    std::unique_ptr<pipeline::Sink> sink;
    std::unique_ptr<Browser> browser;
  };

  Gateway(base::Loop& loop, std::unique_ptr<pipeline::Pipeline> pipeline)
      : loop_(loop), pipeline_(std::move(pipeline)) {}

  base::Result<Opened> Open(const SinkSettings& settings);
  const SinkSettings* InForce(const std::string& name) const;
  bool Stays(const SinkSettings& settings) const;
  base::Status CheckChange(const SinkSettings& settings) const;
  void Put(const SinkSettings& settings, Opened opened);
  void RemoveUnlisted(const std::vector<SinkSettings>& sinks);
  pipeline::Destination* Find(const std::string& name);

  base::Loop& loop_;
  Config config_;
  std::unique_ptr<pipeline::Pipeline> pipeline_;              // with one destination for each sink
  std::map<std::string, std::unique_ptr<Browser>> browsers_;  // by sink; each goes before its store
};

}  // namespace tributary::gateway
