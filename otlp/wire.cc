#include "otlp/wire.h"

namespace tributary::otlp {}  // namespace tributary::otlp
