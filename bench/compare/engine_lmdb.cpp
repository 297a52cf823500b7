// LMDB with its default, durable settings.
#include <fmt/core.h>
#include <lmdb.h>

#include <cstring>
#include <stdexcept>

#include "engine.hpp"

namespace mentedb::compare {
namespace {

void check(int code) {
  if (code != MDB_SUCCESS) throw std::runtime_error(fmt::format("lmdb: {}", mdb_strerror(code)));
}

MDB_val value_of(std::span<const std::byte> bytes) {
  return {bytes.size(), const_cast<std::byte*>(bytes.data())};  // LMDB does not write to it
}
MDB_val value_of(const MemoryId& id) { return value_of(std::as_bytes(std::span(id.bytes))); }
MDB_val value_of(const std::uint64_t& number) { return value_of(std::as_bytes(std::span(&number, 1))); }
std::span<const std::byte> bytes_of(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

struct Tables {
  MDB_env* env = nullptr;
  MDB_dbi records = 0;  ///< id -> record, or number -> record
  MDB_dbi ids = 0;      ///< id -> number; only by_number
  Layout layout = Layout::by_id;
};

class LmdbSession final : public Session {
 public:
  explicit LmdbSession(const Tables& tables) : tables_(tables) {
    check(mdb_txn_begin(tables_.env, nullptr, MDB_RDONLY, &reading_));
    mdb_txn_reset(reading_);
  }
  ~LmdbSession() override { mdb_txn_abort(reading_); }

  void store(const Record& record) override {
    MDB_txn* txn = begin();
    put(txn, record.number, record.node->id, record.bytes);
    check(mdb_txn_commit(txn));
  }
  void store_batch(const Batch& batch) override {
    MDB_txn* txn = begin();
    for (std::size_t i = 0; i < batch.bytes.size(); ++i) {
      put(txn, batch.first + i, batch.nodes[i].id, batch.bytes[i]);
    }
    check(mdb_txn_commit(txn));
  }
  std::uint64_t load_id(const MemoryId& id) override { return load(value_of(id)); }
  std::uint64_t load_number(std::uint64_t number) override { return load(value_of(number)); }
  void list(std::vector<Place>& places) override {
    places.clear();
    walk(tables_.ids, [&](const MDB_val& key, const MDB_val& value) {
      Place place;
      std::memcpy(place.id.bytes.data(), key.mv_data, place.id.bytes.size());
      std::memcpy(&place.number, value.mv_data, sizeof place.number);
      places.push_back(place);
    });
  }
  std::size_t decode_all() override {
    std::size_t count = 0;
    std::uint64_t sum = 0;
    walk(tables_.records, [&](const MDB_val&, const MDB_val& value) {
      sum += decode(bytes_of(value));
      ++count;
    });
    return sum == 0 ? 0 : count;
  }

 private:
  MDB_txn* begin() const {
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(tables_.env, nullptr, 0, &txn));
    return txn;
  }
  void put(MDB_txn* txn, std::uint64_t number, const MemoryId& id, std::span<const std::byte> bytes) const {
    MDB_val id_value = value_of(id);
    MDB_val number_value = value_of(number);
    MDB_val record = value_of(bytes);
    if (tables_.layout == Layout::by_id) return check(mdb_put(txn, tables_.records, &id_value, &record, 0));
    // Rows give rising numbers. Without MDB_APPEND each page would hold one record instead of two.
    check(mdb_put(txn, tables_.records, &number_value, &record, MDB_APPEND));
    check(mdb_put(txn, tables_.ids, &id_value, &number_value, 0));
  }
  std::uint64_t load(MDB_val key) const {
    MDB_val value{};
    check(mdb_txn_renew(reading_));
    check(mdb_get(reading_, tables_.records, &key, &value));
    const std::uint64_t sum = touch(bytes_of(value));
    mdb_txn_reset(reading_);
    return sum;
  }
  template <class Function>
  void walk(MDB_dbi table, Function function) const {
    check(mdb_txn_renew(reading_));
    MDB_cursor* cursor = nullptr;
    check(mdb_cursor_open(reading_, table, &cursor));
    MDB_val key{};
    MDB_val value{};
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == MDB_SUCCESS) function(key, value);
    mdb_cursor_close(cursor);
    mdb_txn_reset(reading_);
  }

  const Tables& tables_;
  MDB_txn* reading_ = nullptr;
};

class LmdbEngine final : public Engine {
 public:
  LmdbEngine(const std::filesystem::path& directory, Layout layout) {
    std::filesystem::create_directories(directory);
    tables_.layout = layout;
    check(mdb_env_create(&tables_.env));
    check(mdb_env_set_mapsize(tables_.env, std::size_t{16} << 30));
    check(mdb_env_set_maxdbs(tables_.env, 2));
    check(mdb_env_open(tables_.env, directory.c_str(), MDB_NOTLS, 0600));
    if (open_tables(MDB_RDONLY)) return;
    if (!open_tables(0)) throw std::runtime_error("lmdb: the tables cannot be made");
  }
  ~LmdbEngine() override { mdb_env_close(tables_.env); }
  std::unique_ptr<Session> session() override { return std::make_unique<LmdbSession>(tables_); }
  void settle() override {}

 private:
  /// @return false when a table is missing and may not be made
  bool open_tables(unsigned flags) {
    const bool numbers = tables_.layout == Layout::by_number;
    const unsigned create = (flags & MDB_RDONLY) != 0 ? 0 : MDB_CREATE;
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(tables_.env, nullptr, flags, &txn));
    int code = mdb_dbi_open(txn, "records", create | (numbers ? MDB_INTEGERKEY : 0U), &tables_.records);
    if (code == MDB_SUCCESS && numbers) code = mdb_dbi_open(txn, "ids", create, &tables_.ids);
    if (code == MDB_NOTFOUND) {
      mdb_txn_abort(txn);
      return false;
    }
    check(code);
    check(mdb_txn_commit(txn));
    return true;
  }

  Tables tables_;
};

}  // namespace

EngineKind lmdb_engine() {
  return {.name = "lmdb",
          .version = mdb_version(nullptr, nullptr, nullptr),
          .durability = "the default: each commit writes its pages and syncs, then writes and syncs the meta page",
          .settings = {"map size 16 GiB", "MDB_NOTLS", "a read transaction is renewed for each load",
                       "MDB_APPEND for rising numbers"},
          .many_processes = true,
          .open = [](const auto& directory, Layout layout) { return std::make_unique<LmdbEngine>(directory, layout); }};
}

}  // namespace mentedb::compare
