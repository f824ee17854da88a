// What the attack suite is aimed at: blobs on islands, which it may do anything to, and reads that must give right bytes or an error. The
// real store is one target; deliberately weak formats are others, so that the suite itself is tested.
#pragma once

#include "cloud.h"

namespace archipel::adversary {

class Target {
 public:
  virtual ~Target() = default;
  virtual size_t islands() const = 0;
  virtual Blobs& blobs(size_t island) = 0;
  virtual io::Task<Cloud::Verdict> read_everything() = 0;
  // How many islands may be attacked without anything becoming unreadable.
  virtual size_t survives() const = 0;
  // Wrong bytes that were attributed to an island so far.
  virtual uint64_t blamed(size_t island) const = 0;
  // What an attacker knows of the format: where blocks begin in a blob, and how long they are.
  virtual size_t first_block() const = 0;
  virtual size_t block_bytes() const = 0;
};

class CloudTarget final : public Target {
 public:
  explicit CloudTarget(Cloud& cloud) : cloud_(cloud) {}
  size_t islands() const override { return cloud_.islands.size(); }
  Blobs& blobs(size_t island) override { return cloud_.islands[island]->blobs(); }
  io::Task<Cloud::Verdict> read_everything() override {
    Cloud::Verdict verdict = co_await cloud_.read_everything();
    co_await cloud_.settle();
    co_return verdict;
  }
  size_t survives() const override { return kIslands - kNeeded; }
  uint64_t blamed(size_t island) const override { return cloud_.blamed(static_cast<int>(island)); }
  size_t first_block() const override { return 128; }
  size_t block_bytes() const override { return extent::kSegmentSealed + extent::kTagBytes; }

 private:
  Cloud& cloud_;
};

// Formats as others have made them. Every object is one blob of chunks, whole on each of three islands; the first copy that looks good is
// believed.
//   untagged   chunk = nonce ‖ bytes XOR keystream: nothing authenticates
//   unbound    chunk = nonce ‖ bytes XOR keystream ‖ HMAC over both: nothing says which chunk of what it is, or how many there are
class WeakTarget final : public Target {
 public:
  enum class Weakness { untagged, unbound };
  explicit WeakTarget(Weakness weakness);
  size_t islands() const override { return blobs_.size(); }
  Blobs& blobs(size_t island) override { return blobs_[island]; }
  io::Task<Cloud::Verdict> read_everything() override;
  size_t survives() const override { return blobs_.size() - 1; }
  uint64_t blamed(size_t) const override { return 0; }
  size_t first_block() const override { return 0; }
  size_t block_bytes() const override {
    return kNonce + kChunk + (weakness_ == Weakness::unbound ? kTag : 0);
  }

 private:
  static constexpr size_t kNonce = 16, kChunk = 256, kTag = 32;
  std::string seal(ByteView plain);
  std::optional<std::string> open(ByteView chunk) const;
  Result<std::string> read(const std::string& key) const;

  const Weakness weakness_;
  std::unique_ptr<Random> random_ = seeded_random(5);
  std::string key_ = pattern(32, 6);
  std::map<std::string, std::string> model_;
  std::vector<Blobs> blobs_;
};

// --- the suite ---

struct Report {
  size_t programs = 0, right = 0, refused = 0, wrong = 0;
  size_t lost_within_bound =
      0;  // programs that touched no more islands than may be, and made something unreadable
  size_t innocents_blamed = 0;  // islands that were blamed and not touched
  size_t programs_with_blame = 0;
  std::vector<std::string> complaints;  // a few
  // Right bytes or a named error, whatever was done.
  bool holds() const {
    return wrong == 0 && complaints.empty() && lost_within_bound == 0 && innocents_blamed == 0;
  }
  std::string describe() const;
};

// Random programs of flipping, truncating, extending, dropping prefixes, reordering, duplicating, splicing and exchanging, within and across
// blobs and islands; after each everything is read, and then all blobs are put back.
io::Task<Report> cut_and_paste(Target& target, uint64_t seed, size_t programs);

// Single bits, anywhere.
io::Task<Report> flip_bits(Target& target, uint64_t seed, size_t flips);

}  // namespace archipel::adversary
