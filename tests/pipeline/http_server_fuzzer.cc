// Feeds arbitrary bytes to a connection of a server, in pieces: the first byte chooses how long they are, and whether
// the peer greets properly first. What must hold: no fault, the budget is never passed, and comes back in full.
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/loop.h"
#include "pipeline/http_server.h"
#include "pipeline/intake.h"
#include "pipeline/log.h"
#include "pipeline/otlp_service.h"
#include "tests/pipeline/http2_frames.h"

using namespace tributary;

namespace {

void Drain(int fd) {
  char sink[64 << 10];
  while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static base::Loop loop;
  base::Budget budget(1 << 20);
  pipeline::Log log(loop, {.bytes_max = 1 << 20});
  pipeline::Intake intake(log);
  pipeline::OtlpService service(intake, {.request_bytes_max = 256 << 10});
  auto server = std::make_unique<pipeline::HttpServer>(loop, budget, service);

  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  const base::Fd peer(fds[0]);
  server->Adopt(base::Fd(fds[1]));
  const size_t piece = 1 + size_t{data[0]} % 128 * (data[0] % 128);
  std::string bytes;
  if (data[0] & 0x80) bytes = std::string(tests::kPreface) + tests::Settings() + tests::SettingsAck();
  bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (size_t at = 0; at < bytes.size(); at += piece) {
    if (send(peer.get(), bytes.data() + at, std::min(piece, bytes.size() - at), MSG_NOSIGNAL) < 0) break;
    loop.RunOnce(base::Nanos(0));
    CHECK(budget.bytes() <= budget.bytes_max());
    Drain(peer.get());
  }
  shutdown(peer.get(), SHUT_WR);
  loop.RunOnce(base::Nanos(0));
  server.reset();
  CHECK(budget.bytes() == 0);
  loop.RunOnce(base::Nanos(0));
  return 0;
}
