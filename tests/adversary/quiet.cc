#include "quiet.h"

#include <gtest/gtest.h>

#include <deque>
#include <mutex>

#include "base/log.h"

namespace archipel::adversary {
namespace {

constexpr size_t kEventsMax = 10'000;
std::mutex mutex;
std::deque<std::string> events;

void keep(log::Level, std::string_view name, log::Fields fields) {
  std::string line(name);
  for (const log::Field& field : fields) line += " " + std::string(field.key) + "=" + field.value;
  std::lock_guard lock(mutex);
  events.push_back(std::move(line));
  if (events.size() > kEventsMax) events.pop_front();
}

class Quiet : public ::testing::Environment {
  void SetUp() override { log::set_sink(keep); }
  void TearDown() override { log::set_sink(nullptr); }
};
const auto* const kQuiet = ::testing::AddGlobalTestEnvironment(new Quiet);

}  // namespace

std::vector<std::string> take_log() {
  std::lock_guard lock(mutex);
  std::vector<std::string> out(events.begin(), events.end());
  events.clear();
  return out;
}

}  // namespace archipel::adversary
