#include "progress.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "output.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

constexpr std::size_t kBarCells = 24;

std::string bar(double share) {
  const auto cells = static_cast<std::size_t>(share * kBarCells);
  std::string text(cells, '=');
  if (cells < kBarCells) text += '>';
  return "[" + text + std::string(kBarCells - std::min(kBarCells, text.size()), ' ') + "]";
}

}  // namespace

Progress::Progress(std::string label, std::uint64_t total, bool enabled)
    : label_(std::move(label)), total_(total), enabled_(enabled && err().is_terminal()) {}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Progress::update(std::uint64_t done, std::uint64_t memories) {
  if (!enabled_ || Clock::now() < next_draw_) return;
  next_draw_ = Clock::now() + std::chrono::milliseconds(100);
  const double elapsed = std::max(seconds(), 0.001);
  std::string line = label_ + " ";
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    line += fmt::format("{} {:3.0f}%  ", bar(share), share * 100);
  }
  line += fmt::format("{}  {}/s", counted(memories, "memory", "memories"),
                      with_commas(static_cast<std::uint64_t>(static_cast<double>(memories) / elapsed)));
  if (total_ > 0 && done > 0 && done < total_) {
    const double left = elapsed * (static_cast<double>(total_) / static_cast<double>(done) - 1);
    line += fmt::format("  {} left", human_duration(left));
  }
  if (const std::size_t columns = err().columns(); columns > 0 && line.size() >= columns) line.resize(columns - 1);
  err() << "\r\x1b[K" << line;
  err().flush();
  drawn_ = true;
}

void Progress::clear() {
  if (!drawn_) return;
  err() << "\r\x1b[K";
  err().flush();
  drawn_ = false;
}

}  // namespace mentedb::cli
