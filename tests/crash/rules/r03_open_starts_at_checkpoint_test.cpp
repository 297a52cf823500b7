// R3. `open` redoes the log from the checkpoint, whatever the cached tail says.

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R3, H3. The cached tail reaches the disk, the pages do not. An engine that opened at the tail would have nothing to
// redo. Its checkpoint would throw away the log, which has the only copy. (A read alone would not show that: a reader
// that finds a damaged page has the log redone.)
TEST(R3, OpenStartsAtTheCheckpointWhateverTheCachedTailSays) {
  SimDisk disk;
  {
    Process writer(disk);
    must(writer->checkpoint());
    store_memories(*writer, 0, 3);
    writer.kill();
  }
  constexpr std::uint64_t kBehindTheSharedState = 8'192;
  const Leaves leaves = all_but(in(kPagesDb).from(kBehindTheSharedState));
  for (const bool same_boot : {false, true}) {
    const auto found = power_cut(disk, same_boot ? leaves.in_the_same_boot() : leaves);
    Process rebooted(*found);
    must(rebooted->checkpoint());
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
    expect_sound(*found);
  }
}

}  // namespace
}  // namespace mentedb::test
