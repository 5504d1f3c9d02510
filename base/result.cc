#include "base/result.h"

#include <cstring>

namespace tributary::base {

std::unexpected<Error> FailErrno(int error, std::string operation) {
  char text[256];
  return std::unexpected(Error{std::move(operation) + ": " + strerror_r(error, text, sizeof text)});
}

}  // namespace tributary::base
