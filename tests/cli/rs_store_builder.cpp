#include "rs_store_builder.hpp"

#include <lz4.h>
#include <zlib.h>

#include <fstream>

namespace mentedb::test {
namespace {

template <class T>
void put(std::string& to, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    to += static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

std::uint32_t crc(const std::string& bytes) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

std::string with_length(const std::string& json) {
  std::string data;
  put(data, static_cast<std::uint32_t>(json.size()));
  return data + json;
}

}  // namespace

std::uint64_t RsStoreBuilder::add(std::uint8_t type, const std::string& data, bool checksum) {
  const std::uint64_t page = page_count();
  std::string padded = data;
  padded.resize(65'504);
  std::string before_crc;
  put(before_crc, page);
  put(before_crc, next_lsn_++);
  std::string after_crc;
  put(after_crc, static_cast<std::uint16_t>(65'504 - data.size()));
  put(after_crc, std::uint16_t{0});
  put(after_crc, type);
  pages_ += before_crc;
  put(pages_, checksum ? crc(before_crc + after_crc + padded) : 0);
  pages_ += after_crc + std::string(7, '\0') + padded;
  return page;
}

std::uint64_t RsStoreBuilder::add_page(const std::string& json) { return add(1, with_length(json), true); }
std::uint64_t RsStoreBuilder::add_empty_page() { return add(1, "", false); }
std::uint64_t RsStoreBuilder::add_free_page(std::uint64_t next_free) {
  std::string data;
  put(data, next_free);
  return add(0, data, false);
}

RsStoreBuilder& RsStoreBuilder::log_write(std::uint64_t page, const std::string& json) {
  return log_entry(1, page, with_length(json));
}

RsStoreBuilder& RsStoreBuilder::log_entry(std::uint8_t type, std::uint64_t page, const std::string& data) {
  std::string body;
  put(body, next_lsn_++);
  put(body, type);
  put(body, page);
  put(body, static_cast<std::uint32_t>(data.size()));
  std::string block(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(data.size()))), '\0');
  const int size =
      LZ4_compress_default(data.data(), block.data(), static_cast<int>(data.size()), static_cast<int>(block.size()));
  body += block.substr(0, static_cast<std::size_t>(size));
  put(log_, static_cast<std::uint32_t>(body.size()));
  log_ += body;
  put(log_, crc(body));
  return *this;
}

std::string RsStoreBuilder::pages_file(std::optional<std::uint64_t> count) const {
  std::string header;
  put(header, std::uint64_t{0x4D454E5445444231});
  put(header, std::uint32_t{1});
  put(header, std::uint32_t{0});
  put(header, count.value_or(page_count()));
  put(header, std::uint64_t{0});
  header.resize(65'536);
  return header + pages_;
}

void RsStoreBuilder::write(const std::filesystem::path& directory, std::optional<std::uint64_t> count) const {
  std::filesystem::create_directories(directory);
  std::ofstream(directory / "pages.db", std::ios::binary) << pages_file(count);
  std::ofstream(directory / "wal.log", std::ios::binary) << log_;
}

std::string rs_memory(const std::string& id, const std::string& content) {
  return R"({"id":")" + id +
         R"(","agent_id":"453589a9-be7a-5d18-adcf-667977564b68","memory_type":"Episodic","embedding":[0.5],"content":")" +
         content +
         R"(","created_at":5,"accessed_at":5,"access_count":0,"salience":1.0,"confidence":1.0,)"
         R"("space_id":"00000000-0000-0000-0000-000000000000","attributes":{},"tags":[]})";
}

}  // namespace mentedb::test
