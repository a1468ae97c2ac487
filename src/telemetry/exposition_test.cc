#include "telemetry/exposition.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "telemetry/testing_promtool.h"

namespace sallyport::telemetry {
namespace {

Exposition declared() {
  Exposition out;
  out.declare("a_total", MetricType::kCounter, "A.");
  out.declare("b", MetricType::kGauge, "B.", Merge::kMax);
  out.declare("m", MetricType::kGauge, "M.", Merge::kMin);
  out.declare("h", MetricType::kHistogram, "H.");
  return out;
}

TEST(Exposition, PrintsFamiliesInOrderAndPromtoolAccepts) {
  Exposition out = declared();
  out.add("b", "", 1.5);
  out.add("a_total", "x=\"1\"", 3);
  out.add("a_total", "x=\"1\"", 4);
  out.add("nobody_declared_it", "", 1);
  out.add_histogram("h", "x=\"1\"", {0.5, 10}, {1, 2, 3}, 100.25);
  const std::string text = out.text();
  EXPECT_EQ(text,
            "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 7\n"
            "# HELP b B.\n# TYPE b gauge\nb 1.5\n"
            "# HELP h H.\n# TYPE h histogram\n"
            "h_bucket{x=\"1\",le=\"0.5\"} 1\nh_bucket{x=\"1\",le=\"10\"} 3\n"
            "h_bucket{x=\"1\",le=\"+Inf\"} 6\nh_sum{x=\"1\"} 100.25\nh_count{x=\"1\"} 6\n");
  EXPECT_EQ(promtool(text), "");
}

TEST(Exposition, LabelValuesCannotBreakOut) {
  std::string labels;
  append_label(labels, "a", "x\"} 1\nevil 2\\");
  append_label(labels, "b", "");
  EXPECT_EQ(labels, R"(a="x\"} 1\nevil 2\\",b="")");
  Exposition out = declared();
  out.add("a_total", labels, 1);
  EXPECT_EQ(promtool(out.text()), "");
  Exposition again = declared();
  ASSERT_TRUE(again.add_text(out.text()).has_value());
  EXPECT_EQ(again.text(), out.text());
}

// A label that ends in a quote of its own value: the comma must come all the same.
TEST(Exposition, CommaAfterAQuoteInsideAValue) {
  std::string labels;
  append_label(labels, "a", "\"");
  append_label(labels, "b", "c");
  EXPECT_EQ(labels, R"(a="\"",b="c")");
}

TEST(Exposition, AddsUpTextsOfSeveralProcesses) {
  Exposition one = declared(), two = declared();
  one.add("a_total", "x=\"1\"", 3);
  two.add("a_total", "x=\"1\"", 4);
  two.add("a_total", "x=\"2\"", 5);
  one.add("b", "", 7);
  two.add("b", "", 2);
  one.add("m", "", 7);
  two.add("m", "", 2);
  one.add_histogram("h", "", {1}, {1, 1}, 2);
  two.add_histogram("h", "", {1}, {0, 5}, 50);
  Exposition all = declared();
  ASSERT_TRUE(all.add_text(one.text()).has_value());
  ASSERT_TRUE(all.add_text(two.text()).has_value());
  const std::string text = all.text();
  EXPECT_NE(text.find("a_total{x=\"1\"} 7\na_total{x=\"2\"} 5\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\nb 7\n"), std::string::npos);
  EXPECT_NE(text.find("\nm 2\n"), std::string::npos);
  EXPECT_NE(text.find("h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 7\nh_sum 52\nh_count 7\n"),
            std::string::npos)
      << text;
  EXPECT_EQ(promtool(text), "");
}

TEST(Exposition, TakesFamiliesThatTheTextDeclares) {
  Exposition out;
  ASSERT_TRUE(out.add_text("# HELP z_total Z z.\n# TYPE z_total counter\nz_total 3 1700000000\n"
                           "# a comment\n\nnot_declared 5\n")
                  .has_value());
  EXPECT_EQ(out.text(), "# HELP z_total Z z.\n# TYPE z_total counter\nz_total 3\n");
}

// A proxy that was taken over may send anything: it is refused whole.
TEST(Exposition, RefusesBrokenTextsWhole) {
  const char* const broken[] = {
      "a_total",
      "a_total x",
      "a_total{x=\"1\" 3",
      "a_total{x=1} 3",
      "a_total{x=\"1\"\"} 3",
      "a_total{=\"1\"} 3",
      "1a 3",
      "a_total{x=\"1\"}",
      "a_total{x=\"1\\",
      "# TYPE a_total nonsense",
      "# TYPE  counter",
      "a-b 3",
      "a_total{x=\"1\",} 3",
      "a_total{",
      "{} 1",
      " 1",
  };
  for (const char* text : broken) {
    Exposition out = declared();
    const auto status = out.add_text(std::string("a_total 1\n") + text + "\n");
    ASSERT_FALSE(status.has_value()) << text;
    EXPECT_EQ(status.error().code, Code::kInvalid);
    EXPECT_NE(status.error().message.find("line 2"), std::string::npos) << status.error().message;
    EXPECT_EQ(out.text(), "") << text;
  }
}

TEST(Exposition, BoundsTheNumberOfSeries) {
  Exposition out(3);
  out.declare("a_total", MetricType::kCounter, "A.");
  for (int i = 0; i < 10; ++i) {
    std::string labels;
    append_label(labels, "i", std::to_string(i % 5));
    out.add("a_total", labels, 1);
  }
  EXPECT_EQ(out.dropped(), 4u);
  const std::string text = out.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
}

}  // namespace
}  // namespace sallyport::telemetry
