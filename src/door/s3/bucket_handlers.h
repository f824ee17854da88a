// The operations that configure a bucket, and what its configuration adds to the answers of others. Private to door/s3.
#pragma once

#include "door/s3/call.h"
#include "door/s3/settings.h"

namespace archipel::door::s3 {

std::shared_ptr<const BucketSettings> settings_of(Call& call, const store::BucketInfo& bucket);

// If a script of another origin asks and the bucket's rules allow it: what every answer to this request will say (Call::cors). Before the caller
// is known, so that refusals say it too. Never fails: without the headers a browser keeps the answer to itself.
io::Task<void> note_cors(Call& call);
// OPTIONS, which nobody signs. Errors: BadRequest (not a preflight), AccessForbidden.
io::Task<Result<void>> preflight(Call& call);

// Changes the target's bucket and answers with `status`.
io::Task<Result<void>> configure(Call& call, store::BucketChange change, int status);

// What the bucket's settings say of an object: x-amz-expiration for the current version of `key`, if a rule will expire it. Its size is noted
// for the access log.
void add_expiration(Call& call, const store::BucketInfo& bucket, std::string_view key,
                    const store::ObjectInfo& info, http::Headers& out);

// The record of a request that has been answered, if its bucket wants one.
io::Task<void> log_access(Call& call, TimePoint began);

// The operations. Each answers, or returns the error to answer with.
io::Task<Result<void>> get_bucket_cors(Call& call);
io::Task<Result<void>> put_bucket_cors(Call& call);
io::Task<Result<void>> delete_bucket_cors(Call& call);
io::Task<Result<void>> get_bucket_encryption(Call& call);
io::Task<Result<void>> put_bucket_encryption(Call& call);
io::Task<Result<void>> delete_bucket_encryption(Call& call);
io::Task<Result<void>> get_bucket_lifecycle(Call& call);
io::Task<Result<void>> put_bucket_lifecycle(Call& call);
io::Task<Result<void>> delete_bucket_lifecycle(Call& call);
io::Task<Result<void>> get_bucket_logging(Call& call);
io::Task<Result<void>> put_bucket_logging(Call& call);
io::Task<Result<void>> get_object_lock_configuration(Call& call);
io::Task<Result<void>> put_object_lock_configuration(Call& call);
io::Task<Result<void>> get_bucket_request_payment(Call& call);
io::Task<Result<void>> put_bucket_request_payment(Call& call);
io::Task<Result<void>> get_bucket_tagging(Call& call);
io::Task<Result<void>> put_bucket_tagging(Call& call);
io::Task<Result<void>> delete_bucket_tagging(Call& call);
io::Task<Result<void>> get_bucket_versioning(Call& call);
io::Task<Result<void>> put_bucket_versioning(Call& call);
io::Task<Result<void>> get_bucket_website(Call& call);
io::Task<Result<void>> put_bucket_website(Call& call);
io::Task<Result<void>> delete_bucket_website(Call& call);

}  // namespace archipel::door::s3
