#include "door/s3/errors.h"

#include "base/check.h"

namespace archipel::door::s3 {

static constexpr S3Error kErrors[] = {
    {"AccessControlListNotSupported", 400, "The bucket does not allow ACLs."},
    {"AccessDenied", 403, "Access Denied"},
    {"AccessForbidden", 403, "This CORS request is not allowed."},
    {"AuthorizationHeaderMalformed", 400, "The authorization header that you provided is not valid."},
    {"AuthorizationQueryParametersError", 400, "The query parameters of the signature are not valid."},
    {"BadDigest", 400, "The checksum you specified did not match what we received."},
    {"BadRequest", 400, "Bad Request"},
    {"BucketAlreadyExists", 409, "The requested bucket name is not available; choose another one."},
    {"BucketAlreadyOwnedByYou", 409, "The bucket exists already, and you own it."},
    {"BucketNotEmpty", 409, "The bucket you tried to delete is not empty."},
    {"ConditionalRequestConflict", 409, "A conflicting request succeeded meanwhile; try again."},
    {"EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size."},
    {"EntityTooSmall", 400,
     "Your proposed upload is smaller than the minimum allowed size: every part but the last has at least 5 "
     "MiB."},
    {"ExpiredToken", 400, "The provided token has expired."},
    {"IllegalVersioningConfigurationException", 400, "The Versioning element must be specified"},
    {"IncompleteBody", 400, "The request body terminated unexpectedly."},
    {"InternalError", 500, "We encountered an internal error. Please try again."},
    {"InvalidAccessKeyId", 403, "The access key id you provided does not exist in our records."},
    {"InvalidArgument", 400, "Invalid argument."},
    {"InvalidBucketAclWithObjectOwnership", 400,
     "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting."},
    {"InvalidBucketName", 400, "The specified bucket is not valid."},
    {"InvalidBucketState", 409, "The request is not valid for the current state of the bucket."},
    {"InvalidDigest", 400, "The Content-MD5 you specified is not valid."},
    {"InvalidEncryptionAlgorithmError", 400,
     "The encryption request that you specified is not valid. Supported value: AES256."},
    {"InvalidLocationConstraint", 400, "The specified location constraint is not valid."},
    {"InvalidPart", 400,
     "One or more of the specified parts could not be found. The part may not have been uploaded, or its "
     "entity tag may not match."},
    {"InvalidPartNumber", 416, "The requested part number is not satisfiable."},
    {"InvalidPartOrder", 400, "The list of parts was not in ascending order."},
    {"InvalidPolicyDocument", 400,
     "The content of the form does not meet the conditions specified in the policy document."},
    {"InvalidRange", 416, "The requested range cannot be satisfied."},
    {"InvalidRedirectLocation", 400,
     "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."},
    {"InvalidRequest", 400, "Invalid request."},
    {"InvalidRetentionPeriod", 400, "The retention period specified in the request is not valid."},
    {"InvalidStorageClass", 400, "The storage class you specified is not valid."},
    {"InvalidTag", 400, "The tag provided was not a valid tag."},
    {"InvalidToken", 400, "The provided token is malformed or otherwise not valid."},
    {"InvalidTargetBucketForLogging", 400,
     "The target bucket for logging does not exist, is not owned by you, or does not let logs in."},
    {"InvalidURI", 400, "Could not parse the specified URI."},
    {"KeyTooLongError", 400, "Your key is too long: at most 1,024 bytes of UTF-8."},
    {"MalformedACLError", 400,
     "The XML you provided was not well-formed or did not validate against our published schema."},
    {"MalformedPOSTRequest", 400, "The body of your POST request is not well-formed multipart/form-data."},
    {"MalformedPolicy", 400, "The policy is malformed."},
    {"MalformedTrailerError", 400,
     "The request contained trailing data that was not well-formed or did not conform to the published "
     "schema."},
    {"MalformedXML", 400,
     "The XML you provided was not well-formed or did not validate against the published schema."},
    {"MaxPostPreDataLengthExceededError", 400,
     "Your POST request fields preceding the upload file were too large."},
    {"MetadataTooLarge", 400,
     "Your metadata headers exceed the maximum allowed metadata size of 2,048 bytes."},
    {"MethodNotAllowed", 405, "The specified method is not allowed against this resource."},
    {"MissingContentLength", 411, "You must provide the Content-Length HTTP header."},
    {"MissingRequestBodyError", 400, "Request body is empty."},
    {"MissingSecurityHeader", 400, "Your request is missing a required header."},
    {"NoSuchBucket", 404, "The specified bucket does not exist."},
    {"NoSuchBucketPolicy", 404, "The bucket policy does not exist."},
    {"NoSuchCORSConfiguration", 404, "The CORS configuration does not exist"},
    {"NoSuchKey", 404, "The specified key does not exist."},
    {"NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist"},
    {"NoSuchObjectLockConfiguration", 404,
     "The specified object does not have an Object Lock configuration."},
    {"NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found."},
    {"NoSuchTagSet", 404, "The TagSet does not exist"},
    {"NoSuchUpload", 404,
     "The specified upload does not exist. The upload id may be invalid, or the upload may have been aborted "
     "or completed."},
    {"NoSuchVersion", 404, "The specified version does not exist."},
    {"NoSuchWebsiteConfiguration", 404, "The specified bucket does not have a website configuration"},
    {"NotImplemented", 501, "A header or query you provided implies functionality that is not offered."},
    {"NotModified", 304, "Not Modified"},
    {"ObjectLockConfigurationNotFoundError", 404, "Object Lock configuration does not exist for this bucket"},
    {"OperationAborted", 409, "A conflicting operation is under way against this resource; try again."},
    {"OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found."},
    {"PlacementRefused", 403,
     "The placement policy of this bucket is not configured here; it takes no writes."},
    {"PreconditionFailed", 412, "At least one of the preconditions you specified did not hold."},
    {"QuotaExceeded", 403, "The quota of the bucket or of its owner does not allow this."},
    {"RequestTimeTooSkewed", 403,
     "The difference between the request time and the server's time is too large."},
    {"RequestTimeout", 400,
     "Your socket connection was not read from or written to within the timeout period."},
    {"ServerSideEncryptionConfigurationNotFoundError", 404,
     "The server side encryption configuration was not found"},
    {"ServiceUnavailable", 503, "The service cannot answer now. Please try again."},
    {"SignatureDoesNotMatch", 403,
     "The request signature we calculated does not match the signature you provided. Check your key and "
     "signing method."},
    {"SlowDown", 503, "Please reduce your request rate."},
    {"TooManyBuckets", 400, "You have attempted to create more buckets than allowed"},
    {"UnexpectedContent", 400, "This request does not support content."},
    {"UnresolvableGrantByEmailAddress", 400,
     "The email address you provided does not match any account on record."},
    {"XAmzContentSHA256Mismatch", 400,
     "The provided 'x-amz-content-sha256' header does not match what was computed."},
};

std::span<const S3Error> s3_errors() {
  return kErrors;
}

static const S3Error* find_code(std::string_view code) {
  for (const S3Error& row : kErrors)
    if (row.code == code) return &row;
  return nullptr;
}

static std::string_view code_for(Code code) {
  switch (code) {
    case Code::not_found:
      return "NoSuchKey";
    case Code::exists:
      return "OperationAborted";
    case Code::precondition:
      return "PreconditionFailed";
    case Code::invalid:
      return "InvalidRequest";
    case Code::denied:
      return "AccessDenied";
    case Code::throttled:
      return "SlowDown";
    case Code::limit:
    case Code::unavailable:
    case Code::undetermined:
    case Code::timeout:
    case Code::cancelled:
      return "ServiceUnavailable";
    case Code::unsupported:
      return "NotImplemented";
    case Code::corrupt:
    case Code::io:
    case Code::internal:
      return "InternalError";
  }
  return "InternalError";
}

const S3Error& s3_error_of(const Error& error) {
  const S3Error* row = find_code(error.detail);
  if (row == nullptr) row = find_code(code_for(error.code));
  CHECK(row != nullptr);
  return *row;
}

std::string_view client_message(const Error& error) {
  const S3Error& row = s3_error_of(error);
  bool ours = row.status >= 500 && row.status != 501;
  return ours || error.message.empty() ? row.message : std::string_view(error.message);
}

static Code code_of_status(int status) {
  switch (status) {
    case 304:
    case 412:
      return Code::precondition;
    case 403:
      return Code::denied;
    case 404:
      return Code::not_found;
    case 409:
      return Code::exists;
    case 501:
      return Code::unsupported;
    case 503:
      return Code::unavailable;
    case 500:
      return Code::internal;
    default:
      return Code::invalid;
  }
}

Error make_error(std::string_view s3_code, std::string message) {
  const S3Error* row = find_code(s3_code);
  CHECK(row != nullptr);
  if (message.empty()) message = row->message;
  return Error{code_of_status(row->status), std::move(message), std::string(s3_code)};
}

}  // namespace archipel::door::s3
