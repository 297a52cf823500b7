// verify, page, log: they read the files themselves. They write nothing and repair nothing.
#include <algorithm>
#include <memory>

#include <fmt/core.h>

#include <mentedb/inspect.hpp>

#include "context.hpp"
#include "output.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

int run_verify(const Context& context) {
  if (auto exists = require_store(context.directory()); !exists) return report(exists.error());
  const Result<VerifyReport> result = verify_store(context.directory(), context.lock_timeout());
  if (!result) return report(result.error());
  if (context.json) {
    Json problems = Json::array();
    for (const Problem& problem : result->problems) {
      Json entry = {{"file", problem.file}, {"offset", problem.offset}};
      if (problem.page.value != 0) entry["page"] = problem.page.value;
      entry["message"] = problem.message;
      problems.push_back(std::move(entry));
    }
    print_json({{"ok", result->problems.empty()},
                {"problems", std::move(problems)},
                {"notes", result->notes},
                {"pages_checked", result->pages_checked},
                {"memories_checked", result->memories_checked},
                {"log_batches_checked", result->log_batches_checked}});
  } else {
    for (const Problem& problem : result->problems) {
      const std::string page = problem.page.value == 0 ? "" : fmt::format(" (page {})", problem.page.value);
      out() << out().style(kRed) << "damaged" << out().style(kReset) << "  "
            << printable(fmt::format("{}, byte {}{}: {}", problem.file, problem.offset, page, problem.message)) << "\n";
    }
    for (const std::string& text : result->notes) out() << "note  " << printable(text) << "\n";
    const std::string checked =
        fmt::format("{}, {} and {} of the log checked", counted(result->pages_checked, "page", "pages"),
                    counted(result->memories_checked, "memory", "memories"),
                    counted(result->log_batches_checked, "batch", "batches"));
    if (result->problems.empty()) {
      out() << out().style(kGreen) << "ok" << out().style(kReset) << "  " << checked << "\n";
    } else {
      out() << fmt::format("{}; {}\n", counted(result->problems.size(), "problem", "problems"), checked);
    }
  }
  return finish_output(result->problems.empty() ? kOk : kFailed);
}

Json fields_json(const std::vector<Field>& fields) {
  Json object = Json::object();
  for (const Field& field : fields) object[field.name] = field.value;
  return object;
}

void print_fields(const std::vector<Field>& fields) {
  std::size_t width = 0;
  for (const Field& field : fields) width = std::max(width, field.name.size());
  for (const Field& field : fields) {
    out() << "  " << out().style(kDim) << fmt::format("{:<{}}", field.name, width) << out().style(kReset) << "  "
          << printable(field.value) << "\n";
  }
}

void print_verdict(std::string_view what, std::uint64_t offset, bool valid) {
  out() << out().style(kBold) << what << out().style(kReset) << fmt::format(" at byte {} of pages.db: ", offset)
        << out().style(valid ? kGreen : kRed) << (valid ? "valid" : "NOT VALID") << out().style(kReset) << "\n";
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

/// As hexdump -C prints it.
void print_hex(std::span<const std::byte> data) {
  constexpr std::size_t kRow = 16;
  for (std::size_t at = 0; at < data.size(); at += kRow) {
    const std::span<const std::byte> row = data.subspan(at, std::min(kRow, data.size() - at));
    std::string bytes;
    std::string text;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto value = std::to_integer<unsigned char>(row[i]);
      bytes += fmt::format("{}{:02x}", i == kRow / 2 ? "  " : " ", value);
      text += value >= 0x20 && value < 0x7F ? static_cast<char>(value) : '.';
    }
    out() << fmt::format("  {:08x} {:<49}  |{}|\n", at, bytes, text);
    if (!out().good()) return;
  }
}

int run_page(const Context& context, std::uint64_t number, bool all) {
  if (auto exists = require_store(context.directory()); !exists) return report(exists.error());
  const Result<PageDump> page = inspect_page(context.directory(), PageId{number});
  if (!page) return report(page.error());
  if (context.json) {
    print_json({{"page", number},
                {"entry_offset", page->entry_offset},
                {"entry_valid", page->entry_valid},
                {"entry", fields_json(page->entry)},
                {"page_offset", page->page_offset},
                {"run_valid", page->run_valid},
                {"header", fields_json(page->header)},
                {"is_memory", page->is_memory},
                {"data_bytes", page->data.size()},
                {"data_hex", hex(page->data)}});
    return finish_output();
  }
  out() << "page " << fmt::format("{}\n\n", number);
  print_verdict("directory entry", page->entry_offset, page->entry_valid);
  print_fields(page->entry);
  out() << "\n";
  print_verdict("run header", page->page_offset, page->run_valid);
  print_fields(page->header);
  constexpr std::size_t kShown = 256;
  const std::size_t shown = all ? page->data.size() : std::min(page->data.size(), kShown);
  out() << "\n"
        << out().style(kBold) << (page->run_valid ? "data" : "raw bytes") << out().style(kReset) << ", "
        << counted(page->data.size(), "byte", "bytes")
        << (page->is_memory ? fmt::format(", a memory ('mentedb get {}' shows it)", number) : "") << "\n";
  print_hex(std::span(page->data).first(shown));
  if (shown < page->data.size()) {
    out() << fmt::format("  .. {} more; --all prints them\n", counted(page->data.size() - shown, "byte", "bytes"));
  }
  return finish_output();
}

