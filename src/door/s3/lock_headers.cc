#include "door/s3/lock_headers.h"

#include "door/s3/errors.h"
#include "door/s3/xml.h"
#include "http/date.h"

namespace archipel::door::s3 {

namespace {

using Mode = store::Retention::Mode;

std::optional<Mode> parse_mode(std::string_view text) {
  if (text == "GOVERNANCE") return Mode::governance;
  if (text == "COMPLIANCE") return Mode::compliance;
  return std::nullopt;
}

std::string_view name_of(Mode mode) {
  return mode == Mode::compliance ? "COMPLIANCE" : "GOVERNANCE";
}

std::unexpected<Error> past() {
  return refuse("InvalidArgument", "The retain until date must be in the future!");
}

}  // namespace

Result<AskedLock> read_lock(const http::Headers& headers, UnixMs now) {
  AskedLock out;
  const std::string* mode = headers.find("x-amz-object-lock-mode");
  const std::string* until = headers.find("x-amz-object-lock-retain-until-date");
  if ((mode == nullptr) != (until == nullptr))
    return refuse("InvalidArgument",
                  "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied");
  if (mode != nullptr) {
    auto known = parse_mode(*mode);
    if (!known) return refuse("InvalidArgument", "Unknown wormMode directive.");
    auto date = http::parse_iso_extended(*until);
    if (!date) return refuse("InvalidArgument", "The retain until date must be provided in ISO 8601 format");
    if (*date <= now) return past();
    out.retention = {*known, *date};
  }
  if (const std::string* hold = headers.find("x-amz-object-lock-legal-hold")) {
    if (*hold != "ON" && *hold != "OFF")
      return refuse("InvalidArgument", "Legal Hold must be either of 'ON' or 'OFF'");
    out.legal_hold = *hold == "ON";
  }
  return out;
}

Result<store::Retention> parse_retention(std::string_view xml, UnixMs now) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "Retention"));
  if (!root.has_only({"Mode", "RetainUntilDate"})) return refuse("MalformedXML");
  if (root.children.empty()) return store::Retention{};
  auto mode = parse_mode(root.value("Mode"));
  auto until = http::parse_iso_extended(root.value("RetainUntilDate"));
  if (!mode || !until) return refuse("MalformedXML");
  if (*until <= now) return past();
  return store::Retention{*mode, *until};
}

std::string write_retention(const store::Retention& retention) {
  XmlWriter xml("Retention");
  xml.element("Mode", name_of(retention.mode))
      .element("RetainUntilDate", http::format_iso_extended(retention.until_ms));
  return xml.take();
}

Result<bool> parse_legal_hold(std::string_view xml) {
  ASSIGN_OR_RETURN(XmlElement root, parse_xml(xml, "LegalHold"));
  std::string_view status = root.value("Status");
  if (!root.has_only({"Status"}) || (status != "ON" && status != "OFF")) return refuse("MalformedXML");
  return status == "ON";
}

std::string write_legal_hold(bool on) {
  XmlWriter xml("LegalHold");
  xml.element("Status", on ? "ON" : "OFF");
  return xml.take();
}

void add_lock(const store::Attributes& attributes, http::Headers& out) {
  const store::Retention& retention = attributes.retention;
  if (retention.mode != Mode::none) {
    out.add("x-amz-object-lock-mode", std::string(name_of(retention.mode)));
    out.add("x-amz-object-lock-retain-until-date", http::format_iso_extended(retention.until_ms));
  }
  if (attributes.legal_hold) out.add("x-amz-object-lock-legal-hold", "ON");
}

}  // namespace archipel::door::s3
