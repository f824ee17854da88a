// DIR/head.
#include "index/dir.h"

#include "base/log.h"

namespace archipel::index {
namespace {

constexpr size_t kHeadFileBytes = 256;
constexpr std::string_view kHeadMagic = "archipel-head 1\n";
constexpr size_t kMacBytes = 32;
constexpr size_t kBootIdBytes = 36;

std::string padded(std::string text) {
  text.resize(kBootIdBytes, '\0');
  return text;
}

Digest32 mac_of(const crypto::Keyring& keys, ByteView bytes) {
  return crypto::hmac_sha256(keys.subkey("head").view(), bytes);
}

}  // namespace

Result<std::unique_ptr<HeadFile>> HeadFile::open(DirFiles& files, const crypto::Keyring& keys) {
  ASSIGN_OR_RETURN(std::unique_ptr<InPlaceFile> opened, files.open_in_place("head"));
  std::unique_ptr<HeadFile> file(
      new HeadFile(std::move(opened), files.path_of("head"), files.boot_id(), keys));
  RETURN_IF_ERROR(file->read());
  return file;
}

Result<std::unique_ptr<HeadFile>> HeadFile::open(const std::string& dir, const crypto::Keyring& keys) {
  return open(*open_dir_files(dir), keys);
}

Result<void> HeadFile::read() {
  ASSIGN_OR_RETURN(std::string bytes, file_->read(kHeadFileBytes + 1));
  if (bytes.empty()) return {};
  ByteView content = as_bytes(bytes).first(std::min(bytes.size(), kHeadFileBytes - kMacBytes));
  bool good =
      bytes.size() == kHeadFileBytes &&
      crypto::constant_time_equal(mac_of(keys_, content), as_bytes(bytes).subspan(content.size(), kMacBytes));
  if (!good) {
    // Recovery then goes by the islands alone, which is stricter, never looser.
    log::warn("journal.head_unreadable",
              {{"file", path_}, {"consequence", "recovering from the islands alone"}});
    return {};
  }
  Reader r(content);
  if (as_text(r.raw(kHeadMagic.size())) != kHeadMagic) {
    return fail(Code::unsupported,
                path_ + " was written by another version of this program; use that version");
  }
  crypto::RealmId realm{};
  r.fixed(realm);
  Contents contents;
  contents.position.epoch = r.u64();
  contents.position.seq = r.u64();
  r.fixed(contents.position.hash);
  contents.clean = r.u8() == 1;
  std::string boot(as_text(r.raw(kBootIdBytes)));
  if (!r.ok() || realm != keys_.realm())
    return fail(Code::invalid, path_ + " belongs to another realm than the keyring");
  contents.exact = contents.clean || (!boot_.empty() && boot == padded(boot_));
  found_ = contents;
  return {};
}

Result<void> HeadFile::write(const HeadPosition& position, bool clean, bool sync) {
  return write_as(boot_, position, clean, sync);
}

Result<void> HeadFile::found_in_a_copy() {
  if (!found_ || !found_->exact || found_->clean) return {};
  found_->exact = false;
  log::warn("journal.head_copied", {{"file", path_}, {"consequence", "recovering from the islands alone"}});
  return write_as({}, found_->position, false, true);
}

Result<void> HeadFile::write_as(const std::string& boot, const HeadPosition& position, bool clean,
                                bool sync) {
  std::string out;
  Writer w(out);
  w.raw(kHeadMagic)
      .raw(ByteView(keys_.realm()))
      .u64(position.epoch)
      .u64(position.seq)
      .raw(ByteView(position.hash));
  w.u8(clean ? 1 : 0).raw(padded(boot));
  out.resize(kHeadFileBytes - kMacBytes, '\0');
  Digest32 mac = mac_of(keys_, as_bytes(out));
  w.raw(ByteView(mac));
  return file_->write(as_bytes(out), clean || sync);
}

}  // namespace archipel::index
