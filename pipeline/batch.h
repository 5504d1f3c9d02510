// Batch: one OTLP export request that was checked and counted, on its way through. The bytes are exactly what a sender
// sent (less compression and JSON); nobody changes them until a Cursor's reader splices attributes in on the way out.
#pragma once

#include "base/bytes.h"
#include "otlp/scan.h"
#include "otlp/signal.h"
#include "pipeline/origin.h"

namespace tributary::pipeline {

struct Batch {
  otlp::Signal signal;
  otlp::Counts counts;
  base::Bytes bytes;
  Origin origin = {};
};

}  // namespace tributary::pipeline
