#include "pipeline/health.h"

#include <fmt/format.h>

#include <iterator>

#include "otlp/json_text.h"

namespace tributary::pipeline {
namespace {

// The Log takes no request of a common size any more when less than this is free.
constexpr size_t kRoomBytesMin = 64 << 10;

HttpResponse Json(int status, std::string_view body) {
  return {.status = status, .content_type = "application/json", .body = base::Bytes(body)};
}

// What peers said may be in any encoding; what is not ASCII is not shown.
std::string Quoted(std::string text_untrusted) {
  for (char& c : text_untrusted) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  std::string json;
  otlp::AppendQuoted(text_untrusted, json);
  return json;
}

}  // namespace

HttpResponse LivePage() { return Json(200, "{\"status\":\"live\"}\n"); }

HttpResponse ReadyPage(const Log& log, const std::vector<std::unique_ptr<Destination>>& destinations, bool draining) {
  const std::string disk_error = log.disk_error();
  const bool full = !log.Admits(kRoomBytesMin);
  const char* status = draining ? "draining" : !disk_error.empty() ? "disk_failing" : full ? "full" : "ready";
  std::string json = fmt::format(
      "{{\"status\":\"{}\",\"log\":{{\"mode\":\"{}\",\"bytes\":{},\"bytes_max\":{},\"disk_error\":{}}},"
      "\"destinations\":[",
      status, Log::Name(log.mode()), log.bytes(), log.bytes_max(), Quoted(disk_error));
  for (const auto& destination : destinations) {
    const Destination::Health health = destination->health();
    if (json.back() == '}') json += ',';
    fmt::format_to(std::back_inserter(json),
                   "{{\"name\":{},\"held_items\":{},\"oldest_held_seconds\":{:.3f},\"paused\":{},\"last_error\":{}}}",
                   Quoted(destination->name()), health.held_items,
                   health.oldest_held ? base::Seconds(*health.oldest_held) : 0.0, health.paused,
                   Quoted(health.last_error));
  }
  json += "]}\n";
  return Json(draining || full ? 503 : 200, json);
}

}  // namespace tributary::pipeline
