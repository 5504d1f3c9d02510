// libprotobuf as the judge of otlp/: what it parses, what it counts, and what it makes of an edit, are the truth that
// the byte-level code is held against. Each Disagreement function does a piece of work both ways and returns "" when
// they agree, else what differs; tests print it, fuzzers abort on it.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "base/bytes.h"
#include "otlp/scan.h"
#include "otlp/signal.h"
#include "otlp/splice.h"

namespace tributary::otlp {

using Message = google::protobuf::Message;

// An empty Export...ServiceRequest.
std::unique_ptr<Message> NewRequest(Signal signal);
// nullptr when libprotobuf refuses the bytes, or nesting deeper than kDepthMax.
std::unique_ptr<Message> Parse(Signal signal, base::ByteView request);
Counts Count(const Message& request);

// Scan and ScanSpans, with several contents of the padding: accepted is what parses and has no known field of a wrong
// wire type.
std::string ScanDisagreement(Signal signal, base::ByteView request);
// These take any bytes and do nothing with those that Scan refuses.
std::string SpliceDisagreement(Signal signal, base::ByteView request, const ResourceEdit& edit);
std::string SplitDisagreement(Signal signal, base::ByteView request, uint32_t items_max, size_t bytes_max);
std::string PartitionDisagreement(base::ByteView request, uint32_t buckets);
std::string FilterDisagreement(Signal signal, base::ByteView request);

}  // namespace tributary::otlp
