#include "pipeline/admin_service.h"

#include <utility>

namespace tributary::pipeline {
namespace {

HttpResponse Text(int status, std::string_view text) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = base::Bytes(text)};
}

}  // namespace

HttpService::Admission AdminService::Admit(const HttpHead& head, std::optional<size_t>) {
  Admission admission;
  if (head.is_grpc) {
    admission.rejection.emplace().grpc = GrpcStatus{
        .code = GrpcCode::kUnimplemented, .message = "no gRPC here", .retry_delay = {}, .bad_request_field = {}};
  } else if (!pages_.contains(head.path_untrusted)) {
    std::string text = "no such page; there are:\n";
    for (const auto& [path, page] : pages_) text += path + '\n';
    admission.rejection = Text(404, text);
  } else if (head.method_untrusted != "GET" && head.method_untrusted != "HEAD") {
    admission.rejection = Text(405, "only GET is served here\n");
    admission.rejection->headers.emplace_back("allow", "GET, HEAD");
  }
  return admission;
}

HttpResponse AdminService::OnBodyFault(const HttpHead&, BodyFault) {
  return Text(400, "requests for pages have no body\n");
}

void AdminService::OnRequest(const HttpHead& head, base::Bytes, Reply reply) {
  reply(pages_.at(head.path_untrusted)(head.query_untrusted));
}

}  // namespace tributary::pipeline
