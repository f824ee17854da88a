// Copies of all kinds: shared and sealed anew, whole objects and parts, with customers' keys and without.
#include "store/collector_fixture.h"

namespace archipel::store {
namespace {

std::shared_ptr<const CustomerKey> customer_key(uint8_t fill) {
  std::array<uint8_t, 32> bytes{};
  bytes.fill(fill);
  return std::make_shared<CustomerKey>(crypto::Secret32(ByteView(bytes)), "md5-" + std::to_string(fill));
}

io::Task<Result<ObjectInfo>> put_with_key(StoreRig& rig, std::string key, std::string bytes,
                                          std::shared_ptr<const CustomerKey> customer) {
  StringBody body(bytes);
  PutRequest request;
  request.bucket = "photos";
  request.key = std::move(key);
  request.encryption = {Encryption::Kind::sse_c, customer->md5};
  request.customer_key = std::move(customer);
  Result<ObjectInfo> done = co_await rig.store->put(std::move(request), body);
  co_return done;
}

io::Task<Result<std::string>> get_with_key(StoreRig& rig, std::string key,
                                           std::shared_ptr<const CustomerKey> customer) {
  Store::GetRequest request;
  request.what.bucket = "photos";
  request.what.key = std::move(key);
  request.what.customer_key = std::move(customer);
  Result<Store::Opened> opened = co_await rig.store->get(std::move(request));
  if (!opened) co_return fail(opened.error());
  std::string out;
  for (;;) {
    Result<Buffer> piece = co_await opened->reader->read();
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) co_return out;
    out.append(as_text(*piece));
  }
}

CopyRequest copy_of(std::string from, std::string to, std::string bucket = "photos") {
  CopyRequest request;
  request.source_bucket = "photos";
  request.source_key = std::move(from);
  request.bucket = std::move(bucket);
  request.key = std::move(to);
  return request;
}

// An object of these parts.
io::Task<Result<ObjectInfo>> put_parts(StoreRig& rig, std::string key, std::vector<std::string> parts) {
  CreateUpload begin;
  begin.bucket = "photos";
  begin.key = key;
  Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
  if (!upload) co_return fail(upload.error());
  CompleteUpload complete;
  complete.bucket = "photos";
  complete.key = key;
  complete.upload = upload->id;
  for (std::string& bytes : parts) {
    StringBody body(std::move(bytes));
    PartRequest request{"photos",     key,    upload->id, static_cast<uint32_t>(complete.parts.size()) + 1,
                        std::nullopt, nullptr};
    Result<PartInfo> part = co_await rig.store->put_part(std::move(request), body);
    if (!part) co_return fail(part.error());
    complete.parts.push_back({part->number, part->etag, {}});
  }
  Result<ObjectInfo> done = co_await rig.store->complete_upload(std::move(complete));
  co_return done;
}

TEST(Copies, OfAMultipartObjectOutliveIt) {
  with_collector([](CollectorRig& rig) -> io::Task<void> {
    Result<void> bucket = co_await rig.store->create_bucket("photos", kAlice);
    CO_ASSERT_TRUE(bucket);
    std::vector<std::string> parts = {pattern(kPartBytesMin + 190'000, 1), pattern(kPartBytesMin, 2),
                                      pattern(70'000, 3)};
    const std::string all = parts[0] + parts[1] + parts[2];
    Result<ObjectInfo> source = co_await put_parts(rig, "source", parts);
    CO_ASSERT_TRUE(source);
    const size_t extents = rig.count("e/");
    Result<ObjectInfo> copied = co_await rig.store->copy(copy_of("source", "copy"));
    CO_ASSERT_TRUE(copied);
    EXPECT_EQ(copied->etag, source->etag);
    EXPECT_EQ(copied->parts, 0u);
    EXPECT_EQ(rig.count("e/"), extents);  // shared
    rig.expect_true_registry();
    Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("photos", {"source"});
    CO_ASSERT_TRUE(removed);
    for (int round = 0; round < 3; ++round) {
      co_await rig.collect();
      rig.clock.wall_ms += 8 * kDayMs;
    }
    EXPECT_EQ(rig.count("q/"), 0u);
    Result<std::string> got = co_await rig.get("photos", "copy");
    CO_ASSERT_TRUE(got);
    EXPECT_TRUE(*got == all);
    rig.expect_true_registry();
    removed = co_await rig.store->remove("photos", {"copy"});
    EXPECT_EQ(rig.count("e/"), 0u);
    EXPECT_EQ(rig.count("r/"), 0u);
  });
}

TEST(Copies, IntoAnotherAccountAreSealedAnewUnderItsKey) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    Result<void> bucket = co_await rig.store->create_bucket("photos", kAlice);
    CO_ASSERT_TRUE(bucket);
    bucket = co_await rig.store->create_bucket("theirs", kBob);
    CO_ASSERT_TRUE(bucket);
    std::string bytes = pattern(400'000, 5);
    Result<ObjectInfo> source = co_await rig.put("photos", "a", bytes);
    CO_ASSERT_TRUE(source);
    const size_t extents = rig.count("e/");
    Result<ObjectInfo> copied = co_await rig.store->copy(copy_of("a", "b", "theirs"));
    EXPECT_EQ(code_of(copied), "ok");
    EXPECT_GT(rig.count("e/"), extents);
    EXPECT_EQ(rig.count("r/"), 0u);
    Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("photos", {"a"});
    CO_ASSERT_TRUE(removed);
    Result<std::string> got = co_await rig.get("theirs", "b");
    CO_ASSERT_TRUE(got);
    EXPECT_TRUE(*got == bytes);
    // Another checksum than the source's is computed on the way.
    CopyRequest request = copy_of("b", "c", "theirs");
    request.source_bucket = "theirs";
    request.checksum = Checksum::Kind::crc32c;
    copied = co_await rig.store->copy(request);
    CO_ASSERT_TRUE(copied);
    EXPECT_EQ(copied->checksum.kind, Checksum::Kind::crc32c);
    EXPECT_EQ(copied->checksum.value.size(), 4u);
    EXPECT_EQ(copied->etag, source->etag);
  });
}

TEST(Copies, OfPartsAreRangesOfTheSource) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    Result<void> bucket = co_await rig.store->create_bucket("photos", kAlice);
    CO_ASSERT_TRUE(bucket);
    std::string a = pattern(kPartBytesMin, 1), b = pattern(150'000, 2);
    Result<ObjectInfo> source = co_await put_parts(rig, "source", {a, b});
    CO_ASSERT_TRUE(source);
    CreateUpload begin;
    begin.bucket = "photos";
    begin.key = "made";
    Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
    CO_ASSERT_TRUE(upload);
    CopyPartRequest request;
    request.part = {"photos", "made", upload->id, 2, std::nullopt, nullptr};
    request.source_bucket = "photos";
    request.source_key = "source";
    request.range = {{kPartBytesMin - 10, kPartBytesMin + 9}};
    Result<PartInfo> first = co_await rig.store->copy_part(request);
    CO_ASSERT_TRUE(first);
    EXPECT_EQ(first->size, 20u);
    request.part.number = 1;
    request.range.reset();
    Result<PartInfo> second = co_await rig.store->copy_part(request);
    CO_ASSERT_TRUE(second);
    request.range = {{5, kPartBytesMin + 150'000}};
    Result<PartInfo> beyond = co_await rig.store->copy_part(request);
    EXPECT_EQ(code_of(beyond), "InvalidRange");
    request.range.reset();
    request.source_conditions.if_none_match = {source->etag};
    Result<PartInfo> unwanted = co_await rig.store->copy_part(request);
    EXPECT_EQ(code_of(unwanted), "PreconditionFailed");
    request.source_conditions = {};
    request.source_key = "nothing";
    Result<PartInfo> missing = co_await rig.store->copy_part(request);
    EXPECT_EQ(code_of(missing), "NoSuchKey");
    CompleteUpload complete;
    complete.bucket = "photos";
    complete.key = "made";
    complete.upload = upload->id;
    complete.parts = {{1, second->etag, {}}, {2, first->etag, {}}};
    Result<ObjectInfo> done = co_await rig.store->complete_upload(std::move(complete));
    CO_ASSERT_TRUE(done);
    Result<std::string> got = co_await rig.get("photos", "made");
    CO_ASSERT_TRUE(got);
    EXPECT_TRUE(*got == a + b + (a + b).substr(kPartBytesMin - 10, 20));
  });
}

TEST(CustomerKeys, OpenWhatTheySealedAndNothingElseDoes) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    Result<void> bucket = co_await rig.store->create_bucket("photos", kAlice);
    CO_ASSERT_TRUE(bucket);
    auto right = customer_key(1), wrong = customer_key(2);
    for (size_t size : {0u, 1000u, 400'000u}) {
      std::string bytes = pattern(size, size);
      Result<ObjectInfo> put = co_await put_with_key(rig, "secret", bytes, right);
      CO_ASSERT_TRUE(put);
      EXPECT_EQ(put->encryption.kind, Encryption::Kind::sse_c);
      EXPECT_EQ(put->encryption.name, right->md5);
      Result<std::string> got = co_await get_with_key(rig, "secret", right);
      CO_ASSERT_TRUE(got);
      EXPECT_TRUE(*got == bytes);
      got = co_await get_with_key(rig, "secret", wrong);
      EXPECT_EQ(code_of(got), "InvalidRequest");
      got = co_await get_with_key(rig, "secret", nullptr);
      EXPECT_EQ(code_of(got), "InvalidRequest");
    }
    // Heads need the key; attributes do not.
    HeadRequest what;
    what.bucket = "photos";
    what.key = "secret";
    Result<ObjectInfo> head = co_await rig.store->head(what);
    EXPECT_EQ(code_of(head), "InvalidRequest");
    what.attributes_only = true;
    head = co_await rig.store->head(what);
    EXPECT_EQ(code_of(head), "ok");
    what.attributes_only = false;
    what.customer_key = right;
    head = co_await rig.store->head(what);
    EXPECT_EQ(code_of(head), "ok");
    Result<ObjectInfo> plain = co_await rig.put("photos", "plain", "x");
    CO_ASSERT_TRUE(plain);
    Result<std::string> got = co_await get_with_key(rig, "plain", right);
    EXPECT_EQ(code_of(got), "InvalidRequest");
    // Neither the key nor its MD5 is anywhere in the view.
    bool found = false;
    auto scanned =
        rig.journal.kv->snapshot()->scan("", "", [&](std::string_view, std::string_view value, std::string*) {
          found = found || value.find(as_text(right->key.view())) != std::string_view::npos ||
                  value.find(right->md5) != std::string_view::npos;
          return true;
        });
    EXPECT_TRUE(scanned.has_value());
    EXPECT_FALSE(found);
  });
}

