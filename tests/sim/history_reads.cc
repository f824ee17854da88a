// What clients look at.
#include "sim/history_impl.h"

namespace archipel::sim {

io::Task<void> History::get(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket), key = key_name(op.key);
  store::Conditions conditions;
  const std::string seen = last_seen_[name + "/" + key];
  if (op.condition == Op::Condition::last_seen && !seen.empty()) conditions.if_match = {seen};
  if (op.condition == Op::Condition::not_last_seen && !seen.empty()) conditions.if_none_match = {seen};
  std::optional<store::Store::Range> range;
  if (op.flag && conditions.empty()) {
    range.emplace();
    if (op.salt % 4 != 0) range->first = (op.salt >> 8) % 500 * (op.salt % 16 == 1 ? 400 : 1);
    if (op.salt % 4 != 1) range->last = range->first.value_or(0) + (op.salt >> 24) % 70'000 + 1;
  }
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Result<store::Store::Opened> opened = co_await p->store().get(name, key, range, conditions);
  std::string bytes;
  std::optional<Error> broken;
  if (opened && op.pause.count() > 0) co_await io::sleep_until(world_.loop.now() + op.pause);
  if (opened && p->alive()) {
    for (;;) {
      Result<Buffer> piece = co_await opened->reader->read();
      if (!piece) broken = piece.error();
      if (!piece || piece->empty()) break;
      bytes.append(as_text(*piece));
    }
  }
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  if (!opened) {
    get_refused(op, *p, opened.error(), conditions, range.has_value(), fresh, from);
    co_return;
  }
  const store::ObjectInfo& info = opened->reader->info();
  if (fresh) bucket_seen(op, op.bucket, true, from);
  if (fresh) read_is(op, op.bucket, op.key, info.etag, from);
  said(op, fmt::format("v{}, {} bytes{}", oracle_.value_of(info.etag), bytes.size(),
                       broken ? ", broken off: " + broken->message : ""));
  auto content = contents_.find(info.etag);
  if (content == contents_.end()) {
    violation(fmt::format("op {}: get shows content that nobody ever put", op.number));
    co_return;
  }
  const std::string& whole = content->second;
  if (info.size != whole.size() || opened->first + opened->length > whole.size()) {
    violation(fmt::format("op {}: get shows {} bytes instead of {}", op.number, info.size, whole.size()));
    co_return;
  }
  std::string expected = whole.substr(opened->first, opened->length);
  if (broken) {
    count(op, 2);
    unread(op, *p, broken->message);
    if (!expected.starts_with(bytes))
      violation(fmt::format("op {}: wrong bytes before a get broke off", op.number));
    co_return;
  }
  count(op, 0);
  if (!range && opened->length != whole.size())
    violation(fmt::format("op {}: a get without range yields a part", op.number));
  if (bytes != expected) violation(fmt::format("op {}: wrong bytes", op.number));
}

// A get was answered with an error.
void History::get_refused(const Op& op, Process& p, const Error& error, const store::Conditions& conditions,
                          bool ranged, bool fresh, Moment from) {
  said(op, error.detail + " " + error.message);
  if (meaning(error) == Meaning::unclear) {
    count(op, 2);
    unread(op, p, error.message);
    return;
  }
  count(op, 1);
  const std::string& code = error.detail;
  Register& past = oracle_.key(bucket_name(op.bucket), key_name(op.key));
  Event event;
  event.kind = Event::Kind::refuse;
  if (code == "NoSuchBucket") {
    if (fresh) bucket_seen(op, op.bucket, false, from);
  } else if (code == "NoSuchKey") {
    if (fresh) bucket_seen(op, op.bucket, true, from);
    if (fresh) read_is(op, op.bucket, op.key, "", from);
  } else if (code == "PreconditionFailed" && !conditions.if_match.empty()) {
    event.condition = Event::Condition::is_not;
    event.of = oracle_.value_of(conditions.if_match.front());
    if (fresh) observe(past, event, op, from);
  } else if (code == "NotModified" && !conditions.if_none_match.empty()) {
    event.condition = Event::Condition::is;
    event.of = oracle_.value_of(conditions.if_none_match.front());
    if (fresh) observe(past, event, op, from);
  } else if (code == "InvalidRange" && ranged) {
    event.condition = Event::Condition::present;
    if (fresh) observe(past, event, op, from);
  } else {
    violation(fmt::format("op {}: get answers {}", op.number, code));
  }
}

// A read failed. With every island well but one, none may.
void History::unread(const Op& op, Process& p, const std::string& why) {
  if (plan_.calm && p.open())
    violation(fmt::format("op {}: not readable although all islands but one are well: {}", op.number, why));
}

