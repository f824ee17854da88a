// What islands may hand out as journal blobs: headers, records, opens, claims, and the index's own keys. First byte: which of them.
//
// Properties: what decodes is canonical (it encodes to the same bytes); bytes that nobody sealed never open; a sealed blob opens to
// what was sealed, and with one byte changed not at all.
#include "fuzz_support.h"
#include "index/record.h"

using namespace archipel;
using namespace archipel::index;

namespace {

void header(ByteView in) {
  Result<Header> decoded = decode_header(in);
  if (decoded) MUST(as_text(encode_header(*decoded)) == as_text(in));
}

void record(ByteView in) {
  Result<Record> decoded = decode_record(in);
  if (!decoded) return;
  MUST(encode_record(*decoded, in.size()) == as_text(in));
  // What replaying it would write.
  MUST(mutations_of(*decoded, Digest32{}, OpenBits{}, 6).size() > decoded->mutations.size());
}

void open(ByteView in) {
  Result<EpochOpen> decoded = decode_open(in);
  if (!decoded) return;
  MUST(encode_open(*decoded) == as_text(in));
  MUST(decoded->roster.size() <= kRosterMax && decoded->parent_epoch < decoded->epoch);
}

void forged_blob(ByteView in) {
  for (BlobKind kind : {BlobKind::commit, BlobKind::open, BlobKind::claim})
    MUST(!open_blob(fuzz::keys(), fuzz::kIsland, fuzz::kName, kind, 1, 0, in));
  (void)peek_header(fuzz::keys(), fuzz::kIsland, fuzz::kName, in);
}

// A u16 that picks the byte to change, a u8 to change it by, then the plaintext.
void sealed_blob(ByteView in) {
  Reader r(in);
  size_t at = r.u16();
  uint8_t change = r.u8();
  if (!r.ok()) return;
  ByteView plain = in.subspan(3);
  Header header;
  header.kind = BlobKind::commit;
  header.epoch = 3;
  header.seq = plain.size();
  Sealed sealed = seal(fuzz::keys(), header, plain);
  std::string blob(as_text(masked_header(fuzz::keys(), fuzz::kIsland, fuzz::kName, sealed.header)));
  blob += as_text(sealed.bytes);
  auto opens = [&](const std::string& bytes) {
    return open_blob(fuzz::keys(), fuzz::kIsland, fuzz::kName, BlobKind::commit, 3, plain.size(),
                     as_bytes(bytes));
  };
  Result<OpenedBlob> opened = opens(blob);
  MUST(opened && as_text(opened->plain) == as_text(plain));
  MUST(!open_blob(fuzz::keys(), fuzz::kIsland, fuzz::kName, BlobKind::commit, 4, plain.size(),
                  as_bytes(blob)));
  MUST(!open_blob(fuzz::keys(), "ovh-gravelines", fuzz::kName, BlobKind::commit, 3, plain.size(),
                  as_bytes(blob)));
  MUST(!opens(blob.substr(0, at % blob.size())));
  if (change == 0) return;
  blob[at % blob.size()] = static_cast<char>(blob[at % blob.size()] ^ change);
  MUST(!opens(blob));
}

void own_keys(ByteView in) {
  std::unique_ptr<Kv> kv = make_map_kv();
  std::string value(as_text(in));
  MUST(kv->write({{"m/applied", value}, {"m/debt/" + value, value}}).has_value());
  (void)read_applied(*kv->snapshot());
  (void)scan_debts(*kv->snapshot(), [](const Record::Confirmed&, UnixMs) {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ByteView in(data + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      header(in);
      break;
    case 1:
      record(in);
      break;
    case 2:
      open(in);
      break;
    case 3:
      forged_blob(in);
      break;
    case 4:
      sealed_blob(in);
      break;
    default:
      own_keys(in);
  }
  return 0;
}
