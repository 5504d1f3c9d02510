// AdminService: the pages a process shows to operators and probes: GET only, made on request, small.
// Lives on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "pipeline/http.h"

namespace tributary::pipeline {

class AdminService final : public HttpService {
 public:
  // Makes a page; `query_untrusted` is what followed '?'.
  using Page = std::function<HttpResponse(const std::string& query_untrusted)>;

  void Add(std::string path, Page page) { pages_[std::move(path)] = std::move(page); }

  Admission Admit(const HttpHead& head, std::optional<size_t> body_bytes) override;
  HttpResponse OnBodyFault(const HttpHead& head, BodyFault fault) override;
  void OnRequest(const HttpHead& head, base::Bytes body, Reply reply) override;

 private:
  std::map<std::string, Page> pages_;
};

}  // namespace tributary::pipeline
