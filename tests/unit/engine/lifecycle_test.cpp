// open, close, recover, checkpoint, stats, options.
#include <gtest/gtest.h>

#include <thread>

#include "support/crash/trace.hpp"
#include "support/store_fixture.hpp"
#include "support/temp_directory.hpp"

namespace mentedb {
namespace {

using namespace test;

class LifecycleTest : public test::StoreFixture {
 protected:
  static Options with(void (*change)(Options&)) {
    Options options;
    change(options);
    return options;
  }
  /// A store with memory 1 in its pages and memory 2 in its log only, as a killed writer leaves it.
  void leave_unreplayed_log() {
    auto engine = open();
    must(engine.store_memory(memory(1)));
    SimVfs doomed(disk);
    auto writer = must(EngineAccess::open(doomed, kDirectory, {}));
    EXPECT_TRUE(Trace(disk).kill(doomed, write_of(kPagesDb).after(sync_of(kWalLog)),
                                 [&] { return writer.store_memory(memory(2)); }));
    // The doomed engine's destructor runs here and may change nothing.
  }
};

TEST_F(LifecycleTest, AStoreIsThereAfterCloseAndAfterPowerCut) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  must(engine.close());
  EXPECT_TRUE(ok(open().load_memory(memory_id(1))));
  const auto cut = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*cut);
  EXPECT_TRUE(ok(must(EngineAccess::open(rebooted, kDirectory, {})).load_memory(memory_id(1))));
}

void expect_closed(StorageEngine& engine) {
  constexpr auto closed = ErrorCode::closed;
  EXPECT_TRUE(is_error(engine.store_memory(memory(2)), closed));
  EXPECT_TRUE(is_error(engine.store_memory_if_absent(memory(2)), closed));
  EXPECT_TRUE(is_error(engine.store_memories(std::vector<MemoryNode>{memory(2)}), closed));
  EXPECT_TRUE(is_error(engine.store_memories({}), closed));
  EXPECT_TRUE(is_error(engine.update_memory(memory(1)), closed));
  EXPECT_TRUE(is_error(engine.delete_memory(memory_id(1)), closed));
  EXPECT_TRUE(is_error(engine.transact([](Transaction&) -> Result<void> { return {}; }), closed));
  EXPECT_TRUE(is_error(engine.load_memory(memory_id(1)), closed));
  EXPECT_TRUE(is_error(engine.load_memory(PageId{1}), closed));
  EXPECT_TRUE(is_error(engine.find(memory_id(1)), closed));
  EXPECT_TRUE(is_error(engine.scan_all_memories(), closed));
  EXPECT_TRUE(is_error(engine.for_each_memory([](const MemoryNode&, PageId) { return true; }), closed));
  EXPECT_EQ(engine.committed_lsn(), Lsn{0});
  EXPECT_TRUE(is_error(engine.changes_since(Lsn{0}), closed));
  EXPECT_TRUE(is_error(engine.wait_for_change(Lsn{0}, std::chrono::milliseconds(0)), closed));
  EXPECT_TRUE(is_error(engine.allocate_page(), closed));
  EXPECT_TRUE(is_error(engine.write_page(PageId{1}, {}), closed));
  EXPECT_TRUE(is_error(engine.free_page(PageId{1}), closed));
  EXPECT_TRUE(is_error(engine.read_page(PageId{1}), closed));
  EXPECT_TRUE(is_error(engine.recover(), closed));
  EXPECT_TRUE(is_error(engine.checkpoint(), closed));
  EXPECT_TRUE(is_error(engine.backup("/copy"), closed));
  EXPECT_TRUE(is_error(engine.verify(), closed));
  EXPECT_TRUE(is_error(engine.stats(), closed));
  EXPECT_TRUE(ok(engine.close()));
}

TEST_F(LifecycleTest, EveryCallOfAClosedEngineSaysSo) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  must(engine.close());
  must(engine.close());
  expect_closed(engine);
  EXPECT_FALSE(disk.exists("/copy/pages.db"));
}

