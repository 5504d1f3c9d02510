// The files that a browser gets from a local store's pages, as parts of the program.
#pragma once

#include <string_view>

namespace tributary::gateway {

extern const std::string_view kIndexPage;   // index.html
extern const std::string_view kStylePage;   // style.css
extern const std::string_view kScriptPage;  // app.js

}  // namespace tributary::gateway
