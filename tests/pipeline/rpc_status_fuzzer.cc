// Any bytes, as a google.rpc.Status from a peer: what libprotobuf reads is read alike, waits are within bounds, and
// what was read survives being written again.
#include "base/check.h"
#include "google/rpc/status.pb.h"
#include "pipeline/grpc_status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary::pipeline;
  const auto status = DecodeRpcStatus({data, size});
  google::rpc::Status oracle;
  const bool is_message = oracle.ParseFromArray(data, static_cast<int>(size));
  if (!status) {
    CHECK(!is_message);
    return 0;
  }
  CHECK(!status->retry_delay ||
        (*status->retry_delay >= tributary::base::Nanos(0) && *status->retry_delay <= std::chrono::hours(24 * 366)));
  if (!is_message) return 0;  // a string that is not UTF-8, or a detail that is no message
  CHECK(status->message == oracle.message());
  CHECK(status->code == GrpcCode::kUnknown || static_cast<int>(status->code) == oracle.code());

  const tributary::base::Bytes again = EncodeRpcStatus(*status);
  CHECK(oracle.ParseFromArray(again.data(), static_cast<int>(again.size())));
  const auto reread = DecodeRpcStatus(again);
  CHECK(reread && reread->code == status->code && reread->message == status->message);
  CHECK(reread->retry_delay == status->retry_delay);
  return 0;
}
