#include "app/admin.h"

#include <fmt/format.h>

#include "base/log.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/uri.h"
#include "io/unix_socket.h"

namespace archipel::app {
namespace {

constexpr int kConnectionsMax = 32;
constexpr size_t kHeadBytesMax = 16u << 10;  // of the gateway's answer
constexpr size_t kLineBytesMax = 1u << 20;
constexpr size_t kReadBytes = 16u << 10;
constexpr Duration kHeadTimeout = std::chrono::seconds(10);  // to send the request

Code code_of(int status) {
  if (status == 404) return Code::not_found;
  if (status == 409) return Code::exists;
  if (status == 503) return Code::unavailable;
  return status < 500 ? Code::invalid : Code::internal;
}

// The client's side of one exchange.
class Asking {
 public:
  Asking(std::string request, const std::function<void(std::string_view)>& on_line)
      : request_(std::move(request)), on_line_(on_line) {}

  io::Task<Result<void>> run(std::string path) {
    Result<void> outcome = co_await talk(std::move(path));
    stream_.reset();  // before its loop goes
    co_return outcome;
  }

 private:
  io::Task<Result<void>> talk(std::string path) {
    auto stream = io::connect_unix(*io::Loop::current(), path);
    if (!stream) co_return fail(std::move(stream).error());
    stream_ = std::move(*stream);
    const std::vector<ByteView> parts = {as_bytes(request_)};
    CO_RETURN_IF_ERROR(co_await stream_->write(parts, io::Loop::current()->now() + kHeadTimeout));
    CO_RETURN_IF_ERROR(co_await read_head());
    CO_RETURN_IF_ERROR(co_await read_body());
    if (status_ == 200) {
      if (!line_.empty()) on_line_(line_);
      co_return Result<void>{};
    }
    while (!line_.empty() && line_.back() == '\n') line_.pop_back();
    co_return fail(code_of(status_), line_);
  }

  static std::unexpected<Error> broken() {
    return fail(Code::io, "the gateway's answer broke off; see its log");
  }

  // More bytes behind what is in input_.
  io::Task<Result<void>> more() {
    Buffer bytes(kReadBytes);
    // Work may take as long as it takes; who asked can give up with Ctrl-C.
    Result<size_t> got = co_await stream_->read(bytes.span(), kNoDeadline);
    if (!got) co_return fail(got.error());
    if (*got == 0) co_return broken();
    input_ += as_text(bytes.view().first(*got));
    co_return Result<void>{};
  }

  io::Task<Result<void>> read_head() {
    size_t end = 0;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (input_.size() > kHeadBytesMax) co_return broken();
      CO_RETURN_IF_ERROR(co_await more());
    }
    const std::string_view head = std::string_view(input_).substr(0, end + 2);
    if (head.size() < 13 || !head.starts_with("HTTP/1.1 ")) co_return broken();
    status_ = std::atoi(std::string(head.substr(9, 3)).c_str());
    for (size_t at = head.find("\r\n") + 2; at < head.size();) {
      const size_t stop = head.find("\r\n", at);
      http::Headers field;
      if (http::parse_field(head.substr(at, stop - at), field)) co_return broken();
      if (const std::string* length = field.find("content-length"))
        body_ = http::BodyDecoder::fixed(std::strtoull(length->c_str(), nullptr, 10));
      if (field.find("transfer-encoding") != nullptr) body_ = http::BodyDecoder::chunked(limits_);
      at = stop + 2;
    }
    input_.erase(0, end + 4);
    co_return Result<void>{};
  }

  io::Task<Result<void>> read_body() {
    while (!body_.done()) {
      if (input_.empty()) CO_RETURN_IF_ERROR(co_await more());
      Buffer out(input_.size());
      auto step = body_.decode(as_bytes(input_), out.span());
      if (!step) co_return broken();
      input_.erase(0, step->consumed);
      line_ += as_text(out.view().first(step->produced));
      if (status_ == 200) give_lines();
      if (line_.size() > kLineBytesMax) co_return broken();
    }
    co_return Result<void>{};
  }

  void give_lines() {
    size_t begin = 0;
    for (size_t end = 0; (end = line_.find('\n', begin)) != std::string::npos; begin = end + 1)
      on_line_(std::string_view(line_).substr(begin, end - begin));
    line_.erase(0, begin);
  }

