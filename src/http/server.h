// Server: HTTP/1.1 over io::Stream. The handler sees an Exchange; the server owns connections, limits, keep-alive, pipelining, draining.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/limits.h"
#include "http/message.h"
#include "io/stream.h"
#include "io/task.h"

namespace archipel::http {

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

  virtual bool responded() const = 0;
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
                                    Clock& clock = system_clock(), MakePage make_page = plain_page);

}  // namespace archipel::http
