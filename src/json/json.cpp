// Reads and writes the JSON form of a memory.
//
// The parser calls the reader for each token, and the reader builds the node and no tree. So a hostile line costs at
// most a small multiple of its length in memory. The reader also sees the text of each number: a float that is read
// through a double could be rounded twice.
#include <mentedb/json.hpp>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/quote.hpp"

namespace mentedb {
namespace {

using nlohmann::json;

// ---------------------------------------------------------------------------------------------------- writing

void append_string(std::string& out, std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  std::size_t done = 0;  // the bytes before this one are in `out`
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text.substr(done, i - done));
    done = i + 1;
    out += '\\';
    switch (c) {
      case '"':
        out += '"';
        break;
      case '\\':
        out += '\\';
        break;
      case '\b':
        out += 'b';
        break;
      case '\t':
        out += 't';
        break;
      case '\n':
        out += 'n';
        break;
      case '\f':
        out += 'f';
        break;
      case '\r':
        out += 'r';
        break;
      default:
        out += "u00";
        out += kDigits[c >> 4];
        out += kDigits[c & 0x0F];
    }
  }
  out.append(text.substr(done));
  out += '"';
}

/// The shortest text that reads back to the same value. It always has a point or an exponent, as serde_json writes it.
template <class Float>
void append_float(std::string& out, Float number) {
  if (!std::isfinite(number)) {  // only in a node that `validate` refuses
    out += "null";
    return;
  }
  const std::size_t start = out.size();
  fmt::format_to(std::back_inserter(out), "{}", number);
  if (out.find_first_of(".e", start) == std::string::npos) out += ".0";
}

void append_field(std::string& out, std::string_view name) {
  out += out.size() > 1 ? ",\"" : "\"";
  out += name;
  out += "\":";
}

void append_value(std::string& out, const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    out += "{\"String\":";
    append_string(out, *text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    fmt::format_to(std::back_inserter(out), "{{\"Integer\":{}", *integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    out += "{\"Float\":";
    append_float(out, *number);
  } else if (const auto* truth = std::get_if<bool>(&value)) {
    out += *truth ? "{\"Boolean\":true" : "{\"Boolean\":false";
  } else {
    out += "{\"Bytes\":[";
    std::string_view separator;
    for (std::byte byte : std::get<Bytes>(value)) {
      fmt::format_to(std::back_inserter(out), "{}{}", separator, static_cast<unsigned>(byte));
      separator = ",";
    }
    out += ']';
  }
  out += '}';
}

// ---------------------------------------------------------------------------------------------------- reading

enum class Name {
  id,
  agent_id,
  user_id,
  memory_type,
  embedding,
  content,
  created_at,
  accessed_at,
  access_count,
  salience,
  confidence,
  space_id,
  attributes,
  tags,
  valid_from,
  valid_until,
  context,
  unknown
};

constexpr std::string_view kNames[] = {"id",          "agent_id",   "user_id",     "memory_type",  "embedding",
                                       "content",     "created_at", "accessed_at", "access_count", "salience",
                                       "confidence",  "space_id",   "attributes",  "tags",         "valid_from",
                                       "valid_until", "context"};
static_assert(std::size(kNames) == static_cast<std::size_t>(Name::unknown));

Name name_of(std::string_view text) {
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == text) return static_cast<Name>(i);
  }
  return Name::unknown;
}

constexpr std::uint32_t bit(Name name) { return 1U << static_cast<unsigned>(name); }

/// A number and its text. The text is empty for an integer of at most 64 bits.
struct Number {
  enum Kind { negative, unsigned_integer, fraction };
  Kind kind = fraction;
  std::int64_t integer = 0;
  std::uint64_t whole = 0;
  double value = 0;
  std::string_view text;
};

/// Makes one MemoryNode from nlohmann's events. A handler that fails returns false, and that ends the parse.
class NodeReader {
 public:
  NodeReader(MemoryNode& node, std::vector<std::string>* unknown_fields)
      : node_(node), unknown_fields_(unknown_fields) {}

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  bool finish() {
    if (error_) return false;
    for (Name name : {Name::id, Name::agent_id, Name::memory_type, Name::content}) {
      if ((seen_ & bit(name)) == 0) {
        return fail_plain(
            fmt::format("no memory: the field \"{}\" is missing", kNames[static_cast<std::size_t>(name)]));
      }
    }
    return true;
  }

