// The engine's calls on real files, each from a known store, for the parts that fail allocations and transfers.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/crash/script.hpp"

namespace mentedb::faults {

using test::Model;

/// What a call works on. `Guard` is alive exactly while the engine runs: arguments are made before it, results looked
/// at after it.
struct Subject {
  std::filesystem::path store;
  std::filesystem::path copy;  ///< does not exist
  Options options;
  std::optional<StorageEngine> engine;
  Model model;     ///< what the store holds
  Model intended;  ///< what it holds when the call succeeds
  PageId raw_page;
  std::function<void()> enter;
  std::function<void()> leave;

  /// Runs an engine's call between `enter` and `leave`.
  template <class Body>
  auto inside(Body&& body) {
    struct Scope {
      Subject& subject;
      explicit Scope(Subject& s) : subject(s) { subject.enter(); }
      ~Scope() { subject.leave(); }
    };
    const Scope scope(*this);
    return body();
  }
};

struct RealCall {
  std::string name;      ///< of the case
  std::string function;  ///< as documented_errors.hpp spells it
  std::string image;     ///< the store that it begins with
  bool opens = false;    ///< the call opens the engine itself
  std::function<Result<void>(Subject&)> run;
  bool keeps_engine = true;
};

const std::vector<RealCall>& real_calls();
const RealCall* find_call(const std::string& name);

/// Stores to begin with, made once in a temporary directory (in memory where there is one).
class Images {
 public:
  Images();
  ~Images();
  Images(const Images&) = delete;
  Images& operator=(const Images&) = delete;

  /// A fresh store from the image that the call names; the engine is open unless the call opens it.
  Subject begin(const RealCall& call);
  [[nodiscard]] const std::filesystem::path& root() const { return root_; }

 private:
  struct Image {
    std::string name;
    Model model;
    PageId raw_page;
  };
  Image& make(const std::string& name);

  std::filesystem::path root_;
  std::vector<Image> images_;
};

/// What the store on disk holds, by an engine of its own; an empty answer when it is one of `allowed` and verifies.
std::string check_real_store(const Subject& subject, const std::vector<Model>& allowed);

}  // namespace mentedb::faults
