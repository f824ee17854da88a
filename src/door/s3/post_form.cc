#include "door/s3/post_form.h"

#include <algorithm>

#include "door/s3/body.h"
#include "door/s3/errors.h"
#include "door/s3/target.h"
#include "http/h1_parser.h"

namespace archipel::door::s3 {

namespace {

constexpr size_t kReadBytes = 64u << 10;

std::unexpected<Error> malformed() {
  return refuse("MalformedPOSTRequest");
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// The value of `; name=value` or `; name="value"` behind a header's main word.
std::optional<std::string> parameter(std::string_view text, std::string_view wanted) {
  size_t at = text.find(';');
  while (at != std::string_view::npos) {
    text.remove_prefix(at + 1);
    size_t equals = text.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    std::string name = lower(http::trim_blanks(text.substr(0, equals)));
    text = http::trim_blanks(text.substr(equals + 1));
    std::string value;
    if (text.starts_with('"')) {
      size_t i = 1;
      for (; i < text.size() && text[i] != '"'; ++i) {
        // Browsers escape the quote alone; a backslash before anything else is itself.
        if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '"') ++i;
        value += text[i];
      }
      if (i == text.size()) return std::nullopt;
      text.remove_prefix(i + 1);
    } else {
      value = http::trim_blanks(text.substr(0, text.find(';')));
    }
    if (name == wanted) return value;
    at = text.find(';');
  }
  return std::nullopt;
}

Error client_error(Error error) {
  if (!error.detail.empty()) return error;
  switch (error.code) {
    case Code::timeout:
      return make_error("RequestTimeout");
    case Code::limit:
      return make_error("EntityTooLarge");
    case Code::invalid:
    case Code::io:
    case Code::cancelled:
      return make_error("IncompleteBody");
    default:
      return error;
  }
}

}  // namespace

std::optional<std::string> form_boundary(std::string_view content_type) {
  if (lower(http::trim_blanks(content_type.substr(0, content_type.find(';')))) != "multipart/form-data")
    return std::nullopt;
  auto boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > kBoundaryBytesMax) return std::nullopt;
  return boundary;
}

PostForm::PostForm(http::Exchange& exchange, std::string boundary)
    : exchange_(exchange), delimiter_("\r\n--" + std::move(boundary)), buffer_("\r\n") {}

io::Task<Result<bool>> PostForm::fill() {
  size_t old = buffer_.size();
  buffer_.resize(old + kReadBytes);
  MutableBytes room(reinterpret_cast<uint8_t*>(buffer_.data()) + old, kReadBytes);
  auto n = co_await exchange_.read_body(room);
  buffer_.resize(old + (n ? *n : 0));
  if (!n) co_return std::unexpected(client_error(std::move(n).error()));
  co_return *n > 0;
}

// Name and file name of one part. True if it is the file.
Result<bool> PostForm::read_part_head(std::string_view head, std::string& name) {
  std::optional<std::string> found;
  while (!head.empty()) {
    size_t end = head.find("\r\n");
    std::string_view line = head.substr(0, end);
    head = end == std::string_view::npos ? std::string_view{} : head.substr(end + 2);
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) return malformed();
    if (lower(http::trim_blanks(line.substr(0, colon))) != "content-disposition") continue;
    std::string_view value = line.substr(colon + 1);
    if (found || lower(http::trim_blanks(value.substr(0, value.find(';')))) != "form-data")
      return malformed();
    found = parameter(value, "name");
    if (!found) return malformed();
    filename_ = parameter(value, "filename").value_or("");
  }
  if (!found || found->empty()) return malformed();
  name = lower(*found);
  return name == "file";
}

// One part from the front of the buffer, if it is there whole (of the file: its head). Leaves the buffer at the next delimiter.
Result<bool> PostForm::take_part() {
  std::string_view rest = buffer_;
  CHECK(rest.starts_with(delimiter_));
  rest.remove_prefix(delimiter_.size());
  if (rest.starts_with("--"))
    return refuse("InvalidArgument", "POST requires exactly one file upload per request.");
  if (!rest.starts_with("\r\n")) return malformed();
  size_t head_end = rest.find("\r\n\r\n");
  if (head_end == std::string_view::npos) {
    if (rest.size() > kFormPartHeadBytesMax) return malformed();
    return false;
  }
  std::string name;
  ASSIGN_OR_RETURN(bool file, read_part_head(rest.substr(2, head_end - 2), name));
  size_t body = delimiter_.size() + head_end + 4;
  if (file) {
    buffer_.erase(0, body);
    return true;
  }
  size_t end = buffer_.find(delimiter_, body);
  if (end == std::string::npos) return false;
  std::string value = buffer_.substr(body, end - body);
  if (!valid_utf8(value) || value.find('\0') != std::string::npos || fields_.size() == kFormFieldsMax)
    return malformed();
  if (!fields_.emplace(std::move(name), std::move(value)).second)
    return refuse("InvalidArgument", "A field of the form is given more than once.");
  before_file_ += end;
  buffer_.erase(0, end);
  return false;
}

