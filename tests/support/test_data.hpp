// Where the real data lies that some tests read: the directory named by MENTEDB_TEST_DATA, which holds locomo.jsonl
// and mentedb-rs/. The data may not be shipped, so those tests skip when it is absent.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

namespace mentedb::test {

/// The file or directory below MENTEDB_TEST_DATA, or nothing.
inline std::optional<std::filesystem::path> test_data(std::string_view name) {
  const char* directory = std::getenv("MENTEDB_TEST_DATA");
  if (directory == nullptr || *directory == '\0') return std::nullopt;
  std::filesystem::path path = std::filesystem::path(directory) / name;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  return path;
}

}  // namespace mentedb::test
