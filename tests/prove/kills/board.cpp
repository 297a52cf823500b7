#include "board.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

namespace mentedb::prove {

Board& map_board(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ::ftruncate(file, sizeof(Board)) != 0) {
    throw std::system_error(errno, std::generic_category(), path.string());
  }
  void* const at = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of " + path.string());
  ::close(file);
  return *static_cast<Board*>(at);  // all zero is a good beginning for every field
}

void unmap_board(Board& board) { ::munmap(&board, sizeof(Board)); }

void Board::note_violation(std::string_view who, std::string_view what) {
  const std::uint32_t i = violations.fetch_add(1);
  if (i >= violation_text.size()) return;
  const std::string text = fmt::format("{} (pid {}): {}", who, ::getpid(), what);
  const std::size_t n = std::min(text.size(), violation_text[i].size() - 1);
  std::copy_n(text.data(), n, violation_text[i].data());
}

void Board::fail(std::string_view who, std::string_view what) {
  note_violation(who, what);
  ::_exit(3);
}

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace mentedb::prove
