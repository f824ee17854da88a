// What clients change.
#include "crypto/hash.h"
#include "sim/history_impl.h"

namespace archipel::sim {
namespace {

// A body in memory that arrives in pieces, and may break off.
class Body final : public store::BodySource {
 public:
  Body(const std::string& bytes, size_t piece, const Op& op)
      : bytes_(bytes), piece_(piece), pause_(op.pause), breaks_(op.flag) {}
  io::Task<Result<size_t>> read(MutableBytes out) override {
    size_t size = std::min({out.size(), piece_, bytes_.size() - at_});
    if (breaks_ && (size == 0 || at_ + size > bytes_.size() / 2))
      co_return fail(Code::invalid, "the body does not match its checksum", "BadDigest");
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), size, out.begin());
    at_ += size;
    Duration wait{};
    if (at_ >= bytes_.size() / 2) wait = std::exchange(pause_, wait);
    if (at_ < bytes_.size() || wait.count() > 0) co_await io::sleep_until(io::Loop::current()->now() + wait);
    co_return size;
  }

 private:
  const std::string& bytes_;
  const size_t piece_;
  Duration pause_;
  const bool breaks_;
  size_t at_ = 0;
};

std::string content_of(uint64_t seed, const Op& op) {
  std::string out(op.size, '\0');
  io::Dice dice(seed * 1'000'003 + op.number);
  for (size_t i = 0; i < out.size(); i += 8) {
    const uint64_t v = dice.u64();
    std::memcpy(out.data() + i, &v, std::min<size_t>(8, out.size() - i));
  }
  return out;
}

std::string etag_of(const std::string& bytes) {
  crypto::Md5 md5;
  md5.update(as_bytes(bytes));
  return hex(md5.finish());
}

}  // namespace

io::Task<void> History::create_bucket(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket);
  Register& past = oracle_.bucket(name);
  Event event;
  event.kind = Event::Kind::write;
  event.value = kUnread;
  event.condition = Event::Condition::absent;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Oracle::Ref ref = begin(past, event, op, from, p->number());
  store::CreateBucket request{name, owner_of(op.bucket), is_versioned(plan_.seed, op.bucket), {}};
  if (plan_.placed.buckets[op.bucket] != (op.salt % 2 == 1)) request.policy = kPlacedPolicy;
  Result<void> done = co_await p->store().create_bucket(std::move(request));
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok" : done.error().detail + " " + done.error().message);
  if (done) {
    count(op, 0);
    ref->certain = true;
    ref->to = oracle_.tick();
  } else if (meaning(done.error()) == Meaning::refused && fresh) {
    count(op, 1);
    ref->kind = Event::Kind::read;
    ref->condition = Event::Condition::none;
    ref->certain = true;
    ref->to = oracle_.tick();
    if (done.error().detail != "BucketAlreadyOwnedByYou")
      violation(fmt::format("op {}: create_bucket answers {}", op.number, done.error().detail));
  } else {
    count(op, 2);
  }
}

io::Task<void> History::delete_bucket(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket);
  Register& past = oracle_.bucket(name);
  Event event;
  event.kind = Event::Kind::write;
  event.value = kAbsent;
  event.condition = Event::Condition::present;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Oracle::Ref ref = begin(past, event, op, from, p->number());
  Result<void> done = co_await p->store().delete_bucket(name);
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok" : done.error().detail + " " + done.error().message);
  if (!done && (meaning(done.error()) == Meaning::unclear || !fresh)) {
    count(op, 2);
    co_return;
  }
  count(op, done ? 0 : 1);
  ref->certain = true;
  ref->to = oracle_.tick();
  if (done) {
    for (size_t key = 0; key < kKeys; ++key) {
      Event empty;
      observe(oracle_.key(name, key_name(key)), empty, op, from);
    }
    co_return;
  }
  ref->kind = Event::Kind::read;
  ref->condition = Event::Condition::none;
  ref->value = done.error().detail == "NoSuchBucket" ? kAbsent : kUnread;
  if (done.error().detail != "NoSuchBucket" && done.error().detail != "BucketNotEmpty")
    violation(fmt::format("op {}: delete_bucket answers {}", op.number, done.error().detail));
}

io::Task<void> History::put(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket), key = key_name(op.key);
  const std::string bytes = content_of(plan_.seed, op);
  const std::string etag = etag_of(bytes);
  contents_.emplace(etag, bytes);
  store::PutRequest request;
  request.bucket = name;
  request.key = key;
  request.metadata["op"] = std::to_string(op.number);
  if (plan_.metadata_bytes > 0) request.metadata["long"] = std::string(plan_.metadata_bytes, 'm');
  if (op.salt % 2 == 0) request.length = bytes.size();
  Event event;
  event.kind = Event::Kind::write;
  event.value = oracle_.value_of(etag);
  const std::string seen = last_seen_[name + "/" + key];
  switch (op.condition) {
    case Op::Condition::absent:
      request.conditions.if_none_match = {"*"};
      event.condition = Event::Condition::absent;
      break;
    case Op::Condition::last_seen:
    case Op::Condition::not_last_seen:
    case Op::Condition::never: {
      const std::string wanted =
          seen.empty() || op.condition == Op::Condition::never ? std::string(32, '0') : seen;
      request.conditions.if_match = {wanted};
      event.condition = Event::Condition::is;
      event.of = oracle_.value_of(wanted);
      break;
    }
    case Op::Condition::none:
      break;
  }
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Register& past = oracle_.key(name, key);
  Oracle::Ref ref = begin(past, event, op, from, p->number());
  Body body(bytes, 1 + static_cast<size_t>(op.salt >> 8) % 200'000, op);
  Result<store::ObjectInfo> done = co_await p->store().put(std::move(request), body);
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok v" + std::to_string(event.value) : done.error().detail + " " + done.error().message);
  if (!done && (meaning(done.error()) == Meaning::unclear || !fresh)) {
    count(op, 2);
    co_return;
  }
  count(op, done ? 0 : 1);
  ref->certain = true;
  ref->to = oracle_.tick();
  if (done) {
    if (op.flag) violation(fmt::format("op {}: a body that broke off was stored", op.number));
    if (done->etag != etag || done->size != bytes.size())
      violation(fmt::format("op {}: the answer to a put names another content", op.number));
    last_seen_[name + "/" + key] = etag;
    if (fresh) bucket_seen(op, op.bucket, true, from);
    co_return;
  }
  const std::string& code = done.error().detail;
  ref->kind = Event::Kind::refuse;
  ref->condition = Event::Condition::none;
  if (code == "NoSuchBucket") {
    if (fresh) bucket_seen(op, op.bucket, false, from);
  } else if (code == "NoSuchKey") {
    ref->condition = Event::Condition::absent;
  } else if (code == "PreconditionFailed") {
    ref->condition =
        event.condition == Event::Condition::absent ? Event::Condition::present : Event::Condition::is_not;
  } else if (code != "BadDigest" || !op.flag) {
    violation(fmt::format("op {}: put answers {}", op.number, code));
  }
}

