// TLS 1.3's records: against RFC 8448's trace, against an oracle made of OpenSSL's own key derivation, and against whoever sends what must not be sent.
#include "io/tls_records.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

namespace archipel::io {
namespace {

using What = TlsRecords::What;
using Bytes = std::vector<uint8_t>;

constexpr uint16_t kSuites[] = {0x1301, 0x1302, 0x1303};

Bytes from_hex(std::string_view text) {
  std::string dense;
  for (char c : text)
    if (c != ' ') dense.push_back(c);
  const std::string raw = unhex(dense).value();
  return Bytes(raw.begin(), raw.end());
}

TlsSecret secret_of(ByteView bytes) {
  TlsSecret secret;
  secret.size = bytes.size();
  std::memcpy(secret.bytes.data(), bytes.data(), bytes.size());
  return secret;
}
TlsSecret secret_for(uint16_t suite, uint8_t seed) {
  return secret_of(Bytes(suite == 0x1302 ? 48 : 32, seed));
}

std::unique_ptr<TlsRecords> server(uint16_t suite = 0x1301) {
  return TlsRecords::make(suite, secret_for(suite, 1), secret_for(suite, 2), 0);
}
std::unique_ptr<TlsRecords> client(uint16_t suite = 0x1301) {
  return TlsRecords::make(suite, secret_for(suite, 2), secret_for(suite, 1), 0);
}

Bytes seal(TlsRecords& records, ByteView plain) {
  Bytes all;
  std::vector<ByteView> parts = {plain};
  std::span<const ByteView> left = parts;
  for (size_t done = 0, offset = 0; done < plain.size();) {
    Bytes out(TlsRecords::kPlainMax + 2 * TlsRecords::kOverheadBytes);
    const TlsRecords::Sealed sealed = records.seal(left, offset, out);
    all.insert(all.end(), out.begin(), out.begin() + static_cast<ptrdiff_t>(sealed.written));
    done += sealed.plain;
  }
  return all;
}

// A sealing side after the letter of RFC 8446, with any content: what TlsRecords itself never sends.
class Oracle {
 public:
  Oracle(uint16_t suite, Bytes secret) : suite_(suite), secret_(std::move(secret)) {}

  Bytes expand(const char* label, size_t size) const {
    EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr);
    EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
    Bytes out(size), key = secret_;
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    char prefix[] = "tls13 ";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                         const_cast<char*>(suite_ == 0x1302 ? "SHA384" : "SHA256"), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, 6),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, const_cast<char*>(label), strlen(label)),
        OSSL_PARAM_construct_end()};
    CHECK(EVP_KDF_derive(context, out.data(), out.size(), parameters) == 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return out;
  }
  void update() {
    secret_ = expand("traffic upd", secret_.size());
    sequence_ = 0;
  }
  // `inner` ends with type and padding.
  Bytes record(const Bytes& inner) {
    const char* name = suite_ == 0x1301   ? "AES-128-GCM"
                       : suite_ == 0x1302 ? "AES-256-GCM"
                                          : "ChaCha20-Poly1305";
    EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, name, nullptr);
    Bytes key = expand("key", suite_ == 0x1301 ? 16 : 32), iv = expand("iv", 12);
    for (size_t i = 0; i < 8; ++i) iv[11 - i] ^= static_cast<uint8_t>(sequence_ >> (8 * i));
    ++sequence_;
    const size_t size = inner.size() + 16;
    Bytes out = {23, 3, 3, static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)};
    out.resize(5 + size);
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    int moved = 0;
    CHECK(EVP_EncryptInit_ex(context, cipher, nullptr, key.data(), iv.data()) == 1);
    CHECK(EVP_EncryptUpdate(context, nullptr, &moved, out.data(), 5) == 1);
    CHECK(EVP_EncryptUpdate(context, out.data() + 5, &moved, inner.data(), static_cast<int>(inner.size())) ==
          1);
    CHECK(EVP_EncryptFinal_ex(context, out.data() + 5 + inner.size(), &moved) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out.data() + 5 + inner.size()) == 1);
    EVP_CIPHER_CTX_free(context);
    EVP_CIPHER_free(cipher);
    return out;
  }
  Bytes key_update(uint8_t asks) { return record({24, 0, 0, 1, asks, 22}); }

 private:
  const uint16_t suite_;
  Bytes secret_;
  uint64_t sequence_ = 0;
};

