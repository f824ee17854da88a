// The documents of multipart uploads. Pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr size_t kCompleteDocumentBytesMax = 4u
                                                    << 20;  // 10,000 parts with a checksum each, and blanks

// <CompleteMultipartUpload>: parts in the order of the document, which the store judges. Errors: MalformedXML (also: no parts, more than
// store::kPartNumberMax, a checksum that is none), InvalidArgument (a part number out of range).
Result<std::vector<store::CompleteUpload::Part>> parse_complete(std::string_view xml);

}  // namespace archipel::door::s3
