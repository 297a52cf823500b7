// SQLite: one table, one connection for each thread, prepared statements.
#include <fmt/core.h>
#include <sqlite3.h>

#include <cstring>
#include <stdexcept>

#include "engine.hpp"

namespace mentedb::compare {
namespace {

class SqliteSession final : public Session {
 public:
  explicit SqliteSession(const std::filesystem::path& file) {
    check(
        sqlite3_open_v2(file.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr));
    sqlite3_busy_timeout(db_, 60'000);
    run("PRAGMA journal_mode=WAL");
    run("PRAGMA synchronous=FULL");
    run("PRAGMA mmap_size=2147418112");
    run("CREATE TABLE IF NOT EXISTS memories (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, data BLOB NOT "
        "NULL)");
    insert_ = prepare("INSERT INTO memories (number, id, data) VALUES (NULL, ?, ?)");
    by_id_ = prepare("SELECT data FROM memories WHERE id = ?");
    by_number_ = prepare("SELECT data FROM memories WHERE number = ?");
  }
  ~SqliteSession() override {
    for (sqlite3_stmt* statement : {insert_, by_id_, by_number_}) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }

  void store(const Record& record) override { insert(record.node->id, record.bytes); }
  void store_batch(const Batch& batch) override {
    run("BEGIN IMMEDIATE");
    for (std::size_t i = 0; i < batch.bytes.size(); ++i) insert(batch.nodes[i].id, batch.bytes[i]);
    run("COMMIT");
  }
  std::uint64_t load_id(const MemoryId& id) override {
    check(sqlite3_bind_blob(by_id_, 1, id.bytes.data(), static_cast<int>(id.bytes.size()), SQLITE_STATIC));
    return load(by_id_);
  }
  std::uint64_t load_number(std::uint64_t number) override {
    check(sqlite3_bind_int64(by_number_, 1, static_cast<sqlite3_int64>(number)));
    return load(by_number_);
  }
  void list(std::vector<Place>& places) override {
    places.clear();
    sqlite3_stmt* all = prepare("SELECT id, number FROM memories");
    while (step(all)) {
      Place place;
      std::memcpy(place.id.bytes.data(), sqlite3_column_blob(all, 0), place.id.bytes.size());
      place.number = static_cast<std::uint64_t>(sqlite3_column_int64(all, 1));
      places.push_back(place);
    }
    sqlite3_finalize(all);
  }
  std::size_t decode_all() override {
    std::size_t count = 0;
    std::uint64_t sum = 0;
    sqlite3_stmt* all = prepare("SELECT data FROM memories");
    while (step(all)) {
      sum += decode(value(all));
      ++count;
    }
    sqlite3_finalize(all);
    return sum == 0 ? 0 : count;
  }
  void run(const char* sql) { check(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr)); }

 private:
  void check(int code) const {
    if (code == SQLITE_OK) return;
    throw std::runtime_error(fmt::format("sqlite: {}", db_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db_)));
  }
  sqlite3_stmt* prepare(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    check(sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr));
    return statement;
  }
  bool step(sqlite3_stmt* statement) const {
    const int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) check(code);
    return code == SQLITE_ROW;
  }
  static std::span<const std::byte> value(sqlite3_stmt* statement) {
    const void* data = sqlite3_column_blob(statement, 0);
    return {static_cast<const std::byte*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement, 0))};
  }
  void insert(const MemoryId& id, std::span<const std::byte> bytes) {
    check(sqlite3_bind_blob(insert_, 1, id.bytes.data(), static_cast<int>(id.bytes.size()), SQLITE_STATIC));
    check(sqlite3_bind_blob(insert_, 2, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC));
    step(insert_);
    check(sqlite3_reset(insert_));
  }
  std::uint64_t load(sqlite3_stmt* statement) const {
    if (!step(statement)) throw std::runtime_error("sqlite: a record is missing");
    const std::uint64_t sum = touch(value(statement));
    check(sqlite3_reset(statement));
    return sum;
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* by_id_ = nullptr;
  sqlite3_stmt* by_number_ = nullptr;
};

class SqliteEngine final : public Engine {
 public:
  explicit SqliteEngine(const std::filesystem::path& directory) : file_(directory / "store.sqlite") {
    std::filesystem::create_directories(directory);
  }
  std::unique_ptr<Session> session() override { return std::make_unique<SqliteSession>(file_); }
  void settle() override { SqliteSession(file_).run("PRAGMA wal_checkpoint(TRUNCATE)"); }

 private:
  std::filesystem::path file_;
};

}  // namespace

EngineKind sqlite_engine() {
  return {.name = "sqlite",
          .version = sqlite3_libversion(),
          .durability = "WAL with synchronous=FULL: each commit syncs the write-ahead log before it answers",
          .settings = {"journal_mode=WAL", "synchronous=FULL", "mmap_size=2147418112", "busy_timeout=60000",
                       "prepared statements", "one connection for each thread",
                       "number INTEGER PRIMARY KEY, id BLOB UNIQUE, data BLOB"},
          .many_processes = true,
          .open = [](const auto& directory, Layout) { return std::make_unique<SqliteEngine>(directory); }};
}

}  // namespace mentedb::compare