  /// The names of the fields that have no value.
  void list_missing(std::vector<std::string>& names) const {
    for (std::size_t i = 0; i < std::size(kNames); ++i) {
      if ((seen_ & bit(static_cast<Name>(i))) == 0) names.emplace_back(kNames[i]);
    }
  }

  // nlohmann's SAX interface
  bool null() {
    if (place_ == Place::skip) return true;
    // null means that the field is absent. `finish` reports an absent field that is required.
    if (place_ == Place::field) return done_with_field(false);
    return wrong_type("null");
  }
  bool boolean(bool value) {
    if (place_ == Place::skip) return true;
    if (place_ == Place::attribute_value && kind_ == Kind::boolean) return set_attribute(value);
    return wrong_type("a boolean");
  }
  bool number_integer(std::int64_t value) {
    Number number;
    number.kind = Number::negative;
    number.integer = value;
    number.value = static_cast<double>(value);
    return on_number(number);
  }
  bool number_unsigned(std::uint64_t value) {
    Number number;
    number.kind = Number::unsigned_integer;
    number.whole = value;
    number.value = static_cast<double>(value);
    return on_number(number);
  }
  bool number_float(double value, const std::string& text) {
    Number number;
    number.kind = Number::fraction;
    number.value = value;
    number.text = text;
    return on_number(number);
  }
  bool string(std::string& value);
  bool binary(json::binary_t& /*unused*/) { return wrong_type("binary data"); }  // JSON text has no binary data
  bool start_object(std::size_t /*unused*/);
  bool key(std::string& name);
  bool end_object();
  bool start_array(std::size_t /*unused*/);
  bool end_array();
  bool parse_error(std::size_t position, const std::string& last_token, const json::exception& exception);

 private:
  /// Where the next value belongs.
  enum class Place {
    start,  // before the object
    node,   // between fields
    field,  // the value of field_
    embedding,
    tags,             // inside the array
    attributes,       // between attributes
    attribute,        // the value of one attribute: an object with one member
    attribute_kind,   // inside that object, before its member's name
    attribute_value,  // the member's value
    attribute_bytes,  // inside the array of Bytes
    attribute_end,    // after the member
    skip,             // inside or at the value of an unknown field
    end,
  };
  enum class Kind { string, integer, number, boolean, bytes };

  bool on_number(const Number& number);
  bool set_float(const Number& number, float& to);
  bool set_unsigned(const Number& number, std::uint64_t limit, std::uint64_t& to);
  bool done_with_field(bool present);

  template <class T>
  bool set_attribute(T&& value) {
    node_.attributes.insert_or_assign(attribute_, AttributeValue(std::forward<T>(value)));
    place_ = Place::attribute_end;
    return true;
  }
  template <class Id>
  bool set_id(const std::string& text, Id& to) {
    auto parsed = Id::parse(text);
    if (!parsed) return fail(parsed.error().message);
    to = *parsed;
    return done_with_field(true);
  }

  /// The field and the place in it, for error messages.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string expected() const;
  bool fail_plain(std::string message, ErrorCode code = ErrorCode::invalid_argument) {
    if (!error_) error_ = Error{code, 0, std::move(message)};
    return false;
  }
  bool fail(std::string_view why, ErrorCode code = ErrorCode::invalid_argument) {
    return fail_plain(fmt::format("{}: {}", path(), why), code);
  }
  bool wrong_type(std::string_view found) {
    if (place_ == Place::start) return fail_plain(fmt::format("no memory: expected a JSON object, found {}", found));
    return fail(fmt::format("expected {}, found {}", expected(), found));
  }

  MemoryNode& node_;
  std::vector<std::string>* unknown_fields_;
  std::optional<Error> error_;
  Place place_ = Place::start;
  Name field_ = Name::unknown;
  std::uint32_t seen_ = 0;       // the fields that have a value
  std::uint32_t mentioned_ = 0;  // the fields that the text names, also those that are null
  std::string attribute_;
  Kind kind_ = Kind::string;
  Bytes bytes_;
  std::size_t skip_depth_ = 0;
};

std::string NodeReader::path() const {
  if (place_ == Place::start) return "no memory";
  if (place_ == Place::skip) return "an unknown field";
  if (place_ == Place::node || place_ == Place::end || field_ == Name::unknown) return "memory";
  const std::string_view name = kNames[static_cast<std::size_t>(field_)];
  switch (place_) {
    case Place::embedding:
      return fmt::format("{}[{}]", name, node_.embedding.size());
    case Place::tags:
      return fmt::format("{}[{}]", name, node_.tags.size());
    case Place::attribute:
    case Place::attribute_kind:
    case Place::attribute_value:
    case Place::attribute_end:
      return fmt::format("{}[{}]", name, base::quoted(attribute_));
    case Place::attribute_bytes:
      return fmt::format("{}[{}], byte {}", name, base::quoted(attribute_), bytes_.size());
    default:
      return std::string(name);
  }
}

