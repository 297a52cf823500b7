// The mistakes of the original engine, each worth a test (the list at the end of part 3 of the design).
#include <gtest/gtest.h>

#include <set>

#include "base/checksum.hpp"
#include "format/geometry.hpp"
#include "format/index_format.hpp"
#include "support/crash/trace.hpp"
#include "support/store_fixture.hpp"

namespace mentedb {
namespace {

using namespace test;

class OriginalMistakes : public test::StoreFixture {
 protected:
  vfs::FileId id_of(std::string_view name) { return must(must(vfs.open_directory(kDirectory, false))->id_of(name)); }
  StorageEngine open_on(SimVfs& process) { return must(EngineAccess::open(process, kDirectory, {})); }
  /// Bytes read from wal.log since the trace had `from` entries.
  std::uint64_t log_bytes_read(std::size_t from) const {
    std::uint64_t bytes = 0;
    for (std::size_t i = from; i < disk.trace().size(); ++i) {
      const auto& step = disk.trace()[i];
      if (step.kind == StepKind::read && disk.kernel()->trace_names[step.file] == "wal.log") bytes += step.length;
    }
    return bytes;
  }
};

// The original renamed a new log over the old one at each checkpoint: whoever waited for the lock of the old file then
// held the lock of a file without a name, beside the next writer.
TEST_F(OriginalMistakes, TheLogIsRenamedAtCheckpoints) {
  Options options;
  options.wal_limit_bytes = 64 * 1024;
  auto engine = open(options);
  const auto log = id_of("wal.log");
  const auto pages = id_of("pages.db");
  std::size_t size = 0;
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 30; ++i) must(engine.store_memory(memory(i)));
    must(engine.checkpoint());
    must(engine.recover());
    must(engine.store_memory(memory(1, std::string(200'000, 'x'))));
    must(engine.close());
    engine = open(options);
    EXPECT_EQ(id_of("wal.log"), log);
    EXPECT_EQ(id_of("pages.db"), pages);
    EXPECT_GE(disk.content(kLog).size(), size) << "nor is it ever cut";
    size = disk.content(kLog).size();
  }
}

// Each append read the whole log to find its end: 114 commits a second, falling as the log grew.
TEST_F(OriginalMistakes, EachWriteReadsTheWholeLogAgain) {
  auto engine = open();
  auto other = open();
  must(engine.store_memory(memory(1)));
  must(other.store_memory(memory(2)));
  disk.set_tracing(true);
  for (std::uint64_t i = 3; i < 100; ++i) must((i % 2 == 0 ? engine : other).store_memory(memory(i)));
  EXPECT_EQ(log_bytes_read(0), 0U);
  must(engine.checkpoint());
  must(other.store_memory(memory(200)));  // learns of the new epoch from the two headers
  EXPECT_LE(log_bytes_read(0), 4U * 8192);
}

// A page whose checksum failed ended the open, although the log had its image: one torn page locked everyone out.
TEST_F(OriginalMistakes, ATornPageBlocksOpen) {
  PageId page;
  {
    auto engine = open();
    page = must(engine.store_memory(memory(1, std::string(3000, 'x'))));
  }
  overwrite(kPages, geometry().page_offset(page.value) + 512, 1024, 0xEE);
  auto engine = open();
  EXPECT_EQ(must(engine.load_memory(page)).content, std::string(3000, 'x'));
  expect_clean();
}

// A torn entry stayed at the end of the log; what was appended behind it was never found again.
TEST_F(OriginalMistakes, ATornTailHidesWhatComesAfterIt) {
  {
    auto engine = open();
    must(engine.store_memory(memory(1)));
    SimVfs doomed(disk);
    auto writer = open_on(doomed);
    constexpr std::uint64_t kTwoSectors = 1024;  // of the batch get there
    Trace trace(disk);
    trace.kill(doomed, append_to_log(), kTwoSectors);
    EXPECT_TRUE(dies([&] { return writer.store_memory(memory(2, std::string(9000, 'x'))); }));
  }
  auto engine = open();
  EXPECT_TRUE(is_error(engine.find(memory_id(2)), ErrorCode::not_found));
  must(engine.store_memory(memory(3)));
  must(engine.store_memory(memory(4)));
  const auto cut = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*cut);
  auto recovered = open_on(rebooted);
  EXPECT_EQ(must(recovered.scan_all_memories()).size(), 3U);
  EXPECT_TRUE(ok(recovered.load_memory(memory_id(4))));
}

// The lock was dropped between the log and the page: a checkpoint of another process in that gap threw the log away
// before the page was written.
TEST_F(OriginalMistakes, TheLockIsDroppedBeforeThePageIsWritten) {
  auto engine = open();
  must(engine.store_memory(memory(1)));
  disk.set_tracing(true);
  must(engine.update_memory(memory(1, "two")));
  bool locked = false;
  int page_writes = 0;
  for (const auto& step : disk.trace()) {
    const std::string_view file = disk.kernel()->trace_names[step.file];
    if (step.kind == StepKind::try_lock && file == "wal.log") locked = true;
    if (step.kind == StepKind::unlock && file == "wal.log") locked = false;
    EXPECT_TRUE(locked || step.kind != StepKind::write) << file;
    // Without the lock only the words are stored that waiters announce themselves with.
    EXPECT_TRUE(locked || step.kind != StepKind::store || step.offset >= format::kSharedStateOffset + 256)
        << "word " << step.offset;
    page_writes += step.kind == StepKind::write && file == "pages.db" ? 1 : 0;
  }
  EXPECT_FALSE(locked);
  EXPECT_GE(page_writes, 2);
  disk.set_tracing(false);
  // And the gap itself: another process tries a checkpoint before each write of the page file.
  Options impatient;
  impatient.lock_timeout = std::chrono::milliseconds(0);
  auto other = open(impatient);
  {
    Trace trace(disk);
    const Event tried = trace.before_each(Who::anyone(), write_of(kPagesDb),
                                          [&] { EXPECT_TRUE(is_error(other.checkpoint(), ErrorCode::busy)); });
    must(engine.update_memory(memory(1, "three")));
    EXPECT_GT(tried.times(), 1U);
  }
  EXPECT_EQ(must(other.load_memory(memory_id(1))).content, "three");
}

// LSNs began at 1 again after each checkpoint and reopen, so newer pages looked older than the log.
TEST_F(OriginalMistakes, LsnsBeginAgain) {
  std::uint64_t last = 0;
  std::set<std::uint64_t> seen;
  for (std::uint64_t round = 0; round < 6; ++round) {
    auto engine = open();
    EXPECT_GE(engine.committed_lsn().value, last);
    for (std::uint64_t i = 0; i < 5; ++i) {
      const PageId page = must(engine.store_memory(memory(round * 10 + i)));
      const std::uint64_t lsn = must(engine.read_page(page)).header.lsn.value;
      EXPECT_GT(lsn, last);
      EXPECT_TRUE(seen.insert(lsn).second);
      last = lsn;
    }
    if (round % 3 == 0) must(engine.checkpoint());
    if (round % 3 == 1) must(engine.recover());
  }
  const auto cut = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*cut);
  auto engine = open_on(rebooted);
  EXPECT_EQ(engine.committed_lsn().value, last);
  EXPECT_GT(must(engine.read_page(must(engine.store_memory(memory(999))))).header.lsn.value, last);
}

// Each process kept its own frames, and wrote a stale one over what another process had committed.
TEST_F(OriginalMistakes, AStaleFrameAfterAnotherProcessWrote) {
  auto engine = open();
  const PageId page = must(engine.allocate_page(1500));
  SimVfs second(disk);
  auto other = open_on(second);
  for (int round = 1; round < 40; ++round) {
    const std::vector<std::byte> data(static_cast<std::size_t>(round * 30), static_cast<std::byte>(round));
    StorageEngine& writer = round % 3 == 0 ? engine : other;
    StorageEngine& reader = round % 3 == 0 ? other : engine;
    EXPECT_TRUE(ok(reader.read_page(page)));  // has it in whatever cache there is
    must(writer.write_page(page, data));
    ASSERT_EQ(must(reader.read_page(page)).data, data);
    if (round % 5 == 0) must(reader.checkpoint());  // writes back what it has: it must not have an old image
    ASSERT_EQ(must(writer.read_page(page)).data, data);
  }
  const auto cut = disk.after_power_cut(Fate::nothing_kept());
  SimVfs rebooted(*cut);
  EXPECT_EQ(must(open_on(rebooted).read_page(page)).data.size(), 39U * 30);
}

// The free list was written beside the log: after a crash a page was free and in use at once, and given away again.
TEST_F(OriginalMistakes, TheFreeListIsOutOfStepAfterACrash) {
  {
    auto engine = open();
    for (std::uint64_t i = 0; i < 12; ++i) must(engine.store_memory(memory(i, std::string(i % 4 * 700, 'x'))));
    for (std::uint64_t i = 0; i < 12; i += 3) must(engine.delete_memory(memory_id(i)));
  }
  // Killed before each step of a write that frees one run and takes another.
  for (std::uint64_t at = 0;; ++at) {
    const auto clone = disk.clone();
    bool killed = false;
    {
      SimVfs doomed(*clone);
      auto engine = open_on(doomed);
      killed = Trace(*clone).kill(doomed, any_step().nth(at + 1),
                                  [&] { return engine.update_memory(memory(4, std::string(2500, 'y'))); });
    }
    SimVfs next(*clone);
    auto engine = open_on(next);
    for (std::uint64_t i = 100; i < 115; ++i) must(engine.store_memory(memory(i, std::string(i % 3 * 900, 'z'))));
    for (std::uint64_t i = 0; i < 12; ++i) {
      if (i % 3 == 0) continue;
      const auto node = engine.load_memory(memory_id(i));
      ASSERT_TRUE(ok(node)) << "killed before step " << at;
      ASSERT_TRUE(i == 4 || *node == memory(i, std::string(i % 4 * 700, 'x'))) << i;
    }
    const auto report = must(engine.verify());
    ASSERT_TRUE(report.problems.empty()) << "killed before step " << at << "\n" << text(report.problems);
    if (!killed) break;
  }
}

// A deletion was not logged as one: replaying the log stored the memory again.
TEST_F(OriginalMistakes, ADeletedMemoryComesBack) {
  auto engine = open();
  for (std::uint64_t i = 1; i <= 5; ++i) must(engine.store_memory(memory(i)));
  must(engine.update_memory(memory(2, "newer")));
  must(engine.delete_memory(memory_id(1)));
  must(engine.delete_memory(memory_id(2)));
  const auto gone = [](StorageEngine& where) {
    EXPECT_TRUE(is_error(where.load_memory(memory_id(1)), ErrorCode::not_found));
    EXPECT_TRUE(is_error(where.load_memory(memory_id(2)), ErrorCode::not_found));
    EXPECT_EQ(must(where.scan_all_memories()).size(), 3U);
  };
  for (const bool checkpointed : {false, true}) {
    const auto pending = disk.pending();
    for (const Fate& fate : {Fate::nothing_kept(), Fate::everything_kept(pending)}) {
      const auto cut = disk.after_power_cut(fate);
      SimVfs rebooted(*cut);
      auto recovered = open_on(rebooted);
      gone(recovered);
      must(recovered.recover());
      gone(recovered);
    }
    if (checkpointed) break;
    must(engine.checkpoint());
  }
  // With the index gone, it is rebuilt from pages that still hold the old bytes.
  for (const auto& name : must(must(vfs.open_directory(kDirectory, false))->list())) {
    if (name.starts_with("ids-")) disk.erase(std::string(kDirectory) + "/" + name);
  }
  auto fresh = open();
  gone(fresh);
}

// 64 KiB a memory, whatever its size: 34 times the data.
TEST_F(OriginalMistakes, SixtyFourKibibytesPerMemory) {
  auto engine = open();
  std::vector<MemoryNode> nodes;
  for (std::uint64_t i = 0; i < 1000; ++i) nodes.push_back(memory(i, std::string(500, 'x')));
  must(engine.store_memories(nodes));
  EXPECT_EQ(must(engine.stats()).used_pages, 1000U);  // of 1 KiB
  EXPECT_LT(must(engine.stats()).pages_file_bytes, 1000U * 1024 * 2 + format::Geometry().page_offset(1));
}

// The format changed and its version number did not. These are the bytes of version 2: when this test fails, the format
// has changed, and kFormatVersion, docs/format.md and a new golden file go into the same commit.
TEST_F(OriginalMistakes, TheVersionStaysWhileTheFormatChanges) {
  ASSERT_EQ(format::kFormatVersion, 2U);
  const MemoryId id = must(MemoryId::parse("aa000000-0000-0000-0000-000000000001"));
  std::array<std::byte, 4096> block{};
  const auto sum = [&] { return base::checksum(block, 1); };
  format::Superblock superblock{};
  superblock.magic = format::kPagesMagic;
  superblock.version = 2;
  superblock.state = format::StoreState::created;
  superblock.page_bytes = 1024;
  superblock.store_id.fill(1);
  superblock.incarnation.fill(2);
  superblock.seed = 3;
  format::encode_superblock(superblock, block);
  std::vector<std::uint64_t> sums{sum()};
  format::LogHeader slot{};
  slot.epoch = 1;
  slot.seed = 2;
  slot.start_lsn = 3;
  slot.counters = {.page_count = 9, .high_water = 8, .used_pages = 7, .memory_count = 6, .reuse_horizon = 5};
  format::encode_log_header(slot, block);
  sums.push_back(sum());
  block.fill(std::byte{0});
  format::IndexHeader index{};
  index.bucket_count = 1024;
  format::encode_index_header(index, block);
  sums.push_back(sum());
  block.fill(std::byte{0});
  format::Entry entry{.id = id.bytes, .lsn = 2, .run_pages = 3, .type = format::EntryType::memory_updated};
  format::encode_entry(entry, 4, 5, std::span(block).first<format::kEntryBytes>());
  sums.push_back(sum());
  block.fill(std::byte{0});
  format::RunHeader run{};
  run.page = 1;
  run.lsn = 2;
  run.payload_bytes = 3;
  run.run_pages = 1;
  run.type = format::RunType::memory;
  format::seal_run_header(run, std::span(block).first(3), 4);
  base::write_struct(std::span(block), 0, run);
  sums.push_back(sum());
  block.fill(std::byte{0});
  format::BatchHeader batch{};
  batch.offset = 8192;
  batch.first_lsn = 1;
  batch.operation_count = 1;
  batch.bytes = 120;
  base::write_struct(std::span(block), 0, batch);
  format::seal_batch(std::span(block).first(120), 5);
  sums.push_back(sum());
  sums.push_back(format::hash_id(id.bytes, 1).start);
  sums.push_back(format::hash_id(id.bytes, 1).fingerprint);
  EXPECT_EQ(sums, (std::vector<std::uint64_t>{16838753434690531900U, 1406625200564109167U, 14416797929519684307U,
                                              11550279210554355862U, 7395549642845209854U, 110725964105268550U,
                                              3812765029089836646U, 551111418U}));
}

}  // namespace
}  // namespace mentedb
