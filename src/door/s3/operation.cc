#include "door/s3/operation.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "door/s3/bucket_handlers.h"
#include "door/s3/call.h"
#include "door/s3/errors.h"

namespace archipel::door::s3 {

namespace {

using Name = std::string_view;

constexpr Names kNone{};
constexpr Name kAny[] = {"*"};

// Query parameters.
constexpr Name kListBuckets[] = {"max-buckets", "continuation-token", "prefix"};
// bucket, key and etag are what the redirect after a form adds to its URL, which is often the bucket itself.
constexpr Name kListV1[] = {"prefix",        "delimiter", "marker", "max-keys",
                            "encoding-type", "bucket",    "key",    "etag"};
constexpr Name kListV2[] = {"list-type",     "prefix",      "delimiter",   "max-keys",
                            "encoding-type", "start-after", "fetch-owner", "continuation-token"};
constexpr Name kListVersions[] = {"prefix",        "delimiter",  "max-keys",
                                  "encoding-type", "key-marker", "version-id-marker"};
constexpr Name kListUploads[] = {"prefix",        "delimiter",  "max-uploads",
                                 "encoding-type", "key-marker", "upload-id-marker"};
constexpr Name kListParts[] = {"max-parts", "part-number-marker"};
constexpr Name kPart[] = {"partNumber"};
constexpr Name kVersion[] = {"versionId"};
constexpr Name kGet[] = {"versionId",
                         "partNumber",
                         "response-content-type",
                         "response-content-language",
                         "response-expires",
                         "response-cache-control",
                         "response-content-disposition",
                         "response-content-encoding"};

// Every operation takes these: part of signing and framing, or asking for what happens anyway.
constexpr Name kAnyParameter[] = {"x-id"};
constexpr Name kAnyHeader[] = {
    "x-amz-date",          "x-amz-content-sha256",         "x-amz-security-token",
    "x-amz-user-agent",    "x-amz-expected-bucket-owner",  "x-amz-trailer",
    "x-amz-request-payer", "x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm",
    "x-amz-checksum-mode"};

constexpr Name kChecksums[] = {"x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme",
                               "x-amz-checksum-sha1", "x-amz-checksum-sha256"};
constexpr Name kDeleteObjects[] = {
    "x-amz-bypass-governance-retention", "x-amz-checksum-crc32", "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",          "x-amz-checksum-sha1",  "x-amz-checksum-sha256"};
constexpr Name kAcl[] = {"x-amz-acl",
                         "x-amz-grant-",
                         "x-amz-checksum-crc32",
                         "x-amz-checksum-crc32c",
                         "x-amz-checksum-crc64nvme",
                         "x-amz-checksum-sha1",
                         "x-amz-checksum-sha256"};
constexpr Name kPolicy[] = {"x-amz-checksum-crc32",     "x-amz-checksum-crc32c",
                            "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1",
                            "x-amz-checksum-sha256",    "x-amz-confirm-remove-self-bucket-access=false"};
constexpr Name kListing[] = {"x-amz-optional-object-attributes=none"};
constexpr Name kCreateBucket[] = {
    "x-amz-checksum-crc32", "x-amz-checksum-crc32c",  "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",  "x-amz-checksum-sha256",  "x-amz-acl",
    "x-amz-grant-",         "x-amz-object-ownership", "x-amz-bucket-object-lock-enabled",
    "x-archipel-placement", "x-archipel-data-class"};

// Lists that several operations share, and what each adds.
template <size_t... N>
constexpr auto join(const Name (&... lists)[N]) {
  std::array<Name, (N + ...)> out{};
  auto to = out.begin();
  ((to = std::ranges::copy(lists, to).out), ...);
  return out;
}
constexpr Name kCustomerKey[] = {"x-amz-server-side-encryption-customer-algorithm",
                                 "x-amz-server-side-encryption-customer-key",
                                 "x-amz-server-side-encryption-customer-key-md5"};
constexpr Name kNewObject[] = {"x-amz-meta-",
                               "x-amz-acl",
                               "x-amz-grant-",
                               "x-amz-storage-class",
                               "x-amz-tagging",
                               "x-amz-website-redirect-location",
                               "x-amz-object-lock-mode",
                               "x-amz-object-lock-legal-hold",
                               "x-amz-object-lock-retain-until-date",
                               "x-amz-server-side-encryption",
                               "x-amz-server-side-encryption-aws-kms-key-id",
                               "x-amz-server-side-encryption-context",
                               "x-amz-server-side-encryption-bucket-key-enabled"};
constexpr Name kSource[] = {"x-amz-copy-source",
                            "x-amz-copy-source-if-match",
                            "x-amz-copy-source-if-none-match",
                            "x-amz-copy-source-if-modified-since",
                            "x-amz-copy-source-if-unmodified-since",
                            "x-amz-source-expected-bucket-owner",
                            "x-amz-copy-source-server-side-encryption-customer-algorithm",
                            "x-amz-copy-source-server-side-encryption-customer-key",
                            "x-amz-copy-source-server-side-encryption-customer-key-md5"};
constexpr Name kAttributesOnly[] = {"x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker"};
constexpr Name kRetentionOnly[] = {"x-amz-bypass-governance-retention"};
// s3fs says of an upload that it will fill by copies that its metadata replaces theirs, as it does.
constexpr Name kCreateUploadOnly[] = {"x-amz-checksum-algorithm", "x-amz-checksum-type",
                                      "x-amz-metadata-directive=REPLACE"};
constexpr Name kCompleteOnly[] = {"x-amz-checksum-type", "x-amz-mp-object-size"};
constexpr Name kPartCopyOnly[] = {"x-amz-copy-source-range"};
constexpr Name kPutOnly[] = {"x-amz-checksum-type=FULL_OBJECT"};
constexpr Name kCopyOnly[] = {"x-amz-metadata-directive", "x-amz-tagging-directive",
                              "x-amz-checksum-algorithm"};
constexpr Name kAbort[] = {"x-amz-if-match-initiated-time=none"};

constexpr Name kReadOnly[] = {
    "x-amz-server-side-encryption"};  // a read that asks for it is told that it may not

constexpr auto kRead = join(kReadOnly, kCustomerKey);
constexpr auto kAttributes = join(kAttributesOnly, kCustomerKey);
constexpr auto kRetention = join(kRetentionOnly, kChecksums);
constexpr auto kCreateUpload = join(kCreateUploadOnly, kNewObject, kCustomerKey);
constexpr auto kComplete = join(kCompleteOnly, kChecksums, kCustomerKey);
constexpr auto kPartCopy = join(kPartCopyOnly, kSource, kCustomerKey);
constexpr auto kUploadPart = join(kChecksums, kCustomerKey);
constexpr auto kPut = join(kPutOnly, kChecksums, kNewObject, kCustomerKey);
constexpr auto kCopy = join(kCopyOnly, kSource, kNewObject, kCustomerKey);
constexpr Name kDeleteObject[] = {"x-amz-bypass-governance-retention", "x-amz-if-match-size",
                                  "x-amz-if-match-last-modified-time"};

// Sub-resources before the plain operation of the same method: the first row that fits is it.
// clang-format off
constexpr OperationRow kRows[] = {
    {Operation::list_buckets, "ListBuckets", "GET", Level::service, "", "", kListBuckets, kNone, false, "s3:ListAllMyBuckets", &list_buckets},
    {Operation::sts, "Sts", "POST", Level::service, "", "", kNone, kNone, true, "", nullptr},
    {Operation::get_bucket_location, "GetBucketLocation", "GET", Level::bucket, "location", "", kNone, kNone, false, "s3:GetBucketLocation", &get_bucket_location},
    {Operation::get_bucket_acl, "GetBucketAcl", "GET", Level::bucket, "acl", "", kNone, kNone, false, "s3:GetBucketAcl", &get_bucket_acl},
    {Operation::put_bucket_acl, "PutBucketAcl", "PUT", Level::bucket, "acl", "", kNone, kAcl, true, "s3:PutBucketAcl", &put_bucket_acl},
    {Operation::get_bucket_cors, "GetBucketCors", "GET", Level::bucket, "cors", "", kNone, kNone, false, "s3:GetBucketCORS", &get_bucket_cors},
    {Operation::put_bucket_cors, "PutBucketCors", "PUT", Level::bucket, "cors", "", kNone, kChecksums, true, "s3:PutBucketCORS", &put_bucket_cors},
    {Operation::delete_bucket_cors, "DeleteBucketCors", "DELETE", Level::bucket, "cors", "", kNone, kNone, false, "s3:PutBucketCORS", &delete_bucket_cors},
    {Operation::get_bucket_encryption, "GetBucketEncryption", "GET", Level::bucket, "encryption", "", kNone, kNone, false, "s3:GetEncryptionConfiguration", &get_bucket_encryption},
    {Operation::put_bucket_encryption, "PutBucketEncryption", "PUT", Level::bucket, "encryption", "", kNone, kChecksums, true, "s3:PutEncryptionConfiguration", &put_bucket_encryption},
    {Operation::delete_bucket_encryption, "DeleteBucketEncryption", "DELETE", Level::bucket, "encryption", "", kNone, kNone, false, "s3:PutEncryptionConfiguration", &delete_bucket_encryption},
    {Operation::get_bucket_lifecycle, "GetBucketLifecycleConfiguration", "GET", Level::bucket, "lifecycle", "", kNone, kNone, false, "s3:GetLifecycleConfiguration", &get_bucket_lifecycle},
    {Operation::put_bucket_lifecycle, "PutBucketLifecycleConfiguration", "PUT", Level::bucket, "lifecycle", "", kNone, kChecksums, true, "s3:PutLifecycleConfiguration", &put_bucket_lifecycle},
    {Operation::delete_bucket_lifecycle, "DeleteBucketLifecycle", "DELETE", Level::bucket, "lifecycle", "", kNone, kNone, false, "s3:PutLifecycleConfiguration", &delete_bucket_lifecycle},
    {Operation::get_bucket_logging, "GetBucketLogging", "GET", Level::bucket, "logging", "", kNone, kNone, false, "s3:GetBucketLogging", &get_bucket_logging},
    {Operation::put_bucket_logging, "PutBucketLogging", "PUT", Level::bucket, "logging", "", kNone, kChecksums, true, "s3:PutBucketLogging", &put_bucket_logging},
    {Operation::get_object_lock_configuration, "GetObjectLockConfiguration", "GET", Level::bucket, "object-lock", "", kNone, kNone, false, "s3:GetBucketObjectLockConfiguration", &get_object_lock_configuration},
    {Operation::put_object_lock_configuration, "PutObjectLockConfiguration", "PUT", Level::bucket, "object-lock", "", kNone, kChecksums, true, "s3:PutBucketObjectLockConfiguration", &put_object_lock_configuration},
    {Operation::get_bucket_ownership_controls, "GetBucketOwnershipControls", "GET", Level::bucket, "ownershipControls", "", kNone, kNone, false, "s3:GetBucketOwnershipControls", &get_bucket_ownership_controls},
    {Operation::put_bucket_ownership_controls, "PutBucketOwnershipControls", "PUT", Level::bucket, "ownershipControls", "", kNone, kChecksums, true, "s3:PutBucketOwnershipControls", &put_bucket_ownership_controls},
    {Operation::delete_bucket_ownership_controls, "DeleteBucketOwnershipControls", "DELETE", Level::bucket, "ownershipControls", "", kNone, kNone, false, "s3:PutBucketOwnershipControls", &delete_bucket_ownership_controls},
    {Operation::get_bucket_policy, "GetBucketPolicy", "GET", Level::bucket, "policy", "", kNone, kNone, false, "s3:GetBucketPolicy", &get_bucket_policy},
    {Operation::put_bucket_policy, "PutBucketPolicy", "PUT", Level::bucket, "policy", "", kNone, kPolicy, true, "s3:PutBucketPolicy", &put_bucket_policy},
    {Operation::delete_bucket_policy, "DeleteBucketPolicy", "DELETE", Level::bucket, "policy", "", kNone, kNone, false, "s3:DeleteBucketPolicy", &delete_bucket_policy},
    {Operation::get_bucket_policy_status, "GetBucketPolicyStatus", "GET", Level::bucket, "policyStatus", "", kNone, kNone, false, "s3:GetBucketPolicyStatus", &get_bucket_policy_status},
    {Operation::get_public_access_block, "GetPublicAccessBlock", "GET", Level::bucket, "publicAccessBlock", "", kNone, kNone, false, "s3:GetBucketPublicAccessBlock", &get_public_access_block},
    {Operation::put_public_access_block, "PutPublicAccessBlock", "PUT", Level::bucket, "publicAccessBlock", "", kNone, kChecksums, true, "s3:PutBucketPublicAccessBlock", &put_public_access_block},
    {Operation::delete_public_access_block, "DeletePublicAccessBlock", "DELETE", Level::bucket, "publicAccessBlock", "", kNone, kNone, false, "s3:PutBucketPublicAccessBlock", &delete_public_access_block},
    {Operation::get_bucket_request_payment, "GetBucketRequestPayment", "GET", Level::bucket, "requestPayment", "", kNone, kNone, false, "s3:GetBucketRequestPayment", &get_bucket_request_payment},
    {Operation::put_bucket_request_payment, "PutBucketRequestPayment", "PUT", Level::bucket, "requestPayment", "", kNone, kChecksums, true, "s3:PutBucketRequestPayment", &put_bucket_request_payment},
    {Operation::get_bucket_tagging, "GetBucketTagging", "GET", Level::bucket, "tagging", "", kNone, kNone, false, "s3:GetBucketTagging", &get_bucket_tagging},
    {Operation::put_bucket_tagging, "PutBucketTagging", "PUT", Level::bucket, "tagging", "", kNone, kChecksums, true, "s3:PutBucketTagging", &put_bucket_tagging},
    {Operation::delete_bucket_tagging, "DeleteBucketTagging", "DELETE", Level::bucket, "tagging", "", kNone, kNone, false, "s3:PutBucketTagging", &delete_bucket_tagging},
    {Operation::get_bucket_versioning, "GetBucketVersioning", "GET", Level::bucket, "versioning", "", kNone, kNone, false, "s3:GetBucketVersioning", &get_bucket_versioning},
    {Operation::put_bucket_versioning, "PutBucketVersioning", "PUT", Level::bucket, "versioning", "", kNone, kChecksums, true, "s3:PutBucketVersioning", &put_bucket_versioning},
    {Operation::get_bucket_website, "GetBucketWebsite", "GET", Level::bucket, "website", "", kNone, kNone, false, "s3:GetBucketWebsite", &get_bucket_website},
    {Operation::put_bucket_website, "PutBucketWebsite", "PUT", Level::bucket, "website", "", kNone, kChecksums, true, "s3:PutBucketWebsite", &put_bucket_website},
    {Operation::delete_bucket_website, "DeleteBucketWebsite", "DELETE", Level::bucket, "website", "", kNone, kNone, false, "s3:DeleteBucketWebsite", &delete_bucket_website},
    {Operation::list_object_versions, "ListObjectVersions", "GET", Level::bucket, "versions", "", kListVersions, kListing, false, "s3:ListBucketVersions", &list_object_versions},
    {Operation::list_multipart_uploads, "ListMultipartUploads", "GET", Level::bucket, "uploads", "", kListUploads, kNone, false, "s3:ListBucketMultipartUploads", &list_multipart_uploads},
    {Operation::list_objects_v2, "ListObjectsV2", "GET", Level::bucket, "list-type", "", kListV2, kListing, false, "s3:ListBucket", &list_objects_v2},
    {Operation::list_objects_v1, "ListObjects", "GET", Level::bucket, "", "", kListV1, kListing, false, "s3:ListBucket", &list_objects_v1},
    {Operation::delete_objects, "DeleteObjects", "POST", Level::bucket, "delete", "", kNone, kDeleteObjects, true, "s3:DeleteObject", &delete_objects},
    {Operation::post_object, "PostObject", "POST", Level::bucket, "", "", kNone, kNone, true, "s3:PutObject", &post_object},
    {Operation::create_bucket, "CreateBucket", "PUT", Level::bucket, "", "", kNone, kCreateBucket, true, "s3:CreateBucket", &create_bucket},
    {Operation::head_bucket, "HeadBucket", "HEAD", Level::bucket, "", "", kNone, kNone, false, "s3:ListBucket", &head_bucket},
    {Operation::delete_bucket, "DeleteBucket", "DELETE", Level::bucket, "", "", kNone, kNone, false, "s3:DeleteBucket", &delete_bucket},
    {Operation::preflight_bucket, "Preflight", "OPTIONS", Level::bucket, "", "", kAny, kNone, false, "", &preflight},
    {Operation::get_object_acl, "GetObjectAcl", "GET", Level::object, "acl", "", kVersion, kNone, false, "s3:GetObjectAcl", &get_object_acl},
    {Operation::put_object_acl, "PutObjectAcl", "PUT", Level::object, "acl", "", kVersion, kAcl, true, "s3:PutObjectAcl", &put_object_acl},
    {Operation::get_object_attributes, "GetObjectAttributes", "GET", Level::object, "attributes", "", kVersion, kAttributes, false, "s3:GetObject", &get_object_attributes},
    {Operation::get_object_legal_hold, "GetObjectLegalHold", "GET", Level::object, "legal-hold", "", kVersion, kNone, false, "s3:GetObjectLegalHold", &get_object_legal_hold},
    {Operation::put_object_legal_hold, "PutObjectLegalHold", "PUT", Level::object, "legal-hold", "", kVersion, kChecksums, true, "s3:PutObjectLegalHold", &put_object_legal_hold},
    {Operation::get_object_retention, "GetObjectRetention", "GET", Level::object, "retention", "", kVersion, kNone, false, "s3:GetObjectRetention", &get_object_retention},
    {Operation::put_object_retention, "PutObjectRetention", "PUT", Level::object, "retention", "", kVersion, kRetention, true, "s3:PutObjectRetention", &put_object_retention},
    {Operation::get_object_tagging, "GetObjectTagging", "GET", Level::object, "tagging", "", kVersion, kNone, false, "s3:GetObjectTagging", &get_object_tagging},
    {Operation::put_object_tagging, "PutObjectTagging", "PUT", Level::object, "tagging", "", kVersion, kChecksums, true, "s3:PutObjectTagging", &put_object_tagging},
    {Operation::delete_object_tagging, "DeleteObjectTagging", "DELETE", Level::object, "tagging", "", kVersion, kNone, false, "s3:DeleteObjectTagging", &delete_object_tagging},
    {Operation::create_multipart_upload, "CreateMultipartUpload", "POST", Level::object, "uploads", "", kNone, kCreateUpload, false, "s3:PutObject", &create_multipart_upload},
    {Operation::complete_multipart_upload, "CompleteMultipartUpload", "POST", Level::object, "uploadId", "", kNone, kComplete, true, "s3:PutObject", &complete_multipart_upload},
    {Operation::abort_multipart_upload, "AbortMultipartUpload", "DELETE", Level::object, "uploadId", "", kNone, kAbort, false, "s3:AbortMultipartUpload", &abort_multipart_upload},
    {Operation::list_parts, "ListParts", "GET", Level::object, "uploadId", "", kListParts, kCustomerKey, false, "s3:ListMultipartUploadParts", &list_parts},
    {Operation::upload_part_copy, "UploadPartCopy", "PUT", Level::object, "uploadId", "x-amz-copy-source", kPart, kPartCopy, false, "s3:PutObject", &upload_part_copy},
    {Operation::upload_part, "UploadPart", "PUT", Level::object, "uploadId", "", kPart, kUploadPart, true, "s3:PutObject", &upload_part},
    {Operation::copy_object, "CopyObject", "PUT", Level::object, "", "x-amz-copy-source", kNone, kCopy, false, "s3:PutObject", &copy_object},
    {Operation::put_object, "PutObject", "PUT", Level::object, "", "", kNone, kPut, true, "s3:PutObject", &put_object},
    {Operation::get_object, "GetObject", "GET", Level::object, "", "", kGet, kRead, false, "s3:GetObject", &get_object},
    {Operation::head_object, "HeadObject", "HEAD", Level::object, "", "", kGet, kRead, false, "s3:GetObject", &head_object},
    {Operation::delete_object, "DeleteObject", "DELETE", Level::object, "", "", kVersion, kDeleteObject, false, "s3:DeleteObject", &delete_object},
    {Operation::preflight_object, "Preflight", "OPTIONS", Level::object, "", "", kAny, kNone, false, "", &preflight},
};
// clang-format on

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool header_allowed(Names names, std::string_view name, std::string_view value) {
  return std::ranges::any_of(names, [&](std::string_view allowed) {
    if (allowed.ends_with('-')) return name.starts_with(allowed);
    size_t equals = allowed.find('=');
    if (equals == std::string_view::npos) return allowed == name;
    return allowed.substr(0, equals) == name && allowed.substr(equals + 1) == value;
  });
}

Level level_of(const Target& target) {
  if (target.bucket.empty()) return Level::service;
  return target.key.empty() ? Level::bucket : Level::object;
}

bool fits(const OperationRow& row, const http::Request& request, const Target& target) {
  return row.method == request.method && row.level == level_of(target) &&
         (row.sub_resource.empty() || target.param(row.sub_resource) != nullptr) &&
         (row.header.empty() || request.headers.find(row.header) != nullptr);
}

}  // namespace

std::span<const OperationRow> operations() {
  return kRows;
}

const OperationRow& row_of(Operation operation) {
  CHECK(operation != Operation::none);
  const OperationRow& row = kRows[static_cast<size_t>(operation)];
  CHECK(row.operation == operation);
  return row;
}

std::string_view to_string(Operation operation) {
  return operation == Operation::none ? "none" : row_of(operation).name;
}

std::string_view allowed_methods(const Target& target) {
  switch (level_of(target)) {
    case Level::service:
      return "GET";
    case Level::bucket:
      return "GET, HEAD, PUT, POST, DELETE";
    case Level::object:
      break;
  }
  return "GET, HEAD, PUT, DELETE";
}

Result<Operation> route(const http::Request& request, const Target& target) {
  for (const OperationRow& row : kRows) {
    if (!fits(row, request, target)) continue;
    if (row.handler == nullptr && row.sub_resource.empty()) continue;
    if (row.handler == nullptr)
      return refuse("NotImplemented", "The operation " + std::string(row.name) + " is not offered.");
    if (row.operation == Operation::list_objects_v2 && target.value("list-type") != "2")
      return refuse("InvalidArgument", "list-type must be 2.");
    return row.operation;
  }
  if (request.method == "POST" && !target.query.empty())
    return refuse("NotImplemented", "This POST operation is not offered.");
  return refuse("MethodNotAllowed");
}

Result<void> check_allowed(Operation operation, const http::Request& request, const Target& target) {
  const OperationRow& row = row_of(operation);
  for (const auto& p : target.query) {
    bool allowed = p.name == row.sub_resource || contains(kAnyParameter, p.name) ||
                   contains(row.parameters, p.name) || contains(row.parameters, "*");
    if (!allowed)
      return refuse("NotImplemented", "The query parameter \"" + p.name.substr(0, 64) +
                                          "\" is not offered for " + std::string(row.name) + ".");
  }
  for (const auto& [name, value] : request.headers) {
    const bool asks = name.starts_with("x-amz-") || name.starts_with("x-archipel-");
    if (asks && !contains(kAnyHeader, name) && !header_allowed(row.headers, name, value))
      return refuse("NotImplemented", "The header " + name + " is not offered for " + std::string(row.name) +
                                          ", or not with this value.");
  }
  bool writes = operation == Operation::put_object || operation == Operation::copy_object;
  if (writes && request.headers.find("content-range") != nullptr)
    return refuse("NotImplemented", "A PUT of a part of an object (Content-Range) is not offered.");
  return {};
}

}  // namespace archipel::door::s3
