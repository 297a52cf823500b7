// The id index: a file and shared state somebody made up, looked up, written to, and made anew.

#include <array>
#include <span>

#include "format/page_format.hpp"
#include "index/id_index.hpp"
#include "support/input.hpp"
#include "support/memory_vfs.hpp"

namespace {

using namespace mentedb;

constexpr std::uint64_t kSeed = 42;
constexpr std::uint64_t kPages = 16;

MemoryId id_of(std::uint8_t number) {
  MemoryId id;
  id.bytes[0] = 1;
  id.bytes[1] = number % 16;
  return id;
}

// Pages 1 to 8 hold memories 1 to 8.
void make_pages(fuzz::MemoryFile& file, const format::Geometry& geometry) {
  file.reset();
  file.resize(geometry.file_bytes(kPages));
  for (std::uint64_t page = 1; page <= kPages; ++page) {
    format::Entry entry{};
    if (page <= 8)
      entry = {.id = id_of(static_cast<std::uint8_t>(page)).bytes,
               .lsn = page,
               .run_pages = 1,
               .type = format::EntryType::memory_stored};
    std::array<std::byte, format::kEntryBytes> bytes{};
    format::encode_entry(entry, page, kSeed, bytes);
    file.write(geometry.entry_offset(page), bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  static const format::Geometry geometry(format::kMinPageBytes);
  static fuzz::MemoryFile pages_file("pages.db");
  make_pages(pages_file, geometry);  // each time: what one input left in the shared state is no other's
  fuzz::MemoryDirectory directory;
  const auto opened = fuzz::open_memory_file(pages_file);
  shared::SharedState words(*opened->map(format::kSharedStateOffset, base::kBlockBytes, true), kSeed);

  const std::uint8_t mode = input.byte();
  const bool writable = (mode & 1) != 0;
  const index::Identity identity{
      .store_id = {1}, .incarnation = {2}, .boot_id = {3}, .pages = {.device = 1, .inode = 1}};
  const std::uint64_t number = (mode & 2) != 0 ? input.number() : 1;
  words.publish_index_number(number);
  words.publish_page_count((mode & 4) != 0 ? input.number() : kPages);

  fuzz::MemoryFile& file = directory.make(format::index_file_name((mode & 8) != 0 ? 1 : number));
  std::array<std::byte, base::kBlockBytes> block{};
  format::IndexHeader header{};
  header.store_id = identity.store_id;
  header.incarnation = identity.incarnation;
  header.boot_id = identity.boot_id;
  header.pages_device = header.pages_inode = 1;
  header.bucket_count = (mode & 16) != 0 ? input.number() : format::kMinIndexBuckets;
  if ((mode & 32) != 0) header = input.take<format::IndexHeader>();
  format::encode_index_header(header, block);
  base::write_struct(block, format::kIndexUsedOffset, input.number());
  if ((mode & 64) != 0) block[input.below(sizeof header)] ^= std::byte{1};
  file.write(0, block);
  file.resize((mode & 128) != 0 ? input.below(20'000) : format::kIndexBucketsOffset + 8 * format::kMinIndexBuckets);

  pages::BufferPool pool(*opened, words, geometry, kSeed);
  index::IdIndex ids(directory, *opened, words, pool, identity, writable);
  const std::uint8_t slots = input.byte() % 64;
  for (std::uint8_t i = 0;
       i < slots && file.size_bytes() > format::kIndexBucketsOffset + 8 * format::kMinIndexBuckets - 1; ++i) {
    // Where an id looks, with its fingerprint, so that somebody finds it.
    const format::IdHash hash = ids.hash(id_of(input.byte()));
    const std::uint64_t position = (hash.start + input.byte() % 4) % format::kMinIndexBuckets;
    const std::uint64_t slot =
        input.flag() ? format::make_bucket(hash.fingerprint, input.number() & 0xFFFF'FFFF) : input.number();
    file.write(format::kIndexBucketsOffset + 8 * position, std::as_bytes(std::span(&slot, 1)));
  }
  if (slots == 63) {  // no slot is empty: nobody may look for one without end
    const std::uint64_t slot = format::kTombstone;
    for (std::uint64_t i = 0; i + 8 <= file.size_bytes() - format::kIndexBucketsOffset; i += 8)
      file.write(format::kIndexBucketsOffset + i, std::as_bytes(std::span(&slot, 1)));
  }

  static_cast<void>(ids.ensure_usable(kPages));
  for (int step = 0; step < 16 && !input.empty(); ++step) {
    const std::uint8_t what = input.byte();
    const MemoryId id = id_of(what >> 4);
    switch (what % 8) {
      case 0:
      case 1:
        if (const auto table = ids.current()) {
          index::Probe probe(**table, ids.hash(id));
          std::uint64_t looks = 0;
          while (const std::uint64_t page = probe.next_page()) {
            FUZZ_REQUIRE(++looks <= (*table)->bucket_count());
            if (pool.contains(page)) static_cast<void>(pool.read_entry(page));
            static_cast<void>(probe.unchanged());
          }
        }
        break;
      case 2:
        if (writable && ids.reserve(1, kPages, kPages)) {
          const index::Lead lead{.id = id, .page = 1 + input.byte() % kPages};
          static_cast<void>(ids.set(std::span(&lead, 1)));
        }
        break;
      case 3:
        if (writable && ids.current()) static_cast<void>(ids.erase(id, 1 + input.byte() % kPages));
        break;
      case 4:
        static_cast<void>(ids.rebuild(kPages));
        break;
      case 5:
        words.publish_index_number(input.number());
        break;
      case 6:
        if (writable) static_cast<void>(ids.ensure_usable(kPages));
        break;
      default:
        static_cast<void>(ids.bucket_count() + ids.used());
        break;
    }
  }
  return 0;
}
