#include "board.hpp"

#include <sys/mman.h>

#include "../disks/block_log.hpp"

namespace mentedb::prove {

SharedBoard::SharedBoard() {
  void* const memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) die("cannot map shared memory");
  board_ = static_cast<Board*>(memory);  // zeros of the kernel are a fresh board; a constructor would touch every page
}

SharedBoard::~SharedBoard() { munmap(board_, sizeof(Board)); }

}  // namespace mentedb::prove
