// How much of a randomised test a sanitizer sees: it makes everything ten times slower, and looks for faults along a
// path rather than for rare inputs, which the other builds look for in full.
#pragma once

namespace tributary::tests {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

// `full` random cases, or as many of them as a sanitizer has time for.
constexpr unsigned RandomCases(unsigned full) { return kSanitized ? full / 10 : full; }

}  // namespace tributary::tests
