// Another program's file on the disk of the store: it takes all space that is left, and goes away again.
#pragma once

#include <string>

namespace mentedb::prove {

class OutsideFile {
 public:
  explicit OutsideFile(const std::string& mounted) : mounted_(mounted), path_(mounted + "/outside") {}

  /// Takes every block that is left.
  void take_all();
  void give_back();
  bool is_there() const { return there_; }

 private:
  std::string mounted_;
  std::string path_;
  bool there_ = false;
};

}  // namespace mentedb::prove
