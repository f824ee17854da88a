#include "io/dns.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

#include "base/metrics.h"

namespace archipel::io {
namespace {

constexpr size_t kHostBytesMax = 253;

metrics::Counter lookups{"archipel_dns_lookups_total", "Host names asked of the system's resolver"};
metrics::Counter failures{"archipel_dns_failures_total", "Host names that could not be resolved"};

bool is_address(const std::string& host) {
  in6_addr out;
  return inet_pton(AF_INET, host.c_str(), &out) == 1 || inet_pton(AF_INET6, host.c_str(), &out) == 1;
}

bool is_host_name(const std::string& host) {
  if (host.empty() || host.size() > kHostBytesMax) return false;
  return std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

// Somebody who waits on a loop. Touched by that loop alone, but for being handed around.
struct Waiter {
  Loop& home;
  std::coroutine_handle<> self = nullptr;
  Loop::TimerId timer = 0;
  Result<std::vector<std::string>> answer = fail(Code::timeout, "the name was not resolved in time");
  bool over = false;
};

struct Name {
  Result<std::vector<std::string>> answer = fail(Code::unavailable, "");
  TimePoint since{};    // of the answer
  TimePoint failed{};   // when it could last not be renewed
  bool known = false;   // there is an answer, good or bad
  bool asking = false;  // somebody does
  uint64_t used = 0;    // when it was last asked for
  std::vector<std::shared_ptr<Waiter>> waiters;
};

struct State {
  State(Workers& w, Clock& c, const DnsOptions& o, DnsLookup l)
      : workers(w), clock(c), options(o), lookup(std::move(l)) {}
  Workers& workers;
  Clock& clock;
  const DnsOptions options;
  const DnsLookup lookup;
  std::mutex mutex;
  std::unordered_map<std::string, Name> names;
  uint64_t uses = 0;

  Name& find(const std::string& host);
  bool may_serve(const Name& name, TimePoint now) const;
  bool is_fresh(const Name& name, TimePoint now) const;
  static void ask(const std::shared_ptr<State>& state, const std::string& host, Name& name);
  void learn(const std::string& host, Result<std::vector<std::string>> answer);
};

// Under the mutex.
Name& State::find(const std::string& host) {
  if (auto found = names.find(host); found != names.end()) {
    found->second.used = ++uses;
    return found->second;
  }
  if (names.size() >= kDnsNamesMax) {
    auto oldest = names.end();
    for (auto it = names.begin(); it != names.end(); ++it)
      if (!it->second.asking && (oldest == names.end() || it->second.used < oldest->second.used)) oldest = it;
    if (oldest != names.end()) names.erase(oldest);
  }
  Name& name = names[host];
  name.used = ++uses;
  return name;
}

bool State::is_fresh(const Name& name, TimePoint now) const {
  if (!name.known) return false;
  if (!name.answer) return now - name.since < options.negative;
  return now - name.since < options.fresh ||
         (name.failed > name.since && now - name.failed < options.negative);
}

bool State::may_serve(const Name& name, TimePoint now) const {
  if (!name.known) return false;
  return is_fresh(name, now) || (name.answer && now - name.since < options.fresh + options.stale);
}

// Under the mutex. The job holds the state: whoever made it may be gone when the resolver answers.
void State::ask(const std::shared_ptr<State>& state, const std::string& host, Name& name) {
  if (std::exchange(name.asking, true)) return;
  lookups.add();
  state->workers.submit([state, host] { state->learn(host, state->lookup(host)); });
}

void State::learn(const std::string& host, Result<std::vector<std::string>> answer) {
  if (!answer) failures.add();
  if (answer && answer->size() > kDnsAddressesMax) answer->resize(kDnsAddressesMax);
  std::vector<std::shared_ptr<Waiter>> waiters;
  Result<std::vector<std::string>> told;
  {
    std::lock_guard lock(mutex);
    Name& name = find(host);
    name.asking = false;
    const TimePoint now = clock.now();
    // An old answer is better than none while a name server is silent; a name that is gone is gone.
    const bool keeps = name.known && name.answer && !answer && answer.error().code != Code::not_found &&
                       may_serve(name, now);
    if (keeps) {
      name.failed = now;
    } else {
      name.answer = std::move(answer);
      name.since = now;
      name.known = true;
    }
    waiters.swap(name.waiters);
    told = name.answer;
  }
  for (auto& waiter : waiters) {
    Loop& home = waiter->home;
    home.post([waiter = std::move(waiter), told]() mutable {
      if (std::exchange(waiter->over, true)) return;
      waiter->answer = std::move(told);
      if (waiter->timer != 0) waiter->home.cancel(waiter->timer);
      waiter->self.resume();
    });
  }
}

// Suspends until the waiter is told. The timer is set before anybody can answer: the answer arrives as a posted callback.
struct Wait {
  std::shared_ptr<Waiter> waiter;
  Deadline deadline;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) {
    waiter->self = self;
    if (deadline == kNoDeadline) return;
    waiter->timer = waiter->home.run_at(deadline, [w = waiter] {
      if (std::exchange(w->over, true)) return;
      w->self.resume();
    });
  }
  void await_resume() const noexcept {}
};

class CachingDns final : public Dns {
 public:
  explicit CachingDns(std::shared_ptr<State> state) : state_(std::move(state)) {}

  Task<Result<std::vector<std::string>>> resolve(std::string host, Deadline deadline) override {
    return answer(state_, std::move(host), deadline);
  }

 private:
  static Task<Result<std::vector<std::string>>> answer(std::shared_ptr<State> state, std::string host,
                                                       Deadline deadline) {
    if (is_address(host)) co_return std::vector<std::string>{host};
    if (!is_host_name(host)) co_return fail(Code::invalid, "'" + host + "' is no host name");
    std::shared_ptr<Waiter> waiter;
    {
      std::lock_guard lock(state->mutex);
      Name& name = state->find(host);
      const TimePoint now = state->clock.now();
      if (!state->is_fresh(name, now)) State::ask(state, host, name);
      if (state->may_serve(name, now)) co_return name.answer;
      CHECK(Loop::current() != nullptr);
      waiter = std::make_shared<Waiter>(*Loop::current());
      name.waiters.push_back(waiter);
    }
    co_await Wait{waiter, deadline};
    co_return std::move(waiter->answer);
  }

  const std::shared_ptr<State> state_;
};

}  // namespace

Result<std::vector<std::string>> system_lookup(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error == EAI_NONAME || error == EAI_NODATA || error == EAI_ADDRFAMILY)
    return fail(Code::not_found, "there is no host named " + host);
  if (error != 0)
    return fail(Code::unavailable, "the name " + host + " cannot be resolved: " + ::gai_strerror(error));
  std::vector<std::string> addresses;
  for (addrinfo* one = list; one != nullptr; one = one->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    const void* raw =
        one->ai_family == AF_INET6
            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in6*>(one->ai_addr)->sin6_addr)
            : static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(one->ai_addr)->sin_addr);
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    inet_ntop(one->ai_family, raw, text, sizeof text);
    if (std::ranges::find(addresses, text) == addresses.end()) addresses.emplace_back(text);
  }
  ::freeaddrinfo(list);
  if (addresses.empty()) return fail(Code::not_found, "the host " + host + " has no address");
  return addresses;
}

std::shared_ptr<Dns> make_dns(Workers& workers, Clock& clock, const DnsOptions& options, DnsLookup lookup) {
  return std::make_shared<CachingDns>(std::make_shared<State>(workers, clock, options, std::move(lookup)));
}

std::string with_port(const std::string& address, uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

}  // namespace archipel::io
