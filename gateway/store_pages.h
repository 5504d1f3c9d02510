// StorePages: a local store in a browser, and the JSON that its pages are made from:
//
//   /                                   the pages
//   /api/services
//   /api/traces?service=&min_duration=100ms&errors=true&limit=100
//   /api/traces/<32 hex digits>         OTLP/JSON
//   /api/logs?service=&severity=13&text=&trace_id=&limit=200            OTLP/JSON; severity: SeverityNumber at least
//   /api/metrics
//   /api/metrics?name=&service=&limit=200                               OTLP/JSON; limit: points of a series
//
// What a limit or kStoreReadTimeMax cut short says so in the header tributary-complete: false. Errors are
// {"error": "..."}. Only GET; nothing can be changed. Whoever reaches this can read all stored telemetry.
// Lives on the loop's thread.
#pragma once

#include <memory>
#include <optional>

#include "gateway/local_store.h"
#include "pipeline/http.h"

namespace tributary::gateway {

class StorePages final : public pipeline::HttpService {
 public:
  explicit StorePages(LocalStore& store) : store_(store) {}

  Admission Admit(const pipeline::HttpHead& head, std::optional<size_t> body_bytes) override;
  pipeline::HttpResponse OnBodyFault(const pipeline::HttpHead& head, BodyFault fault) override;
  void OnRequest(const pipeline::HttpHead& head, base::Bytes body, Reply reply) override;

 private:
  // More are told to come again, since storing waits for them all.
  static constexpr int kQuestionsMax = 4;

  void Ask(LocalStore::Question question, Reply reply);

  LocalStore& store_;
  std::shared_ptr<int> questions_ = std::make_shared<int>(0);  // under way; answers may outlive the pages
};

}  // namespace tributary::gateway
