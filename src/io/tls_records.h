// The record protection of TLS 1.3 once a server's handshake is done (RFC 8446 §5, §4.6.3, §6). OpenSSL shakes hands, then hands its traffic secrets over
// and goes: a connection at rest keeps two ciphers instead of a whole session, and records are sealed and opened where they lie, without copies.
//
// Moves no bytes and waits for nobody; tls_link.h does. One thread. Internal to src/io: OpenSSL's types appear by name only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"

struct evp_cipher_ctx_st;

namespace archipel::io {

// A traffic secret, as long as the suite's hash. Wiped when it goes.
struct TlsSecret {
  std::array<uint8_t, 48> bytes{};
  size_t size = 0;
  TlsSecret() = default;
  TlsSecret(const TlsSecret&) = default;
  TlsSecret& operator=(const TlsSecret&) = default;
  ~TlsSecret();
};

class TlsRecords {
 public:
  static constexpr size_t kPlainMax = 16u << 10;  // of a record (RFC 8446 §5.1)
  static constexpr size_t kHeaderBytes = 5;
  static constexpr size_t kSealedMax = kPlainMax + 256;            // behind the header (§5.2)
  static constexpr size_t kOverheadBytes = kHeaderBytes + 1 + 16;  // of one of ours: header, type, tag
  // After as many under one key we change ours (§5.5: AES-GCM stays safe for 2^24.5 of full size).
  static constexpr uint64_t kRecordsPerKey = uint64_t{1} << 23;
  // In a row, without a byte of data: key updates, empty records, warnings. More are an attack on our time.
  static constexpr int kIdleRecordsMax = 32;

  // `suite`: 0x1301 to 0x1303 (RFC 8446 appendix B.4); others: nullptr. `sealed`: how many records were already written under `write`.
  static std::unique_ptr<TlsRecords> make(uint16_t suite, const TlsSecret& read, const TlsSecret& write,
                                          uint64_t sealed);
  ~TlsRecords();

  struct Sealed {
    size_t plain = 0;    // bytes taken from `parts`
    size_t written = 0;  // bytes put into `out`
  };
  // Seals as much from `offset` on in `parts` as one record holds, and moves both on past it. `out` has room for kPlainMax + 2 * kOverheadBytes. Not
  // when nothing is left.
  Sealed seal(std::span<const ByteView>& parts, size_t& offset, MutableBytes out);
  // At most 2 * kOverheadBytes each.
  size_t seal_alert(uint8_t level, uint8_t description, MutableBytes out);
  size_t seal_key_update(MutableBytes out);  // our answer; the key behind it is the next one
  // The other side asked us to change our key and was not answered yet (§4.6.3). However often it asks, one answer is owed.
  bool owes_key_update() const { return owes_key_update_; }

  enum class What {
    part,     // no whole record
    data,     // `plain`, not empty
    nothing,  // a record that was for us, not for the reader
    end,      // close_notify
    bad,      // `alert` is to be sent, `why` to be told; nothing can be read any more
  };
  struct Opened {
    What what = What::part;
    size_t used = 0;     // bytes of the record; 0: part
    MutableBytes plain;  // lies in `out` if it fits there whole, else in `in`
    uint8_t alert = 0;   // 0: the other side sent one itself
    const char* why = "";
  };
  // The first record of `in`, which is overwritten. Nothing of a record is shown before all of it is verified; of one that fails, `out` may hold rubbish.
  Opened open(MutableBytes in, MutableBytes out);
  // Whether open() would say something else than `part`.
  static bool whole(ByteView in);

 private:
  struct FreeCipher {
    void operator()(evp_cipher_ctx_st* cipher) const;
  };
  // One direction.
  struct Half {
    TlsSecret secret;
    std::unique_ptr<evp_cipher_ctx_st, FreeCipher> cipher;
    std::array<uint8_t, 12> iv{};
    uint64_t sequence = 0;
    uint64_t under_key = 0;  // records
  };

  TlsRecords(uint16_t suite, bool sha384) : suite_(suite), sha384_(sha384) {}
  void set_key(Half& half, bool sealing);
  void next_key(Half& half, bool sealing);
  void encrypt(ByteView plain, uint8_t* to);
  void begin_record(size_t sealed, MutableBytes out);
  void end_record(uint8_t* tag);
  size_t seal_message(uint8_t type, ByteView message, MutableBytes out);
  bool decrypt(ByteView header, MutableBytes sealed, uint8_t* to);
  Opened alert_received(ByteView message, size_t used);
  Opened handshake_received(ByteView message, size_t used);

  const uint16_t suite_;
  const bool sha384_;
  Half read_, write_;
  bool owes_key_update_ = false;
  int idle_records_ = 0;
  std::array<uint8_t, 5> message_{};  // a key update that comes in pieces
  size_t message_size_ = 0;
};

}  // namespace archipel::io
