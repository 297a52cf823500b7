// salvage: what is readable is saved, what is lost is named.
#include "cli/command_test.hpp"

namespace mentedb::test {
namespace {

class Salvage : public CommandTest {
 protected:
  // Zeroes bytes of a file of the store. Page n of 1 KiB lies at 8,192 + 2 MiB + (n - 1) * 1,024.
  void wipe(const std::string& name, std::uint64_t offset, std::size_t bytes) const {
    std::fstream file(store() / name, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << std::string(bytes, '\0');
    ASSERT_TRUE(file.flush());
  }
  static std::uint64_t page_offset(std::uint64_t page) { return 8'192 + (2 << 20) + (page - 1) * 1'024; }
};

TEST_F(Salvage, ADamagedPageCostsItsMemoryOnly) {
  for (const char* content : {"one", "two", "three"}) stored(content);
  ok({"checkpoint"});
  wipe("pages.db", page_offset(2) + 100, 64);
  const CommandResult result = run({"salvage", "rescued"});
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.out.find("(page 2)"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("2 memories saved to rescued, 1 lost"), std::string::npos) << result.out;
  const std::string saved = ok({"--dir", "rescued", "list"});
  EXPECT_NE(saved.find("one"), std::string::npos);
  EXPECT_EQ(saved.find("two"), std::string::npos);
  EXPECT_NE(saved.find("three"), std::string::npos);
  ok({"--dir", "rescued", "verify"});
}

TEST_F(Salvage, TheLogStandsInForADamagedPage) {
  for (const char* content : {"one", "two"}) stored(content);
  wipe("pages.db", page_offset(1), 1'024);
  EXPECT_NE(ok({"salvage", "rescued"}).find("2 memories saved to rescued, 0 lost"), std::string::npos);
}

TEST_F(Salvage, PagesStandInForALogWithoutHeader) {
  const std::string gone = stored("gone");
  stored("kept");
  ok({"delete", gone});
  wipe("wal.log", 0, 8'192);
  expect_refused({"list"}, 1, "salvage");  // never a silent fresh log
  const std::string text = ok({"salvage", "rescued"});
  EXPECT_NE(text.find("1 memory saved"), std::string::npos) << text;
  EXPECT_NE(text.find("no valid header"), std::string::npos) << text;
}

TEST_F(Salvage, AMemoryWithoutItsDirectoryEntryIsSavedWithAWarning) {
  stored("found");
  ok({"checkpoint"});
  wipe("pages.db", 8'192, 32);
  const std::string text = ok({"salvage", "rescued"});
  EXPECT_NE(text.find("1 memory saved"), std::string::npos) << text;
  EXPECT_NE(text.find("may have been deleted"), std::string::npos) << text;
}

TEST_F(Salvage, AnExistingDestinationIsRefused) {
  stored("one");
  ok({"salvage", "rescued"});
  expect_refused({"salvage", "rescued"}, 1, "exists already");
}

}  // namespace
}  // namespace mentedb::test
