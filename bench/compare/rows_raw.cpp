// The limits of the disk and of the memory, in the same run as the engines.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <xxhash.h>

#include "clock.hpp"
#include "process.hpp"
#include "row.hpp"

namespace mentedb::compare {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kFileBlocks = 4096;  // 16 MiB, as the log of MenteDB

/// Overwrites blocks that were written before, so that the file system has nothing to write but the data.
void sync_blocks(const std::filesystem::path& path, double seconds, Histogram& times) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
  void* block = std::aligned_alloc(kBlock, kBlock);
  if (file < 0 || block == nullptr) throw std::runtime_error("raw_sync: O_DIRECT does not work in this directory");
  std::memset(block, 7, kBlock);
  const auto write_block = [&](std::size_t index) {
    if (pwrite(file, block, kBlock, static_cast<off_t>(index * kBlock)) != ssize_t{kBlock}) {
      throw std::runtime_error("raw_sync: a write failed");
    }
  };
  for (std::size_t i = 0; i < kFileBlocks; ++i) write_block(i);
  fsync(file);
  const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(seconds * 1e9);
  std::uint64_t now = now_ns();
  for (std::size_t i = 0; now < end; ++i) {
    const std::uint64_t begin = now;
    write_block(i % kFileBlocks);
    if (fdatasync(file) != 0) throw std::runtime_error("raw_sync: fdatasync failed");
    now = now_ns();
    times.add(now - begin);
  }
  std::free(block);
  close(file);
}

Values raw_sync(Stores& stores, const EngineKind&) {
  const Shared<Histogram> times;
  const std::filesystem::path path = stores.fresh();
  const double seconds = stores.workload().write_seconds;
  run_in_child([&] { sync_blocks(path, seconds, *times); });
  Stores::remove(path);
  return {static_cast<double>(times->total()) / seconds, times->percentile_us(0.5), times->percentile_us(0.99),
          times->max_us()};
}

/// Copies records in random order from as much memory as the read rows use, and computes the checksum of each copy.
Values raw_copy(Stores& stores, const EngineKind&) {
  const Workload& workload = stores.workload();
  const Shared<double> us;
  run_in_child([&] {
    const std::size_t count = workload.records;
    const std::size_t size = workload.encoded_bytes;
    std::vector<std::byte> memory(count * size, std::byte{5});
    std::vector<std::byte> copy(size);
    std::uint64_t sum = 0;
    std::uint64_t done = 0;
    const std::uint64_t begin = now_ns();
    const std::uint64_t end = begin + static_cast<std::uint64_t>(workload.read_seconds * 1e9);
    std::uint64_t now = begin;
    for (; now < end; now = now_ns()) {
      for (std::size_t i = 0; i < 256; ++i) {
        std::memcpy(copy.data(), memory.data() + (mix(++done) % count) * size, size);
        sum += XXH3_64bits(copy.data(), size);
      }
    }
    *us = sum == 0 ? kEmpty : static_cast<double>(now - begin) / 1e3 / static_cast<double>(done);
  });
  return {*us};
}

}  // namespace

std::vector<Row> raw_rows() {
  return {{.name = "raw_sync",
           .title = "limit of the disk: O_DIRECT write of 4 KiB and fdatasync",
           .metrics = {{"rate", "syncs/s", true}, {"p50", "p50 us"}, {"p99", "p99 us"}, {"max", "max us"}},
           .applies = every_engine,
           .run = raw_sync,
           .raw = true},
          {.name = "raw_copy",
           .title = "limit of the memory: memcpy of a random record and XXH3 of the copy",
           .metrics = {{"time", "us"}},
           .applies = every_engine,
           .run = raw_copy,
           .raw = true}};
}

}  // namespace mentedb::compare
