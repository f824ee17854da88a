// Six islands in memory, or more, with one coded extent on them or some of them. For tests of src/extent only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "extent/builder.h"
#include "extent/decode.h"
#include "extent/header.h"
#include "extent/names.h"
#include "island/mem_island.h"

namespace archipel::extent {

class ExtentFixture : public testing::Test {
 protected:
  explicit ExtentFixture(erasure::Code code = {6, 3}) : coder_(code) {
    auto placement = std::make_shared<Placement>();
    for (int i = 0; i < std::max(code.n, 6); ++i) {
      islands_.push_back(std::make_shared<island::MemIsland>("island-" + std::to_string(i), true));
      placement->islands.push_back(islands_.back());
    }
    placement_ = placement;
  }

  // Random bytes, and a reference for an extent that holds them.
  std::string random_bytes(size_t size) {
    std::string bytes(size, '\0');
    random_->fill({reinterpret_cast<uint8_t*>(bytes.data()), size});
    return bytes;
  }
  ExtentRef make_ref(uint64_t length, uint32_t cell_bytes, ExtentRef::Kind kind = ExtentRef::Kind::data) {
    ExtentRef ref;
    ref.kind = kind;
    ref.id = {3, ++counter_};
    ref.attempt = random_->bytes<16>();
    ref.geometry = {coder_.code(), cell_bytes, length};
    if (kind == ExtentRef::Kind::data) ref.homes = homes_;
    return ref;
  }
  std::vector<std::string> names_of(const ExtentRef& ref) {
    std::vector<std::string> names;
    names.reserve(islands_.size());
    for (int i = 0; i < ref.geometry.code.n; ++i) names.push_back(name_of(ref, i));
    return names;
  }
  std::string name_of(const ExtentRef& ref, int shard, uint32_t repair = 0) {
    return shard_name(*keys_, home_of(ref, shard).id(), ref, shard, repair);
  }
  island::MemIsland& home_of(const ExtentRef& ref, int shard) {
    return *islands_[static_cast<size_t>(ref.home(shard))];
  }
  CodedExtent encode(const ExtentRef& ref, std::string_view bytes) {
    auto coded = ref.kind == ExtentRef::Kind::data
                     ? encode_extent(*keys_, coder_, ref, as_bytes(bytes), names_of(ref))
                     : encode_section(*keys_, coder_, ref, as_bytes(bytes));
    CHECK(coded.has_value());
    stored_[ref.id.counter] = bytes;
    return std::move(*coded);
  }
  // Codes `bytes` and puts each shard straight onto its island.
  ExtentRef store(std::string_view bytes, uint32_t cell_bytes) {
    CodedExtent coded = encode(make_ref(bytes.size(), cell_bytes), bytes);
    std::vector<std::string> names = names_of(coded.ref);
    for (size_t i = 0; i < names.size(); ++i)
      home_of(coded.ref, static_cast<int>(i)).blobs()[names[i]] = std::string(as_text(coded.shards[i]));
    coded.ref.confirmed = (1u << names.size()) - 1;
    return coded.ref;
  }
  std::string& blob(const ExtentRef& ref, int shard) {
    return home_of(ref, shard).blobs().at(name_of(ref, shard));
  }

  std::unique_ptr<Random> random_ = seeded_random(11);
  std::unique_ptr<crypto::Keyring> keys_ = crypto::Keyring::generate(*random_);
  erasure::Coder coder_;
  Homes homes_;  // of the extents that are made
  uint64_t counter_ = 0;
  std::map<uint64_t, std::string> stored_;  // what each extent holds, by its counter
  std::vector<std::shared_ptr<island::MemIsland>> islands_;
  std::shared_ptr<const Placement> placement_;
};

}  // namespace archipel::extent
