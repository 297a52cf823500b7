#include "support/damage/damaged_store.hpp"

#include <algorithm>
#include <memory>
#include <random>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/bytes.hpp"
#include "format/log_format.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : descriptor_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    if (descriptor_ < 0) throw std::runtime_error("cannot open " + path.string());
  }
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::vector<std::byte> read(std::uint64_t offset, std::size_t size) const {
    std::vector<std::byte> bytes(size);
    const ssize_t got = pread(descriptor_, bytes.data(), size, static_cast<off_t>(offset));
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }
  void write(std::uint64_t offset, std::span<const std::byte> bytes) const {
    const ssize_t put = pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put != static_cast<ssize_t>(bytes.size())) throw std::runtime_error("cannot write");
  }
  void truncate(std::uint64_t size) const {
    if (ftruncate(descriptor_, static_cast<off_t>(size)) != 0) throw std::runtime_error("cannot truncate");
  }

 private:
  int descriptor_;
};

MemoryNode node_of(std::uint64_t number, std::uint64_t version, std::mt19937_64& random) {
  MemoryNode node;
  node.id.bytes[0] = 0xDA;
  for (std::size_t i = 0; i < 8; ++i) node.id.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  node.agent_id.bytes[0] = 1;
  node.access_count = static_cast<std::uint32_t>(version);
  node.tags = {"damage"};
  node.content.resize(random() % 8 == 0 ? random() % 4'000 : random() % 900);
  for (char& c : node.content) c = static_cast<char>('a' + random() % 26);
  return node;
}

}  // namespace

Damage::~Damage() {
  if (undo_) undo_();
}

Damage Damage::overwrite(const std::filesystem::path& file, std::uint64_t offset, std::span<const std::byte> bytes) {
  const OpenFile open(file);
  auto before = open.read(offset, bytes.size());
  open.write(offset, bytes.first(before.size()));  // a file never becomes longer
  return Damage([file, offset, before = std::move(before)] { OpenFile(file).write(offset, before); });
}

Damage Damage::flip(const std::filesystem::path& file, std::uint64_t offset, int mask) {
  auto byte = OpenFile(file).read(offset, 1);
  for (std::byte& b : byte) b ^= static_cast<std::byte>(mask);
  return overwrite(file, offset, byte);
}

Damage Damage::zeros(const std::filesystem::path& file, std::uint64_t offset, std::size_t size) {
  return overwrite(file, offset, std::vector<std::byte>(size));
}

Damage Damage::truncate(const std::filesystem::path& file, std::uint64_t size) {
  const std::uint64_t whole = std::filesystem::file_size(file);
  const OpenFile open(file);
  auto cut = open.read(size, whole - std::min(size, whole));
  open.truncate(std::min(size, whole));
  return Damage([file, size, cut = std::move(cut)] { OpenFile(file).write(size, cut); });
}

Damage Damage::remove(const std::filesystem::path& file) {
  const std::filesystem::path away = file.string() + ".away";
  const std::filesystem::path outside = file.parent_path().parent_path() / away.filename();
  std::filesystem::rename(file, outside);
  return Damage([file, outside] { std::filesystem::rename(outside, file); });
}

