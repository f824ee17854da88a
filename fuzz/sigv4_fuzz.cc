// Hostile requests up to the point where a signature is compared: target, query, Authorization, and the documents of the S3 door.
#include <cstdlib>

#include "door/s3/bucket_documents.h"
#include "door/s3/object_headers.h"
#include "door/s3/operation.h"
#include "door/s3/sigv4.h"
#include "door/s3/target.h"
#include "door/s3/xml.h"

using namespace archipel;
using namespace archipel::door::s3;

namespace {

struct FixedClock final : Clock {
  TimePoint now() override { return {}; }
  UnixMs unix_ms() override { return 1'369'353'600'000; }
};

}  // namespace

// Input: first line the target, second the Authorization header, third the Host; each further line one "name:value" header.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_delete(text, 0);
  (void)parse_new_bucket(text);
  auto line = [&text] {
    size_t end = text.find('\n');
    std::string_view out = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    return std::string(out);
  };
  http::Request request;
  request.method = size % 2 == 0 ? "GET" : "PUT";
  request.target = line();
  std::string authorization = line();
  if (!authorization.empty()) request.headers.add("authorization", authorization);
  request.headers.add("host", line());
  request.headers.add("x-amz-date", "20130524T000000Z");
  request.headers.add("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
  while (!text.empty() && request.headers.size() < 64) {
    std::string header = line();
    size_t colon = header.find(':');
    if (colon != std::string::npos && colon > 0)
      request.headers.add(header.substr(0, colon), header.substr(colon + 1));
  }
  (void)read_object_headers(request.headers);
  (void)read_conditions(request.headers, "", 0);
  if (auto range = parse_range(request.headers.get("range"))) (void)resolve_range(*range, size);
  auto target = parse_target(request, "s3.localhost");
  if (!target) return 0;
  if (target->key.size() > kKeyBytesMax || !valid_utf8(target->key)) std::abort();
  auto operation = route(request, *target);
  if (operation) (void)check_allowed(*operation, request, *target);
  auto account = std::make_shared<const store::Account>(store::Account{"id", "name", "AK", "secret"});
  static FixedClock clock;
  Authenticator authenticator([&](const std::string& key) { return key == "AK" ? account : nullptr; }, clock);
  auto identity = authenticator.authenticate(request, target->query);
  // Nobody guesses a signature; without one a request is anonymous.
  if (identity && identity->method != Identity::Method::anonymous) std::abort();
  return 0;
}
