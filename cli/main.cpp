// The command `mentedb`: reads the command line, runs one command, and returns its exit status.
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <mentedb/version.hpp>

#include "context.hpp"
#include "output.hpp"
#include "output_path.hpp"
#include "signals.hpp"
#include "text.hpp"

namespace mentedb::cli {
namespace {

constexpr const char* kDescription =
    "Memory for AI agents: crash-safe, in one directory, shared by many processes.\n"
    "A memory that a command reports as stored is on disk, and every other process sees it.";

constexpr const char* kExamples =
    "Examples:\n"
    "  mentedb store \"User likes dark mode\" --tag preference\n"
    "  mentedb list --tag preference\n"
    "  mentedb --dir /srv/memory import notes.jsonl\n"
    "  mentedb help COMMAND\n\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.";

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

/// The first argument that could be a command's name. Options and their values are passed over.
std::string first_word(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--dir" || arguments[i] == "-d" || arguments[i] == "--lock-timeout") {
      ++i;
    } else if (!arguments[i].starts_with("-")) {
      return arguments[i];
    }
  }
  return {};
}

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

std::string unexpected_argument(const CLI::App& command, const std::vector<std::string>& arguments) {
  // CLI11 keeps the arguments that it did not understand in no useful order. The message names the first of them on the
  // command line.
  std::string first;
  const std::vector<std::string> extra = command.remaining(true);
  for (const std::string& argument : arguments) {
    if (first.empty() && std::ranges::find(extra, argument) != extra.end()) first = argument;
  }
  const std::string name = command.get_name();
  if (!first.starts_with("-")) {
    return fmt::format("'{}' does not take the argument '{}'; quote a text that has spaces", name, one_line(first, 40));
  }
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& long_name : option->get_lnames()) known.push_back("--" + long_name);
  }
  const std::string near = closest(first.substr(0, first.find('=')), known);
  const std::string remedy = !near.empty()                          ? fmt::format("; did you mean '{}'?", near)
                             : first.find(' ') != std::string::npos ? "; write '--' before a text that begins with '-'"
                                                                    : "";
  return fmt::format("'{}' has no option '{}'{}", name, one_line(first, 40), remedy);
}

std::string no_such_command(const CLI::App& app, const std::string& word) {
  const std::string near = closest(word, command_names(app));
  return fmt::format("there is no command '{}'{}", one_line(word, 40),
                     near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

/// Explains the most frequent mistakes in better sentences than the parser's.
std::string explain(const CLI::ParseError& error, const CLI::App& app, const std::vector<std::string>& arguments) {
  const std::string word = first_word(arguments);
  const CLI::App* command = find_command(app, word);
  if (word.empty()) {
    return app.remaining_size() == 0 ? "no command given" : unexpected_argument(app, arguments);
  }
  if (command == nullptr) return no_such_command(app, word);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) return unexpected_argument(*command, arguments);
  std::string text = one_line(error.what(), 300);
  for (const CLI::Option* option : command->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
    // The parser's own names of arguments are nowhere in the help.
    if (text.starts_with(option->get_name() + ": "))
      text.replace(0, option->get_name().size(), option->get_type_name());
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_required() && option->count() == 0) {
        return fmt::format("'{}' needs {}", word, option->get_type_name());
      }
    }
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const std::string name = text.substr(0, text.find(':'));
    const CLI::Option* option = command->get_option_no_throw(name);
    return option != nullptr && option->count() > 1 ? fmt::format("{} is given more than once", name)
                                                    : fmt::format("{} needs a value", name);
  }
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    // "Could not convert: --limit = x"
    const std::size_t colon = text.find(": ");
    const std::size_t equals = text.find(" = ");
    if (colon != std::string::npos && equals != std::string::npos && colon < equals) {
      return fmt::format("'{}' is no valid value for {}", text.substr(equals + 3),
                         text.substr(colon + 2, equals - colon - 2));
    }
  }
  return text;
}

/// CLI11's help, with the usage first, and in the words of this program.
class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(28); }

  std::string make_usage(const CLI::App* app, std::string /*name*/) const override {
    std::string usage = "\nUsage: mentedb ";
    if (app->get_parent() == nullptr) return usage + "[OPTIONS] COMMAND ...\n";
    usage += app->get_name() + " [OPTIONS]";
    for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
      const std::string more = option->get_items_expected_max() > 1 ? "..." : "";
      usage += option->get_required() ? fmt::format(" {}{}", option->get_type_name(), more)
                                      : fmt::format(" [{}]", option->get_type_name());
    }
    return usage + "\n";
  }

  /// The commands come before the options. Two empty lines never follow each other.
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string text = make_description(app) + make_usage(app, name) + make_positionals(app) +
                       make_subcommands(app, mode) + "\n" + make_groups(app, mode) + "\n" + make_footer(app);
    for (std::size_t at; (at = text.find("\n\n\n")) != std::string::npos;) text.erase(at, 1);
    return text;
  }

  std::string make_positionals(const CLI::App* app) const override {
    std::string text;
    for (const CLI::Option* option : app->get_options([](const CLI::Option* o) { return o->get_positional(); })) {
      text += fmt::format("  {:<{}}{}\n", option->get_type_name(), get_column_width() - 2, option->get_description());
    }
    return text.empty() ? text : "\n" + text;
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_size() == 0 ? "" : " " + option->get_type_name();
  }
};

int run_help(const CLI::App& app, const std::string& name) {
  const CLI::App* command = name.empty() ? &app : find_command(app, name);
  if (command == nullptr) return report_usage(no_such_command(app, name));
  out() << app.get_formatter()->make_help(command, "", CLI::AppFormatMode::Normal);
  return finish_output();
}

