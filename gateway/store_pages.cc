#include "gateway/store_pages.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/units.h"
#include "gateway/pages/pages.h"
#include "otlp/json_text.h"
#include "pipeline/page_rules.h"

namespace tributary::gateway {
namespace {

using pipeline::HttpHead;
using pipeline::HttpResponse;

constexpr std::string_view kTracePath = "/api/traces/";
constexpr uint32_t kLimitMax = 1000;

struct Page {
  std::string_view path;
  std::string_view content_type;
  const std::string_view& body;
};
const std::array kPages = {
    Page{"/", "text/html; charset=utf-8", kIndexPage},
    Page{"/style.css", "text/css; charset=utf-8", kStylePage},
    Page{"/app.js", "text/javascript; charset=utf-8", kScriptPage},
};

HttpResponse Respond(int status, std::string_view content_type, std::string_view body) {
  HttpResponse response{.status = status, .content_type = std::string(content_type), .body = base::Bytes(body)};
  // The page runs its own script and nothing else, whatever telemetry contains.
  response.headers = {{"content-security-policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                      {"x-content-type-options", "nosniff"},
                      {"referrer-policy", "no-referrer"},
                      {"cache-control", "no-store"}};
  return response;
}

HttpResponse Fail(int status, std::string_view message) {
  std::string json = R"({"error":)";
  otlp::AppendQuoted(message, json);
  return Respond(status, "application/json", json + "}\n");
}

HttpResponse Show(const StoreResult& result) {
  if (!result) return Fail(500, result.error().message);
  if (result->json.empty()) return Fail(404, "the store has no such thing, or not any more");
  HttpResponse response = Respond(200, "application/json", result->json);
  if (!result->complete) response.headers.emplace_back("tributary-complete", "false");
  return response;
}

// application/x-www-form-urlencoded: https://url.spec.whatwg.org/#urlencoded-parsing
std::optional<std::string> DecodeComponent(std::string_view text_untrusted) {
  base::Bytes decoded;
  for (size_t i = 0; i < text_untrusted.size(); ++i) {
    const char c = text_untrusted[i];
    if (c != '%') {
      decoded.Push(static_cast<uint8_t>(c == '+' ? ' ' : c));
      continue;
    }
    if (i + 2 >= text_untrusted.size() || !otlp::DecodeHex(text_untrusted.substr(i + 1, 2), decoded)) return {};
    i += 2;
  }
  return std::string(base::AsText(decoded));
}

// The parameters of a query, each asked for by name; what is wrong with them is told once, at the end.
class Parameters {
 public:
  explicit Parameters(std::string_view query_untrusted) {
    while (!query_untrusted.empty()) {
      const size_t end = std::min(query_untrusted.find('&'), query_untrusted.size());
      const std::string_view pair = query_untrusted.substr(0, end);
      query_untrusted.remove_prefix(std::min(end + 1, query_untrusted.size()));
      const size_t equals = std::min(pair.find('='), pair.size());
      auto key = DecodeComponent(pair.substr(0, equals));
      auto value = DecodeComponent(pair.substr(std::min(equals + 1, pair.size())));
      if (!key || !value) {
        error_ = "the query is not URL-encoded";
      } else if (!key->empty()) {
        values_untrusted_[*key] = std::move(*value);
      }
    }
  }

  std::optional<std::string> Text(const std::string& name) {
    auto value = values_untrusted_.extract(name);
    if (value.empty() || value.mapped().empty()) return std::nullopt;
    return std::move(value.mapped());
  }
  uint32_t Number(const std::string& name, uint32_t max, uint32_t fallback) {
    const auto text = Text(name);
    if (!text) return fallback;
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error == std::errc() && end == text->data() + text->size() && number <= max) return number;
    error_ = fmt::format("{} must be a number up to {}", name, max);
    return fallback;
  }
  bool Flag(const std::string& name) {
    const auto text = Text(name);
    if (text && *text != "true" && *text != "false") error_ = name + " must be true or false";
    return text == "true";
  }
  base::Nanos Duration(const std::string& name) {
    const auto text = Text(name);
    const auto duration = text ? base::ParseDuration(*text) : base::Nanos(0);
    if (!duration) error_ = name + " must be a duration, like 100ms";
    return duration.value_or(base::Nanos(0));
  }
  std::optional<otlp::TraceId> TraceId(const std::string& name);

  // Empty when all was well and nothing was left unasked for.
  std::string Fault() const {
    if (!error_.empty()) return error_;
    return values_untrusted_.empty() ? "" : "there is a parameter that this page does not have";
  }

 private:
  std::map<std::string, std::string> values_untrusted_;
  std::string error_;
};

std::optional<otlp::TraceId> ParseTraceId(std::string_view text_untrusted) {
  base::Bytes bytes;
  otlp::TraceId id;
  if (text_untrusted.size() != 2 * id.size() || !otlp::DecodeHex(text_untrusted, bytes)) return std::nullopt;
  std::copy_n(bytes.data(), id.size(), id.begin());
  return id;
}

std::optional<otlp::TraceId> Parameters::TraceId(const std::string& name) {
  const auto text = Text(name);
  const auto id = text ? ParseTraceId(*text) : std::nullopt;
  if (text && !id) error_ = name + " must be 32 hexadecimal digits";
  return id;
}

// What a path of the API asks, or what is wrong with its parameters. An empty Question: no such path.
struct Asked {
  LocalStore::Question question;
  std::string fault;
};

Asked AskTrace(std::string_view id_untrusted) {
  const auto id = ParseTraceId(id_untrusted);
  if (!id) return {.fault = "a trace id has 32 hexadecimal digits"};
  return {.question = [id = *id](Database& database) { return ReadTrace(database, id); }};
}

Asked AskTraces(Parameters& parameters) {
  TraceFilter filter;
  filter.service = parameters.Text("service");
  filter.duration_min = parameters.Duration("min_duration");
  filter.errors_only = parameters.Flag("errors");
  filter.traces_max = parameters.Number("limit", kLimitMax, filter.traces_max);
  return {.question = [filter](Database& database) { return ReadTraces(database, filter); }};
}

Asked AskLogs(Parameters& parameters) {
  LogFilter filter;
  filter.service = parameters.Text("service");
  filter.severity_min = static_cast<int>(parameters.Number("severity", 24, 0));
  filter.text = parameters.Text("text").value_or("");
  filter.trace_id = parameters.TraceId("trace_id");
  filter.records_max = parameters.Number("limit", kLimitMax, filter.records_max);
  return {.question = [filter](Database& database) { return ReadLogs(database, filter); }};
}

Asked AskMetrics(Parameters& parameters) {
  PointFilter filter;
  const auto name = parameters.Text("name");
  if (!name) return {.question = ReadMetrics};
  filter.metric = *name;
  filter.service = parameters.Text("service");
  filter.points_max = parameters.Number("limit", kLimitMax, filter.points_max);
  return {.question = [filter](Database& database) { return ReadPoints(database, filter); }};
}

Asked Understand(const HttpHead& head) {
  const std::string_view path = head.path_untrusted;
  Parameters parameters(head.query_untrusted);
  Asked asked;
  if (path == "/api/services") asked.question = ReadServices;
  if (path == "/api/traces") asked = AskTraces(parameters);
  if (path == "/api/logs") asked = AskLogs(parameters);
  if (path == "/api/metrics") asked = AskMetrics(parameters);
  if (path.starts_with(kTracePath)) asked = AskTrace(path.substr(kTracePath.size()));
  if (asked.fault.empty()) asked.fault = parameters.Fault();
  return asked;
}

bool Exists(std::string_view path) {
  for (const Page& page : kPages) {
    if (path == page.path) return true;
  }
  return path == "/api/services" || path == "/api/traces" || path == "/api/logs" || path == "/api/metrics" ||
         path.starts_with(kTracePath);
}

}  // namespace

pipeline::HttpService::Admission StorePages::Admit(const HttpHead& head, std::optional<size_t>) {
  return pipeline::AdmitToPages(head, Exists(head.path_untrusted), "no such page", Fail);
}

HttpResponse StorePages::OnBodyFault(const HttpHead&, BodyFault) { return pipeline::RefusePageBody(Fail); }

void StorePages::OnRequest(const HttpHead& head, base::Bytes, Reply reply) {
  for (const Page& page : kPages) {
    if (head.path_untrusted == page.path) return reply(Respond(200, page.content_type, page.body));
  }
  Asked asked = Understand(head);
  if (!asked.fault.empty()) return reply(Fail(400, asked.fault));
  Ask(std::move(asked.question), std::move(reply));
}

void StorePages::Ask(LocalStore::Question question, Reply reply) {
  if (*questions_ >= kQuestionsMax) {
    HttpResponse busy = Fail(503, "too many questions at once");
    busy.headers.emplace_back("retry-after", "1");
    return reply(std::move(busy));
  }
  ++*questions_;
  store_.Ask(std::move(question),
             [questions = questions_, reply = std::move(reply)](const StoreResult& result) mutable {
               --*questions;
               reply(Show(result));
             });
}

}  // namespace tributary::gateway
