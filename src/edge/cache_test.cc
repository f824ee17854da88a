#include "edge/cache.h"

#include <gtest/gtest.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#endif
#endif

#include "edge/key.h"

namespace archipel::edge {
namespace {
constexpr std::string_view kText = "site\nhttp://host:80/a";

struct CacheTest : ::testing::Test {
  explicit CacheTest(size_t bytes = 64u << 20) {
    CacheConfig config;
    config.memory_bytes = bytes;
    cache = make_cache(config, *workers, system_clock(), *random);
  }
  std::unique_ptr<io::Workers> workers = io::make_workers(1);
  std::unique_ptr<Random> random = seeded_random(1);
  std::shared_ptr<Cache> cache;

  std::shared_ptr<Entry> make(std::string_view text, std::vector<std::string> tags = {}) {
    auto entry = std::make_shared<Entry>();
    entry->id = cache->new_id();
    entry->stamp = cache->stamp();
    entry->key = std::string(text);
    entry->site = "site";
    entry->tags = std::move(tags);
    entry->length = 4;
    return entry;
  }
  SliceRef slice(const Entry& entry, uint32_t index, std::string_view bytes) {
    auto out = std::make_shared<Slice>();
    out->entry = entry.id;
    out->index = index;
    out->bytes = Buffer::copy_of(as_bytes(bytes));
    return out;
  }
  EntryRef put(std::string_view text, std::vector<std::string> tags = {}) {
    auto entry = make(text, std::move(tags));
    cache->put(cache->key_of(text), entry, slice(*entry, 0, "body"));
    return entry;
  }
  Found find(std::string_view text) { return cache->find_hot(cache->key_of(text), text); }
  // How many finds of `text` answer with something fit to be served as it is.
  bool fresh(std::string_view text) {
    Found found = find(text);
    return found.entry != nullptr && !found.purged_softly;
  }
  static void done(io::Task<Result<void>> task) {
    ASSERT_TRUE(task.done());
    ASSERT_TRUE(task.take().has_value());
  }
};

TEST_F(CacheTest, GivesBackWhatWasPutWithItsBody) {
  EXPECT_EQ(find(kText).entry, nullptr);
  EntryRef entry = put(kText);
  Found found = find(kText);
  EXPECT_EQ(found.entry, entry);
  ASSERT_NE(found.first, nullptr);
  EXPECT_EQ(as_text(found.first->bytes.view()), "body");
  EXPECT_FALSE(found.purged_softly);
}

TEST_F(CacheTest, SliceThatCameBeforeItsEntryIsFoundWithIt) {
  auto entry = make(kText);
  cache->put_slice(slice(*entry, 0, "body"));
  cache->put(cache->key_of(kText), entry);
  for (int i = 0; i < 2; ++i) {
    Found found = find(kText);
    ASSERT_NE(found.first, nullptr);
    EXPECT_EQ(as_text(found.first->bytes.view()), "body");
  }
  EXPECT_EQ(cache->stats().memory_slices, 0u);
}

TEST_F(CacheTest, ValidatedEntryKeepsItsSlices) {
  auto entry = make(kText);
  entry->length = 3 * kSliceBytes;
  cache->put(cache->key_of(kText), entry);
  for (uint32_t i = 0; i < 3; ++i) cache->put_slice(slice(*entry, i, "part " + std::to_string(i)));
  auto validated = std::make_shared<Entry>(*entry);
  validated->etag = "\"2\"";
  cache->put(cache->key_of(kText), validated);
  EXPECT_EQ(find(kText).entry->etag, "\"2\"");
  EXPECT_EQ(as_text(cache->slice_hot(*validated, 2)->bytes.view()), "part 2");
  EntryRef small = put("site\nhttp://host:80/b");
  auto again = std::make_shared<Entry>(*small);
  cache->put(cache->key_of(small->key), again);
  ASSERT_NE(find(small->key).first, nullptr);
}

TEST_F(CacheTest, ReplacedResponseTakesItsSlicesWithIt) {
  auto old = make(kText);
  old->length = 3 * kSliceBytes;
  cache->put(cache->key_of(kText), old);
  for (uint32_t i = 0; i < 3; ++i) cache->put_slice(slice(*old, i, "old"));
  EntryRef fresh_one = put(kText);
  EXPECT_EQ(find(kText).entry, fresh_one);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(cache->slice_hot(*old, i), nullptr);
  EXPECT_EQ(cache->stats().memory_slices, 0u);
}

TEST_F(CacheTest, KeyOfAnotherTextFindsNothing) {
  put(kText);
  EXPECT_EQ(cache->find_hot(cache->key_of(kText), "another text").entry, nullptr);
}

TEST_F(CacheTest, VariantsAreFoundWithAndWithoutAnEntry) {
  auto variants = std::make_shared<Variants>(Variants{std::string(kText), {{"accept-encoding"}}});
  cache->set_variants(cache->key_of(kText), variants);
  EXPECT_EQ(find(kText).variants, variants);
  EXPECT_EQ(find(kText).entry, nullptr);
  put(kText);
  EXPECT_EQ(find(kText).variants, variants);
  EXPECT_NE(find(kText).entry, nullptr);
  EXPECT_EQ(cache->variants(cache->key_of(kText), kText), variants);
  EXPECT_EQ(cache->variants(cache->key_of(kText), "another"), nullptr);
}

TEST_F(CacheTest, IdsDifferEvenBetweenCaches) {
  EXPECT_NE(cache->new_id(), cache->new_id());
  auto other = make_cache({.memory_bytes = 1 << 20, .disk_dir = {}}, *workers, system_clock(), *random);
  EXPECT_NE(cache->new_id() >> 16, other->new_id() >> 16);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
thread_local size_t allocations = 0;

TEST_F(CacheTest, HitAllocatesNothing) {
  put(kText);
  const Key key = cache->key_of(kText);
  static const int installed = __sanitizer_install_malloc_and_free_hooks(
      [](const volatile void*, size_t) { ++allocations; }, [](const volatile void*) {});
  ASSERT_GT(installed, 0);
  const size_t before = allocations;
  for (int i = 0; i < 10; ++i) {
    Found found = cache->find_hot(key, kText);
    if (found.first == nullptr) FAIL();
  }
  EXPECT_EQ(allocations, before);
  auto proof = std::make_unique<int>(1);
  EXPECT_GT(allocations, before);
}
#endif
#endif

// --- purges

TEST_F(CacheTest, PurgeOfAUrlTakesAllItsVariantsAndNothingElse) {
  const std::string gzip = std::string(kText) + '\0' + "gzip", other = std::string(kText) + "b";
  put(kText);
  put(gzip);
  put(other);
  done(cache->purge_key(std::string(kText), false));
  EXPECT_EQ(find(kText).entry, nullptr);
  EXPECT_EQ(find(gzip).entry, nullptr);
  EXPECT_TRUE(fresh(other));
  put(kText);
  EXPECT_TRUE(fresh(kText));
}

TEST_F(CacheTest, PurgeOfATagTakesWhatCarriesItInThatSiteOnly) {
  put(kText, {"news", "sport"});
  put("site\nhttp://host:80/b", {"sport"});
  auto foreign = make("other\nhttp://host:80/a", {"news"});
  foreign->site = "other";
  cache->put(cache->key_of(foreign->key), foreign);
  done(cache->purge_tag("site", "NEWS", false));
  EXPECT_EQ(find(kText).entry, nullptr);
  EXPECT_TRUE(fresh("site\nhttp://host:80/b"));
  EXPECT_TRUE(fresh(foreign->key));
}

TEST_F(CacheTest, PurgeOfAPrefixTakesKeysThatBeginSo) {
  put("site\nhttp://host:80/img/a");
  put("site\nhttp://host:80/img/deep/b");
  put("site\nhttp://host:80/im");
  done(cache->purge_prefix("site\nhttp://host:80/img/", false));
  EXPECT_EQ(find("site\nhttp://host:80/img/a").entry, nullptr);
  EXPECT_EQ(find("site\nhttp://host:80/img/deep/b").entry, nullptr);
  EXPECT_TRUE(fresh("site\nhttp://host:80/im"));
}

TEST_F(CacheTest, PurgeOfAGroupKeepsToItsOrigin) {
  auto one = make("site\nhttps://host:443/a");
  one->groups = {"Scripts"};
  auto two = make("site\nhttps://host:8443/a");
  two->groups = {"Scripts"};
  cache->put(cache->key_of(one->key), one);
  cache->put(cache->key_of(two->key), two);
  done(cache->purge_group("https://host:443", "scripts"));  // groups are case-sensitive
  EXPECT_TRUE(fresh(one->key));
  done(cache->purge_group("https://host:443", "Scripts"));
  EXPECT_EQ(find(one->key).entry, nullptr);
  EXPECT_TRUE(fresh(two->key));
}

TEST_F(CacheTest, PurgeOfASiteTakesAllOfIt) {
  put(kText);
  auto foreign = make("other\nhttp://host:80/a");
  foreign->site = "other";
  cache->put(cache->key_of(foreign->key), foreign);
  done(cache->purge_site("site", false));
  EXPECT_EQ(find(kText).entry, nullptr);
  EXPECT_TRUE(fresh(foreign->key));
}

TEST_F(CacheTest, SoftPurgeAsksForValidationUntilItWasValidated) {
  EntryRef entry = put(kText, {"news"});
  done(cache->purge_tag("site", "news", true));
  for (int i = 0; i < 2; ++i) {
    Found found = find(kText);
    ASSERT_NE(found.entry, nullptr);
    EXPECT_TRUE(found.purged_softly);
  }
  done(cache->purge_tag("site", "unrelated", false));
  EXPECT_TRUE(find(kText).purged_softly);
  auto validated = std::make_shared<Entry>(*entry);
  validated->stamp = cache->stamp();
  cache->put(cache->key_of(kText), validated);
  EXPECT_TRUE(fresh(kText));
  EXPECT_NE(find(kText).first, nullptr);
}

TEST_F(CacheTest, HardPurgeAfterASoftOneTakesIt) {
  put(kText, {"news"});
  done(cache->purge_tag("site", "news", true));
  done(cache->purge_tag("site", "news", false));
  EXPECT_EQ(find(kText).entry, nullptr);
}

TEST_F(CacheTest, FetchThatBeganBeforeAPurgeIsNotStoredAsFresh) {
  auto hard = make(kText, {"news"});  // its request is sent
  auto soft = make("site\nhttp://host:80/b", {"sport"});
  done(cache->purge_tag("site", "news", false));
  done(cache->purge_tag("site", "sport", true));
  cache->put(cache->key_of(hard->key), hard);
  cache->put(cache->key_of(soft->key), soft);
  EXPECT_EQ(find(hard->key).entry, nullptr);
  EXPECT_TRUE(find(soft->key).purged_softly);
}

TEST_F(CacheTest, LateResponseDoesNotReplaceWhatWasFetchedAfterThePurge) {
  auto late = make(kText);
  cache->invalidate(kText);
  EntryRef after = put(kText);
  cache->put(cache->key_of(kText), late);
  EXPECT_EQ(find(kText).entry, after);
}

TEST_F(CacheTest, InvalidationIsAPurgeOfTheUrl) {
  put(kText);
  cache->invalidate(kText);
  EXPECT_EQ(find(kText).entry, nullptr);
}

TEST_F(CacheTest, ErasedEntryIsGoneWithItsSlices) {
  EntryRef entry = put(kText);
  cache->erase(cache->key_of(kText));
  EXPECT_EQ(find(kText).entry, nullptr);
  EXPECT_EQ(cache->stats().memory_entries, 0u);
  EXPECT_EQ(cache->stats().memory_bytes, 0u);
}

TEST_F(CacheTest, MetricsSayWhatIsStored) {
  put(kText);
  const std::string text = metrics_text(cache->stats());
  EXPECT_NE(text.find("\narchipel_edge_cache_memory_entries 1\n"), std::string::npos) << text;
  EXPECT_NE(
      text.find("# TYPE archipel_edge_cache_disk_writable gauge\narchipel_edge_cache_disk_writable 0\n"),
      std::string::npos);
}

// --- bounds

struct SmallCacheTest : CacheTest {
  SmallCacheTest() : CacheTest(4u << 20) {}
};

TEST_F(SmallCacheTest, BodiesOfMoreThanASixtyFourthAndALittleAreNotKeptInMemory) {
  auto entry = make(kText);
  entry->length = 69 << 10;
  cache->put(cache->key_of(kText), entry, slice(*entry, 0, std::string(69 << 10, 'x')));
  EXPECT_EQ(find(kText).entry, nullptr);
  EXPECT_EQ(cache->stats().memory_not_stored, 1u);
  cache->put(cache->key_of(kText), entry, slice(*entry, 0, std::string(64 << 10, 'x')));
  EXPECT_NE(find(kText).entry, nullptr);
}

TEST_F(SmallCacheTest, BytesStayWithinTheConfigWhateverIsStored) {
  for (uint32_t i = 0; i < 3000; ++i) {
    const std::string text = "site\nhttp://host:80/" + std::to_string(random->u64() % 700);
    auto entry = make(text);
    const size_t size = random->u64() % (64 << 10);
    entry->length = size;
    cache->put(cache->key_of(text), entry, slice(*entry, 0, std::string(size, 'x')));
    cache->put_slice(slice(*entry, 1, std::string(random->u64() % 5000, 'y')));
    if (i % 3 == 0) find(text);
    ASSERT_LE(cache->stats().memory_bytes, 4u << 20);
  }
  EXPECT_GT(cache->stats().memory_bytes, 3u << 20);
  EXPECT_GT(cache->stats().memory_evicted, 1000u);
}

}  // namespace
}  // namespace archipel::edge
