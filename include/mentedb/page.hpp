// Pages as `allocate_page`, `write_page` and `read_page` see them.
#pragma once

#include <cstdint>
#include <vector>

#include <mentedb/ids.hpp>

namespace mentedb {

/// What a page holds.
enum class PageType : std::uint8_t {
  free = 1,    ///< nothing; `read_page` answers `not_found` for such a page
  memory = 2,  ///< the first page of a run that holds a memory
  raw = 3,     ///< the first page of a run from `allocate_page`
};

/// The verified header of a run: consecutive pages that hold one memory, or one raw page.
/// @source docs/format.md "Runs"
struct PageHeader {
  PageId id;                       ///< the first page of the run
  Lsn lsn;                         ///< the operation that wrote these bytes
  PageType type = PageType::free;  ///< `memory` or `raw`
  std::uint32_t page_count = 0;    ///< pages of the run, 1 to 65,536
  std::uint32_t data_bytes = 0;    ///< bytes of `Page::data`, at most page_count x page size - 40
};

/// A copy of a run whose checksum held. The copy belongs to the caller; later writes do not change it.
struct Page {
  PageHeader header;
  std::vector<std::byte> data;  ///< what `write_page` stored, or a memory in its encoded form
};

}  // namespace mentedb
