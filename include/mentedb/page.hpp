// Pages as the low-level calls see them.
#pragma once

#include <cstdint>
#include <vector>

#include <mentedb/ids.hpp>

namespace mentedb {

enum class PageType : std::uint8_t {
  free = 1,    ///< not in use
  memory = 2,  ///< the head of a run that holds a memory
  raw = 3,     ///< the head of a run from `allocate_page`
};

/// The verified header of a run of pages; see docs/format.md "Run header".
struct PageHeader {
  PageId id;
  Lsn lsn;  ///< the operation that wrote this image
  PageType type = PageType::free;
  std::uint32_t page_count = 0;  ///< length of the run in pages
  std::uint32_t data_bytes = 0;  ///< length of `Page::data`
};

/// An owned, verified copy of a run's header and data.
struct Page {
  PageHeader header;
  std::vector<std::byte> data;
};

}  // namespace mentedb
