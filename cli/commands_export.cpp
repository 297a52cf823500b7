// export: every memory as a line of JSON.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include <fmt/core.h>

#include <mentedb/json.hpp>

#include "context.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

Error file_error(const std::string& file, int error) {
  ErrorCode code = ErrorCode::io_error;
  if (error == ENOSPC || error == EDQUOT) code = ErrorCode::no_space;
  if (error == EACCES || error == EPERM) code = ErrorCode::permission_denied;
  if (error == ENOENT || error == ENOTDIR) code = ErrorCode::not_found;
  return Error{code, error, fmt::format("cannot write {}: {}", file, std::strerror(error))};
}

/// A file that appears under its name only when it is complete. So an export that fails or is interrupted keeps an
/// earlier file as it was. Devices and pipes are written directly.
class NewFile {
 public:
  static Result<std::unique_ptr<NewFile>> create(const std::string& name) {
    struct stat info{};
    const bool exists = stat(name.c_str(), &info) == 0;
    const bool in_place = exists && !S_ISREG(info.st_mode);
    if (in_place && S_ISDIR(info.st_mode)) return std::unexpected(file_error(name, EISDIR));
    // A symbolic link stays: the file that it leads to is replaced.
    std::error_code ignored;
    std::string target = exists && !in_place ? std::filesystem::canonical(name, ignored).string() : name;
    if (target.empty()) target = name;
    std::unique_ptr<NewFile> file(
        new NewFile(target, in_place ? target : fmt::format("{}.partial.{}", target, getpid())));
    file->descriptor_ = ::open(file->path_.c_str(), O_WRONLY | O_CLOEXEC | (in_place ? 0 : O_CREAT | O_EXCL), 0666);
    if (file->descriptor_ < 0) {
      file->path_ = name;
      return std::unexpected(file_error(name, errno));
    }
    file->output_ = std::make_unique<Output>(file->descriptor_);
    return file;
  }

  ~NewFile() {
    output_.reset();
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!kept_ && path_ != name_) ::unlink(path_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  Output& output() { return *output_; }

  /// Makes the file durable and gives it its name.
  Result<void> keep() {
    if (auto finished = output_->finish(name_); !finished) return finished;
    if (path_ == name_) return {};
    if (fsync(descriptor_) != 0 || std::rename(path_.c_str(), name_.c_str()) != 0) {
      return std::unexpected(file_error(name_, errno));
    }
    kept_ = true;
    return {};
  }

 private:
  NewFile(std::string name, std::string path) : name_(std::move(name)), path_(std::move(path)) {}

  std::string name_;
  std::string path_;
  int descriptor_ = -1;
  std::unique_ptr<Output> output_;
  bool kept_ = false;
};

int run_export(const Context& context, const std::string& name, bool no_progress) {
  Result<StorageEngine> engine = open_for_reading(context);
  if (!engine) return report(engine.error());
  std::unique_ptr<NewFile> file;
  if (!name.empty() && name != "-") {
    Result<std::unique_ptr<NewFile>> created = NewFile::create(name);
    if (!created) return report(created.error());
    file = std::move(*created);
  }
  Output& to = file ? file->output() : out();

  // Lines on the same terminal would tear the bar apart.
  const bool show = !no_progress && !context.json && !to.is_terminal();
  std::uint64_t expected = 0;
  if (show && err().is_terminal()) {
    if (const Result<Stats> stats = engine->stats()) expected = stats->memory_count;
  }
  Progress progress("exporting", expected, show);
  std::uint64_t exported = 0;
  std::uint64_t damaged = 0;
  const Result<void> done = engine->for_each_memory(
      [&](const MemoryNode& node, PageId) {
        to << to_json(node) << "\n";
        ++exported;
        progress.update(exported, exported);
        return to.good() && !interrupted();
      },
      [&](MemoryId id, PageId page, const Error& error) {
        ++damaged;
        progress.clear();
        report(error, {{"id", id.to_string()}, {"page", page.value}});
      });
  progress.clear();
  if (!done) return report(done.error());
  if (interrupted()) {
    note(file ? fmt::format("interrupted; {} was not written", name)
              : fmt::format("interrupted after {}", counted(exported, "memory", "memories")));
    return finish_output(kFailed);
  }
  if (file) {
    if (auto kept = file->keep(); !kept) return report(kept.error());
    if (context.json) {
      print_json({{"exported", exported}, {"damaged", damaged}, {"file", name}, {"seconds", progress.seconds()}});
    } else {
      out() << fmt::format("{} exported to {} in {}\n", counted(exported, "memory", "memories"), name,
                           human_duration(progress.seconds()));
    }
  }
  if (damaged > 0) note(fmt::format("{} could not be read; run 'mentedb verify' for the places", damaged));
  return finish_output(damaged > 0 ? kFailed : kOk);
}

}  // namespace

void add_export(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "export", "Write every memory as a line of JSON",
                                  "  mentedb export memories.jsonl\n"
                                  "  mentedb export | gzip > memories.jsonl.gz\n"
                                  "  mentedb export | jq -r .content | head\n\n"
                                  "The form is that of the original MenteDB; 'mentedb import' reads it back.");
  auto file = std::make_shared<std::string>();
  auto no_progress = std::make_shared<bool>(false);
  command->add_option("file", *file, "File to write; it appears when it is complete; default: standard output")
      ->type_name("FILE");
  command->add_flag("--no-progress", *no_progress, "No progress bar");
  command->callback([&context, file, no_progress] {
    context.run = [&context, file, no_progress] { return run_export(context, *file, *no_progress); };
  });
}

}  // namespace mentedb::cli
