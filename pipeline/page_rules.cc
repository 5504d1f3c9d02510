#include "pipeline/page_rules.h"

namespace tributary::pipeline {

HttpService::Admission AdmitToPages(const HttpHead& head, bool exists, std::string_view not_found, PageRefusal refuse) {
  HttpService::Admission admission;
  if (head.is_grpc) {
    admission.rejection.emplace().grpc = GrpcStatus{
        .code = GrpcCode::kUnimplemented, .message = "no gRPC here", .retry_delay = {}, .bad_request_field = {}};
  } else if (!exists) {
    admission.rejection = refuse(404, not_found);
  } else if (head.method_untrusted != "GET" && head.method_untrusted != "HEAD") {
    admission.rejection = refuse(405, "only GET is served here");
    admission.rejection->headers.emplace_back("allow", "GET, HEAD");
  }
  return admission;
}

}  // namespace tributary::pipeline
