#include "edge/origins.h"

#include <algorithm>
#include <deque>

#include "edge/hop.h"
#include "io/sync.h"

namespace archipel::edge {
namespace {

constexpr size_t kBodyChunkBytes = 64u << 10;
// How long an origin has to say 100 to a request that asks for it; then the body is sent unasked (RFC 9110 §10.1.1).
constexpr Duration kContinueWait = std::chrono::seconds(1);
constexpr Duration kHeadPatienceMax = std::chrono::hours(24);

struct Connection {
  std::unique_ptr<http::Client> client;
  io::Stream* stream = nullptr;  // the client's
};
struct Kept {
  Connection connection;
  TimePoint since;
};

// What a pool and its fetches share; one loop.
struct State : std::enable_shared_from_this<State> {
  State(io::Loop& l, OriginAddress o, OriginPolicy p, Connector& c, Clock& k, std::shared_ptr<OriginStats> s)
      : loop(l), origin(std::move(o)), policy(std::move(p)), connector(c), clock(k), stats(std::move(s)) {}

  io::Loop& loop;
  const OriginAddress origin;
  const OriginPolicy policy;
  Connector& connector;
  Clock& clock;
  const std::shared_ptr<OriginStats> stats;
  std::deque<Kept> idle;  // oldest first
  int open = 0;           // idle ones included
  bool closed = false;
  bool sweeping = false;
  io::Event freed;

  void drop_front() {
    idle.pop_front();
    stats->idle.fetch_sub(1, std::memory_order_relaxed);
    --open;
  }
  void close_idle() {
    while (!idle.empty()) drop_front();
    freed.notify_all();
  }
  void sweep() {
    const TimePoint now = loop.now();
    while (!idle.empty() && idle.front().since + policy.idle_timeout <= now) drop_front();
    freed.notify_all();
    arm();
  }
  void arm() {
    if (sweeping || idle.empty()) return;
    sweeping = true;
    loop.run_at(idle.front().since + policy.idle_timeout, [weak = weak_from_this()] {
      if (auto self = weak.lock()) {
        self->sweeping = false;
        self->sweep();
      }
    });
  }
  // A connection whose response was read whole comes back.
  void give(Connection connection) {
    if (closed || static_cast<int>(idle.size()) >= policy.idle_max || !connection.client->reusable()) {
      connection.client.reset();
      --open;
    } else {
      idle.push_back({std::move(connection), loop.now()});
      stats->idle.fetch_add(1, std::memory_order_relaxed);
      arm();
    }
    freed.notify_all();
  }
  void lost() {
    --open;
    freed.notify_all();
  }
  // The one used last: the others may then grow old and go.
  std::optional<Connection> take() {
    while (!idle.empty()) {
      Kept kept = std::move(idle.back());
      idle.pop_back();
      stats->idle.fetch_sub(1, std::memory_order_relaxed);
      if (kept.since + policy.idle_timeout > loop.now() && kept.connection.client->still_open())
        return std::move(kept.connection);
      --open;
    }
    return std::nullopt;
  }
};

// A request's body on its way, beside the response. The task that sends it holds this.
struct Upload {
  Upload(State& s, BodySource& b) : loop(s.loop), timeout(s.policy.response_timeout), source(b) {}

  io::Loop& loop;
  const Duration timeout;
  BodySource& source;  // outlives the task: its owner joins it
  std::unique_ptr<http::Client> client;
  io::Stream* stream = nullptr;
  bool wanted = true;  // false: not before the origin has said 100, or kContinueWait is over
  bool begun = false;  // bytes of it were asked of the client: it can't be sent a second time
  bool stopped = false, over = false;
  TimePoint moved{};  // when it moved last
  std::optional<Error>
      error;  // what ended it: the client's fault (detail "client"), or the origin took nothing any more
  io::Event changed;

