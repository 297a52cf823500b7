// RocksDB with synced writes.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include "sorted_store.hpp"

namespace mentedb::compare {
namespace {

struct RocksDb {
  static constexpr const char* name = "rocksdb";
  using Db = rocksdb::DB;
  using Status = rocksdb::Status;
  using Slice = rocksdb::Slice;
  using WriteBatch = rocksdb::WriteBatch;
  using WriteOptions = rocksdb::WriteOptions;
  using ReadOptions = rocksdb::ReadOptions;
  using Iterator = rocksdb::Iterator;
  using Buffer = rocksdb::PinnableSlice;
  struct Resources {};

  static std::unique_ptr<Db> open(const std::string& directory, const Resources&) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(std::size_t{1} << 30);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    rocksdb::Options options;
    options.create_if_missing = true;
    options.compression = rocksdb::kNoCompression;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    Db* db = nullptr;
    check_status<RocksDb>(Db::Open(options, directory, &db));
    return std::unique_ptr<Db>(db);
  }
  static Slice get(Db& db, const std::string& key, Buffer& buffer) {
    buffer.Reset();
    check_status<RocksDb>(db.Get(ReadOptions(), db.DefaultColumnFamily(), key, &buffer));
    return buffer;
  }
  static void compact(Db& db) { check_status<RocksDb>(db.CompactRange({}, nullptr, nullptr)); }
};

}  // namespace

EngineKind rocksdb_engine() {
  return {.name = RocksDb::name,
          .version = rocksdb::GetRocksVersionAsString(),
          .durability = "WriteOptions::sync=true: each write syncs the log with fdatasync before it answers",
          .settings = {"sync=true", "no compression", "block cache 1 GiB", "bloom filter of 10 bits"},
          .open = [](const auto& directory, Layout layout) {
            return std::make_unique<SortedEngine<RocksDb>>(directory, layout);
          }};
}

}  // namespace mentedb::compare
