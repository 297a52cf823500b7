// The files of the original Rust engine: as bytes, and as a directory that `import` opens.

#include <lz4.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "rs_store/format.hpp"
#include "rs_store/store.hpp"
#include "support/input.hpp"

namespace {

using namespace mentedb;

template <class T>
void put(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}
void put_bytes(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::uint32_t crc_of(std::span<const std::byte> bytes, std::uint32_t before = 0) {
  return static_cast<std::uint32_t>(crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// A row of entries whose checksums hold.
std::vector<std::byte> make_log(fuzz::Input& input) {
  std::vector<std::byte> log;
  const std::uint8_t count = input.byte() % 32;
  for (std::uint8_t i = 0; i < count && !input.empty(); ++i) {
    const std::uint8_t shape = input.byte();
    std::vector<std::byte> body;
    put(body, std::uint64_t{i});
    put(body, static_cast<std::uint8_t>(shape % 6));
    put(body, (shape & 0x80) != 0 ? input.number() : std::uint64_t{1} + input.byte() % 4);
    auto data = input.bytes(input.byte());
    std::vector<std::byte> text;
    if ((shape & 0x40) != 0) {  // with its length in front
      put(text, static_cast<std::uint32_t>(data.size()));
      put_bytes(text, data);
      data = text;
    }
    if ((shape & 0x20) != 0) {  // as the fuzzer has it
      put(body, static_cast<std::uint32_t>(input.number()));
      put_bytes(body, data);
    } else {
      std::vector<char> block(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(data.size()))));
      const int size = LZ4_compress_default(reinterpret_cast<const char*>(data.data()), block.data(),
                                            static_cast<int>(data.size()), static_cast<int>(block.size()));
      put(body, static_cast<std::uint32_t>(data.size()));
      put_bytes(body, std::as_bytes(std::span(block).first(static_cast<std::size_t>(size))));
    }
    put(log, static_cast<std::uint32_t>(body.size()));
    put_bytes(log, body);
    put(log, crc_of(body));
  }
  return log;
}

// A page whose checksum holds.
std::vector<std::byte> make_page(fuzz::Input& input, std::uint64_t page) {
  std::vector<std::byte> before;
  put(before, input.flag() ? page : input.number());
  put(before, std::uint64_t{7});
  std::vector<std::byte> after;
  put(after, std::uint16_t{0});
  put(after, std::uint16_t{0});
  put(after, static_cast<std::uint8_t>(input.byte() % 3));
  std::vector<std::byte> data;
  const auto text = input.bytes(input.below(600));
  put(data, static_cast<std::uint32_t>(input.flag() ? text.size() : input.number()));
  put_bytes(data, text);
  data.resize(rs_store::kPageDataBytes);
  std::vector<std::byte> bytes = before;
  put(bytes, input.flag() ? std::uint32_t{0} : crc_of(data, crc_of(after, crc_of(before))));
  put_bytes(bytes, after);
  bytes.resize(rs_store::kPageHeaderBytes);
  put_bytes(bytes, data);
  return bytes;
}

void check_log(std::span<const std::byte> bytes) {
  const rs_store::Log log = rs_store::parse_log(bytes);
  FUZZ_REQUIRE(log.valid_bytes <= bytes.size());
  FUZZ_REQUIRE(log.end.empty() == (log.valid_bytes == bytes.size()));
  std::vector<std::byte> data;
  for (const auto& [page, image] : log.newest) {
    if (image.block) FUZZ_REQUIRE(rs_store::decompress(*image.block, data) && data.size() <= rs_store::kPageDataBytes);
  }
}

// A directory of its own for this process, in memory where there is such a place.
const std::filesystem::path& scratch() {
  static const std::filesystem::path path = [] {
    const bool memory = access("/dev/shm", W_OK) == 0;
    std::string name =
        (memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path()) / "mentedb-fuzz-XXXXXX";
    FUZZ_REQUIRE(mkdtemp(name.data()) != nullptr);
    static std::string to_remove = name;
    std::atexit([] {
      std::error_code ignored;
      std::filesystem::remove_all(to_remove, ignored);
    });
    return std::filesystem::path(name);
  }();
  return path;
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void whole_store(fuzz::Input& input) {
  std::vector<std::byte> pages;
  put(pages, rs_store::kMagic);
  put(pages, std::uint32_t{1});
  put(pages, std::uint32_t{0});
  const std::uint8_t count = input.byte() % 3;
  put(pages, input.flag() ? std::uint64_t{count} + 1 : input.number());
  put(pages, std::uint64_t{0});
  pages.resize(rs_store::kPageBytes);
  for (std::uint8_t i = 1; i <= count; ++i) put_bytes(pages, make_page(input, i));
  if (input.flag()) pages.resize(pages.size() - std::min<std::size_t>(pages.size(), input.take<std::uint16_t>()));
  write_file(scratch() / "pages.db", pages);
  const bool no_log = input.flag();
  write_file(scratch() / "wal.log", no_log ? std::vector<std::byte>() : make_log(input));
  const auto store = rs_store::Store::open(scratch());
  if (!store) return;
  const auto contents = store->scan();
  if (!contents) return;
  for (const rs_store::Entry& entry : contents->memories) {
    const auto node = store->load(entry.page);
    FUZZ_REQUIRE(node && node->id == entry.id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  switch (input.byte() % 8) {
    case 0:
      static_cast<void>(rs_store::parse_file_header(input.rest()));
      break;
    case 1: {
      const auto page = make_page(input, 3);
      static_cast<void>(rs_store::parse_page(page, 3));
      break;
    }
    case 2:
      static_cast<void>(rs_store::parse_page_data(input.rest()));
      break;
    case 3: {
      std::vector<std::byte> out;
      if (rs_store::decompress(input.rest(), out)) FUZZ_REQUIRE(out.size() <= rs_store::kPageDataBytes);
      break;
    }
    case 4:
      check_log(input.rest());
      break;
    case 5:
    case 6:
      check_log(make_log(input));
      break;
    default:
      whole_store(input);
      break;
  }
  return 0;
}
