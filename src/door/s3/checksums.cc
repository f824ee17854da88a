#include "door/s3/checksums.h"

#include <algorithm>
#include <array>

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
