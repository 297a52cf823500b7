// Runs: a header and a payload somebody made up, decoded from bytes, and read through the buffer pool from a file with
// shared state somebody made up.

#include <array>
#include <vector>

#include "format/page_format.hpp"
#include "pages/buffer_pool.hpp"
#include "support/input.hpp"
#include "support/memory_vfs.hpp"

namespace {

using namespace mentedb;

constexpr std::uint64_t kSeed = 42;

// Pure functions: by far the fastest.
void decode(fuzz::Input& input, bool seal) {
  const std::uint32_t page_bytes = format::kMinPageBytes << (input.byte() % 8);
  const std::uint64_t page = input.number();
  auto header = input.take<format::RunHeader>();
  const auto payload = input.rest();
  if (seal) {
    header.page = page;
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    format::seal_run_header(header, payload, kSeed);
  }
  const auto parsed = format::parse_run_header(base::bytes_of(header), page, page_bytes);
  if (!parsed) return;
  FUZZ_REQUIRE(std::uint64_t{parsed->run_pages} * page_bytes >= sizeof(header) + parsed->payload_bytes);
  FUZZ_REQUIRE(format::Geometry::in_one_region(page, parsed->run_pages));
  FUZZ_REQUIRE(format::run_verifies(*parsed, payload, kSeed) || !seal);
}

void through_the_pool(fuzz::Input& input, bool seal) {
  static fuzz::MemoryFile file("pages.db");
  file.reset();
  const format::Geometry geometry(format::kMinPageBytes << (input.byte() % 2));
  const std::uint64_t pages = input.byte() % 16;
  file.resize(geometry.file_bytes(pages) - input.byte() % 2);
  const auto opened = fuzz::open_memory_file(file);
  shared::SharedState words(*opened->map(format::kSharedStateOffset, base::kBlockBytes, true), kSeed);
  words.publish_page_count(input.flag() ? pages : input.number());
  pages::BufferPool pool(*opened, words, geometry, kSeed);
  for (int run = 0; run < 4 && !input.empty() && pages > 0; ++run) {
    const std::uint64_t page = 1 + input.below(pages);
    auto header = input.take<format::RunHeader>();
    const auto payload = input.bytes(input.below(2'000));
    if (seal) {
      header.page = page;
      if (input.flag()) header.payload_bytes = static_cast<std::uint32_t>(payload.size());
      format::seal_run_header(header, payload, kSeed);
    }
    const std::uint64_t room = file.size_bytes() - std::min(file.size_bytes(), geometry.page_offset(page));
    const auto image = base::bytes_of(header);
    file.write(geometry.page_offset(page), image.first(std::min<std::uint64_t>(image.size(), room)));
    if (room > image.size())
      file.write(geometry.page_offset(page) + image.size(),
                 payload.first(std::min<std::uint64_t>(payload.size(), room - image.size())));
  }
  base::AlignedBuffer buffer;
  for (std::uint64_t page = 1; page <= pages + 2; ++page) {
    if (!pool.contains(page)) continue;
    static_cast<void>(pool.read_entry(page));
    static_cast<void>(pool.read_header(page));
    const auto run = pool.read_run(page, buffer);
    if (!run || !*run) continue;
    FUZZ_REQUIRE((*run)->payload.size() == (*run)->header.payload_bytes);
    const auto header = (*run)->header;
    static_cast<void>(pool.slack_is_zero(header, buffer));
  }
  if (const std::uint64_t page = input.number(); pool.contains(page)) static_cast<void>(pool.read_run(page, buffer));
  FUZZ_REQUIRE(buffer.size_bytes() <= file.size_bytes());
  static_cast<void>(pool.residency());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte();
  const bool seal = (mode & 0x80) != 0;
  if ((mode & 1) != 0) {
    through_the_pool(input, seal);
  } else {
    decode(input, seal);
  }
  return 0;
}
