// Client: one HTTP/1.1 connection to a server, seen from our side (RFC 9112). The codec is as strict with servers as with clients: what two
// parsers might read differently ends the connection.
//
// One request at a time: send(), the body if there is one, receive_head() until it is not interim, read_body() to its end. Then reusable() says
// whether the connection may carry another. Lives on one loop. Every operation has a deadline; after an error only destruction is left.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/limits.h"
#include "http/message.h"
#include "io/stream.h"
#include "io/task.h"

namespace archipel::http {

struct ResponseHead {
  int status = 0;
  int minor_version = 1;
  Headers headers;  // all of them as received but for the framing (transfer-encoding), trailers not included
  std::optional<uint64_t>
      content_length;  // of the body that follows; nullopt: chunked, or until the end of the connection
  bool interim() const { return status >= 100 && status < 200 && status != 101; }
};

struct ClientRequest {
  std::string_view method, target;  // origin form
  const Headers* headers =
      nullptr;  // with host; without connection, content-length and transfer-encoding, which are the client's
  std::optional<uint64_t> body_length = 0;  // nullopt: chunked
  std::string_view upgrade;                 // not empty: "Connection: upgrade" and this protocol
};

class Client {
 public:
  virtual ~Client() = default;

  virtual io::Task<Result<void>> send(const ClientRequest& request, Deadline deadline) = 0;
  // Body bytes as announced, then finish(). A server may answer early. Who writes first and reads then notices by `io`, and may still read the
  // response. Or both at once: one task in write() or finish(), another in receive_head() or read_body(), which then begins before the first write
  // waits; the reader sees what came early, and decides whether the rest is still to be sent.
  virtual io::Task<Result<void>> write(ByteView bytes, Deadline deadline) = 0;
  virtual io::Task<Result<void>> finish(Deadline deadline) = 0;

  // The next head: any number of interim ones (at most kInterimMax), then the final one. Errors: invalid (malformed; the message says what), io
  // (with detail "unused" if the server closed a kept connection before a byte of a response: the request may be sent again on another), timeout (may be called again, with a later deadline), limit.
  virtual io::Task<Result<ResponseHead>> receive_head(Deadline deadline) = 0;
  // Decoded body bytes; 0 at its end. A body cut short is `io`, never an end.
  virtual io::Task<Result<size_t>> read_body(MutableBytes out, Deadline deadline) = 0;
  virtual const Headers& trailers() const = 0;  // after the end

  // The response was read whole: known without waiting, even before read_body() returns 0.
  virtual bool over() const = 0;
  // The response was read whole, and both sides keep the connection.
  virtual bool reusable() const = 0;
  // The server has not closed it, nor said anything unasked, while it was kept.
  virtual bool still_open() = 0;
  // After 101: the bytes from here on, those already read included.
  virtual std::unique_ptr<io::Stream> take_stream() = 0;
};

inline constexpr int kInterimMax = 16;  // interim responses before a final one

std::unique_ptr<Client> make_client(io::Loop& loop, std::unique_ptr<io::Stream> stream, const Limits& limits);

}  // namespace archipel::http
