#include "base/signals.h"

#include <sys/signalfd.h>

#include <csignal>
#include <utility>

#include "base/check.h"

namespace tributary::base {

Signals::Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> arrived)
    : arrived_(std::move(arrived)) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  CHECK(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  fd_ = Fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  CHECK(fd_.valid());
  watch_ = loop.WatchFd(fd_.get(), EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info;
    while (::read(fd_.get(), &info, sizeof info) == sizeof info) arrived_(static_cast<int>(info.ssi_signo));
  });
}

}  // namespace tributary::base
