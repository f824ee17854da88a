// Answers that may take long: the client, and every proxy on the way, hears that the work goes on.
//
// While the work is young the answer waits for it, and an error has its proper status. After kSilence the answer begins as 200 with the
// document's first line, and a blank follows now and then; whatever comes of the work is then the document: an error stands in
// the body, as S3 says it may (CompleteMultipartUpload, CopyObject, UploadPartCopy). Private to door/s3.
#pragma once

#include "door/s3/call.h"

namespace archipel::door::s3 {

inline constexpr Duration kSilence = std::chrono::seconds(5);

struct SlowAnswer {
  http::Headers headers;  // lost if the answer has begun before
  std::string document;   // an XML document with its declaration
};

// Waits for `work` whatever becomes of the client. The error of the work is returned only if it has not been told.
io::Task<Result<void>> reply_when_done(Call& call, io::Task<Result<SlowAnswer>> work);

}  // namespace archipel::door::s3