io::Task<Result<void>> PostForm::read_fields() {
  while (true) {
    bool more = true;
    // Take what is there; a part that is not whole leaves the buffer as it is.
    while (buffer_.size() >= delimiter_.size() + 2) {
      if (!buffer_.starts_with(delimiter_)) co_return malformed();
      size_t before = buffer_.size();
      CO_ASSIGN_OR_RETURN(bool file, take_part());
      if (file) co_return Result<void>{};
      if (buffer_.size() == before) break;
    }
    if (before_file_ + buffer_.size() > kFormFieldsBytesMax + kReadBytes)
      co_return refuse("MaxPostPreDataLengthExceededError");
    auto filled = co_await fill();
    if (!filled) co_return std::unexpected(std::move(filled).error());
    more = *filled;
    if (!more) co_return malformed();
  }
}

io::Task<Result<void>> PostForm::skip_rest() {
  size_t skipped = 0;
  while (true) {
    skipped += buffer_.size();
    buffer_.clear();
    if (skipped > kFormFieldsBytesMax + kReadBytes)
      co_return refuse("MalformedPOSTRequest", "The form goes on too long behind its file.");
    auto filled = co_await fill();
    if (!filled) co_return std::unexpected(std::move(filled).error());
    if (!*filled) co_return Result<void>{};
  }
}

io::Task<Result<size_t>> PostForm::read_file(MutableBytes out) {
  CHECK(!out.empty());
  while (!file_ended_) {
    size_t end = buffer_.find(delimiter_);
    // What might be the beginning of a delimiter stays until more is known.
    size_t sure = end != std::string::npos              ? end
                  : buffer_.size() >= delimiter_.size() ? buffer_.size() - delimiter_.size() + 1
                                                        : 0;
    size_t n = std::min(sure, out.size());
    if (n > 0) {
      std::memcpy(out.data(), buffer_.data(), n);
      buffer_.erase(0, n);
      co_return n;
    }
    if (end == 0) {
      file_ended_ = true;
      auto rest = co_await skip_rest();
      if (!rest) co_return std::unexpected(std::move(rest).error());
      break;
    }
    auto filled = co_await fill();
    if (!filled) co_return std::unexpected(std::move(filled).error());
    if (!*filled) co_return malformed();
  }
  co_return size_t{0};
}

FormBody::FormBody(PostForm& form, PostLimits limits, Promise promise)
    : form_(form),
      limits_(limits),
      promise_(std::move(promise)),
      digests_(
          {.sha256 = false,
           .md5 = promise_.md5.has_value(),
           .checksum = promise_.checksum != ChecksumKind::none ? promise_.checksum : promise_.computed}) {}

Result<void> FormBody::verify() {
  if (bytes_ < limits_.bytes_min) return refuse("EntityTooSmall");
  digests_.finish();
  if (promise_.md5 && digests_.md5() != *promise_.md5)
    return refuse("BadDigest", "The Content-MD5 you specified did not match what we received.");
  computed_ = digests_.checksum();
  if (promise_.checksum != ChecksumKind::none && computed_ != promise_.checksum_value)
    return refuse("BadDigest", "The " + std::string(checksum_algorithm(promise_.checksum)) +
                                   " you specified did not match the calculated checksum.");
  return {};
}

io::Task<Result<size_t>> FormBody::read(MutableBytes out) {
  if (failure_) co_return fail(*failure_);
  if (verified_) co_return size_t{0};
  auto n = co_await form_.read_file(out);
  Result<void> good;
  if (!n) {
    good = std::unexpected(n.error());
  } else if (*n == 0) {
    good = verify();
    verified_ = good.has_value();
  } else {
    bytes_ += *n;
    if (bytes_ > limits_.bytes_max || bytes_ > store::kObjectBytesMax) good = refuse("EntityTooLarge");
    digests_.update(out.first(*n));
  }
  if (!good) {
    failure_ = good.error();
    co_return fail(*failure_);
  }
  co_return *n;
}

store::Checksum FormBody::checksum() const {
  ChecksumKind kind = promise_.checksum != ChecksumKind::none ? promise_.checksum : promise_.computed;
  if (!verified_ || kind == ChecksumKind::none) return {};
  return {kind, computed_};
}

std::optional<std::string> FormBody::md5() const {
  if (!verified_ || !promise_.md5) return std::nullopt;
  return *promise_.md5;
}

}  // namespace archipel::door::s3