  const std::string request_;
  const std::function<void(std::string_view)>& on_line_;
  const http::Limits limits_;
  std::unique_ptr<io::Stream> stream_;
  std::string input_, line_;
  int status_ = 0;
  http::BodyDecoder body_ = http::BodyDecoder::fixed(0);
};

}  // namespace

std::string admin_socket(const std::string& dir) {
  return dir + "/admin.sock";
}

std::optional<std::string> AdminReply::query(std::string_view name) const {
  auto parameters = http::parse_query(exchange_.request().query());
  if (!parameters) return std::nullopt;
  for (http::QueryParam& parameter : *parameters)
    if (parameter.name == name) return std::move(parameter.value);
  return std::nullopt;
}

io::Task<Result<std::map<std::string, std::string>>> AdminReply::form(size_t bytes_max) {
  std::string text;
  for (;;) {
    Buffer piece(kReadBytes);
    Result<size_t> got = co_await exchange_.read_body(piece.span());
    if (!got) co_return fail(got.error());
    if (*got == 0) break;
    text += as_text(piece.view().first(*got));
    if (text.size() > bytes_max) co_return fail(Code::limit, "the request is too large");
  }
  auto pairs = http::parse_query(text);
  if (!pairs) co_return fail(Code::invalid, "the request is no form");
  std::map<std::string, std::string> out;
  for (http::QueryParam& pair : *pairs) out[pair.name] = std::move(pair.value);
  co_return out;
}

io::Task<Result<void>> AdminReply::line(std::string text) {
  if (failed_) co_return fail(Code::cancelled, "who asked has gone");
  text += '\n';
  Result<void> sent;
  if (!std::exchange(started_, true)) {
    http::Response response;
    response.headers.add("content-type", "application/x-ndjson");
    sent = co_await exchange_.start(std::move(response), std::nullopt);
  }
  if (sent) sent = co_await exchange_.write(as_bytes(text));
  if (!sent) failed_ = true;
  co_return sent;
}

io::Task<void> AdminReply::refuse(int status, std::string why) {
  CHECK(!started_);
  started_ = failed_ = true;  // there is nothing more to say
  http::Response response;
  response.status = status;
  response.headers.add("content-type", "text/plain; charset=utf-8");
  [[maybe_unused]] Result<void> sent = co_await exchange_.respond(std::move(response), why + "\n");
}

io::Task<void> AdminReply::finish() {
  if (failed_) co_return;
  Result<void> sent;
  if (started_)
    sent = co_await exchange_.finish();
  else
    sent = co_await exchange_.respond(http::Response{}, "");
  failed_ = !sent;
}

void Admin::add(std::string method, std::string path, Handler handler) {
  CHECK(!listener_);
  const bool fresh = routes_.try_emplace({std::move(path), std::move(method)}, std::move(handler)).second;
  CHECK(fresh);
}

Result<void> Admin::listen(const std::string& dir) {
  ASSIGN_OR_RETURN(listener_, io::listen_unix(home_, admin_socket(dir)));
  http::Limits limits;
  limits.connections_max = kConnectionsMax;
  server_ =
      http::make_server(home_, [this](http::Exchange& exchange) { return handle(this, exchange); }, limits);
  scope_.spawn(serve(this));
  return {};
}

io::Task<void> Admin::serve(Admin* self) {
  co_await self->server_->serve(*self->listener_);
}

io::Task<void> Admin::close() {
  if (server_) server_->drain();
  co_await scope_.join();
}

io::Task<void> Admin::handle(Admin* self, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  AdminReply reply(exchange);
  auto route = self->routes_.find({std::string(request.path()), request.method});
  if (route == self->routes_.end()) {
    co_await reply.refuse(
        404, fmt::format("this gateway has no '{} {}'; is it of another version than the command?",
                         request.method, request.path()));
    co_return;
  }
  if (request.method != "GET")
    log::info("admin.request", {{"method", request.method}, {"path", request.path()}});
  co_await route->second(reply);
  co_await reply.finish();
}

Result<void> ask_gateway(const std::string& dir, const std::string& method, const std::string& target,
                         const std::function<void(std::string_view line)>& on_line, std::string body) {
  Asking asking(
      fmt::format("{} {} HTTP/1.1\r\nhost: archipel\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
                  method, target, body.size(), body),
      on_line);
  return io::run_blocking([&] { return asking.run(admin_socket(dir)); });
}

}  // namespace archipel::app