  void go() {
    wanted = true;
    changed.notify_all();
  }
  // No more than what is being written.
  void stop() {
    stopped = true;
    changed.notify_all();
  }
  // Not even that. The client object stays until the task has noticed.
  void abandon() {
    stop();
    if (!over && stream != nullptr) stream->close(true);
  }
};
using UploadRef = std::shared_ptr<Upload>;

io::Task<Result<void>> send_body(Upload& upload) {
  while (!upload.wanted && !upload.stopped) {
    const bool told = co_await upload.changed.wait(upload.moved + kContinueWait);
    if (!told) upload.wanted = true;
  }
  Buffer buffer;
  while (!upload.stopped) {
    if (buffer.size() == 0) buffer = Buffer(kBodyChunkBytes);
    upload.begun = true;
    auto got = co_await upload.source.read(buffer.span());
    if (!got) co_return fail(Error{Code::cancelled, got.error().message, "client"});
    if (*got == 0 || upload.stopped) break;
    auto written =
        co_await upload.client->write(buffer.view().first(*got), upload.loop.now() + upload.timeout);
    if (!written) co_return written;
    upload.moved = upload.loop.now();
  }
  if (upload.stopped) co_return {};
  auto finished = co_await upload.client->finish(upload.loop.now() + upload.timeout);
  co_return finished;
}

io::Task<void> run_upload(UploadRef upload) {
  auto sent = co_await send_body(*upload);
  upload->over = true;
  upload->moved = upload->loop.now();
  if (!sent) upload->error = sent.error();
  // A client that does not send what it announced, or an origin that takes nothing: there is no response to wait for. (An origin that has ended its
  // side may have said why.)
  if (!sent && (sent.error().detail == "client" || sent.error().code == Code::timeout) && !upload->stopped)
    upload->stream->close(true);
  upload->changed.notify_all();
}

class OriginFetch final : public Fetch {
 public:
  OriginFetch(std::shared_ptr<State> state, Connection connection, UploadRef upload, http::ResponseHead head,
              UnixMs requested, Deadline whole)
      : state_(std::move(state)),
        stream_(connection.stream),
        client_(std::move(connection.client)),
        upload_(std::move(upload)),
        whole_(whole),
        status_(head.status),
        headers_(without_hop_fields(head.headers, head.status == 101)),
        length_(head.content_length),
        requested_(requested),
        received_(state_->clock.unix_ms()) {
    state_->stats->active.fetch_add(1, std::memory_order_relaxed);
  }
  ~OriginFetch() override {
    state_->stats->active.fetch_sub(1, std::memory_order_relaxed);
    if (counted_) leave();
  }
  int status() const override { return status_; }
  const http::Headers& headers() const override { return headers_; }
  std::optional<uint64_t> length() const override { return length_; }
  UnixMs requested() const override { return requested_; }
  UnixMs received() const override { return received_; }
  std::string_view origin() const override { return state_->origin.url; }
  bool over() const override { return !counted_; }
  io::Task<Result<size_t>> read(MutableBytes out) override {
    http::Client* client = this->client();
    if (client == nullptr) co_return size_t{0};
    auto got = co_await client->read_body(
        out, std::min(whole_, state_->loop.now() + state_->policy.response_timeout));
    // Not when its reader comes for more: slow readers must not hold origins that have said all.
    if (got && client->over()) leave();
    co_return got;
  }
  // The stream counts as a connection for as long as this object lives.
  std::unique_ptr<io::Stream> take_stream() override {
    http::Client* client = this->client();
    if (client == nullptr) return nullptr;
    return client->take_stream();
  }

 private:
  http::Client* client() const {
    if (!counted_) return nullptr;
    return upload_ == nullptr ? client_.get() : upload_->client.get();
  }
  // The connection goes back, or is closed.
  void leave() {
    counted_ = false;
    if (upload_ != nullptr) {
      if (upload_->over)
        client_ = std::move(upload_->client);
      else
        upload_->abandon();
    }
    if (client_ != nullptr && client_->reusable())
      state_->give({std::move(client_), stream_});
    else
      state_->lost();
    client_.reset();
  }

