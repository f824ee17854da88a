#include "base/metrics.h"

#include <gtest/gtest.h>

namespace archipel::metrics {
namespace {

TEST(Metrics, ExposesOneHelpPerNameAndEscapesLabels) {
  Counter a("test_requests_total", "Requests", {{"kind", "a\"\\\n"}});
  Counter b("test_requests_total", "Requests", {{"kind", "b"}});
  Gauge depth("test_depth_bytes", "Depth");
  a.add();
  b.add(41);
  b.add();
  depth.set(-7);
  std::string text = expose();
  EXPECT_NE(text.find("# TYPE test_requests_total counter\n"
                      "test_requests_total{kind=\"a\\\"\\\\\\n\"} 1\n"
                      "test_requests_total{kind=\"b\"} 42\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("# TYPE test_depth_bytes gauge\ntest_depth_bytes -7\n"), std::string::npos);
}

TEST(Metrics, AMetricThatIsGoneIsNotExposed) {
  {
    Gauge gone("test_gone", "Gone");
  }
  EXPECT_EQ(expose().find("test_gone"), std::string::npos);
}

}  // namespace
}  // namespace archipel::metrics
