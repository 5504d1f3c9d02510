// HTTP as this project's servers see it: a request, a response, and the service between them.
// Which HTTP version carried it, and whether it is gRPC, is the connection's business (http2_connection,
// http1_connection).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "pipeline/grpc_status.h"

namespace tributary::pipeline {

// Says who is at the other end of an accepted socket, in an Origin's words (pipeline/origin.h); null when that is not
// known.
using SourceOf = std::function<std::shared_ptr<const std::string>(int socket)>;

// The head of a request: every field but `source` comes from the peer.
struct HttpHead {
  std::string method_untrusted;
  std::string path_untrusted;   // without the query
  std::string query_untrusted;  // after '?', still encoded
  std::string content_type_untrusted;
  std::string content_encoding_untrusted;     // how the body is compressed, empty when it is not: content-encoding, or
                                              // grpc-encoding when is_grpc and the message says it is compressed
  std::string batch_untrusted;                // the field tributary-batch (batch_header.h)
  std::optional<base::Nanos> grpc_timeout;    // parsed; nullopt when absent
  bool is_grpc = false;                       // content-type is application/grpc or begins with application/grpc+ or ;
  std::shared_ptr<const std::string> source;  // of its connection; null when not known
};

struct HttpResponse {
  int status = 200;  // gRPC answers are always 200; their status is in `grpc`
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names: retry-after, allow
  base::Bytes body;                                          // gRPC: the message, sent when `grpc` is OK
  std::optional<GrpcStatus> grpc;                            // set exactly when the request was gRPC
};

// What a server offers. Lives on the loop's thread and outlives the server.
class HttpService {
 public:
  using Reply = std::move_only_function<void(HttpResponse)>;  // once; harmless when the connection is gone

  struct Admission {
    size_t body_bytes_max = 0;              // of the body as it comes (compressed)
    std::optional<HttpResponse> rejection;  // answered at once, without reading the body
  };

  virtual ~HttpService() = default;
  // The head is there and nothing of the body was kept. `body_bytes` when the peer declared it: content-length, or the
  // gRPC prefix, for which this is called a second time once it came.
  virtual Admission Admit(const HttpHead& head, std::optional<size_t> body_bytes) = 0;
  // The answer to a request whose body passed `body_bytes_max`, did not come in time (or was not answered in time),
  // found no memory, or broke the rules of chunks or of gRPC messages.
  enum class BodyFault : uint8_t { kTooLarge, kTimeout, kNoMemory, kMalformed };
  virtual HttpResponse OnBodyFault(const HttpHead& head, BodyFault fault) = 0;
  // `head` lives as long as the call. The body of a gRPC request is its one message, without the five-byte prefix.
  virtual void OnRequest(const HttpHead& head, base::Bytes body, Reply reply) = 0;
};

}  // namespace tributary::pipeline
