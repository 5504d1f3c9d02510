#include "base/metrics_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tributary::base {
namespace {

TEST(MetricsText, WritesAFamilyOnceWithItsSamplesTogether) {
  MetricsText metrics;
  metrics.Counter("a_total", "Counts a.", {{"x", "1"}}, 1);
  metrics.Gauge("b", "Measures b.", {}, 2.5);
  metrics.Counter("a_total", "Counts a.", {{"x", "2"}, {"y", "z"}}, 3);
  EXPECT_EQ(metrics.Render(),
            "# HELP a_total Counts a.\n"
            "# TYPE a_total counter\n"
            "a_total{x=\"1\"} 1\n"
            "a_total{x=\"2\",y=\"z\"} 3\n"
            "# HELP b Measures b.\n"
            "# TYPE b gauge\n"
            "b 2.5\n");
}

TEST(MetricsText, EscapesLabelValues) {
  MetricsText metrics;
  metrics.Gauge("g", "Help.", {{"path", "C:\\dir\n\"quoted\""}}, 0);
  EXPECT_NE(metrics.Render().find("g{path=\"C:\\\\dir\\n\\\"quoted\\\"\"} 0\n"), std::string::npos);
}

TEST(MetricsText, EscapesHelpButNotItsQuotes) {
  MetricsText metrics;
  metrics.Gauge("g", "A \"backslash\" \\ and\na line.", {}, 0);
  EXPECT_NE(metrics.Render().find("# HELP g A \"backslash\" \\\\ and\\na line.\n"), std::string::npos);
}

TEST(MetricsText, WritesCountsInFull) {
  MetricsText metrics;
  metrics.Counter("c_total", "Help.", {}, 123456789012.0);
  metrics.Gauge("inf", "Help.", {}, std::numeric_limits<double>::infinity());
  metrics.Gauge("nan", "Help.", {}, std::nan(""));
  const std::string page = metrics.Render();
  EXPECT_NE(page.find("c_total 123456789012\n"), std::string::npos);
  EXPECT_NE(page.find("\ninf +Inf\n"), std::string::npos);
  EXPECT_NE(page.find("\nnan NaN\n"), std::string::npos);
}

TEST(MetricsText, WithoutSamplesIsAnEmptyPage) { EXPECT_EQ(MetricsText().Render(), ""); }

}  // namespace
}  // namespace tributary::base
