#include "door/s3/operation.h"

#include <algorithm>
#include <span>

#include "door/s3/errors.h"

namespace archipel::door::s3 {

namespace {

using Names = std::span<const std::string_view>;
constexpr std::string_view kNoNames[] = {"x-id"};
constexpr std::string_view kListBuckets[] = {"x-id", "max-buckets", "continuation-token", "prefix"};
constexpr std::string_view kLocation[] = {"x-id", "location"};
constexpr std::string_view kListV1[] = {"x-id", "prefix", "delimiter", "marker", "max-keys", "encoding-type"};
constexpr std::string_view kListV2[] = {"x-id",        "list-type",   "prefix",
                                        "delimiter",   "max-keys",    "encoding-type",
                                        "start-after", "fetch-owner", "continuation-token"};
constexpr std::string_view kDelete[] = {"x-id", "delete"};
constexpr std::string_view kVersion[] = {"x-id", "versionId"};

Names allowed_parameters(Operation operation) {
  switch (operation) {
    case Operation::list_buckets:
      return kListBuckets;
    case Operation::get_bucket_location:
      return kLocation;
    case Operation::list_objects_v1:
      return kListV1;
    case Operation::list_objects_v2:
      return kListV2;
    case Operation::delete_objects:
      return kDelete;
    case Operation::get_object:
    case Operation::head_object:
    case Operation::delete_object:
      return kVersion;
    default:
      return kNoNames;
  }
}

// Part of signing and framing, or asking for what happens anyway.
constexpr std::string_view kAnywhere[] = {"x-amz-date",
                                          "x-amz-content-sha256",
                                          "x-amz-user-agent",
                                          "x-amz-expected-bucket-owner",
                                          "x-amz-trailer",
                                          "x-amz-request-payer",
                                          "x-amz-decoded-content-length",
                                          "x-amz-sdk-checksum-algorithm",
                                          "x-amz-checksum-mode"};
constexpr std::string_view kChecksums[] = {"x-amz-checksum-crc32", "x-amz-checksum-crc32c",
                                           "x-amz-checksum-crc64nvme", "x-amz-checksum-sha1",
                                           "x-amz-checksum-sha256"};
constexpr std::string_view kCopySource[] = {"x-amz-copy-source",
                                            "x-amz-copy-source-if-match",
                                            "x-amz-copy-source-if-none-match",
                                            "x-amz-copy-source-if-modified-since",
                                            "x-amz-copy-source-if-unmodified-since",
                                            "x-amz-source-expected-bucket-owner",
                                            "x-amz-metadata-directive"};

// Allowed with this one value, which asks for what we do in any case.
struct Fixed {
  std::string_view header, value;
};
constexpr Fixed kFixedObject[] = {{"x-amz-acl", "private"},
                                  {"x-amz-storage-class", "STANDARD"},
                                  {"x-amz-checksum-type", "FULL_OBJECT"},
                                  {"x-amz-tagging-directive", "COPY"}};
constexpr Fixed kFixedBucket[] = {{"x-amz-acl", "private"},
                                  {"x-amz-object-ownership", "BucketOwnerEnforced"},
                                  {"x-amz-bucket-object-lock-enabled", "false"}};

bool contains(Names names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool fixed(std::span<const Fixed> rows, std::string_view name, std::string_view value) {
  return std::ranges::any_of(rows, [&](const Fixed& f) { return f.header == name && f.value == value; });
}

bool header_allowed(Operation operation, std::string_view name, std::string_view value) {
  if (contains(kAnywhere, name)) return true;
  switch (operation) {
    case Operation::put_object:
      return contains(kChecksums, name) || name.starts_with("x-amz-meta-") ||
             fixed(kFixedObject, name, value);
    case Operation::copy_object:
      return contains(kCopySource, name) || name.starts_with("x-amz-meta-") ||
             fixed(kFixedObject, name, value);
    case Operation::create_bucket:
      return contains(kChecksums, name) || fixed(kFixedBucket, name, value);
    case Operation::delete_objects:
      return contains(kChecksums, name);
    default:
      return false;
  }
}

}  // namespace

std::string_view to_string(Operation operation) {
  switch (operation) {
    case Operation::list_buckets:
      return "ListBuckets";
    case Operation::create_bucket:
      return "CreateBucket";
    case Operation::head_bucket:
      return "HeadBucket";
    case Operation::delete_bucket:
      return "DeleteBucket";
    case Operation::get_bucket_location:
      return "GetBucketLocation";
    case Operation::list_objects_v1:
      return "ListObjects";
    case Operation::list_objects_v2:
      return "ListObjectsV2";
    case Operation::delete_objects:
      return "DeleteObjects";
    case Operation::put_object:
      return "PutObject";
    case Operation::copy_object:
      return "CopyObject";
    case Operation::get_object:
      return "GetObject";
    case Operation::head_object:
      return "HeadObject";
    case Operation::delete_object:
      return "DeleteObject";
    case Operation::none:
      break;
  }
  return "none";
}

static std::unexpected<Error> refuse_post(const Target& target) {
  if (target.param("uploads") != nullptr || target.param("uploadId") != nullptr)
    return refuse("NotImplemented",
                  "Multipart uploads are not offered: raise the client's multipart threshold, one PUT takes "
                  "up to 5 GiB.");
  return refuse("NotImplemented", "This POST operation is not offered.");
}

static Result<Operation> route_bucket(std::string_view method, const Target& target) {
  if (method == "PUT") return Operation::create_bucket;
  if (method == "HEAD") return Operation::head_bucket;
  if (method == "DELETE") return Operation::delete_bucket;
  if (method == "GET") {
    if (target.param("location") != nullptr) return Operation::get_bucket_location;
    const http::QueryParam* type = target.param("list-type");
    if (type == nullptr) return Operation::list_objects_v1;
    if (type->value != "2") return refuse("InvalidArgument", "list-type must be 2.");
    return Operation::list_objects_v2;
  }
  if (method == "POST") {
    if (target.param("delete") != nullptr) return Operation::delete_objects;
    return refuse_post(target);
  }
  return refuse("MethodNotAllowed");
}

std::string_view allowed_methods(const Target& target) {
  if (target.bucket.empty()) return "GET";
  if (target.key.empty()) return "GET, HEAD, PUT, POST, DELETE";
  return "GET, HEAD, PUT, DELETE";
}

Result<Operation> route(const http::Request& request, const Target& target) {
  std::string_view method = request.method;
  if (target.bucket.empty()) {
    if (method == "GET") return Operation::list_buckets;
    return refuse("MethodNotAllowed");
  }
  if (target.key.empty()) return route_bucket(method, target);
  if (method == "GET") return Operation::get_object;
  if (method == "HEAD") return Operation::head_object;
  if (method == "DELETE") return Operation::delete_object;
  if (method == "PUT")
    return request.headers.find("x-amz-copy-source") == nullptr ? Operation::put_object
                                                                : Operation::copy_object;
  if (method == "POST" && !target.query.empty()) return refuse_post(target);
  return refuse("MethodNotAllowed");
}

Result<void> check_allowed(Operation operation, const http::Request& request, const Target& target) {
  Names parameters = allowed_parameters(operation);
  for (const auto& p : target.query) {
    if (!contains(parameters, p.name))
      return refuse("NotImplemented", "The query parameter \"" + p.name.substr(0, 64) +
                                          "\" is not offered for " + std::string(to_string(operation)) + ".");
    if (p.name == "versionId" && p.value != "null")
      return refuse("NotImplemented", "Versions are not offered: versionId must be \"null\" or absent.");
  }
  for (const auto& [name, value] : request.headers) {
    if (name.starts_with("x-amz-") && !header_allowed(operation, name, value))
      return refuse("NotImplemented", "The header " + name + " is not offered for " +
                                          std::string(to_string(operation)) + ", or not with this value.");
  }
  bool writes = operation == Operation::put_object || operation == Operation::copy_object;
  if (writes && request.headers.find("content-range") != nullptr)
    return refuse("NotImplemented", "A PUT of a part of an object (Content-Range) is not offered.");
  if (operation == Operation::delete_object)
    for (std::string_view name : {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"})
      if (request.headers.find(name) != nullptr)
        return refuse("NotImplemented", "Conditional deletes are not offered.");
  return {};
}

}  // namespace archipel::door::s3
