// The reading direction of otlp/json.h. simdjson finds the structure and validates UTF-8; this walks its On-Demand view
// with a stack of its own, so that nesting costs heap and is bounded, and checks what a lazy reader would pass over:
// the values of unknown keys are walked like the others.
#include <simdjson.h>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "otlp/canonical_writer.h"
#include "otlp/json.h"
#include "otlp/json_text.h"
#include "otlp/scan.h"
#include "otlp/schema.h"

namespace tributary::otlp {
namespace {

namespace ondemand = simdjson::ondemand;
using std::string_view;

// A message within a message takes at most an object and a list; unknown keys get the same room.
constexpr size_t kJsonDepthMax = 2 * kDepthMax;
// A packed double takes two bytes of JSON and eight of protobuf.
constexpr size_t kJsonBytesMax = kLengthEnd / 4;
constexpr size_t kTraceIdBytes = std::tuple_size_v<TraceId>;
constexpr size_t kSpanIdBytes = std::tuple_size_v<SpanId>;

static_assert(simdjson::SIMDJSON_PADDING <= base::Bytes::kPadding);

// What of a value at fault goes into a message: printable, for simdjson has refused control characters, and valid
// UTF-8.
std::string Excerpt(string_view token) {
  constexpr size_t kBytesMax = 40;
  if (token.size() <= kBytesMax) return std::string(token);
  size_t size = kBytesMax;
  while (size > 0 && (token[size] & 0xc0) == 0x80) --size;
  return std::string(token.substr(0, size)) + "...";
}

// simdjson encodes a lone surrogate (\udc00) as if it were a character. No valid UTF-8 has these bytes.
bool HasSurrogate(string_view text) {
  for (size_t at = 0; (at = text.find('\xed', at)) != string_view::npos; ++at) {
    if (at + 1 < text.size() && static_cast<uint8_t>(text[at + 1]) >= 0xa0) return true;
  }
  return false;
}

class Transcoder {
 public:
  Transcoder(const MessageSchema& request, base::PaddedView json, base::Bytes& out, size_t out_bytes_max)
      : request_(request), json_(base::AsText(json.view())), writer_(out), out_bytes_max_(out_bytes_max) {}

  bool Run();
  JsonError TakeError() { return {.message = Path() + error_, .too_large = too_large_}; }

 private:
  using Object = ondemand::object_iterator;
  using List = ondemand::array_iterator;

  // An object or list that is being read: a message, a repeated field, or the value of an unknown key.
  struct Frame {
    std::variant<Object, List> position;
    bool entered = false;
    const MessageSchema* message = nullptr;  // of a message
    const FieldSchema* field = nullptr;      // of a repeated field; of a message the field being read
    size_t index = 0;                        // of a list's element
    uint32_t seen = 0;                       // of a message: the fields that had a value, by number
  };

  bool Step();
  bool Leave();
  bool Member(ondemand::field& member);
  bool Element(ondemand::value& value);
  bool Value(const FieldSchema& field, ondemand::value& value, string_view token);
  bool Scalar(const FieldSchema& field, ondemand::value& value, string_view token);
  bool Ignored(ondemand::value& value);
  bool LengthDelimited(const FieldSchema& field, string_view text, string_view token);

  bool EnterObject(ondemand::value& value, string_view token, const MessageSchema* message);
  bool EnterList(ondemand::value& value, string_view token, const FieldSchema* field);
  bool Push(const Frame& frame);

  string_view Token(ondemand::value& value) const;
  bool Key(ondemand::field& member, string_view& key);
  bool Unquote(ondemand::value& value, string_view token, string_view& text);

  bool Fail(string_view reason) {
    error_ = reason;
    return false;
  }
  bool Fail(string_view reason, string_view token) {
    error_ = std::string(reason) + ": " + Excerpt(token);
    return false;
  }
  bool FailSyntax(simdjson::error_code error) { return Fail(std::string("malformed JSON: ") + error_message(error)); }
  // "resourceSpans[0].scopeSpans[0]: ", from the stack.
  std::string Path() const;

