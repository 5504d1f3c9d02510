// Random requests for differential tests: messages with every field of the schema, encoded in the many ways that the
// protobuf wire format allows, and damaged. The same seed gives the same requests.
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace tributary::otlp {

class RandomRequest {
 public:
  explicit RandomRequest(uint64_t seed) : random_(seed) {}

  // Sets any of the fields of `message`, and of the messages in it.
  void Fill(google::protobuf::Message& message, int depth = 0);
  // `message` as an unusual encoder might write it: fields in any order, singular fields more than once (messages in
  // pieces), scalars packed or not, varints, tags and lengths longer than needed, unknown fields and groups in between.
  base::Bytes Encode(const google::protobuf::Message& message) { return base::Bytes(EncodeBody(message)); }
  // Flips, inserts, removes, repeats or cuts off some bytes.
  void Damage(base::Bytes& request);

  // One in `n`.
  bool Chance(uint32_t n) { return Below(n) == 0; }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

 private:
  using Fields = std::vector<std::string>;  // encoded ones, each with its tag

  void FillField(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field, int depth);
  std::string String(bool is_bytes);
  uint64_t Number();

  std::string EncodeBody(const google::protobuf::Message& message);
  Fields EncodeFields(const google::protobuf::Message& message);
  Fields EncodeField(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);
  std::string Scalar(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field, int i);
  std::string Unknown(int depth);
  std::string Tag(uint32_t number, uint32_t type) { return Varint(number << 3 | type, 5); }
  std::string LengthDelimited(uint32_t number, const std::string& body);
  std::string Varint(uint64_t value, size_t bytes_max);

  std::mt19937_64 random_;
};

}  // namespace tributary::otlp
