#include "support/hostile_store.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/checksum.hpp"
#include "engine/engine_impl.hpp"
#include "format/index_format.hpp"
#include "format/page_format.hpp"
#include "support/crash/script.hpp"
#include "support/results.hpp"
#include "support/sim/sim_vfs.hpp"
#include "wal/log.hpp"

namespace mentedb::fuzz {
namespace {

using test::SimDisk;

const std::string kPages = "/store/pages.db";
const std::string kLog = "/store/wal.log";

void must_hold(bool condition) { FUZZ_REQUIRE(condition); }

void fill(StorageEngine& engine) {
  for (std::uint64_t number = 0; number < HostileStore::kMemories; ++number)
    must_hold(engine.store_memory(test::make_memory(number, 1, number == 5 ? 4'000 : 60)).has_value());
  must_hold(engine.store_memory(test::make_memory(2, 2)).has_value());
  must_hold(engine.delete_memory(test::memory_id(3)).has_value());
  const auto raw = engine.allocate_page(2'000);
  must_hold(raw.has_value());
  must_hold(engine.write_page(*raw, std::vector<std::byte>(1'500, std::byte{7})).has_value());
}

std::unique_ptr<SimDisk> make(std::uint64_t shape) {
  auto disk = std::make_unique<SimDisk>();
  test::SimVfs vfs(*disk);
  Options options;
  options.wal_limit_bytes = 64 * 1024;
  options.page_size_bytes = shape == 3 ? 512 : 1'024;
  auto opened = EngineAccess::open(vfs, "/store", options);
  must_hold(opened.has_value());
  std::optional<StorageEngine> engine(std::move(*opened));
  fill(*engine);
  must_hold(engine->checkpoint().has_value());
  if (shape != 1) {
    const auto pages = disk->content(kPages);
    must_hold(engine->store_memory(test::make_memory(4, 2, 3'000)).has_value());
    must_hold(engine->delete_memory(test::memory_id(6)).has_value());
    std::vector<MemoryNode> nodes{test::make_memory(3, 3), test::make_memory(7, 2, 500)};
    must_hold(engine->store_memories(nodes).has_value());
    if (shape == 2) {  // what a power cut may leave: the log has it, the pages do not
      engine.reset();
      disk->install(kPages, pages);
      return disk->clone();
    }
  }
  must_hold(engine->close().has_value());
  engine.reset();
  return disk->clone();
}

const SimDisk& base_store(std::uint64_t shape) {
  static std::array<std::unique_ptr<SimDisk>, HostileStore::kShapes> stores;
  if (stores[shape] == nullptr) stores[shape] = make(shape);
  return *stores[shape];
}

// Changes some bytes of a structure.
template <class T>
void change(Input& input, T& value, std::size_t first = 0) {
  auto bytes = std::as_writable_bytes(std::span(&value, 1)).subspan(first);
  const std::size_t at = input.byte() % bytes.size();
  if (input.flag()) {
    bytes[at] ^= static_cast<std::byte>(input.byte());
    return;
  }
  const std::uint64_t number = input.number();
  const std::size_t aligned = at / 4 * 4;
  std::memcpy(bytes.data() + aligned, &number,
              std::min<std::size_t>({8, bytes.size() - aligned, input.flag() ? 4U : 8U}));
}

}  // namespace

HostileStore::HostileStore(std::uint64_t shape) : disk_(base_store(shape % kShapes).clone()) {
  superblock_ = *format::decode_superblock(read(kPages, 0, base::kBlockBytes), kPages);
  geometry_ = format::Geometry(superblock_.page_bytes);
}

std::uint64_t HostileStore::size_of(const std::string& path) const {
  if (path.empty()) return 0;  // pick_file found none: all were removed
  const std::scoped_lock lock(disk_->kernel()->mutex);
  const auto* directory = disk_->kernel()->find_directory("/store");
  const auto found = directory->current.find(path.substr(sizeof "/store/" - 1));
  return found == directory->current.end() ? 0 : disk_->kernel()->find_file(found->second)->size_bytes();
}

std::string HostileStore::index_path() const {
  const std::scoped_lock lock(disk_->kernel()->mutex);
  for (const auto& [name, inode] : disk_->kernel()->find_directory("/store")->current) {
    if (format::parse_index_file_name(name)) return "/store/" + name;
  }
  return {};
}

std::vector<std::byte> HostileStore::read(const std::string& path, std::uint64_t offset, std::size_t length) const {
  std::vector<std::byte> bytes(length);
  const std::scoped_lock lock(disk_->kernel()->mutex);
  const auto* directory = disk_->kernel()->find_directory("/store");
  const auto found = directory->current.find(path.substr(sizeof "/store/" - 1));
  if (found != directory->current.end()) disk_->kernel()->find_file(found->second)->read(offset, bytes);
  return bytes;
}

// What lies beyond the file is dropped.
void HostileStore::write(const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t size = size_of(path);
  if (offset >= size || bytes.empty()) return;
  disk_->damage(path, offset, bytes.first(std::min<std::uint64_t>(bytes.size(), size - offset)));
}

std::string HostileStore::pick_file(Input& input) const {
  const std::uint8_t which = input.byte() % 4;
  if (which == 3) return index_path();
  return which == 0 ? kLog : kPages;
}

std::uint64_t HostileStore::pick_page(Input& input) const {
  const std::uint8_t page = input.byte();
  return page < 200 ? 1 + page % 40 : 1 + input.below(300);
}

void HostileStore::edit(Input& input, bool live) {
  switch (input.byte() % 12) {
    case 0:
      return edit_bytes(input);
    case 1:
      return live ? edit_words(input) : edit_superblock(input);
    case 2:
      return live ? edit_words(input) : edit_slot(input);
    case 3:
    case 4:
      return edit_words(input);
    case 5:
    case 6:
      return live ? edit_entry(input) : edit_log(input);
    case 7:
      return edit_entry(input);
    case 8:
      return edit_run(input);
    case 9:
      return edit_index(input);
    case 10:
      return move_bytes(input);
    default:
      return live ? edit_words(input) : resize_file(input);
  }
}

// Where something is: headers, words, log, directory, pages. No checksum is put right.
void HostileStore::edit_bytes(Input& input) {
  const std::string path = pick_file(input);
  const std::uint64_t size = size_of(path);
  if (size == 0) return;
  const std::uint64_t area = input.byte() % 4;
  std::uint64_t offset = input.take<std::uint16_t>();
  if (path == kPages && area == 1) offset = geometry_.entry_offset(1) + offset % 2'048;
  if (path == kPages && area > 1) offset += geometry_.page_offset(1);
  if (path == kLog && area > 1) offset = offset % 128 + (offset / 128) % 16 * base::kBlockBytes;
  const std::uint8_t kind = input.byte();
  if (kind < 128) {
    auto one = read(path, offset, 1);
    one[0] ^= static_cast<std::byte>(kind == 0 ? 1 : kind);
    write(path, offset, one);
  } else if (kind < 192) {
    write(path, offset, input.bytes(1 + kind % 64));
  } else {
    write(path, offset, std::vector<std::byte>(1 + std::size_t{kind % 64U} * 64, static_cast<std::byte>(input.byte())));
  }
}

void HostileStore::edit_superblock(Input& input) {
  format::Superblock superblock = superblock_;
  change(input, superblock, sizeof superblock.checksum);
  std::array<std::byte, base::kBlockBytes> block{};
  format::encode_superblock(superblock, block);
  write(kPages, 0, block);
  forged_ = true;
}

void HostileStore::edit_slot(Input& input) {
  const std::size_t which = input.byte() % 2;
  auto block = read(kLog, which * format::kLogHeaderBytes, format::kLogHeaderBytes);
  auto slot = base::read_struct<format::LogHeader>(block);
  change(input, slot, sizeof slot.checksum);
  format::encode_log_header(slot, block);
  write(kLog, which * format::kLogHeaderBytes, block);
  forged_ = true;
}

void HostileStore::edit_words(Input& input) {
  constexpr std::size_t kHintWords = 10;
  const std::uint8_t what = input.byte();
  if (what < 96) {  // the cached tail, with its check
    auto bytes = read(kPages, format::kSharedStateOffset, 8 * kHintWords);
    const std::uint64_t value = input.number();
    std::memcpy(bytes.data() + 8 + 8 * (what % (kHintWords - 1)), &value, sizeof value);
    if (input.flag()) {
      const auto covered = std::span<const std::byte>(bytes).subspan(8);
      const std::uint64_t check = std::max<std::uint64_t>(base::checksum(covered, superblock_.seed), 1);
      std::memcpy(bytes.data(), &check, sizeof check);
      forged_ = true;
    }
    write(kPages, format::kSharedStateOffset, bytes);
    return;
  }
  constexpr std::uint64_t kRecords = format::kFirstRegionOffset - format::kSharedStateOffset;
  constexpr std::array<std::uint64_t, 16> kWords = {128, 136, 144, 152,      192,          200, 512, 256,
                                                    264, 272, 320, kRecords, kRecords + 8, 144, 144, 136};
  const std::uint64_t value = input.number();
  write(kPages, format::kSharedStateOffset + kWords[what % kWords.size()], std::as_bytes(std::span(&value, 1)));
}

std::vector<HostileStore::Batch> HostileStore::read_log(const format::LogHeader& slot) const {
  std::vector<Batch> batches;
  std::uint64_t offset = format::kLogStart;
  std::uint64_t lsn = slot.start_lsn;
  for (;;) {
    auto bytes = read(kLog, offset, base::kBlockBytes);
    const auto header = format::parse_batch_header(bytes, offset);
    if (!header || header->first_lsn != lsn || header->bytes > 65'536) return batches;
    bytes = read(kLog, offset, header->bytes);
    if (!format::batch_verifies(bytes, slot.seed)) return batches;
    lsn += header->operation_count;
    const std::uint64_t at = offset;
    offset += base::round_up(header->bytes, base::kBlockBytes);
    batches.push_back({.offset = at, .bytes = std::move(bytes)});
  }
}

// Changes a batch, or adds one, and seals the chain again from there on.
void HostileStore::edit_log(Input& input) {
  std::optional<format::LogHeader> newest;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto slot = format::decode_log_header(read(kLog, i * format::kLogHeaderBytes, format::kLogHeaderBytes));
    if (slot && (!newest || slot->epoch > newest->epoch)) newest = slot;
  }
  if (!newest) return;
  auto batches = read_log(*newest);
  std::size_t from = 0;
  if (batches.empty() || input.flag()) {
    Batch batch{.offset = format::kLogStart, .bytes = {}};
    format::BatchHeader header{};
    header.first_lsn = newest->start_lsn;
    header.counters = newest->counters;
    if (!batches.empty()) {
      const auto last = base::read_struct<format::BatchHeader>(batches.back().bytes);
      batch.offset = batches.back().offset + base::round_up(last.bytes, base::kBlockBytes);
      header.first_lsn = last.first_lsn + last.operation_count;
      header.counters = last.counters;
    }
    header.offset = batch.offset;
    header.operation_count = 1U + input.byte() % 4;
    batch.bytes.resize(sizeof header);
    for (std::uint32_t i = 0; i < header.operation_count; ++i) {
      format::OperationHeader operation{};
      operation.type = static_cast<format::OperationType>(1 + input.byte() % 5);
      operation.page = pick_page(input);
      operation.run_pages = 1U + input.byte() % 8;
      operation.memory_id = test::memory_id(input.byte() % (kMemories + 4)).bytes;
      const auto payload = input.flag() ? input.bytes(input.byte()) : std::span<const std::byte>();
      operation.payload_bytes = static_cast<std::uint32_t>(payload.size());
      const auto raw = base::bytes_of(operation);
      batch.bytes.insert(batch.bytes.end(), raw.begin(), raw.end());
      batch.bytes.insert(batch.bytes.end(), payload.begin(), payload.end());
      batch.bytes.resize(base::round_up(batch.bytes.size(), 8));
    }
    header.bytes = static_cast<std::uint32_t>(batch.bytes.size());
    base::write_struct(batch.bytes, 0, header);
    from = batches.size();
    batches.push_back(std::move(batch));
  } else {
    from = input.byte() % batches.size();
    auto& bytes = batches[from].bytes;
    if (input.flag()) {
      auto header = base::read_struct<format::BatchHeader>(bytes);
      change(input, header, sizeof header.checksum);
      base::write_struct(bytes, 0, header);
    } else {
      const std::size_t at = sizeof(format::BatchHeader) +
                             input.below(std::min<std::size_t>(bytes.size() - sizeof(format::BatchHeader), 200));
      bytes[at] ^= static_cast<std::byte>(input.byte());
    }
  }
  std::uint64_t previous = from == 0 ? newest->checksum : base::read_struct<std::uint64_t>(batches[from - 1].bytes);
  for (std::size_t i = from; i < batches.size(); ++i) {
    auto header = base::read_struct<format::BatchHeader>(batches[i].bytes);
    header.previous_checksum = previous;
    base::write_struct(batches[i].bytes, 0, header);
    const std::size_t covered = std::clamp<std::size_t>(header.bytes, sizeof header, batches[i].bytes.size());
    format::seal_batch(std::span(batches[i].bytes).first(covered), newest->seed);
    previous = base::read_struct<std::uint64_t>(batches[i].bytes);
    write(kLog, batches[i].offset, batches[i].bytes);
  }
  forged_ = true;
}

void HostileStore::edit_entry(Input& input) {
  const std::uint64_t page = pick_page(input);
  format::Entry entry{};
  const std::uint8_t shape = input.byte();
  entry.type = static_cast<format::EntryType>(1 + shape % 7);
  entry.lsn = (shape & 0x40) != 0 ? input.number() : 1 + input.byte() % 32;
  entry.run_pages = (shape & 0x80) != 0           ? static_cast<std::uint32_t>(input.number())
                    : format::is_free(entry.type) ? 0U
                                                  : 1U + input.byte() % 8;
  if (input.flag()) entry.id = test::memory_id(input.byte() % (kMemories + 4)).bytes;
  std::array<std::byte, format::kEntryBytes> bytes{};
  format::encode_entry(entry, page, superblock_.seed, bytes);
  write(kPages, geometry_.entry_offset(page), bytes);
  forged_ = true;
}

void HostileStore::edit_run(Input& input) {
  const std::uint64_t page = pick_page(input);
  const std::uint64_t offset = geometry_.page_offset(page);
  const std::uint64_t size = size_of(kPages);
  if (offset + geometry_.page_bytes() > size) return;
  auto header = base::read_struct<format::RunHeader>(read(kPages, offset, sizeof(format::RunHeader)));
  if (header.page != page)
    header = {.checksum = 0,
              .page = page,
              .lsn = 1 + input.number(),
              .payload_bytes = 100,
              .run_pages = 1,
              .type = format::RunType::memory,
              .reserved = {}};
  if (input.flag()) change(input, header, sizeof header.checksum);
  const std::uint64_t room = std::min<std::uint64_t>(size - offset - sizeof header, 65'536);
  auto payload = read(kPages, offset + sizeof header, std::min<std::uint64_t>(header.payload_bytes, room));
  if (!payload.empty() && input.flag()) payload[input.below(payload.size())] ^= static_cast<std::byte>(input.byte());
  format::seal_run_header(header, payload, superblock_.seed);
  write(kPages, offset, base::bytes_of(header));
  write(kPages, offset + sizeof header, payload);
  forged_ = true;
}

void HostileStore::edit_index(Input& input) {
  const std::string path = index_path();
  if (path.empty()) return;
  if (input.flag()) {
    auto block = read(path, 0, base::kBlockBytes);
    auto header = base::read_struct<format::IndexHeader>(block);
    change(input, header, sizeof header.checksum);
    format::encode_index_header(header, block);
    write(path, 0, block);
    return;
  }
  const format::IdHash hash = format::hash_id(test::memory_id(input.byte() % (kMemories + 4)).bytes, superblock_.seed);
  const std::uint64_t position = (hash.start + input.byte() % 3) % format::kMinIndexBuckets;
  std::uint64_t slot = input.flag() ? format::make_bucket(hash.fingerprint, pick_page(input)) : input.number();
  if (input.byte() % 8 == 0) slot = format::kEmptyBucket;
  write(path, format::kIndexBucketsOffset + 8 * position, std::as_bytes(std::span(&slot, 1)));
}

// Bytes that verify, in the wrong place or of another time: pages, entries, blocks of the log, slots.
void HostileStore::move_bytes(Input& input) {
  const std::string path = pick_file(input);
  if (path.empty()) return;
  const std::uint8_t what = input.byte() % 3;
  std::uint64_t unit = base::kBlockBytes;
  std::uint64_t first = 0;
  if (path == kPages) {
    unit = what == 0 ? format::kEntryBytes : geometry_.page_bytes();
    first = what == 0 ? geometry_.entry_offset(1) : geometry_.page_offset(1);
  }
  const std::uint64_t from = first + unit * (input.byte() % 40);
  const std::uint64_t to = first + unit * (input.byte() % 40);
  const auto bytes = read(path, from, unit);
  if (input.flag()) write(path, from, read(path, to, unit));
  write(path, to, bytes);
}

void HostileStore::resize_file(Input& input) {
  const std::string path = pick_file(input);
  if (path.empty()) return;
  const std::uint8_t how = input.byte();
  if (how < 32) return disk_->erase(path);
  auto content = disk_->content(path);
  std::size_t size = content.size();
  if (how < 128) {
    size = input.take<std::uint16_t>() * (how % 2 == 0 ? 1U : 64U);
  } else if (how < 224) {
    size -= std::min<std::size_t>(size, input.below(70'000));
  } else {
    size += input.below(70'000);
  }
  content.resize(size);
  disk_->install(path, content);
}

}  // namespace mentedb::fuzz