// Every call but close() went through a null pointer.
TEST_F(LifecycleTest, EveryCallOfAMovedFromEngineSaysSo) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  const StorageEngine moved = std::move(engine);
  expect_closed(engine);  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_TRUE(ok(moved.load_memory(memory_id(1))));
}

TEST_F(LifecycleTest, CloseMakesACheckpointWhenTheLogIsWorthIt) {
  const Options options = with([](Options& o) { o.wal_limit_bytes = 64 * 1024; });
  auto engine = open(options);
  must(engine.store_memory(memory(1)));
  must(engine.close());
  EXPECT_EQ(must(open(options).stats()).epoch, 1U);
  engine = open(options);
  for (std::uint64_t i = 0; i < 8; ++i) must(engine.store_memory(memory(i)));  // 4 KiB each: over a quarter
  must(engine.close());
  EXPECT_EQ(must(open(options).stats()).epoch, 2U);
  EXPECT_EQ(must(open(options).stats()).log_used_bytes, 0U);
}

TEST_F(LifecycleTest, CloseNeverWaitsForAnotherProcess) {
  const Options options = with([](Options& o) { o.wal_limit_bytes = 64 * 1024; });
  auto engine = open(options);
  for (std::uint64_t i = 0; i < 8; ++i) must(engine.store_memory(memory(i)));
  auto other = open();
  must(other.transact([&](Transaction&) -> Result<void> {
    const auto before = vfs.now();
    // From a callback it is refused; what another thread would do is what the destructor does.
    std::thread([&] { must(engine.close()); }).join();
    EXPECT_LT(vfs.now() - before, std::chrono::milliseconds(100));
    return {};
  }));
}

TEST_F(LifecycleTest, MovedEnginesWork) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  StorageEngine moved = std::move(engine);
  EXPECT_TRUE(ok(moved.load_memory(memory_id(1))));
  moved = open({}, "/other");
  EXPECT_TRUE(is_error(moved.load_memory(memory_id(1)), ErrorCode::not_found));
}

TEST_F(LifecycleTest, RecoverAndCheckpointAreIdempotent) {
  auto engine = open();
  for (std::uint64_t i = 0; i < 20; ++i) must(engine.store_memory(memory(i)));
  EXPECT_EQ(must(engine.recover()), 0U);
  EXPECT_EQ(must(engine.recover()), 0U);
  const Stats after = must(engine.stats());
  EXPECT_EQ(after.log_used_bytes, 0U);
  EXPECT_EQ(after.memory_count, 20U);
  must(engine.checkpoint());
  must(engine.checkpoint());
  EXPECT_EQ(must(engine.stats()).epoch, after.epoch);  // nothing to do
  must(engine.store_memory(memory(100)));
  must(engine.checkpoint());
  EXPECT_EQ(must(engine.stats()).epoch, after.epoch + 1);
  EXPECT_EQ(must(engine.stats()).committed_lsn, Lsn{21});
  expect_clean();
}

TEST_F(LifecycleTest, AnUnreplayedLogIsReplayedByOpen) {
  leave_unreplayed_log();
  auto engine = open();
  EXPECT_EQ(must(engine.stats()).redo_operations, 1U);
  EXPECT_TRUE(ok(engine.load_memory(memory_id(2))));
  EXPECT_EQ(must(engine.stats()).memory_count, 2U);
  expect_clean();
}

TEST_F(LifecycleTest, AnUnreplayedLogIsReplayedByTheNextWriter) {
  auto survivor = open();
  leave_unreplayed_log();
  must(survivor.store_memory(memory(3)));
  EXPECT_TRUE(ok(survivor.load_memory(memory_id(2))));
  EXPECT_EQ(must(survivor.scan_all_memories()).size(), 3U);
  expect_clean();
}

