// The directory: entries somebody made up, decoded from bytes, and as what scans, allocation and the rebuild of the id
// index find in pages.db.

#include <array>

#include "format/page_format.hpp"
#include "index/id_index.hpp"
#include "pages/allocator.hpp"
#include "pages/directory_cursor.hpp"
#include "store/directory_pass.hpp"
#include "store/live_set.hpp"
#include "support/input.hpp"
#include "support/memory_vfs.hpp"

namespace {

using namespace mentedb;

constexpr std::uint64_t kSeed = 42;

using EntryBytes = std::array<std::byte, format::kEntryBytes>;

// With the right check when `seal`, else as it comes.
EntryBytes make_entry(fuzz::Input& input, std::uint64_t page, bool seal) {
  EntryBytes bytes{};
  if (!seal) return input.take<EntryBytes>();
  const std::uint8_t shape = input.byte();
  format::Entry entry{
      .id = {}, .lsn = input.number(), .run_pages = 0, .type = static_cast<format::EntryType>(shape % 9)};
  entry.id[0] = input.byte() % 8;  // ids that meet each other
  entry.run_pages = static_cast<std::uint32_t>(input.number());
  if ((shape & 0x80) != 0) entry.run_pages = format::is_free(entry.type) ? 0 : 1 + shape % 3;
  format::encode_entry(entry, page, kSeed, bytes);
  return bytes;
}

void decode(fuzz::Input& input, bool seal) {
  const std::uint64_t page = std::clamp<std::uint64_t>(input.number(), 1, format::kMaxPageCount);
  const EntryBytes bytes = make_entry(input, page, seal);
  const auto entry = format::decode_entry(bytes, page, kSeed);
  if (!entry) return;
  if (format::is_head(entry->type)) FUZZ_REQUIRE(format::Geometry::in_one_region(page, entry->run_pages));
  if (format::is_free(entry->type)) FUZZ_REQUIRE(entry->run_pages == (format::lacks_space(*entry) ? 1 : 0));
  if (entry->type == format::EntryType::interior)
    FUZZ_REQUIRE(format::Geometry::region_of(page - entry->run_pages) == format::Geometry::region_of(page));
  EntryBytes again{};
  format::encode_entry(*entry, page, kSeed, again);
  FUZZ_REQUIRE(again == bytes);
}

void use(fuzz::Input& input, bool seal, bool with_index, bool with_allocation) {
  static fuzz::MemoryFile file("pages.db");
  static fuzz::MemoryDirectory directory;
  file.reset();
  const format::Geometry geometry(format::kMinPageBytes);
  const std::uint64_t pages = 1 + input.byte() % 64;
  file.resize(geometry.file_bytes(pages));
  const auto opened = fuzz::open_memory_file(file);
  shared::SharedState words(*opened->map(format::kSharedStateOffset, base::kBlockBytes, true), kSeed);
  format::Counters counters{};
  counters.page_count = pages;
  counters.high_water = input.below(pages + 1);
  counters.used_pages = input.below(counters.high_water + 1);
  words.publish_page_count(input.flag() ? pages : input.number());
  const format::StretchRecord record{.lsn = 0, .free_space = input.number()};
  file.write(geometry.record_offset(0), std::as_bytes(std::span(&record, 1)));
  const std::uint64_t since = input.number();
  const std::uint64_t committed = input.number();
  const std::uint64_t wanted = 1 + input.byte() % 32;
  words.publish_committed_lsn(committed);
  for (std::uint64_t page = 1; page <= pages && !input.empty(); ++page)
    file.write(geometry.entry_offset(page), make_entry(input, page, seal));

  pages::BufferPool pool(*opened, words, geometry, kSeed);
  pages::PageFile page_file(*opened, words, geometry, kSeed);
  pages::DirectoryCursor entries(pool, pages);
  for (std::uint64_t page = pages; page > 0; --page) static_cast<void>(entries.at(page));

  store::LiveSet live;
  for (int pass = 0; pass < 2; ++pass) {
    static_cast<void>(store::pass_over_directory(
        pool, pass == 0 ? 0 : since, pass != 0,
        [&](std::uint64_t page, const format::Entry& entry) { live.take(page, entry, committed); },
        [](std::uint64_t) {}));
  }
  for (const auto& place : live.resolve()) FUZZ_REQUIRE(place.page <= pages);

  index::IdIndex ids(directory, *opened, words, pool, {}, false);
  if (with_index && ids.rebuild(pages)) {
    const auto table = ids.current();
    FUZZ_REQUIRE(table);
    for (std::uint8_t i = 0; i < 8; ++i) {
      MemoryId id;
      id.bytes[0] = i;
      index::Probe probe(**table, ids.hash(id));
      for (int n = 0; n < 4; ++n) {
        const std::uint64_t page = probe.next_page();
        FUZZ_REQUIRE(page <= pages);
        if (page == 0) break;
      }
    }
  }

  pages::Reclaimer reclaimer(pool, page_file);
  const pages::Reclaimer::Slice slice{
      .page_count = pages, .before_lsn = ~std::uint64_t{0}, .least_bytes = 1, .stretches = 4, .runs = 4};
  std::uint64_t unjudged = 0;
  static_cast<void>(reclaimer.erase(0, slice, unjudged));
  static_cast<void>(reclaimer.give_back(0, slice));
  pages::Allocator allocator(pool, page_file, reclaimer);
  pages::TakenRuns taken;
  for (int i = 0; with_allocation && i < 4; ++i) {
    const auto page = allocator.allocate(wanted, 0, counters, taken);
    if (!page || !page_file.fill(taken.new_pages())) break;
    FUZZ_REQUIRE(*page != 0 && *page + wanted - 1 <= counters.page_count);
    words.publish_page_count(counters.page_count);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  const bool seal = (mode & 0x80) != 0;
  if ((mode & 1) != 0) {
    use(input, seal, (mode & 2) != 0, (mode & 4) != 0);
  } else {
    decode(input, seal);
  }
  return 0;
}
