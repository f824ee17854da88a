// Golden vectors of docs/formats/extent.md. They change only together with a format version.
#include "crypto/hash.h"
#include "extent/extent_fixture.h"

namespace archipel::extent {
namespace {

class Golden : public ExtentFixture {
 protected:
  static std::string digest(const CodedExtent& coded) {
    std::string all;
    for (ByteView shard : coded.shards) all.append(as_text(shard));
    return hex(crypto::sha256(as_bytes(all)));
  }
  std::string counting(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7);
    return bytes;
  }
  ExtentRef fixed_ref(ExtentRef::Kind kind) {
    ExtentRef ref;
    ref.kind = kind;
    ref.id = {5, 77};
    for (size_t i = 0; i < ref.attempt.size(); ++i) ref.attempt[i] = static_cast<uint8_t>(i);
    ref.geometry = {{6, 3}, 1000, 10'500};
    ref.open = {1, 2, 3, 4, 5, 6, 7, 8};
    return ref;
  }
};

TEST_F(Golden, NamesStayAsTheyAre) {
  OpenBits open{1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(shard_name(*keys_, "island-0", fixed_ref(ExtentRef::Kind::data), 4),
            "5217fab0aef3d97de04be51ae3a4ef367e8c1f2c");
  EXPECT_EQ(commit_blob_name(*keys_, "island-0", 5, open, 77), "42d0f813611123a450ee31fb45b79e0371ce6f31");
  EXPECT_EQ(claim_name(*keys_, "island-0", 5), "b61c3dc12f63ecb7175cdc0c127349251a602677");
  EXPECT_EQ(open_name(*keys_, "island-0", 5), "41831bee7b15bf04016e6a63065a47848b5f8976");
  EXPECT_EQ(head_slot_name(*keys_, "island-0", 1), "88d1bc2002da562d2c47ed8299c654af7cd2ea79");
  EXPECT_EQ(lease_name(*keys_, "island-0"), "7e670e37e2c7e6cb1dbd200d42f2d6b8e773acb5");
}

TEST_F(Golden, ShardsStayAsTheyAre) {
  std::string bytes = counting(10'500);
  EXPECT_EQ(digest(encode(fixed_ref(ExtentRef::Kind::data), bytes)),
            "162ee767bb83858e24ffcdf5bc6a627025769c25ec67bfc9283af93be391aceb");
  EXPECT_EQ(digest(encode(fixed_ref(ExtentRef::Kind::section), bytes)),
            "1c7b4159d1dd574615b6e9f759f2476b0db1e04c043a8a75d09466468f9e5bf3");
}

}  // namespace
}  // namespace archipel::extent