TEST_F(LifecycleTest, RecoverTellsHowMuchWasMissing) {
  auto survivor = open();
  leave_unreplayed_log();
  EXPECT_EQ(must(survivor.recover()), 1U);
  EXPECT_EQ(must(survivor.recover()), 0U);
}

TEST_F(LifecycleTest, VerifyCallsAnUnreplayedBatchANoteAndNoDamage) {
  auto survivor = open();
  leave_unreplayed_log();
  const auto report = must(survivor.verify());
  EXPECT_TRUE(report.problems.empty()) << text(report.problems);
  EXPECT_FALSE(report.notes.empty());
  EXPECT_TRUE(is_error(survivor.load_memory(memory_id(2)), ErrorCode::not_found));  // it healed nothing
}

TEST_F(LifecycleTest, TheLogIsCheckpointedAtItsLimit) {
  auto engine = open(with([](Options& o) { o.wal_limit_bytes = 64 * 1024; }));
  for (std::uint64_t i = 0; i < 100; ++i) must(engine.store_memory(memory(i)));
  const Stats stats = must(engine.stats());
  EXPECT_GE(stats.checkpoints, 5U);
  EXPECT_LE(stats.log_used_bytes, 64U * 1024);
  EXPECT_LE(stats.log_file_bytes, 64U * 1024 + 8192);
  EXPECT_EQ(stats.memory_count, 100U);
  expect_clean();
}

