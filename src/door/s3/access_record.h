// One line of a server access log, in Amazon's format. Pure; any thread.
//
// Source: the S3 user guide, "Amazon S3 server access log format".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "door/s3/operation.h"

namespace archipel::door::s3 {

inline constexpr size_t kAccessFieldBytesMax = 4096;  // longer values are cut: a client writes them

// Empty and absent values become "-".
struct AccessRecord {
  std::string bucket_owner, bucket;
  UnixMs at_ms = 0;
  std::string remote_ip, requester, request_id;
  Operation operation = Operation::none;
  std::string key;  // raw bytes
  std::string method, target;
  int minor_version = 1;
  int status = 0;
  std::string error_code;
  uint64_t bytes_sent = 0;
  std::optional<uint64_t> object_size;
  int64_t total_ms = 0;
  std::string referer, user_agent, version, host_id, signature, auth_type, host;
  bool tls = false;
};

// "REST.GET.OBJECT"
std::string access_operation(Operation operation, std::string_view method);
// With the newline. Whatever a client sent, it is one line, and its quotes are where the format has them.
std::string write_access_record(const AccessRecord& record);

}  // namespace archipel::door::s3
