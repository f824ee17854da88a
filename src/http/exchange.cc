// What an Exchange does that knows nothing of stored responses and other versions of itself.
#include "http/server.h"

namespace archipel::http {
namespace {

Response to_response(const StoredResponse& stored) {
  Response response;
  response.status = stored.status;
  if (stored.headers != nullptr) response.headers = *stored.headers;
  for (const FieldView& field : stored.extra)
    response.headers.add(std::string(field.name), std::string(field.value));
  if (!stored.date.empty()) response.headers.set("date", std::string(stored.date));
  return response;
}

}  // namespace

io::Task<Result<void>> Exchange::respond_stored(const StoredResponse& stored,
                                                std::span<const ByteView> body) {
  Response response = to_response(stored);
  if (stored.length) response.headers.set("content-length", std::to_string(*stored.length));
  std::string whole;
  for (ByteView part : body) whole += as_text(part);
  auto sent = co_await respond(std::move(response), std::move(whole));
  co_return sent;
}

io::Task<Result<void>> Exchange::start_stored(const StoredResponse& stored) {
  auto started = co_await start(to_response(stored), stored.length);
  co_return started;
}

io::Task<Result<std::unique_ptr<io::Stream>>> Exchange::upgrade(Headers) {
  co_return fail(Code::unsupported, "this connection cannot leave HTTP");
}

io::Task<Result<void>> Exchange::interim(int, Headers) {
  co_return {};
}

}  // namespace archipel::http
