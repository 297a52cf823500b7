// What is not durable yet, and the choices a power cut makes about it.
//
// Rules
// - Sectors are numbered by their place in the write order over all files of the disk (by their newest write).
// - Names of created and removed files are decided one by one; a file's size growth with one flag for all files.
// - Enumeration is deterministic: the same counts and options give the same fates in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mentedb::test {

struct PendingSector {
  std::uint64_t inode = 0;
  std::string file;
  std::uint64_t sector = 0;  ///< offset in the file / 512
};

/// A name that the device knows otherwise than the page cache. 0: no such name.
struct PendingName {
  std::string directory;
  std::string name;
  std::uint64_t durable_inode = 0;
  std::uint64_t current_inode = 0;
};

struct PendingSize {
  std::uint64_t inode = 0;
  std::string file;
  std::uint64_t durable_bytes = 0;
  std::uint64_t current_bytes = 0;
};

struct Pending {
  std::vector<PendingSector> sectors;  ///< in write order
  std::vector<PendingName> names;
  std::vector<PendingSize> sizes;
};

/// One outcome of a power cut. An element is true when that sector or name reached the device; an empty vector means
/// that none did.
struct Fate {
  std::vector<bool> sectors{};
  std::vector<bool> names{};
  bool sizes_kept = false;
  bool keep_boot_id = false;  ///< the page cache is lost without a reboot (device re-plugged)

  friend bool operator==(const Fate&, const Fate&) = default;

  static Fate nothing_kept() { return {}; }
  static Fate everything_kept(const Pending& pending);
};

/// For messages: "sectors 0110 names 1 sizes kept".
std::string to_string(const Fate& fate);

struct FateOptions {
  std::uint64_t seed = 1;
  std::size_t exhaustive_sectors = 8;  ///< up to here every subset
  std::size_t random_draws = 64;       ///< above it
  /// Above it: the most fates of each kind "one alone lost", "one alone kept" and "prefix kept"; with more sectors
  /// than that, evenly spread ones are taken.
  std::size_t max_fates_per_kind = 128;
  bool keep_boot_id = false;
};

/// The fates of so many pending sectors and names (and sizes, when any is pending).
/// - Sectors: every subset, or above `exhaustive_sectors` none, all, one alone lost, one alone kept, prefixes, random;
///   sizes are kept with them, except in the fate that loses every sector.
/// - Sizes add two: no sector but the sizes, and every sector without the growth.
/// - Each of these with all names lost and all names kept. Two or more names add each name alone kept, with no and
///   with every sector.
[[nodiscard]] std::vector<Fate> enumerate_fates(std::size_t sectors, std::size_t names, bool sizes,
                                                const FateOptions& options = {});
[[nodiscard]] std::vector<Fate> enumerate_fates(const Pending& pending, const FateOptions& options = {});

}  // namespace mentedb::test
