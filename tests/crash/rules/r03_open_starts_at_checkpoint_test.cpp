// R3. `open` redoes from the checkpoint, whatever the hint says.

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R3, H3. The hint reaches the disk, the pages below it do not.
TEST(R3, OpenStartsAtTheCheckpointWhateverTheHintSays) {
  SimDisk disk;
  {
    Process writer(disk);
    must(writer->checkpoint());
    store_memories(*writer, 0, 3);
    writer.kill();
  }
  constexpr std::uint64_t kBehindTheWords = 8'192;
  const Leaves leaves = all_but(in(kPagesDb).from(kBehindTheWords));
  for (const bool same_boot : {false, true}) {
    const auto found = power_cut(disk, same_boot ? leaves.in_the_same_boot() : leaves);
    Process rebooted(*found);
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(version_of(rebooted, i), 1U) << i;
    expect_sound(*found);
  }
}

}  // namespace
}  // namespace mentedb::test
