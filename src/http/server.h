// Server: HTTP/1.1 and HTTP/2 over io::Stream. The handler sees an Exchange; the server owns connections, limits, keep-alive, pipelining, draining.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/limits.h"
#include "http/message.h"
#include "io/stream.h"
#include "io/task.h"

namespace archipel::http {

// A response that was made before and is kept by its owner. What it points to must live until the task that sends it has finished.
struct StoredResponse {
  int status = 200;
  const Headers* headers =
      nullptr;  // without date; connection, content-length and transfer-encoding in it are ignored
  std::string_view
      h1_head;  // status line and `headers` as write_stored_head() made them once; empty: made now
  std::span<const FieldView> extra;  // further fields, of this answer alone: age, cache-status
  std::string_view date;             // empty: now
  // The content-length. nullopt: that of the body, or none if there is no body to be sent (HEAD, 304).
  std::optional<uint64_t> length;
  // Status and `headers` as write_stored_h2_head() made them once; empty: made now.
  std::string_view h2_head = {};
  // How many bytes at the end of h2_head are `date` and `length` as write_stored_h2_own() made them once; 0: made now.
  size_t h2_own = 0;
};

// One request and its response. Lives on one loop until the handler's task finishes.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;

  // Length of the request body if known; 0 without one; nullopt for chunked.
  virtual std::optional<uint64_t> body_length() const = 0;
  // Next bytes of the decoded (de-chunked) body; 0 at its end. The first call answers `Expect: 100-continue` with the interim response: a handler
  // authenticates before it reads. Errors: invalid (bad chunk), timeout, io (client went away), limit.
  virtual io::Task<Result<size_t>> read_body(MutableBytes out) = 0;

  // Exactly one of:
  //  respond(): head and whole body at once. For HEAD and 204/304 the body is not sent; content-length is body.size() unless the handler
  //  set content-length itself (HEAD).
  virtual io::Task<Result<void>> respond(Response response, std::string body) = 0;
  //  start() with the body's exact length (or nullopt: chunked), then write() until it is complete, then finish(). If the
  //  handler returns before it is complete, the connection is reset: a short body never looks whole.
  virtual io::Task<Result<void>> start(Response response, std::optional<uint64_t> length) = 0;
  virtual io::Task<Result<void>> write(ByteView bytes) = 0;
  virtual io::Task<Result<void>> finish() = 0;
  //  respond_stored(): the same as respond() for a stored response; its head and the parts of its body leave in one write, uncopied.
  //  start_stored() is start() for one. No length: chunked.
  //  (The defaults go through respond() and start(), for exchanges of tests.)
  virtual io::Task<Result<void>> respond_stored(const StoredResponse& stored, std::span<const ByteView> body);
  virtual io::Task<Result<void>> start_stored(const StoredResponse& stored);
  //  upgrade(): 101 with `headers` (without connection; `upgrade` names the protocol), then the connection's bytes, those that came behind the request
  //  included. The stream must be destroyed before the handler's task finishes; drain() ends it with the requests. invalid, with nothing sent: the request
  //  did not ask for an upgrade, or has a body. unsupported: not in this version of HTTP.
  virtual io::Task<Result<std::unique_ptr<io::Stream>>> upgrade(Headers headers);

  // Before the response: an interim one, such as 103 (102 to 199). Sent at once; dropped for a client that does not know them (1.0).
  virtual io::Task<Result<void>> interim(int status, Headers headers);

  virtual bool responded() const = 0;

  // Ends the connection (of HTTP/2: the stream) now: what waits for the client fails. For one that is too slow to be waited for. The handler still finishes.
  virtual void end_now() {}
};

// Called once per request, on the connection's loop. A handler that returns without responding makes the server answer 500 (or, if the body was
// malformed, the status that belongs to it). A response with `connection: close` among its headers is the last one on its connection.
using Handler = std::function<io::Task<void>(Exchange&)>;

// The page of a request that is answered without its handler: refused by the codec (see refusal.h), or left unanswered. `why` is a sentence
// for a person. Called on any loop that serves.
struct Page {
  Response response;
  std::string body;
};
using MakePage = std::function<Page(int status, std::string_view why)>;
Page plain_page(int status, std::string_view why);

// How many connections may be open at a time: of one server, or of several that share it, on as many loops. Any thread; asked when a connection
// begins and when it ends, never in between.
class Places {
 public:
  explicit Places(int max) : max_(max) {}
  bool take() {
    if (taken_.fetch_add(1, std::memory_order_relaxed) < max_) return true;
    give();
    return false;
  }
  void give() { taken_.fetch_sub(1, std::memory_order_relaxed); }
  int taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  const int max_;
  std::atomic<int> taken_{0};
};

struct ServerOptions {
  bool h2 =
      false;  // HTTP/2 over TLS, where the listener offers it (TlsListenerOptions) and the client chooses it
  bool h2_in_clear = false;  // HTTP/2 without TLS, for clients that begin with it (RFC 9113 §3.3)
  bool forward_date =
      false;  // a `date` among a response's headers is kept, as a proxy must (RFC 9110 §6.6.1); else it is ignored
  // Shared with other servers; null: limits.connections_max of its own.
  std::shared_ptr<Places> places = nullptr;
};

class Server {
 public:
  virtual ~Server() = default;
  // Accepts on `listener`'s loop until drain() or the listener fails. Call once per loop.
  virtual io::Task<void> serve(io::Listener& listener) = 0;
  // Stops accepting, closes idle connections, lets requests finish until drain_timeout, then closes. Any thread; serve() then returns.
  virtual void drain() = 0;
};
// One Server per loop. What `handler` refers to must outlive it; so must `clock`, which gives the Date header. Destroy the server after serve()
// has returned.
std::unique_ptr<Server> make_server(io::Loop& loop, Handler handler, Limits limits = {},
                                    Clock& clock = system_clock(), MakePage make_page = plain_page,
                                    ServerOptions options = {});

}  // namespace archipel::http
