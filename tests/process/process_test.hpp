// What the process tests share.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <mentedb/storage_engine.hpp>

#include "process/versioned_memory.hpp"
#include "support/actor_process.hpp"
#include "support/results.hpp"
#include "support/scratch_directory.hpp"

namespace mentedb::test {

inline std::vector<std::string> actor_command(const std::filesystem::path& directory,
                                              const std::vector<std::string>& role) {
  const char* other = std::getenv("MENTEDB_ACTOR");  // tools/prove mutants: an actor of the mutated library
  std::vector<std::string> command{other != nullptr ? other : MENTEDB_ACTOR, directory.string()};
  command.insert(command.end(), role.begin(), role.end());
  return command;
}

inline ActorProcess start_actor(const std::filesystem::path& directory, const std::vector<std::string>& role,
                                const ActorProcess::Setup& setup = {}) {
  return ActorProcess::spawn(actor_command(directory, role), setup);
}

/// An actor that obeys lines and has the store open.
inline ActorProcess serving_actor(const std::filesystem::path& directory, std::string_view options = "",
                                  const ActorProcess::Setup& setup = {}) {
  ActorProcess actor = start_actor(directory, {"serve"}, setup);
  EXPECT_EQ(actor.ask("open " + std::string(options)), "ok");
  return actor;
}

inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

/// `verify` finds nothing, every memory is a whole version, and the counters are what a count gives (I2, I12).
inline void expect_healthy(const StorageEngine& engine) {
  const auto report = engine.verify();
  ASSERT_TRUE(ok(report));
  for (const Problem& problem : report->problems) ADD_FAILURE() << problem.file << ": " << problem.message;
  std::uint64_t memories = 0;
  std::uint64_t pages = 0;
  ASSERT_TRUE(ok(engine.for_each_memory([&](const MemoryNode& node, PageId page) {
    EXPECT_EQ(what_is_wrong(node), "");
    ++memories;
    const auto copy = engine.read_page(page);
    EXPECT_TRUE(ok(copy));
    if (copy) pages += copy->header.page_count;
    const auto found = engine.find(node.id);
    EXPECT_TRUE(found && *found == page) << "find and scan disagree about memory " << number_of(node.id);
    return true;
  })));
  const auto stats = engine.stats();
  ASSERT_TRUE(ok(stats));
  EXPECT_EQ(stats->memory_count, memories);
  EXPECT_GE(stats->used_pages, pages);  // raw pages may be there, too
}

/// The version of memory `key`, 0 when there is none.
inline std::uint32_t version_in(const StorageEngine& engine, std::uint64_t key) {
  const auto node = engine.load_memory(memory_id(key));
  if (node) {
    EXPECT_EQ(what_is_wrong(*node), "");
    return version_of(*node);
  }
  EXPECT_TRUE(is_error(node, ErrorCode::not_found));
  return 0;
}

inline std::chrono::milliseconds milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
}

}  // namespace mentedb::test
