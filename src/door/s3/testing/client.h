// A small S3 client for tests: builds requests, signs them, and hands them to a Door over FakeStore.
//
// It signs with its own code, written from the specification apart from sigv4.cc (known answers check that file), and shares only the
// hash functions and percent-encoding.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "crypto/checksum.h"
#include "crypto/hash.h"
#include "door/s3/door.h"
#include "door/s3/testing/fake_exchange.h"
#include "door/s3/testing/fake_store.h"
#include "http/date.h"
#include "http/uri.h"

namespace archipel::door::s3::testing {

class FixedClock final : public Clock {
 public:
  UnixMs ms = 1'700'000'000'000;  // 2023-11-14T22:13:20Z
  TimePoint now() override { return TimePoint(std::chrono::milliseconds(ms)); }
  UnixMs unix_ms() override { return ms; }
};

struct Signer {
  std::string access_key = "AKTEST", secret_key = "secret/with+chars", region = "archipel-1";
  std::string timestamp = "20231114T221320Z";

  std::string scope() const { return timestamp.substr(0, 8) + '/' + region + "/s3/aws4_request"; }
  static std::string mac(std::string_view key, std::string_view data) {
    auto d = crypto::hmac_sha256(as_bytes(key), as_bytes(data));
    return {reinterpret_cast<const char*>(d.data()), d.size()};
  }
  std::string key() const {
    return mac(mac(mac(mac("AWS4" + secret_key, timestamp.substr(0, 8)), region), "s3"), "aws4_request");
  }
  static std::string digest(std::string_view text) { return hex(crypto::sha256(as_bytes(text))); }

  // Signs every header present. Adds x-amz-date and authorization; returns the signature. x-amz-content-sha256 must be there already.
  std::string sign(http::Request& request) const {
    if (request.headers.find("x-amz-date") == nullptr) request.headers.add("x-amz-date", timestamp);
    std::map<std::string, std::string> headers;
    for (const auto& [n, v] : request.headers) {
      auto [it, fresh] = headers.emplace(n, v);
      if (!fresh) it->second += ',' + v;
    }
    std::string lines, names;
    for (const auto& [n, v] : headers) {
      lines += n + ':' + v + '\n';
      names += (names.empty() ? "" : ";") + n;
    }
    // Whatever the spelling on the wire, every byte is signed in its canonical form.
    auto canonical_piece = [](std::string_view text, http::Slash slash) {
      return http::uri_encode(*http::percent_decode(text), slash);
    };
    std::vector<std::string> query;
    std::string_view rest = request.query();
    while (!rest.empty()) {
      size_t amp = rest.find('&');
      std::string_view piece = rest.substr(0, amp);
      size_t equals = piece.find('=');
      std::string_view value =
          equals == std::string_view::npos ? std::string_view{} : piece.substr(equals + 1);
      query.push_back(canonical_piece(piece.substr(0, equals), http::Slash::encode) + '=' +
                      canonical_piece(value, http::Slash::encode));
      rest = amp == std::string_view::npos ? std::string_view{} : rest.substr(amp + 1);
    }
    std::ranges::sort(query);
    std::string joined;
    for (const std::string& q : query) joined += (joined.empty() ? "" : "&") + q;
    std::string canonical = request.method + '\n' + canonical_piece(request.path(), http::Slash::keep) +
                            '\n' + joined + '\n' + lines + '\n' + names + '\n' +
                            std::string(request.headers.get("x-amz-content-sha256"));
    std::string to_sign = "AWS4-HMAC-SHA256\n" + timestamp + '\n' + scope() + '\n' + digest(canonical);
    std::string signature = hex(as_bytes(mac(key(), to_sign)));
    request.headers.add("authorization", "AWS4-HMAC-SHA256 Credential=" + access_key + '/' + scope() +
                                             ", SignedHeaders=" + names + ", Signature=" + signature);
    return signature;
  }

