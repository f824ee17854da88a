// A multipart/form-data body as browsers POST it: a few small fields, then one file, which streams.
//
// What stands before the file is read first and whole, within kFormFieldsBytesMax; what stands behind it is skipped within the same limit,
// as S3 ignores it. Source: RFC 7578, RFC 2046 §5.1; S3 API, "POST Object".
#pragma once

#include <optional>
#include <string>

#include "crypto/secret.h"
#include "door/s3/checksums.h"
#include "door/s3/post_policy.h"
#include "http/server.h"
#include "store/store.h"

namespace archipel::door::s3 {

inline constexpr size_t kFormFieldsBytesMax = 20u << 10;  // before the file (S3's limit), and behind it
inline constexpr size_t kFormFieldsMax = 128;
inline constexpr size_t kFormPartHeadBytesMax = 4u << 10;
inline constexpr size_t kBoundaryBytesMax = 70;  // RFC 2046

// The boundary parameter of a Content-Type; nullopt if it is no multipart/form-data with one.
std::optional<std::string> form_boundary(std::string_view content_type);

class PostForm {
 public:
  PostForm(http::Exchange& exchange, std::string boundary);

  // Reads up to the first byte of the file. Errors: MalformedPOSTRequest, MaxPostPreDataLengthExceededError, InvalidArgument (no file, a field
  // twice); whatever the connection fails.
  io::Task<Result<void>> read_fields();
  const FormFields& fields() const { return fields_; }
  const std::string& filename() const { return filename_; }

  // The next bytes of the file; 0 at its end, when the form has been read to its own.
  io::Task<Result<size_t>> read_file(MutableBytes out);

 private:
  io::Task<Result<bool>> fill();  // false: the body has ended
  Result<bool> take_part();       // true: the file begins
  Result<bool> read_part_head(std::string_view head, std::string& name);
  io::Task<Result<void>> skip_rest();

  http::Exchange& exchange_;
  const std::string delimiter_;  // "\r\n--boundary"
  std::string buffer_;           // read and not yet taken
  FormFields fields_;
  std::string filename_;
  size_t before_file_ = 0;
  bool file_ended_ = false;
};

// The file of a form as the body of an object: within the policy's limits, and with the digest that the form promises.
class FormBody final : public store::BodySource {
 public:
  struct Promise {
    std::optional<std::string> md5;  // raw
    ChecksumKind checksum = ChecksumKind::none;
    std::string checksum_value;                  // raw
    ChecksumKind computed = ChecksumKind::none;  // where none is promised
  };
  FormBody(PostForm& form, PostLimits limits, Promise promise);

  io::Task<Result<size_t>> read(MutableBytes out) override;
  store::Checksum checksum() const override;
  std::optional<std::string> md5() const override;
  bool brings_md5() const override { return promise_.md5.has_value(); }

  const std::optional<Error>& failure() const { return failure_; }
  uint64_t bytes() const { return bytes_; }

 private:
  Result<void> verify();

  PostForm& form_;
  const PostLimits limits_;
  const Promise promise_;
  Digests digests_;
  uint64_t bytes_ = 0;
  bool verified_ = false;
  std::string computed_;
  std::optional<Error> failure_;
};

}  // namespace archipel::door::s3
