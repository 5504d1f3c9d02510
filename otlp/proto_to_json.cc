// The writing direction of otlp/json.h: walks the bytes of a request with a stack of its own.
//
// Protobuf lets fields come in any order, more than once, and in pieces; JSON wants each key once. So a message is gone
// through twice: first the places of its fields are listed and brought in order, then they are written. Only the places
// (8 bytes per field) in the messages that enclose the point being written are held.
#include <algorithm>
#include <cstring>
#include <vector>

#include "otlp/json.h"
#include "otlp/json_text.h"
#include "otlp/schema.h"

namespace tributary::otlp {
namespace {

bool IsDefault(Kind kind, const Field& field) {
  // Readers keep the low half of a varint that is too long for them.
  const bool half = kind == Kind::kEnum || kind == Kind::kUint32 || kind == Kind::kSint32;
  return (half ? static_cast<uint32_t>(field.value) : field.value) == 0 && field.content.empty();
}

class Writer {
 public:
  Writer(base::ByteView request, std::string& json) : request_(request), json_(json) {}

  void Run(const MessageSchema& schema);

 private:
  // One occurrence of a known field.
  struct Place {
    uint32_t number;
    uint32_t offset;  // of its tag in the request
    auto operator<=>(const Place&) const = default;
  };
  // A message that is being written. Its places are those in places_ from `next` to where the next frame's begin.
  struct Frame {
    const MessageSchema* message;
    size_t begin;
    size_t next;
    uint32_t list_number = 0;  // the repeated message whose brackets are open
    bool has_member = false;   // so that a comma is due
  };

  void Step();
  void Open(const MessageSchema& message);
  void ListPlaces(base::ByteView body);
  void PutInOrder();
  void Close();

  void Key(const FieldSchema& field);
  void MessageElement(const FieldSchema& field);
  void SingularMessage(const FieldSchema& field);
  void RepeatedScalar(const FieldSchema& field);
  void SingularScalar(const FieldSchema& field);
  void Element(const FieldSchema& schema, const Field& field, bool& opened);
  void Value(const FieldSchema& schema, const Field& field);

  // Whether the innermost message's next place is of field `number`.
  bool NextIs(uint32_t number) const {
    const Frame& frame = frames_.back();
    return frame.next < places_.size() && places_[frame.next].number == number;
  }
  // The field at the next place of `frame`, which steps on.
  Field Take(Frame& frame) const;

