#include "store/upload_records.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "store/sse.h"

namespace archipel::store {
namespace {

UploadRecord upload() {
  UploadRecord record;
  record.initiated_ms = 1'700'000'000'123;
  record.initiator = "alice";
  record.headers["content-type"] = "text/plain";
  record.metadata["colour"] = "blue";
  record.attributes.owner = "bob";
  record.attributes.tags["a"] = "b";
  record.attributes.acl = "opaque";
  record.attributes.retention = {Retention::Mode::compliance, 1'800'000'000'000};
  record.attributes.legal_hold = true;
  record.checksum = Checksum::Kind::crc64nvme;
  record.encryption = Encryption::Kind::sse_c;
  record.encryption_data = std::string(kCommitmentBytes, 'c');
  return record;
}

PartRecord part(uint64_t segments) {
  PartRecord record;
  record.modified_ms = 5;
  record.md5.fill(7);
  record.checksum = {Checksum::Kind::crc32, "1234"};
  record.size = segments * extent::kSegmentPlain;
  if (segments == 0) return record;
  Slice& slice = record.slice.emplace();
  slice.stream.length = record.size;
  slice.stream.segments = segments;
  ExtentRun& run = slice.storage.extents.emplace_back();
  run.ref.id = {3, 17};
  run.segments = segments;
  run.ref.geometry = {{6, 3}, extent::kSegmentSealed, sealed_bytes(slice.stream, 0, segments)};
  return record;
}

PartSetRecord completed() {
  PartSetRecord record{9, 3, 5'000, CompletedSet{"bucket", "key", {}, 77, {}}};
  record.completed->request.fill(3);
  return record;
}

TEST(UploadRecords, ComeBackAsTheyWere) {
  Result<UploadRecord> of_upload = decode_upload(encode(upload()));
  ASSERT_TRUE(of_upload);
  EXPECT_EQ(encode(*of_upload), encode(upload()));
  EXPECT_EQ(of_upload->attributes.retention.until_ms, 1'800'000'000'000);
  for (uint64_t segments : {0, 5}) {
    Result<PartRecord> back = decode_part(encode(part(segments)));
    ASSERT_TRUE(back);
    EXPECT_EQ(encode(*back), encode(part(segments)));
    EXPECT_EQ(back->slice.has_value(), segments > 0);
  }
  Result<PartSetRecord> set = decode_part_set(encode(completed()));
  ASSERT_TRUE(set && set->completed);
  EXPECT_EQ(encode(*set), encode(completed()));
  EXPECT_EQ(set->completed->order, 77u);
  Result<DropRecord> drop = decode_drop(encode(DropRecord{{1, 5, 10'000}}));
  ASSERT_TRUE(drop);
  EXPECT_EQ(drop->numbers, (std::vector<uint32_t>{1, 5, 10'000}));
}

TEST(UploadRecords, RefuseWhatDoesNotAddUp) {
  PartRecord lies = part(5);
  lies.size -= 1;
  EXPECT_FALSE(decode_part(encode(lies)));
  EXPECT_FALSE(decode_drop(encode(DropRecord{{5, 5}})));
  EXPECT_FALSE(decode_drop(encode(DropRecord{{10'001}})));
  auto refuses_cuts = [](const std::string& good, auto decode) {
    for (size_t size = 0; size < good.size(); ++size)
      EXPECT_FALSE(decode(std::string_view(good).substr(0, size))) << size;
    EXPECT_FALSE(decode(good + "x"));
  };
  refuses_cuts(encode(upload()), decode_upload);
  refuses_cuts(encode(part(5)), [](std::string_view bytes) { return decode_part(bytes); });
  refuses_cuts(encode(completed()), decode_part_set);
  refuses_cuts(encode(DropRecord{{1, 2}}), decode_drop);
  for (const std::string& good :
       {encode(upload()), encode(part(5)), encode(completed()), encode(DropRecord{{1, 2}})}) {
    std::string newer = good;
    newer[0] = 3;
    EXPECT_EQ(decode_upload(newer).error().code, Code::unsupported);
    EXPECT_EQ(decode_part(newer).error().code, Code::unsupported);
    EXPECT_EQ(decode_part_set(newer).error().code, Code::unsupported);
    EXPECT_EQ(decode_drop(newer).error().code, Code::unsupported);
  }
}

TEST(UploadRecords, SurviveChangedBytes) {
  EXPECT_TRUE(rc::check([](uint16_t at, uint8_t to) {
    for (std::string bytes :
         {encode(upload()), encode(part(5)), encode(completed()), encode(DropRecord{{1, 2}})}) {
      bytes[at % bytes.size()] = static_cast<char>(to);
      [[maybe_unused]] auto a = decode_upload(bytes);
      [[maybe_unused]] auto b = decode_part(bytes);
      [[maybe_unused]] auto c = decode_part_set(bytes);
      [[maybe_unused]] auto d = decode_drop(bytes);
    }
  }));
}

TEST(UploadRecords, HavePlacesThatSortByKeyThenTime) {
  UploadId early{}, late{};
  late[0] = 1;
  EXPECT_LT(upload_key("b", "key", late), upload_key("b", "key2", early));
  EXPECT_LT(upload_key("b", "key", early), upload_key("b", "key", late));
  std::string place = upload_key("b", "key", late), prefix = uploads_prefix("b");
  std::optional<UploadPlace> found = upload_place_of(place, prefix.size());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->key, "key");
  EXPECT_EQ(found->id, late);
  EXPECT_FALSE(upload_place_of("p/b", 2));
  EXPECT_EQ(part_number_of(part_key(late, 10'000)), 10'000u);
  EXPECT_LT(part_key(late, 255), part_key(late, 256));
  EXPECT_EQ(parse_upload_id(upload_text(late)), late);
  for (std::string no : {std::string(31, 'a'), std::string(32, 'A'), std::string(32, 'g'), std::string()})
    EXPECT_FALSE(parse_upload_id(no)) << no;
}

TEST(CustomerKeys, AreToldApartByWhatIsKeptAndNothingElseIs) {
  auto random = seeded_random(1);
  CustomerKey key{crypto::Secret32(ByteView(random->bytes<32>())), "md5"};
  CustomerKey other{crypto::Secret32(ByteView(random->bytes<32>())), "md5"};
  std::string kept = commit_to_key(key, *random);
  EXPECT_EQ(kept.size(), kCommitmentBytes);
  EXPECT_NE(kept, commit_to_key(key, *random));  // two objects of one key do not look alike
  EXPECT_EQ(kept.find(as_text(key.key.view())), std::string::npos);
  using Kind = Encryption::Kind;
  EXPECT_TRUE(check_customer_key(Kind::sse_c, kept, &key));
  EXPECT_EQ(check_customer_key(Kind::sse_c, kept, &other).error().detail, "InvalidRequest");
  EXPECT_EQ(check_customer_key(Kind::sse_c, kept, nullptr).error().detail, "InvalidRequest");
  EXPECT_EQ(check_customer_key(Kind::sse_c, "", &key).error().code, Code::corrupt);
  EXPECT_TRUE(check_customer_key(Kind::none, "", nullptr));
  EXPECT_EQ(check_customer_key(Kind::sse_s3, "", &key).error().detail, "InvalidRequest");
}

}  // namespace
}  // namespace archipel::store
