#include "codec/yaml_builder.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "codec/yaml_scalar.h"

namespace sallyport::codec {
namespace {

Mark to_mark(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

// A key as Kubernetes reads it: JSON has only string keys, so numbers and booleans become text.
std::string key_text(const Value& key) {
  switch (key.type()) {
    case Value::Type::kBool:
      return key.as_bool() ? "true" : "false";
    case Value::Type::kInt:
      return std::to_string(key.as_int());
    case Value::Type::kFloat: {
      double number = key.as_double();
      if (std::isnan(number)) return ".nan";
      if (std::isinf(number)) return number < 0 ? "-.inf" : ".inf";
      char text[40];
      auto result = std::to_chars(text, text + sizeof text, number);
      return {text, result.ptr};
    }
    default:
      return key.as_string();
  }
}

// The offset of the quote that begins the scalar at `pos`, after its tag and anchor; npos where
// the scalar has no quotes.
size_t find_quote(std::string_view text, size_t pos) {
  constexpr std::string_view kSpace = " \t\r\n";
  while (pos < text.size()) {
    if (text[pos] == '"' || text[pos] == '\'') return pos;
    if (text[pos] == '#') {
      pos = text.find('\n', pos);
    } else if (text[pos] == '&' || text[pos] == '!') {
      pos = text.find_first_of(kSpace, pos);
    } else if (kSpace.find(text[pos]) == std::string_view::npos) {
      break;
    } else {
      ++pos;
    }
  }
  return std::string_view::npos;
}

bool quote_ends(std::string_view text, size_t quote) {
  for (size_t pos = quote + 1; pos < text.size(); ++pos) {
    if (text[quote] == '"' && text[pos] == '\\') {
      ++pos;
    } else if (text[pos] == text[quote]) {
      // '' inside single quotes is one quote.
      if (text[quote] == '"' || pos + 1 == text.size() || text[pos + 1] != '\'') return true;
      ++pos;
    }
  }
  return false;
}

Mark mark_of(std::string_view text, size_t pos) {
  std::string_view before = text.substr(0, pos);
  size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<int>(pos - line_start) + 1};
}

}  // namespace

std::vector<Value> YamlBuilder::take() {
  size_t quote = find_quote(text_, last_scalar_);
  if (quote != std::string_view::npos && !quote_ends(text_, quote))
    fail_at(mark_of(text_, quote), "not valid YAML: text in quotes that never ends");
  return std::move(documents_);
}

void YamlBuilder::fail_at(Mark mark, std::string message) const {
  throw BuildError{{mark, std::move(message)}};
}

// Counts nodes before they are made, so that a small text cannot become a large tree.
void YamlBuilder::charge(Mark mark, const Size& size) {
  if (size.nodes > limits_.nodes - nodes_)
    fail_at(mark, "more than " + std::to_string(limits_.nodes) +
                      " values with aliases expanded; split the file or repeat less");
  if (size.bytes > limits_.expanded_bytes - bytes_)
    fail_at(mark, "more than " + std::to_string(limits_.expanded_bytes) +
                      " bytes of text with aliases expanded; split the file or repeat less");
  nodes_ += size.nodes;
  bytes_ += size.bytes;
  if (stack_.size() + static_cast<size_t>(size.depth) > static_cast<size_t>(limits_.depth))
    fail_at(mark, "nested deeper than " + std::to_string(limits_.depth) + " levels");
}

void YamlBuilder::OnDocumentStart(const YAML::Mark& mark) {
  anchors_.clear();
  // The parser takes any node after a document's end as a new document; YAML wants a separator.
  auto pos = static_cast<size_t>(mark.pos < 0 ? 0 : mark.pos);
  if (!documents_.empty() && (pos >= text_.size() || !text_.substr(pos).starts_with("---")))
    fail_at(to_mark(mark), "text after the end of the document; expected \"---\"");
  documents_.emplace_back();
}

void YamlBuilder::OnDocumentEnd() {
  stack_.clear();
}

void YamlBuilder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  Value value;
  value.mark = to_mark(mark);
  // [a,,b]: other readers refuse it.
  bool in_flow_list = !stack_.empty() && stack_.back().is_flow && stack_.back().value.is_list();
  auto pos = static_cast<size_t>(mark.pos < 0 ? 0 : mark.pos);
  if (in_flow_list && pos < text_.size() && text_[pos] == ',')
    fail_at(value.mark, "a comma without an item before it");
  charge(value.mark, {});
  remember(anchor, value, {});
  add(std::move(value), {}, false);
}

void YamlBuilder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                           const std::string& text) {
  Size size{1, text.size(), 0};
  charge(to_mark(mark), size);
  if (mark.pos > 0) last_scalar_ = static_cast<size_t>(mark.pos);
  Value value;
  if (tag == "?" || tag.empty()) {
    value = resolve_plain(text);
  } else if (tag == "!") {
    value = Value::string(text);
  } else {
    auto tagged = resolve_tagged(tag, text);
    if (!tagged) fail_at(to_mark(mark), tagged.error());
    value = std::move(*tagged);
  }
  value.mark = to_mark(mark);
  remember(anchor, value, size);
  add(std::move(value), size, tag == "?" && text == "<<");
}

