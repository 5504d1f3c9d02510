#include "gateway/gateway.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "base/socket.h"
#include "gateway/file_sink.h"

namespace tributary::gateway {
namespace {

// Senders are told apart by their addresses; the ports say nothing.
std::shared_ptr<const std::string> SourceOf(int socket) {
  const base::Address address = base::PeerAddress(socket);
  std::string text = address.ToString();
  if (address.port() != 0) text.resize(text.rfind(':'));
  return std::make_shared<const std::string>(std::move(text));
}

}  // namespace

base::Result<std::unique_ptr<Gateway>> Gateway::Start(base::Loop& loop, Config config) {
  auto pipeline = pipeline::Pipeline::Create(loop, config.log, config.memory);
  if (!pipeline) return std::unexpected(pipeline.error());
  std::unique_ptr<Gateway> gateway(new Gateway(loop, std::move(*pipeline)));
  for (const SinkSettings& settings : config.sinks) {
    auto opened = gateway->Open(settings);
    if (!opened) return std::unexpected(opened.error());
    gateway->Put(settings, std::move(*opened));
  }
  gateway->pipeline_->set_source_of(SourceOf);
  if (base::Status status = gateway->pipeline_->Open(config.listen); !status) return std::unexpected(status.error());
  gateway->config_ = std::move(config);
  return gateway;
}

base::Status Gateway::Reload(Config config) {
  if (config.listen != config_.listen) {
    return base::Fail(
        "listen: addresses and TLS files cannot change while running; restart the gateway to change them");
  }
  if (base::Status status = pipeline::CheckLogChange(config_.log, config.log); !status) return status;
  std::vector<Opened> opened;
  for (const SinkSettings& settings : config.sinks) {
    if (base::Status status = CheckChange(settings); !status) return status;
    if (Stays(settings)) {
      opened.emplace_back();
      continue;
    }
    auto fresh = Open(settings);
    if (!fresh) return std::unexpected(fresh.error());
    opened.push_back(std::move(*fresh));
  }
  RemoveUnlisted(config.sinks);
  for (size_t i = 0; i < opened.size(); ++i) Put(config.sinks[i], std::move(opened[i]));
  pipeline_->SetLimits(config.log, config.memory);
  config_ = std::move(config);
  return {};
}

void Gateway::Drain(base::Nanos grace, std::move_only_function<void(std::string)> drained) {
  pipeline_->Drain(grace, std::move(drained));
}

base::Result<Gateway::Opened> Gateway::Open(const SinkSettings& settings) {
  const auto fail = [&settings](const base::Error& error) {
    return base::Fail("sink {}: {}", settings.name, error.message);
  };
  if (const auto* otlp = std::get_if<pipeline::OtlpClient::Options>(&settings.target)) {
    auto client = pipeline::OtlpClient::Create(loop_, *otlp);
    if (!client) return fail(client.error());
    return Opened{.sink = std::move(*client), .browser = nullptr};
  }
  if (const auto* file = std::get_if<RotatingFile::Options>(&settings.target)) {
    auto sink = FileSink::Open(loop_, *file);
    if (!sink) return fail(sink.error());
    return Opened{.sink = std::move(*sink), .browser = nullptr};
  }
  const auto& local = std::get<LocalSettings>(settings.target);
  auto store = LocalStore::Open(loop_, local.store);
  if (!store) return fail(store.error());
  Opened opened;
  if (!local.pages.empty()) {
    opened.browser = std::make_unique<Browser>(loop_, **store);
    const auto address = base::Address::Parse(local.pages);
    if (!address) return fail(address.error());
    const auto bound = opened.browser->server.Listen(*address);
    if (!bound) return fail(bound.error());
    spdlog::info("pages of {} at http://{}/", settings.name, bound->ToString());
  }
  opened.sink = std::move(*store);
  return opened;
}

const SinkSettings* Gateway::InForce(const std::string& name) const {
  const auto settings = std::ranges::find(config_.sinks, name, &SinkSettings::name);
  return settings != config_.sinks.end() ? &*settings : nullptr;
}

// Whether the sink that is there serves these settings too. It goes on with what it has under way, of which another
// would send some again.
bool Gateway::Stays(const SinkSettings& settings) const {
  const SinkSettings* old = InForce(settings.name);
  if (old == nullptr) return false;
  const auto* client = std::get_if<pipeline::OtlpClient::Options>(&settings.target);
  return client == nullptr || client->KeepsClientOf(std::get<pipeline::OtlpClient::Options>(old->target));
}

// Whether a running gateway can go from the settings in force for this sink, if there are any, to these.
base::Status Gateway::CheckChange(const SinkSettings& settings) const {
  const SinkSettings* old = InForce(settings.name);
  if (old == nullptr) return {};
  constexpr const char* kRemedy = "cannot change while running; restart the gateway, or add a sink of another name";
  if (old->signals != settings.signals) return base::Fail("sink {}: signals {}", settings.name, kRemedy);
  if (old->target.index() != settings.target.index()) return base::Fail("sink {}: type {}", settings.name, kRemedy);
  const auto* file = std::get_if<RotatingFile::Options>(&settings.target);
  if (file != nullptr && *file != std::get<RotatingFile::Options>(old->target)) {
    return base::Fail("sink {}: path and rotation {}", settings.name, kRemedy);
  }
  const auto* local = std::get_if<LocalSettings>(&settings.target);
  if (local != nullptr && *local != std::get<LocalSettings>(old->target)) {
    return base::Fail("sink {}: path, limit, age and pages {}", settings.name, kRemedy);
  }
  return {};
}

// Makes the sink's destination, or changes it to these settings. Without `opened.sink` the sink that is there stays.
void Gateway::Put(const SinkSettings& settings, Opened opened) {
  pipeline::Delivery::View view;
  if (!settings.when.empty()) {
    view.select = [when = settings.when](base::ByteView container) { return when.Matches(container); };
  }
  if (opened.browser) browsers_[settings.name] = std::move(opened.browser);
  pipeline::Destination* destination = Find(settings.name);
  if (destination == nullptr) {
    pipeline_->destinations().push_back(std::make_unique<pipeline::Destination>(
        loop_, pipeline_->log(), settings.name, settings.signals, std::move(opened.sink), view, settings.delivery));
    return;
  }
  if (opened.sink) destination->ReplaceSink(std::move(opened.sink));
  destination->SetOptions(settings.delivery);
  destination->SetView(view);
}

void Gateway::RemoveUnlisted(const std::vector<SinkSettings>& sinks) {
  std::erase_if(pipeline_->destinations(), [this, &sinks](const std::unique_ptr<pipeline::Destination>& destination) {
    const std::string& name = destination->name();
    if (std::ranges::find(sinks, name, &SinkSettings::name) != sinks.end()) return false;
    spdlog::warn("sink {} is gone from the configuration: {} items that it held are dropped", name,
                 destination->held_items());
    browsers_.erase(name);
    destination->Forget();
    return true;
  });
}

pipeline::Destination* Gateway::Find(const std::string& name) {
  const auto& destinations = pipeline_->destinations();
  const auto found =
      std::ranges::find_if(destinations, [&name](const auto& destination) { return destination->name() == name; });
  return found == destinations.end() ? nullptr : found->get();
}

}  // namespace tributary::gateway
