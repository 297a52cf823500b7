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
  static std::uint64_t page_offset(std::uint64_t page) { return 196'608 + (2 << 20) + (page - 1) * 1'024; }
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
  EXPECT_NE(ok({"list"}).find("kept"), std::string::npos);  // the pages have everything (ADR 13)
  expect_refused({"store", "more"}, 1, "salvage");          // never a silent fresh log
  const std::string text = ok({"salvage", "rescued"});
  EXPECT_NE(text.find("1 memory saved"), std::string::npos) << text;
  EXPECT_NE(text.find("no valid header"), std::string::npos) << text;
}

TEST_F(Salvage, AMemoryWithoutItsDirectoryEntryIsSavedWithAWarning) {
  stored("found");
  ok({"checkpoint"});
  wipe("pages.db", 196'608, 32);
  const std::string text = ok({"salvage", "rescued"});
  EXPECT_NE(text.find("1 memory saved"), std::string::npos) << text;
  EXPECT_NE(text.find("may have been deleted"), std::string::npos) << text;
}

TEST_F(Salvage, WithoutOneOfTheFilesOrTheSuperblock) {
  for (const char* content : {"one", "two", "three"}) stored(content);
  std::filesystem::copy(store(), path("no log"));
  std::filesystem::remove(path("no log") / "wal.log");
  std::filesystem::copy(store(), path("no pages"));
  std::filesystem::remove(path("no pages") / "pages.db");
  wipe("pages.db", 0, 4'096);
  for (const std::string from : {"memory", "no log", "no pages"}) {
    const std::string text = ok({"--dir", from, "salvage", "from " + from});
    EXPECT_NE(text.find("3 memories saved to from " + from + ", 0 lost"), std::string::npos) << text;
    EXPECT_NE(text.find(from == "memory" ? "the superblock" : "is missing"), std::string::npos) << text;
    EXPECT_EQ(ok({"--dir", "from " + from, "list", "--count"}), "3\n");
    EXPECT_EQ(run({"--dir", from, "verify"}).status, 1);
  }
}

TEST_F(Salvage, TellsProgramsWhatIsLost) {
  for (const char* content : {"one", "two"}) stored(content);
  const std::string id = stored("three");
  ok({"checkpoint"});
  wipe("pages.db", page_offset(3) + 80, 8);
  const CommandResult result = run({"salvage", "rescued", "--json"});
  EXPECT_EQ(result.status, 1);
  const auto report = nlohmann::json::parse(result.out);
  EXPECT_EQ(report["memories_saved"], 2);
  EXPECT_EQ(report["destination"], "rescued");
  ASSERT_EQ(report["lost"].size(), 1U) << report;
  EXPECT_EQ(report["lost"][0]["file"], "pages.db");
  EXPECT_EQ(report["lost"][0]["page"], 3);
  EXPECT_EQ(report["lost"][0]["offset"], page_offset(3));
  EXPECT_NE(report["lost"][0]["message"].get<std::string>().find(id), std::string::npos) << report;
}

TEST_F(Salvage, AnExistingDestinationIsRefused) {
  stored("one");
  ok({"salvage", "rescued"});
  expect_refused({"salvage", "rescued"}, 1, "exists already");
}

}  // namespace
}  // namespace mentedb::test
