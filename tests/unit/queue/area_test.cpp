// The bytes of a slot: what a leader believes of them.
#include <array>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "queue/area.hpp"
#include "store/edit.hpp"
#include "support/results.hpp"
#include "support/sim/sim_disk.hpp"
#include "support/sim/sim_vfs.hpp"

namespace mentedb::queue {
namespace {

using store::Edit;
using store::EditType;
using test::must;

class QueueArea : public testing::Test {
 protected:
  QueueArea() {
    directory = must(vfs.open_directory("/store", true));
    auto file = must(directory->open("queue-1.shm", vfs::OpenMode::create, false));
    must(file->write_at(0, std::vector<std::byte>(format::kQueueFileBytes)));
    auto mapping = must(file->map(0, format::kQueueFileBytes, true));
    area.emplace(1, std::move(file), std::move(mapping));
  }
  static std::vector<Edit> edits(std::span<const std::byte> payload) {
    return {{.type = EditType::put, .id = MemoryId{{1, 2}}, .number = 0, .payload = payload},
            {.type = EditType::erase, .id = MemoryId{{3}}, .number = 0, .payload = {}},
            {.type = EditType::allocate_raw, .id = {}, .number = 4'000, .payload = {}}};
  }
  static std::vector<std::byte> sealed(SlotWord filled) {
    const std::vector<std::byte> payload(333, std::byte{7});
    auto request = store::encode_request(edits(payload));
    seal_request(request, filled);
    return request;
  }

  test::SimDisk disk;
  test::SimVfs vfs{disk};
  std::unique_ptr<vfs::Directory> directory;
  std::optional<Area> area;
  SlotWord filled = SlotWord{}.of_next_request();
};

TEST_F(QueueArea, ARequestComesBack) {
  area->write_body(5, sealed(filled));
  const auto read = area->read_body(5, filled);
  ASSERT_TRUE(read);
  const auto found = store::decode_request(*read);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 3U);
  EXPECT_EQ((*found)[0].payload.size(), 333U);
  EXPECT_EQ((*found)[1].type, EditType::erase);
  EXPECT_EQ((*found)[2].number, 4'000U);
}

// I10. The owner may still be writing, or the file was damaged.
TEST_F(QueueArea, ARequestWithOneOtherByteIsRefused) {
  const auto request = sealed(filled);
  for (std::size_t i = 0; i < request.size(); i += 3) {
    auto damaged = request;
    damaged[i] ^= std::byte{0x40};
    area->write_body(0, damaged);
    EXPECT_FALSE(area->read_body(0, filled)) << "byte " << i;
  }
}

TEST_F(QueueArea, ARequestOfAnotherGenerationIsRefused) {
  area->write_body(0, sealed(filled));
  EXPECT_FALSE(area->read_body(0, filled.of_next_request()));
}

TEST_F(QueueArea, AnyBytesDecodeToEditsInsideOfThem) {
  std::mt19937_64 random(1);
  const auto request = sealed(filled);
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = request;
    for (int k = 0; k < 4; ++k) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    bytes.resize(random() % (bytes.size() + 1));
    const auto found = store::decode_request(bytes);
    if (!found) continue;
    for (const Edit& edit : *found) {
      EXPECT_GE(edit.payload.data(), bytes.data());
      EXPECT_LE(edit.payload.data() + edit.payload.size(), bytes.data() + bytes.size());
    }
  }
}

TEST_F(QueueArea, AnAnswerComesBack) {
  Answer answer;
  answer.head.code = 3;
  answer.head.os_error = 28;
  answer.set(std::array<std::uint64_t, 2>{7, 9}, "no space is left");
  area->write_answer(63, answer);
  const Answer found = area->read_answer(63);
  EXPECT_EQ(found.head.code, 3U);
  EXPECT_EQ(found.head.os_error, 28);
  EXPECT_EQ(found.page(1), 9U);
  EXPECT_EQ(found.text(), "no space is left");
}

TEST_F(QueueArea, ALongTextIsCut) {
  Answer answer;
  const std::vector<std::uint64_t> pages(format::kQueueMostEdits, 1);
  answer.set(pages, std::string(5'000, 'x'));
  area->write_answer(0, answer);
  EXPECT_EQ(area->read_answer(0).text().size(), format::kQueueAnswerRoom - 8 * format::kQueueMostEdits);
}

// A neighbour may have written anything.
TEST_F(QueueArea, ForgedLengthsOfAnAnswerStayInside) {
  Answer answer;
  answer.head.page_count = 0xFFFF'FFFF;
  answer.head.text_bytes = 0xFFFF'FFFF;
  const auto file = must(directory->open("queue-1.shm", vfs::OpenMode::read_write, false));
  must(file->write_at(format::kQueueRecordsOffset + format::kQueueAnswerOffset, base::bytes_of(answer.head)));
  const Answer found = area->read_answer(0);
  EXPECT_LE(8 * std::size_t{found.head.page_count} + found.head.text_bytes, found.rest.size());
}

TEST_F(QueueArea, OneChangeOfAWordWins) {
  EXPECT_TRUE(area->change(1, {}, filled));
  EXPECT_FALSE(area->change(1, {}, filled));
  EXPECT_TRUE(area->change(1, filled, filled.in(SlotState::taken)));
  EXPECT_FALSE(area->change(1, filled, filled.in(SlotState::free)));
  EXPECT_EQ(area->word(1).generation(), 1U);
}

}  // namespace
}  // namespace mentedb::queue
