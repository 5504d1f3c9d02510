// Any bytes, as OTLP/JSON of the signal that the first byte names, followed by the second as padding. What JsonToProto
// accepts must be a canonical request, and must stay the same by way of JSON.
#include <string>
#include <vector>

#include "base/check.h"
#include "otlp/json.h"
#include "tests/otlp/json_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  if (size < 2) return 0;
  const otlp::Signal signal = otlp::kSignals[data[0] % otlp::kSignals.size()];
  std::vector<uint8_t> padded(data + 2, data + size);
  padded.insert(padded.end(), base::Bytes::kPadding, data[1]);
  const auto request = otlp::JsonToProto(signal, base::PaddedView::Promise({padded.data(), size - 2}));
  if (!request) {
    CHECK(!request.error().message.empty());
    return 0;
  }
  CHECK(otlp::Scan(signal, *request).has_value());
  const auto message = otlp::Parse(signal, *request);
  CHECK(message != nullptr && message->SerializeAsString() == base::AsText(*request));

  std::string json;
  otlp::ProtoToJson(signal, *request, json);
  const auto again = otlp::JsonToProto(signal, base::Bytes(json));
  CHECK(again.has_value() && base::AsText(*again) == base::AsText(*request));
  return 0;
}
