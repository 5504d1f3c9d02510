#include "pipeline/outcome.h"

namespace tributary::pipeline {

std::string_view Name(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "none";
    case Reason::kConnect:
      return "connect";
    case Reason::kTimeout:
      return "timeout";
    case Reason::kThrottled:
      return "throttled";
    case Reason::kUnavailable:
      return "unavailable";
    case Reason::kTooLarge:
      return "too_large";
    case Reason::kRefused:
      return "refused";
    case Reason::kPeerRejected:
      return "peer_rejected";
    case Reason::kNotMatched:
      return "not_matched";
    case Reason::kStorage:
      return "storage";
    case Reason::kPartlyTaken:
      return "partly_taken";
  }
  return "unknown";
}

}  // namespace tributary::pipeline
