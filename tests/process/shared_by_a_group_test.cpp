// Two users of one group share a store: the directory is 2770, the files are 0660.
#include <filesystem>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "format/index_format.hpp"
#include "process/process_test.hpp"
#include "support/run_command.hpp"

namespace mentedb::test {
namespace {

namespace fs = std::filesystem;

// A new id index belonged to the user who made it, with mode 0600. The other user could not open it and made another:
// nearly every alternate write rebuilt the index (ids-1721.idx, 40 s for the stores of 5).
TEST(SharedByAGroup, TheIndexIsNotRebuiltForWhoWrote) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be two users";
  constexpr uid_t kOne = 64'001;
  constexpr uid_t kOther = 64'002;
  constexpr gid_t kGroup = 64'000;
  const ScratchDirectory scratch;
  const auto store = scratch / "store";
  {
    auto engine = StorageEngine::open(store);
    ASSERT_TRUE(ok(engine));
    ASSERT_TRUE(ok(engine->store_memory(versioned_memory(1, 1))));
  }
  ASSERT_EQ(chmod(store.parent_path().c_str(), 0755), 0);
  ASSERT_EQ(chown(store.c_str(), kOne, kGroup), 0);
  ASSERT_EQ(chmod(store.c_str(), 02770), 0);
  for (const auto& file : fs::directory_iterator(store)) {
    ASSERT_EQ(chown(file.path().c_str(), kOne, kGroup), 0);
    ASSERT_EQ(chmod(file.path().c_str(), 0660), 0);
  }
  const auto as_user = [](uid_t user) {
    return std::vector<std::string>{"setpriv", "--reuid=" + std::to_string(user), "--regid=" + std::to_string(kGroup),
                                    "--clear-groups"};
  };
  const auto actor_of = [&](uid_t user) {
    return start_actor(store, {"serve"}, {.wrapper = as_user(user), .output = std::nullopt});
  };
  // The program lies where it was built, and that may be a folder of root's own.
  auto reach = as_user(kOne);
  reach.insert(reach.end(), {"test", "-x", actor_command(store, {"serve"}).front()});
  if (run_command(reach).status != 0) GTEST_SKIP() << "another user cannot reach the test programs";
  ActorProcess one = actor_of(kOne);
  ActorProcess other = actor_of(kOther);
  ASSERT_TRUE(one.ask("open").starts_with("ok"));
  ASSERT_TRUE(other.ask("open").starts_with("ok"));
  for (int key = 100; key < 1'100; ++key) {
    ActorProcess& writer = key % 2 == 0 ? one : other;
    ActorProcess& reader = key % 2 == 0 ? other : one;
    const std::string name = std::to_string(key);
    ASSERT_TRUE(writer.ask("store " + name + " 1").starts_with("ok")) << key;
    ASSERT_EQ(reader.ask("load " + name), "version 1") << key;
  }
  // A process of root, as a service might be, locks neither of them out.
  {
    auto engine = StorageEngine::open(store);
    ASSERT_TRUE(ok(engine));
    ASSERT_TRUE(ok(engine->recover())) << "which makes a new index";
  }
  ASSERT_TRUE(one.ask("store 2000 1").starts_with("ok"));
  ASSERT_EQ(other.ask("load 2000"), "version 1");
  for (const auto& file : fs::directory_iterator(store)) {
    const auto number = format::parse_index_file_name(file.path().filename().string());
    if (number) {
      EXPECT_LE(*number, 5U) << "rebuilt for its growth only";
    }
  }
}

}  // namespace
}  // namespace mentedb::test
