// backup and restore of the command while others write: the copy is the store of one exact moment.
#include <atomic>
#include <thread>

#include <mentedb/inspect.hpp>

#include "cli/command_test.hpp"
#include "support/ledger.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

class Backup : public CommandTest {};

TEST_F(Backup, UnderLoadItIsTheStoreOfOneMoment) {
  Options small_log;
  small_log.wal_limit_bytes = 128 << 10;  // checkpoints in between, too
  auto engine = must(StorageEngine::open(store(), small_log));
  must(begin_ledger(engine));
  for (int i = 0; i < 120; ++i) must(advance_ledger(engine));
  std::atomic<bool> stop = false;
  std::thread one([&] {
    while (!stop) must(advance_ledger(engine));
  });
  std::thread other([&] {
    auto own = must(StorageEngine::open(store(), small_log));
    while (!stop) must(advance_ledger(own));
  });
  for (int round = 0; round < 5; ++round) {
    const std::string copy = "copy" + std::to_string(round);
    const std::string back = "back" + std::to_string(round);
    const std::uint64_t before = must(ledger_position(engine));
    ok({"backup", copy});
    const std::uint64_t after = must(ledger_position(engine));
    ok({"--dir", back, "restore", copy});
    for (const std::string& name : {copy, back}) {
      EXPECT_TRUE(ok({"--dir", name, "verify"}).starts_with("ok"));
      const auto opened = must(StorageEngine::open(path(name)));
      EXPECT_EQ(what_is_wrong_with_ledger(opened), "");
      EXPECT_GE(must(ledger_position(opened)), before);
      EXPECT_LE(must(ledger_position(opened)), after);
    }
  }
  stop = true;
  one.join();
  other.join();
  EXPECT_EQ(what_is_wrong_with_ledger(engine), "");
}

}  // namespace
}  // namespace mentedb::test
