// wal.log: slots and batches somebody made up. The walk along the chain, the proof that more had been synced, the
// operations of a batch.

#include <algorithm>
#include <array>
#include <vector>

#include "format/log_format.hpp"
#include "support/input.hpp"
#include "support/memory_vfs.hpp"
#include "wal/log.hpp"

namespace {

using namespace mentedb;

constexpr std::uint64_t kMaxBlocks = 24;

struct Place {
  std::uint64_t offset = format::kLogStart;
  std::uint64_t next_lsn = 1;
  std::uint64_t previous_checksum = 0;
};

void check_operations(std::span<const std::byte> batch) {
  const auto header = base::read_struct<format::BatchHeader>(batch);
  format::OperationReader reader(batch);
  std::uint64_t count = 0;
  while (const auto operation = reader.next()) {
    FUZZ_REQUIRE(operation->lsn == header.first_lsn + count);
    FUZZ_REQUIRE(operation->payload.size() == operation->header.payload_bytes);
    FUZZ_REQUIRE(operation->header.page + operation->header.run_pages - 1 <= header.counters.page_count);
    ++count;
  }
  FUZZ_REQUIRE(count == header.operation_count || reader.is_damaged());
}

// A batch that fits the chain, but for what the fuzzer changes of it; sealed unless it says otherwise.
std::vector<std::byte> make_batch(fuzz::Input& input, const Place& place, std::uint64_t seed) {
  std::vector<std::byte> bytes(sizeof(format::BatchHeader));
  format::BatchHeader header{};
  header.offset = place.offset;
  header.first_lsn = place.next_lsn;
  header.previous_checksum = place.previous_checksum;
  header.counters = {.page_count = 100, .high_water = 50, .used_pages = 20, .memory_count = 10, .reuse_horizon = 0};
  const std::uint8_t count = input.byte() % 4;
  for (std::uint8_t i = 0; i < count; ++i) {
    format::OperationHeader operation{};
    operation.type = static_cast<format::OperationType>(input.byte() % 7);
    operation.run_pages = static_cast<std::uint32_t>(input.number());
    operation.page = input.number();
    operation.memory_id[0] = input.byte();
    const auto payload = input.bytes(input.byte());
    operation.payload_bytes = static_cast<std::uint32_t>(input.flag() ? payload.size() : input.number());
    const auto raw = base::bytes_of(operation);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    bytes.resize(base::round_up(bytes.size(), 8));
  }
  header.operation_count = count;
  header.bytes = static_cast<std::uint32_t>(bytes.size());
  const std::uint8_t changes = input.byte();
  if ((changes & 1) != 0) header.operation_count = static_cast<std::uint32_t>(input.number());
  if ((changes & 2) != 0) header.bytes = static_cast<std::uint32_t>(input.number());
  if ((changes & 4) != 0) header.first_lsn += input.number();
  if ((changes & 8) != 0) header.offset = input.number();
  if ((changes & 16) != 0) header.previous_checksum ^= 1;
  if ((changes & 32) != 0) header.counters.page_count = input.number();
  if ((changes & 64) != 0) bytes.resize(std::max<std::size_t>(bytes.size(), input.below(9'000)));
  base::write_struct(bytes, 0, header);
  const std::size_t covered = std::clamp<std::size_t>(header.bytes, sizeof header, bytes.size());
  if ((changes & 128) == 0) format::seal_batch(std::span(bytes).first(covered), seed);
  return bytes;
}

// Many headers that each claim a long batch: whoever looks for a batch behind the tail must not read them all.
void fill_with_claims(fuzz::MemoryFile& file, const Place& place, std::uint32_t bytes) {
  for (std::uint64_t offset = place.offset; offset < file.size_bytes(); offset += base::kBlockBytes) {
    format::BatchHeader header{};
    header.offset = offset;
    header.first_lsn = place.next_lsn + 1;
    header.operation_count = 1;
    header.bytes = bytes;
    header.counters.page_count = 100;
    const auto raw = base::bytes_of(header);
    file.write(offset, raw.first(std::min<std::uint64_t>(raw.size(), file.size_bytes() - offset)));
  }
}

void whole_file(fuzz::Input& input) {
  static fuzz::MemoryFile file("wal.log");
  file.reset();
  const std::uint8_t shape = input.byte();
  const std::uint64_t seed = input.byte();
  std::array<std::byte, format::kLogHeaderBytes> block{};
  for (std::size_t i = 0; i < 2; ++i) {
    if (((shape >> i) & 1) == 0) continue;
    format::LogHeader slot{};
    slot.epoch = (shape & 4) != 0 ? input.number() : 2 + i;
    slot.seed = seed;
    slot.start_lsn = (shape & 8) != 0 ? input.number() : 1;
    slot.counters.page_count = 100;
    format::encode_log_header(slot, block);
    if ((shape & 16) != 0) block[input.below(sizeof slot)] ^= static_cast<std::byte>(input.byte());
    file.write(i * format::kLogHeaderBytes, block);
  }
  const auto opened = fuzz::open_memory_file(file);
  wal::Log log(*opened);
  Place place;
  if (const auto headers = log.read_headers(); headers && headers->newest() != nullptr) {
    place.next_lsn = headers->newest()->start_lsn;
    place.previous_checksum = headers->newest()->checksum;
  }
  const bool claims = (shape & 0xE0) == 0xE0;  // takes a while, so not often
  while (!input.empty() && place.offset < format::kLogStart + kMaxBlocks * base::kBlockBytes) {
    const auto batch = make_batch(input, place, seed);
    file.write(place.offset, batch);
    const auto header = base::read_struct<format::BatchHeader>(batch);
    place.offset += base::round_up(batch.size(), base::kBlockBytes);
    place.next_lsn += header.operation_count;
    place.previous_checksum = header.checksum;
  }
  file.resize(std::max(file.size_bytes(), place.offset));
  if (claims) {
    file.resize(place.offset + (std::uint64_t{512} << 10) + input.byte());
    fill_with_claims(file, place, static_cast<std::uint32_t>((std::uint64_t{256} << 10) + input.number()));
  }

  const auto headers = log.read_headers();
  FUZZ_REQUIRE(headers);
  const format::LogHeader* newest = headers->newest();
  if (newest == nullptr) return;
  const auto end = log.walk(
      *newest, [&](std::uint64_t, const format::BatchHeader& header, std::span<const std::byte> batch) -> Result<void> {
        FUZZ_REQUIRE(header.bytes == batch.size());
        check_operations(batch);
        return {};
      });
  FUZZ_REQUIRE(end);
  FUZZ_REQUIRE(end->tail.offset <= base::round_up(file.size_bytes(), base::kBlockBytes));
  const std::uint64_t before = file.bytes_read();
  const auto behind = log.find_batch_behind(*newest, end->tail);
  FUZZ_REQUIRE(behind);
  if (claims) FUZZ_REQUIRE(file.bytes_read() - before <= 16 * file.size_bytes());
  if (*behind) {
    const auto batch = log.read_batch(**behind, newest->seed);
    FUZZ_REQUIRE(batch);
    check_operations(*batch);
  }
  if (end->last_batch_offset != 0)
    static_cast<void>(log.rewrite_batch(end->last_batch_offset, end->last_batch_bytes, newest->seed));
}

// One batch of any bytes. A reader of operations gets what passed the checksum and the header's own checks.
void operations(fuzz::Input& input) {
  std::vector<std::byte> batch(sizeof(format::BatchHeader));
  auto header = input.take<format::BatchHeader>();
  header.offset = format::kLogStart;
  const auto rest = input.rest();
  batch.insert(batch.end(), rest.begin(), rest.end());
  header.bytes = static_cast<std::uint32_t>(batch.size());
  base::write_struct(batch, 0, header);
  format::seal_batch(batch, 1);
  if (!format::parse_batch_header(batch, format::kLogStart)) return;
  FUZZ_REQUIRE(format::batch_verifies(batch, 1));
  check_operations(batch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  switch (input.byte() % 4) {
    case 0:
      operations(input);
      return 0;
    case 1: {
      static_cast<void>(format::decode_log_header(input.rest()));
      return 0;
    }
    case 2: {
      const auto bytes = input.rest();
      const auto header = format::parse_batch_header(bytes, format::kLogStart);
      if (header && bytes.size() >= header->bytes)
        static_cast<void>(format::batch_verifies(bytes.first(header->bytes), 1));
      return 0;
    }
    default:
      whole_file(input);
      return 0;
  }
}
