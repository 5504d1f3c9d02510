// gRPC's status codes and how a status travels: trailers grpc-status, grpc-message (percent-encoded) and
// grpc-status-details-bin (base64 of a google.rpc.Status), and the bodies of OTLP/HTTP errors, which are the same
// google.rpc.Status. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"

namespace tributary::pipeline {

enum class GrpcCode : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};
std::string_view Name(GrpcCode code);  // "UNAVAILABLE"

struct GrpcStatus {
  GrpcCode code = GrpcCode::kOk;
  std::string message;
  std::optional<base::Nanos> retry_delay;        // a google.rpc.RetryInfo detail
  std::optional<std::string> bad_request_field;  // a google.rpc.BadRequest detail with one violation: this field,
                                                 // described by `message`
};

// google.rpc.Status in protobuf, details included.
base::Bytes EncodeRpcStatus(const GrpcStatus& status);
// The same as proto3 JSON.
std::string RpcStatusToJson(const GrpcStatus& status);
// Reads code, message and RetryInfo; nullopt when malformed. Bounded: nothing is allocated but the message.
std::optional<GrpcStatus> DecodeRpcStatus(base::ByteView status_untrusted);

// grpc-message: bytes outside printable ASCII, and '%', become %XX. Decoding leaves invalid escapes as they are.
std::string PercentEncode(std::string_view message);
std::string PercentDecode(std::string_view encoded_untrusted);

// For -bin headers: written without padding, read with or without.
std::string Base64Encode(base::ByteView bytes);
std::optional<base::Bytes> Base64Decode(std::string_view text_untrusted);

// grpc-timeout: "100m" = 100 ms. At most eight digits and a unit of HMSmun.
std::optional<base::Nanos> ParseGrpcTimeout(std::string_view text_untrusted);
std::string FormatGrpcTimeout(base::Nanos timeout);

}  // namespace tributary::pipeline
