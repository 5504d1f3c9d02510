// CHECK: a broken promise between parts of this program aborts it, with the place and the condition.
// Never for anything that a peer, a file or a user can cause: those are Results, Outcomes and counters.
#pragma once

namespace tributary::base {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace tributary::base

#define CHECK(condition)                                                    \
  (__builtin_expect(static_cast<bool>(condition), 1) ? static_cast<void>(0) \
                                                     : ::tributary::base::CheckFailed(__FILE__, __LINE__, #condition))