  const base::ByteView request_;
  std::string& json_;
  std::vector<Frame> frames_;
  std::vector<Place> places_;
};

void Writer::Run(const MessageSchema& schema) {
  Open(schema);
  ListPlaces(request_);
  PutInOrder();
  while (!frames_.empty()) Step();
}

// Writes one field, or opens one message, or closes the innermost.
void Writer::Step() {
  Frame& frame = frames_.back();
  if (frame.list_number != 0 && !NextIs(frame.list_number)) {
    json_ += ']';
    frame.list_number = 0;
  }
  if (frame.next == places_.size()) return Close();
  const FieldSchema& field = *frame.message->Find(places_[frame.next].number);
  const bool repeated = field.label == Label::kRepeated;
  if (field.kind == Kind::kMessage) {
    repeated ? MessageElement(field) : SingularMessage(field);
  } else {
    repeated ? RepeatedScalar(field) : SingularScalar(field);
  }
}

void Writer::Open(const MessageSchema& message) {
  json_ += '{';
  frames_.push_back({.message = &message, .begin = places_.size(), .next = places_.size()});
}

// Adds the known fields of `body`, which is the innermost message or a piece of it.
void Writer::ListPlaces(base::ByteView body) {
  const MessageSchema& message = *frames_.back().message;
  FieldReader reader(body);
  Field field;
  while (reader.Next(field)) {
    if (message.Find(field.number) == nullptr) continue;
    places_.push_back({field.number, static_cast<uint32_t>(field.whole.data() - request_.data())});
  }
  CHECK(!reader.failed());
}

void Writer::PutInOrder() {
  const Frame& frame = frames_.back();
  const auto begin = places_.begin() + static_cast<ptrdiff_t>(frame.begin);
  // Setting one member of a oneof unsets the others.
  if (const uint32_t oneof = frame.message->oneof_mask; oneof != 0) {
    uint32_t last = 0;
    bool overwritten = false;
    for (auto place = places_.end(); place != begin;) {
      --place;
      if ((oneof >> place->number & 1) == 0) continue;
      if (last == 0) last = place->number;
      overwritten |= place->number != last;
      if (overwritten) place->number = 0;
    }
    if (overwritten)
      places_.erase(std::remove_if(begin, places_.end(), [](const Place& p) { return p.number == 0; }), places_.end());
  }
  if (!std::is_sorted(begin, places_.end())) std::sort(begin, places_.end());
}

void Writer::Close() {
  json_ += '}';
  places_.resize(frames_.back().begin);
  frames_.pop_back();
}

void Writer::Key(const FieldSchema& field) {
  Frame& frame = frames_.back();
  if (std::exchange(frame.has_member, true)) json_ += ',';
  json_ += '"';
  json_ += field.name;
  json_ += "\":";
}

Field Writer::Take(Frame& frame) const {
  FieldReader reader(request_.subspan(places_[frame.next++].offset));
  Field field;
  CHECK(reader.Next(field));
  return field;
}

void Writer::MessageElement(const FieldSchema& field) {
  Frame& frame = frames_.back();
  if (frame.list_number == 0) {
    Key(field);
    json_ += '[';
    frame.list_number = field.number;
  } else {
    json_ += ',';
  }
  const base::ByteView body = Take(frame).content;
  Open(*field.message);
  ListPlaces(body);
  PutInOrder();
}

// Its occurrences merge, which is to read their bodies as one.
void Writer::SingularMessage(const FieldSchema& field) {
  Key(field);
  const size_t parent = frames_.size() - 1;
  size_t end = frames_.back().next;
  while (end < places_.size() && places_[end].number == field.number) ++end;
  Open(*field.message);
  while (frames_[parent].next < end) ListPlaces(Take(frames_[parent]).content);
  PutInOrder();
}

void Writer::RepeatedScalar(const FieldSchema& schema) {
  bool opened = false;
  do {
    const Field field = Take(frames_.back());
    if (!schema.is_packed() || field.type != WireType::kLength) {
      Element(schema, field, opened);
      continue;
    }
    // Packed: the values one after another, without tags.
    Field element{.type = WireTypeOf(schema.kind)};
    const uint8_t* p = field.content.data();
    const uint8_t* const end = p + field.content.size();
    while (p != end) {
      if (element.type == WireType::kVarint) {
        p = ReadVarint(p, end, element.value);
        CHECK(p != nullptr);
      } else {
        const size_t size = element.type == WireType::kFixed32 ? 4 : 8;
        CHECK(static_cast<size_t>(end - p) >= size);
        std::memcpy(&element.value, p, size);
        p += size;
      }
      Element(schema, element, opened);
    }
  } while (NextIs(schema.number));
  if (opened) json_ += ']';
}

void Writer::Element(const FieldSchema& schema, const Field& field, bool& opened) {
  if (std::exchange(opened, true)) {
    json_ += ',';
  } else {
    Key(schema);
    json_ += '[';
  }
  Value(schema, field);
}

// The last occurrence wins.
void Writer::SingularScalar(const FieldSchema& schema) {
  Field field = Take(frames_.back());
  while (NextIs(schema.number)) field = Take(frames_.back());
  if (IsDefault(schema.kind, field) && schema.label == Label::kSingular) return;
  Key(schema);
  Value(schema, field);
}

void Writer::Value(const FieldSchema& schema, const Field& field) {
  switch (schema.kind) {
    case Kind::kString:
      return AppendQuoted(base::AsText(field.content), json_);
    case Kind::kBytes:
      return AppendBase64(field.content, json_);
    case Kind::kTraceId:
    case Kind::kSpanId:
      return AppendHex(field.content, json_);
    default:
      return AppendScalar(schema.kind, field.value, json_);
  }
}

}  // namespace

void ProtoToJson(Signal signal, base::ByteView request, std::string& json) {
  CHECK(request.size() < kLengthEnd);
  Writer(request, json).Run(RequestSchema(signal));
}

}  // namespace tributary::otlp
