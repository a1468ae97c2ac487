#include "cli/args.h"

#include <algorithm>

#include "base/strings.h"

namespace sallyport::cli {
namespace {

const OptionSpec* find_option(const CommandSpec& spec, const std::string& word) {
  for (const OptionSpec& option : spec.options)
    if (option.name == word || (option.letter && word == std::string("-") + option.letter))
      return &option;
  return nullptr;
}

}  // namespace

Result<Args> Args::parse(const CommandSpec& spec, const std::vector<std::string>& words) {
  Args args;
  auto wrong = [&](const std::string& why) {
    return fail(Code::kInvalid, why + "\nusage: sallyport " + spec.usage + "\n`sallyport help " +
                                    spec.name + "` tells more");
  };
  for (size_t i = 0; i < words.size(); ++i) {
    std::string word = words[i];
    if (word == "--") {
      args.rest_.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      args.words_.push_back(word);
      continue;
    }
    std::string value;
    bool inline_value = false;
    if (size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
      value = word.substr(equals + 1);
      word = word.substr(0, equals);
      inline_value = true;
    }
    const OptionSpec* option = find_option(spec, word);
    if (!option) return wrong("unknown option " + word);
    if (option->value.empty()) {
      if (inline_value) return wrong(word + " takes no value");
    } else if (!inline_value) {
      if (i + 1 == words.size()) return wrong(word + " needs a value: " + option->value);
      value = words[++i];
    }
    args.values_[option->name].push_back(std::move(value));
  }
  if (args.words_.size() < spec.min_args) return wrong("too few arguments");
  if (args.words_.size() > spec.max_args)
    return wrong("too many arguments: \"" + args.words_[spec.max_args] + "\"");
  return args;
}

std::string Args::get(const std::string& option, const std::string& fallback) const {
  auto found = values_.find(option);
  return found == values_.end() ? fallback : found->second.back();
}

std::vector<std::string> Args::all(const std::string& option) const {
  auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::string help_text(const CommandSpec& spec) {
  std::string out = spec.summary + "\n\nusage: sallyport " + spec.usage + "\n";
  if (!spec.details.empty()) out += "\n" + spec.details + "\n";
  if (!spec.options.empty()) {
    out += "\noptions:\n";
    for (const OptionSpec& option : spec.options) {
      std::string left = option.letter ? std::string("  -") + option.letter + ", " : "      ";
      left += option.name + (option.value.empty() ? "" : " " + option.value);
      left.resize(std::max<size_t>(left.size() + 2, 34), ' ');
      out += left + option.help + "\n";
    }
  }
  if (!spec.examples.empty()) {
    out += "\nexamples:\n";
    for (const std::string& example : spec.examples) out += "  " + example + "\n";
  }
  return out;
}

Result<int64_t> parse_duration(const std::string& text) {
  std::string number = text;
  int64_t unit = 1;
  if (!number.empty()) {
    switch (number.back()) {
      case 's':
        number.pop_back();
        break;
      case 'm':
        unit = 60;
        number.pop_back();
        break;
      case 'h':
        unit = 3600;
        number.pop_back();
        break;
      default:
        break;
    }
  }
  auto value = parse_number<int64_t>(number);
  if (!value || *value < 0 || *value > 10'000'000)
    return fail(Code::kInvalid, "\"" + text + "\" is not a duration; expected 30s, 5m or 2h");
  return *value * unit;
}

}  // namespace sallyport::cli