DamagedStore::DamagedStore(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  auto engine = must(StorageEngine::open(store_));
  const auto put = [&](std::uint64_t number, std::uint64_t version) {
    MemoryNode node = node_of(number, version, random);
    must(engine.store_memory(node));
    if (const auto before = memories_.find(node.id); before != memories_.end())
      older_[node.id].push_back(before->second);
    memories_.insert_or_assign(node.id, std::move(node));
  };
  const auto erase = [&](std::uint64_t number) {
    const auto found = memories_.find(node_of(number, 0, random).id);
    must(engine.delete_memory(found->first));
    older_[found->first].push_back(found->second);
    memories_.erase(found);
  };
  for (std::uint64_t number = 1; number <= 60; ++number) put(number, 1);
  const PageId raw = must(engine.allocate_page(3'000));
  must(engine.write_page(raw, std::vector<std::byte>(2'500, std::byte{7})));
  must(engine.checkpoint());
  old_pages_ = read(pages(), 0, std::filesystem::file_size(pages()));
  for (std::uint64_t number = 1; number <= 20; ++number) put(1 + random() % 30, 2 + number);
  must(engine.write_page(raw, std::vector<std::byte>(2'500, std::byte{8})));
  std::vector<std::uint64_t> numbers(20);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = 31 + i;
  std::ranges::shuffle(numbers, random);
  for (std::size_t i = 0; i < 5; ++i) erase(numbers[i]);
  must(engine.checkpoint());
  for (std::uint64_t number = 61; number <= 66; ++number) put(number, 1);
  put(numbers[6], 100);
  erase(numbers[7]);
  put(62, 2);
  const Stats stats = must(engine.stats());
  index_name_ = fmt::format("ids-{}.idx", stats.index_number);
  page_count_ = stats.page_count;
  log_end_ = format::kLogStart + stats.log_used_bytes;
  must(engine.close());
  superblock_ = must(format::decode_superblock(read(pages(), 0, base::kBlockBytes), "pages.db"));
  geometry_ = format::Geometry(superblock_.page_bytes);
  for (const LogBatchDump& batch : must(inspect_log(store_)).batches) batches_.push_back(batch.offset);
  for (std::uint64_t page = 1; page <= page_count_; ++page) {
    if (const auto found = entry(page); found && found->lsn != 0) high_water_ = page;
  }
}

std::vector<std::byte> DamagedStore::read(const std::filesystem::path& file, std::uint64_t offset,
                                          std::size_t size) const {
  return OpenFile(file).read(offset, size);
}

std::optional<format::Entry> DamagedStore::entry(std::uint64_t page) const {
  const auto bytes = read(pages(), geometry_.entry_offset(page), format::kEntryBytes);
  return format::decode_entry(std::span<const std::byte, format::kEntryBytes>(bytes.data(), format::kEntryBytes), page,
                              superblock_.seed);
}

std::uint64_t DamagedStore::page_with(format::EntryType type) const {
  for (std::uint64_t page = 1; page <= page_count_; ++page) {
    if (const auto found = entry(page); found && found->type == type) return page;
  }
  throw std::runtime_error(fmt::format("no entry of type {}", static_cast<int>(type)));
}

VerifyReport DamagedStore::verify() const { return must(verify_store(store_)); }

DamagedStore::Salvaged DamagedStore::salvage() {
  const auto destination = temp_ / "salvaged";
  Salvaged result;
  result.report = must(mentedb::salvage(store_, destination));
  result.wrong = what_is_wrong(result.report, destination, result.missing);
  std::filesystem::remove_all(destination);
  return result;
}

std::string DamagedStore::what_is_wrong(const SalvageReport& report, const std::filesystem::path& destination,
                                        std::set<MemoryId>& missing) const {
  const auto named = [](const std::vector<std::string>& lines, const std::string& words) {
    return std::ranges::any_of(lines, [&](const std::string& line) { return line.find(words) != std::string::npos; });
  };
  std::vector<std::string> lost;
  std::uint64_t counted = 0;
  bool unknown = named(report.notes, "the store's last count of its memories is not known");
  bool log_gap = false;
  for (const Problem& problem : report.lost) {
    lost.push_back(problem.message);
    if (problem.message.find("found nowhere") != std::string::npos) counted = std::stoull(problem.message);
    unknown |= problem.message.find("neither the directory entry") != std::string::npos;
    log_gap |= problem.file == "wal.log" && problem.message.find("left no trace") != std::string::npos;
  }
  const auto verified = must(verify_store(destination));
  if (!verified.problems.empty()) return "the new store does not verify: " + text(verified.problems);
  std::map<MemoryId, MemoryNode> saved;
  auto engine = must(StorageEngine::open(destination));
  must(engine.for_each_memory([&](const MemoryNode& node, PageId) {
    saved.emplace(node.id, node);
    return true;
  }));
  if (saved.size() != report.memories_saved) return "it counts other memories than it has saved";
  for (const auto& [id, node] : saved) {
    const auto wanted = memories_.find(id);
    if (wanted != memories_.end() && wanted->second == node) continue;
    const auto before = older_.find(id);
    if (before == older_.end() || std::ranges::find(before->second, node) == before->second.end())
      return "a memory was saved that nobody stored: " + id.to_string();
    if (wanted != memories_.end()) missing.insert(id);
    // An older version, or a memory that was deleted: only where something says that this may be.
    if (named(lost, id.to_string()) || named(report.notes, id.to_string())) continue;
    if (log_gap || counted > 0 || unknown || !report.notes.empty()) continue;
    return "an older version was saved without a word: " + id.to_string();
  }
  std::uint64_t unnamed = 0;
  for (const auto& [id, node] : memories_) {
    if (saved.contains(id)) continue;
    missing.insert(id);
    if (!named(lost, id.to_string())) ++unnamed;
  }
  if (unnamed > counted && !unknown && !log_gap) {
    return fmt::format("{} memories are missing without a name, {} are counted", unnamed, counted);
  }
  // An old directory entry may promise a memory that was deleted since. Apart from that a whole store has no losses.
  const auto is_of_the_past = [&](const std::string& line) {
    return std::ranges::any_of(older_, [&](const auto& older) {
      return !memories_.contains(older.first) && line.find(older.first.to_string()) != std::string::npos;
    });
  };
  if (missing.empty() && !log_gap && !unknown && !std::ranges::all_of(lost, is_of_the_past))
    return "nothing is missing, and a loss is reported";
  return {};
}

std::string DamagedStore::text(const std::vector<Problem>& problems, const std::vector<std::string>& notes) {
  std::string lines;
  for (const Problem& p : problems)
    lines += fmt::format("{}@{} page {}: {}\n", p.file, p.offset, p.page.value, p.message);
  for (const std::string& note : notes) lines += "note " + note + "\n";
  return lines;
}

}  // namespace mentedb::test