TEST(CustomerKeys, MayChangeWithACopyOrGo) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    Result<void> bucket = co_await rig.store->create_bucket("photos", kAlice);
    CO_ASSERT_TRUE(bucket);
    auto old_key = customer_key(1), new_key = customer_key(2);
    std::string bytes = pattern(300'000, 9);
    Result<ObjectInfo> put = co_await put_with_key(rig, "secret", bytes, old_key);
    CO_ASSERT_TRUE(put);
    Result<ObjectInfo> copied = co_await rig.store->copy(copy_of("secret", "open"));
    EXPECT_EQ(code_of(copied), "InvalidRequest");
    CopyRequest request = copy_of("secret", "open");
    request.source_customer_key = old_key;
    copied = co_await rig.store->copy(request);
    EXPECT_EQ(code_of(copied), "ok");
    Result<std::string> got = co_await rig.get("photos", "open");
    CO_ASSERT_TRUE(got);
    EXPECT_TRUE(*got == bytes);
    request.key = "secret";
    request.encryption.kind = Encryption::Kind::sse_c;
    request.customer_key = new_key;
    copied = co_await rig.store->copy(request);
    EXPECT_EQ(code_of(copied), "ok");
    got = co_await get_with_key(rig, "secret", new_key);
    CO_ASSERT_TRUE(got);
    EXPECT_TRUE(*got == bytes);
    got = co_await get_with_key(rig, "secret", old_key);
    EXPECT_EQ(code_of(got), "InvalidRequest");
  });
}