void add_help(CLI::App& app, Context& context) {
  CLI::App* command = add_command(app, "help", "Show the help of this program, or of a command", "  mentedb help list");
  auto name = std::make_shared<std::string>();
  command->add_option("command", *name, "The command")->type_name("COMMAND");
  command->callback([&app, &context, name] { context.run = [&app, name] { return run_help(app, *name); }; });
}

void add_commands(CLI::App& app, Context& context) {
  const auto group = [&](const char* name, auto... add) {
    const std::size_t before = command_names(app).size();
    (add(app, context), ...);
    const std::vector<std::string> names = command_names(app);
    for (std::size_t i = before; i < names.size(); ++i) app.get_subcommand(names[i])->group(name);
  };
  group("Memories", add_store, add_get, add_list, add_update, add_delete, add_import, add_export, add_watch);
  group("Store", add_stats, add_verify, add_checkpoint, add_erase_deleted, add_recover, add_backup, add_restore,
        add_salvage);
  group("For debugging", add_page, add_log);
  group("Program", add_help, add_version);
}

bool takes_value(const CLI::Option& option) { return option.get_expected_min() > 0 && option.get_type_size() > 0; }

/// An unset variable in a script must not mean "no filter", "standard output" or the default directory. So no option
/// and no argument of any command takes an empty value.
void refuse_empty_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (!takes_value(*option)) continue;
    option->check(CLI::Validator(
        [](std::string& value) { return std::string(value.empty() ? "the value is empty; is a variable unset?" : ""); },
        ""));
  }
}

/// The option that an argument names, alone or before "=". Nothing when it names none.
const CLI::Option* find_option(const CLI::App& app, const CLI::App* command, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  if (!name.starts_with("-")) return nullptr;
  const CLI::Option* option = command == nullptr ? nullptr : command->get_option_no_throw(name);
  return option != nullptr ? option : app.get_option_no_throw(name);
}

/// The parser takes the next word for the value of "--user=" and of "--user" before "--count", which is what a script
/// makes of an unset variable. Returns what to say about it.
std::string explain_missing_value(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* command = find_command(app, first_word(arguments));
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    const std::string& argument = arguments[i];
    const CLI::Option* option = find_option(app, command, argument);
    if (option == nullptr || !takes_value(*option)) continue;
    if (argument.ends_with('=') && argument.find('=') == argument.size() - 1) {
      return fmt::format("{}: the value is empty; is a variable unset?", argument.substr(0, argument.size() - 1));
    }
    if (argument.find('=') != std::string::npos || ++i == arguments.size()) continue;
    const std::string& next = arguments[i];
    if (next.empty()) return fmt::format("{}: the value is empty; is a variable unset?", argument);
    if (find_option(app, command, next) != nullptr) {
      return fmt::format("{} needs a value before {}; is a variable unset? Write {}={} if {} is the value", argument,
                         next, argument, next, next);
    }
  }
  return {};
}

/// Standard output and standard error are outputs, too. A shell opens them, and `>>` may lead into the store.
bool may_write_standard_streams(const Context& context) {
  // When standard error is the store's file, the sentence must not be written there. The exit status has to do.
  if (!check_standard_stream(STDERR_FILENO, context.directory())) return false;
  const Result<void> allowed = check_standard_stream(STDOUT_FILENO, context.directory());
  if (!allowed) report(allowed.error());
  return allowed.has_value();
}

int run(int count, char** values) {
  install_signal_handlers();
  // argv in order, without the program's name; CLI11 wants its own copy reversed.
  const std::vector<std::string> arguments(values + std::min(count, 1), values + count);
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument == "--json") use_json_errors(true);
  }
  Context context;
  CLI::App app(kDescription, "mentedb");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", "mentedb " MENTEDB_VERSION_STRING, "Show the version of this program");
  app.get_option("--version")->group("Common options");
  add_common_options(app, context);
  app.footer(kExamples);
  app.require_subcommand(1);
  add_commands(app, context);
  refuse_empty_values(app);
  for (const std::string& name : command_names(app)) {
    add_common_options(*app.get_subcommand(name), context);
    refuse_empty_values(*app.get_subcommand(name));
  }
  if (!may_write_standard_streams(context)) return kFailed;  // before the first word; --dir is not known yet
  if (const std::string missing = explain_missing_value(app, arguments); !missing.empty()) {
    const CLI::App* command = find_command(app, first_word(arguments));
    return report_usage(missing, command != nullptr ? command->get_name() : "");
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    const CLI::App* command = find_command(app, first_word(arguments));
    out() << (command != nullptr ? command->help() : app.help());
    return finish_output();
  } catch (const CLI::CallForVersion& version) {
    out() << version.what() << "\n";
    return finish_output();
  } catch (const CLI::ParseError& error) {
    const std::string word = first_word(arguments);
    return report_usage(explain(error, app, arguments), find_command(app, word) != nullptr ? word : "");
  }
  if (!may_write_standard_streams(context)) return kFailed;
  return context.run();
}

}  // namespace
}  // namespace mentedb::cli

int main(int count, char** values) {
  using namespace mentedb;
  try {
    return cli::run(count, values);
  } catch (const std::bad_alloc&) {
    return cli::report(Error{ErrorCode::out_of_memory, 0, "out of memory; free some memory and try again"});
  } catch (const std::exception& error) {
    return cli::report(Error{ErrorCode::io_error, 0, error.what()});
  }
}
