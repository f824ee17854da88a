// Country databases made here, from the public description of the format (MaxMind DB File Format 2.0), read as operators' are.
#include "edge/geo.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "base/bytes.h"

namespace archipel::edge {
namespace {

// --- the data section: a control byte (type in the upper three bits, size below), then the value

void control(std::string& out, int type, size_t size) {
  const auto first =
      static_cast<char>((type <= 7 ? type : 0) << 5 | static_cast<int>(std::min<size_t>(size, 29)));
  out += first;
  if (type > 7) out += static_cast<char>(type - 7);
  if (size >= 29) out += static_cast<char>(size - 29);  // up to 284: enough here
}
std::string text(std::string_view value) {
  std::string out;
  control(out, 2, value.size());
  return out += value;
}
std::string number(int type, uint64_t value) {
  std::string bytes;
  for (; value != 0; value >>= 8) bytes.insert(bytes.begin(), static_cast<char>(value & 0xff));
  std::string out;
  control(out, type, bytes.size());
  return out += bytes;
}
using Pairs = std::vector<std::pair<std::string, std::string>>;  // values encoded
std::string map(const Pairs& pairs) {
  std::string out;
  control(out, 7, pairs.size());
  for (const auto& [key, value] : pairs) out += text(key) + value;
  return out;
}

constexpr int kUint16 = 5, kUint32 = 6, kUint64 = 9, kArray = 11;

struct Database {
  int record_bits = 24, ip_version = 6;
  struct Node {
    uint64_t next[2] = {0, 0};  // 0: nothing; a node; or kData + an offset
  };
  static constexpr uint64_t kData = uint64_t{1} << 40;
  std::vector<Node> nodes{{}};
  std::string data;