  std::shared_ptr<State> state_;
  io::Stream* const stream_;
  std::unique_ptr<http::Client> client_;  // null: it is upload_'s
  const UploadRef upload_;                // null: there was no body
  const Deadline whole_;                  // when the body has to be there
  bool counted_ = true;
  const int status_;
  const http::Headers headers_;
  const std::optional<uint64_t> length_;
  const UnixMs requested_, received_;
};

Error broken(const State& state, const Error& error) {
  return {error.code, "origin " + state.origin.url + ": " + error.message, error.detail};
}

// The time for the head runs from when the whole request was sent: a client may take its time for the body.
TimePoint head_deadline(const Upload& upload, Duration patience, const Attempt& attempt) {
  const TimePoint from = upload.over ? upload.moved : upload.loop.now();
  return std::min(attempt.whole, from + patience);
}

// `upload`: null without a body. Its task is started here.
io::Task<Result<http::ResponseHead>> exchange(State& state, http::Client& client, UploadRef upload,
                                              const FetchRequest& request, Deadline deadline,
                                              Attempt& attempt) {
  http::ClientRequest wire;
  wire.method = request.method;
  wire.target = request.target;
  http::Headers expecting;
  wire.headers = &request.headers;
  if (request.expects_continue && request.body != nullptr) {
    expecting = request.headers;
    expecting.set("expect", "100-continue");
    wire.headers = &expecting;
  }
  wire.body_length = request.body == nullptr ? std::optional<uint64_t>(0) : request.body->length();
  wire.upgrade = request.upgrade;
  const Duration patience = std::clamp<Duration>(deadline - state.loop.now(), Duration{0}, kHeadPatienceMax);
  auto sent = co_await client.send(wire, deadline);
  const bool repeatable = request.body == nullptr && request.upgrade.empty() && is_idempotent(request.method);
  attempt.may_retry = repeatable;
  if (!sent) {
    if (sent.error().code == Code::invalid) attempt.may_retry = false;  // the request is what is wrong
    co_return fail(sent.error());
  }
  bool sending = false;
  for (;;) {
    // The reader is there before the first byte of the body goes.
    auto coming = client.receive_head(deadline);
    if (upload != nullptr && !coming.done() && !std::exchange(sending, true)) {
      upload->wanted = !request.expects_continue;
      upload->moved = state.loop.now();
      upload->source.sending.spawn(run_upload(upload));
    }
    auto head = co_await std::move(coming);
    // Whatever the origin has done by now, doing it again has the same effect.
    attempt.may_retry = repeatable;
    if (!head && upload != nullptr) {
      if (upload->error && upload->error->detail == "client") co_return fail(*upload->error);
      if (upload->error && upload->error->code == Code::timeout) co_return fail(*upload->error);
      deadline = head_deadline(*upload, patience, attempt);
      if (head.error().code == Code::timeout && deadline > state.loop.now()) continue;
    }
    if (!head) co_return head;
    if (!head->interim()) {
      // It has read enough to refuse: the rest would be for nothing. So would a body that it never asked for.
      if (upload != nullptr && (head->status >= 400 || !upload->wanted)) upload->stop();
      co_return head;
    }
    if (head->status == 100) {
      if (upload != nullptr) upload->go();
    } else if (attempt.interim != nullptr) {
      http::Headers fields = without_hop_fields(head->headers);
      co_await attempt.interim->interim(head->status, fields);
    }
  }
}

class Pool final : public OriginPool {
 public:
  explicit Pool(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~Pool() override {
    state_->closed = true;
    state_->close_idle();
  }
  void close_idle() override { state_->close_idle(); }

  io::Task<Result<std::unique_ptr<Fetch>>> fetch(const FetchRequest& request, Deadline deadline,
                                                 Attempt& attempt) override {
    std::shared_ptr<State> state = state_;  // this object may go meanwhile
    auto out = co_await run(state, request, deadline, attempt);
    state->stats->requests.fetch_add(1, std::memory_order_relaxed);
    if (!out) state->stats->failures.fetch_add(1, std::memory_order_relaxed);
    if (attempt.to_head >= Duration{0}) state->stats->observe(attempt.to_head);
    co_return out;
  }

 private:
  static io::Task<Result<std::unique_ptr<Fetch>>> run(std::shared_ptr<State> state,
                                                      const FetchRequest& request, Deadline deadline,
                                                      Attempt& attempt) {
    State& s = *state;
    // An origin that closes kept connections closes them all at about the same time: after one that was stale, a new one is opened.
    for (bool fresh = false;;) {
      bool kept = false;
      auto ready = co_await acquire(s, fresh, deadline, attempt, kept);
      if (!ready) co_return fail(ready.error());
      Connection connection = std::move(*ready);
      const TimePoint began = s.loop.now();
      const UnixMs requested = s.clock.unix_ms();
      attempt.stream = connection.stream;
      http::Client& client = *connection.client;
      UploadRef upload;
      if (request.body != nullptr) {
        upload = std::make_shared<Upload>(s, *request.body);
        upload->client = std::move(connection.client);
        upload->stream = connection.stream;
      }
      auto head = co_await exchange(s, client, upload, request, deadline, attempt);
      attempt.stream = nullptr;
      if (head) {
        attempt.to_head = s.loop.now() - began;
        co_return std::make_unique<OriginFetch>(state, std::move(connection), std::move(upload),
                                                std::move(*head), requested, attempt.whole);
      }
      // An origin that got nothing of a body has had no whole request to act on (RFC 9112 §8): it may be sent to another connection, whatever its method.
      const bool incomplete = upload != nullptr && !upload->begun;
      if (upload != nullptr) upload->abandon();
      upload.reset();
      connection.client.reset();
      s.lost();
      if (attempt.cancelled) co_return fail(Code::cancelled, "origin " + s.origin.url + ": given up");
      if (kept && (attempt.may_retry || incomplete) && head.error().detail == "unused") {
        fresh = true;
        continue;
      }
      co_return fail(broken(s, head.error()));
    }
  }

  // A kept connection unless `fresh`, or a new one; waits while all that there may be are in use.
  static io::Task<Result<Connection>> acquire(State& s, bool fresh, Deadline deadline, Attempt& attempt,
                                              bool& kept) {
    attempt.may_retry = true;
    for (;;) {
      std::optional<Connection> idle;
      if (!fresh) idle = s.take();
      if (idle) {
        kept = true;
        s.stats->reused.fetch_add(1, std::memory_order_relaxed);
        co_return std::move(*idle);
      }
      if (fresh && s.open >= s.policy.connections_max && !s.idle.empty()) s.drop_front();
      if (s.open < s.policy.connections_max) break;
      bool in_time = co_await s.freed.wait(deadline);
      if (!in_time)
        co_return fail(Code::unavailable, "origin " + s.origin.url + ": all its connections were in use",
                       "full");
    }
    ++s.open;
    s.stats->connects.fetch_add(1, std::memory_order_relaxed);
    Deadline until = std::min(deadline, s.loop.now() + s.policy.connect_timeout);
    auto stream = co_await s.connector.connect(s.origin, s.policy, until);
    if (!stream) {
      s.stats->connect_failures.fetch_add(1, std::memory_order_relaxed);
      s.lost();
      co_return fail(broken(s, stream.error()));
    }
    if (attempt.cancelled) {
      stream->reset();
      s.lost();
      co_return fail(Code::cancelled, "origin " + s.origin.url + ": given up");
    }
    Connection out;
    out.stream = stream->get();
    out.client = http::make_client(s.loop, std::move(*stream), http::Limits{});
    co_return out;
  }

  std::shared_ptr<State> state_;
};

}  // namespace

const int64_t OriginStats::kBucketEndsUs[kBuckets] = {
    1'000, 2'500, 5'000, 10'000, 25'000, 50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 10'000'000};

void OriginStats::observe(Duration to_head) {
  int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(to_head).count();
  int bucket = 0;
  while (bucket < kBuckets && us > kBucketEndsUs[bucket]) ++bucket;
  latency[bucket].fetch_add(1, std::memory_order_relaxed);
  latency_sum_us.fetch_add(us, std::memory_order_relaxed);
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
         method == "DELETE" || method == "TRACE";
}

std::shared_ptr<OriginPool> make_origin_pool(io::Loop& loop, const OriginAddress& origin,
                                             const OriginPolicy& policy, Connector& connector, Clock& clock,
                                             std::shared_ptr<OriginStats> stats) {
  return std::make_shared<Pool>(
      std::make_shared<State>(loop, origin, policy, connector, clock, std::move(stats)));
}

}  // namespace archipel::edge