Json operation_json(const LogOperationDump& operation) {
  return {{"lsn", operation.lsn.value},
          {"type", operation.type},
          {"page", operation.page.value},
          {"page_count", operation.page_count},
          {"id", operation.memory_id.to_string()},
          {"payload_bytes", operation.payload_bytes}};
}

int run_log(const Context& context, bool batches_only) {
  if (auto exists = require_store(context.directory()); !exists) return report(exists.error());
  const Result<LogDump> log = inspect_log(context.directory());
  if (!log) return report(log.error());
  if (context.json) {
    Json copies = Json::array();
    for (const auto& copy : log->header_copies) copies.push_back(fields_json(copy));
    Json batches = Json::array();
    for (const LogBatchDump& batch : log->batches) {
      Json entry = {{"offset", batch.offset}, {"bytes", batch.bytes}, {"redone", batch.redone}};
      if (!batches_only) {
        Json& operations = entry["operations"] = Json::array();
        for (const LogOperationDump& operation : batch.operations) operations.push_back(operation_json(operation));
      }
      batches.push_back(std::move(entry));
    }
    print_json({{"file_bytes", log->file_bytes},
                {"header_copies", std::move(copies)},
                {"batches", std::move(batches)},
                {"end", log->end}});
    return finish_output();
  }
  out() << fmt::format("wal.log, {}\n", human_bytes(log->file_bytes));
  for (std::size_t i = 0; i < log->header_copies.size(); ++i) {
    out() << "\n" << out().style(kBold) << fmt::format("header copy {}", i) << out().style(kReset) << "\n";
    print_fields(log->header_copies[i]);
  }
  out() << "\n"
        << out().style(kBold) << counted(log->batches.size(), "batch", "batches") << out().style(kReset) << "\n";
  for (const LogBatchDump& batch : log->batches) {
    out() << fmt::format("  byte {}, {}, {}{}\n", batch.offset, counted(batch.bytes, "byte", "bytes"),
                         counted(batch.operations.size(), "operation", "operations"),
                         batch.redone ? "" : ", not known to be in its pages");
    if (batches_only) continue;
    for (const LogOperationDump& operation : batch.operations) {
      out() << fmt::format(
          "    LSN {}  {:<8}  page {}{}  {}  {}\n", operation.lsn.value, operation.type, operation.page.value,
          operation.page_count > 1 ? fmt::format("..{}", operation.page.value + operation.page_count - 1) : "",
          operation.memory_id.is_nil() ? "" : operation.memory_id.to_string(),
          counted(operation.payload_bytes, "byte", "bytes"));
    }
    if (!out().good()) break;
  }
  out() << "end: " << printable(log->end) << "\n";
  return finish_output();
}

}  // namespace

void add_verify(CLI::App& app, Context& context) {
  CLI::App* command =
      add_command(app, "verify", "Check every structure of the store on disk",
                  "  mentedb verify && echo all is well\n\n"
                  "Prints each damaged structure with its place, and exits with 1 when there is one. Changes nothing.\n"
                  "Works while other processes use the store, and when the store does not open.");
  command->callback([&context] { context.run = [&context] { return run_verify(context); }; });
}

void add_page(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "page", "Show a page's structures on disk, for debugging",
                                  "  mentedb page 1\n"
                                  "  mentedb page 1 --all | less");
  auto number = std::make_shared<std::uint64_t>(0);
  auto all = std::make_shared<bool>(false);
  command->add_option("page", *number, "Number of the page; the first memory of a new store is in page 1")
      ->type_name("N")
      ->check(whole_number())
      ->required();
  command->add_flag("--all", *all, "Print all of its data, not only the beginning");
  command->callback(
      [&context, number, all] { context.run = [&context, number, all] { return run_page(context, *number, *all); }; });
}

void add_log(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "log", "Show the write-ahead log, for debugging",
                                  "  mentedb log\n"
                                  "  mentedb log --batches");
  auto batches_only = std::make_shared<bool>(false);
  command->add_flag("--batches", *batches_only, "Leave out the operations of each batch");
  command->callback(
      [&context, batches_only] { context.run = [&context, batches_only] { return run_log(context, *batches_only); }; });
}

}  // namespace mentedb::cli
