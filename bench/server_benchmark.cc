// What does receiving a request cost the server, in CPU time of its loop thread, kernel included? An item is a request.
// One client, on a thread of its own, keeps many OTLP/gRPC requests under way on one connection.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/loop.h"
#include "base/socket.h"
#include "bench/otlp_sample.h"
#include "pipeline/http_server.h"
#include "pipeline/intake.h"
#include "pipeline/log.h"
#include "pipeline/otlp_service.h"

namespace tributary {
namespace {

using otlp::Signal;

// Answers OK to everything: what is left is the transport.
class NullService final : public pipeline::HttpService {
 public:
  Admission Admit(const pipeline::HttpHead&, std::optional<size_t>) override { return {.body_bytes_max = 64 << 20}; }
  pipeline::HttpResponse OnBodyFault(const pipeline::HttpHead&, BodyFault) override { std::abort(); }
  void OnRequest(const pipeline::HttpHead&, base::Bytes, Reply reply) override {
    pipeline::HttpResponse response;
    response.grpc.emplace();
    reply(std::move(response));
  }
};

class ServerThread {
 public:
  explicit ServerThread(pipeline::HttpService& service, base::Loop& loop) : loop_(loop) {
    server_ = std::make_unique<pipeline::HttpServer>(loop_, budget_, service);
    address_ = *server_->Listen(*base::Address::Parse("127.0.0.1:0"));
    thread_ = std::thread([this] { loop_.Run(); });
    CHECK(pthread_getcpuclockid(thread_.native_handle(), &clock_) == 0);
  }
  ~ServerThread() {
    loop_.Stop();
    thread_.join();
  }
  const base::Address& address() const { return address_; }
  double CpuSeconds() const {
    timespec time;
    CHECK(clock_gettime(clock_, &time) == 0);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }

 private:
  base::Budget budget_{256 << 20};
  base::Loop& loop_;
  std::unique_ptr<pipeline::HttpServer> server_;
  base::Address address_;
  std::thread thread_;
  clockid_t clock_;
};

// A client that does as little as it can: every request after the first is the same bytes but for its stream's id.
class Client {
 public:
  Client(const base::Address& address, const base::Bytes& message) {
    socket_ = base::Fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(connect(socket_.get(), address.get(), address.length) == 0);
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + FrameHead(0, NGHTTP2_SETTINGS, 0, 0) +
         FrameHead(0, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0));
    // A window for answers that never runs out.
    const uint32_t window = htonl(INT32_MAX - NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE);
    Send(FrameHead(4, NGHTTP2_WINDOW_UPDATE, 0, 0).append(reinterpret_cast<const char*>(&window), sizeof window));
    nghttp2_hd_deflater* deflater = nullptr;
    CHECK(nghttp2_hd_deflate_new(&deflater, 4096) == 0);
    Request(DeflateHead(deflater), message);
    Run(1, 1);
    // Now that every field is in both sides' tables, one block fits all.
    Request(DeflateHead(deflater), message);
    nghttp2_hd_deflate_del(deflater);
  }

  // Completes `requests`, `concurrency` at a time.
  void Run(int requests, int concurrency) {
    int begun = 0, ended = 0;
    while (ended < requests) {
      std::string out;
      for (; begun < requests && begun - ended < concurrency; ++begun) AppendRequest(out);
      if (!out.empty()) Send(out);
      ended += Receive();
    }
  }

 private:
  static std::string FrameHead(size_t length, uint8_t type, uint8_t flags, uint32_t stream) {
    const uint32_t id = htonl(stream);
    std::string head = {static_cast<char>(length >> 16), static_cast<char>(length >> 8), static_cast<char>(length),
                        static_cast<char>(type), static_cast<char>(flags)};
    return head.append(reinterpret_cast<const char*>(&id), sizeof id);
  }

