#include "codec/yaml.h"

#include <array>
#include <optional>
#include <span>
#include <spanstream>
#include <utility>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "codec/utf8.h"
#include "codec/yaml_builder.h"

namespace sallyport::codec {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// What the parser must never see: it takes U+0004 as the end of the text, and readers differ on
// which unusual characters end a line.
std::optional<TextError> find_bad_character(std::string_view text) {
  Mark mark{1, 1};
  size_t line_start = 0;
  for (size_t pos = 0; pos < text.size();) {
    size_t start = pos;
    auto byte = static_cast<unsigned char>(text[pos]);
    if (byte >= 0x20 && byte < 0x7f) {
      ++pos;
      continue;
    }
    auto bad = [&](std::string message) {
      mark.column = static_cast<int>(start - line_start) + 1;
      return TextError{mark, std::move(message)};
    };
    uint32_t code = next_code_point(text, pos);
    if (code == '\n') {
      ++mark.line;
      line_start = pos;
    } else if (code == kInvalidCodePoint) {
      return bad("a byte that is not valid UTF-8");
    } else if (code == '\r') {
      if (pos == text.size() || text[pos] != '\n')
        return bad("a carriage return without a line feed");
    } else if ((code < 0x20 && code != '\t') || (code >= 0x7f && code < 0xa0) || code == 0xfeff ||
               code == 0xfffe || code == 0xffff) {
      return bad("a control character; YAML wants it as an escape in double quotes");
    } else if (code == 0x2028 || code == 0x2029) {
      return bad("a Unicode line separator; YAML wants it as an escape in double quotes");
    }
  }
  return std::nullopt;
}

// The line `number`, without its end.
std::string_view line_of(std::string_view text, int number) {
  for (; number > 1; --number) {
    size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// The parser's terse messages with the usual cause.
std::string explain(std::string_view message) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kCauses{{
      {"illegal map value",
       "a \":\" that cannot stand here; wrong indentation above, or a text "
       "with \": \" that needs quotes"},
      {"end of map not found", "the map ends in the middle of a line or at a wrong indentation"},
      {"end of sequence not found",
       "the list ends in the middle of a line or at a wrong indentation"},
      {"end of map flow not found", "\"{\" without \"}\""},
      {"end of sequence flow not found", "\"[\" without \"]\""},
      {"illegal tab when looking for indentation", "a tab in the indentation; expected spaces"},
      {"illegal EOF in scalar", "the text ends inside quotes"},
      {"the referenced anchor is not defined", "alias of an anchor that is not defined"},
      {"unknown token", "a character that cannot begin a value; put the text in quotes"},
      {"illegal flow end", "\"]\" or \"}\" without its opening bracket"},
      {"illegal document indicator in scalar", "\"---\" or \"...\" inside quotes"},
      {"illegal block entry", "a \"-\" that cannot stand here; wrong indentation above"},
  }};
  for (const auto& [key, cause] : kCauses)
    if (message.starts_with(key)) return "not valid YAML: " + std::string(cause);
  return "not valid YAML: " + std::string(message);
}

TextError to_error(const YAML::Exception& error, const YamlBuilder& builder,
                   std::string_view text) {
  Mark mark{error.mark.line + 1, error.mark.column + 1};
  if (error.mark.is_null()) mark = {1, 1};
  // An open bracket is found missing at the end of the text; the place to look is where it opened.
  bool unclosed =
      error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW || error.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW;
  if (unclosed && builder.innermost_open().line > 0) mark = builder.innermost_open();
  // A tab takes the line out of its map, which the parser notices only later in the line.
  std::string_view line = line_of(text, mark.line);
  size_t tab = line.substr(0, line.find_first_not_of(" \t")).find('\t');
  if (tab != std::string_view::npos)
    return {{mark.line, static_cast<int>(tab) + 1}, explain(YAML::ErrorMsg::TAB_IN_INDENTATION)};
  return {mark, explain(error.msg)};
}

}  // namespace

std::expected<std::vector<Value>, YamlError> parse_yaml(std::string_view text,
                                                        const YamlLimits& limits) {
  if (text.size() > limits.bytes)
    return std::unexpected(TextError{
        {1, 1}, "larger than " + std::to_string(limits.bytes) + " bytes; split the file"});
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (auto bad = find_bad_character(text)) return std::unexpected(*bad);
  YamlBuilder builder(text, limits);
  try {
    std::ispanstream stream(std::span<const char>(text.data(), text.size()));
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return builder.take();
  } catch (const BuildError& error) {
    return std::unexpected(error.error);
  } catch (const YAML::Exception& error) {
    return std::unexpected(to_error(error, builder, text));
  } catch (const std::exception& error) {
    return std::unexpected(TextError{{1, 1}, std::string("not readable: ") + error.what()});
  }
}

}  // namespace sallyport::codec
