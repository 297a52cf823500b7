// Writes the golden stores of the present format: small stores of known content that every later version must open.
// Made once for each version of the format and then kept as they are:
//
//     cmake --build --preset dev --target make_golden
//     build/dev/tests/format/make_golden golden          # twice gives the same bytes
//     cd golden; for store in */; do
//       cmake -E tar cJf "${store%/}.tar.xz" --format=gnutar --mtime=2026-01-01UTC "${store%/}"
//     done
//
// checkpointed   after a checkpoint; the log is empty
// live           copied while a process had it open: operations in the log, and in the pages too
// power_cut      the log of `live` with the pages of `checkpointed`, as when the page file was never written back
// large          `live`, and then a batch whose runs were written before it was logged (R15)
// large_cut      the log and the runs of `large` with the directory of `live`, as when only the sync of the runs was
// made
//
// Beside each store NAME, NAME.json says what is in it.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <mentedb/json.hpp>
#include <mentedb/storage_engine.hpp>
#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "engine/engine_impl.hpp"
#include "format/geometry.hpp"
#include "format/index_format.hpp"
#include "support/results.hpp"
#include "vfs/posix_vfs.hpp"

namespace mentedb {
namespace {

namespace fs = std::filesystem;

// Real files, but ids, seeds and the boot are the same in every run.
class FixedVfs final : public vfs::Vfs {
 public:
  Result<std::unique_ptr<vfs::Directory>> open_directory(const fs::path& path, bool create) override {
    return posix_.open_directory(path, create);
  }
  Result<std::unique_ptr<vfs::Directory>> create_directory(const fs::path& path) override {
    return posix_.create_directory(path);
  }
  Result<void> remove_directory(const fs::path& path) override { return posix_.remove_directory(path); }
  std::chrono::microseconds now() const override { return posix_.now(); }
  void sleep(std::chrono::microseconds time) override { posix_.sleep(time); }
  void random_bytes(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(next_++ * 37 + 11);
  }
  std::array<std::uint8_t, 16> boot_id() const override { return {0xB0, 0x07}; }
  std::uint64_t process_token() const override { return posix_.process_token(); }