  static std::string DeflateHead(nghttp2_hd_deflater* deflater) {
    const std::pair<std::string, std::string> fields[] = {
        {":method", "POST"},
        {":scheme", "http"},
        {":path", std::string(otlp::GrpcPath(Signal::kTraces))},
        {":authority", "127.0.0.1:4317"},
        {"te", "trailers"},
        {"content-type", "application/grpc"},
        {"user-agent", "grpc-c++/1.51.1 grpc-c/29.0.0 (linux; chttp2)"},
        {"grpc-accept-encoding", "identity, deflate, gzip"}};
    std::vector<nghttp2_nv> head;
    for (const auto& [name, value] : fields) {
      head.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), 0});
    }
    std::string block(nghttp2_hd_deflate_bound(deflater, head.data(), head.size()), '\0');
    const ssize_t size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(block.data()), block.size(),
                                               head.data(), head.size());
    CHECK(size > 0);
    block.resize(static_cast<size_t>(size));
    return block;
  }

  void Request(const std::string& block, const base::Bytes& message) {
    head_ = FrameHead(block.size(), NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 0) + block;
    const uint32_t size = htonl(static_cast<uint32_t>(message.size()));
    std::string body(1, '\0');
    body.append(reinterpret_cast<const char*>(&size), sizeof size).append(base::AsText(message));
    data_ = FrameHead(body.size(), NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 0) + body;
  }

  void AppendRequest(std::string& out) {
    const uint32_t id = htonl(stream_);
    stream_ += 2;
    for (const std::string& frame : {std::cref(head_), std::cref(data_)}) {
      const size_t at = out.size();
      out += frame;
      std::memcpy(out.data() + at + 5, &id, sizeof id);
    }
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      CHECK(n > 0);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  // How many answers ended.
  int Receive() {
    char buffer[64 << 10];
    const ssize_t n = recv(socket_.get(), buffer, sizeof buffer, 0);
    CHECK(n > 0);
    in_.append(buffer, static_cast<size_t>(n));
    int ended = 0;
    size_t at = 0;
    while (in_.size() - at >= 9) {
      const auto* head = reinterpret_cast<const uint8_t*>(in_.data()) + at;
      const size_t length = size_t{head[0]} << 16 | size_t{head[1]} << 8 | head[2];
      if (in_.size() - at < 9 + length) break;
      CHECK(head[3] != NGHTTP2_RST_STREAM && head[3] != NGHTTP2_GOAWAY);
      ended += head[3] == NGHTTP2_HEADERS && (head[4] & NGHTTP2_FLAG_END_STREAM);
      at += 9 + length;
    }
    in_.erase(0, at);
    return ended;
  }

  base::Fd socket_;
  std::string head_, data_, in_;
  uint32_t stream_ = 1;
};

// Arguments: spans per request, requests under way.
void Measure(benchmark::State& state, pipeline::HttpService& service, base::Loop& loop) {
  const auto spans = static_cast<uint32_t>(state.range(0));
  const auto concurrency = static_cast<int>(state.range(1));
  const int requests = spans == 1 ? 10'000 : 500;
  const base::Bytes message = bench::SampleRequest(Signal::kTraces, spans, 1);
  ServerThread server(service, loop);
  Client client(server.address(), message);
  client.Run(requests, concurrency);
  for (auto _ : state) {
    const double before = server.CpuSeconds();
    client.Run(requests, concurrency);
    state.SetIterationTime(server.CpuSeconds() - before);
  }
  const auto items = static_cast<double>(state.iterations()) * requests;
  state.SetItemsProcessed(static_cast<int64_t>(items));
  state.counters["per_request"] = benchmark::Counter(items, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["per_span"] =
      benchmark::Counter(items * spans, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void BM_Transport(benchmark::State& state) {
  base::Loop loop;
  NullService service;
  Measure(state, service, loop);
}

// The transport, the scan, and a Log that nobody reads.
void BM_Intake(benchmark::State& state) {
  base::Loop loop;
  pipeline::Log log(loop, {});
  pipeline::Intake intake(log);
  pipeline::OtlpService service(intake, {});
  Measure(state, service, loop);
}

BENCHMARK(BM_Transport)->Args({1, 100})->Args({1, 1})->Args({64, 32})->Args({512, 16})->UseManualTime();
BENCHMARK(BM_Intake)->Args({1, 100})->Args({1, 1})->Args({64, 32})->Args({512, 16})->UseManualTime();

}  // namespace
}  // namespace tributary
