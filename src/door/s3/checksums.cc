#include "door/s3/checksums.h"

#include <algorithm>
#include <array>

#include "door/s3/errors.h"

namespace archipel::door::s3 {

namespace {
struct Row {
  ChecksumKind kind;
  std::string_view header, algorithm;
  size_t bytes;
};
constexpr std::array<Row, 5> kRows{{
    {ChecksumKind::crc32, "x-amz-checksum-crc32", "CRC32", 4},
    {ChecksumKind::crc32c, "x-amz-checksum-crc32c", "CRC32C", 4},
    {ChecksumKind::crc64nvme, "x-amz-checksum-crc64nvme", "CRC64NVME", 8},
    {ChecksumKind::sha1, "x-amz-checksum-sha1", "SHA1", 20},
    {ChecksumKind::sha256, "x-amz-checksum-sha256", "SHA256", 32},
}};

const Row* row_of(ChecksumKind kind) {
  for (const Row& row : kRows)
    if (row.kind == kind) return &row;
  return nullptr;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

template <class D>
std::string raw(const D& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}
}  // namespace

std::string_view checksum_header(ChecksumKind kind) {
  const Row* row = row_of(kind);
  return row == nullptr ? std::string_view{} : row->header;
}

std::string_view checksum_algorithm(ChecksumKind kind) {
  const Row* row = row_of(kind);
  return row == nullptr ? std::string_view{} : row->algorithm;
}

ChecksumKind checksum_of_header(std::string_view header) {
  for (const Row& row : kRows)
    if (equal_ignoring_case(row.header, header)) return row.kind;
  return ChecksumKind::none;
}

ChecksumKind checksum_of_algorithm(std::string_view algorithm) {
  for (const Row& row : kRows)
    if (equal_ignoring_case(row.algorithm, algorithm)) return row.kind;
  return ChecksumKind::none;
}

size_t checksum_bytes(ChecksumKind kind) {
  const Row* row = row_of(kind);
  return row == nullptr ? 0 : row->bytes;
}

std::string_view checksum_type(const store::Checksum& checksum) {
  return checksum.composite ? "COMPOSITE" : "FULL_OBJECT";
}

std::optional<std::string> decode_checksum(ChecksumKind kind, std::string_view value) {
  auto bytes = unbase64(value);
  if (!bytes || bytes->size() != checksum_bytes(kind)) return std::nullopt;
  return bytes;
}

std::string checksum_text(const store::Checksum& checksum, uint32_t parts) {
  std::string out = base64(as_bytes(checksum.value));
  if (checksum.composite) out += '-' + std::to_string(parts);
  return out;
}

std::optional<store::Checksum> parse_object_checksum(ChecksumKind kind, std::string_view text) {
  store::Checksum out;
  out.kind = kind;
  size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    std::string_view parts = text.substr(dash + 1);
    if (parts.empty() || parts.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    out.composite = true;
    text = text.substr(0, dash);
  }
  auto raw = decode_checksum(kind, text);
  if (!raw) return std::nullopt;
  out.value = std::move(*raw);
  return out;
}

Result<store::Checksum> read_object_checksum(const http::Headers& headers) {
  store::Checksum out;
  for (const auto& [name, value] : headers) {
    ChecksumKind kind = checksum_of_header(name);
    if (kind == ChecksumKind::none) continue;
    if (out.kind != ChecksumKind::none)
      return refuse("InvalidRequest",
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
    auto parsed = parse_object_checksum(kind, value);
    if (!parsed) return refuse("BadDigest", "Value for " + name + " header is invalid.");
    out = std::move(*parsed);
  }
  return out;
}

bool composite_by_default(ChecksumKind kind) {
  return kind != ChecksumKind::none && kind != ChecksumKind::crc64nvme;
}

Result<bool> read_composite(ChecksumKind kind, std::string_view type) {
  bool composite = type == "COMPOSITE";
  if (!composite && type != "FULL_OBJECT")
    return refuse("InvalidRequest", "Value for x-amz-checksum-type header is invalid.");
  bool hash = kind == ChecksumKind::sha1 || kind == ChecksumKind::sha256;
  if ((composite && kind == ChecksumKind::crc64nvme) || (!composite && hash))
    return refuse("InvalidRequest", "The " + std::string(type) + " checksum type cannot be used with the " +
                                        std::string(checksum_algorithm(kind)) + " checksum algorithm.");
  return composite;
}

Digests::Digests(Wanted wanted) : wanted_(wanted) {
  if (wanted.sha256 || wanted.checksum == ChecksumKind::sha256) sha256_.emplace();
  if (wanted.checksum == ChecksumKind::sha1) sha1_.emplace();
  if (wanted.md5) md5_.emplace();
}

void Digests::update(ByteView bytes) {
  if (sha256_) sha256_->update(bytes);
  if (sha1_) sha1_->update(bytes);
  if (md5_) md5_->update(bytes);
  switch (wanted_.checksum) {
    case ChecksumKind::crc32:
      crc32_.update(bytes);
      break;
    case ChecksumKind::crc32c:
      crc32c_.update(bytes);
      break;
    case ChecksumKind::crc64nvme:
      crc64nvme_.update(bytes);
      break;
    case ChecksumKind::sha1:
    case ChecksumKind::sha256:
    case ChecksumKind::none:
      break;
  }
}

void Digests::finish() {
  if (sha256_) sha256_value_ = raw(sha256_->finish());
  if (md5_) md5_value_ = raw(md5_->finish());
  Writer out(checksum_value_);
  switch (wanted_.checksum) {
    case ChecksumKind::crc32:
      out.u32(crc32_.value());
      break;
    case ChecksumKind::crc32c:
      out.u32(crc32c_.value());
      break;
    case ChecksumKind::crc64nvme:
      out.u64(crc64nvme_.value());
      break;
    case ChecksumKind::sha1:
      checksum_value_ = raw(sha1_->finish());
      break;
    case ChecksumKind::sha256:
      checksum_value_ = sha256_value_;
      break;
    case ChecksumKind::none:
      break;
  }
}

bool Digests::slow() const {
  return sha256_ || sha1_ || md5_;
}

}  // namespace archipel::door::s3
