// backup and restore.
#include <gtest/gtest.h>

#include <cerrno>

#include "support/crash/trace.hpp"
#include "support/sample_nodes.hpp"
#include "support/store_fixture.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using namespace test;

class BackupTest : public test::StoreFixture {
 protected:
  /// Memories of many sizes, with holes and a raw page between them.
  void fill(StorageEngine& engine) {
    std::mt19937_64 random(2);
    for (std::uint64_t i = 1; i <= 60; ++i) must(engine.store_memory(memory(i, std::string(i * i, 'x'))));
    for (int i = 0; i < 20; ++i) must(engine.store_memory(test::random_node(random)));
    for (std::uint64_t i = 1; i <= 60; i += 4) must(engine.delete_memory(memory_id(i)));
    for (std::uint64_t i = 2; i <= 60; i += 4) must(engine.update_memory(memory(i, "updated")));
    raw = must(engine.allocate_page(2000));
    must(engine.write_page(raw, std::vector<std::byte>(1500, std::byte{9})));
  }
  static std::vector<MemoryNode> content(StorageEngine& engine) {
    std::vector<MemoryNode> nodes;
    must(engine.for_each_memory([&](const MemoryNode& node, PageId) {
      nodes.push_back(node);
      return true;
    }));
    std::ranges::sort(nodes, {}, &MemoryNode::id);
    return nodes;
  }
  format::Superblock superblock_of(const char* path) const {
    return must(format::decode_superblock(disk.content(path), path));
  }
  PageId raw;
};

TEST_F(BackupTest, HasTheSameContentInAnotherIncarnation) {
  auto engine = open();
  fill(engine);
  must(engine.backup("/copy"));
  auto copy = open({}, "/copy");
  EXPECT_EQ(content(copy), content(engine));
  EXPECT_EQ(must(copy.scan_all_memories()), must(engine.scan_all_memories()));
  EXPECT_EQ(must(copy.read_page(raw)).data, must(engine.read_page(raw)).data);
  expect_clean();
  expect_clean("/copy");
  const auto original = superblock_of(kPages);
  const auto copied = superblock_of("/copy/pages.db");
  EXPECT_EQ(copied.store_id, original.store_id);
  EXPECT_NE(copied.incarnation, original.incarnation);
  EXPECT_GT(copy.committed_lsn(), engine.committed_lsn());  // I8
  // Both go on, each on its own.
  must(copy.store_memory(memory(100)));
  must(engine.store_memory(memory(101)));
  EXPECT_TRUE(is_error(engine.find(memory_id(100)), ErrorCode::not_found));
  EXPECT_TRUE(is_error(copy.find(memory_id(101)), ErrorCode::not_found));
  expect_clean("/copy");
}

TEST_F(BackupTest, IsCleanBeforeAnyoneOpensIt) {
  auto engine = open();
  fill(engine);
  must(engine.backup("/copy"));
  expect_clean("/copy");
}

TEST_F(BackupTest, IsDurableWhenItReturns) {
  auto engine = open();
  fill(engine);
  must(engine.backup("/copy"));
  const auto cut = disk.after_power_cut(mentedb::test::Fate::nothing_kept());
  SimVfs rebooted(*cut);
  auto copy = must(EngineAccess::open(rebooted, "/copy", {}));
  EXPECT_EQ(content(copy), content(engine));
}

TEST_F(BackupTest, AnExistingDestinationIsRefusedAndLeftAlone) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  must(vfs.open_directory("/copy", true));
  EXPECT_TRUE(is_error(engine.backup("/copy"), ErrorCode::already_exists, "/copy"));
  EXPECT_FALSE(disk.exists("/copy/pages.db"));
  EXPECT_TRUE(is_error(engine.backup(kDirectory), ErrorCode::already_exists));
  expect_clean();
}

TEST_F(BackupTest, AnUnfinishedOneIsRefusedWhereverItWasKilled) {
  {
    auto engine = open();
    fill(engine);
  }
  // Count its steps, then kill it before some of them.
  std::uint64_t steps = 0;
  {
    const auto clone = disk.clone();
    SimVfs process(*clone);
    auto engine = must(EngineAccess::open(process, kDirectory, {}));
    const std::uint64_t begin = clone->step_count();
    must(engine.backup("/copy"));
    steps = clone->step_count() - begin;
  }
  int refused = 0;
  int killed = 0;
  for (std::uint64_t at = 1; at < steps; at += 1 + steps / 60) {
    const auto clone = disk.clone();
    {
      SimVfs process(*clone);
      auto engine = must(EngineAccess::open(process, kDirectory, {}));
      Trace trace(*clone);
      trace.kill(process, any_step().nth(at + 1));
      // A kill while the lock is given back does not come through: that runs in destructors, too.
      if (dies([&] { return engine.backup("/copy"); })) ++killed;
    }
    SimVfs next(*clone);
    if (!clone->exists("/copy/pages.db") || clone->content("/copy/pages.db").empty()) continue;
    const auto opened = EngineAccess::open(next, "/copy", {});
    if (!opened) {
      ++refused;
      EXPECT_EQ(opened.error().code, ErrorCode::corruption) << opened.error().message;
      continue;
    }
    // Too late to be unfinished, or so early that it is an empty directory of its own.
    const std::size_t found = must(opened->scan_all_memories()).size();
    EXPECT_EQ(found, 65U) << "killed before step " << at << " of " << steps;
  }
  EXPECT_GT(refused, 10);
  EXPECT_GT(killed, 30);
}