// What a client of server() sends.
Oracle oracle(uint16_t suite = 0x1301) {
  return {suite, Bytes(suite == 0x1302 ? 48 : 32, 1)};
}

struct Seen {
  What last = What::part;
  std::string data;
  uint8_t alert = 0;
  std::string why;
};
// Everything in `bytes`, with `room` for plaintext.
Seen open_all(TlsRecords& records, Bytes bytes, size_t room = 20'000) {
  Seen seen;
  Bytes out(room);
  for (size_t at = 0; at < bytes.size();) {
    const TlsRecords::Opened got = records.open(MutableBytes(bytes).subspan(at), out);
    seen.last = got.what;
    seen.data += as_text(got.plain);
    if (got.what == What::bad) {
      seen.alert = got.alert;
      seen.why = got.why;
    }
    if (got.used == 0) break;
    at += got.used;
  }
  return seen;
}

TEST(TlsRecords, AreThoseOfRfc8448) {
  const TlsSecret of_client =
      secret_of(from_hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"));
  const TlsSecret of_server =
      secret_of(from_hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"));
  auto records = TlsRecords::make(0x1301, of_client, of_server, 1);  // a ticket went before
  Bytes plain(50);
  for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(hex(seal(*records, plain)),
            "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8"
            "fcc49c4b"
            "f2e5f0a21c0047c2abf332540dd032e167c2955d");
  const Seen seen = open_all(*records, from_hex("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bc"
                                                "ab3f2b9819a8a5b46b395bd54a9a20441e2b62974e"
                                                "1f5a6292a2977014bd1e3deae63aeebb21694915e4"));
  EXPECT_EQ(seen.data, as_text(plain));
  EXPECT_EQ(open_all(*records, from_hex("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3")).last, What::end);
}

TEST(TlsRecords, KnowThreeSuites) {
  for (uint16_t suite : {uint16_t{0x1300}, uint16_t{0x1304}, uint16_t{0xc02b}})
    EXPECT_EQ(TlsRecords::make(suite, secret_for(0x1301, 1), secret_for(0x1301, 2), 0), nullptr);
  EXPECT_EQ(TlsRecords::make(0x1302, secret_for(0x1301, 1), secret_for(0x1301, 2), 0), nullptr);
  for (uint16_t suite : kSuites) {
    auto records = server(suite);
    ASSERT_NE(records, nullptr);
    Oracle peer = oracle(suite);
    EXPECT_EQ(open_all(*records, peer.record({'h', 'i', 23})).data, "hi");
    EXPECT_EQ(open_all(*records, peer.key_update(1)).last, What::nothing);
    peer.update();
    EXPECT_EQ(open_all(*records, peer.record({'y', 'o', 23})).data, "yo");
  }
}

TEST(TlsRecords, CarryBytesHoweverTheyAreCut) {
  EXPECT_TRUE(rc::check("what is opened is what was sealed", [] {
    const uint16_t suite = *rc::gen::elementOf(std::vector<uint16_t>(std::begin(kSuites), std::end(kSuites)));
    const auto sizes = *rc::gen::container<std::vector<size_t>>(rc::gen::weightedOneOf<size_t>(
        {{4, rc::gen::inRange<size_t>(0, 300)}, {2, rc::gen::inRange<size_t>(4000, 20'000)}}));
    const size_t room = *rc::gen::elementOf(std::vector<size_t>{0, 100, 16'384, 16'385});
    auto from = server(suite), to = client(suite);
    std::vector<Bytes> owned;
    std::vector<ByteView> parts;
    std::string sent, got;
    for (size_t i = 0; i < sizes.size(); ++i) {
      owned.emplace_back(sizes[i], static_cast<uint8_t>(i));
      sent += as_text(owned.back());
    }
    for (const Bytes& one : owned) parts.emplace_back(one);
    std::span<const ByteView> left = parts;
    size_t offset = 0;
    for (size_t done = 0; done < sent.size();) {
      Bytes out(TlsRecords::kPlainMax + 2 * TlsRecords::kOverheadBytes);
      const TlsRecords::Sealed sealed = from->seal(left, offset, out);
      RC_ASSERT(sealed.plain == std::min(sent.size() - done, TlsRecords::kPlainMax));
      RC_ASSERT(sealed.written == sealed.plain + TlsRecords::kOverheadBytes);
      done += sealed.plain;
      out.resize(sealed.written);
      for (size_t cut : {size_t{0}, size_t{4}, size_t{5}, out.size() - 1}) {
        Bytes half(out.begin(), out.begin() + static_cast<ptrdiff_t>(cut)), none;
        RC_ASSERT(!TlsRecords::whole(half) && to->open(half, none).what == What::part);
      }
      got += open_all(*to, out, room).data;
    }
    RC_ASSERT(got == sent);
  }));
}

TEST(TlsRecords, AFlippedBitAnywhereIsFound) {
  const Bytes record = seal(*client(), Bytes(40, 'x'));
  for (size_t bit = 0; bit < 8 * record.size(); ++bit) {
    Bytes broken = record;
    broken[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    auto records = server();
    const Seen seen = open_all(*records, broken);
    EXPECT_EQ(seen.data, "") << bit;
    // A length that grew is waited for.
    EXPECT_TRUE(seen.last == What::bad || (bit / 8 == 4 && seen.last == What::part) || bit / 8 == 3) << bit;
  }
}

TEST(TlsRecords, WhatIsLeftOutSentTwiceOrTurnedIsFound) {
  auto from = client();
  const Bytes one = seal(*from, Bytes(10, '1')), two = seal(*from, Bytes(10, '2'));
  EXPECT_EQ(open_all(*server(), two).alert, 20);
  auto records = server();
  EXPECT_EQ(open_all(*records, one).last, What::data);
  EXPECT_EQ(open_all(*records, one).alert, 20);
  // Our own record, sent back to us.
  auto echo = server();
  EXPECT_EQ(open_all(*echo, seal(*echo, Bytes(10, '3'))).alert, 20);
}

TEST(TlsRecords, RefuseWhatNoClientMaySend) {
  struct Case {
    const char* what;
    Bytes bytes;
    uint8_t alert;
  };
  const auto sealed = [](Bytes inner) { return oracle().record(inner); };
  Bytes long_one(TlsRecords::kPlainMax + 1, 'x');
  long_one.push_back(23);
  const Case cases[] = {
      {"handshake in the clear", {22, 3, 3, 0, 1, 0}, 10},
      {"change_cipher_spec behind the handshake", {20, 3, 3, 0, 1, 1}, 10},
      {"an alert in the clear", {21, 3, 3, 0, 2, 1, 0}, 10},
      {"plain HTTP", Bytes{'G', 'E', 'T', ' ', '/'}, 10},
      {"longer than a record may be", {23, 3, 3, 0x41, 0x01}, 22},
      {"shorter than a tag", {23, 3, 3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 20},
      {"nothing at all", {23, 3, 3, 0, 0}, 20},
      {"no type, padding alone", sealed({0, 0, 0}), 10},
      {"more than 16 KiB", sealed(long_one), 22},
      {"an unknown type", sealed({1, 2, 99}), 10},
      {"a sealed change_cipher_spec", sealed({1, 20}), 10},
      {"an alert of one byte", sealed({1, 21}), 50},
      {"an alert of three bytes", sealed({1, 0, 0, 21}), 50},
      {"an empty handshake record", sealed({22}), 10},
      {"a client hello", sealed({1, 0, 0, 1, 0, 22}), 10},
      {"a certificate", sealed({11, 0, 0, 1, 0, 22}), 10},
      {"a key update of two bytes", sealed({24, 0, 0, 2, 0, 0, 22}), 50},
      {"a key update that asks for 2", sealed({24, 0, 0, 1, 2, 22}), 47},
      {"a message behind a key update", sealed({24, 0, 0, 1, 0, 24, 22}), 10},
      {"an alert that is fatal", sealed({2, 40, 21}), 0},
  };
  for (const Case& one : cases) {
    auto records = server();
    const Seen seen = open_all(*records, one.bytes);
    EXPECT_EQ(seen.last, What::bad) << one.what;
    EXPECT_EQ(seen.alert, one.alert) << one.what;
    EXPECT_EQ(seen.data, "") << one.what;
  }
}

TEST(TlsRecords, TakePaddingAndFullRecords) {
  auto records = server();
  Oracle peer = oracle();
  EXPECT_EQ(open_all(*records, peer.record({'a', 23, 0, 0, 0, 0})).data, "a");
  Bytes full(TlsRecords::kPlainMax, 'x');
  full.push_back(23);
  EXPECT_EQ(open_all(*records, peer.record(full)).data.size(), TlsRecords::kPlainMax);
  full.resize(TlsRecords::kPlainMax + 240, 0);
  EXPECT_EQ(open_all(*records, peer.record(full)).data.size(), TlsRecords::kPlainMax);
}

TEST(TlsRecords, AKeyUpdateMayComeInPiecesButNothingBetween) {
  auto records = server();
  Oracle peer = oracle();
  for (const Bytes& piece : {Bytes{24, 22}, Bytes{0, 0, 22}, Bytes{1, 22}, Bytes{1, 22}})
    EXPECT_EQ(open_all(*records, peer.record(piece)).last, What::nothing);
  peer.update();
  EXPECT_TRUE(records->owes_key_update());
  EXPECT_EQ(open_all(*records, peer.record({'x', 23})).data, "x");
  EXPECT_EQ(open_all(*records, peer.record({24, 0, 22})).last, What::nothing);
  EXPECT_EQ(open_all(*records, peer.record({'y', 23})).alert, 10);
}

TEST(TlsRecords, KeysChangeOnBothSidesAndOneAnswerIsOwedForManyRequests) {
  auto ours = server(), theirs = client();
  Oracle peer = oracle();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(open_all(*ours, peer.key_update(1)).last, What::nothing);
    peer.update();
  }
  EXPECT_TRUE(ours->owes_key_update());
  EXPECT_EQ(open_all(*theirs, seal(*ours, Bytes(5, 'a'))).data, "aaaaa");
  Bytes answer(2 * TlsRecords::kOverheadBytes);
  answer.resize(ours->seal_key_update(answer));
  EXPECT_FALSE(ours->owes_key_update());
  EXPECT_EQ(open_all(*theirs, answer).last, What::nothing);
  EXPECT_FALSE(theirs->owes_key_update());  // ours asks for nothing
  EXPECT_EQ(open_all(*theirs, seal(*ours, Bytes(5, 'b'))).data, "bbbbb");
}

TEST(TlsRecords, OurKeyChangesBeforeItIsWornOut) {
  auto ours =
      TlsRecords::make(0x1301, secret_for(0x1301, 1), secret_for(0x1301, 2), TlsRecords::kRecordsPerKey - 1);
  auto theirs = client();
  const Bytes last = seal(*ours, Bytes(5, 'a'));
  const Bytes next = seal(*ours, Bytes(5, 'b'));
  EXPECT_EQ(last.size(), 5 + TlsRecords::kOverheadBytes);
  EXPECT_EQ(next.size(), 5 + 5 + 2 * TlsRecords::kOverheadBytes);      // a key update goes before
  EXPECT_EQ(open_all(*theirs, seal(*ours, Bytes(1, 'c'))).alert, 20);  // theirs has not got so far
}

TEST(TlsRecords, FloodsOfRecordsWithoutDataEnd) {
  for (const Bytes& inner : {Bytes{23}, Bytes{1, 90, 21}, Bytes{24, 0, 0, 1, 1, 22}}) {
    auto records = server();
    Oracle peer = oracle();
    const auto send = [&](const Bytes& what) {
      const What seen = open_all(*records, peer.record(what)).last;
      if (what[0] == 24) peer.update();
      return seen;
    };
    for (int i = 0; i < TlsRecords::kIdleRecordsMax; ++i) EXPECT_EQ(send(inner), What::nothing);
    EXPECT_EQ(send({'x', 23}), What::data);  // data makes good
    for (int i = 0; i < TlsRecords::kIdleRecordsMax; ++i) EXPECT_EQ(send(inner), What::nothing);
    EXPECT_EQ(send(inner), What::bad);
  }
}

}  // namespace
}  // namespace archipel::io
