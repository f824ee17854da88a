// What the listings of objects, versions and uploads share: their query parameters, and the elements that say them back.
#pragma once

#include <string>
#include <string_view>

#include "door/s3/call.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

inline constexpr size_t kListKeysMax = 1000;  // of one answer (S3 limit)

struct ListQuery {
  std::string bucket, prefix, delimiter;
  size_t max_keys = kListKeysMax;  // as asked for, clamped
  bool url_encoding = false;

  // `text` as the answer says it: percent-encoded if the client asked for encoding-type=url.
  std::string name(std::string_view text) const;
};

// Reads bucket, prefix, delimiter, encoding-type and `limit_name` ("max-keys"). Errors: InvalidArgument.
Result<ListQuery> read_list_query(const Target& target, std::string_view limit_name);
// A number of a query: absent or empty is `when_absent`. Errors: InvalidArgument unless it is within 0..2^31-1.
Result<size_t> read_number(const http::QueryParam* parameter, std::string_view name, size_t when_absent);

void write_common_prefixes(XmlWriter& xml, const ListQuery& query, const std::vector<std::string>& prefixes);
// <ChecksumAlgorithm> and <ChecksumType>, if there is a checksum.
void write_checksum_kind(XmlWriter& xml, const store::Checksum& checksum);
// <Owner>, <Initiator>: the canonical id, and a name for people if the account is the caller's.
void write_account(XmlWriter& xml, std::string_view element, const Call& call, std::string_view id);

}  // namespace archipel::door::s3
