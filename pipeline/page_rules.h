// What every service of pages refuses before it looks for anything: gRPC, paths that are not there, and methods that
// would change something. A page's request has no body.
#pragma once

#include <string_view>

#include "pipeline/http.h"

namespace tributary::pipeline {

// How a service says no: for people, or for scripts.
using PageRefusal = HttpResponse (*)(int status, std::string_view text);

HttpService::Admission AdmitToPages(const HttpHead& head, bool exists, std::string_view not_found, PageRefusal refuse);

inline HttpResponse RefusePageBody(PageRefusal refuse) { return refuse(400, "requests for pages have no body"); }

}  // namespace tributary::pipeline
