// Object Lock as requests write it: retention and legal hold, in headers and in documents. Pure functions.
//
// Whether a version may be deleted is the store's decision alone; here only the writing is judged. Source: S3 user guide, "How S3 Object
// Lock works".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr size_t kLockDocumentBytesMax = 4u << 10;

struct AskedLock {
  store::Retention retention;  // mode none: not asked for
  std::optional<bool> legal_hold;
  bool asked() const { return retention.mode != store::Retention::Mode::none || legal_hold.has_value(); }
};
// x-amz-object-lock-mode, -retain-until-date, -legal-hold of a write. Errors: InvalidArgument (one of the first two alone, unknown
// words, a date that is none or is past).
Result<AskedLock> read_lock(const http::Headers& headers, UnixMs now);

// <Retention>; an empty one takes retention away. Errors: MalformedXML, InvalidArgument (a date that is past).
Result<store::Retention> parse_retention(std::string_view xml, UnixMs now);
std::string write_retention(const store::Retention& retention);
// <LegalHold>. Errors: MalformedXML.
Result<bool> parse_legal_hold(std::string_view xml);
std::string write_legal_hold(bool on);

// Says what holds an object: mode and date; the hold if it is on.
void add_lock(const store::Attributes& attributes, http::Headers& out);

}  // namespace archipel::door::s3