  uint64_t add_data(const std::string& bytes) {
    data += bytes;
    return kData + data.size() - bytes.size();
  }
  // `prefix` "10.0.0.0/8" or "2001:db8::/32"; IPv4 lies under ::/96.
  void add(const std::string& prefix, uint64_t value) {
    const size_t slash = prefix.find('/');
    const IpAddress address = *parse_ip(prefix.substr(0, slash));
    size_t bits = std::stoul(prefix.substr(slash + 1));
    std::array<uint8_t, 16> bytes = address.bytes;
    size_t from = 0;
    if (address.v4()) {
      std::fill_n(bytes.begin(), 12, uint8_t{0});
      bits += 96;
      if (ip_version == 4) from = 96;
    }
    uint64_t at = 0;
    for (size_t i = from; i < bits; ++i) {
      const int bit = bytes[i / 8] >> (7 - i % 8) & 1;
      if (i + 1 == bits) {
        nodes[at].next[bit] = value;
        return;
      }
      if (nodes[at].next[bit] == 0) {
        nodes.push_back({});
        nodes[at].next[bit] = nodes.size() - 1;
      }
      at = nodes[at].next[bit];
    }
  }
  uint32_t record(uint64_t next) const {
    const uint64_t count = nodes.size();
    if (next == 0) return static_cast<uint32_t>(count);
    return static_cast<uint32_t>(next < kData ? next : next - kData + count + 16);
  }
  std::string bytes() const {
    std::string out;
    auto put = [&out](uint32_t value, int width) {
      for (int i = width - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
    };
    for (const Node& node : nodes) {
      const uint32_t left = record(node.next[0]), right = record(node.next[1]);
      if (record_bits == 28) {
        put(left & 0xffffff, 3);
        out += static_cast<char>((left >> 24 & 0xf) << 4 | (right >> 24 & 0xf));
        put(right & 0xffffff, 3);
      } else {
        put(left, record_bits / 8);
        put(right, record_bits / 8);
      }
    }
    out.append(16, '\0');
    out += data;
    out += "\xab\xcd\xefMaxMind.com";
    std::string languages;
    control(languages, kArray, 1);
    languages += text("en");
    return out + map({{"binary_format_major_version", number(kUint16, 2)},
                      {"binary_format_minor_version", number(kUint16, 0)},
                      {"build_epoch", number(kUint64, 1'800'000'000)},
                      {"database_type", text("Test-Country")},
                      {"description", map({{"en", text("made by a test")}})},
                      {"ip_version", number(kUint16, static_cast<uint64_t>(ip_version))},
                      {"languages", languages},
                      {"node_count", number(kUint32, nodes.size())},
                      {"record_size", number(kUint16, static_cast<uint64_t>(record_bits))}});
  }
};

std::string country(std::string_view code, const std::string& field = "country") {
  return map({{"continent", map({{"code", text("EU")}})},
              {field, map({{"geoname_id", number(kUint32, 3017382)}, {"iso_code", text(code)}})}});
}

Database small(int record_bits = 24) {
  Database out;
  out.record_bits = record_bits;
  const uint64_t fr = out.add_data(country("FR")), jp = out.add_data(country("JP")),
                 de = out.add_data(country("DE", "registered_country"));
  out.add("192.0.2.0/24", fr);
  out.add("198.51.100.128/25", jp);
  out.add("203.0.113.7/32", de);
  out.add("2001:db8::/32", jp);
  out.add("2001:db9:1:2::/64", fr);
  return out;
}

struct GeoFile : ::testing::Test {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("archipel-geo-" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + "-" +
       std::to_string(reinterpret_cast<uintptr_t>(this)) + ".mmdb");
  ~GeoFile() override {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  Result<std::shared_ptr<const Geo>> open(const std::string& bytes) {
    std::filesystem::remove(path);  // never in place: a file that is mapped does not shrink
    std::ofstream(path, std::ios::binary) << bytes;
    return open_geo(path.string());
  }
  static std::string of(const Geo& geo, const std::string& address) {
    return geo.country(*parse_ip(address));
  }
};

TEST_F(GeoFile, SaysTheCountryOfAddressesOfBothKinds) {
  for (int bits : {24, 28, 32}) {
    auto geo = open(small(bits).bytes());
    ASSERT_TRUE(geo) << bits << ": " << geo.error().message;
    for (auto [address, expected] : std::map<std::string, std::string>{{"192.0.2.0", "FR"},
                                                                       {"192.0.2.255", "FR"},
                                                                       {"192.0.3.0", ""},
                                                                       {"198.51.100.127", ""},
                                                                       {"198.51.100.128", "JP"},
                                                                       {"203.0.113.7", "DE"},
                                                                       {"203.0.113.8", ""},
                                                                       {"2001:db8::1", "JP"},
                                                                       {"2001:db8:ffff::", "JP"},
                                                                       {"2001:db9:1:2::9", "FR"},
                                                                       {"2001:db9:1:3::9", ""},
                                                                       {"::1", ""},
                                                                       {"::ffff:192.0.2.9", "FR"}})
      EXPECT_EQ(of(**geo, address), expected) << address << ", records of " << bits << " bits";
  }
}

TEST_F(GeoFile, OfIpv4AloneKnowsNoOther) {
  Database four;
  four.ip_version = 4;
  four.add("192.0.2.0/24", four.add_data(country("FR")));
  auto geo = open(four.bytes());
  ASSERT_TRUE(geo);
  EXPECT_EQ(of(**geo, "192.0.2.1"), "FR");
  EXPECT_EQ(of(**geo, "2001:db8::1"), "");
}

TEST_F(GeoFile, WhatIsNoCountryIsNotTakenForOne) {
  Database odd;
  odd.add("192.0.2.0/24", odd.add_data(country("FRA")));
  odd.add("198.51.100.0/24", odd.add_data(map({{"country", text("FR")}})));
  odd.add("203.0.113.0/24", odd.add_data(map({{"country", map({{"iso_code", number(kUint32, 17)}})}})));
  odd.add("2001:db8::/32", odd.add_data(text("FR")));
  auto geo = open(odd.bytes());
  ASSERT_TRUE(geo);
  for (const char* address : {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"})
    EXPECT_EQ(of(**geo, address), "") << address;
}

TEST_F(GeoFile, BrokenFilesAreRefusedOrAnswerNothing) {
  const std::string good = small().bytes();
  EXPECT_EQ(open_geo("/nowhere/country.mmdb").error().code, Code::not_found);
  for (const std::string& bad :
       {std::string(), std::string("no database"), good.substr(0, good.size() / 2),
        good.substr(0, good.find("\xab\xcd\xef")), good.substr(good.find("\xab\xcd\xef"))}) {
    auto geo = open(bad);
    // An empty file cannot even be mapped.
    if (!geo) EXPECT_EQ(geo.error().code, bad.empty() ? Code::io : Code::invalid) << geo.error().message;
    if (geo) EXPECT_EQ(of(**geo, "192.0.2.1"), "") << bad.size();
  }
  // Every byte wrong in turn: a country, or none, or a refusal; never anything else.
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    auto geo = open(bad);
    if (!geo) continue;
    for (const char* address :
         {"192.0.2.1", "198.51.100.200", "203.0.113.7", "2001:db8::1", "255.255.255.255"}) {
      const std::string code = of(**geo, address);
      EXPECT_TRUE(code.empty() || code.size() == 2) << i;
    }
  }
}

TEST_F(GeoFile, CutAnywhereItIsRefusedOrAnswersNothingWrong) {
  const std::string good = small().bytes();
  for (size_t size = 0; size < good.size(); size += 7) {
    auto geo = open(good.substr(0, size));
    if (!geo) continue;
    const std::string code = of(**geo, "192.0.2.1");
    EXPECT_TRUE(code.empty() || code == "FR") << size;
  }
}

}  // namespace
}  // namespace archipel::edge
