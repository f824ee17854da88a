#include "door/s3/slow_answer.h"

#include "door/s3/errors.h"
#include "door/s3/xml.h"
#include "io/sync.h"

namespace archipel::door::s3 {

namespace {

struct Work {
  io::Event ended;
  std::optional<Result<SlowAnswer>> outcome;
};

io::Task<void> run(io::Task<Result<SlowAnswer>> task, Work& work) {
  work.outcome = co_await std::move(task);
  work.ended.notify_all();
}

// What the body says of the outcome, after its first line.
std::string rest_of(Call& call, const Result<SlowAnswer>& outcome) {
  if (outcome) {
    CHECK(outcome->document.starts_with(kXmlDeclaration));
    return outcome->document.substr(kXmlDeclaration.size());
  }
  call.error_code = s3_error_of(outcome.error()).code;
  return error_document(call, outcome.error()).substr(kXmlDeclaration.size());
}

// The answer has begun: blanks until the work has ended, and what came of it.
io::Task<Result<void>> keep_alive(Call& call, Work& work) {
  http::Response response = make_response(call, 200);
  response.headers.add("content-type", "application/xml");
  Result<void> good = co_await call.exchange.start(std::move(response), std::nullopt);
  if (good) good = co_await call.exchange.write(as_bytes(kXmlDeclaration));
  while (!work.outcome) {
    bool ended = co_await work.ended.wait(io::Loop::current()->now() + kSilence);
    if (!ended && good) good = co_await call.exchange.write(as_bytes(std::string_view(" ")));
  }
  if (!good) co_return good;
  std::string rest = rest_of(call, *work.outcome);
  good = co_await call.exchange.write(as_bytes(rest));
  if (!good) co_return good;
  call.bytes_out += kXmlDeclaration.size() + rest.size();
  good = co_await call.exchange.finish();
  co_return good;
}

io::Task<Result<void>> answer(Call& call, Work& work) {
  TimePoint patience = TimePoint::max();
  if (io::Loop* loop = io::Loop::current()) patience = loop->now() + kSilence;
  bool in_time = true;
  while (!work.outcome && in_time) in_time = co_await work.ended.wait(patience);
  if (!work.outcome) {
    auto kept = co_await keep_alive(call, work);
    co_return kept;
  }
  if (!*work.outcome) co_return fail(work.outcome->error());
  http::Response response = make_response(call, 200);
  response.headers.add("content-type", "application/xml");
  for (const auto& [name, value] : (*work.outcome)->headers) response.headers.add(name, value);
  auto sent = co_await reply(call, std::move(response), std::move((*work.outcome)->document));
  co_return sent;
}

}  // namespace

io::Task<Result<void>> reply_when_done(Call& call, io::Task<Result<SlowAnswer>> task) {
  Work work;
  io::TaskScope scope;
  scope.spawn(run(std::move(task), work));
  Result<void> answered = co_await answer(call, work);
  co_await scope.join();
  co_return answered;
}

}  // namespace archipel::door::s3
