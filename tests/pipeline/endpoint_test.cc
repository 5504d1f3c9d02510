#include "pipeline/endpoint.h"

#include <gtest/gtest.h>

#include "base/loop.h"
#include "pipeline/otlp_client.h"

namespace tributary::pipeline {
namespace {

TEST(Endpoint, ReadsWhatPeopleWrite) {
  const struct {
    const char* text;
    bool tls;
    const char* host;
    int port;
    const char* path;
    const char* authority;
  } kTable[] = {
      {"gateway:4317", false, "gateway", 4317, "", "gateway:4317"},
      {"gateway", false, "gateway", 4318, "", "gateway:4318"},
      {"http://gateway:4317", false, "gateway", 4317, "", "gateway:4317"},
      {"http://gateway", false, "gateway", 80, "", "gateway:80"},
      {"https://otlp.example.com", true, "otlp.example.com", 443, "", "otlp.example.com:443"},
      {"https://otlp.example.com/", true, "otlp.example.com", 443, "", "otlp.example.com:443"},
      {"http://loki:3100/otlp/", false, "loki", 3100, "/otlp", "loki:3100"},
      {"http://[::1]:4318/a/b", false, "::1", 4318, "/a/b", "[::1]:4318"},
      {"[fd00::1]:4317", false, "fd00::1", 4317, "", "[fd00::1]:4317"},
      {"[fd00::1]", false, "fd00::1", 4318, "", "[fd00::1]:4318"},
      {"10.0.0.1:4317", false, "10.0.0.1", 4317, "", "10.0.0.1:4317"},
      {"unix:/run/collector.sock", false, "unix:/run/collector.sock", 0, "", "localhost"},
  };
  for (const auto& row : kTable) {
    const auto endpoint = Endpoint::Parse(row.text, 4318);
    ASSERT_TRUE(endpoint) << endpoint.error().message;
    EXPECT_EQ(endpoint->tls, row.tls) << row.text;
    EXPECT_EQ(endpoint->host, row.host) << row.text;
    EXPECT_EQ(endpoint->port, row.port) << row.text;
    EXPECT_EQ(endpoint->path, row.path) << row.text;
    EXPECT_EQ(endpoint->authority(), row.authority) << row.text;
  }
}

TEST(Endpoint, SaysWhatIsWrong) {
  for (const char* text :
       {"", "http://", "ftp://gateway:21", "gateway:", "gateway:port", "gateway:70000", "gateway:0", "fd00::1:4317",
        "http://user@gateway", "http://gateway/?a=b", "http://gate way", "a\r\nb:1"}) {
    const auto endpoint = Endpoint::Parse(text, 4317);
    ASSERT_FALSE(endpoint) << text;
    EXPECT_TRUE(endpoint.error().message.starts_with("endpoint \"")) << endpoint.error().message;
  }
}

TEST(OtlpClientOptions, AreCheckedBeforeAnythingIsSent) {
  base::Loop loop;
  using Options = OtlpClient::Options;
  using Protocol = OtlpClient::Protocol;
  Options bad_path{.endpoints = {"http://a:1"}, .protocol = Protocol::kHttpProtobuf};
  bad_path.paths[otlp::Signal::kLogs] = "no-slash";
  const std::vector<std::pair<Options, std::string>> kTable = {
      {{}, "no endpoint"},
      {{.endpoints = {"http://a:1/path"}}, "gRPC endpoints have no path"},
      {{.endpoints = {"http://a:1/x", "http://a:1/y"}, .protocol = Protocol::kHttpProtobuf}, "have the same path"},
      {{.endpoints = {"a:1"}, .headers = {{"Content-Length", "7"}}}, "header \"content-length\" cannot be set"},
      {{.endpoints = {"a:1"}, .headers = {{"a b", "x"}}}, "not a header name"},
      {{.endpoints = {"a:1"}, .headers = {{"a", "x\r\ny: z"}}}, "control characters"},
      {{.endpoints = {"a:1"}, .compression = Encoding::kDeflate}, "compression is none, gzip or zstd"},
      {{.endpoints = {"https://a:1"}, .tls = {.ca_file = "/nonexistent.pem"}}, "/nonexistent.pem"},
      {bad_path, "not one that a URL can have"},
  };
  for (const auto& [options, complaint] : kTable) {
    const auto client = OtlpClient::Create(loop, options);
    ASSERT_FALSE(client.has_value()) << complaint;
    EXPECT_NE(client.error().message.find(complaint), std::string::npos) << client.error().message;
  }
}

}  // namespace
}  // namespace tributary::pipeline
