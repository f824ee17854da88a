// Server access logging of a bucket: where its records go, and whether they may.
//
// Source: the S3 user guide, "Logging requests with server access logging". Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr size_t kLoggingPrefixBytesMax = 512;  // what stands behind it must still fit a key

struct LoggingTarget {
  std::string bucket, prefix;
  // What the names of log objects are made of: the prefix and the time; or folders by account, region, bucket and day, of the records or of
  // the delivery.
  enum class Layout { simple, by_event, by_delivery } layout = Layout::simple;
  bool layout_given = false;  // for giving the document back
};

// <BucketLoggingStatus>; absent: logging is off. Errors: MalformedXML, NotImplemented (grants: log objects belong to the bucket's owner).
Result<std::optional<LoggingTarget>> parse_logging(std::string_view xml);
std::string write_logging(const std::optional<LoggingTarget>& target);

// May records of `source` be put into `target`? Both must have one owner, and the target's policy must let the service logging.s3.amazonaws.com
// put objects under the prefix, for this source. Errors: InvalidTargetBucketForLogging, with what is missing.
Result<void> may_deliver_logs(const LoggingTarget& to, const store::BucketInfo& target,
                              const store::BucketInfo& source);

// The name of a log object without its unique end. Records with equal names may share an object.
std::string log_object_name(const LoggingTarget& to, const store::BucketInfo& source, std::string_view region,
                            UnixMs event_ms, UnixMs delivery_ms);

}  // namespace archipel::door::s3
