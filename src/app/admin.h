// Admin: how a command speaks to the gateway that runs on the same DIR. HTTP/1.1 over DIR/admin.sock, a Unix socket that only the gateway's
// user can open (mode 0600); nothing else authenticates, and nothing secret is ever in a path.
//
// A route answers lines, usually one JSON object each, as they come about: long work shows its progress. The last line of work that failed is
// {"event":"failed","reason":"…"}; a stream that breaks off before its end is an error at the client.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"
#include "io/sync.h"

namespace archipel::app {

// DIR/admin.sock.
std::string admin_socket(const std::string& dir);

// What a handler answers with. On the home loop, for one request; the exchange outlives it.
class AdminReply {
 public:
  explicit AdminReply(http::Exchange& exchange) : exchange_(exchange) {}
  // The value of `name` in the query, percent-decoded; nothing if it is absent.
  std::optional<std::string> query(std::string_view name) const;
  // The request's body as a form: name=value pairs joined by '&', percent-encoded; what must not stand in a path. Errors: invalid, limit.
  io::Task<Result<std::map<std::string, std::string>>> form(size_t bytes_max);
  // Sends `text` and a line feed at once. Errors: the client went away; the handler then stops, or goes on without lines.
  io::Task<Result<void>> line(std::string text);
  // Answers with a status and one sentence. Only before the first line().
  io::Task<void> refuse(int status, std::string why);
  // Called after the handler: the stream is whole. Without a line before, the answer is 200 and empty.
  io::Task<void> finish();

 private:
  http::Exchange& exchange_;
  bool started_ = false, failed_ = false;
};

// The routes and their socket. Home loop only.
class Admin {
 public:
  // On the home loop, when a request for its method and path has come. May take as long as the work does; ends early when the client has
  // gone, if it looks at what line() says. What it refers to must outlive close().
  using Handler = std::function<io::Task<void>(AdminReply&)>;

  explicit Admin(io::Loop& home) : home_(home) {}

  // Before listen(). `method`: GET for what only looks, POST for what changes something. CHECK: each only once.
  void add(std::string method, std::string path, Handler handler);
  // `dir` is locked by this process. Errors: as io::listen_unix.
  Result<void> listen(const std::string& dir);
  // Stops listening and lets requests under way finish (30 s at most). Idempotent; must have finished before destruction (CHECK).
  io::Task<void> close();

 private:
  static io::Task<void> serve(Admin* self);
  static io::Task<void> handle(Admin* self, http::Exchange& exchange);

  io::Loop& home_;
  std::map<std::pair<std::string, std::string>, Handler> routes_;  // (path, method)
  std::unique_ptr<io::Listener> listener_;
  std::unique_ptr<http::Server> server_;
  io::TaskScope scope_;
};

// A command's side. Sends `method target` (values in the query percent-encoded: http::uri_encode) with `body` to the gateway on `dir` and calls `on_line` for every line of a 200 answer as it comes.
// Errors: not_found if no gateway listens there (the command may then work offline, under the lock); the sentence of the gateway's refusal,
// with a code of its status; io if the answer breaks off. Blocks; on no loop.
Result<void> ask_gateway(const std::string& dir, const std::string& method, const std::string& target,
                         const std::function<void(std::string_view line)>& on_line, std::string body = {});

}  // namespace archipel::app
