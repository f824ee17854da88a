// Bodies of several placement classes in one store: each lies on the islands of its class, there alone, and lives the whole life there.
#include "store/placements_fixture.h"
#include "store/upload_records.h"

namespace archipel::store {
namespace {

std::shared_ptr<extent::Placement> six_islands() {
  auto roster = std::make_shared<extent::Placement>();
  for (int i = 0; i < 6; ++i)
    roster->islands.push_back(std::make_shared<island::MemIsland>("i" + std::to_string(i)));
  return roster;
}

TEST(Placements, HaveADefaultThatIsAllIslands) {
  extent::AckRule ack;
  ack.w = 5;
  auto made = Placements::make(six_islands(), {6, 3}, ack, {kFew});
  ASSERT_TRUE(made.has_value());
  const PlacementClass& standard = (*made)->standard();
  EXPECT_EQ(standard.islands->islands.size(), 6u);
  EXPECT_TRUE(standard.homes.standard());
  EXPECT_EQ(standard.ack.w, 5);
  EXPECT_TRUE(standard.in_commits);
  auto few = (*made)->find("few");
  ASSERT_TRUE(few.has_value());
  EXPECT_EQ((*few)->ack.w, 3);
  EXPECT_EQ((*few)->islands->islands[0]->id(), "i5");
  EXPECT_FALSE((*few)->in_commits);
}

TEST(Placements, RefuseWhatCannotBePlaced) {
  auto refused = [](PlacementChoice choice) {
    auto made = Placements::make(six_islands(), {6, 3}, {}, {std::move(choice)});
    return made ? "" : made.error().message;
  };
  EXPECT_NE(refused({"few", {4, 3}, {0, 1, 2, 3}, true}).find("few"), std::string::npos);
  EXPECT_NE(refused({"few", {4, 2}, {0, 1, 2}, true}), "");
  EXPECT_NE(refused({"few", {4, 2}, {0, 1, 2, 2}, true}), "");
  EXPECT_NE(refused({"few", {4, 2}, {0, 1, 2, 6}, true}).find("no island 6"), std::string::npos);
  EXPECT_NE(refused({"", {4, 2}, {0, 1, 2, 3}, true}), "");
  EXPECT_FALSE(Placements::make(six_islands(), {6, 3}, {}, {kFew, kFew}).has_value());
  EXPECT_FALSE(Placements::make(six_islands(), {6, 3}, {}, {kFew}, {{"personal", "none"}}).has_value());
}

TEST(Placements, ResolveWhatABucketAsksFor) {
  auto made = Placements::make(six_islands(), {6, 3}, {}, {kFew}, {{"personal", "few"}});
  ASSERT_TRUE(made.has_value());
  auto policy = [&](BucketPlacement asked) -> std::string {
    auto found = (*made)->resolve(asked);
    return found ? (*found)->policy : found.error().detail + " " + found.error().message;
  };
  EXPECT_EQ(policy({}), "default");
  EXPECT_EQ(policy({"few", ""}), "few");
  EXPECT_EQ(policy({"", "personal"}), "few");
  EXPECT_EQ(policy({"", "public"}), "default");
  EXPECT_EQ(policy({"default", "personal"}), "default");
  EXPECT_EQ(policy({"gone", ""}).find("PlacementRefused"), 0u);
  EXPECT_NE(policy({"gone", ""}).find("policy gone"), std::string::npos);
  EXPECT_NE(policy({"", "odd"}).find("class odd"), std::string::npos);
}

TEST(Placements, DocumentOfABucketIsReadAsWritten) {
  const BucketPlacement asked{"few", "personal"};
  auto read = decode_bucket_placement(encode(asked));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, asked);
  for (size_t cut = 0; cut < encode(asked).size(); ++cut)
    EXPECT_FALSE(decode_bucket_placement(encode(asked).substr(0, cut)).has_value());
  EXPECT_TRUE(check_bucket_placement({"eu-only", ""}).has_value());
  EXPECT_FALSE(check_bucket_placement({"EU only", ""}).has_value());
}

PLACED_TEST(PlacedBodies, LieOnTheIslandsOfTheirClassAndNowhereElse) {
  co_await fill(rig, "few");
  co_await rig.fanout->drain();
  std::vector<extent::ExtentRef> refs = live_refs(rig);
  EXPECT_EQ(refs.size(), kFewExtents);  // small bodies, too, have extents of their own
  for (const extent::ExtentRef& ref : refs) {
    EXPECT_EQ(ref.geometry.code, kFew.code);
    EXPECT_EQ(ref.homes.mask(4), kFewMask);
    EXPECT_EQ(islands_with(rig, ref), kFewMask);
  }
  EXPECT_EQ(rig.data_blobs(1), 0u);
  EXPECT_EQ(rig.data_blobs(4), 0u);
  co_await expect_filled(rig, "few");
  Result<std::string> some = co_await rig.get("few", "o900000", Store::Range{131'070, 400'000});
  EXPECT_TRUE(some && *some == pattern(900'000, 900'000).substr(131'070, 400'000 - 131'070 + 1));

  co_await fill(rig, "most");
  co_await rig.fanout->drain();
  size_t of_most = 0;
  for (const extent::ExtentRef& ref : live_refs(rig)) {
    if (ref.geometry.code == kFew.code) continue;
    ++of_most;
    EXPECT_EQ(islands_with(rig, ref), 0b111110u);
  }
  EXPECT_EQ(of_most, 1u + 5u);  // small ones ride in commits
  co_await expect_filled(rig, "most");
  EXPECT_EQ(rig.data_blobs(0), refs.size());
  rig.expect_true_registry();
}

PLACED_TEST(PlacedBodies, AreReadWhileTheirClassHasEnoughIslandsWhateverHappensToOthers) {
  co_await fill(rig, "few");
  co_await fill(rig, "bucket");
  for (size_t i : {1u, 4u, 5u, 0u}) rig.islands[i]->down();  // of the class two are left, of all two
  co_await expect_filled(rig, "few");
  Result<std::string> got = co_await rig.get("bucket", "o900000");
  EXPECT_EQ(code_of(got), "ServiceUnavailable");
  rig.islands[3]->down();
  got = co_await rig.get("few", "o900000");
  EXPECT_EQ(code_of(got), "ServiceUnavailable");
  for (size_t i : {0u, 3u, 5u}) rig.islands[i]->up();
  // Without others of the roster the journal still has its four; the class takes writes, with all of its own.
  Result<ObjectInfo> put = co_await rig.put("few", "later", pattern(300'000, 9));
  EXPECT_EQ(code_of(put), "ok");
  got = co_await rig.get("few", "later");
  EXPECT_TRUE(got && *got == pattern(300'000, 9));
}

PLACED_TEST(PlacedBodies, AreNotAcknowledgedByTooFewOfTheirOwnIslands) {
  for (size_t i : {0u, 2u})
    rig.islands[i]->down();  // four of six, enough for the journal, but two of the class's four
  Result<ObjectInfo> put = co_await rig.put("few", "o", pattern(300'000, 9));
  EXPECT_EQ(code_of(put), "ServiceUnavailable");
  put = co_await rig.put("bucket", "o", pattern(300'000, 9));
  EXPECT_EQ(code_of(put), "ok");
}

PLACED_TEST(PlacedBodies, AreSealedAnewWhenCopiedToWhereOthersLie) {
  co_await fill(rig, "few");
  const size_t before = live_refs(rig).size();
  auto copy = [&](std::string from, std::string to, std::string key) {
    CopyRequest request;
    request.source_bucket = std::move(from);
    request.source_key = "o900000";
    request.bucket = std::move(to);
    request.key = std::move(key);
    return rig.store->copy(std::move(request));
  };
  Result<ObjectInfo> shared = co_await copy("few", "few", "twice");
  EXPECT_EQ(code_of(shared), "ok");
  EXPECT_EQ(live_refs(rig).size(), before);  // the same class: the stream is shared
  Result<ObjectInfo> out = co_await copy("few", "bucket", "copy");
  EXPECT_EQ(code_of(out), "ok");
  EXPECT_EQ(live_refs(rig).size(), before + 5);
  Result<ObjectInfo> over = co_await copy("few", "most", "copy");
  EXPECT_EQ(code_of(over), "ok");
  // A small body out of the journal, and into it.
  Result<ObjectInfo> put = co_await rig.put("bucket", "o900000", "small");
  EXPECT_EQ(code_of(put), "ok");
  Result<ObjectInfo> small = co_await copy("bucket", "few", "small");
  EXPECT_EQ(code_of(small), "ok");
  co_await rig.fanout->drain();
  size_t few = 0;
  for (const extent::ExtentRef& ref : live_refs(rig)) {
    few += ref.homes.mask(ref.geometry.code.n) == kFewMask;
    EXPECT_EQ(islands_with(rig, ref), ref.homes.mask(ref.geometry.code.n));
  }
  EXPECT_EQ(few, before + 1);
  for (auto [bucket, key] : {std::pair("few", "twice"), {"bucket", "copy"}, {"most", "copy"}}) {
    Result<std::string> got = co_await rig.get(bucket, key);
    EXPECT_TRUE(got && *got == pattern(900'000, 900'000)) << bucket;
  }
  Result<std::string> got = co_await rig.get("few", "small");
  EXPECT_TRUE(got && *got == "small");
  rig.expect_true_registry();
}

PLACED_TEST(PlacedBodies, OfABucketThatWasPlacedAnewStayAndAreNotSharedWithNewOnes) {
  Result<ObjectInfo> put = co_await rig.put("bucket", "o", pattern(300'000, 1));
  EXPECT_EQ(code_of(put), "ok");
  Result<BucketInfo> placed = co_await rig.store->place_bucket("bucket", {"few", ""});
  EXPECT_EQ(code_of(placed), "ok");
  Result<std::string> got = co_await rig.get("bucket", "o");
  EXPECT_TRUE(got && *got == pattern(300'000, 1));
  CopyRequest request;
  request.source_bucket = request.bucket = "bucket";
  request.source_key = "o";
  request.key = "copy";
  Result<ObjectInfo> copied = co_await rig.store->copy(std::move(request));
  EXPECT_EQ(code_of(copied), "ok");
  co_await rig.fanout->drain();
  size_t few = 0;
  for (const extent::ExtentRef& ref : live_refs(rig)) few += islands_with(rig, ref) == kFewMask;
  EXPECT_EQ(few, 3u);
}

PLACED_TEST(PlacedBodies, InPartsFollowTheirBucket) {
  const std::vector<std::string> parts = {pattern(kPartBytesMin + 1, 1), pattern(70'000, 2)};
  Result<ObjectInfo> done = co_await put_parts(rig, "few", parts);
  EXPECT_EQ(code_of(done), "ok");
  co_await rig.fanout->drain();
  for (const extent::ExtentRef& ref : live_refs(rig)) EXPECT_EQ(islands_with(rig, ref), kFewMask);
  EXPECT_EQ(rig.data_blobs(1), 0u);
  CopyRequest request;
  request.source_bucket = "few";
  request.bucket = "most";
  request.source_key = request.key = "parts";
  Result<ObjectInfo> copied = co_await rig.store->copy(std::move(request));
  EXPECT_EQ(code_of(copied), "ok");
  for (size_t i : {0u, 4u}) rig.islands[i]->down();
  for (std::string bucket : {"few", "most"}) {
    Result<std::string> got = co_await rig.get(bucket, "parts");
    EXPECT_TRUE(got && *got == parts[0] + parts[1]) << bucket;
  }
}

// A body that lets something happen when half of it has been read.
class HalfWay final : public BodySource {
 public:
  HalfWay(std::string bytes, std::function<io::Task<void>()> then)
      : half_(bytes.size() / 2), bytes_(std::move(bytes)), then_(std::move(then)) {}
  io::Task<Result<size_t>> read(MutableBytes out) override {
    if (bytes_.size() <= half_ && then_) {
      auto then = std::exchange(then_, nullptr);
      co_await then();
    }
    const size_t size = std::min({out.size(), bytes_.size(), std::max<size_t>(half_ / 2, 1)});
    std::copy_n(bytes_.begin(), size, out.begin());
    bytes_.erase(0, size);
    co_return size;
  }

 private:
  const size_t half_;
  std::string bytes_;
  std::function<io::Task<void>()> then_;
};

io::Task<void> place(StoreRig* rig, std::string policy) {
  Result<BucketInfo> placed = co_await rig->store->place_bucket("bucket", {std::move(policy), ""});
  EXPECT_EQ(code_of(placed), "ok");
}

io::Task<void> configure(StoreRig* rig, std::shared_ptr<const Placements> next) {
  rig->store->use_placements(std::move(next));
  co_return;
}

// What was begun for one class is not acknowledged in a bucket that has got another meanwhile: it is to be sent again.
PLACED_TEST(PlacedBodies, ThatWereUnderWayWhenTheirBucketWasPlacedAnewAreSentAgain) {
  for (size_t size : {100u, 400'000u}) {
    for (std::string policy : {"few", "default"}) {
      auto then = [&rig, policy] { return place(&rig, policy); };
      HalfWay body(pattern(size, 1), then);
      PutRequest request;
      request.bucket = "bucket";
      request.key = "o";
      request.length = size;
      Result<ObjectInfo> put = co_await rig.store->put(request, body);
      EXPECT_EQ(code_of(put), "ServiceUnavailable") << size << policy;
      Result<ObjectInfo> head = co_await rig.store->head("bucket", "o", {});
      EXPECT_EQ(code_of(head), "NoSuchKey");
    }
  }
  CreateUpload begin;
  begin.bucket = "bucket";
  begin.key = "parts";
  Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
  CO_ASSERT_TRUE(upload);
  auto then = [&rig] { return place(&rig, "few"); };
  HalfWay body(pattern(400'000, 1), then);
  PartRequest request{"bucket", "parts", upload->id, 1, std::nullopt, nullptr};
  Result<PartInfo> part = co_await rig.store->put_part(request, body);
  EXPECT_EQ(code_of(part), "ServiceUnavailable");
  StringBody again(pattern(400'000, 1));
  part = co_await rig.store->put_part(request, again);
  EXPECT_EQ(code_of(part), "ok");
  co_await rig.fanout->drain();
  for (const extent::ExtentRef& ref : live_refs(rig)) EXPECT_EQ(islands_with(rig, ref), kFewMask);
  EXPECT_EQ(live_refs(rig).size(), 4u);
  rig.clock.wall_ms += kDayMs + 1;
  CO_ASSERT_TRUE(co_await rig.collect());
  EXPECT_TRUE(co_await rig.only_what_is_referenced());
}

// The same where not the bucket is placed anew, but the policy that it follows is configured anew.
PLACED_TEST(PlacedBodies, ThatWereUnderWayWhenTheirPolicyChangedAreSentAgain) {
  PlacementChoice elsewhere = kFew;
  elsewhere.homes = {0, 1, 3, 4};
  std::vector<std::shared_ptr<const Placements>> both;
  for (const PlacementChoice& few : {kFew, elsewhere}) {
    auto made = Placements::make(rig.placement, {6, 3}, rig.journal_options.ack, {few, kMost});
    CO_ASSERT_TRUE(made);
    both.push_back(*made);
  }
  auto use = [&rig](std::shared_ptr<const Placements> next) -> std::function<io::Task<void>()> {
    return [&rig, next = std::move(next)] { return configure(&rig, next); };
  };
  for (size_t size : {100u, 400'000u}) {
    for (size_t next : {1u, 0u}) {
      HalfWay body(pattern(size, 1), use(both[next]));
      PutRequest request;
      request.bucket = "few";
      request.key = "o";
      request.length = size;
      Result<ObjectInfo> put = co_await rig.store->put(request, body);
      EXPECT_EQ(code_of(put), "ServiceUnavailable") << size << next;
    }
  }
  CreateUpload begin;
  begin.bucket = "few";
  begin.key = "parts";
  Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
  CO_ASSERT_TRUE(upload);
  HalfWay body(pattern(400'000, 1), use(both[1]));
  PartRequest request{"few", "parts", upload->id, 1, std::nullopt, nullptr};
  Result<PartInfo> part = co_await rig.store->put_part(request, body);
  EXPECT_EQ(code_of(part), "ServiceUnavailable");
  // What is read again without a change disturbs nobody.
  auto same = Placements::make(rig.placement, {6, 3}, rig.journal_options.ack, {elsewhere, kMost});
  CO_ASSERT_TRUE(same);
  HalfWay again(pattern(400'000, 1), use(*same));
  part = co_await rig.store->put_part(request, again);
  EXPECT_EQ(code_of(part), "ok");
  co_await rig.fanout->drain();
  EXPECT_EQ(live_refs(rig).size(), 4u);
  for (const extent::ExtentRef& ref : live_refs(rig)) EXPECT_EQ(islands_with(rig, ref), 0b011011u);
}

io::Task<Result<PartInfo>> copy_part(CollectorRig& rig, std::string from, UploadInfo to, uint32_t number) {
  CopyPartRequest request;
  request.part = {"few", to.key, to.id, number, std::nullopt, nullptr};
  request.source_bucket = std::move(from);
  request.source_key = "o900000";
  Result<PartInfo> done = co_await rig.store->copy_part(std::move(request));
  co_return done;
}

PLACED_TEST(PlacedBodies, ThatBecomePartsLieAsTheBucketOfTheUploadSays) {
  co_await fill(rig, "few");
  co_await fill(rig, "bucket");
  CreateUpload begin;
  begin.bucket = "few";
  begin.key = "parts";
  Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
  CO_ASSERT_TRUE(upload);
  const size_t before = live_refs(rig).size();
  Result<PartInfo> part = co_await copy_part(rig, "bucket", *upload, 1);
  EXPECT_EQ(code_of(part), "ok");
  part = co_await copy_part(rig, "few", *upload, 2);
  EXPECT_EQ(code_of(part), "ok");
  co_await rig.fanout->drain();
  size_t few = 0;
  for (const extent::ExtentRef& ref : live_refs(rig)) few += islands_with(rig, ref) == kFewMask;
  EXPECT_EQ(few, kFewExtents + live_refs(rig).size() - before);
  EXPECT_EQ(live_refs(rig).size(), before + 14);
  // What was begun and given up goes from where it lies.
  Result<void> aborted = co_await rig.store->abort_upload("few", "parts", upload->id);
  EXPECT_EQ(code_of(aborted), "ok");
  for (int round = 0; round < 3; ++round) {
    rig.clock.wall_ms += kDayMs + 1;
    CO_ASSERT_TRUE(co_await rig.collect());
  }
  EXPECT_TRUE(co_await rig.only_what_is_referenced());
  EXPECT_EQ(live_refs(rig).size(), before);
  co_await expect_filled(rig, "few");
  rig.expect_true_registry();
}

PLACED_TEST(PlacedBodies, OfAnUploadWhoseBucketWasPlacedAnewLieEachAsItWasThen) {
  CreateUpload begin;
  begin.bucket = "bucket";
  begin.key = "parts";
  Result<UploadInfo> upload = co_await rig.store->create_upload(std::move(begin));
  CO_ASSERT_TRUE(upload);
  CompleteUpload complete{};
  complete.bucket = "bucket";
  complete.key = "parts";
  complete.upload = upload->id;
  const std::vector<std::string> bodies = {pattern(kPartBytesMin, 1), pattern(300'000, 2)};
  for (uint32_t number : {1u, 2u}) {
    StringBody body(bodies[number - 1]);
    PartRequest request{"bucket", "parts", upload->id, number, std::nullopt, nullptr};
    Result<PartInfo> part = co_await rig.store->put_part(std::move(request), body);
    CO_ASSERT_TRUE(part);
    complete.parts.push_back({number, part->etag, {}});
    Result<BucketInfo> placed = co_await rig.store->place_bucket("bucket", {"few", ""});
    EXPECT_EQ(code_of(placed), "ok");
  }
  Result<ObjectInfo> done = co_await rig.store->complete_upload(std::move(complete));
  EXPECT_EQ(code_of(done), "ok");
  co_await rig.fanout->drain();
  size_t few = 0;
  for (const extent::ExtentRef& ref : live_refs(rig)) few += islands_with(rig, ref) == kFewMask;
  EXPECT_EQ(few, 3u);
  Result<std::string> got =
      co_await rig.get("bucket", "parts", Store::Range{kPartBytesMin - 10, kPartBytesMin + 99});
  EXPECT_TRUE(got && *got == (bodies[0] + bodies[1]).substr(kPartBytesMin - 10, 110));
  // Copied onto itself it follows its bucket as a whole.
  CopyRequest request;
  request.source_bucket = request.bucket = "bucket";
  request.source_key = request.key = "parts";
  request.replace_metadata = true;
  Result<ObjectInfo> copied = co_await rig.store->copy(std::move(request));
  EXPECT_EQ(code_of(copied), "ok");
  // The parts are dropped by later commits.
  for (int round = 0; round < 5; ++round) {
    rig.clock.wall_ms += kDayMs + 1;
    CO_ASSERT_TRUE(co_await rig.collect());
  }
  co_await rig.fanout->drain();
  for (const extent::ExtentRef& ref : live_refs(rig)) EXPECT_EQ(islands_with(rig, ref), kFewMask);
  EXPECT_EQ(rig.data_blobs(1), 0u);
  got = co_await rig.get("bucket", "parts");
  EXPECT_TRUE(got && *got == bodies[0] + bodies[1]);
  rig.expect_true_registry();
}

PLACED_TEST(PlacedBodies, OfAPolicyThatIsNotConfiguredAreReadAndNotWritten) {
  co_await fill(rig, "few");
  Result<ObjectInfo> parts = co_await put_parts(rig, "few", {pattern(1000, 1)});
  EXPECT_EQ(code_of(parts), "ok");
  auto less = Placements::make(rig.placement, {6, 3}, rig.journal_options.ack, {kMost});
  CO_ASSERT_TRUE(less);
  rig.store->use_placements(*less);
  co_await expect_filled(rig, "few");
  Result<ObjectInfo> put = co_await rig.put("few", "more", "x");
  EXPECT_EQ(code_of(put), "PlacementRefused");
  EXPECT_NE(put.error().message.find("policy few"), std::string::npos);
  Result<ObjectInfo> again = co_await put_parts(rig, "few", {pattern(1000, 1)});
  EXPECT_EQ(code_of(again), "PlacementRefused");
  CopyRequest request;
  request.source_bucket = request.bucket = "few";
  request.source_key = "o1";
  request.key = "copy";
  Result<ObjectInfo> copied = co_await rig.store->copy(std::move(request));
  EXPECT_EQ(code_of(copied), "PlacementRefused");
  Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("few", {"o1"});
  EXPECT_EQ(code_of(removed), "ok");
}

PLACED_TEST(PlacedBodies, ThatBrokeOffAreCollectedWhereTheyLay) {
  for (size_t at : {70'000u, 300'000u}) {
    StringBody body(pattern(400'000, 3), 10'000);
    body.breaks_at = at;
    PutRequest request;
    request.bucket = "few";
    request.key = "broken";
    request.length = 400'000;
    Result<ObjectInfo> put = co_await rig.store->put(std::move(request), body);
    EXPECT_EQ(code_of(put), "BadDigest");
  }
  co_await rig.fanout->drain();
  bool restarted = co_await rig.restart(true);
  CO_ASSERT_TRUE(restarted);
  for (int round = 0; round < 3; ++round) {
    rig.clock.wall_ms += kDayMs + 1;
    CO_ASSERT_TRUE(co_await rig.collect());
  }
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(rig.data_blobs(i), 0u) << i;
}

PLACED_TEST(PlacedBodies, AreDeletedWhereTheyLieAndOrphansWhereverTheyMayLie) {
  co_await fill(rig, "few");
  co_await fill(rig, "bucket");
  co_await rig.fanout->drain();
  const std::vector<extent::ExtentRef> refs = live_refs(rig);
  for (size_t size : kPlacedSizes) {
    Result<std::vector<DeleteOutcome>> removed =
        co_await rig.store->remove("few", {"o" + std::to_string(size)});
    EXPECT_EQ(code_of(removed), "ok");
  }
  // As a process that was killed leaves them: written, and no commit names them.
  Result<index::NewExtent> fresh = co_await rig.journal.committer->allocate_extent();
  CO_ASSERT_TRUE(fresh);
  extent::ExtentRef orphan;
  orphan.id = fresh->id;
  orphan.attempt = fresh->attempt;
  orphan.geometry = {kFew.code, extent::kCellBytesMax, 5};
  orphan.homes = *extent::Homes::of(kFew.homes);
  std::vector<std::string> names = extent::shard_names(*rig.keys, *rig.placement, orphan);
  for (int shard = 0; shard < 4; ++shard)
    rig.islands[static_cast<size_t>(orphan.home(shard))]->blobs()[names[static_cast<size_t>(shard)]] =
        "bytes";
  EXPECT_EQ(islands_with(rig, orphan), kFewMask);
  bool restarted = co_await rig.restart(true);
  CO_ASSERT_TRUE(restarted);
  rig.clock.wall_ms += kDayMs + 1;
  CO_ASSERT_TRUE(co_await rig.collect());
  CO_ASSERT_TRUE(co_await rig.collect());
  EXPECT_EQ(islands_with(rig, orphan), 0u);
  for (const extent::ExtentRef& ref : refs)
    EXPECT_EQ(islands_with(rig, ref), ref.homes.standard() ? 0b111111u : 0u);
  EXPECT_EQ(rig.collector->counts().doomed_deleted, kFewExtents);
  EXPECT_EQ(rig.collector->counts().debt, 0u);
  EXPECT_TRUE(co_await rig.only_what_is_referenced());
  // Late writes land after the first deletion, and the second takes them.
  for (const extent::ExtentRef& ref : refs) {
    if (ref.homes.standard()) continue;
    rig.islands[5]->blobs()[extent::shard_name(*rig.keys, rig.islands[5]->id(), ref, 0)] = "late";
  }
  rig.clock.wall_ms += 8 * kDayMs;
  CO_ASSERT_TRUE(co_await rig.collect());
  EXPECT_GT(rig.collector->counts().deleted_twice, kFewExtents);
  EXPECT_TRUE(co_await rig.only_what_is_referenced());
  co_await expect_filled(rig, "bucket");
}

PLACED_TEST(PlacedBodies, WhoseIslandIsDownAreDeletedThereLater) {
  co_await fill(rig, "few");
  rig.islands[3]->down();
  Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("few", {"o900000", "o1"});
  EXPECT_EQ(code_of(removed), "ok");
  const std::vector<extent::ExtentRef> kept = live_refs(rig);
  rig.clock.wall_ms += kDayMs + 1;
  CO_ASSERT_TRUE(co_await rig.collect());
  EXPECT_EQ(rig.collector->counts().doomed_deleted, 0u);
  EXPECT_EQ(rig.collector->counts().debt, 1u + 7u);
  rig.islands[3]->up();
  rig.clock.wall_ms += kDayMs + 1;
  CO_ASSERT_TRUE(co_await rig.collect());
  EXPECT_EQ(rig.collector->counts().doomed_deleted, 1u + 7u);
  EXPECT_TRUE(co_await rig.only_what_is_referenced());
  EXPECT_EQ(rig.data_blobs(3), kept.size());
}

PLACED_TEST(PlacedBodies, StayWhereTheyAreWhenTheJournalIsCompacted) {
  co_await fill(rig, "few");
  co_await fill(rig, "bucket");
  co_await fill(rig, "most");
  Result<std::vector<DeleteOutcome>> removed = co_await rig.store->remove("bucket", {"o131072"});
  EXPECT_EQ(code_of(removed), "ok");
  removed = co_await rig.store->remove("most", {"o131072"});
  EXPECT_EQ(code_of(removed), "ok");
  rig.raise_limit();
  CO_ASSERT_TRUE(co_await rig.compact());
  EXPECT_GT(rig.compactor->counts().streams, 0u);
  co_await rig.fanout->drain();
  size_t few = 0;
  for (const extent::ExtentRef& ref : live_refs(rig)) {
    const uint32_t mask = ref.homes.mask(ref.geometry.code.n);
    few += mask == kFewMask;
    EXPECT_EQ(islands_with(rig, ref), mask);
  }
  EXPECT_EQ(few, kFewExtents);
  co_await expect_filled(rig, "few");
  for (std::string bucket : {"bucket", "most"})
    for (size_t size : {size_t{1}, size_t{70'000}, size_t{900'000}}) {
      Result<std::string> got = co_await rig.get(bucket, "o" + std::to_string(size));
      EXPECT_TRUE(got && *got == pattern(size, size)) << bucket << size;
    }
  rig.expect_true_registry();
}

// Of four islands two are gone, and the journal can spare them: nothing but the keys and the islands is needed.
PLACED_TEST(PlacedBodies, AreAllThereAfterTheIndexAndAsManyIslandsAsTheirCodeSpares) {
  co_await fill(rig, "few");
  co_await fill(rig, "most");
  co_await rig.fanout->drain();
  co_await rig.end();
  for (size_t i : {2u, 5u}) rig.islands[i]->wipe();
  std::filesystem::remove_all(rig.dir + "/index");
  bool started = co_await rig.begin();
  CO_ASSERT_TRUE(started);
  co_await expect_filled(rig, "few");
  co_await expect_filled(rig, "most");
  Result<ObjectInfo> put = co_await rig.put("few", "later", pattern(300'000, 9));
  EXPECT_EQ(code_of(put), "ok");
}

// The view is read from a snapshot, whose chunks lie on all islands, and what it tells of others is where they lie.
PLACED_TEST(PlacedBodies, AreFoundAgainThroughASnapshot) {
  co_await fill(rig, "few");
  co_await fill(rig, "bucket");
  rig.keeping.emplace();
  bool restarted = co_await rig.restart(false);
  CO_ASSERT_TRUE(restarted);
  Result<void> written = co_await rig.keeper->snapshot_now();
  EXPECT_EQ(code_of(written), "ok");
  Result<ObjectInfo> put = co_await rig.put("few", "later", pattern(100, 3));
  EXPECT_EQ(code_of(put), "ok");
  restarted = co_await rig.restart(true);
  CO_ASSERT_TRUE(restarted);
  CO_ASSERT_TRUE(rig.journal.slot && !rig.journal.slot->snapshots.empty());
  co_await expect_filled(rig, "few");
  co_await expect_filled(rig, "bucket");
  for (const extent::ExtentRef& ref : live_refs(rig))
    EXPECT_EQ(islands_with(rig, ref), ref.homes.mask(ref.geometry.code.n));
}

}  // namespace
}  // namespace archipel::store