std::string NodeReader::expected() const {
  switch (place_) {
    case Place::embedding:
      return "a number";
    case Place::tags:
      return "a string";
    case Place::attribute:
      return R"({"String":..}, {"Integer":..}, {"Float":..}, {"Boolean":..} or {"Bytes":[..]})";
    case Place::attribute_bytes:
      return "an integer from 0 to 255";
    case Place::attribute_value:
      switch (kind_) {
        case Kind::string:
          return "a string";
        case Kind::integer:
          return "an integer";
        case Kind::number:
          return "a number";
        case Kind::boolean:
          return "a boolean";
        case Kind::bytes:
          return "an array of integers from 0 to 255";
      }
      return "a value";
    default:
      break;
  }
  switch (field_) {
    case Name::embedding:
      return "an array of numbers";
    case Name::tags:
      return "an array of strings";
    case Name::attributes:
      return "an object";
    case Name::created_at:
    case Name::accessed_at:
    case Name::valid_from:
    case Name::valid_until:
      return "an integer (microseconds since 1970)";
    case Name::access_count:
      return "an integer";
    case Name::salience:
    case Name::confidence:
      return "a number";
    default:
      return "a string";
  }
}

bool NodeReader::done_with_field(bool present) {
  if (present) seen_ |= bit(field_);
  place_ = Place::node;
  return true;
}

bool NodeReader::set_float(const Number& number, float& to) {
  float value = 0;
  if (number.text.empty()) {
    value = number.kind == Number::negative ? static_cast<float>(number.integer) : static_cast<float>(number.whole);
  } else {
    const char* end = number.text.data() + number.text.size();
    const auto [stop, status] = std::from_chars(number.text.data(), end, value);
    // from_chars refuses an overflow, and a number that rounds to zero or to a denormal. The double tells which it is.
    if (status != std::errc() || stop != end) value = static_cast<float>(number.value);
  }
  if (!std::isfinite(value)) return fail("the number is out of the range of a 32-bit float");
  to = value;
  return true;
}

bool NodeReader::set_unsigned(const Number& number, std::uint64_t limit, std::uint64_t& to) {
  if (number.kind == Number::fraction) return wrong_type("a number with a fraction or beyond 64 bits");
  if (number.kind == Number::negative) return fail("the number is negative");
  if (number.whole > limit) return fail(fmt::format("the number is out of range; the largest is {}", limit));
  to = number.whole;
  return true;
}

bool NodeReader::on_number(const Number& number) {
  if (place_ == Place::skip) return true;
  std::uint64_t whole = 0;
  switch (place_) {
    case Place::embedding: {
      if (node_.embedding.size() >= kMaxEmbeddingDimensions) {
        return fail(fmt::format("more than {} dimensions", kMaxEmbeddingDimensions), ErrorCode::capacity_exceeded);
      }
      float value = 0;
      if (!set_float(number, value)) return false;
      node_.embedding.push_back(value);
      return true;
    }
    case Place::attribute_bytes:
      if (!set_unsigned(number, 255, whole)) return false;
      bytes_.push_back(static_cast<std::byte>(whole));
      return true;
    case Place::attribute_value:
      if (kind_ == Kind::number) return set_attribute(number.value);
      if (kind_ != Kind::integer) return wrong_type("a number");
      if (number.kind == Number::negative) return set_attribute(number.integer);
      if (!set_unsigned(number, std::numeric_limits<std::int64_t>::max(), whole)) return false;
      return set_attribute(static_cast<std::int64_t>(whole));
    case Place::field:
      break;
    default:
      return wrong_type("a number");
  }
  switch (field_) {
    case Name::created_at:
      return set_unsigned(number, std::numeric_limits<std::uint64_t>::max(), node_.created_at) && done_with_field(true);
    case Name::accessed_at:
      return set_unsigned(number, std::numeric_limits<std::uint64_t>::max(), node_.accessed_at) &&
             done_with_field(true);
    case Name::valid_from:
    case Name::valid_until:
      if (!set_unsigned(number, std::numeric_limits<std::uint64_t>::max(), whole)) return false;
      (field_ == Name::valid_from ? node_.valid_from : node_.valid_until) = whole;
      return done_with_field(true);
    case Name::access_count:
      if (!set_unsigned(number, std::numeric_limits<std::uint32_t>::max(), whole)) return false;
      node_.access_count = static_cast<std::uint32_t>(whole);
      return done_with_field(true);
    case Name::salience:
      return set_float(number, node_.salience) && done_with_field(true);
    case Name::confidence:
      return set_float(number, node_.confidence) && done_with_field(true);
    default:
      return wrong_type("a number");
  }
}

