// LevelDB and RocksDB have the same calls under two names. This is the one adapter; `Api` names the engine.
#pragma once

#include <fmt/core.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "engine.hpp"

namespace mentedb::compare {

template <class Api>
void check_status(const typename Api::Status& status) {
  if (!status.ok()) throw std::runtime_error(fmt::format("{}: {}", Api::name, status.ToString()));
}

/// Keys begin with 'r' (records) or 'i' (id -> number). A number is a key in big endian.
template <class Api>
class SortedSession final : public Session {
 public:
  SortedSession(typename Api::Db& db, Layout layout) : db_(db), layout_(layout) { durable_.sync = true; }

  void store(const Record& record) override {
    typename Api::WriteBatch changes;
    put(changes, record.number, record.node->id, record.bytes);
    check_status<Api>(db_.Write(durable_, &changes));
  }
  void store_batch(const Batch& batch) override {
    typename Api::WriteBatch changes;
    for (std::size_t i = 0; i < batch.bytes.size(); ++i) {
      put(changes, batch.first + i, batch.nodes[i].id, batch.bytes[i]);
    }
    check_status<Api>(db_.Write(durable_, &changes));
  }
  std::uint64_t load_id(const MemoryId& id) override { return load(key_of('r', id)); }
  std::uint64_t load_number(std::uint64_t number) override { return load(key_of(number)); }
  void list(std::vector<Place>& places) override {
    places.clear();
    walk('i', [&](const auto& key, const auto& value) {
      Place place;
      std::memcpy(place.id.bytes.data(), key.data() + 1, place.id.bytes.size());
      std::memcpy(&place.number, value.data(), sizeof place.number);
      places.push_back(place);
    });
  }
  std::size_t decode_all() override {
    std::size_t count = 0;
    std::uint64_t sum = 0;
    walk('r', [&](const auto&, const auto& value) {
      sum += decode(std::as_bytes(std::span(value.data(), value.size())));
      ++count;
    });
    return sum == 0 ? 0 : count;
  }

 private:
  using Slice = typename Api::Slice;

  static std::string key_of(char kind, const MemoryId& id) {
    std::string key(1 + id.bytes.size(), kind);
    std::memcpy(key.data() + 1, id.bytes.data(), id.bytes.size());
    return key;
  }
  static std::string key_of(std::uint64_t number) {
    std::string key(9, 'r');
    const std::uint64_t big_endian = __builtin_bswap64(number);
    std::memcpy(key.data() + 1, &big_endian, sizeof big_endian);
    return key;
  }
  void put(typename Api::WriteBatch& changes, std::uint64_t number, const MemoryId& id,
           std::span<const std::byte> bytes) const {
    const Slice record(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (layout_ == Layout::by_id) {
      changes.Put(key_of('r', id), record);
    } else {
      changes.Put(key_of(number), record);
      changes.Put(key_of('i', id), Slice(reinterpret_cast<const char*>(&number), sizeof number));
    }
  }
  std::uint64_t load(const std::string& key) {
    const Slice value = Api::get(db_, key, buffer_);
    return touch(std::as_bytes(std::span(value.data(), value.size())));
  }
  template <class Function>
  void walk(char kind, Function function) {
    const std::unique_ptr<typename Api::Iterator> iterator(db_.NewIterator(typename Api::ReadOptions()));
    for (iterator->Seek(std::string(1, kind)); iterator->Valid() && iterator->key()[0] == kind; iterator->Next()) {
      function(iterator->key(), iterator->value());
    }
    check_status<Api>(iterator->status());
  }

  typename Api::Db& db_;
  Layout layout_;
  typename Api::WriteOptions durable_;
  typename Api::Buffer buffer_;
};

template <class Api>
class SortedEngine final : public Engine {
 public:
  SortedEngine(const std::filesystem::path& directory, Layout layout) : layout_(layout) {
    std::filesystem::create_directories(directory);
    db_ = Api::open(directory.string(), resources_);
  }
  std::unique_ptr<Session> session() override { return std::make_unique<SortedSession<Api>>(*db_, layout_); }
  void settle() override { Api::compact(*db_); }

 private:
  Layout layout_;
  typename Api::Resources resources_;
  std::unique_ptr<typename Api::Db> db_;
};

}  // namespace mentedb::compare
