// One request on its way through the door: what is known of it so far, and the ways to answer it. Private to door/s3.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "door/s3/access.h"
#include "door/s3/body.h"
#include "door/s3/document_budget.h"
#include "door/s3/door.h"
#include "door/s3/operation.h"
#include "door/s3/settings.h"
#include "door/s3/sigv4.h"
#include "door/s3/target.h"

namespace archipel::door::s3 {

// Requests by operation and status class, and bytes of object data.
class Counters {
 public:
  Counters();
  void count(Operation operation, int status);
  metrics::Counter received, sent;

 private:
  static constexpr size_t kClasses = 4;  // 2xx, 3xx, 4xx, 5xx
  std::array<std::unique_ptr<metrics::Counter>, kOperations * kClasses> requests_;
};

struct Door::State {
  State(Options options, store::Store& store, Clock& clock, io::Workers* workers, Random& random);

  Options options;
  store::Store& store;
  Clock& clock;
  io::Workers* workers;
  Random& random;
  Authenticator authenticator;
  Counters counters;
  DocumentBudget documents;
  SettingsCache settings;
  BucketAccesses accesses;
  std::string host_id;                // x-amz-id-2: which door answered
  std::array<uint8_t, 32> token_key;  // for names in the log
};

struct Call {
  Door::State& door;
  http::Exchange& exchange;
  const http::Request& request;
  std::string request_id;
  Operation operation = Operation::none;
  Target target{};
  Identity identity{};
  BodyPlan plan{};
  http::Headers cors{};  // what every answer to this request says (bucket_handlers.h)
  // What admit() has found out (access.h).
  bool admitted = false;
  std::optional<BucketGrounds> bucket{};
  std::optional<store::ObjectInfo> object{};  // that was judged
  NewAccess new_access{};
  std::optional<iam::ConditionContext> context{};
  std::map<std::string, std::vector<std::string>> more_context{};  // condition keys that the body told
  // For the log and the counters.
  int status = 0;
  std::string error_code{};
  uint64_t bytes_in = 0, bytes_out = 0;
  std::optional<uint64_t> object_size{};  // of the object that was read or written

  bool head() const { return request.method == "HEAD"; }
  // Empty for an anonymous caller.
  const std::string& account_id() const {
    static const std::string kNobody;
    return identity.account ? identity.account->id : kNobody;
  }
};

// The URL of the target's object, as this client would ask for it.
std::string location_of(const Call& call);

// A response with the headers every answer carries.
http::Response make_response(Call& call, int status);
io::Task<Result<void>> reply(Call& call, http::Response response, std::string body = {});
// A large document is counted until it is sent; SlowDown if it does not fit (DocumentBudget).
io::Task<Result<void>> reply_xml(Call& call, std::string document);
std::string error_document(const Call& call, const Error& error);
// The S3 error document; for HEAD, and for 304, the status and headers only. `extra` headers are added.
io::Task<Result<void>> reply_error(Call& call, const Error& error, http::Headers extra = {});

// The request's body, a document of at most `bytes_max`, with its part of the budget. Errors: `code_if_larger`; SlowDown, before a byte is
// read; whatever the body fails.
struct ReadDocument {
  std::string text;
  DocumentBudget::Ticket ticket;
};
io::Task<Result<ReadDocument>> read_request_document(Call& call, size_t bytes_max,
                                                     std::string_view code_if_larger);

// The bucket the request addresses, where the caller may do what it asks (access.h).
io::Task<Result<store::BucketInfo>> open_target_bucket(Call& call);

// The operations. Each answers, or returns the error to answer with.
io::Task<Result<void>> list_buckets(Call& call);
io::Task<Result<void>> create_bucket(Call& call);
io::Task<Result<void>> head_bucket(Call& call);
io::Task<Result<void>> delete_bucket(Call& call);
io::Task<Result<void>> get_bucket_location(Call& call);
io::Task<Result<void>> get_bucket_acl(Call& call);
io::Task<Result<void>> put_bucket_acl(Call& call);
io::Task<Result<void>> get_object_acl(Call& call);
io::Task<Result<void>> put_object_acl(Call& call);
io::Task<Result<void>> get_bucket_policy(Call& call);
io::Task<Result<void>> put_bucket_policy(Call& call);
io::Task<Result<void>> delete_bucket_policy(Call& call);
io::Task<Result<void>> get_bucket_policy_status(Call& call);
io::Task<Result<void>> get_bucket_ownership_controls(Call& call);
io::Task<Result<void>> put_bucket_ownership_controls(Call& call);
io::Task<Result<void>> delete_bucket_ownership_controls(Call& call);
io::Task<Result<void>> get_public_access_block(Call& call);
io::Task<Result<void>> put_public_access_block(Call& call);
io::Task<Result<void>> delete_public_access_block(Call& call);
io::Task<Result<void>> list_objects_v1(Call& call);
io::Task<Result<void>> list_objects_v2(Call& call);
io::Task<Result<void>> delete_objects(Call& call);
io::Task<Result<void>> post_object(Call& call);
io::Task<Result<void>> put_object(Call& call);
io::Task<Result<void>> copy_object(Call& call);
io::Task<Result<void>> get_object(Call& call);
io::Task<Result<void>> head_object(Call& call);
io::Task<Result<void>> delete_object(Call& call);
io::Task<Result<void>> list_object_versions(Call& call);
io::Task<Result<void>> get_object_attributes(Call& call);
io::Task<Result<void>> get_object_tagging(Call& call);
io::Task<Result<void>> put_object_tagging(Call& call);
io::Task<Result<void>> delete_object_tagging(Call& call);
io::Task<Result<void>> get_object_retention(Call& call);
io::Task<Result<void>> put_object_retention(Call& call);
io::Task<Result<void>> get_object_legal_hold(Call& call);
io::Task<Result<void>> put_object_legal_hold(Call& call);
io::Task<Result<void>> create_multipart_upload(Call& call);
io::Task<Result<void>> upload_part(Call& call);
io::Task<Result<void>> upload_part_copy(Call& call);
io::Task<Result<void>> complete_multipart_upload(Call& call);
io::Task<Result<void>> abort_multipart_upload(Call& call);
io::Task<Result<void>> list_parts(Call& call);
io::Task<Result<void>> list_multipart_uploads(Call& call);

}  // namespace archipel::door::s3
