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
            "632fe54f8d9cdb9f0a13259a3ef81c52a65e2803");
  EXPECT_EQ(commit_blob_name(*keys_, "island-0", 5, open, 77), "5097445d4531c2139cd48768ef38446e296abb4f");
  EXPECT_EQ(claim_name(*keys_, "island-0", 5), "35339d1f45ef39a8f6c3e31fcbb585c1670ccca5");
  EXPECT_EQ(open_name(*keys_, "island-0", 5), "d01cef3782944790ee84be7a7fd60e769224cb24");
  EXPECT_EQ(head_slot_name(*keys_, "island-0", 1), "231ab801d433bddf3d1867b2d0afc2343b7c7dd5");
  EXPECT_EQ(lease_name(*keys_, "island-0"), "f7c20c831f9129cc15eff6b35d7b9beabb7311b7");
}

TEST_F(Golden, ShardsStayAsTheyAre) {
  std::string bytes = counting(10'500);
  EXPECT_EQ(digest(encode(fixed_ref(ExtentRef::Kind::data), bytes)),
            "cc7790925bd347874a27f78cf09b7a88f59d49a5aa39cee22c2ed89ebecb8c13");
  EXPECT_EQ(digest(encode(fixed_ref(ExtentRef::Kind::section), bytes)),
            "6177b46da4aeb697f332fdbe808a7031d5e8f1723765e62e90c644acd9740080");
}

}  // namespace
}  // namespace archipel::extent
