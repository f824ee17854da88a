#include <unordered_map>

#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

namespace {

void write_error(XmlWriter& xml, std::string_view key, const Error& error) {
  xml.open("Error").element("Key", key).element("Code", s3_error_of(error).code);
  xml.element("Message", client_message(error)).close();
}

Result<void> check_key(std::string_view key) {
  if (key.size() > kKeyBytesMax) return refuse("KeyTooLongError");
  return {};
}

// Reads the request's document, deletes, and says what became of each key. The room of the document stands for its keys until the end.
io::Task<Result<std::string>> delete_keys(Call& call) {
  auto read = co_await read_request_document(call, kDeleteDocumentBytesMax, "MalformedXML");
  if (!read) co_return std::unexpected(std::move(read).error());
  if (read->text.empty()) co_return refuse("MissingRequestBodyError");
  CO_ASSIGN_OR_RETURN(DeleteDocument document, parse_delete(read->text));
  read->text = {};

  std::vector<std::string> keys;
  for (const std::string& key : document.keys)
    if (check_key(key)) keys.push_back(key);
  std::unordered_map<std::string, Error> errors;
  if (!keys.empty()) {
    auto outcomes = co_await call.door.store.remove(call.target.bucket, std::move(keys));
    if (!outcomes) co_return std::unexpected(std::move(outcomes).error());
    for (store::DeleteOutcome& outcome : *outcomes)
      if (!outcome.result && s3_error_of(outcome.result.error()).code != "NoSuchKey")
        errors.emplace(std::move(outcome.key), std::move(outcome.result).error());
  }
  XmlWriter xml("DeleteResult");
  for (const std::string& key : document.keys) {
    Result<void> good = check_key(key);
    auto failed = errors.find(key);
    if (!good) {
      write_error(xml, key, good.error());
    } else if (failed != errors.end()) {
      write_error(xml, key, failed->second);
    } else if (!document.quiet) {
      xml.open("Deleted").element("Key", key).close();
    }
  }
  co_return xml.take();
}

}  // namespace

io::Task<Result<void>> delete_objects(Call& call) {
  // SDKs from 2025 on send a checksum in place of Content-MD5; one of them must be there.
  if (!call.plan.has_integrity())
    co_return refuse("InvalidRequest",
                     "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto answer = co_await delete_keys(call);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  // If the answer finds no room the keys are gone all the same: the client may repeat what it asked for.
  auto sent = co_await reply_xml(call, std::move(*answer));
  co_return sent;
}

}  // namespace archipel::door::s3
