// pages.db without a log on the simulated disk: for tests of the layers below the engine.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "pages/allocator.hpp"
#include "pages/buffer_pool.hpp"
#include "pages/page_file.hpp"
#include "pages/stretches.hpp"
#include "shared/shared_state.hpp"
#include "support/results.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::test {

class PagesFixture : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSeed = 4711;
  static constexpr std::uint32_t kPageBytes = 512;
  static constexpr const char* kPath = "/db/pages.db";

  explicit PagesFixture(const mentedb::test::SimDiskOptions& options = {}) : disk(options) {}

  /// Room and free entries for this many pages, and readers may touch them.
  void grow(std::uint64_t page_count) {
    pages::NewPages new_pages;
    must(pages.grow(words.page_count(), page_count, new_pages));
    must(pages.fill(new_pages));
    must(pages.sync());
    words.publish_page_count(page_count);
  }

  static UuidBytes id(std::uint64_t number) {
    UuidBytes bytes{};
    bytes[0] = 1;
    for (std::size_t i = 0; i < 8; ++i) bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    return bytes;
  }

  static std::vector<std::byte> filled(std::size_t size, int value) {
    return std::vector<std::byte>(size, static_cast<std::byte>(value));
  }

  format::RunHeader header(std::uint64_t page, std::uint64_t lsn, std::uint32_t run_pages, std::size_t payload_bytes) {
    format::RunHeader h{};
    h.page = page;
    h.lsn = lsn;
    h.run_pages = run_pages;
    h.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
    h.type = format::RunType::memory;
    return h;
  }

  /// Entries of a memory's run; its payload is not written.
  void use(std::uint64_t page, std::uint32_t count, std::uint64_t lsn, const UuidBytes& memory = id(1)) {
    must(pages.write_run_entries(
        page, {.id = memory, .lsn = lsn, .run_pages = count, .type = format::EntryType::memory_stored}));
  }
  void free(std::uint64_t page, std::uint32_t count, std::uint64_t lsn,
            format::EntryType type = format::EntryType::deleted) {
    pages::StretchChanges changes;
    changes.add(page, count, lsn, true);
    must(changes.write(pool, pages, pages::StretchChanges::RegionWords::known));
    must(pages.write_freed_entries(page, count, {.id = id(1), .lsn = lsn, .run_pages = 0, .type = type}));
  }

  void flip(std::uint64_t offset) {
    const std::byte flipped = disk.content(kPath).at(offset) ^ std::byte{1};
    disk.damage(kPath, offset, {&flipped, 1});
  }

 private:
  std::unique_ptr<vfs::File> create() {
    auto created = must(directory->open("pages.db", vfs::OpenMode::create, false));
    const std::array<std::byte, format::kFirstRegionOffset> zeros{};
    must(created->write_at(0, zeros));
    must(directory->sync());
    return created;
  }

 protected:
  mentedb::test::SimDisk disk;
  mentedb::test::SimVfs vfs{disk};
  std::unique_ptr<vfs::Directory> directory = must(vfs.open_directory("/db", true));
  std::unique_ptr<vfs::File> file = create();
  format::Geometry geometry{kPageBytes};
  shared::SharedState words{must(file->map(format::kSharedStateOffset, base::kBlockBytes, true)), kSeed};
  pages::BufferPool pool{*file, words, geometry, kSeed};
  pages::PageFile pages{*file, words, geometry, kSeed};
};

}  // namespace mentedb::test
