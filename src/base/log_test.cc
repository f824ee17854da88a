#include "base/log.h"

#include <gtest/gtest.h>

namespace archipel::log {
namespace {

std::string captured(auto function) {
  testing::internal::CaptureStderr();
  function();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, InputNeverForgesALine) {
  std::string line =
      captured([] { warn("test.event", {{"name", "a b\nlevel=error event=forged \"x\""}, {"n", 3}}); });
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_NE(line.find(R"(level=warn event=test.event name="a b\u000alevel=error event=forged \"x\"" n=3)"),
            std::string::npos)
      << line;
}

TEST(Log, DropsWhatIsBelowTheLevelAndSpeaksJson) {
  EXPECT_EQ(captured([] { debug("test.quiet"); }), "");
  set_json(true);
  std::string line = captured([] { info("test.json", {{"k", "v"}}); });
  set_json(false);
  EXPECT_NE(line.find(R"("level":"info","event":"test.json","k":"v"})"), std::string::npos) << line;
}

}  // namespace
}  // namespace archipel::log
