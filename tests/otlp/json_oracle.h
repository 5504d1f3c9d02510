// libprotobuf's JSON as the judge of otlp/json.h. It writes ids in base64 where OTLP has hex; everything else must
// agree.
#pragma once

#include <string>

#include "tests/otlp/oracle.h"

namespace tributary::otlp {

// Gives trace and span ids that are not empty their length, by cutting or filling with zeros: others have no OTLP/JSON.
void GiveIdsTheirLength(Message& message);

// Writes `request` as JSON and reads it again; holds the JSON against libprotobuf's, and reads libprotobuf's too.
// Returns "" when all agree, or when Scan refuses the request.
std::string JsonDisagreement(Signal signal, base::ByteView request);

}  // namespace tributary::otlp
