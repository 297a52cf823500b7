// Writes the chart. The chart has a background of its own, so it can be read on any page. Colours come from a style
// sheet inside the file, which also knows the dark mode of the viewer.
#include <fmt/core.h>

#include <algorithm>

#include "report.hpp"

namespace mentedb::compare {
namespace {

constexpr int kColumns = 2;
constexpr int kPanelWidth = 470;
constexpr int kBarLeft = 80;
constexpr int kBarMost = 300;  // the longest bar
constexpr int kBarHeight = 14;
constexpr int kBarStep = 18;
constexpr int kTitleHeight = 40;
constexpr int kPanelGap = 22;
constexpr int kTop = 58;

constexpr const char* kStyle = R"(<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .page { fill: #ffffff; }
  .head { font-size: 17px; font-weight: 600; }
  .title { font-weight: 600; }
  .note { fill: #59636e; font-size: 11px; }
  .ours { fill: #0969da; }
  .peer { fill: #afb8c1; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; }
    text { fill: #e6edf3; }
    .note { fill: #9198a1; }
    .ours { fill: #4493f8; }
    .peer { fill: #59636e; }
  }
</style>
)";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

struct Bar {
  std::string engine;
  Summary summary;
};

std::vector<Bar> bars_of(const Results& results, const Row& row) {
  std::vector<Bar> bars;
  for (const EngineKind& kind : results.engines) {
    const std::vector<double> values = results.values(row.name, kind.name, row.metrics.front().name);
    if (!values.empty()) bars.push_back({kind.name, summarize(values)});
  }
  return bars;
}

int panel_height(const std::vector<Bar>& bars) {
  return kTitleHeight + static_cast<int>(bars.size()) * kBarStep + kPanelGap;
}

std::string panel(const Row& row, const std::vector<Bar>& bars, int x, int y) {
  double most = 0;
  for (const Bar& bar : bars) most = std::max(most, bar.summary.median);
  const Metric& metric = row.metrics.front();
  std::string text = fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n", x, y + 12, escaped(row.title));
  text += fmt::format("<text class=\"note\" x=\"{}\" y=\"{}\">{}, {} is better</text>\n", x, y + 28,
                      escaped(metric.label), metric.higher_is_better ? "more" : "less");
  int line = y + kTitleHeight;
  for (const Bar& bar : bars) {
    const double width = most > 0 ? std::max(1.0, bar.summary.median / most * kBarMost) : 1.0;
    text +=
        fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", x + kBarLeft - 8, line + 11, bar.engine);
    text += fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\">",
                        bar.engine == kOurs ? "ours" : "peer", x + kBarLeft, line, width, kBarHeight);
    text += fmt::format("<title>{} to {}</title></rect>", short_number(bar.summary.min), short_number(bar.summary.max));
    text += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{}</text>\n", x + kBarLeft + width + 6, line + 11,
                        short_number(bar.summary.median));
    line += kBarStep;
  }
  return text;
}

}  // namespace

std::string chart(const Results& results, const nlohmann::json& environment) {
  std::string panels;
  std::vector<int> bottoms(kColumns, kTop);
  for (const Row& row : results.rows) {
    const std::vector<Bar> bars = bars_of(results, row);
    if (bars.empty()) continue;
    const auto shortest = std::ranges::min_element(bottoms);
    const auto column = static_cast<int>(shortest - bottoms.begin());
    panels += panel(row, bars, 16 + column * kPanelWidth, *shortest);
    *shortest += panel_height(bars);
  }
  const int height = *std::ranges::max_element(bottoms);
  const int width = kColumns * kPanelWidth + 32;
  std::string text = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">\n",
      width, height);
  text += "<title>MenteDB beside other engines</title>\n";
  text += kStyle;
  text += fmt::format("<rect class=\"page\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n", width, height);
  text += "<text class=\"head\" x=\"16\" y=\"26\">MenteDB beside other engines, each store durable</text>\n";
  text += fmt::format("<text class=\"note\" x=\"16\" y=\"44\">{}</text>\n",
                      escaped(fmt::format("medians of {} interleaved rounds; {}, {}, {} cores, {}", results.rounds,
                                          environment.value("file_system", "?"), environment.value("kernel", "?"),
                                          environment.value("cores", 0), environment.value("begin", "?"))));
  return text + panels + "</svg>\n";
}

}  // namespace mentedb::compare
