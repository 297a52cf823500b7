#include "vfs/fork_guard.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mutex.hpp"

namespace mentedb::vfs {
namespace {

// A word on a page that the kernel wipes in a forked child. Without MADV_WIPEONFORK the atfork handler stores the 0.
std::atomic<std::uint64_t>* guard_word() {
  static std::atomic<std::uint64_t>* const word = [] {
    const auto page_bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* page = mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
      static std::atomic<std::uint64_t> fallback{0};
      return &fallback;
    }
#ifdef MADV_WIPEONFORK
    madvise(page, page_bytes, MADV_WIPEONFORK);
#endif
    return new (page) std::atomic<std::uint64_t>(0);
  }();
  return word;
}

struct Registry {
  base::Mutex mutex;
  std::vector<int> descriptors MENTEDB_GUARDED_BY(mutex);
};

// Never destroyed: engines may outlive static destruction.
Registry& registry() {
  static Registry* const instance = [] {
    auto* created = new Registry;
    // The mutex is held over the fork, so that the child's list is whole. The analysis cannot follow that.
    pthread_atfork([]() MENTEDB_NO_THREAD_SAFETY_ANALYSIS { registry().mutex.lock(); },
                   []() MENTEDB_NO_THREAD_SAFETY_ANALYSIS { registry().mutex.unlock(); },
                   []() MENTEDB_NO_THREAD_SAFETY_ANALYSIS {
                     Registry& inherited = registry();
                     for (const int descriptor : inherited.descriptors) ::close(descriptor);
                     inherited.descriptors.clear();
                     guard_word()->store(0, std::memory_order_relaxed);
                     inherited.mutex.unlock();
                   });
    return created;
  }();
  return *instance;
}

}  // namespace

std::uint64_t process_token() {
  std::atomic<std::uint64_t>* word = guard_word();
  std::uint64_t token = word->load(std::memory_order_relaxed);
  if (token != 0) [[likely]]
    return token;
  // A grandchild may get the pid of its grandparent again, so the pid alone is not enough. Children inherit the counter
  // and raise it, so it differs between ancestors and descendants.
  static std::atomic<std::uint64_t> generation{0};
  const std::uint64_t fresh = (generation.fetch_add(1) + 1) << 32 | static_cast<std::uint32_t>(getpid());
  word->compare_exchange_strong(token, fresh);
  return word->load();
}

NoFork::NoFork() MENTEDB_NO_THREAD_SAFETY_ANALYSIS {
  Registry& all = registry();
  all.mutex.lock();
  try {
    all.descriptors.reserve(all.descriptors.size() + 1);
  } catch (...) {
    all.mutex.unlock();
    throw;
  }
}

NoFork::~NoFork() MENTEDB_NO_THREAD_SAFETY_ANALYSIS { registry().mutex.unlock(); }

void NoFork::add(int descriptor) MENTEDB_NO_THREAD_SAFETY_ANALYSIS { registry().descriptors.push_back(descriptor); }

void close_registered(int descriptor) {
  Registry& all = registry();
  const base::MutexLock guard(all.mutex);
  std::erase(all.descriptors, descriptor);
  ::close(descriptor);
}

}  // namespace mentedb::vfs
