#include "door/s3/list_query.h"

#include <charconv>

#include "door/s3/checksums.h"
#include "door/s3/errors.h"

namespace archipel::door::s3 {

std::string ListQuery::name(std::string_view text) const {
  return url_encoding ? http::uri_encode(text, http::Slash::keep) : std::string(text);
}

Result<size_t> read_number(const http::QueryParam* parameter, std::string_view name, size_t when_absent) {
  if (parameter == nullptr || parameter->value.empty()) return when_absent;
  const std::string& text = parameter->value;
  int32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0)
    return refuse("InvalidArgument", std::string(name) + " must be an integer between 0 and 2147483647.");
  return static_cast<size_t>(value);
}

Result<ListQuery> read_list_query(const Target& target, std::string_view limit_name) {
  ListQuery out;
  out.bucket = target.bucket;
  out.prefix = target.value("prefix");
  out.delimiter = target.value("delimiter");
  ASSIGN_OR_RETURN(size_t limit, read_number(target.param(limit_name), limit_name, kListKeysMax));
  out.max_keys = std::min(limit, kListKeysMax);
  if (const http::QueryParam* encoding = target.param("encoding-type");
      encoding != nullptr && !encoding->value.empty()) {
    if (encoding->value != "url")
      return refuse("InvalidArgument", "Invalid Encoding Method specified in Request");
    out.url_encoding = true;
  }
  return out;
}

void write_common_prefixes(XmlWriter& xml, const ListQuery& query, const std::vector<std::string>& prefixes) {
  for (const std::string& prefix : prefixes)
    xml.open("CommonPrefixes").element("Prefix", query.name(prefix)).close();
}

void write_checksum_kind(XmlWriter& xml, const store::Checksum& checksum) {
  if (checksum.kind == ChecksumKind::none) return;
  xml.element("ChecksumAlgorithm", checksum_algorithm(checksum.kind))
      .element("ChecksumType", checksum_type(checksum));
}

void write_account(XmlWriter& xml, std::string_view element, const Call& call, std::string_view id) {
  xml.open(element).element("ID", id);
  if (auto account = call.door.store.find_owner(std::string(id)); account)
    xml.element("DisplayName", account->display_name);
  else if (call.identity.account && call.identity.account->id == id)
    xml.element("DisplayName", call.identity.account->display_name);
  xml.close();
}

}  // namespace archipel::door::s3
