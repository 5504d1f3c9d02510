#include "otlp/items.h"

#include <utility>

namespace tributary::otlp {
namespace {

// Field numbers that the three signals share: ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans,
// ScopeSpans.spans, and their like.
constexpr uint32_t kContainer = 1;
constexpr uint32_t kScope = 2;
constexpr uint32_t kItem = 2;

bool NextNumbered(FieldReader& reader, uint32_t number, Field& field) {
  while (reader.Next(field)) {
    if (field.number == number) return true;
  }
  return false;
}

}  // namespace

bool ItemReader::Next() {
  Field field;
  first_of_scope_ = false;
  while (!NextNumbered(items_, kItem, field)) {
    while (!NextNumbered(scopes_, kScope, field)) {
      if (!NextNumbered(containers_, kContainer, field)) return false;
      container_head_.Clear();
      CopyFieldsExcept(field.content, kScope, container_head_);
      scopes_ = FieldReader(field.content);
    }
    scope_head_.Clear();
    CopyFieldsExcept(field.content, kItem, scope_head_);
    items_ = FieldReader(field.content);
    first_of_scope_ = true;
  }
  item_ = field.content;
  return true;
}

void CopyFieldsExcept(base::ByteView message, uint32_t but, base::Bytes& out) {
  FieldReader reader(message);
  Field field;
  while (reader.Next(field)) {
    if (field.number != but) out.Append(field.whole);
  }
}

void RequestBuilder::BeginScope(base::ByteView container_head, base::ByteView scope_head) {
  EndScope();
  container_.Append(container_head);
  scope_.Append(scope_head);
  in_scope_ = true;
}

void RequestBuilder::AddItem(base::ByteView item) { AppendLengthDelimited(scope_, kItem, item); }

base::Bytes RequestBuilder::Finish() {
  EndScope();
  return std::move(request_);
}

void RequestBuilder::EndScope() {
  if (!std::exchange(in_scope_, false)) return;
  AppendLengthDelimited(container_, kScope, scope_);
  AppendLengthDelimited(request_, kContainer, container_);
  container_.Clear();
  scope_.Clear();
}

}  // namespace tributary::otlp
