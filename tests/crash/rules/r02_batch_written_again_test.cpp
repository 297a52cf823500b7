// R2. A complete batch behind the tail, whose writer died, is written again with the same bytes and synced, then
// redone; it is never adopted unsynced.

#include <cerrno>

#include <gtest/gtest.h>

#include "support/crash/process.hpp"
#include "support/results.hpp"

namespace mentedb::test {
namespace {

// R2, H7. The log's sync fails and its writer dies before it could tell any process. In the page cache the batch is
// complete and clean; another sync succeeds and makes nothing durable. (Buffered log: a direct one reads from the
// device.)
TEST(R2, ABatchWhoseSyncFailedIsWrittenAgain) {
  SimDisk disk;
  auto [writer, peer] = open_processes<2>(disk, {.support_direct = false});
  must(peer->store_memory(make_memory(1, 1)));
  must(writer->store_memory(make_memory(2, 1)));
  {
    Trace trace(disk);
    trace.fail(writer, sync_of(kWalLog), EIO);
    trace.kill(writer, any_step().after(sync_of(kWalLog)));
    EXPECT_TRUE(dies([&] { return writer->store_memory(make_memory(3, 1)); }));
  }
  must(peer->store_memory(make_memory(4, 1)));
  const std::uint32_t shown = version_of(peer, 3);

  const auto found = power_cut(disk);
  Process rebooted(*found);
  EXPECT_EQ(version_of(rebooted, 4), 1U) << "it was acknowledged (I1)";
  EXPECT_EQ(version_of(rebooted, 3), shown) << "it was shown (I3)";
}

}  // namespace
}  // namespace mentedb::test
