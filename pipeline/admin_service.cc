#include "pipeline/admin_service.h"

#include <string>

#include "pipeline/page_rules.h"

namespace tributary::pipeline {
namespace {

HttpResponse Text(int status, std::string_view text) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = base::Bytes(std::string(text) + '\n')};
}

}  // namespace

HttpService::Admission AdminService::Admit(const HttpHead& head, std::optional<size_t>) {
  std::string not_found = "no such page; there are:";
  for (const auto& [path, page] : pages_) not_found += '\n' + path;
  return AdmitToPages(head, pages_.contains(head.path_untrusted), not_found, Text);
}

HttpResponse AdminService::OnBodyFault(const HttpHead&, BodyFault) { return RefusePageBody(Text); }

void AdminService::OnRequest(const HttpHead& head, base::Bytes, Reply reply) {
  reply(pages_.at(head.path_untrusted)(head.query_untrusted));
}

}  // namespace tributary::pipeline