 private:
  vfs::Vfs& posix_ = vfs::posix_vfs();
  unsigned next_ = 0;
};

using test::must;

UuidBytes uuid(std::uint8_t kind, std::uint8_t number) {
  UuidBytes bytes{};
  bytes[0] = kind;
  bytes[6] = 0x40;
  bytes[8] = 0x80;
  bytes[15] = number;
  return bytes;
}

MemoryNode small_node(std::uint8_t number, MemoryType type, std::string content) {
  MemoryNode node;
  node.id = MemoryId{uuid(0x11, number)};
  node.agent_id = AgentId{uuid(0xA6, 1)};
  node.memory_type = type;
  node.content = std::move(content);
  node.created_at = 1'700'000'000'000'000 + number;
  node.accessed_at = 1'700'000'000'500'000 + number;
  return node;
}

// Every field, every kind of attribute, several pages.
MemoryNode full_node(std::uint8_t number) {
  MemoryNode node = small_node(number, MemoryType::AntiPattern, "");
  for (int i = 0; i < 300; ++i)
    node.content += "line " + std::to_string(i) + (i % 3 == 0 ? " \xC3\xA9\xF0\x9F\x98\x80\n" : " plain\n");
  node.user_id = UserId{uuid(0x05, 2)};
  node.space_id = SpaceId{uuid(0x5B, 3)};
  for (int i = 0; i < 33; ++i) node.embedding.push_back(0.25F * static_cast<float>(i) - 4.0F);
  node.embedding[7] = -0.0F;
  node.access_count = 4'000'000'000;
  node.salience = 0.1F;
  node.confidence = 0.75F;
  node.attributes["string"] = std::string("text with \"quotes\" and \\");
  node.attributes["empty"] = std::string();
  node.attributes["integer"] = std::int64_t{-9'007'199'254'740'993};
  node.attributes["double"] = 0.1;
  node.attributes["yes"] = true;
  node.attributes["no"] = false;
  node.attributes["bytes"] = Bytes{std::byte{0}, std::byte{255}, std::byte{128}};
  node.attributes["\xC3\xBC"] = std::string("a key that is not ASCII");
  node.tags = {"", "preference", "\xE6\xBC\xA2\xE5\xAD\x97"};
  node.valid_from = 1;
  node.valid_until = kMaxTimestamp;
  node.context = std::string("with\0zero", 9);
  return node;
}

std::vector<std::byte> raw_bytes(std::size_t count, unsigned seed) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(seed = seed * 1'103'515'245 + 12'345);
  return bytes;
}

std::string hex(const std::vector<std::byte>& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

void write_expected(const StorageEngine& engine, const std::vector<PageId>& raw_pages,
                    const std::vector<MemoryId>& deleted, bool redo, const fs::path& path) {
  nlohmann::ordered_json expected;
  const Stats stats = must(engine.stats());
  expected["page_size_bytes"] = stats.page_size_bytes;
  expected["committed_lsn"] = stats.committed_lsn.value;
  expected["redo"] = redo;
  for (const auto& [id, page] : must(engine.scan_all_memories())) {
    const MemoryNode node = must(engine.load_memory(page));
    expected["memories"].push_back({{"page", page.value}, {"node", nlohmann::ordered_json::parse(to_json(node))}});
  }
  for (const PageId page : raw_pages) {
    expected["raw"].push_back({{"page", page.value}, {"hex", hex(must(engine.read_page(page)).data)}});
  }
  for (const MemoryId& id : deleted) expected["deleted"].push_back(id.to_string());
  std::ofstream(path) << expected.dump(1) << "\n";
}

// The identity of the file is the one thing that differs between two runs.
void fix_index(const fs::path& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  std::array<std::byte, base::kBlockBytes> block{};
  stream.read(reinterpret_cast<char*>(block.data()), block.size());
  auto header = format::decode_index_header(block);
  if (!header) must(Result<void>(base::fail(ErrorCode::corruption, "no index header in " + file.string())));
  header->pages_device = 1;
  header->pages_inode = 2;
  format::encode_index_header(*header, block);
  stream.seekp(0);
  stream.write(reinterpret_cast<const char*>(block.data()), block.size());
}

// The marks of recoveries name the mount and the files (ADR 13).
void remove_marks(const fs::path& file) {
  constexpr std::size_t kMarksOffset = 512;
  constexpr std::array<char, 16 * 8> kNone{};
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(format::kSharedStateOffset + kMarksOffset);
  stream.write(kNone.data(), kNone.size());
}

void copy_files(const fs::path& from, const fs::path& to) {
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    fs::copy_file(entry.path(), to / entry.path().filename());
    if (entry.path().extension() == ".idx") fix_index(to / entry.path().filename());
    if (entry.path().filename() == "pages.db") remove_marks(to / entry.path().filename());
  }
}

/// The first so many bytes.
void copy_bytes(const fs::path& from, const fs::path& to, std::uint64_t count) {
  std::vector<char> bytes(count);
  std::ifstream(from, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(count));
  std::fstream(to, std::ios::in | std::ios::out | std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(count));
}

void make(const fs::path& out) {
  fs::create_directories(out);
  const fs::path store = out / "store.tmp";
  fs::remove_all(store);
  FixedVfs vfs;
  Options options;
  options.wal_limit_bytes = 64 * 1024;
  StorageEngine engine = must(EngineAccess::open(vfs, store, options));

  must(engine.store_memory(full_node(1)));
  must(engine.store_memories(std::vector{
      small_node(2, MemoryType::Episodic, ""), small_node(3, MemoryType::Semantic, "User likes dark mode"),
      small_node(4, MemoryType::Procedural, "to be updated"), small_node(5, MemoryType::Reasoning, "to be deleted"),
      small_node(6, MemoryType::Correction, std::string(5'000, 'x'))}));
  const PageId raw = must(engine.allocate_page(1'500));
  must(engine.write_page(raw, raw_bytes(1'500, 1)));
  const PageId empty_raw = must(engine.allocate_page());
  const PageId freed_raw = must(engine.allocate_page());
  MemoryNode updated = small_node(4, MemoryType::Procedural, "updated: " + std::string(1'200, 'u'));
  updated.access_count = 1;
  must(engine.update_memory(updated));
  must(engine.delete_memory(MemoryId{uuid(0x11, 5)}));
  must(engine.free_page(freed_raw));
  must(engine.checkpoint());
  const std::vector<PageId> raw_pages{raw, empty_raw};
  copy_files(store, out / "checkpointed");
  write_expected(engine, raw_pages, {MemoryId{uuid(0x11, 5)}}, false, out / "checkpointed.json");

  must(engine.store_memory(small_node(7, MemoryType::Episodic, "only in the log")));
  must(engine.update_memory(small_node(3, MemoryType::Semantic, "User likes light mode")));
  must(engine.delete_memory(MemoryId{uuid(0x11, 6)}));
  must(engine.transact([](Transaction& tx) -> Result<void> {
    MENTEDB_TRY_ASSIGN(MemoryNode node, tx.load(MemoryId{uuid(0x11, 4)}));
    node.access_count = 2;
    MENTEDB_TRY(tx.update(node));
    MENTEDB_TRY(tx.store(small_node(8, MemoryType::Episodic, "stored and erased in one batch")));
    MENTEDB_TRY(tx.erase(MemoryId{uuid(0x11, 8)}));
    MENTEDB_TRY(tx.store(small_node(9, MemoryType::Semantic, "in a batch of several")));
    return {};
  }));
  must(engine.write_page(raw, raw_bytes(700, 2)));
  const std::vector<MemoryId> deleted{MemoryId{uuid(0x11, 5)}, MemoryId{uuid(0x11, 6)}, MemoryId{uuid(0x11, 8)}};
  copy_files(store, out / "live");
  write_expected(engine, raw_pages, deleted, false, out / "live.json");
  copy_files(out / "checkpointed", out / "power_cut");
  fs::copy_file(out / "live/wal.log", out / "power_cut/wal.log", fs::copy_options::overwrite_existing);
  write_expected(engine, raw_pages, deleted, true, out / "power_cut.json");

  std::vector<MemoryNode> batch;
  for (std::uint8_t number = 10; number < 13; ++number)
    batch.push_back(small_node(number, MemoryType::Semantic, std::string(4'000, static_cast<char>('a' + number))));
  batch.push_back(small_node(7, MemoryType::Episodic, "updated in a large batch"));
  const std::uint64_t logged = must(engine.stats()).log_used_bytes;
  must(engine.store_memories(batch));
  if (must(engine.stats()).log_used_bytes - logged > base::kBlockBytes)
    must(Result<void>(base::fail(ErrorCode::corruption, "the log has the payload of the large batch")));
  copy_files(store, out / "large");
  write_expected(engine, raw_pages, deleted, false, out / "large.json");
  copy_files(out / "large", out / "large_cut");
  copy_bytes(out / "live/pages.db", out / "large_cut/pages.db",
             format::Geometry(must(engine.stats()).page_size_bytes).page_offset(1));
  write_expected(engine, raw_pages, deleted, true, out / "large_cut.json");
  must(engine.close());
  fs::remove_all(store);
}

}  // namespace
}  // namespace mentedb

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: make_golden NEW-DIRECTORY\n";
    return 2;
  }
  try {
    mentedb::make(arguments[1]);
  } catch (const std::exception& error) {
    std::cerr << "make_golden: " << error.what() << "\n";
    return 1;
  }
}
