#include "store/summing_body.h"

namespace archipel::store {
namespace {

using Kind = Checksum::Kind;

template <class Word>
std::string big_endian(Word value) {
  std::string out(sizeof(Word), '\0');
  for (size_t i = sizeof(Word); i-- > 0; value = static_cast<Word>(value >> 8))
    out[i] = static_cast<char>(value & 0xff);
  return out;
}

uint64_t word_of(const std::string& bytes) {
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

std::string bytes_of(std::monostate) {
  return {};
}
template <class Digest>
std::string bytes_of(Digest& digest) {
  if constexpr (requires { digest.finish(); })
    return std::string(as_text(digest.finish()));
  else
    return big_endian(digest.value());
}

}  // namespace

ChecksumSum::ChecksumSum(Kind kind) : kind_(kind) {
  if (kind == Kind::crc32) sum_.emplace<crypto::Crc32>();
  if (kind == Kind::crc32c) sum_.emplace<crypto::Crc32c>();
  if (kind == Kind::crc64nvme) sum_.emplace<crypto::Crc64Nvme>();
  if (kind == Kind::sha1) sum_.emplace<crypto::Sha1>();
  if (kind == Kind::sha256) sum_.emplace<crypto::Sha256>();
}

void ChecksumSum::update(ByteView bytes) {
  std::visit(
      [&](auto& sum) {
        if constexpr (requires { sum.update(bytes); }) sum.update(bytes);
      },
      sum_);
}

Checksum ChecksumSum::value() {
  return {kind_, std::visit([](auto& sum) { return bytes_of(sum); }, sum_)};
}

Checksum combine_checksums(const Checksum& a, const Checksum& b, uint64_t b_bytes) {
  CHECK(a.kind == b.kind);
  const uint64_t first = word_of(a.value), second = word_of(b.value);
  if (a.kind == Kind::crc64nvme)
    return {a.kind, big_endian(crypto::combine_crc64nvme(first, second, b_bytes))};
  const uint32_t x = static_cast<uint32_t>(first), y = static_cast<uint32_t>(second);
  if (a.kind == Kind::crc32c) return {a.kind, big_endian(crypto::combine_crc32c(x, y, b_bytes))};
  CHECK(a.kind == Kind::crc32);
  return {a.kind, big_endian(crypto::combine_crc32(x, y, b_bytes))};
}

io::Task<Result<size_t>> SummingBody::read(MutableBytes out) {
  Result<size_t> got = co_await body_.read(out);
  if (!got) co_return got;
  if (*got > 0) {
    sum_.update(out.first(*got));
    co_return got;
  }
  // Another kind than asked for stays visible to who asked. CRC64NVME is what S3 keeps where nobody chose: then any other has done its work.
  computed_ = body_.checksum();
  bool unchosen = sum_.kind() == Kind::crc64nvme && computed_.kind != Kind::crc64nvme;
  if (computed_.kind == Kind::none || unchosen) computed_ = sum_.value();
  co_return got;
}

}  // namespace archipel::store
