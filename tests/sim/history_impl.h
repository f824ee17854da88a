// One history: the clients, whoever starts gateways, what goes wrong, and what everybody was told. A file for each of these rooms; the class is theirs
// together, and nobody else's.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/log.h"
#include "io/sync.h"
#include "sim/history.h"
#include "sim/oracle.h"
#include "sim/world.h"

namespace archipel::sim {

inline constexpr Duration kStartPause =
    std::chrono::seconds(4);  // between two looks whether a start was good
inline constexpr Duration kOpenPause =
    std::chrono::milliseconds(300);  // between two looks whether a journal is open

// How an answer is to be understood.
enum class Meaning { done, refused, unclear };
Meaning meaning(const Error& error);

class History {
 public:
  History(const Plan& plan, bool trace) : plan_(plan), trace_(trace), world_(plan) {}
  Outcome run();

 private:
  using Pid = uint64_t;

  // history.cc: the whole, and one client after the other.
  static io::Task<bool> live(History* self);
  static io::Task<void> client(History* self, int number);
  io::Task<void> perform(Op op, std::shared_ptr<Process> p);

  // history_gateways.cc: what goes wrong; a start after each end.
  static io::Task<void> operate(History* self);
  static io::Task<void> settle_when_open(History* self, std::shared_ptr<Process> process);
  static io::Task<void> reap(std::shared_ptr<Process> process);
  static io::Task<void> fade(History* self, Happening h);
  io::Task<std::shared_ptr<Process>> running();
  io::Task<bool> begin_process();
  void happen(const Happening& h);
  void arm(const Happening& h);
  void disarm();
  void pull_plug();
  void crash_now(Happening::Loss loss);
  Happening crash_of_next_start();
  void lose(Happening::Loss loss);

  // history_writes.cc
  io::Task<void> create_bucket(Op op, std::shared_ptr<Process> p);
  io::Task<void> delete_bucket(Op op, std::shared_ptr<Process> p);
  io::Task<void> put(Op op, std::shared_ptr<Process> p);
  io::Task<void> remove(Op op, std::shared_ptr<Process> p);
  io::Task<void> copy(Op op, std::shared_ptr<Process> p);

  // history_reads.cc
  io::Task<void> get(Op op, std::shared_ptr<Process> p);
  void get_refused(const Op& op, Process& p, const Error& error, const store::Conditions& conditions,
                   bool ranged, bool fresh, Moment from);
  io::Task<void> head(Op op, std::shared_ptr<Process> p);
  io::Task<void> list(Op op, std::shared_ptr<Process> p);
  io::Task<bool> list_page(Op op, std::shared_ptr<Process> p, store::ListRequest& request);
  void unread(const Op& op, Process& p, const std::string& why);

  // history_audit.cc
  io::Task<bool> settle_down(std::string when);
  io::Task<void> audit(std::string when);
  io::Task<void> audit_bucket(std::shared_ptr<Process> p, size_t bucket, std::string when);
  io::Task<void> audit_versions(std::shared_ptr<Process> p, std::string name, std::string when);
  io::Task<bool> mend_everything();
  io::Task<void> lose_another();

  // history_events.cc: `begin` makes an event that is open and uncertain; the others close it.
  Oracle::Ref begin(Register& where, Event event, const Op& op, Moment from, Pid process);
  void observe(Register& where, Event event, const Op& op, Moment from);
  void bucket_seen(const Op& op, size_t bucket, bool there, Moment from);
  void settle(Pid before);
  void read_is(const Op& op, size_t bucket, size_t key, const std::string& etag, Moment from);
  static std::vector<Value> contents_of(const Register& past);
  void guess_copies();
  void blame(const std::string& island);
  static void on_log(log::Level level, std::string_view name, log::Fields fields);
  void violation(std::string text);
  void note(const std::string& text);
  void said(const Op& op, const std::string& what);
  void count(const Op& op, size_t column) { ++stats_.ops[static_cast<size_t>(op.kind)][column]; }

  static thread_local History* running_;  // whose log events come

  const Plan& plan_;
  const bool trace_;
  World world_;
  Oracle oracle_;
  Stats stats_;
  std::vector<std::string> violations_;
  std::map<std::string, std::string> contents_;         // by ETag
  std::map<std::string, std::string> last_seen_;        // by bucket and key: the ETag of the last answer
  std::vector<std::pair<Pid, Oracle::Ref>> unsettled_;  // uncertain, by the process that was asked
  std::vector<std::pair<Oracle::Ref, const Register*>> unknown_copies_;

  std::shared_ptr<Process> current_;   // that serves
  std::shared_ptr<Process> starting_;  // or is about to
  io::Event changed_;
  bool finished_ = false, stop_wanted_ = false;
  Happening ending_{};              // how the current process ends: what is lost, how long it is down
  std::optional<Happening> armed_;  // the plug to be pulled, or the stop that is wanted
  uint64_t armed_serial_ = 0;
  bool pulled_ = false;
  std::vector<Happening> queue_;  // plugs to pull when the one before is done
  size_t next_happening_ = 0;
  uint32_t begun_ = 0;
  int refused_in_row_ = 0;
  std::string refusal_;
  Code refusal_code_ = Code::internal;
  io::TaskScope clients_, background_;
};

}  // namespace archipel::sim
