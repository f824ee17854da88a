#include "door/s3/object_reads.h"

#include <algorithm>

#include "door/s3/errors.h"

namespace archipel::door::s3 {

bool wants_checksum(const Call& call) {
  return call.request.headers.get("x-amz-checksum-mode") == "ENABLED";
}

Result<uint32_t> read_part_number(const Target& target) {
  auto number = parse_decimal(target.value("partNumber"));
  if (!number || *number < 1 || *number > store::kPartNumberMax)
    return refuse("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
  return static_cast<uint32_t>(*number);
}

Result<store::HeadRequest> read_head_request(const Call& call) {
  const http::Headers& headers = call.request.headers;
  store::HeadRequest what;
  what.bucket = call.target.bucket;
  what.key = call.target.key;
  ASSIGN_OR_RETURN(what.version, read_version(call.target));
  if (call.target.param("partNumber") != nullptr) {
    ASSIGN_OR_RETURN(what.part, read_part_number(call.target));
    if (headers.find("range") != nullptr)
      return refuse("InvalidRequest", "Cannot specify both Range header and partNumber query parameter");
  }
  if (headers.find("x-amz-server-side-encryption") != nullptr)
    return refuse("InvalidArgument", "x-amz-server-side-encryption is not applicable to reads.");
  what.conditions = read_conditions(headers, "", call.door.clock.unix_ms());
  ASSIGN_OR_RETURN(what.customer_key, read_customer_key(headers));
  return what;
}

Result<void> override_headers(const Call& call, http::Headers& out) {
  static constexpr std::string_view kPrefix = "response-";
  for (const http::QueryParam& parameter : call.target.query) {
    if (!parameter.name.starts_with(kPrefix)) continue;
    if (call.identity.anonymous())
      return refuse("InvalidRequest",
                    "Request specific response headers cannot be used for anonymous GET requests.");
    bool control = std::ranges::any_of(parameter.value, [](char c) {
      auto byte = static_cast<unsigned char>(c);
      return (byte < 0x20 && byte != '\t') || byte == 0x7f;
    });
    if (control)
      return refuse("InvalidArgument", "The parameter " + parameter.name + " is no value for a header.");
    out.set(parameter.name.substr(kPrefix.size()), parameter.value);
  }
  return {};
}

void write_checksum_value(XmlWriter& xml, const store::Checksum& checksum, uint32_t parts) {
  if (checksum.kind == ChecksumKind::none) return;
  std::string name = "Checksum" + std::string(checksum_algorithm(checksum.kind));
  xml.element(name, checksum_text(checksum, parts));
}

void write_checksum(XmlWriter& xml, const store::Checksum& checksum, uint32_t parts) {
  if (checksum.kind == ChecksumKind::none) return;
  write_checksum_value(xml, checksum, parts);
  xml.element("ChecksumType", checksum_type(checksum));
}

Result<CopySource> parse_copy_source(std::string_view header) {
  static constexpr std::string_view kVersion = "?versionId=";
  CopySource out;
  if (size_t at = header.rfind(kVersion); at != std::string_view::npos) {
    out.version = std::string(header.substr(at + kVersion.size()));
    RETURN_IF_ERROR(check_version_name(*out.version));
    header = header.substr(0, at);
  }
  auto decoded = http::percent_decode(header, http::Plus::space);
  if (!decoded || !valid_utf8(*decoded) || decoded->find('\0') != std::string::npos)
    return refuse("InvalidArgument", "Invalid copy source encoding.");
  std::string_view source = *decoded;
  if (source.starts_with('/')) source.remove_prefix(1);
  size_t slash = source.find('/');
  if (slash == 0 || slash == std::string_view::npos || slash + 1 == source.size())
    return refuse("InvalidArgument", "Invalid copy source: expecting bucket/key.");
  out.bucket = source.substr(0, slash);
  out.key = source.substr(slash + 1);
  if (out.key.size() > kKeyBytesMax) return refuse("KeyTooLongError");
  return out;
}

}  // namespace archipel::door::s3
