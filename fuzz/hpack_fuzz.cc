// Header blocks: any bytes are decoded or refused, what was decoded is the same when it is written by our own encoder and read again, and what is Huffman-coded decodes to
// what it was.
#include <vector>

#include "http/hpack_decoder.h"
#include "http/hpack_encoder.h"
#include "http/huffman.h"

namespace archipel::http {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;
constexpr size_t kFieldsMax = 2000;  // an index of one byte may stand for 4 KiB

void take(void* to, std::string_view name, std::string_view value, uint8_t& /*note*/) {
  auto& fields = *static_cast<Fields*>(to);
  if (fields.size() < kFieldsMax) fields.emplace_back(name, value);
}

void check_again(const Fields& fields) {
  size_t bytes = HpackWriter::kStartBytes;
  for (const auto& [name, value] : fields) bytes += HpackWriter::field_bytes_max(name, value);
  std::string block(bytes, '\0');
  HpackWriter writer(reinterpret_cast<uint8_t*>(block.data()));
  writer.start();
  for (const auto& [name, value] : fields) writer.field(name, value);
  CHECK(writer.size() <= bytes);
  Fields again;
  HpackDecoder decoder;
  CHECK(decoder.decode(as_bytes(block).first(writer.size()), take, &again));
  CHECK(again == fields);
}

void check_huffman(std::string_view text) {
  std::string coded(huffman_size(text), '\0');
  const uint8_t* end = huffman_encode(text, reinterpret_cast<uint8_t*>(coded.data()));
  CHECK(end == reinterpret_cast<uint8_t*>(coded.data()) + coded.size());
  std::string decoded(huffman_decoded_max(coded.size()), '\0');
  const char* stop = huffman_decode(coded, decoded.data());
  CHECK(stop != nullptr);
  CHECK(std::string_view(decoded.data(), static_cast<size_t>(stop - decoded.data())) == text);
}

}  // namespace
}  // namespace archipel::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archipel;
  http::HpackDecoder decoder;
  ByteView rest(data, size);
  // Blocks of one connection, the length of each in a byte before it.
  while (!rest.empty()) {
    const size_t block = std::min<size_t>(rest[0], rest.size() - 1);
    http::Fields fields;
    if (!decoder.decode(rest.subspan(1, block), http::take, &fields)) break;
    http::check_again(fields);
    rest = rest.subspan(1 + block);
  }
  http::check_huffman(as_text({data, size}));
  return 0;
}
