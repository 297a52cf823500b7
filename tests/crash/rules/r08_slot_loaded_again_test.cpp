// R8. A read by id loads the bucket, copies, validates, loads the slot again, and accepts only if it is unchanged.

#include <gtest/gtest.h>

#include "format/geometry.hpp"
#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

/// Where a page of small_options begins in pages.db.
std::uint64_t offset_of(PageId page) { return format::Geometry(512).page_offset(page.value); }

// R8, H31. A reader has loaded the slot and stalls. The memory moves away and, in a second update, back to that page;
// that writer is killed before it swaps the slot. What lies on the page is newer than what all others are shown.
TEST(R8, AStalledReaderDoesNotRunAheadOfTheIndex) {
  SimDisk disk;
  auto [writer, mover, reader] = open_processes<3>(disk);
  const PageId first = must(writer->store_memory(make_memory(1, 1)));
  ASSERT_EQ(version_of(reader, 1), 1U);
  std::uint32_t version = 1;
  Trace trace(disk);
  trace.before(reader, step(StepKind::copy), [&] {
    for (bool moves = true; moves && version < 400; version += moves ? 1 : 0) {
      const Moment swap_of_slot = store_to(kIdIndex).after(write_of(kPagesDb).at_byte(offset_of(first)));
      moves = !trace.kill(mover, swap_of_slot, [&] { must(mover->update_memory(make_memory(1, version + 1))); });
    }
  });
  const std::uint32_t shown = version_of(reader, 1);
  ASSERT_FALSE(mover.is_alive()) << "the memory never came back to its first page";
  EXPECT_EQ(shown, version) << "the slot still leads to the version before";
  EXPECT_GE(version_of(reader, 1), shown) << "the next read went back (I3)";
}

}  // namespace
}  // namespace mentedb::test
