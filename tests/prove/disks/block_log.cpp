#include "block_log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

namespace mentedb::prove {
namespace {

// Address space, not memory: pages are taken when they are touched.
constexpr std::uint64_t kMostRecords = 1 << 20;
constexpr std::uint64_t kMostPieces = 1 << 20;
constexpr std::uint64_t kMostDataBytes = std::uint64_t{4} << 30;

void* shared_memory(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) die("cannot map shared memory");
  return memory;
}

}  // namespace

void die(const std::string& what) {
  std::fprintf(stderr, "disks: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(3);
}

BlockLog::BlockLog()
    : header_(static_cast<Header*>(shared_memory(sizeof(Header)))),
      records_(static_cast<Record*>(shared_memory(kMostRecords * sizeof(Record)))),
      pieces_(static_cast<Piece*>(shared_memory(kMostPieces * sizeof(Piece)))),
      data_(static_cast<std::byte*>(shared_memory(kMostDataBytes))) {}

BlockLog::~BlockLog() {
  munmap(header_, sizeof(Header));
  munmap(records_, kMostRecords * sizeof(Record));
  munmap(pieces_, kMostPieces * sizeof(Piece));
  munmap(data_, kMostDataBytes);
}

std::span<const Record> BlockLog::records() const { return {records_, header_->records}; }

std::span<const std::byte> BlockLog::data(const Record& record) const {
  return {data_ + record.data_at, record.kind == RecordKind::write ? record.length : 0};
}

void BlockLog::add_write(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (header_->records == kMostRecords || header_->data_bytes + bytes.size() > kMostDataBytes)
    die("the log of the device is full");
  std::ranges::copy(bytes, data_ + header_->data_bytes);
  records_[header_->records] = {
      .kind = RecordKind::write, .writer = 0, .offset = offset, .length = bytes.size(), .data_at = header_->data_bytes};
  header_->data_bytes += bytes.size();
  ++header_->records;
}

void BlockLog::add(RecordKind kind, std::uint32_t writer, std::uint64_t operation) {
  if (header_->records == kMostRecords) die("the log of the device is full");
  records_[header_->records] = {
      .kind = kind, .writer = writer, .offset = operation, .length = 0, .data_at = header_->data_bytes};
  ++header_->records;
}

void BlockLog::truncate(std::uint64_t count) {
  if (count >= header_->records) return;
  header_->data_bytes = count == 0 ? 0 : records_[count].data_at;
  header_->records = count;
}

std::span<Piece> BlockLog::pieces(std::uint64_t count) {
  if (count > kMostPieces) die("too many pieces in one image");
  return {pieces_, count};
}

}  // namespace mentedb::prove
