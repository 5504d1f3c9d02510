// Health pages: three different questions that are often answered as one. Live: does the loop still turn? Ready: would
// telemetry sent now be taken? And per destination: does it get there? A failing backend makes nobody unready, since
// what is taken is held; how old the oldest unsent item is tells when to worry.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipeline/destination.h"
#include "pipeline/http.h"
#include "pipeline/log.h"

namespace tributary::pipeline {

// {"status":"live"}, always 200: answering is the proof.
HttpResponse LivePage();

// 200 {"status":"ready",...} or 503 {"status":"full"|"disk_failing"|"draining",...}, with the Log's state and one entry
// per destination: name, held_items, oldest_held_seconds, paused and last_error. `draining`: the process was told to
// stop.
HttpResponse ReadyPage(const Log& log, const std::vector<std::unique_ptr<Destination>>& destinations, bool draining);

}  // namespace tributary::pipeline
