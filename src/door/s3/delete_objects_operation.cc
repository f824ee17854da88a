#include "door/s3/call.h"
#include "door/s3/errors.h"
#include "door/s3/object_headers.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

namespace {

// What became of one object that the request names.
struct Answer {
  Result<void> result;
  const store::DeleteOutcome* outcome = nullptr;  // null: refused before it came to the store
};

void write_error(XmlWriter& xml, const store::DeleteItem& item, const Error& error) {
  xml.open("Error").element("Key", item.key);
  if (item.version) xml.element("VersionId", *item.version);
  xml.element("Code", s3_error_of(error).code).element("Message", client_message(error)).close();
}

void write_deleted(XmlWriter& xml, const store::DeleteItem& item, const store::DeleteOutcome& outcome) {
  xml.open("Deleted").element("Key", item.key);
  if (item.version) xml.element("VersionId", *item.version);
  if (outcome.delete_marker) {
    xml.element("DeleteMarker", true);
    std::string_view marker = outcome.marker_version;
    if (marker.empty() && item.version) marker = *item.version;
    if (!marker.empty()) xml.element("DeleteMarkerVersionId", marker);
  }
  xml.close();
}

Result<void> check_item(const store::DeleteItem& item) {
  if (item.key.size() > kKeyBytesMax) return refuse("KeyTooLongError");
  if (item.version && !check_version_name(*item.version))
    return refuse("NoSuchVersion", "The version id is not one of this service.");
  return {};
}

std::string write_answer(const DeleteDocument& document, const std::vector<Answer>& answers) {
  XmlWriter xml("DeleteResult");
  for (size_t i = 0; i < answers.size(); ++i) {
    const store::DeleteItem& item = document.items[i];
    const Result<void>& result = answers[i].result;
    bool gone = result || s3_error_of(result.error()).code == "NoSuchKey";
    if (gone && document.quiet) continue;
    if (!gone)
      write_error(xml, item, result.error());
    else if (answers[i].outcome != nullptr)
      write_deleted(xml, item, *answers[i].outcome);
  }
  return xml.take();
}

// Reads the request's document, deletes, and says what became of each key. The room of the document stands for its keys until the end.
io::Task<Result<std::string>> delete_items(Call& call, bool bypass_governance) {
  auto read = co_await read_request_document(call, kDeleteDocumentBytesMax, "MalformedXML");
  if (!read) co_return std::unexpected(std::move(read).error());
  if (read->text.empty()) co_return refuse("MissingRequestBodyError");
  CO_ASSIGN_OR_RETURN(DeleteDocument document, parse_delete(read->text, call.door.clock.unix_ms()));
  read->text = {};

  store::RemoveRequest request;
  request.bucket = call.target.bucket;
  request.bypass_governance = bypass_governance;
  request.owner = call.account_id();
  std::vector<Answer> answers(document.items.size());
  std::vector<size_t> asked;  // answers that the store gives
  for (size_t i = 0; i < document.items.size(); ++i) {
    const store::DeleteItem& item = document.items[i];
    answers[i].result = check_item(item);
    if (answers[i].result) answers[i].result = authorize_delete(call, item.key, item.version);
    if (!answers[i].result) continue;
    // One that may not be overridden keeps the lock of all: what is protected is then refused by the store.
    request.bypass_governance =
        request.bypass_governance && authorize(call, {"s3:BypassGovernanceRetention", item.key}).has_value();
    request.items.push_back(document.items[i]);
    asked.push_back(i);
  }
  std::vector<store::DeleteOutcome> outcomes;
  if (!asked.empty()) {
    auto removed = co_await call.door.store.remove(std::move(request));
    if (!removed) co_return std::unexpected(std::move(removed).error());
    outcomes = std::move(*removed);
    if (outcomes.size() != asked.size())
      co_return fail(Code::internal, "the store told the outcome of other deletes than were asked for");
  }
  for (size_t i = 0; i < asked.size(); ++i) {
    answers[asked[i]].result = outcomes[i].result;
    answers[asked[i]].outcome = &outcomes[i];
  }
  co_return write_answer(document, answers);
}

}  // namespace

io::Task<Result<void>> delete_objects(Call& call) {
  // SDKs from 2025 on send a checksum in place of Content-MD5; one of them must be there.
  if (!call.plan.has_integrity())
    co_return refuse("InvalidRequest",
                     "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
  CO_ASSIGN_OR_RETURN(bool bypass, read_flag(call.request.headers, "x-amz-bypass-governance-retention"));
  auto bucket = co_await open_target_bucket(call);
  if (!bucket) co_return std::unexpected(std::move(bucket).error());
  auto answer = co_await delete_items(call, bypass);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  // If the answer finds no room the keys are gone all the same: the client may repeat what it asked for.
  auto sent = co_await reply_xml(call, std::move(*answer));
  co_return sent;
}

}  // namespace archipel::door::s3
