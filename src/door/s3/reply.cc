#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/xml.h"
#include "http/uri.h"

namespace archipel::door::s3 {

std::string location_of(const Call& call) {
  std::string out = call.request.secure ? "https://" : "http://";
  out += call.request.headers.get("host");
  if (!call.target.virtual_hosted) out += '/' + call.target.bucket;
  return out + '/' + http::uri_encode(call.target.key, http::Slash::keep);
}

http::Response make_response(Call& call, int status) {
  http::Response response;
  response.status = status;
  response.headers.add("x-amz-request-id", call.request_id);
  response.headers.add("x-amz-id-2", call.door.host_id);
  for (const auto& [name, value] : call.cors) response.headers.add(name, value);
  call.status = status;
  return response;
}

io::Task<Result<void>> reply(Call& call, http::Response response, std::string body) {
  call.bytes_out += body.size();
  Result<void> sent = co_await call.exchange.respond(std::move(response), std::move(body));
  co_return sent;
}

io::Task<Result<void>> reply_xml(Call& call, std::string document) {
  std::optional<DocumentBudget::Ticket> ticket;
  if (document.size() > kDocumentBytesFree) {
    document.shrink_to_fit();
    ticket = call.door.documents.try_acquire(document.size());
    if (!ticket) co_return refuse("SlowDown");
  }
  http::Response response = make_response(call, 200);
  response.headers.add("content-type", "application/xml");
  Result<void> sent = co_await reply(call, std::move(response), std::move(document));
  co_return sent;
}

std::string error_document(const Call& call, const Error& error) {
  XmlWriter xml("Error", {});
  xml.element("Code", s3_error_of(error).code).element("Message", client_message(error));
  xml.element("Resource", valid_utf8(call.request.path()) ? call.request.path() : std::string_view("/"));
  xml.element("RequestId", call.request_id).element("HostId", call.door.host_id);
  return xml.take();
}

io::Task<Result<void>> reply_error(Call& call, const Error& error, http::Headers extra) {
  const S3Error& row = s3_error_of(error);
  http::Response response = make_response(call, row.status);
  for (const auto& [name, value] : extra) response.headers.add(name, value);
  call.error_code = row.code;
  std::string document;
  if (!call.head() && row.status != 304) {
    response.headers.add("content-type", "application/xml");
    document = error_document(call, error);
  }
  if (row.status == 405) response.headers.add("allow", std::string(allowed_methods(call.target)));
  if (row.status == 503) response.headers.add("retry-after", "1");
  Result<void> sent = co_await call.exchange.respond(std::move(response), std::move(document));
  co_return sent;
}

io::Task<Result<ReadDocument>> read_request_document(Call& call, size_t bytes_max,
                                                     std::string_view code_if_larger) {
  uint64_t announced = call.plan.length.value_or(bytes_max);
  if (announced > bytes_max) co_return refuse_larger_document(code_if_larger);
  auto bytes = static_cast<size_t>(announced);
  auto ticket = call.door.documents.try_acquire(bytes);
  if (!ticket) co_return refuse("SlowDown");
  RequestBody body(call.exchange, call.plan, call.identity, store::kObjectBytesMax, call.door.workers);
  auto text = co_await read_document(body, bytes, code_if_larger);
  if (!text) co_return std::unexpected(std::move(text).error());
  co_return ReadDocument{std::move(*text), std::move(*ticket)};
}

}  // namespace archipel::door::s3
