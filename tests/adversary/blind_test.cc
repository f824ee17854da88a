// What islands learn, alone and pooled: random-looking names and bytes, sizes and times, and no more (P1).
#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_set>

#include "cloud.h"
#include "quiet.h"
#include "recorder.h"

namespace archipel::adversary {
namespace {

// The same doings with other content: `text` makes bodies, keys and metadata of given lengths.
using Text = std::string (*)(size_t size, uint64_t number);

std::string zeros(size_t size, uint64_t number) {
  std::string out(size, '0'), end = std::to_string(number);
  if (size > end.size()) out.replace(size - end.size(), end.size(), end);
  return out;
}
std::string letters(size_t size, uint64_t number) {
  std::string out = pattern(size, number);
  for (char& c : out) c = static_cast<char>('a' + static_cast<uint8_t>(c) % 26);
  return out;
}

class TextBody final : public store::BodySource {
 public:
  explicit TextBody(std::string bytes) : bytes_(std::move(bytes)) {}
  io::Task<Result<size_t>> read(MutableBytes out) override {
    size_t size = std::min(out.size(), bytes_.size() - at_);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    co_return size;
  }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

io::Task<bool> put_text(Cloud& cloud, std::string bucket, size_t size, uint64_t number, Text text) {
  TextBody body(text(size, number));
  store::PutRequest request;
  request.bucket = bucket;
  request.key = text(20, number);
  request.length = size;
  request.headers["content-type"] = text(12, number + 1);
  request.metadata["note"] = text(30, number + 2);
  Result<store::ObjectInfo> done = co_await cloud.store().put(std::move(request), body);
  CO_ASSERT(done.has_value());
  co_return true;
}

constexpr size_t kSizes[] = {0, 1, 1000, 70'000, 140'000, 300'000, 1000};

template <Text text>
io::Task<bool> doings(Cloud& cloud) {
  Result<void> started = co_await cloud.start();
  CO_ASSERT(started.has_value());
  std::string bucket = letters(10, 1);
  Result<void> made = co_await cloud.store().create_bucket(bucket, kOwner);
  CO_ASSERT(made.has_value());
  uint64_t number = 10;
  for (size_t size : kSizes) {
    bool put = co_await put_text(cloud, bucket, size, number += 5, text);
    CO_ASSERT(put);
  }
  // Overwritten, deleted, and once more after a restart.
  bool put = co_await put_text(cloud, bucket, 1000, 15, text);
  CO_ASSERT(put);
  Result<std::vector<store::DeleteOutcome>> removed =
      co_await cloud.store().remove(bucket, {text(20, 20), text(20, 25)});
  CO_ASSERT(removed.has_value());
  Result<void> restarted = co_await cloud.restart(true);
  CO_ASSERT(restarted.has_value());
  put = co_await put_text(cloud, bucket, 5000, 90, text);
  CO_ASSERT(put);
  co_return true;
}

TEST(Blind, IslandsSeeTheSameWhateverTheContent) {
  // One life with the same randomness and two contents: that is what the recorder is there to forbid, and here the point.
  RecorderPause pause;
  std::vector<std::vector<SpyIsland::Seen>> views[2];
  for (int world = 0; world < 2; ++world) {
    Cloud cloud(4242);
    cloud.run(world == 0 ? doings<zeros> : doings<letters>);
    for (const auto& island : cloud.islands) views[world].push_back(island->seen);
  }
  for (size_t i = 0; i < kIslands; ++i) {
    ASSERT_EQ(views[0][i].size(), views[1][i].size()) << "island " << i;
    EXPECT_GT(views[0][i].size(), 10u);
    for (size_t seen = 0; seen < views[0][i].size(); ++seen) {
      EXPECT_EQ(views[0][i][seen].what, views[1][i][seen].what);
      EXPECT_EQ(views[0][i][seen].name, views[1][i][seen].name) << "a name depends on the content";
      EXPECT_EQ(views[0][i][seen].bytes, views[1][i][seen].bytes) << "a size depends on the content";
    }
  }
}

// Chi-square of the bytes against the uniform distribution: 255 expected, 22.6 its deviation.
double chi_square(const std::string& bytes) {
  std::array<double, 256> counts{};
  for (char c : bytes) ++counts[static_cast<uint8_t>(c)];
  double expected = static_cast<double>(bytes.size()) / 256, sum = 0;
  for (double count : counts) sum += (count - expected) * (count - expected) / expected;
  return sum;
}
bool looks_random(const std::string& bytes) {
  return std::abs(chi_square(bytes) - 255) < 6 * 22.6;
}

// All blocks of 16 bytes, at every offset that is a multiple of `step`.
void add_blocks(std::unordered_set<std::string>& out, std::string_view bytes, size_t step) {
  for (size_t at = 0; at + 16 <= bytes.size(); at += step) out.emplace(bytes.substr(at, 16));
}

io::Task<bool> distinguish(Cloud& cloud) {
  bool done = co_await doings<zeros>(cloud);
  CO_ASSERT(done);
  std::set<island::BlobName> names;
  size_t blobs_in_all = 0;
  for (const auto& island : cloud.islands) {
    std::string heads, tails, everything;
    for (const auto& [name, bytes] : island->blobs()) {
      EXPECT_EQ(name.size(), 40u);
      EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos);
      names.insert(name);
      ++blobs_in_all;
      heads += bytes.substr(0, 32);
      tails += bytes.substr(bytes.size() - std::min<size_t>(32, bytes.size()));
      everything += bytes;
    }
    EXPECT_TRUE(looks_random(everything)) << island->id() << ": " << chi_square(everything);
    EXPECT_TRUE(looks_random(heads)) << island->id() << ": headers show: " << chi_square(heads);
    EXPECT_TRUE(looks_random(tails)) << island->id() << ": " << chi_square(tails);
  }
  EXPECT_EQ(names.size(), blobs_in_all) << "listings of two islands can be joined";
  // The control: what was put does not pass.
  EXPECT_FALSE(looks_random(zeros(5000, 0)));
  EXPECT_FALSE(looks_random(letters(5000, 3)));
  co_return true;
}
TEST(Blind, NamesAndBytesPassForRandomOnesAndListingsDoNotJoin) {
  Cloud().run(distinguish);
}

// The data section of a commit and the shards of an extent: no two islands hold a common block, nor does one hold a block twice, although
// the bodies are all zeros, and the same again.
io::Task<bool> equality(Cloud& cloud) {
  Result<void> started = co_await cloud.start();
  CO_ASSERT(started.has_value());
  Result<void> made = co_await cloud.store().create_bucket(kBucket, kOwner);
  CO_ASSERT(made.has_value());
  std::vector<size_t> sizes[2];
  for (int again = 0; again < 2; ++again) {
    const size_t before = cloud.islands[0]->seen.size();
    Result<void> put = co_await cloud.put("same/" + std::to_string(again), std::string(200'000, '\0'));
    CO_ASSERT(put.has_value());
    for (size_t i = before; i < cloud.islands[0]->seen.size(); ++i)
      sizes[again].push_back(cloud.islands[0]->seen[i].bytes);
  }
  EXPECT_EQ(sizes[0], sizes[1]) << "equal lengths, equal sizes";
  std::unordered_set<std::string> blocks;
  size_t expected = 0;
  for (const auto& island : cloud.islands) {
    for (const auto& [name, bytes] : island->blobs()) {
      // Commit records are the same on every island, by design: what lies in front of the cells is left out where it is a journal blob.
      if (bytes.size() < 60'000) continue;
      expected += bytes.size() / 16;
      add_blocks(blocks, bytes, 16);
    }
  }
  EXPECT_GT(expected, 10'000u);
  EXPECT_EQ(blocks.size(), expected) << "some block of 16 bytes is stored twice";
  co_return true;
}
TEST(Attack, Row15And16EqualContentGivesEqualSizesAndNothingElse) {
  Cloud().run(equality);
}

// Everything that must never be seen, in the forms in which it could be.
std::vector<std::pair<std::string, std::string>> canaries(const Cloud& cloud) {
  std::vector<std::pair<std::string, std::string>> out = {{"bucket", letters(10, 1)}, {"owner", kOwner}};
  uint64_t number = 10;
  for (size_t size : kSizes) {
    number += 5;
    out.emplace_back("key", letters(20, number));
    out.emplace_back("content type", letters(12, number + 1));
    out.emplace_back("metadata", letters(30, number + 2));
    if (size >= 1000) out.emplace_back("body", letters(size, number).substr(size / 2, 24));
  }
  auto secret = [&out](std::string what, ByteView bytes) {
    out.emplace_back(std::move(what), as_text(bytes));
  };
  for (const char* purpose :
       {"index", "head", "accounts", "cells/default", "names/island-0", "marker/island-0"})
    secret(std::string("sub-key ") + purpose, cloud.keys->subkey(purpose).view());
  for (int slot = 0; slot < crypto::kKekSlots; ++slot) secret("KEK", cloud.keys->kek(slot).view());
  const size_t plain = out.size();
  for (size_t i = 0; i < plain; ++i) {
    out.emplace_back(out[i].first + " (hex)", hex(as_bytes(out[i].second)));
    std::string encoded = base64(as_bytes(out[i].second));
    out.emplace_back(out[i].first + " (base64)", encoded.substr(0, encoded.size() - 4));
  }
  return out;
}

io::Task<bool> leak(Cloud& cloud) {
  take_log();
  bool done = co_await doings<letters>(cloud);
  CO_ASSERT(done);
  // Trouble makes talk: lies, silence, a start that is refused.
  for (int i = 0; i < 4; ++i)
    for (auto& [name, bytes] : cloud.islands[static_cast<size_t>(i)]->blobs()) bytes[bytes.size() / 2] ^= 1;
  Result<void> restarted = co_await cloud.restart(true);
  std::string said = restarted ? "" : restarted.error().describe();
  if (restarted) {
    for (size_t number : {15u, 25u, 40u}) {
      Result<store::Store::Opened> opened =
          co_await cloud.store().get(letters(10, 1), letters(20, number), std::nullopt, {});
      if (!opened) {
        said += opened.error().describe();
        continue;
      }
      Result<Buffer> piece = co_await opened->reader->read();
      if (!piece) said += piece.error().describe();
    }
  }
  std::vector<std::pair<std::string, std::string>> places = {{"an error", said}};
  for (const std::string& event : take_log()) places.emplace_back("the log", event);
  for (const auto& [name, bytes] : cloud.dir.files) places.emplace_back("DIR/" + name, bytes);
  for (const auto& island : cloud.islands) {
    places.emplace_back(island->id() + " marker", *island->marker());
    for (const auto& [name, bytes] : island->blobs()) places.emplace_back(island->id() + " " + name, bytes);
  }
  EXPECT_GT(places.size(), 100u);
  for (const auto& [what, canary] : canaries(cloud))
    for (const auto& [where, bytes] : places)
      EXPECT_EQ(bytes.find(canary), std::string::npos) << what << " found in " << where;
  // The control: the same search finds what is there.
  EXPECT_NE(cloud.islands[0]->marker()->find("island-0"), std::string::npos);
  co_return true;
}
TEST(Attack, Row18NoNameBodyOrKeyInAnyByteSentLogErrorOrFile) {
  Cloud().run(leak);
}

}  // namespace
}  // namespace archipel::adversary