io::Task<void> History::head(Op op, std::shared_ptr<Process> p) {
  const std::string name = bucket_name(op.bucket), key = key_name(op.key);
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Result<store::ObjectInfo> info = co_await p->store().head(name, key, {});
  if (!p->alive()) {
    count(op, 3);
    co_return;
  }
  said(op, info ? fmt::format("v{}", oracle_.value_of(info->etag)) : info.error().detail);
  if (info) {
    count(op, 0);
    if (fresh) read_is(op, op.bucket, op.key, info->etag, from);
    auto content = contents_.find(info->etag);
    if (content == contents_.end() || content->second.size() != info->size)
      violation(fmt::format("op {}: head shows what nobody ever put", op.number));
  } else if (info.error().detail == "NoSuchBucket") {
    count(op, 1);
    if (fresh) bucket_seen(op, op.bucket, false, from);
  } else if (info.error().detail == "NoSuchKey") {
    count(op, 1);
    if (fresh) read_is(op, op.bucket, op.key, "", from);
  } else {
    count(op, 2);
    if (meaning(info.error()) == Meaning::refused)
      violation(fmt::format("op {}: head answers {}", op.number, info.error().detail));
  }
}

io::Task<void> History::list(Op op, std::shared_ptr<Process> p) {
  static const std::string kPrefixes[] = {"", "", "", "a", "a/", "b", "b/", "x"};
  store::ListRequest request;
  request.bucket = bucket_name(op.bucket);
  request.prefix = kPrefixes[op.salt % std::size(kPrefixes)];
  if (op.flag) request.delimiter = "/";
  request.max_keys = op.size;
  for (size_t page = 0; page <= kKeys; ++page) {
    bool more = co_await list_page(op, p, request);
    if (!more) co_return;
  }
  violation(fmt::format("op {}: a listing that does not end", op.number));
}

io::Task<bool> History::list_page(Op op, std::shared_ptr<Process> p, store::ListRequest& request) {
  const bool fresh = p->fresh();
  const Moment from = oracle_.tick();
  Result<store::ListResult> got = co_await p->store().list(request);
  if (!p->alive()) {
    count(op, 3);
    co_return false;
  }
  if (!got) {
    said(op, got.error().detail + " " + got.error().message);
    const bool missing = got.error().detail == "NoSuchBucket";
    count(op, missing ? 1 : 2);
    if (missing)
      if (fresh) bucket_seen(op, op.bucket, false, from);
    if (!missing && meaning(got.error()) == Meaning::refused)
      violation(fmt::format("op {}: list answers {}", op.number, got.error().detail));
    co_return false;
  }
  count(op, 0);
  said(op, fmt::format("{} keys, {} prefixes{}", got->entries.size(), got->common_prefixes.size(),
                       got->truncated ? ", truncated" : ""));
  if (got->entries.size() + got->common_prefixes.size() > request.max_keys)
    violation(fmt::format("op {}: a page of too many keys", op.number));
  size_t matched = 0;
  for (size_t k = 0; k < kKeys; ++k) {
    const std::string& key = key_name(k);
    if (!key.starts_with(request.prefix) || key <= request.start_after) continue;
    if (got->truncated && key > got->next && !key.starts_with(got->next)) continue;  // on a later page
    auto entry = std::find_if(got->entries.begin(), got->entries.end(),
                              [&](const store::ListEntry& e) { return e.key == key; });
    const bool shown = entry != got->entries.end();
    matched += shown;
    size_t at =
        request.delimiter.empty() ? std::string::npos : key.find(request.delimiter, request.prefix.size());
    if (at != std::string::npos) {
      const std::string rolled = key.substr(0, at + 1);
      const bool known = rolled == request.start_after ||
                         std::count(got->common_prefixes.begin(), got->common_prefixes.end(), rolled) > 0;
      if (shown) violation(fmt::format("op {}: a key is listed that its prefix stands for", op.number));
      if (fresh && !known && !(got->truncated && rolled > got->next)) read_is(op, op.bucket, k, "", from);
      continue;
    }
    if (got->truncated && key > got->next) continue;
    if (fresh) read_is(op, op.bucket, k, shown ? entry->info.etag : "", from);
    if (shown && contents_.contains(entry->info.etag) &&
        contents_[entry->info.etag].size() != entry->info.size)
      violation(fmt::format("op {}: a listing shows a wrong size", op.number));
  }
  if (matched != got->entries.size())
    violation(fmt::format("op {}: a listing has keys that do not belong there", op.number));
  if (!std::is_sorted(got->entries.begin(), got->entries.end(),
                      [](const store::ListEntry& a, const store::ListEntry& b) { return a.key < b.key; }))
    violation(fmt::format("op {}: a listing out of order", op.number));
  request.start_after = got->next;
  co_return got->truncated;
}

}  // namespace archipel::sim
