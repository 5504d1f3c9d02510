#include "agent/http_get.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <mutex>

#include "base/check.h"
#include "base/whole_file.h"

namespace tributary::agent {
namespace {

constexpr base::Nanos kConnectTimeout = std::chrono::seconds(5);
constexpr size_t kErrorBodyMax = 4096;
constexpr int kWakeMax_ms = 1000;

long Milliseconds(base::Nanos time) { return std::chrono::duration_cast<std::chrono::milliseconds>(time).count(); }

// Without the newline that some editors end a file with.
std::string ReadToken(const std::string& path) {
  std::string token = base::ReadText(path);
  token.erase(std::find_if(token.begin(), token.end(), [](char c) { return c == '\r' || c == '\n'; }), token.end());
  return token;
}

}  // namespace

struct HttpGet::Transfer {
  CURL* handle;
  const Take& take;
  Answer answer;
  bool given_up = false;

  size_t Write(std::string_view piece) {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
      answer.error_body.append(piece.substr(0, kErrorBodyMax - std::min(kErrorBodyMax, answer.error_body.size())));
      return piece.size();
    }
    given_up = !take(piece);
    return given_up ? 0 : piece.size();
  }
  static size_t OnBody(char* data, size_t size, size_t count, void* transfer) {
    return static_cast<Transfer*>(transfer)->Write({data, size * count});
  }
};

HttpGet::HttpGet(Credentials credentials) : credentials_(std::move(credentials)) {
  static std::once_flag once;
  std::call_once(once, [] { CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
  multi_ = curl_multi_init();
  CHECK(multi_ != nullptr);
}

HttpGet::~HttpGet() { curl_multi_cleanup(multi_); }

void HttpGet::Stop() {
  stopped_ = true;
  curl_multi_wakeup(multi_);
}

base::Result<HttpGet::Answer> HttpGet::Run(const std::string& url, base::Nanos timeout, const Take& take) {
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  CHECK(handle != nullptr);
  CURL* curl = handle.get();
  char error[CURL_ERROR_SIZE] = "";
  Transfer transfer{.handle = curl, .take = take, .answer = {}};
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");  // the cluster is not behind one
  curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(kConnectTimeout));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, Milliseconds(timeout));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  if (!credentials_.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, credentials_.ca_file.c_str());
  if (!credentials_.verify_certificate) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!credentials_.token_file.empty()) {
    const std::string token = ReadToken(credentials_.token_file);
    if (token.empty()) return base::Fail("{}: no token can be read", credentials_.token_file);
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token.c_str());
  }

  CHECK(curl_multi_add_handle(multi_, curl) == CURLM_OK);
  CURLMsg* message = nullptr;
  while (!stopped_ && message == nullptr) {
    int running = 0, left = 0;
    curl_multi_perform(multi_, &running);
    message = curl_multi_info_read(multi_, &left);
    if (message == nullptr) curl_multi_poll(multi_, nullptr, 0, kWakeMax_ms, nullptr);
  }
  const CURLcode result = message != nullptr ? message->data.result : CURLE_ABORTED_BY_CALLBACK;
  curl_multi_remove_handle(multi_, curl);
  if (stopped_) return base::Fail("stopped");
  if (transfer.given_up) return base::Fail("the answer is not what was asked for");
  if (result != CURLE_OK) return base::Fail("{}", *error != 0 ? error : curl_easy_strerror(result));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  transfer.answer.status = static_cast<int>(status);
  return std::move(transfer.answer);
}

}  // namespace tributary::agent
