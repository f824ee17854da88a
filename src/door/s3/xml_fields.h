// XmlFields: takes the children of one element by name, and finds everything wrong with them.
//
//   XmlFields fields(element);
//   std::optional<std::string> id = fields.text("ID");
//   std::optional<int64_t> days = fields.integer("Days");
//   RETURN_IF_ERROR(fields.finish());
//
// What is wrong is kept until finish(): a child twice that may be there once, one that is missed, a value of the wrong type, a child that
// nobody asked for. The element must outlive this. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "door/s3/xml.h"

namespace archipel::door::s3 {

class XmlFields {
 public:
  explicit XmlFields(const XmlElement& element) : element_(element) {}

  // The only child of that name; nullptr if there is none. need(): missing is an error (and nullptr).
  const XmlElement* one(std::string_view name);
  const XmlElement* need(std::string_view name);
  std::vector<const XmlElement*> all(std::string_view name);

  // Values of children without children of their own. Numbers and booleans may have blanks around them.
  std::optional<std::string> text(std::string_view name);
  std::string need_text(std::string_view name);
  std::optional<int64_t> integer(std::string_view name);
  std::optional<bool> boolean(
      std::string_view name);  // true or false, or 1 or 0, in any case, as S3 takes them

  // Errors: MalformedXML, with the element and what is wrong in it. Always call it before values are used.
  [[nodiscard]] Result<void> finish() const;

 private:
  const std::string* value_of(const XmlElement* child);

  const XmlElement& element_;
  std::set<std::string, std::less<>> asked_;
  std::optional<std::string> wrong_;  // the first thing
};

// MalformedXML with `what` behind S3's sentence.
[[nodiscard]] std::unexpected<Error> malformed_xml(std::string_view what);

}  // namespace archipel::door::s3
