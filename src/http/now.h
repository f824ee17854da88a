// Answers that wait for nothing: what is at hand, and fits into the connection's buffer, needs neither a handler's coroutine nor one of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "http/server.h"

namespace archipel::http {

// An exchange that can do so: those of HTTP/1.1 and HTTP/2.
class NowExchange : public Exchange {
 public:
  enum class Now : uint8_t { no, whole, begun };
  // respond_stored(), as far as it goes without waiting. The caller vouches for `stored.extra` and `stored.date`: nothing in them needs another look before it goes
  // on the wire, and no field of `extra` is date or frames the message. no: nothing has happened, answer in another way (what is not usual is not for here).
  // whole: that was it. begun: finish_stored() sends the rest; until it has finished stored.h1_head and `body` must live.
  virtual Now respond_stored_now(const StoredResponse& stored, ByteView body) = 0;
  virtual io::Task<Result<void>> finish_stored() = 0;
};

// Asked before the handler is called, about requests without a body. False: it has done nothing. True: it answers; if there is something to be waited for, that
// is in `rest`, which is awaited like the handler's task.
using AnswerNow = std::function<bool(NowExchange& exchange, std::optional<io::Task<void>>& rest)>;
// On the server's loop, or before it runs; before serve().
void answer_now_with(Server& server, AnswerNow answer);

}  // namespace archipel::http