  const MessageSchema& request_;
  const string_view json_;  // padded
  CanonicalWriter writer_;
  const size_t out_bytes_max_;
  ondemand::parser parser_;
  std::vector<Frame> frames_;
  int messages_ = 0;     // of the frames
  base::Bytes decoded_;  // bytes of the value being read
  std::string error_;
  bool too_large_ = false;
};

bool Transcoder::Run() {
  if (json_.size() > kJsonBytesMax) return Fail("too large");
  if (json_.empty()) return Fail("empty");
  ondemand::document document;
  const simdjson::padded_string_view padded(json_.data(), json_.size(), json_.size() + base::Bytes::kPadding);
  if (const auto error = parser_.iterate(padded).get(document)) return FailSyntax(error);
  Object position;
  if (const auto error = document.get_object().begin().get(position)) {
    return error == simdjson::INCORRECT_TYPE ? Fail("not an object") : FailSyntax(error);
  }
  if (!Push({.position = position, .message = &request_})) return false;
  while (!frames_.empty()) {
    if (!Step()) return false;
    if (writer_.out().size() > out_bytes_max_) {
      too_large_ = true;
      return Fail("too large");
    }
  }
  const bool at_end = document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  if (!at_end) return Fail("malformed JSON: content after the object");
  writer_.Finish();
  return true;
}

// Reads one member or element of the innermost object or list, or leaves it. What simdjson returns is used where it
// lies: copying it at once waits for the stores that made it, which took a quarter of the time.
bool Transcoder::Step() {
  Frame& frame = frames_.back();
  const bool advance = std::exchange(frame.entered, true);
  if (Object* position = std::get_if<Object>(&frame.position)) {
    if (advance) ++*position;
    if (*position == Object()) return Leave();
    auto found = **position;
    if (found.error()) return FailSyntax(found.error());
    ondemand::field&& member = std::move(found).value_unsafe();
    return Member(member);
  }
  List& position = std::get<List>(frame.position);
  if (advance) {
    ++position;
    ++frame.index;
  }
  if (position == List()) return Leave();
  auto found = *position;
  if (found.error()) return FailSyntax(found.error());
  ondemand::value&& value = std::move(found).value_unsafe();
  return Element(value);
}

bool Transcoder::Leave() {
  const Frame& frame = frames_.back();
  const bool nested =
      frame.message != nullptr ? frames_.size() > 1 : frame.field != nullptr && frame.field->is_packed();
  if (nested) writer_.Close();
  if (frame.message != nullptr) --messages_;
  frames_.pop_back();
  return true;
}

bool Transcoder::Member(ondemand::field& member) {
  Frame& frame = frames_.back();
  string_view key;
  if (!Key(member, key)) return false;
  ondemand::value& value = member.value();
  frame.field = frame.message != nullptr ? frame.message->Find(key, frame.field) : nullptr;
  if (frame.field == nullptr) return Ignored(value);
  const FieldSchema& field = *frame.field;
  const string_view token = Token(value);
  if (token == "null") return true;

  const uint32_t bit = 1u << field.number;
  if (frame.seen & bit && (field.kind == Kind::kMessage || field.label == Label::kRepeated)) return Fail("given twice");
  if (bit & frame.message->oneof_mask && frame.seen & frame.message->oneof_mask & ~bit) {
    return Fail("only one of the alternatives may be given");
  }
  frame.seen |= bit;
  if (field.label == Label::kRepeated) return EnterList(value, token, &field);
  writer_.Field(field.number);
  return Value(field, value, token);
}

bool Transcoder::Element(ondemand::value& value) {
  const FieldSchema* field = frames_.back().field;
  if (field == nullptr) return Ignored(value);
  const string_view token = Token(value);
  if (token == "null") return Fail("null in a list");
  return Value(*field, value, token);
}

bool Transcoder::Value(const FieldSchema& field, ondemand::value& value, string_view token) {
  if (field.kind == Kind::kMessage) {
    writer_.Open(field.number);
    return EnterObject(value, token, field.message);
  }
  return Scalar(field, value, token);
}

bool Transcoder::Scalar(const FieldSchema& field, ondemand::value& value, string_view token) {
  const bool quoted = token.starts_with('"');
  string_view text = token;
  if (quoted && !Unquote(value, token, text)) return false;
  if (!field.is_scalar()) {
    if (!quoted) return Fail("not a string", token);
    return LengthDelimited(field, text, token);
  }
  uint64_t raw;
  if (!ParseScalar(field.kind, text, quoted, raw)) return Fail("not " + std::string(Describe(field.kind)), token);
  if (field.is_packed()) {
    writer_.Raw(WireTypeOf(field.kind), raw);
  } else if (raw != 0 || field.label != Label::kSingular) {
    writer_.Scalar(field.number, WireTypeOf(field.kind), raw);
  }
  return true;
}

bool Transcoder::LengthDelimited(const FieldSchema& field, string_view text, string_view token) {
  decoded_.Clear();
  base::ByteView content = base::AsBytes(text);
  if (field.kind == Kind::kBytes) {
    if (!DecodeBase64(text, decoded_)) return Fail("not base64", token);
    content = decoded_;
  } else if (field.kind != Kind::kString) {
    if (!DecodeHex(text, decoded_)) return Fail("not hexadecimal", token);
    content = decoded_;
    const size_t id_bytes = field.kind == Kind::kTraceId ? kTraceIdBytes : kSpanIdBytes;
    if (!content.empty() && content.size() != id_bytes) {
      return Fail("not " + std::to_string(id_bytes) + " bytes, nor empty", token);
    }
  }
  if (!content.empty() || field.label != Label::kSingular) writer_.LengthDelimited(field.number, content);
  return true;
}

bool Transcoder::Ignored(ondemand::value& value) {
  const string_view token = Token(value);
  if (token.starts_with('{')) return EnterObject(value, token, nullptr);
  if (token.starts_with('[')) return EnterList(value, token, nullptr);
  string_view text;
  if (token.starts_with('"')) return Unquote(value, token, text);
  if (token == "true" || token == "false" || token == "null" || IsJsonNumber(token)) return true;
  return Fail("malformed JSON: not a value", token);
}

bool Transcoder::EnterObject(ondemand::value& value, string_view token, const MessageSchema* message) {
  if (!token.starts_with('{')) return Fail("not an object", token);
  auto position = value.get_object().begin();
  if (position.error()) return FailSyntax(position.error());
  return Push({.position = std::move(position).value_unsafe(), .message = message});
}

bool Transcoder::EnterList(ondemand::value& value, string_view token, const FieldSchema* field) {
  if (!token.starts_with('[')) return Fail("not a list", token);
  auto found = value.get_array().begin();
  if (found.error()) return FailSyntax(found.error());
  List&& position = std::move(found).value_unsafe();
  if (position == List()) return true;
  if (field != nullptr) {
    writer_.Field(field->number);
    if (field->is_packed()) writer_.Open(field->number);
  }
  return Push({.position = position, .field = field});
}

bool Transcoder::Push(const Frame& frame) {
  if (frame.message != nullptr && messages_ > kDepthMax) return Fail("messages nested too deeply");
  if (frames_.size() >= kJsonDepthMax) return Fail("nested too deeply");
  if (frame.message != nullptr) ++messages_;
  frames_.push_back(frame);
  return true;
}

// A value's text: the whole of a scalar, the bracket of an object or list.
string_view Transcoder::Token(ondemand::value& value) const {
  const string_view token = value.raw_json_token();
  // In a document that breaks off, simdjson takes what lies in the padding for the next value.
  const size_t offset = static_cast<size_t>(token.data() - json_.data());
  if (offset >= json_.size() || token.size() > json_.size() - offset) return {};
  return token.substr(0, token.find_last_not_of(" \t\r\n") + 1);
}

bool Transcoder::Key(ondemand::field& member, string_view& key) {
  const char* const begin = member.key().raw();
  const char* end = begin;
  while (*end != '"' && *end != '\\') ++end;
  key = {begin, static_cast<size_t>(end - begin)};
  if (*end == '"') return true;
  if (const auto error = member.unescaped_key().get(key)) return FailSyntax(error);
  return !HasSurrogate(key) || Fail("lone surrogate in a key");
}

// Characters of a quoted value, where they lie when they have no escapes.
bool Transcoder::Unquote(ondemand::value& value, string_view token, string_view& text) {
  text = token.substr(1, token.size() - 2);
  if (text.find('\\') == string_view::npos) return true;
  if (const auto error = value.get_string().get(text)) return FailSyntax(error);
  return !HasSurrogate(text) || Fail("lone surrogate", token);
}

std::string Transcoder::Path() const {
  std::string path;
  for (const Frame& frame : frames_) {
    if (frame.field == nullptr) continue;
    if (frame.message == nullptr) {
      path += '[' + std::to_string(frame.index) + ']';
    } else {
      if (!path.empty()) path += '.';
      path += frame.field->name;
    }
  }
  if (!path.empty()) path += ": ";
  return path;
}

}  // namespace

std::expected<base::Bytes, JsonError> JsonToProto(Signal signal, base::PaddedView json, size_t result_bytes_max) {
  base::Bytes request;
  request.Reserve(std::min(json.size() / 2, result_bytes_max));
  Transcoder transcoder(RequestSchema(signal), json, request, result_bytes_max);
  if (!transcoder.Run()) return std::unexpected(transcoder.TakeError());
  return request;
}

}  // namespace tributary::otlp
