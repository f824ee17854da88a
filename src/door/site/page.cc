#include "door/site/page.h"

#include "door/s3/errors.h"
#include "http/h1_writer.h"

namespace archipel::door::site {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // Other control characters are no HTML.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

http::Page html(int status, const std::string& inside) {
  std::string title = std::to_string(status) + ' ' + std::string(http::reason_phrase(status));
  http::Page page;
  page.response.status = status;
  page.response.headers.add("content-type", "text/html; charset=utf-8");
  // Somebody else's text stands in it: no browser is to find a script there.
  page.response.headers.add("content-security-policy", "default-src 'none'");
  page.response.headers.add("x-content-type-options", "nosniff");
  page.body = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>" + title + "</title></head>\n<body><h1>" +
              title + "</h1>\n" + inside + "<hr></body></html>\n";
  return page;
}

}  // namespace

http::Page error_page(int status, const Facts& facts, std::string_view note) {
  std::string inside = "<ul>\n";
  for (const auto& [name, value] : facts)
    inside += "<li>" + std::string(name) + ": " + escaped(value) + "</li>\n";
  inside += "</ul>\n";
  if (!note.empty()) inside += "<p>" + escaped(note) + "</p>\n";
  return html(status, inside);
}

http::Page redirect_page(int status, const std::string& location) {
  http::Page page =
      html(status, "<p><a href=\"" + escaped(location) + "\">" + escaped(location) + "</a></p>\n");
  page.response.headers.add("location", location);
  return page;
}

std::string_view message_of(std::string_view code) {
  for (const s3::S3Error& row : s3::s3_errors())
    if (row.code == code) return row.message;
  return "The request cannot be answered.";
}

}  // namespace archipel::door::site