void YamlBuilder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  auto found = anchors_.find(anchor);
  if (found == anchors_.end()) fail_at(to_mark(mark), "alias of an anchor that is not defined");
  if (!found->second.done) fail_at(to_mark(mark), "alias inside the value of its own anchor");
  charge(to_mark(mark), found->second.size);
  add(found->second.value, found->second.size, false);
}

void YamlBuilder::OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                                  YAML::EmitterStyle::value style) {
  begin(Value::list(), mark, anchor, style);
}

void YamlBuilder::OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                             YAML::EmitterStyle::value style) {
  begin(Value::map(), mark, anchor, style);
}

void YamlBuilder::begin(Value value, const YAML::Mark& mark, YAML::anchor_t anchor,
                        YAML::EmitterStyle::value style) {
  value.mark = to_mark(mark);
  charge(value.mark, {1, 0, 1});
  if (anchor != 0) anchors_[anchor] = {};
  Frame frame;
  // The parser takes an unclosed bracket for a key too: what is wrong inside is the better error.
  frame.is_key = !stack_.empty() && stack_.back().value.is_map() && !stack_.back().has_key;
  frame.is_flow = style == YAML::EmitterStyle::Flow;
  frame.value = std::move(value);
  frame.anchor = anchor;
  stack_.push_back(std::move(frame));
}

void YamlBuilder::end() {
  Frame frame = std::move(stack_.back());
  stack_.pop_back();
  if (frame.is_key)
    fail_at(frame.value.mark,
            "a map key that is a " + std::string(frame.value.type_name()) + "; expected a string");
  ++frame.size.depth;
  remember(frame.anchor, frame.value, frame.size);
  add(std::move(frame.value), frame.size, false);
}

void YamlBuilder::remember(YAML::anchor_t anchor, const Value& value, const Size& size) {
  if (anchor == 0) return;
  charge(value.mark, {size.nodes, size.bytes, 0});  // the copy takes memory too
  anchors_[anchor] = {value, size, true};
}

void YamlBuilder::add(Value value, const Size& size, bool plain_merge_key) {
  if (stack_.empty()) {
    documents_.back() = std::move(value);
    return;
  }
  Frame& frame = stack_.back();
  frame.size.nodes += size.nodes;
  frame.size.bytes += size.bytes;
  frame.size.depth = std::max(frame.size.depth, size.depth);
  if (frame.value.is_list()) {
    frame.value.push(std::move(value));
  } else if (!frame.has_key) {
    add_key(value, plain_merge_key);
  } else {
    frame.has_key = false;
    if (frame.is_merge)
      merge(frame, value);
    else
      add_member(frame, std::move(value));
  }
}

void YamlBuilder::add_key(const Value& key, bool plain_merge_key) {
  Frame& frame = stack_.back();
  if (key.is_null() || key.is_list() || key.is_map())
    fail_at(key.mark, "a map key that is " + std::string(key.is_null() ? "" : "a ") +
                          std::string(key.type_name()) + "; expected a string");
  frame.key_mark = key.mark;
  frame.has_key = true;
  frame.is_merge = plain_merge_key;
  frame.key = plain_merge_key ? "<<" : key_text(key);
  bool duplicate = plain_merge_key ? std::exchange(frame.merged_before, true)
                                   : !frame.keys.insert(frame.key).second;
  if (duplicate)
    fail_at(key.mark, "duplicate key \"" + frame.key + "\"; a key may stand only once in a map");
}

void YamlBuilder::add_member(Frame& frame, Value value) {
  Value::Member member{frame.key, std::move(value), frame.key_mark};
  auto merged = frame.index.find(frame.key);
  if (merged != frame.index.end())
    frame.value.members()[merged->second] = std::move(member);
  else
    frame.value.members().push_back(std::move(member));
}

void YamlBuilder::merge(Frame& frame, const Value& value) {
  if (value.is_map()) {
    merge_map(frame, value);
    return;
  }
  if (!value.is_list())
    fail_at(frame.key_mark, "a merge key (<<) with a " + std::string(value.type_name()) +
                                "; expected a map or a list of maps");
  for (const Value& item : value.items()) {
    if (!item.is_map())
      fail_at(frame.key_mark, "a merge key (<<) with a list that holds a " +
                                  std::string(item.type_name()) + "; expected maps");
    merge_map(frame, item);
  }
}

void YamlBuilder::merge_map(Frame& frame, const Value& map) {
  for (const Value::Member& member : map.members()) {
    if (frame.index.contains(member.key)) continue;  // an earlier map of the list wins
    if (frame.keys.contains(member.key))
      fail_at(frame.key_mark, "the merge key (<<) would overwrite \"" + member.key +
                                  "\" above it in some readers and not in others; put it first");
    frame.index.emplace(member.key, frame.value.members().size());
    frame.value.members().push_back(member);
  }
}

}  // namespace sallyport::codec
