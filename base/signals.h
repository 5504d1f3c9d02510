// Signals as loop events: SIGTERM, SIGINT and SIGHUP arrive on the loop's thread, between callbacks, instead of anywhere.
#pragma once

#include <functional>
#include <initializer_list>

#include "base/fd.h"
#include "base/loop.h"

namespace tributary::base {

class Signals {
 public:
  // Blocks `signals` for the whole process and calls `arrived` with each that comes. Made before any thread is started,
  // so that every thread inherits the mask. SIGPIPE is ignored: a broken connection is an error code here.
  Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> arrived);

 private:
  Fd fd_;
  std::function<void(int)> arrived_;
  Loop::Watch watch_;
};

}  // namespace tributary::base
