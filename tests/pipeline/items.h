// Requests whose items can be told apart, for tests that ask what became of each: an item's timestamp is its name.
// Made and read by libprotobuf.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "otlp/signal.h"

namespace tributary::test {

struct Resource {
  std::string service;
  std::vector<uint64_t> items;
  size_t padding_bytes = 0;  // in each item
};

base::Bytes MakeRequest(otlp::Signal signal, const std::vector<Resource>& resources);
// The items of a request, in order; fails the test when it is malformed.
std::vector<uint64_t> ItemsOf(otlp::Signal signal, base::ByteView request);

}  // namespace tributary::test
