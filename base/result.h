// Result: what start-up, configuration and environment code returns, up to main, which prints the message and exits.
// The message is one line for a person: what failed, where, and what to do about it.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

namespace tributary::base {

struct Error {
  std::string message;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

template <typename... Args>
std::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...)});
}

// "listen 127.0.0.1:4317: Address already in use": the operation, then what errno says.
std::unexpected<Error> FailErrno(int error, std::string operation);

}  // namespace tributary::base
