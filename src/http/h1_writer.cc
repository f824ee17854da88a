#include "http/h1_writer.h"

#include <charconv>
#include <cstring>

#include "http/h1_parser.h"

namespace archipel::http {
namespace {

bool is_ours(std::string_view name) {
  return name == "connection" || name == "date" || name == "content-length" || name == "transfer-encoding";
}

void append_number(std::string& out, uint64_t value) {
  char digits[20];
  auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

void append_status(std::string& out, int status) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<uint64_t>(status));
  out += ' ';
  out += reason_phrase(status);
  out += "\r\n";
}

bool all_writable(const Headers& headers) {
  for (const auto& [name, value] : headers)
    if (!is_token(name) || !is_field_value(value)) return false;
  return true;
}

size_t size_of(const Headers& headers) {
  size_t bytes = 0;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 4;
  return bytes;
}

char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* put_field(char* out, std::string_view name, std::string_view value) {
  return put(put(put(put(out, name), ": "), value), "\r\n");
}

// What put_end() writes at most, but for the value of date.
constexpr size_t kEndBytesMax = 128;

// What follows the fields.
char* put_end(char* out, std::string_view date, ResponseFraming framing, const ResponseContext& context) {
  if (!date.empty()) out = put_field(out, "date", date);
  if (framing.framing == Framing::length) {
    out = put(out, "content-length: ");
    out = std::to_chars(out, out + 20, framing.length).ptr;
    out = put(out, "\r\n");
  } else if (framing.framing == Framing::chunked) {
    out = put(out, "transfer-encoding: chunked\r\n");
  }
  if (!context.keep_alive)
    out = put(out, "connection: close\r\n");
  else if (context.request_minor_version == 0)
    out = put(out, "connection: keep-alive\r\n");
  return put(out, "\r\n");
}

void append_end(std::string& out, std::string_view date, ResponseFraming framing,
                const ResponseContext& context) {
  const size_t before = out.size();
  out.resize_and_overwrite(before + kEndBytesMax + date.size(), [&](char* begin, size_t) {
    return static_cast<size_t>(put_end(begin + before, date, framing, context) - begin);
  });
}

}  // namespace

bool write_response_head(std::string& out, const Response& response, ResponseFraming framing,
                         const ResponseContext& context) {
  if (response.status < 200 || response.status > 599 || !all_writable(response.headers)) return false;
  out.reserve(out.size() + 160 + size_of(response.headers));
  append_status(out, response.status);
  std::string_view date = context.date;
  for (const auto& [name, value] : response.headers) {
    if (context.forward_date && name == "date") date = value;
    if (!is_ours(name)) append_field(out, name, value);
  }
  append_end(out, date, framing, context);
  return true;
}

bool write_stored_head(std::string& out, int status, const Headers& headers) {
  if (status < 200 || status > 599 || !all_writable(headers)) return false;
  out.reserve(out.size() + 64 + size_of(headers));
  append_status(out, status);
  for (const auto& [name, value] : headers)
    if (!is_ours(name)) append_field(out, name, value);
  return true;
}

// Every hit passes here: the room is made once, and then bytes follow bytes.
bool write_stored_rest(std::string& out, std::span<const FieldView> extra, std::string_view date,
                       ResponseFraming framing, const ResponseContext& context) {
  if (date.empty()) date = context.date;
  if (!is_field_value(date)) return false;
  size_t bytes = kEndBytesMax + date.size();
  for (const FieldView& field : extra) {
    if (!is_token(field.name) || !is_field_value(field.value)) return false;
    bytes += field.name.size() + field.value.size() + 4;
  }
  const size_t before = out.size();
  out.resize_and_overwrite(before + bytes, [&](char* begin, size_t) {
    char* end = begin + before;
    for (const FieldView& field : extra)
      if (!is_ours(field.name)) end = put_field(end, field.name, field.value);
    return static_cast<size_t>(put_end(end, date, framing, context) - begin);
  });
  return true;
}

size_t write_stored_whole(std::span<char> out, std::string_view stored_head, std::span<const FieldView> extra,
                          std::string_view date, ResponseFraming framing, const ResponseContext& context,
                          ByteView body) {
  size_t bytes = stored_head.size() + kEndBytesMax + date.size() + body.size();
  for (const FieldView& field : extra) bytes += field.name.size() + field.value.size() + 4;
  if (bytes > out.size()) return 0;
  char* end = put(out.data(), stored_head);
  for (const FieldView& field : extra) end = put_field(end, field.name, field.value);
  end = put_end(end, date, framing, context);
  if (!body.empty()) end = put(end, as_text(body));
  return static_cast<size_t>(end - out.data());
}

bool write_interim_head(std::string& out, int status, const Headers& headers) {
  if (status < 101 || status > 199 || !all_writable(headers)) return false;
  append_status(out, status);
  for (const auto& [name, value] : headers)
    if (!is_ours(name) || name == "date") append_field(out, name, value);
  if (status == 101) append_field(out, "connection", "upgrade");
  out += "\r\n";
  return true;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 102:
      return "Processing";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

}  // namespace archipel::http
