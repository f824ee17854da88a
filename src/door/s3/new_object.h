// What a write says of the object it makes, besides its bytes: read once, for PutObject, CopyObject and CreateMultipartUpload alike.
#pragma once

#include "door/s3/access.h"
#include "door/s3/call.h"
#include "door/s3/object_headers.h"
#include "door/s3/sse_headers.h"

namespace archipel::door::s3 {

struct NewObject {
  ObjectHeaders kept;
  store::Attributes attributes;  // tags and lock; who owns it and who may use it is access.h's part
  bool tags_given = false;
  AskedEncryption encryption;
  bool lock_given = false;  // the headers ask for a lock; the bucket's default retention does not count
};

// From the headers alone. Errors: those of object_headers.h, tagging.h, lock_headers.h and sse_headers.h; InvalidStorageClass,
// InvalidRedirectLocation.
Result<NewObject> read_new_object(const Call& call);

// What the bucket adds: its default encryption, its default retention. Errors: InvalidRequest (a lock in a bucket without Object Lock, or
// with no digest of the body when `has_integrity` is false), InternalError (a setting that cannot be read: nothing is stored).
Result<void> apply_bucket_defaults(Call& call, const store::BucketInfo& bucket, bool has_integrity,
                                   NewObject& object);

// Puts it, and who may use it, into what the store is asked: a PutRequest, CopyRequest or CreateUpload. Moves all but the encryption, which answers
// tell of.
template <class Request>
void fill(const Call& call, NewObject& object, Request& request) {
  request.headers = std::move(object.kept.headers);
  request.metadata = std::move(object.kept.metadata);
  request.attributes = std::move(object.attributes);
  set_access(call, request.attributes);
  request.encryption = object.encryption.encryption;
  request.customer_key = object.encryption.customer_key;
}

}  // namespace archipel::door::s3
