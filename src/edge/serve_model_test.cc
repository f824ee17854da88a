// serve() against a plain model of RFC 9111: random programs of requests, responses and time; what the model forbids is never seen, and what it calls
// fresh is served without asking.
#include <rapidcheck.h>

#include <map>
#include <sstream>

#include "edge/serve_test_util.h"

namespace archipel::edge {
namespace {

using namespace testing;

// What the origin says of one target, from the draw.
struct Said {
  std::optional<int> max_age, s_maxage;
  bool no_store = false, no_cache = false, is_private = false, is_public = false, must_revalidate = false;
  std::optional<int> expires;  // seconds after Date
  int age = 0;
  bool etag = false;
  bool varies = false;  // by "foo"
  int swr = 0, sie = 0;
};

// One stored response as RFC 9111 sees it: slow and literal.
struct Kept {
  Said said;
  int64_t at = 0;  // seconds
  std::string body, foo;
};

class Model {
 public:
  static bool may_store(const Said& s, bool authorized, bool request_no_store) {
    if (s.no_store || s.is_private || request_no_store) return false;
    return !authorized || s.is_public || s.s_maxage || s.must_revalidate;
  }
  static int lifetime(const Said& s) {
    if (s.s_maxage) return *s.s_maxage;
    if (s.max_age) return *s.max_age;
    return s.expires ? std::max(0, *s.expires) : 0;
  }
  static int64_t age(const Kept& k, int64_t now) { return k.said.age + now - k.at; }
  static bool is_fresh(const Kept& k, int64_t now) {
    return !k.said.no_cache && lifetime(k.said) > age(k, now);
  }
  // May it be served without a word from the origin?
  static bool may_serve_unasked(const Kept& k, int64_t now) {
    if (k.said.no_cache) return false;
    if (is_fresh(k, now)) return true;
    return !k.said.must_revalidate && k.said.swr > 0 && age(k, now) - lifetime(k.said) <= k.said.swr;
  }
  static bool may_serve_on_error(const Kept& k, int64_t now) {
    if (k.said.no_cache || k.said.must_revalidate) return is_fresh(k, now);
    return is_fresh(k, now) || (k.said.sie > 0 && age(k, now) - lifetime(k.said) <= k.said.sie);
  }
};

std::optional<int> maybe(int from, int to) {
  if (*rc::gen::inRange(0, 3) == 0) return *rc::gen::inRange(from, to);
  return std::nullopt;
}
bool chance(int of) {
  return *rc::gen::inRange(0, of) == 0;
}

Said draw() {
  Said s;
  s.max_age = maybe(0, 20);
  s.s_maxage = maybe(0, 20);
  s.expires = maybe(-5, 20);
  s.no_store = chance(8);
  s.no_cache = chance(8);
  s.is_private = chance(8);
  s.is_public = chance(4);
  s.must_revalidate = chance(6);
  s.age = chance(4) ? *rc::gen::inRange(0, 10) : 0;
  s.etag = chance(2);
  s.varies = chance(4);
  s.swr = chance(4) ? *rc::gen::inRange(1, 10) : 0;
  s.sie = chance(4) ? *rc::gen::inRange(1, 10) : 0;
  return s;
}

Fields write(const Said& s, World& w, const std::string& body) {
  Fields out = {{"date", w.date()}};
  std::string cc;
  auto add = [&](std::string text) { cc += (cc.empty() ? "" : ", ") + text; };
  if (s.max_age) add("max-age=" + std::to_string(*s.max_age));
  if (s.s_maxage) add("s-maxage=" + std::to_string(*s.s_maxage));
  if (s.no_store) add("no-store");
  if (s.no_cache) add("no-cache");
  if (s.is_private) add("private");
  if (s.is_public) add("public");
  if (s.must_revalidate) add("must-revalidate");
  if (s.swr > 0) add("stale-while-revalidate=" + std::to_string(s.swr));
  if (s.sie > 0) add("stale-if-error=" + std::to_string(s.sie));
  if (!cc.empty()) out.emplace_back("cache-control", cc);
  if (s.expires) out.emplace_back("expires", w.date(*s.expires));
  if (s.age > 0) out.emplace_back("age", std::to_string(s.age));
  if (s.etag) out.emplace_back("etag", "\"" + body + "\"");
  if (s.varies) out.emplace_back("vary", "foo");
  return out;
}

struct Made {
  Said said;
  int64_t at = 0;
  std::string foo;
  bool authorized = false, request_no_store = false;
  bool replaced = false;  // invalidated, or a newer response to the same variant came
};

TEST(ServeModel, NeverServesWhatTheModelForbids) {
  EXPECT_TRUE(rc::check("random programs", [] {
    World w;
    w.site->policy.if_error = 0;
    w.site->policy.heuristic = false;
    // Every response has a body of its own: what a client got says which one it was.
    std::map<std::string, Made> made;
    Said next;
    int serial = 0;
    bool failing = false;
    std::string foo_now;
    bool authorized_now = false, no_store_now = false;
    auto seconds_now = [&] { return w.clock.unix_ms() / 1000; };
    w.origin.answer = [&](const FetchRequest& r) {
      if (failing) return Reply{.error = Error{Code::io, "down", {}}};
      const std::string foo(r.headers.get("foo"));
      const std::string condition(r.headers.get("if-none-match"));
      if (condition.size() > 2 && chance(2)) {
        // Still good: as new from now on, with what is said now.
        Made& m = made.at(condition.substr(1, condition.size() - 2));
        const Said before = m.said;
        m.said = next;
        m.said.etag = true;
        m.said.varies = before.varies;
        m.at = seconds_now();
        m.authorized = authorized_now;
        m.request_no_store = no_store_now;
        Fields fields = write(m.said, w, condition.substr(1, condition.size() - 2));
        // What a 304 does not say stays as it was: it says it all here.
        if (make_headers(fields).find("cache-control") == nullptr) fields.emplace_back("cache-control", "x");
        if (!m.said.expires) fields.emplace_back("expires", "0");
        if (!m.said.expires) m.said.expires = 0;
        return Reply{.status = 304, .headers = fields};
      }
      const std::string body = "b" + std::to_string(++serial);
      made[body] = {next, seconds_now(), foo, authorized_now, no_store_now, false};
      return Reply{.headers = write(next, w, body), .body = body};
    };
    const int steps = *rc::gen::inRange(1, 30);
    for (int i = 0; i < steps; i++) {
      if (chance(3)) w.pass_time(std::chrono::seconds(*rc::gen::inRange(1, 8)));
      next = draw();
      failing = chance(6);
      Fields fields;
      foo_now = chance(2) ? "1" : "2";
      fields.emplace_back("foo", foo_now);
      authorized_now = chance(8);
      if (authorized_now) fields.emplace_back("authorization", "a");
      no_store_now = chance(12);
      if (no_store_now) fields.emplace_back("cache-control", "no-store");
      const size_t asked_before = w.fetches();
      const int serial_before = serial;
      if (chance(10)) {
        w.ask("/a", fields, "POST");
        if (!failing)
          for (auto& [body, m] : made) m.replaced = true;
        continue;
      }
      const std::map<std::string, Made> before = made;  // a validation behind the answer changes it
      auto client = w.ask("/a", fields);
      RC_ASSERT(client->done);
      const bool asked = w.fetches() > asked_before;
      if (client->status != 200) {
        RC_ASSERT(failing && asked);
        continue;
      }
      RC_ASSERT(made.contains(client->body));
      const bool now_made = serial > serial_before && client->body == "b" + std::to_string(serial);
      if (now_made || client->served.how == Served::How::validated) continue;
      // From the store.
      const Made& m = before.at(client->body);
      const Kept k{m.said, m.at, client->body, m.foo};
      std::ostringstream why;
      why << to_string(client->served.how) << " " << client->body << " age " << Model::age(k, seconds_now())
          << " lifetime " << Model::lifetime(m.said);
      RC_LOG() << why.str();
      RC_ASSERT(!m.replaced);
      RC_ASSERT(Model::may_store(m.said, m.authorized, m.request_no_store));
      if (m.said.varies) RC_ASSERT(m.foo == foo_now);
      RC_ASSERT(Model::may_serve_unasked(k, seconds_now()) ||
                (failing && Model::may_serve_on_error(k, seconds_now())));
      RC_ASSERT(client->get("age") == std::to_string(Model::age(k, seconds_now())));
    }
  }));
}

// … and it is not safe by never storing: the same request again, at once, is a hit whenever the model says fresh.
TEST(ServeModel, ServesWhatTheModelCallsFresh) {
  EXPECT_TRUE(rc::check("twice", [] {
    World w;
    w.site->policy.if_error = 0;
    w.site->policy.heuristic = false;
    const Said said = draw();
    const int wait = *rc::gen::inRange(0, 12);
    w.origin.answer = [&](const FetchRequest&) { return Reply{.headers = write(said, w, "b"), .body = "b"}; };
    w.ask("/a", {{"foo", "1"}});
    if (wait > 0) w.pass_time(std::chrono::seconds(wait));
    const Kept k{said, w.clock.unix_ms() / 1000 - wait, "b", "1"};
    const bool fresh = Model::may_store(said, false, false) && Model::is_fresh(k, w.clock.unix_ms() / 1000);
    auto again = w.ask("/a", {{"foo", "1"}});
    if (fresh) RC_ASSERT(again->served.how == Served::How::hit);
    if (!fresh) RC_ASSERT(again->served.how != Served::How::hit);
  }));
}

}  // namespace
}  // namespace archipel::edge
