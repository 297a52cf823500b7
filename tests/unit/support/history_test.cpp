// The oracle of the crash campaign has to be able to say no.

#include "support/crash/history.hpp"

#include <gtest/gtest.h>

#include "support/crash/crash_case.hpp"

namespace mentedb::test {
namespace {

using Path = History::Path;

class HistoryTest : public ::testing::Test {
 protected:
  History::Version put(History::Operation operation, std::uint64_t number) {
    return history.put(operation, number, 40).access_count;
  }
  History::Version acknowledged(std::uint64_t number) {
    const auto operation = history.begin();
    const auto version = put(operation, number);
    history.acknowledge(operation);
    return version;
  }
  History history;
};

TEST_F(HistoryTest, WhatWasAcknowledgedHasToBeThere) {
  const auto version = acknowledged(1);
  EXPECT_EQ(history.explain({{1, version}}), "");
  EXPECT_NE(history.explain({}), "");
  EXPECT_NE(history.explain({{1, version}, {2, 1}}), "");
}

TEST_F(HistoryTest, WhatWasAttemptedIsThereAsAWholeOrNotAtAll) {
  const auto one = acknowledged(1);
  const auto batch = history.begin();
  const auto one_b = put(batch, 1);
  const auto two_b = put(batch, 2);
  EXPECT_EQ(history.explain({{1, one}}), "");
  EXPECT_EQ(history.explain({{1, one_b}, {2, two_b}}), "");
  EXPECT_NE(history.explain({{1, one_b}}), "");
  EXPECT_NE(history.explain({{1, one}, {2, two_b}}), "");
}

TEST_F(HistoryTest, WhatWasShownStays) {
  const auto one = acknowledged(1);
  const auto two = put(history.begin(), 1);
  EXPECT_EQ(history.shown(1, two, history.bound(1), Path::by_id), "");
  EXPECT_NE(history.explain({{1, one}}), "");
  EXPECT_NE(history.shown(1, one, history.bound(1), Path::by_id), "") << "a read went back";
}

TEST_F(HistoryTest, AReadMayReturnWhatWasNewestWhenItBegan) {
  const auto one = acknowledged(1);
  const std::size_t bound = history.bound(1);
  acknowledged(1);
  EXPECT_EQ(history.shown(1, one, bound, Path::by_id), "");
  EXPECT_NE(history.shown(1, one, history.bound(1), Path::by_id), "");
}

TEST_F(HistoryTest, AReadByPageBindsCrashesAndNotReadsById) {
  const auto one = acknowledged(1);
  const auto two = put(history.begin(), 1);
  EXPECT_EQ(history.shown(1, two, history.bound(1), Path::ahead), "");
  EXPECT_EQ(history.shown(1, one, history.bound(1), Path::by_id), "");
  EXPECT_NE(history.explain({{1, one}}), "");
}

TEST_F(HistoryTest, WhatALaterHolderDidWithoutMayNotComeBack) {
  const auto one = acknowledged(1);
  const auto two = put(history.begin(), 1);
  EXPECT_EQ(history.shown(1, one, history.bound(1), Path::under_lock), "");
  EXPECT_NE(history.explain({{1, two}}), "");
}

TEST_F(HistoryTest, ARecoveryDecidesWhatWasBeforeIt) {
  const auto one = acknowledged(1);
  const auto two = put(history.begin(), 1);
  history.next_session();
  const auto later = history.begin();
  const auto three = put(later, 2);
  EXPECT_EQ(history.settle({{1, one}}), "");
  EXPECT_NE(history.explain({{1, two}}), "");
  EXPECT_EQ(history.explain({{1, one}, {2, three}}), "");
}

TEST_F(HistoryTest, ADeletionThatWasAcknowledgedIsNotUndone) {
  const auto version = acknowledged(1);
  const auto erasing = history.begin();
  history.erase(erasing, 1);
  EXPECT_EQ(history.explain({{1, version}}), "");
  history.acknowledge(erasing);
  EXPECT_NE(history.explain({{1, version}}), "");
  EXPECT_NE(history.listed(1, true, history.acknowledged()[1]), "");
  EXPECT_EQ(history.listed(1, false, history.acknowledged()[1]), "");
}

TEST_F(HistoryTest, ABackupShowsOneMoment) {
  const auto one = acknowledged(1);
  const std::uint64_t begin = history.time();
  const auto two = acknowledged(2);
  const auto three = acknowledged(3);
  const std::uint64_t end = history.time() + 1;
  EXPECT_EQ(history.explain_moment({{1, one}}, begin + 1, end), "");
  EXPECT_EQ(history.explain_moment({{1, one}, {2, two}}, begin + 1, end), "");
  EXPECT_EQ(history.explain_moment({{1, one}, {2, two}, {3, three}}, begin + 1, end), "");
  EXPECT_NE(history.explain_moment({{1, one}, {3, three}}, begin + 1, end), "") << "3 is from after 2";
  EXPECT_NE(history.explain_moment({{2, two}}, begin + 1, end), "") << "1 was there before";
}

TEST(CrashCase, ReadsWhatItWrites) {
  for (const char* line : {"transact:3:k120,c300.5:two17,k40,x60:one,c7.1s", "raw:0:-", "batch:10001:e28.0,k9:one"}) {
    const auto crash = parse_crash_case(line);
    ASSERT_TRUE(crash) << line;
    EXPECT_EQ(to_string(*crash), line);
  }
  for (const char* line :
       {"", "raw", "raw:1", "raw:x:-", "raw:1:q5", "raw:1:c5", "raw:1:k", "raw:1:k5:three", "raw:1:k5.1"})
    EXPECT_FALSE(parse_crash_case(line)) << line;
}

}  // namespace
}  // namespace mentedb::test
