#include "app/recover.h"

#include <fmt/format.h>

#include <charconv>
#include <ctime>

#include "app/islands.h"
#include "app/json.h"
#include "app/setup.h"
#include "base/log.h"
#include "crypto/keyring.h"
#include "extent/extent.h"

namespace archipel::app {
namespace {

constexpr int kWorkerThreads = 4;
constexpr size_t kMutationsShown = 50;  // of an undecided commit

std::string_view word(index::IslandReport::State state) {
  switch (state) {
    case index::IslandReport::State::ok:
      return "ok";
    case index::IslandReport::State::joined:
      return "joined";
    case index::IslandReport::State::rejoined:
      return "rejoined";
    case index::IslandReport::State::lost:
      return "lost";
    case index::IslandReport::State::unreachable:
      return "unreachable";
  }
  return "?";
}

std::string text_of(const index::CommitPosition& p) {
  return fmt::format("{}:{}", p.epoch, p.seq);
}

std::string utc(UnixMs ms) {
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Keys are bytes: what is not printable is shown as \xNN.
std::string printable(std::string_view key) {
  std::string out;
  for (char c : key) {
    if (c >= ' ' && c < 0x7f && c != '\\')
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

class Report {
 public:
  Report(const index::Journal& journal, bool json, const std::function<void(const std::string&)>& print)
      : journal_(journal), json_(json), print_(print) {}

  void islands() {
    for (const index::IslandReport& island : journal_.islands) {
      if (json_) {
        JsonObject line;
        line.text("event", "island").text("id", island.id).text("state", word(island.state));
        print_(line.text("reason", island.reason).str());
      } else {
        print_(fmt::format("island {:<22} {}{}", island.id, word(island.state),
                           island.reason.empty() ? "" : ": " + island.reason));
      }
    }
  }

  void findings() {
    const index::Findings& found = journal_.findings;
    for (const index::CommitPosition& done : found.completed)
      say("adopted", text_of(done), "a commit was found on too few islands, and was completed");
    if (found.voided)
      say("voided", text_of(*found.voided), "it and what follows it in its epoch did not happen");
    for (uint64_t claim : found.claims)
      say("claimed", std::to_string(claim), "this epoch was claimed and never opened");
  }

  void undecided() {
    if (!journal_.undecided) return;
    const index::Undecided& open = *journal_.undecided;
    if (json_) {
      JsonObject line;
      line.text("event", "undecided").text("what", text_of(open.what)).number("holders", open.holders);
      print_(line.text("reason", open.error.message).str());
    } else {
      print_(fmt::format("undecided {}: {}", text_of(open.what), open.error.message));
    }
    if (open.commit_ms != 0) record(open);
    if (json_) return;
    if (open.what.seq == 0)
      print_(fmt::format("  if you know that epoch {} never was: --void {}", open.what.epoch,
                         text_of(open.what)));
    else
      print_(fmt::format("  if you know: --adopt {0} or --void {0}", text_of(open.what)));
  }

  void summary() {
    const index::Findings& found = journal_.findings;
    const bool open = journal_.committer->open();
    const std::string tail = text_of(found.tail) + ":" + hex(found.tail_hash);
    if (json_) {
      JsonObject line;
      line.text("event", "recovered").text("state", open ? "open" : "read-only").text("tail", tail);
      line.number("epoch", static_cast<int64_t>(journal_.epoch))
          .number("replayed", static_cast<int64_t>(journal_.replayed));
      print_(line.text("reason", journal_.committer->closed_because()).str());
    } else if (open) {
      print_(fmt::format("The journal is in order up to {} and epoch {} is open; {} commits were replayed.",
                         tail, journal_.epoch, journal_.replayed));
    } else {
      print_(fmt::format("The journal can only be read, up to {}: {}.", tail,
                         journal_.committer->closed_because()));
    }
  }

 private:
  void say(const char* event, const std::string& what, const char* meaning) {
    if (json_)
      print_(JsonObject().text("event", event).text("what", what).str());
    else
      print_(fmt::format("{} {}: {}", event, what, meaning));
  }

  void record(const index::Undecided& open) {
    if (!json_)
      print_(fmt::format("  written {}, found on {} islands, {} changes:", utc(open.commit_ms), open.holders,
                         open.mutations.size()));
    size_t shown = 0;
    for (const Mutation& change : open.mutations) {
      if (++shown > kMutationsShown) {
        if (!json_) print_(fmt::format("  and {} more", open.mutations.size() - kMutationsShown));
        break;
      }
      const std::string key = printable(change.key);
      if (json_) {
        JsonObject line;
        line.text("event", "change").text("kind", change.value ? "put" : "delete").text("key", key);
        print_(line.number("bytes", static_cast<int64_t>(change.value ? change.value->size() : 0)).str());
      } else {
        print_(fmt::format("  {} {}", change.value ? "put   " : "delete", key));
      }
    }
  }

  using Mutation = index::Mutation;
  const index::Journal& journal_;
  const bool json_;
  const std::function<void(const std::string&)>& print_;
};

io::Task<Result<bool>> run(const RecoverOptions* options, const crypto::Keyring* keys,
                           const std::function<void(const std::string&)>* print) {
  auto workers = io::make_workers(kWorkerThreads);
  auto fanout = extent::make_fanout(*workers);
  const extent::Placement placement{make_islands(options->config, false)};
  index::JournalOptions journal_options;
  journal_options.dir = options->config.dir;
  journal_options.code = options->config.code;
  journal_options.ack.w = options->config.code.w();
  journal_options.attested = options->attested;
  journal_options.gone = options->gone;
  journal_options.rejoin = options->rejoin;
  journal_options.lease.old_gateway_is_dead = options->old_gateway_is_dead;
  auto opened = co_await index::open_journal(journal_options, *keys, placement, *fanout, *workers,
                                             *io::Loop::current(), system_random(), system_clock());
  if (!opened) {
    co_await fanout->drain();
    co_return fail(std::move(opened).error());
  }
  index::Journal journal = std::move(*opened);
  Report report(journal, options->json, *print);
  report.islands();
  report.findings();
  report.undecided();
  report.summary();
  const bool open = journal.committer->open();
  co_await journal.committer->close();
  co_await fanout->drain();
  co_return open;
}

template <class T>
bool number(std::string_view text, T& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<bool> recover_journal(RecoverOptions options,
                             const std::function<void(const std::string& line)>& print) {
  ASSIGN_OR_RETURN(std::string passphrase, read_passphrase(options.config));
  ASSIGN_OR_RETURN(auto keys, crypto::Keyring::load(options.config.keyring_path, passphrase));
  crypto::secure_clear(passphrase.data(), passphrase.size());
  return io::run_blocking([&] { return run(&options, keys.get(), &print); });
}

Result<index::Attested::AtLeast> parse_at_least(const std::string& text) {
  index::Attested::AtLeast out;
  const size_t last = text.rfind(':');
  if (last != std::string::npos) {
    out.hash = text.substr(last + 1);
    const std::string_view place = std::string_view(text).substr(0, last);
    const size_t middle = place.find(':');
    bool good = middle == std::string_view::npos
                    ? number(place, out.seq)
                    : number(place.substr(0, middle), out.epoch) && number(place.substr(middle + 1), out.seq);
    good = good && out.hash.size() >= index::Attested::kHashDigitsMin && out.hash.size() <= 64 &&
           out.hash.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (good) return out;
  }
  return fail(Code::invalid, "'" + text +
                                 "' is no commit; write SEQ:HASH or EPOCH:SEQ:HASH, with at least 8 digits "
                                 "of the hash, as recover prints it");
}

Result<index::CommitPosition> parse_position(const std::string& text) {
  index::CommitPosition out;
  const size_t colon = text.find(':');
  if (colon != std::string::npos && number(std::string_view(text).substr(0, colon), out.epoch) &&
      number(std::string_view(text).substr(colon + 1), out.seq))
    return out;
  return fail(Code::invalid,
              "'" + text + "' is no commit; write EPOCH:SEQ, as recover prints what is undecided");
}

Result<index::Gone> parse_gone(const std::string& text) {
  const size_t equals = text.find('=');
  index::Gone gone{text.substr(0, equals), equals == std::string::npos ? "" : text.substr(equals + 1)};
  if (gone.id.empty() || (equals != std::string::npos && gone.replacement.empty()))
    return fail(Code::invalid, "'" + text + "' is no island; write OLD=NEW, or OLD");
  return gone;
}

}  // namespace archipel::app
