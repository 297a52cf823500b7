#include "offline/lost_superblock.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "format/node_codec.hpp"
#include "offline/raw_store.hpp"

namespace mentedb::offline {
namespace {

constexpr std::uint64_t kPagesTried = 1'024;

// The directory of region 0 begins at the same place for every page size.
bool entries_verify(const RawStore& store) {
  for (std::uint64_t page = 1; page <= kPagesTried; ++page) {
    if (store.read_entry(page)) return true;
  }
  return false;
}

// A run names its own page, and its memory needs exactly the pages that its header names. With a wrong page size both
// hold for page 1 at most.
std::uint64_t memories_found(const RawStore& store) {
  std::uint64_t found = 0;
  base::AlignedBuffer buffer;
  for (std::uint64_t page = 1; page <= kPagesTried && store.contains(page); ++page) {
    const auto run = store.read_run(page, buffer);
    if (!run || run->header.type != format::RunType::memory) continue;
    const auto pages = format::pages_for_payload(run->header.payload_bytes, store.geometry().page_bytes());
    if (pages == run->header.run_pages && format::decode_node(run->payload)) ++found;
  }
  return found;
}

}  // namespace

std::string assume_lost_superblock(RawStore& store) {
  std::array<std::byte, sizeof(format::Superblock)> block{};
  store.read(store.pages_file(), 0, block);
  auto guess = base::read_struct<format::Superblock>(block);
  const std::uint32_t written = guess.page_bytes;
  guess.page_bytes = format::is_valid_page_bytes(written) ? written : format::kDefaultPageBytes;
  store.assume(guess, true);
  const bool seed_known = entries_verify(store);

  store.assume(guess, seed_known);
  std::pair best{memories_found(store), guess.page_bytes};
  for (std::uint32_t bytes = format::kMinPageBytes; bytes <= format::kMaxPageBytes; bytes *= 2) {
    guess.page_bytes = bytes;
    store.assume(guess, seed_known);
    if (const std::uint64_t found = memories_found(store); found > best.first) best = {found, bytes};
  }
  guess.page_bytes = best.second;
  store.assume(guess, seed_known);
  return fmt::format("the superblock is damaged; the pages look like pages of {} bytes, and {}", guess.page_bytes,
                     seed_known ? "their checksums were checked"
                                : "the seed of their checksums is lost, so every memory that decodes was taken, and "
                                  "changed bytes inside a memory were not noticed");
}

}  // namespace mentedb::offline
