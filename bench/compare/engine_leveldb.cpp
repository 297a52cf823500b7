// LevelDB with synced writes.
#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include "sorted_store.hpp"

namespace mentedb::compare {
namespace {

struct LevelDb {
  static constexpr const char* name = "leveldb";
  using Db = leveldb::DB;
  using Status = leveldb::Status;
  using Slice = leveldb::Slice;
  using WriteBatch = leveldb::WriteBatch;
  using WriteOptions = leveldb::WriteOptions;
  using ReadOptions = leveldb::ReadOptions;
  using Iterator = leveldb::Iterator;
  using Buffer = std::string;

  /// What the database uses, and does not own.
  struct Resources {
    std::unique_ptr<leveldb::Cache> cache{leveldb::NewLRUCache(std::size_t{1} << 30)};
    std::unique_ptr<const leveldb::FilterPolicy> filter{leveldb::NewBloomFilterPolicy(10)};
  };

  static std::unique_ptr<Db> open(const std::string& directory, const Resources& resources) {
    leveldb::Options options;
    options.create_if_missing = true;
    options.compression = leveldb::kNoCompression;
    options.write_buffer_size = std::size_t{64} << 20;  // as RocksDB's default; 4 MiB make its bulk loads slow
    options.block_cache = resources.cache.get();
    options.filter_policy = resources.filter.get();
    Db* db = nullptr;
    check_status<LevelDb>(Db::Open(options, directory, &db));
    return std::unique_ptr<Db>(db);
  }
  static Slice get(Db& db, const std::string& key, Buffer& buffer) {
    check_status<LevelDb>(db.Get(ReadOptions(), key, &buffer));
    return buffer;
  }
  static void compact(Db& db) { db.CompactRange(nullptr, nullptr); }
};

}  // namespace

EngineKind leveldb_engine() {
  return {.name = LevelDb::name,
          .version = std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion),
          .durability = "WriteOptions::sync=true: each write syncs the log with fdatasync before it answers",
          .settings = {"sync=true", "no compression", "block cache 1 GiB", "write buffer 64 MiB",
                       "bloom filter of 10 bits"},
          .open = [](const auto& directory, Layout layout) {
            return std::make_unique<SortedEngine<LevelDb>>(directory, layout);
          }};
}

}  // namespace mentedb::compare
