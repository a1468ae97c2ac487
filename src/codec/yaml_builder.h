// Turns the events of the YAML parser into values, within limits. Internal to codec: the only
// header that shows yaml-cpp, included by the YAML reader alone.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/mark.h>

#include "codec/value.h"
#include "codec/yaml.h"

namespace sallyport::codec {

// Thrown through the parser, caught by parse_yaml.
struct BuildError {
  TextError error;
};

class YamlBuilder : public YAML::EventHandler {
 public:
  // `text` is what the parser reads: marks point into it. It must outlive the builder.
  YamlBuilder(std::string_view text, const YamlLimits& limits) : text_(text), limits_(limits) {}

  // The documents. Fails where the last text in quotes never ends, which the parser accepts.
  std::vector<Value> take();

  // Where the innermost list or map began that has not ended; line 0 where there is none.
  [[nodiscard]] Mark innermost_open() const {
    return stack_.empty() ? Mark{} : stack_.back().value.mark;
  }

  void OnDocumentStart(const YAML::Mark& mark) override;
  void OnDocumentEnd() override;
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override;
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override;
  void OnMapEnd() override { end(); }

 private:
  struct Size {
    size_t nodes = 1;
    size_t bytes = 0;
    int depth = 0;
  };
  struct Anchor {
    Value value;
    Size size;
    bool done = false;  // false while the anchored node itself is being read
  };
  // One open list or map.
  struct Frame {
    Value value;
    YAML::anchor_t anchor = 0;
    Size size;
    bool is_key = false;  // a list or map where a map wants a key: wrong, once it is complete
    bool is_flow = false;
    bool has_key = false;  // in a map: the next node is the value of `key`
    bool is_merge = false;
    bool merged_before = false;
    std::string key;
    Mark key_mark;
    std::set<std::string, std::less<>> keys;           // written here, for duplicates
    std::map<std::string, size_t, std::less<>> index;  // merged in: where it is in members()
  };

  [[noreturn]] void fail_at(Mark mark, std::string message) const;
  void charge(Mark mark, const Size& size);
  void begin(Value value, const YAML::Mark& mark, YAML::anchor_t anchor,
             YAML::EmitterStyle::value style);
  void end();
  void add(Value value, const Size& size, bool plain_merge_key);
  void add_key(const Value& key, bool plain_merge_key);
  void add_member(Frame& frame, Value value);
  void merge(Frame& frame, const Value& value);
  void merge_map(Frame& frame, const Value& map);
  void remember(YAML::anchor_t anchor, const Value& value, const Size& size);

  std::string_view text_;
  YamlLimits limits_;
  std::vector<Value> documents_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Anchor> anchors_;
  size_t last_scalar_ = 0;  // where it began, with its tag and anchor
  size_t nodes_ = 0;
  size_t bytes_ = 0;
};

}  // namespace sallyport::codec
