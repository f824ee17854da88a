#include "sim/shrink.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "sim/history.h"

namespace archipel::sim {
namespace {

constexpr int kTriesMax = 250;
constexpr unsigned kSecondsPerTry = 20;

bool fails(const Plan& plan) {
  std::fflush(stdout);
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    alarm(kSecondsPerTry);
    const bool bad = !run_history(plan, false).violations.empty();
    std::_Exit(bad ? 2 : 0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) continue;
  const bool timed_out = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
  return !timed_out && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// Leaves out runs of `part`, large ones first.
template <class T>
void shrink(Plan& plan, std::vector<T> Plan::* part, int& tries) {
  for (size_t run = std::max<size_t>((plan.*part).size() / 2, 1); run >= 1; run /= 2) {
    for (size_t at = 0; at < (plan.*part).size() && tries < kTriesMax;) {
      Plan smaller = plan;
      auto& list = smaller.*part;
      const auto first = list.begin() + static_cast<std::ptrdiff_t>(at);
      list.erase(first, list.begin() + static_cast<std::ptrdiff_t>(std::min(at + run, list.size())));
      ++tries;
      if (fails(smaller))
        plan = std::move(smaller);
      else
        at += run;
    }
    if (run == 1) break;
  }
}

}  // namespace

void print_shrunk(Plan plan) {
  int tries = 0;
  shrink(plan, &Plan::happenings, tries);
  shrink(plan, &Plan::ops, tries);
  shrink(plan, &Plan::happenings, tries);
  fmt::print(
      "  shrunk to {} operations and {} happenings in {} tries (n={} k={}, {} clients, {} in flight, liar "
      "{}):\n",
      plan.ops.size(), plan.happenings.size(), tries, plan.code.n, plan.code.k, plan.clients, plan.in_flight,
      plan.liar);
  fmt::print("    {}\n", describe(plan.placed));
  for (const Happening& h : plan.happenings) fmt::print("    {}\n", describe(h));
  for (const Op& op : plan.ops) fmt::print("    {}\n", describe(op));
  std::fflush(stdout);
}

}  // namespace archipel::sim