bool NodeReader::string(std::string& value) {
  switch (place_) {
    case Place::skip:
      return true;
    case Place::tags:
      if (node_.tags.size() >= kMaxTags) {
        return fail(fmt::format("more than {} tags", kMaxTags), ErrorCode::capacity_exceeded);
      }
      node_.tags.push_back(std::move(value));
      return true;
    case Place::attribute_value:
      return kind_ == Kind::string ? set_attribute(std::move(value)) : wrong_type("a string");
    case Place::field:
      break;
    default:
      return wrong_type("a string");
  }
  switch (field_) {
    case Name::id:
      return set_id(value, node_.id);
    case Name::agent_id:
      return set_id(value, node_.agent_id);
    case Name::user_id:
      return set_id(value, node_.user_id);
    case Name::space_id:
      return set_id(value, node_.space_id);
    case Name::content:
      node_.content = std::move(value);
      return done_with_field(true);
    case Name::context:
      node_.context = std::move(value);
      return done_with_field(true);
    case Name::memory_type: {
      auto type = parse_memory_type(value);
      if (!type) return fail(type.error().message);
      node_.memory_type = *type;
      return done_with_field(true);
    }
    default:
      return wrong_type("a string");
  }
}

bool NodeReader::start_object(std::size_t /*unused*/) {
  switch (place_) {
    case Place::skip:
      ++skip_depth_;
      return true;
    case Place::start:
      place_ = Place::node;
      return true;
    case Place::attribute:
      place_ = Place::attribute_kind;
      return true;
    case Place::field:
      if (field_ != Name::attributes) return wrong_type("an object");
      place_ = Place::attributes;
      return true;
    default:
      return wrong_type("an object");
  }
}

bool NodeReader::key(std::string& name) {
  // The unknown field before this one had a value without brackets, so no bracket ended it.
  if (place_ == Place::skip && skip_depth_ == 0) place_ = Place::node;
  switch (place_) {
    case Place::skip:
      return true;
    case Place::node: {
      field_ = name_of(name);
      if (field_ == Name::unknown) {
        if (unknown_fields_ != nullptr) unknown_fields_->push_back(name);
        place_ = Place::skip;
        return true;
      }
      place_ = Place::field;
      if ((mentioned_ & bit(field_)) != 0) return fail("the field appears twice");
      mentioned_ |= bit(field_);
      return true;
    }
    case Place::attributes:
      attribute_ = std::move(name);
      place_ = Place::attribute;
      if (node_.attributes.contains(attribute_)) return fail("the attribute appears twice");
      if (node_.attributes.size() >= kMaxAttributes) {
        return fail(fmt::format("more than {} attributes", kMaxAttributes), ErrorCode::capacity_exceeded);
      }
      return true;
    case Place::attribute_kind:
      place_ = Place::attribute_value;
      if (name == "String")
        kind_ = Kind::string;
      else if (name == "Integer")
        kind_ = Kind::integer;
      else if (name == "Float")
        kind_ = Kind::number;
      else if (name == "Boolean")
        kind_ = Kind::boolean;
      else if (name == "Bytes")
        kind_ = Kind::bytes;
      else
        return fail(fmt::format("{} is no kind of attribute; expected String, Integer, Float, Boolean or Bytes",
                                base::quoted(name)));
      return true;
    default:
      return fail("the attribute has more than one value");  // attribute_end
  }
}

bool NodeReader::end_object() {
  if (place_ == Place::skip && skip_depth_ == 0) place_ = Place::node;
  switch (place_) {
    case Place::skip:
      if (--skip_depth_ == 0) place_ = Place::node;
      return true;
    case Place::node:
      place_ = Place::end;
      return true;
    case Place::attributes:
      return done_with_field(true);
    case Place::attribute_end:
      place_ = Place::attributes;
      return true;
    default:
      place_ = Place::attribute;
      return wrong_type("an empty object");  // attribute_kind
  }
}

