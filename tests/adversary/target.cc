#include "target.h"

#include <fmt/format.h>

#include <set>

#include "crypto/hash.h"

namespace archipel::adversary {

// --- the weak formats ---

WeakTarget::WeakTarget(Weakness weakness) : weakness_(weakness), blobs_(3) {
  const std::pair<const char*, size_t> objects[] = {{"a", 900}, {"b", 900}, {"c", 100}, {"d", 2048}};
  for (auto [key, size] : objects) {
    std::string body = pattern(size, size + key[0]), blob;
    for (size_t at = 0; at < size; at += kChunk)
      blob += seal(as_bytes(body).subspan(at, std::min(kChunk, size - at)));
    for (Blobs& island : blobs_) island[hex(crypto::sha256(as_bytes(key)))] = blob;
    model_[key] = body;
  }
}

std::string WeakTarget::seal(ByteView plain) {
  std::string nonce(as_text(random_->bytes<kNonce>())), stream(plain.size(), '\0');
  crypto::hkdf_sha256(as_bytes(key_), as_bytes(nonce), {},
                      {reinterpret_cast<uint8_t*>(stream.data()), stream.size()});
  std::string chunk = nonce;
  for (size_t i = 0; i < plain.size(); ++i)
    chunk += static_cast<char>(stream[i] ^ static_cast<char>(plain[i]));
  if (weakness_ == Weakness::unbound) chunk += as_text(crypto::hmac_sha256(as_bytes(key_), as_bytes(chunk)));
  return chunk;
}

std::optional<std::string> WeakTarget::open(ByteView chunk) const {
  if (weakness_ == Weakness::unbound) {
    if (chunk.size() < kNonce + kTag) return std::nullopt;
    ByteView tag = chunk.last(kTag);
    chunk = chunk.first(chunk.size() - kTag);
    if (!crypto::constant_time_equal(crypto::hmac_sha256(as_bytes(key_), chunk), tag)) return std::nullopt;
  }
  if (chunk.size() < kNonce) return std::nullopt;
  ByteView sealed = chunk.subspan(kNonce);
  std::string stream(sealed.size(), '\0');
  crypto::hkdf_sha256(as_bytes(key_), chunk.first(kNonce), {},
                      {reinterpret_cast<uint8_t*>(stream.data()), stream.size()});
  for (size_t i = 0; i < stream.size(); ++i)
    stream[i] = static_cast<char>(stream[i] ^ static_cast<char>(sealed[i]));
  return stream;
}

Result<std::string> WeakTarget::read(const std::string& key) const {
  for (const Blobs& island : blobs_) {
    auto found = island.find(hex(crypto::sha256(as_bytes(key))));
    if (found == island.end()) continue;
    std::string out;
    bool good = true;
    for (size_t at = 0; good && at < found->second.size(); at += block_bytes()) {
      std::optional<std::string> plain =
          open(as_bytes(std::string_view(found->second).substr(at, block_bytes())));
      good = plain.has_value();
      if (good) out += *plain;
    }
    if (good) return out;
  }
  return fail(Code::corrupt, "no copy is good");
}

io::Task<Cloud::Verdict> WeakTarget::read_everything() {
  Cloud::Verdict verdict;
  for (const auto& [key, body] : model_) {
    Result<std::string> got = read(key);
    ++(!got ? verdict.refused : *got == body ? verdict.right : verdict.wrong);
  }
  co_return verdict;
}

// --- the suite ---

namespace {

class Attacker {
 public:
  Attacker(Target& target, uint64_t seed) : target_(target), dice_(seed) {
    for (size_t i = 0; i < target.islands(); ++i) original_.push_back(target.blobs(i));
  }

  void choose_islands() {
    touched_.clear();
    size_t count = 1 + dice_.pick(target_.islands());
    while (touched_.size() < count) touched_.insert(dice_.pick(target_.islands()));
  }

  void step() {
    size_t island = *std::next(touched_.begin(), static_cast<ptrdiff_t>(dice_.pick(touched_.size())));
    Blobs& blobs = target_.blobs(island);
    if (blobs.empty()) return;
    auto one = any(blobs), other = any(blobs);
    change(blobs, one->first, one->second, other->second, island);
  }

  // Nearly every blob of the chosen islands.
  void assault() {
    for (size_t island : touched_) {
      std::vector<std::string> names;
      for (const auto& [name, bytes] : target_.blobs(island)) names.push_back(name);
      for (const std::string& name : names) {
        Blobs& blobs = target_.blobs(island);
        auto found = blobs.find(name);
        if (found == blobs.end() || dice_.chance(1, 4)) continue;
        auto other = any(blobs);
        change(blobs, name, found->second, other->second, island);
      }
    }
  }

  void flip() {
    touched_.clear();
    size_t island = dice_.pick(target_.islands());
    touched_.insert(island);
    std::string& bytes = any(target_.blobs(island))->second;
    flip_in(bytes);
  }

  void put_back() {
    for (size_t i : touched_) target_.blobs(i) = original_[i];
  }

  const std::set<size_t>& touched() const { return touched_; }
  // Steps that changed nothing do not count as touching.
  size_t changed() const {
    size_t count = 0;
    for (size_t i : touched_) count += target_.blobs(i) != original_[i];
    return count;
  }

