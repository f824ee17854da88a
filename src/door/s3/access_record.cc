#include "door/s3/access_record.h"

#include <array>

#include "http/date.h"
#include "http/uri.h"

namespace archipel::door::s3 {
namespace {

// What Amazon calls the resource of an operation.
std::string_view resource_of(Operation operation) {
  const OperationRow& row = row_of(operation);
  switch (operation) {
    case Operation::list_multipart_uploads:
    case Operation::create_multipart_upload:
      return "UPLOADS";
    case Operation::complete_multipart_upload:
    case Operation::abort_multipart_upload:
    case Operation::list_parts:
      return "UPLOAD";
    case Operation::upload_part:
    case Operation::upload_part_copy:
      return "PART";
    case Operation::delete_objects:
      return "MULTI_OBJECT_DELETE";
    case Operation::list_object_versions:
      return "BUCKETVERSIONS";
    case Operation::get_bucket_policy:
    case Operation::put_bucket_policy:
    case Operation::delete_bucket_policy:
      return "BUCKETPOLICY";
    case Operation::get_bucket_logging:
    case Operation::put_bucket_logging:
      return "LOGGING_STATUS";
    case Operation::get_object_lock_configuration:
    case Operation::put_object_lock_configuration:
      return "OBJECT_LOCK_CONFIGURATION";
    case Operation::get_object_tagging:
    case Operation::put_object_tagging:
    case Operation::delete_object_tagging:
      return "OBJECT_TAGGING";
    case Operation::preflight_bucket:
    case Operation::preflight_object:
      return "PREFLIGHT";
    case Operation::list_objects_v2:
      return "BUCKET";
    default:
      break;
  }
  if (row.sub_resource.empty()) return row.level == Level::object ? "OBJECT" : "BUCKET";
  return row.sub_resource;  // in capitals: see access_operation
}

// Text between quotes: what would end it, or the line, is percent-encoded.
std::string quoted_text(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  if (text.empty()) return "\"-\"";
  std::string out = "\"";
  for (char c : text.substr(0, kAccessFieldBytesMax)) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '"') {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

// A word: anything that is no word character of the format is percent-encoded.
std::string word(std::string_view text) {
  if (text.empty()) return "-";
  return http::uri_encode(text.substr(0, kAccessFieldBytesMax), http::Slash::keep);
}

// As it is, if it is printable and has no blanks; our own values are.
std::string plain(std::string_view text) {
  for (char c : text)
    if (c <= 0x20 || c == 0x7f || c == '"') return word(text);
  return text.empty() ? "-" : std::string(text.substr(0, kAccessFieldBytesMax));
}

// [06/Feb/2019:00:00:38 +0000]
std::string bracketed_time(UnixMs at_ms) {
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  std::string date = http::format_http_date(at_ms);
  return "[" + date.substr(5, 2) + "/" + date.substr(8, 3) + "/" + date.substr(12, 4) + ":" +
         date.substr(17, 8) + " +0000]";
}

}  // namespace

std::string access_operation(Operation operation, std::string_view method) {
  if (operation == Operation::copy_object) return "REST.COPY.OBJECT";
  if (operation == Operation::upload_part_copy) return "REST.COPY.PART";
  std::string out = "REST." + std::string(method.substr(0, 16)) + ".";
  if (operation == Operation::none) return out + "-";
  for (char c : resource_of(operation)) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    out += c == '-' ? '_' : c;
  }
  return out;
}

std::string write_access_record(const AccessRecord& r) {
  std::string out;
  auto add = [&](std::string_view field) {
    if (!out.empty()) out += ' ';
    out += field;
  };
  add(plain(r.bucket_owner));
  add(plain(r.bucket));
  add(bracketed_time(r.at_ms));
  add(plain(r.remote_ip));
  add(plain(r.requester));
  add(plain(r.request_id));
  add(plain(access_operation(r.operation, r.method)));
  add(word(r.key));
  add(quoted_text(r.method + " " + r.target.substr(0, kAccessFieldBytesMax) + " HTTP/1." +
                  std::to_string(r.minor_version)));
  add(std::to_string(r.status));
  add(plain(r.error_code));
  add(r.bytes_sent == 0 ? "-" : std::to_string(r.bytes_sent));
  add(r.object_size ? std::to_string(*r.object_size) : "-");
  add(std::to_string(r.total_ms));
  add("-");  // turn-around time: what was sent before the object was at hand is not measured apart
  add(quoted_text(r.referer));
  add(quoted_text(r.user_agent));
  add(plain(r.version));
  add(plain(r.host_id));
  add(plain(r.signature));
  add("-");  // cipher suite
  add(plain(r.auth_type));
  add(plain(r.host));
  add(r.tls ? "TLS" : "-");
  add("-");  // access point
  add("-");  // whether an ACL was needed
  out += '\n';
  return out;
}

}  // namespace archipel::door::s3