io::Task<void> History::remove(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket);
  std::set<size_t> chosen{op.key};
  for (uint64_t salt = op.salt; salt % 4 == 0 && chosen.size() < 4; salt /= 4)
    chosen.insert((salt >> 8) % kKeys);
  std::vector<std::string> keys;
  std::vector<Oracle::Ref> refs;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  for (size_t key : chosen) {
    Event event;
    event.kind = Event::Kind::write;
    event.value = kAbsent;
    keys.push_back(key_name(key));
    refs.push_back(begin(oracle_.key(name, key_name(key)), event, op, from, p->number()));
  }
  Result<std::vector<store::DeleteOutcome>> done = co_await p->store().remove(name, keys);
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, done ? "ok" : done.error().detail);
  if (!done) {
    const bool missing = done.error().detail == "NoSuchBucket" && fresh;
    count(op, missing ? 1 : 2);
    if (missing) {
      bucket_seen(op, op.bucket, false, from);
      for (Oracle::Ref& ref : refs) {
        ref->kind = Event::Kind::refuse;
        ref->certain = true;
        ref->to = oracle_.tick();
      }
    }
    co_return;
  }
  if (done->size() != refs.size()) {
    violation(fmt::format("op {}: a delete answers for {} of {} keys", op.number, done->size(), refs.size()));
    co_return;
  }
  size_t unclear = 0;
  for (size_t i = 0; i < refs.size(); ++i) {
    const Result<void>& outcome = (*done)[i].result;
    if (outcome) {
      refs[i]->certain = true;
      refs[i]->to = oracle_.tick();
      last_seen_[name + "/" + keys[i]].clear();
    } else if (outcome.error().detail == "NoSuchBucket" && fresh) {
      refs[i]->kind = Event::Kind::refuse;
      refs[i]->certain = true;
      refs[i]->to = oracle_.tick();
      if (fresh) bucket_seen(op, op.bucket, false, from);
    } else {
      ++unclear;
      said(op, (*done)[i].key + ": " + outcome.error().message);
      if (meaning(outcome.error()) == Meaning::refused && fresh)
        violation(fmt::format("op {}: delete answers {}", op.number, outcome.error().detail));
    }
  }
  count(op, unclear > 0 ? 2 : 0);
}

io::Task<void> History::copy(Op op, std::shared_ptr<Process> p) {
  store::CopyRequest request;
  request.source_bucket = bucket_name(op.bucket);
  request.source_key = key_name(op.key);
  request.bucket = bucket_name(op.to_bucket);
  request.key = key_name(op.to_key);
  const bool itself = request.bucket == request.source_bucket && request.key == request.source_key;
  request.replace_metadata = op.flag || itself;
  request.metadata["op"] = std::to_string(op.number);
  Register& source = oracle_.key(request.source_bucket, request.source_key);
  Register& target = oracle_.key(request.bucket, request.key);
  Event event;
  event.kind = Event::Kind::write;
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Oracle::Ref ref = begin(target, event, op, from, p->number());
  const std::string from_bucket = request.source_bucket, to_bucket = request.bucket;
  Result<store::ObjectInfo> done = co_await p->store().copy(std::move(request));
  const bool known = p->alive() && (done || (meaning(done.error()) == Meaning::refused && fresh));
  if (!known) {
    count(op, p->alive() ? 2 : 3);
    if (p->alive()) said(op, done.error().detail + " " + done.error().message);
    unknown_copies_.emplace_back(ref, &source);
    co_return;
  }
  said(op, done ? fmt::format("ok v{}", oracle_.value_of(done->etag)) : done.error().detail);
  count(op, done ? 0 : 1);
  ref->certain = true;
  ref->to = oracle_.tick();
  if (done) {
    ref->value = oracle_.value_of(done->etag);
    if (fresh) read_is(op, op.bucket, op.key, done->etag, from);
    last_seen_[bucket_name(op.to_bucket) + "/" + key_name(op.to_key)] = done->etag;
    co_return;
  }
  ref->kind = Event::Kind::refuse;
  const std::string& code = done.error().detail;
  if (code == "NoSuchKey") {
    if (fresh) read_is(op, op.bucket, op.key, "", from);
  } else if (code != "NoSuchBucket" && code != "PreconditionFailed") {
    violation(fmt::format("op {}: copy answers {}", op.number, code));
  }
}

}  // namespace archipel::sim