 private:
  Blobs::iterator any(Blobs& blobs) {
    return std::next(blobs.begin(), static_cast<ptrdiff_t>(dice_.pick(blobs.size())));
  }
  void flip_in(std::string& bytes) {
    if (bytes.empty()) return;
    size_t at = dice_.pick(bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice_.pick(8)));
  }
  // A place in `bytes`: anywhere, or where a block begins.
  size_t place(const std::string& bytes) {
    if (dice_.chance(1, 2)) return block_at(bytes, dice_.pick(blocks(bytes) + 1));
    return dice_.pick(bytes.size() + 1);
  }
  size_t blocks(const std::string& bytes) const {
    size_t body = bytes.size() - std::min(bytes.size(), target_.first_block());
    return (body + target_.block_bytes() - 1) / target_.block_bytes();
  }
  size_t block_at(const std::string& bytes, size_t block) const {
    return std::min(bytes.size(), target_.first_block() + block * target_.block_bytes());
  }

  void change(Blobs& blobs, std::string name, std::string& bytes, std::string& other, size_t island) {
    const size_t block = target_.block_bytes();
    switch (dice_.pick(14)) {
      case 0:
        return flip_in(bytes);
      case 1:
        return bytes.resize(place(bytes));
      case 2:
        bytes.append(dice_.pick(2 * block), '\0');
        return;
      case 3:
        bytes += other.substr(place(other));
        return;
      case 4:
        bytes.erase(0, place(bytes));
        return;
      case 5:  // the first block, behind what stands before it
        bytes.erase(std::min(bytes.size(), target_.first_block()), block);
        return;
      case 6: {  // two blocks exchanged
        size_t n = blocks(bytes);
        if (n < 2) return std::swap(bytes, other);
        size_t a = block_at(bytes, dice_.pick(n)), b = block_at(bytes, dice_.pick(n));
        std::string first = bytes.substr(a, block), second = bytes.substr(b, block);
        if (first.size() != second.size()) return;
        bytes.replace(a, first.size(), second);
        bytes.replace(b, second.size(), first);
        return;
      }
      case 7: {  // a block twice
        std::string copy = bytes.substr(block_at(bytes, dice_.pick(blocks(bytes) + 1)), block);
        bytes.insert(place(bytes), copy);
        return;
      }
      case 8: {  // the beginning of one, the end of another
        size_t at = place(bytes);
        bytes = bytes.substr(0, at) + other.substr(std::min(at, other.size()));
        return;
      }
      case 9:
        return std::swap(bytes, other);
      case 10:
        bytes = other;
        return;
      case 11: {  // what another island holds, of about the same length
        Blobs& there = target_.blobs(dice_.pick(target_.islands()));
        for (const auto& [their_name, theirs] : there)
          if (theirs.size() == bytes.size() && theirs != bytes) {
            bytes = theirs;
            if (dice_.chance(1, 2)) return;
          }
        return;
      }
      case 12:
        blobs.erase(name);
        return;
      default: {  // all of another island's blobs, whatever they are called there
        size_t from = dice_.pick(target_.islands());
        for (const auto& [their_name, theirs] : original_[from]) blobs.try_emplace(their_name, theirs);
        if (from != island && dice_.chance(1, 4)) blobs = original_[from];
        return;
      }
    }
  }

  Target& target_;
  io::Dice dice_;
  std::vector<Blobs> original_;
  std::set<size_t> touched_;
};

constexpr size_t kComplaintsMax = 5;

io::Task<bool> judge(Target& target, Attacker& attacker, Report& report) {
  std::vector<uint64_t> blamed;
  for (size_t i = 0; i < target.islands(); ++i) blamed.push_back(target.blamed(i));
  Cloud::Verdict verdict = co_await target.read_everything();
  ++report.programs;
  report.right += verdict.right;
  report.refused += verdict.refused;
  report.wrong += verdict.wrong;
  for (const std::string& complaint : verdict.complaints)
    if (report.complaints.size() < kComplaintsMax) report.complaints.push_back(complaint);
  if (verdict.refused > 0 && attacker.touched().size() <= target.survives()) {
    ++report.lost_within_bound;
    if (report.complaints.size() < kComplaintsMax) report.complaints.push_back(verdict.errors.front());
  }
  bool blame = false;
  for (size_t i = 0; i < target.islands(); ++i) {
    if (target.blamed(i) == blamed[i]) continue;
    blame = true;
    report.innocents_blamed += !attacker.touched().contains(i);
  }
  report.programs_with_blame += blame;
  attacker.put_back();
  co_return true;
}

}  // namespace

std::string Report::describe() const {
  std::string out = fmt::format(
      "{} attacks: {} reads right, {} refused, {} WRONG; {} attacks within the bound made something "
      "unreadable; {} innocent islands blamed",
      programs, right, refused, wrong, lost_within_bound, innocents_blamed);
  for (const std::string& complaint : complaints) out += "\n  " + complaint;
  return out;
}

io::Task<Report> cut_and_paste(Target& target, uint64_t seed, size_t programs) {
  Report report;
  Attacker attacker(target, seed);
  io::Dice dice(seed + 1);
  for (size_t i = 0; i < programs; ++i) {
    attacker.choose_islands();
    if (dice.chance(1, 2))
      attacker.assault();
    else
      for (size_t steps = 1 + dice.pick(12); steps > 0; --steps) attacker.step();
    co_await judge(target, attacker, report);
  }
  co_return report;
}

io::Task<Report> flip_bits(Target& target, uint64_t seed, size_t flips) {
  Report report;
  Attacker attacker(target, seed);
  for (size_t i = 0; i < flips; ++i) {
    attacker.flip();
    co_await judge(target, attacker, report);
  }
  co_return report;
}

}  // namespace archipel::adversary
