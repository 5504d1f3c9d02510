// Items: walks a request item by item, and puts a request together again from items.
//
// All three signals have one shape: containers (ResourceSpans, ResourceMetrics, ResourceLogs) of scopes (ScopeSpans,
// ...) of items (Span, Metric, LogRecord). What a container says besides its scopes is its head (the Resource, the
// schema URL, unknown fields), and so for a scope. Heads are themselves well-formed messages: the container without its
// scopes. Input must have passed Scan. Any thread.
#pragma once

#include "base/bytes.h"
#include "otlp/wire.h"

namespace tributary::otlp {

// `ItemReader reader(request); while (reader.Next()) ...`
class ItemReader {
 public:
  explicit ItemReader(base::ByteView request) : containers_(request), scopes_({}), items_({}) {}

  bool Next();

  // Whether item() is the first of its scope: then the heads may differ from those of the item before.
  bool first_of_scope() const { return first_of_scope_; }
  // Valid until Next() comes to another scope.
  base::ByteView container_head() const { return container_head_; }
  base::ByteView scope_head() const { return scope_head_; }
  // The message's body, within the request.
  base::ByteView item() const { return item_; }

 private:
  FieldReader containers_;
  FieldReader scopes_;
  FieldReader items_;
  base::Bytes container_head_;
  base::Bytes scope_head_;
  base::ByteView item_;
  bool first_of_scope_ = false;
};

// Appends to `out` all fields of `message` but those numbered `but`.
void CopyFieldsExcept(base::ByteView message, uint32_t but, base::Bytes& out);

// Builds a request from items, in the order they are added.
class RequestBuilder {
 public:
  // Items added from now on are in a scope of these heads.
  void BeginScope(base::ByteView container_head, base::ByteView scope_head);
  void AddItem(base::ByteView item);
  base::Bytes Finish();

 private:
  void EndScope();

  base::Bytes request_;
  base::Bytes container_;
  base::Bytes scope_;
  bool in_scope_ = false;
};

}  // namespace tributary::otlp
