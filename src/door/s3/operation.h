// Which operation a request asks for, and whether it asks for anything this door does not do.
//
// Allow-lists: a sub-resource or x-amz-* header that is not listed for the operation is NotImplemented, before anything is read or
// stored. `PUT ?tagging` never becomes a PutObject.
#pragma once

#include <array>
#include <string_view>

#include "base/result.h"
#include "door/s3/target.h"
#include "http/message.h"

namespace archipel::door::s3 {

enum class Operation {
  list_buckets,
  create_bucket,
  head_bucket,
  delete_bucket,
  get_bucket_location,
  list_objects_v1,
  list_objects_v2,
  delete_objects,
  put_object,
  copy_object,
  get_object,
  head_object,
  delete_object,
  none,  // refused before it was known; keep last
};
inline constexpr size_t kOperations = static_cast<size_t>(Operation::none) + 1;

// "PutObject"; "none" for none.
std::string_view to_string(Operation operation);

// What the Allow header of a 405 says of `target`; of the service as a whole if it names no bucket.
std::string_view allowed_methods(const Target& target);

// Errors: MethodNotAllowed, NotImplemented (a POST that is some operation of S3, but none of ours).
Result<Operation> route(const http::Request& request, const Target& target);
// Refuses what `operation` does not allow. Errors: NotImplemented.
Result<void> check_allowed(Operation operation, const http::Request& request, const Target& target);

}  // namespace archipel::door::s3
