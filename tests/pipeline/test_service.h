// TestService: an HttpService for tests of servers: remembers what it was asked and answers as it is told to.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "pipeline/http.h"

namespace tributary::tests {

class TestService final : public pipeline::HttpService {
 public:
  struct Received {
    pipeline::HttpHead head;
    std::string body;
  };

  // What to do: set by a test before requests come.
  size_t body_bytes_max = 64 << 20;
  std::optional<pipeline::HttpResponse> rejection;
  bool keep_replies = false;  // instead of answering at once
  bool keep_requests = true;
  std::string response_body;

  // What happened.
  std::vector<Received> received;
  std::vector<std::string> faults;  // "too large", ...
  std::vector<Reply> replies;       // with keep_replies
  size_t requests = 0;

  // 200 or OK with response_body.
  pipeline::HttpResponse Success(bool is_grpc) const {
    pipeline::HttpResponse response{.content_type = "text/plain", .body = base::Bytes(response_body)};
    if (is_grpc) response.grpc.emplace();
    return response;
  }

  Admission Admit(const pipeline::HttpHead& head, std::optional<size_t>) override {
    Admission admission{.body_bytes_max = body_bytes_max};
    if (rejection) {
      admission.rejection.emplace();
      admission.rejection->status = rejection->status;
      admission.rejection->headers = rejection->headers;
      if (head.is_grpc) admission.rejection->grpc = rejection->grpc;
    }
    return admission;
  }

  pipeline::HttpResponse OnBodyFault(const pipeline::HttpHead& head, BodyFault fault) override {
    using pipeline::GrpcCode;
    struct Meaning {
      const char* name;
      int status;
      GrpcCode code;
    };
    constexpr Meaning kMeanings[] = {{"too large", 413, GrpcCode::kResourceExhausted},
                                     {"timeout", 408, GrpcCode::kDeadlineExceeded},
                                     {"no memory", 503, GrpcCode::kUnavailable},
                                     {"malformed", 400, GrpcCode::kInvalidArgument}};
    const Meaning& meaning = kMeanings[static_cast<size_t>(fault)];
    faults.emplace_back(meaning.name);
    pipeline::HttpResponse response{.status = meaning.status};
    if (head.is_grpc) response.grpc = pipeline::GrpcStatus{.code = meaning.code, .message = meaning.name};
    return response;
  }

  void OnRequest(const pipeline::HttpHead& head, base::Bytes body, Reply reply) override {
    ++requests;
    if (keep_requests) received.push_back({head, std::string(base::AsText(body))});
    if (keep_replies) {
      replies.push_back(std::move(reply));
    } else {
      reply(Success(head.is_grpc));
    }
  }
};

}  // namespace tributary::tests
