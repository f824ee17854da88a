// Which operation a request asks for, and whether it asks for anything this door does not do.
//
// One table, one row per operation: method, level, sub-resource, what query parameters and x-amz-* headers it takes, the action of the
// policy language that it is, and who carries it out. What a row does not list is NotImplemented, before anything is read or stored:
// `PUT ?tagging` never becomes a PutObject.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "door/s3/target.h"
#include "http/message.h"
#include "io/task.h"

namespace archipel::door::s3 {

struct Call;

enum class Operation {
  list_buckets,
  sts,
  get_bucket_location,
  get_bucket_acl,
  put_bucket_acl,
  get_bucket_cors,
  put_bucket_cors,
  delete_bucket_cors,
  get_bucket_encryption,
  put_bucket_encryption,
  delete_bucket_encryption,
  get_bucket_lifecycle,
  put_bucket_lifecycle,
  delete_bucket_lifecycle,
  get_bucket_logging,
  put_bucket_logging,
  get_object_lock_configuration,
  put_object_lock_configuration,
  get_bucket_ownership_controls,
  put_bucket_ownership_controls,
  delete_bucket_ownership_controls,
  get_bucket_policy,
  put_bucket_policy,
  delete_bucket_policy,
  get_bucket_policy_status,
  get_public_access_block,
  put_public_access_block,
  delete_public_access_block,
  get_bucket_request_payment,
  put_bucket_request_payment,
  get_bucket_tagging,
  put_bucket_tagging,
  delete_bucket_tagging,
  get_bucket_versioning,
  put_bucket_versioning,
  get_bucket_website,
  put_bucket_website,
  delete_bucket_website,
  list_object_versions,
  list_multipart_uploads,
  list_objects_v2,
  list_objects_v1,
  delete_objects,
  post_object,
  create_bucket,
  head_bucket,
  delete_bucket,
  preflight_bucket,
  get_object_acl,
  put_object_acl,
  get_object_attributes,
  get_object_legal_hold,
  put_object_legal_hold,
  get_object_retention,
  put_object_retention,
  get_object_tagging,
  put_object_tagging,
  delete_object_tagging,
  create_multipart_upload,
  complete_multipart_upload,
  abort_multipart_upload,
  list_parts,
  upload_part_copy,
  upload_part,
  copy_object,
  put_object,
  get_object,
  head_object,
  delete_object,
  preflight_object,
  none,  // refused before it was known; keep last
};
inline constexpr size_t kOperations = static_cast<size_t>(Operation::none) + 1;

enum class Level { service, bucket, object };

// Header names; one that ends with '-' stands for everything that begins so; "name=value" allows that value alone, which asks for what
// happens in any case.
using Names = std::span<const std::string_view>;

struct OperationRow {
  Operation operation;
  std::string_view name;  // as the S3 API calls it
  std::string_view method;
  Level level;
  std::string_view sub_resource;  // query parameter that must be there; empty: none
  std::string_view header;        // header that must be there; empty: none
  Names parameters, headers;      // allowed besides those that every operation allows
  bool takes_body;
  std::string_view action;  // "s3:GetObject"; empty: no policy speaks of it
  using Handler = io::Task<Result<void>> (*)(Call&);
  Handler handler;  // null: not offered
};
// In the order of the enumeration, `none` left out.
std::span<const OperationRow> operations();
const OperationRow& row_of(Operation operation);

// "PutObject"; "none" for none.
std::string_view to_string(Operation operation);

// What the Allow header of a 405 says of `target`; of the service as a whole if it names no bucket.
std::string_view allowed_methods(const Target& target);

// Errors: MethodNotAllowed, NotImplemented (an operation of S3, but none of ours).
Result<Operation> route(const http::Request& request, const Target& target);
// Refuses what `operation` does not allow. Errors: NotImplemented.
Result<void> check_allowed(Operation operation, const http::Request& request, const Target& target);

}  // namespace archipel::door::s3