TEST(CustomerKeys, SealPartsUnderTheUploadsKeyAlone) {
  with_store([](StoreRig& rig) -> io::Task<void> {
    Result<void> bucket = co_await rig.store->create_bucket("photos", kAlice);
    CO_ASSERT_TRUE(bucket);
    auto right = customer_key(1), wrong = customer_key(2);
    CreateUpload begin;
    begin.bucket = "photos";
    begin.key = "secret";
    begin.encryption.kind = Encryption::Kind::sse_c;
    begin.customer_key = right;
    Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
    CO_ASSERT_TRUE(upload);
    CompleteUpload complete;
    complete.bucket = "photos";
    complete.key = "secret";
    complete.upload = upload->id;
    std::string all;
    for (uint32_t number : {1u, 2u}) {
      for (auto key : {wrong, std::shared_ptr<const CustomerKey>(), right}) {
        std::string bytes = pattern(kPartBytesMin, number);
        StringBody body(bytes);
        PartRequest request{"photos", "secret", upload->id, number, std::nullopt, key};
        Result<PartInfo> part = co_await rig.store->put_part(std::move(request), body);
        EXPECT_EQ(code_of(part), key == right ? "ok" : "InvalidRequest");
        if (!part) continue;
        complete.parts.push_back({number, part->etag, {}});
        all += bytes;
      }
    }
    Result<ObjectInfo> done = co_await rig.store->complete_upload(std::move(complete));
    CO_ASSERT_TRUE(done);
    Result<std::string> got = co_await get_with_key(rig, "secret", right);
    CO_ASSERT_TRUE(got);
    EXPECT_TRUE(*got == all);
    got = co_await get_with_key(rig, "secret", wrong);
    EXPECT_EQ(code_of(got), "InvalidRequest");
  });
}

}  // namespace
}  // namespace archipel::store
