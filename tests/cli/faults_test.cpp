// What tools/prove faults found with strace(1) and the real command.
#include <cstdlib>

#include "cli/command_test.hpp"

namespace mentedb::test {
namespace {

class CommandFaults : public CommandTest {
 protected:
  void SetUp() override {
    if (std::system("strace -o /dev/null -e inject=close:error=EIO:when=1 true > /dev/null 2>&1") != 0)
      GTEST_SKIP() << "strace is missing or may not inject here";
  }

  /// Runs the command; `fault` is strace's, for example "openat:error=EIO:when=3".
  CommandResult run_with(const std::string& fault, const Arguments& arguments) const {
    Arguments words{"strace", "-f", "-o", "/dev/null", "-e", "inject=" + fault};
    const Arguments all = command(arguments);
    words.insert(words.end(), all.begin(), all.end());
    return run_command(words, options());
  }
};

// A kernel or a filter without getrandom(2) ended the program with an assertion.
TEST_F(CommandFaults, WithoutGetrandom) {
  const CommandResult result = run_with("getrandom:error=ENOSYS", {"store", "text"});
  EXPECT_EQ(result.status, 0) << result.err << " signal " << result.signal;
  EXPECT_EQ(count_lines(ok({"list"})), 1U);
}

// A madvise(2) that says EAGAIN again and again was called for ever.
TEST_F(CommandFaults, AKernelThatStaysShortOfMemory) {
  stored("text");
  const CommandResult result = run_with("madvise:error=EAGAIN", {"list"});
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_NE(result.err.find("cannot read"), std::string::npos) << result.err;
}

// The directory was there already when something about it failed; the next attempt was refused.
TEST_F(CommandFaults, AHalfMadeDestinationIsRemoved) {
  stored("text");
  EXPECT_EQ(run_with("fchmod:error=EIO", {"backup", path("copy")}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(path("copy")));
  EXPECT_EQ(run_with("fsync:error=EIO", {"backup", path("copy")}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(path("copy")));
  ok({"backup", path("copy")});
}

// Every message says what to do, also for an errno that nobody thought of.
TEST_F(CommandFaults, EveryErrnoHasARemedy) {
  constexpr const char* kNobody = "11111111-0000-4000-8000-000000000001";
  stored("text");
  for (const char* error : {"EIO", "ENODEV", "ESTALE", "ENOLCK", "EINVAL"}) {
    const CommandResult result = run_with(std::string("flock:error=") + error, {"delete", kNobody});
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.err.find("wal.log: "), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("; "), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace mentedb::test