bool NodeReader::start_array(std::size_t /*unused*/) {
  switch (place_) {
    case Place::skip:
      ++skip_depth_;
      return true;
    case Place::attribute_value:
      if (kind_ != Kind::bytes) return wrong_type("an array");
      bytes_.clear();
      place_ = Place::attribute_bytes;
      return true;
    case Place::field:
      if (field_ != Name::embedding && field_ != Name::tags) return wrong_type("an array");
      place_ = field_ == Name::tags ? Place::tags : Place::embedding;
      return true;
    default:
      return wrong_type("an array");
  }
}

bool NodeReader::end_array() {
  if (place_ == Place::attribute_bytes) return set_attribute(std::move(bytes_));
  if (place_ == Place::skip) {
    if (--skip_depth_ == 0) place_ = Place::node;
    return true;
  }
  return done_with_field(true);
}

bool NodeReader::parse_error(std::size_t position, const std::string& last_token, const json::exception& exception) {
  std::string_view why = exception.what();
  // Keep the reason alone of "[json.exception.parse_error.101] parse error at line 1, column 5: ...".
  if (const auto bracket = why.find("] "); bracket != std::string_view::npos) why.remove_prefix(bracket + 2);
  if (why.starts_with("parse error")) {
    if (const auto colon = why.find(": "); colon != std::string_view::npos) why.remove_prefix(colon + 2);
  }
  if (const auto last = why.find("; last read"); last != std::string_view::npos) why = why.substr(0, last);
  std::string near = last_token.substr(0, 40);
  for (char& c : near) {
    if (c < ' ' || c > '~') c = '?';
  }
  return fail_plain(fmt::format("{}: no valid JSON at byte {}{}: {}", path(), position,
                                near.empty() ? "" : fmt::format(" (near '{}')", near), why));
}

}  // namespace

std::string to_json(const MemoryNode& node) {
  std::string out = "{";
  out.reserve(400 + node.content.size() + node.embedding.size() * 9);
  const auto text = [&](std::string_view name, std::string_view value) {
    append_field(out, name);
    append_string(out, value);
  };
  const auto integer = [&](std::string_view name, std::uint64_t value) {
    append_field(out, name);
    fmt::format_to(std::back_inserter(out), "{}", value);
  };
  text("id", node.id.to_string());
  text("agent_id", node.agent_id.to_string());
  if (!node.user_id.is_nil()) text("user_id", node.user_id.to_string());
  text("memory_type", to_string(node.memory_type));
  append_field(out, "embedding");
  out += '[';
  for (std::size_t i = 0; i < node.embedding.size(); ++i) {
    if (i > 0) out += ',';
    append_float(out, node.embedding[i]);
  }
  out += ']';
  text("content", node.content);
  integer("created_at", node.created_at);
  integer("accessed_at", node.accessed_at);
  integer("access_count", node.access_count);
  append_field(out, "salience");
  append_float(out, node.salience);
  append_field(out, "confidence");
  append_float(out, node.confidence);
  text("space_id", node.space_id.to_string());
  append_field(out, "attributes");
  out += '{';
  bool first = true;
  for (const auto& [key, value] : node.attributes) {
    if (!first) out += ',';
    first = false;
    append_string(out, key);
    out += ':';
    append_value(out, value);
  }
  out += '}';
  append_field(out, "tags");
  out += '[';
  for (std::size_t i = 0; i < node.tags.size(); ++i) {
    if (i > 0) out += ',';
    append_string(out, node.tags[i]);
  }
  out += ']';
  if (node.valid_from) integer("valid_from", *node.valid_from);
  if (node.valid_until) integer("valid_until", *node.valid_until);
  if (node.context) text("context", *node.context);
  out += '}';
  return out;
}

Result<MemoryNode> from_json(std::string_view text, std::vector<std::string>* unknown_fields,
                             std::vector<std::string>* missing_fields) {
  try {
    MemoryNode node;
    NodeReader reader(node, unknown_fields);
    if (!json::sax_parse(text.begin(), text.end(), &reader) || !reader.finish()) {
      return std::unexpected(reader.error().value());
    }
    if (missing_fields != nullptr) reader.list_missing(*missing_fields);
    return node;
  } catch (const std::bad_alloc&) {
    return std::unexpected(Error{ErrorCode::out_of_memory, 0, "out of memory while reading a memory from JSON"});
  }
}

}  // namespace mentedb
