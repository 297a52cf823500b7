// Backup and verify while several processes write, make checkpoints and die: a backup is the store of one exact moment,
// and verify raises no false alarm.
#include <csignal>
#include <random>

#include <sys/wait.h>

#include "process/process_test.hpp"
#include "support/ledger.hpp"

namespace mentedb::test {
namespace {

class Ledger : public testing::Test {
 protected:
  void SetUp() override {
    auto engine = StorageEngine::open(store_);
    ASSERT_TRUE(ok(engine));
    ASSERT_TRUE(ok(begin_ledger(*engine)));
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(ok(advance_ledger(*engine)));
  }

  // Waits for lines "round ..." of an actor that loops, killing and replacing the writers meanwhile when asked to.
  void run_rounds(const std::vector<std::string>& role, std::uint64_t rounds, bool kill_writers) {
    std::vector<ActorProcess> writers;
    for (int i = 0; i < 3; ++i) writers.push_back(start_actor(store_, {"ledger"}));
    ActorProcess looper = start_actor(store_, role);
    std::mt19937_64 random(5);
    std::uint64_t kills = 0;
    for (std::uint64_t round = 0; round < rounds;) {
      const auto line = looper.receive(std::chrono::milliseconds(kill_writers ? 1 + random() % 20 : 60'000));
      if (line) {
        ASSERT_TRUE(line->starts_with("round ")) << *line;
        ++round;
        continue;
      }
      ASSERT_TRUE(kill_writers) << "no answer";
      ActorProcess& writer = writers[random() % writers.size()];
      writer.kill();
      writer = start_actor(store_, {"ledger"});
      ASSERT_LT(++kills, 5'000U) << "the rounds do not come to an end";
    }
    if (kill_writers) {
      EXPECT_GT(kills, 0U);
      RecordProperty("kills", static_cast<int>(kills));
    }
    looper.kill();
    for (ActorProcess& writer : writers) {
      writer.signal(SIGTERM);
      const auto last = writer.receive();
      const int status = writer.wait();
      // One that has only just been started may not have set up its signals yet.
      if (!last && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) continue;
      EXPECT_EQ(last.value_or("(no answer)"), "done") << describe_status(status);
    }
    const auto engine = StorageEngine::open(store_);
    ASSERT_TRUE(ok(engine));
    EXPECT_EQ(what_is_wrong_with_ledger(*engine), "");
    EXPECT_GT(engine->stats()->epoch, 1U) << "no checkpoint was made meanwhile";
    const auto report = engine->verify();
    ASSERT_TRUE(ok(report));
    EXPECT_TRUE(report->problems.empty());
  }

  std::vector<std::string> backup_role() const { return {"ledger_backup", (scratch_ / "copy").string()}; }
  static std::uint64_t rounds(std::uint64_t usual) { return number_from_environment("MENTEDB_ROUNDS", usual); }

  const ScratchDirectory scratch_;
  const std::filesystem::path store_ = scratch_ / "store";
};

TEST_F(Ledger, ABackupUnderLoadIsOneMoment) { run_rounds(backup_role(), rounds(12), false); }
TEST_F(Ledger, ABackupWhileWritersAreKilledIsOneMoment) { run_rounds(backup_role(), rounds(8), true); }
TEST_F(Ledger, VerifyUnderLoadRaisesNoFalseAlarm) { run_rounds({"verifier"}, rounds(30), false); }
TEST_F(Ledger, VerifyWhileWritersAreKilledRaisesNoFalseAlarm) { run_rounds({"verifier"}, rounds(30), true); }

}  // namespace
}  // namespace mentedb::test