  // aws-chunked with signatures; `trailer` like "x-amz-checksum-crc32:AAAAAA==" (signed too), or empty for the plain form.
  std::string signed_chunks(std::string_view body, size_t chunk_bytes, std::string seed,
                            std::string trailer = {}) const {
    std::string out, previous = std::move(seed);
    while (true) {
      std::string_view chunk = body.substr(0, chunk_bytes);
      body.remove_prefix(chunk.size());
      std::string to_sign = "AWS4-HMAC-SHA256-PAYLOAD\n" + timestamp + '\n' + scope() + '\n' + previous +
                            '\n' + digest("") + '\n' + digest(chunk);
      previous = hex(as_bytes(mac(key(), to_sign)));
      char size[20];
      std::snprintf(size, sizeof size, "%zx", chunk.size());
      out += std::string(size) + ";chunk-signature=" + previous + "\r\n";
      if (chunk.empty()) break;
      out += std::string(chunk) + "\r\n";
    }
    if (!trailer.empty()) {
      std::string to_sign = "AWS4-HMAC-SHA256-TRAILER\n" + timestamp + '\n' + scope() + '\n' + previous +
                            '\n' + digest(trailer + '\n');
      out += trailer + "\r\nx-amz-trailer-signature:" + hex(as_bytes(mac(key(), to_sign))) + "\r\n";
    }
    return out + "\r\n";
  }
  static std::string unsigned_chunks(std::string_view body, size_t chunk_bytes,
                                     std::string_view trailer = {}) {
    std::string out;
    while (!body.empty()) {
      std::string_view chunk = body.substr(0, chunk_bytes);
      body.remove_prefix(chunk.size());
      char size[20];
      std::snprintf(size, sizeof size, "%zx\r\n", chunk.size());
      out += size + std::string(chunk) + "\r\n";
    }
    out += "0\r\n";
    if (!trailer.empty()) out += std::string(trailer) + "\r\n";
    return out + "\r\n";
  }
};

inline std::string crc32_base64(std::string_view text) {
  crypto::Crc32 crc;
  crc.update(as_bytes(text));
  std::string raw;
  Writer(raw).u32(crc.value());
  return base64(as_bytes(raw));
}
inline std::string md5_base64(std::string_view text) {
  crypto::Md5 md5;
  md5.update(as_bytes(text));
  return base64(md5.finish());
}

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct Answer {
  int status = 0;
  http::Headers headers;
  std::string body;
  bool finished = false, body_read = false;
  std::optional<uint64_t> announced;
  // Text between the first <name> and </name> of the body.
  std::string element(std::string_view name) const {
    std::string open = '<' + std::string(name) + '>', close = "</" + std::string(name) + '>';
    size_t from = body.find(open);
    if (from == std::string::npos) return {};
    from += open.size();
    return body.substr(from, body.find(close, from) - from);
  }
  std::vector<std::string> elements(std::string_view name) const {
    std::vector<std::string> out;
    std::string open = '<' + std::string(name) + '>', close = "</" + std::string(name) + '>';
    for (size_t at = body.find(open); at != std::string::npos; at = body.find(open, at)) {
      at += open.size();
      out.push_back(body.substr(at, body.find(close, at) - at));
    }
    return out;
  }
  std::string code() const { return element("Code"); }
};

// A door over a FakeStore with two accounts ("AKTEST" owns what the tests make, "AKOTHER" is somebody else).
class World {
 public:
  FixedClock clock;
  FakeStore store;
  Signer signer;
  std::unique_ptr<Random> random = seeded_random(1);
  io::Workers* workers = nullptr;
  std::optional<Door> door_;

  World() {
    add_account("AKTEST", signer.secret_key, std::string(64, 'a'));
    add_account("AKOTHER", "other", std::string(64, 'b'));
  }
  Door& door() {
    if (!door_) door_.emplace(Options{}, store, clock, workers, *random);
    return *door_;
  }
  Signer other() const { return Signer{.access_key = "AKOTHER", .secret_key = "other"}; }

  static http::Request request(std::string method, std::string target, const HeaderList& headers = {}) {
    http::Request r;
    r.method = std::move(method);
    r.target = std::move(target);
    r.headers.add("host", "127.0.0.1:9000");
    for (const auto& [n, v] : headers) r.headers.set(n, v);
    return r;
  }
  // Runs an exchange whose tasks never leave this thread.
  Answer run(FakeExchange& exchange) {
    auto task = door().handle(exchange);
    CHECK(task.done());
    return {exchange.status(), exchange.out.headers, exchange.sent,
            exchange.finished, exchange.body_read,   exchange.announced};
  }
  // A request signed over its body's hash, unless x-amz-content-sha256 is given.
  Answer send(std::string method, std::string target, HeaderList headers = {}, std::string body = {}) {
    return send_as(signer, std::move(method), std::move(target), std::move(headers), std::move(body));
  }
  Answer send_as(const Signer& who, std::string method, std::string target, HeaderList headers = {},
                 std::string body = {}) {
    FakeExchange exchange;
    exchange.in = request(std::move(method), std::move(target), headers);
    if (exchange.in.headers.find("x-amz-content-sha256") == nullptr)
      exchange.in.headers.add("x-amz-content-sha256", Signer::digest(body));
    if (!body.empty() || exchange.in.method == "PUT")
      exchange.in.headers.set("content-length", std::to_string(body.size()));
    who.sign(exchange.in);
    exchange.body = std::move(body);
    return run(exchange);
  }
  // A request that nobody signed.
  Answer send_anonymous(std::string method, std::string target, HeaderList headers = {},
                        std::string body = {}) {
    FakeExchange exchange;
    exchange.in = request(std::move(method), std::move(target), headers);
    exchange.in.peer = "192.0.2.7:50000";
    if (!body.empty() || exchange.in.method == "PUT")
      exchange.in.headers.set("content-length", std::to_string(body.size()));
    exchange.body = std::move(body);
    return run(exchange);
  }
  void make_bucket(const std::string& name = "bucket") {
    store.buckets[name].info = {name, std::string(64, 'a'), clock.ms};
  }
  bool has(const std::string& key, const std::string& bucket = "bucket") {
    return store.buckets.at(bucket).objects.contains(key);
  }
  std::string bytes(const std::string& key, const std::string& bucket = "bucket") {
    return store.buckets.at(bucket).objects.at(key).bytes;
  }

 private:
  void add_account(std::string key, std::string secret, std::string id) {
    store::Account account{std::move(id), "name of " + key, key, std::move(secret)};
    store.accounts[key] = std::make_shared<const store::Account>(std::move(account));
  }
};

}  // namespace archipel::door::s3::testing