TEST_F(BackupTest, AnUnfinishedOneNamesTheRemedy) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  // Neither can it be taken away again.
  {
    Trace trace(disk);
    trace.keep_failing(Who::anyone(), step(StepKind::remove).or_at(write_of(kWalLog)), ENOSPC);
    EXPECT_TRUE(is_error(engine.backup("/copy"), ErrorCode::no_space, "/copy/wal.log"));
  }
  EXPECT_TRUE(is_error(try_open({}, "/copy"), ErrorCode::corruption, "unfinished backup"));
  const auto found = problems("/copy");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].message.find("unfinished backup"), std::string::npos);
  must(engine.store_memory(memory(2)));  // the source is none the worse
  expect_clean();
}

TEST_F(BackupTest, ADamagedPageFailsItInsteadOfBeingLeftOut) {
  auto engine = open();
  fill(engine);
  must(engine.checkpoint());
  const PageId page = must(engine.find(memory_id(7)));
  flip(kPages, geometry().page_offset(page.value) + 50);
  EXPECT_TRUE(is_error(engine.backup("/copy"), ErrorCode::corruption, "page " + std::to_string(page.value)));
  EXPECT_FALSE(disk.exists("/copy/pages.db"));
}

TEST_F(BackupTest, WritesDuringTheBackupAreInItOrNot) {
  auto engine = open();
  fill(engine);
  auto writer = open();
  int written = 0;
  int copies = 0;
  bool inside = false;
  std::vector<MemoryNode> before;
  disk.set_hook([&](const Step& step) {
    // Each tenth read of an entry another memory moves under the copier's feet; under the lock nobody may.
    if (inside || step.kind != StepKind::copy || written >= 30 || ++copies % 10 != 0) return StepAction::proceed();
    inside = true;
    if (writer.update_memory(
            memory(2 + 4 * static_cast<std::uint64_t>(written % 14), "moved " + std::to_string(written))))
      ++written;
    inside = false;
    return StepAction::proceed();
  });
  const auto result = engine.backup("/copy");
  disk.set_hook({});
  must(Result<void>(result));
  EXPECT_GT(written, 5);
  auto copy = open({}, "/copy");
  EXPECT_EQ(must(copy.scan_all_memories()).size(), 65U);
  EXPECT_EQ(content(copy), content(engine));  // the last pass runs under the lock, after the last write
  expect_clean("/copy");
}

TEST_F(BackupTest, ACopiedDirectoryIsAStoreOfItsOwn) {
  // cp -a of a closed store: other inodes, so another index.
  {
    auto engine = open();
    fill(engine);
  }
  for (const auto& name : must(must(vfs.open_directory(kDirectory, false))->list())) {
    disk.install("/cp/" + name, disk.content(std::string(kDirectory) + "/" + name));
  }
  auto copy = open({}, "/cp");
  EXPECT_EQ(must(copy.scan_all_memories()).size(), 65U);
  for (const auto& [id, page] : must(copy.scan_all_memories())) EXPECT_EQ(must(copy.find(id)), page);
  must(copy.store_memory(memory(500)));
  expect_clean("/cp");
  expect_clean();
}

// restore() binds the real disk.
class RestoreTest : public ::testing::Test {
 protected:
  test::TempDirectory temp;
};

TEST_F(RestoreTest, MakesANewStoreFromABackup) {
  auto engine = must(StorageEngine::open(temp / "store"));
  for (std::uint64_t i = 0; i < 30; ++i) must(engine.store_memory(memory(i, std::string(i * 200, 'x'))));
  must(engine.backup(temp / "backup"));
  const Lsn cursor = engine.committed_lsn();
  must(engine.delete_memory(memory_id(1)));
  // The backup was never opened: nothing but the copy has ever touched it.
  must(StorageEngine::restore(temp / "backup", temp / "restored"));
  auto restored = must(StorageEngine::open(temp / "restored"));
  EXPECT_EQ(must(restored.scan_all_memories()).size(), 30U);
  EXPECT_EQ(must(restored.load_memory(memory_id(1))), memory(1, std::string(200, 'x')));
  EXPECT_TRUE(is_error(restored.changes_since(cursor), ErrorCode::resync_required));
  EXPECT_TRUE(must(restored.verify()).problems.empty());
  EXPECT_TRUE(
      is_error(StorageEngine::restore(temp / "backup", temp / "restored"), ErrorCode::already_exists, "restored"));
  EXPECT_TRUE(is_error(StorageEngine::restore(temp / "none", temp / "other"), ErrorCode::not_found, "none"));
  EXPECT_FALSE(std::filesystem::exists(temp / "other"));
  // From a store in use, too.
  must(StorageEngine::restore(temp / "store", temp / "third"));
  EXPECT_EQ(must(must(StorageEngine::open(temp / "third")).scan_all_memories()).size(), 29U);
}

}  // namespace
}  // namespace mentedb
