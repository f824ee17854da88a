// Upstream: where a site's responses come from: a pool of origins (balance.h), another edge, or a gateway in this process. One interface, so that
// the cache does not care.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "io/stream.h"
#include "io/sync.h"
#include "io/task.h"

namespace archipel::edge {

// The body of a request on its way to the origin.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual std::optional<uint64_t> length() const = 0;  // nullopt: not known
  virtual io::Task<Result<size_t>> read(MutableBytes out) = 0;
  // An origin may answer before it has read everything: the body is sent beside the response, by a task in here. The owner of the source joins it
  // when it is done with the Fetch, or with its error; it ends soon after those, or with the read() that is under way.
  io::TaskScope sending;
};

// Takes interim responses (103) as they come.
class InterimSink {
 public:
  virtual ~InterimSink() = default;
  virtual io::Task<void> interim(int status, const http::Headers& headers) = 0;
};

struct FetchRequest {
  std::string method, target;      // origin form
  http::Headers headers;           // end-to-end, host included; hop-by-hop fields were removed
  BodySource* body = nullptr;      // null: none. A request whose body was begun is never sent twice
  InterimSink* interim = nullptr;  // null: they are dropped
  bool expects_continue = false;   // the client waits for a 100 before it sends the body (RFC 9110 §10.1.1)
  std::string upgrade;             // not empty: a request to switch to this protocol
  std::string hash_key;            // what consistent hashing goes by: the cache key
};

// A response under way. Destroying it before its end gives the connection up.
class Fetch {
 public:
  virtual ~Fetch() = default;
  virtual int status() const = 0;
  virtual const http::Headers& headers() const = 0;             // hop-by-hop fields removed
  virtual std::optional<uint64_t> length() const = 0;           // of the body, if it is known
  virtual UnixMs requested() const = 0;                         // when the request began to be sent
  virtual UnixMs received() const = 0;                          // when the head was complete
  virtual io::Task<Result<size_t>> read(MutableBytes out) = 0;  // 0 at the end; a body cut short is an error
  virtual std::unique_ptr<io::Stream> take_stream() = 0;        // after 101
  virtual std::string_view origin() const = 0;                  // which one answered, for logs
  // All of it was read, and who sent it is free: known without waiting, even before read() returns 0.
  virtual bool over() const { return false; }
  // How long the response may be kept at most: what another edge owns is borrowed. Zero: it is not stored. nullopt: as it says itself.
  virtual std::optional<Duration> keep_max() const { return std::nullopt; }
};

// Another's response with one field set: what passes it on has something to say of it.
class MarkedFetch : public Fetch {
 public:
  MarkedFetch(std::unique_ptr<Fetch> inner, std::string_view name, std::string value)
      : inner_(std::move(inner)), headers_(inner_->headers()) {
    headers_.set(name, std::move(value));
  }
  int status() const override { return inner_->status(); }
  const http::Headers& headers() const override { return headers_; }
  std::optional<uint64_t> length() const override { return inner_->length(); }
  UnixMs requested() const override { return inner_->requested(); }
  UnixMs received() const override { return inner_->received(); }
  io::Task<Result<size_t>> read(MutableBytes out) override { return inner_->read(out); }
  std::unique_ptr<io::Stream> take_stream() override { return inner_->take_stream(); }
  std::string_view origin() const override { return inner_->origin(); }
  bool over() const override { return inner_->over(); }
  std::optional<Duration> keep_max() const override { return inner_->keep_max(); }

 private:
  const std::unique_ptr<Fetch> inner_;
  http::Headers headers_;
};

class Upstream {
 public:
  virtual ~Upstream() = default;
  // The final response, whatever its status. On the calling loop. Errors: unavailable (nobody to ask: all down, or their circuits open; 503), timeout (504), io and
  // invalid (no or a broken response; 502), limit, cancelled. Retries and hedges are inside.
  virtual io::Task<Result<std::unique_ptr<Fetch>>> fetch(FetchRequest request, Deadline deadline) = 0;
};

}  // namespace archipel::edge
