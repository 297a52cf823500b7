// The price of a call in system calls (I5 and the "@cost" lines of the header). Whoever changes a list here changes
// what users pay.
#include <algorithm>

#include "process/process_test.hpp"
#include "support/system_call_trace.hpp"

namespace mentedb::test {
namespace {

using Names = std::vector<std::string>;

class SystemCalls : public testing::Test {
 protected:
  void SetUp() override {
    if (!strace_works()) GTEST_SKIP() << "strace is missing or may not trace here";
  }

  // The system calls of `line` on an engine that has done everything once; a peer has the store open and sleeps.
  Names calls_of(const std::string& line, const std::vector<std::string>& before = {}) {
    const ScratchDirectory scratch;
    const auto store = scratch / "store";
    const auto peer = StorageEngine::open(store);
    EXPECT_TRUE(ok(peer));
    ActorProcess actor =
        start_actor(store, {"serve"}, {.wrapper = trace_into(scratch / "trace"), .output = std::nullopt});
    std::vector<std::string> lines{"open",   "store 1 1", "update 1 2", "store 2 1", "delete 2",
                                   "load 1", "find 1",    "count",      "lsn",       "changes 0"};
    lines.insert(lines.end(), before.begin(), before.end());
    for (const std::string& warm_up : lines) {
      EXPECT_FALSE(actor.ask(warm_up).starts_with("error")) << warm_up;
    }
    const std::string page = actor.ask("find 1").substr(3);
    EXPECT_EQ(actor.ask("page " + page), "version 2");
    const std::string answer = actor.ask("window " + line + (line == "page" ? " " + page : ""));
    EXPECT_TRUE(!answer.starts_with("error") || answer.starts_with("error not_found")) << answer;
    actor.ask("exit");
    actor.wait();
    Names names;
    for (const SystemCall& call : calls_between_marks(scratch / "trace")) names.push_back(call.name);
    EXPECT_FALSE(names.empty()) << "no marks";
    if (!names.empty()) names.pop_back();  // the second mark
    std::erase(names, "brk");              // the heap of the process grows at any call
    // R11: twice a second a call looks at the files. It may be this one.
    if (names.size() >= 2 && names[0] == "statx" && names[1] == "statx") names.erase(names.begin(), names.begin() + 2);
    return names;
  }
};

// Lock; R11; log; sync; stretch record; run; directory entry; R11 again; unlock. The id index and the shared state are
// memory: madvise asks whether they can be stored to (0.3 us each), the words and the id's slot before the log, and
// both again after.
const Names kStore{"flock",    "statx",     "statx",   "madvise",  "madvise",  "madvise",
                   "pwrite64", "fdatasync", "madvise", "pwrite64", "pwrite64", "pwrite64",
                   "madvise",  "madvise",   "madvise", "statx",    "statx",    "flock"};

TEST_F(SystemCalls, StoreOfANewMemory) { EXPECT_EQ(calls_of("store 3 1"), kStore); }

// The old run is freed: its entry and its header.
TEST_F(SystemCalls, Update) {
  const Names update{"flock",     "statx",   "statx",    "madvise",  "madvise",  "madvise", "pwrite64",
                     "fdatasync", "madvise", "pwrite64", "pwrite64", "pwrite64", "madvise", "pwrite64",
                     "pwrite64",  "madvise", "statx",    "statx",    "flock"};
  EXPECT_EQ(calls_of("update 1 3"), update);
}

TEST_F(SystemCalls, Delete) {
  const Names deletion{"flock",    "statx",     "statx",   "madvise",  "madvise", "madvise",
                       "pwrite64", "fdatasync", "madvise", "pwrite64", "madvise", "madvise",
                       "pwrite64", "pwrite64",  "madvise", "statx",    "statx",   "flock"};
  EXPECT_EQ(calls_of("delete 1"), deletion);
}

// I5: nothing at all.
TEST_F(SystemCalls, LoadById) { EXPECT_EQ(calls_of("load 1"), Names{}); }
TEST_F(SystemCalls, LoadByPage) { EXPECT_EQ(calls_of("page"), Names{}); }
TEST_F(SystemCalls, Find) { EXPECT_EQ(calls_of("find 1"), Names{}); }
TEST_F(SystemCalls, NotFound) { EXPECT_EQ(calls_of("find 77"), Names{}); }
TEST_F(SystemCalls, CommittedLsn) { EXPECT_EQ(calls_of("lsn"), Names{}); }
TEST_F(SystemCalls, ScanOfAFewMemories) { EXPECT_EQ(calls_of("count"), Names{}); }
TEST_F(SystemCalls, ChangesSince) { EXPECT_EQ(calls_of("changes 1"), Names{}); }
// What another process has committed meanwhile is read from memory, too.
TEST_F(SystemCalls, WaitForAChangeThatHasHappened) { EXPECT_EQ(calls_of("wait 0 1000"), Names{}); }

// The sync of the pages, the new header, its sync, and reading it back.
// The pages, the id index, the log's new header.
TEST_F(SystemCalls, CheckpointSyncsThreeFiles) {
  const Names names = calls_of("checkpoint");
  EXPECT_EQ(std::ranges::count(names, "fdatasync"), 3) << testing::PrintToString(names);
  EXPECT_EQ(std::ranges::count(names, "flock"), 2);
}

}  // namespace
}  // namespace mentedb::test