TEST_F(LifecycleTest, OneLargeRawPageMakesTheLogGrow) {
  auto engine = open(with([](Options& o) { o.wal_limit_bytes = 64 * 1024; }));
  const PageId raw = must(engine.allocate_page(500'000));
  must(engine.write_page(raw, std::vector(500'000, std::byte{'x'})));
  EXPECT_GT(must(engine.stats()).log_file_bytes, 500'000U);
  must(engine.store_memory(memory(2)));
  EXPECT_EQ(must(engine.read_page(raw)).data.size(), 500'000U);
  must(engine.free_page(raw));
  expect_clean();
}

TEST_F(LifecycleTest, OneLargeMemoryDoesNot) {
  auto engine = open(with([](Options& o) { o.wal_limit_bytes = 64 * 1024; }));
  must(engine.store_memory(memory(1, std::string(500'000, 'x'))));
  EXPECT_LE(must(engine.stats()).log_file_bytes, 64U * 1024 + 8192);
  must(engine.store_memory(memory(2)));
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content.size(), 500'000U);
  expect_clean();
}

TEST_F(LifecycleTest, StatsCountWhatIsThere) {
  auto engine = open();
  Stats s = must(engine.stats());
  EXPECT_EQ(s.page_size_bytes, 1024U);
  EXPECT_EQ(s.used_pages, 0U);
  EXPECT_EQ(s.memory_count, 0U);
  EXPECT_EQ(s.epoch, 1U);
  EXPECT_EQ(s.log_file_bytes, 1U << 20);
  EXPECT_EQ(s.log_used_bytes, 0U);
  EXPECT_EQ(s.wal_limit_bytes, 6U << 20);
  EXPECT_EQ(s.commits, 0U);
  must(engine.store_memory(memory(1, std::string(2000, 'x'))));
  must(engine.store_memory(memory(2)));
  static_cast<void>(must(engine.allocate_page(5000)));
  s = must(engine.stats());
  EXPECT_EQ(s.memory_count, 2U);
  EXPECT_EQ(s.used_pages, 3U + 1U + 5U);
  EXPECT_EQ(s.free_pages, s.page_count - s.used_pages);
  EXPECT_EQ(s.commits, 3U);
  EXPECT_EQ(s.committed_lsn, Lsn{3});
  EXPECT_EQ(s.log_used_bytes, 3U * 4096);
  EXPECT_EQ(s.pages_file_bytes, disk.content(kPages).size());
  EXPECT_EQ(s.index_buckets, 1024U);
  EXPECT_EQ(s.index_buckets_used, 2U);
  EXPECT_TRUE(disk.exists("/db/ids-" + std::to_string(s.index_number) + ".idx"));
  static_cast<void>(must(engine.load_memory(memory_id(1))));
  s = must(engine.stats());
  EXPECT_GE(s.mapped_bytes, s.used_pages * 1024);
  EXPECT_GT(s.resident_bytes, 0U);
  must(engine.checkpoint());
  s = must(engine.stats());
  EXPECT_EQ(s.checkpoints, 1U);
  EXPECT_EQ(s.epoch, 2U);
  EXPECT_EQ(s.log_used_bytes, 0U);
  EXPECT_EQ(must(open().stats()).checkpoints, 0U);  // its own
}

TEST_F(LifecycleTest, OptionsAreChecked) {
  const std::pair<std::string_view, void (*)(Options&)> bad[] = {
      {"page_size_bytes", [](Options& o) { o.page_size_bytes = 1; }},
      {"page_size_bytes", [](Options& o) { o.page_size_bytes = 256; }},
      {"page_size_bytes", [](Options& o) { o.page_size_bytes = 1000; }},
      {"page_size_bytes", [](Options& o) { o.page_size_bytes = 131'072; }},
      {"wal_limit_bytes", [](Options& o) { o.wal_limit_bytes = 64 * 1024 - 1; }},
      {"wal_limit_bytes", [](Options& o) { o.wal_limit_bytes = (std::uint64_t{4} << 30) + 1; }},
      {"lock_timeout", [](Options& o) { o.lock_timeout = std::chrono::milliseconds(-1); }},
  };
  for (const auto& [name, change] : bad) {
    EXPECT_TRUE(is_error(try_open(with(change)), ErrorCode::invalid_argument, name));
    EXPECT_FALSE(disk.exists(kLog));
  }
  EXPECT_TRUE(ok(try_open(with([](Options& o) {
    o.wal_limit_bytes = std::uint64_t{4} << 30;
    o.lock_timeout = std::chrono::milliseconds::max();
  }))));
}

class PageSizeTest : public test::StoreFixture, public ::testing::WithParamInterface<std::uint32_t> {};

TEST_P(PageSizeTest, StoresFindsAndRecovers) {
  Options options;
  options.page_size_bytes = GetParam();
  auto engine = open(options);
  for (std::uint64_t i = 0; i < 60; ++i) must(engine.store_memory(memory(i, std::string(i * i * 11, 'x'))));
  for (std::uint64_t i = 0; i < 60; i += 2) must(engine.delete_memory(memory_id(i)));
  for (std::uint64_t i = 1; i < 60; i += 4) must(engine.update_memory(memory(i, "short")));
  EXPECT_EQ(must(engine.stats()).page_size_bytes, GetParam());
  expect_clean();
  const auto cut = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*cut);
  auto recovered = must(EngineAccess::open(rebooted, kDirectory, {}));
  EXPECT_EQ(must(recovered.stats()).page_size_bytes, GetParam());
  EXPECT_EQ(must(recovered.scan_all_memories()).size(), 30U);
  for (std::uint64_t i = 1; i < 60; i += 2) {
    EXPECT_EQ(must(recovered.load_memory(memory_id(i))).content.size(), i % 4 == 1 ? 5 : i * i * 11);
  }
  EXPECT_TRUE(must(recovered.verify()).problems.empty());
}

INSTANTIATE_TEST_SUITE_P(All, PageSizeTest, ::testing::Values(512, 1024, 2048, 4096, 8192, 16'384, 32'768, 65'536));

TEST_F(LifecycleTest, AnotherPageSizeIsIncompatible) {
  static_cast<void>(open(with([](Options& o) { o.page_size_bytes = 2048; })));
  EXPECT_TRUE(is_error(try_open(with([](Options& o) { o.page_size_bytes = 4096; })), ErrorCode::incompatible, "2048"));
  EXPECT_TRUE(ok(try_open(with([](Options& o) { o.page_size_bytes = 2048; }))));
  EXPECT_TRUE(ok(try_open()));
}

// ---------------------------------------------------------------------------------------------- locks

TEST_F(LifecycleTest, ABusyLockIsNamedAfterItsTimeout) {
  SimVfs other_process(disk);  // a second engine of the holder's thread would not wait
  auto holder = must(EngineAccess::open(other_process, kDirectory, {}));
  auto engine = open(with([](Options& o) { o.lock_timeout = std::chrono::milliseconds(50); }));
  must(holder.transact([&](Transaction&) -> Result<void> {
    const auto before = vfs.now();
    {
      Trace trace(disk);  // an engine that never gives up is not waited for
      trace.kill(Who::anyone(), step(StepKind::try_lock).nth(1'001));
      EXPECT_TRUE(is_error(engine.store_memory(memory(1)), ErrorCode::busy, "wal.log"));
    }
    EXPECT_GE(vfs.now() - before, std::chrono::milliseconds(50));
    EXPECT_TRUE(is_error(engine.checkpoint(), ErrorCode::busy));
    EXPECT_TRUE(ok(engine.scan_all_memories()));  // readers need no lock
    const auto impatient = with([](Options& o) { o.lock_timeout = std::chrono::milliseconds(0); });
    EXPECT_TRUE(ok(try_open(impatient)));  // nor does who opens a store with nothing to repair
    disk.remount();
    EXPECT_TRUE(is_error(try_open(impatient), ErrorCode::busy));
    return {};
  }));
  must(engine.store_memory(memory(1)));
}

TEST_F(LifecycleTest, NoLockIsHeldWhileIdle) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  SimVfs other(disk);
  const auto log =
      must(must(other.open_directory(kDirectory, false))->open("wal.log", vfs::OpenMode::read_only, false));
  EXPECT_TRUE(must(log->try_lock()));
}

// ---------------------------------------------------------------------------------------------- read_only

constexpr auto kReadOnly = [](Options& o) { o.read_only = true; };

TEST_F(LifecycleTest, AReadOnlyEngineReadsAndRefusesWrites) {
  auto writer = open();
  const PageId page = must(writer.store_memory(memory(1, "one")));
  auto engine = open(with(kReadOnly));
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "one");
  EXPECT_EQ(must(engine.load_memory(page)).content, "one");
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 1U);
  EXPECT_EQ(must(engine.changes_since(Lsn{0})).changes.size(), 1U);
  EXPECT_EQ(must(engine.stats()).memory_count, 1U);
  EXPECT_TRUE(must(engine.verify()).problems.empty());
  // It follows what others write.
  must(writer.update_memory(memory(1, "two")));
  must(writer.store_memory(memory(2)));
  EXPECT_EQ(must(engine.load_memory(memory_id(1))).content, "two");
  EXPECT_EQ(must(engine.scan_all_memories()).size(), 2U);
  constexpr auto code = ErrorCode::read_only;
  EXPECT_TRUE(is_error(engine.store_memory(memory(3)), code));
  EXPECT_TRUE(is_error(engine.store_memory_if_absent(memory(3)), code));
  EXPECT_TRUE(is_error(engine.store_memories(std::vector<MemoryNode>{memory(3)}), code));
  EXPECT_TRUE(is_error(engine.update_memory(memory(1)), code));
  EXPECT_TRUE(is_error(engine.delete_memory(memory_id(1)), code));
  EXPECT_TRUE(is_error(engine.allocate_page(), code));
  EXPECT_TRUE(is_error(engine.write_page(page, {}), code));
  EXPECT_TRUE(is_error(engine.free_page(page), code));
  EXPECT_TRUE(is_error(engine.transact([](Transaction&) -> Result<void> { return {}; }), code));
  EXPECT_TRUE(is_error(engine.checkpoint(), code));
  EXPECT_TRUE(is_error(engine.recover(), code));
}

TEST_F(LifecycleTest, AReadOnlyEngineWritesNothing) {
  {
    auto writer = open();
    for (std::uint64_t i = 0; i < 10; ++i) must(writer.store_memory(memory(i)));
    must(writer.backup("/copy"));  // has no index yet, and no cached tail
  }
  for (const char* path : {kDirectory, "/copy"}) {
    disk.set_tracing(true);
    const std::size_t from = disk.trace().size();
    {
      auto engine = open(with(kReadOnly), path);
      EXPECT_EQ(must(engine.scan_all_memories()).size(), 10U);
      EXPECT_TRUE(ok(engine.load_memory(memory_id(3))));
      EXPECT_TRUE(ok(engine.stats()));
      EXPECT_TRUE(ok(engine.verify()));
    }
    for (std::size_t i = from; i < disk.trace().size(); ++i) {
      const auto kind = disk.trace()[i].kind;
      EXPECT_TRUE(kind != StepKind::write && kind != StepKind::store && kind != StepKind::remove &&
                  kind != StepKind::allocate)
          << path << ": " << to_string(kind);
    }
    disk.set_tracing(false);
  }
}

TEST_F(LifecycleTest, AReadOnlyEngineWillNotReplay) {
  leave_unreplayed_log();
  EXPECT_TRUE(ok(try_open(with(kReadOnly)))) << "what was acknowledged is in the pages already";
  disk.remount();
  EXPECT_TRUE(is_error(try_open(with(kReadOnly)), ErrorCode::busy, "mentedb recover"));
  static_cast<void>(open());
  EXPECT_TRUE(ok(try_open(with(kReadOnly))));
}

TEST_F(LifecycleTest, ReadOnlyNeedsAStore) {
  EXPECT_TRUE(is_error(try_open(with(kReadOnly), "/none"), ErrorCode::not_found, "/none"));
  EXPECT_FALSE(disk.exists("/none/wal.log"));
  must(vfs.open_directory("/empty", true));
  EXPECT_TRUE(is_error(try_open(with(kReadOnly), "/empty"), ErrorCode::not_found, "/empty"));
  EXPECT_FALSE(disk.exists("/empty/wal.log"));
}

// ---------------------------------------------------------------------------------------------- other processes

TEST_F(LifecycleTest, ACrashedGrowthDoesNotPullPagesAwayFromReaders) {
  // Growth of a batch that was given up must not be visible: the next opener takes the page count from the log, and
  // a reader in the middle of a scan of the larger directory would find its pages gone.
  auto engine = open();
  must(engine.store_memory(memory(1)));
  const auto word = [&] {
    return base::read_struct<std::uint64_t>(disk.content(kPages), format::kSharedStateOffset + 144);
  };
  const std::uint64_t before = word();
  EXPECT_EQ(before, must(engine.stats()).page_count);
  static_cast<void>(!engine.transact([&](Transaction& tx) -> Result<void> {
    must(tx.store(memory(2, std::string(3'000'000, 'x'))));
    return std::unexpected(Error{ErrorCode::busy, 0, "changed my mind"});
  }));
  EXPECT_EQ(word(), before);
  must(engine.store_memory(memory(2, std::string(3'000'000, 'x'))));
  EXPECT_EQ(word(), must(engine.stats()).page_count);
  expect_clean();
}

TEST(RealDirectory, IsCreatedWithItsParentsAndPrivate) {
  const test::TempDirectory temp;
  {
    auto engine = must(StorageEngine::open(temp / "a" / "b" / "store"));
    must(engine.store_memory(memory(1)));
  }
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(temp / "a" / "b" / "store").permissions(), perms::owner_all);
  for (const auto& file : std::filesystem::directory_iterator(temp / "a" / "b" / "store")) {
    EXPECT_EQ(file.status().permissions(), perms::owner_read | perms::owner_write) << file.path();
  }
}

}  // namespace
}  // namespace mentedb
