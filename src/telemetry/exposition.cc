#include "telemetry/exposition.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/strings.h"

namespace sallyport::telemetry {
namespace {

std::string_view type_name(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  return "untyped";
}

std::optional<MetricType> parse_type(std::string_view text) {
  if (text == "counter") return MetricType::kCounter;
  if (text == "gauge") return MetricType::kGauge;
  if (text == "histogram") return MetricType::kHistogram;
  return std::nullopt;
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  char text[40];
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  const auto end = whole ? std::to_chars(text, text + sizeof(text), static_cast<int64_t>(value))
                         : std::to_chars(text, text + sizeof(text), value);
  out.append(text, end.ptr);
}

std::optional<double> parse_value(std::string_view text) {
  if (text == "+Inf" || text == "Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_name(std::string_view text) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == ':';
  });
}

// How far `{…}` reaches, its braces included; npos where it does not end or is not well-formed.
size_t label_block(std::string_view text) {
  size_t i = 1;
  if (i < text.size() && text[i] == '}') return i + 1;
  while (true) {
    const size_t equals = text.find('=', i);
    if (equals == std::string_view::npos || !is_name(text.substr(i, equals - i))) break;
    i = equals + 1;
    if (i >= text.size() || text[i] != '"') break;
    for (++i; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\') ++i;
    }
    if (++i >= text.size()) break;
    if (text[i] == '}') return i + 1;
    if (text[i] != ',') break;
    ++i;
  }
  return std::string_view::npos;
}

constexpr std::string_view kSuffixes[] = {"_bucket", "_sum", "_count"};

}  // namespace

struct Exposition::Line {
  std::string_view family{}, key{};
  double value = 0;
  // A declaration instead, where `declares`.
  bool declares = false;
  MetricType type = MetricType::kCounter;
  std::string_view help{};
};

void append_label(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty() && out.back() == '"') out += ',';
  out += name;
  out += "=\"";
  for (const char c : value) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '"') {
      out += "\\\"";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  out += '"';
}

void Exposition::declare(std::string_view name, MetricType type, std::string_view help,
                         Merge merge) {
  if (by_name_.contains(std::string(name))) return;
  Family& family = families_.emplace_back();
  family.name = name;
  family.help = help;
  family.type = type;
  family.merge = type == MetricType::kGauge ? merge : Merge::kSum;
  by_name_.emplace(family.name, &family);
}

Exposition::Family* Exposition::find(std::string_view name) {
  const auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : it->second;
}

void Exposition::put(Family& family, std::string key, double value) {
  const auto it = family.index.find(key);
  if (it == family.index.end()) {
    if (series_ >= max_series_) {
      ++dropped_;
      return;
    }
    ++series_;
    family.index.emplace(key, family.samples.size());
    family.samples.push_back({std::move(key), value});
    return;
  }
  double& held = family.samples[it->second].value;
  switch (family.merge) {
    case Merge::kSum:
      held += value;
      break;
    case Merge::kMax:
      held = std::max(held, value);
      break;
    case Merge::kMin:
      held = std::min(held, value);
      break;
  }
}

void Exposition::add(std::string_view name, std::string_view labels, double value) {
  Family* family = find(name);
  if (family == nullptr) return;
  std::string key(name);
  if (!labels.empty()) {
    key += '{';
    key += labels;
    key += '}';
  }
  put(*family, std::move(key), value);
}

void Exposition::add_histogram(std::string_view name, std::string_view labels,
                               const std::vector<double>& bounds,
                               const std::vector<uint64_t>& counts, double sum) {
  Family* family = find(name);
  if (family == nullptr || counts.size() != bounds.size() + 1) return;
  uint64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    std::string key(name);
    key += "_bucket{";
    std::string inner(labels);
    std::string bound;
    append_number(bound, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity());
    append_label(inner, "le", bound);
    key += inner;
    key += '}';
    put(*family, std::move(key), static_cast<double>(total));
  }
  const std::string tail = labels.empty() ? "" : "{" + std::string(labels) + "}";
  put(*family, std::string(name) + "_sum" + tail, sum);
  put(*family, std::string(name) + "_count" + tail, static_cast<double>(total));
}

// One line of a text into `lines`; its family is the longest declared name that fits.
Status Exposition::read_line(std::string_view line, size_t number, std::vector<Line>& lines) const {
  const auto wrong = [&](std::string_view what) {
    return fail(Code::kInvalid,
                "metrics text, line " + std::to_string(number) + ": " + std::string(what));
  };
  if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
    const bool is_help = line[2] == 'H';
    line.remove_prefix(7);
    const size_t space = line.find(' ');
    const std::string_view name = line.substr(0, space);
    if (!is_name(name)) return wrong("expected a metric's name");
    const std::string_view rest =
        space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
    if (is_help) {
      lines.push_back({.family = name, .declares = true, .help = rest});
      return {};
    }
    const auto type = parse_type(rest);
    if (!type) return wrong("expected counter, gauge or histogram");
    // The help before it belongs to it.
    if (!lines.empty() && lines.back().declares && lines.back().family == name) {
      lines.back().type = *type;
    } else {
      lines.push_back({.family = name, .declares = true, .type = *type});
    }
    return {};
  }
  if (line.starts_with('#')) return {};
  const size_t name_end = line.find_first_of("{ ");
  if (name_end == std::string_view::npos) return wrong("expected a value");
  if (!is_name(line.substr(0, name_end))) return wrong("expected a metric's name");
  size_t key_end = name_end;
  if (line[name_end] == '{') {
    const size_t length = label_block(line.substr(name_end));
    if (length == std::string_view::npos) return wrong("the labels are not well-formed");
    key_end += length;
  }
  std::string_view rest = trim(line.substr(key_end));
  rest = rest.substr(0, rest.find(' '));  // a timestamp may follow
  const auto value = parse_value(rest);
  if (!value) return wrong("expected a number");
  lines.push_back(
      {.family = line.substr(0, name_end), .key = line.substr(0, key_end), .value = *value});
  return {};
}

Status Exposition::add_text(std::string_view text) {
  std::vector<Line> lines;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty()) continue;
    SP_CHECK_OK(read_line(line, number, lines));
  }
  for (const Line& line : lines) {
    if (line.declares) {
      declare(line.family, line.type, line.help);
      continue;
    }
    Family* family = find(line.family);
    for (const std::string_view suffix : kSuffixes) {
      if (family != nullptr || !line.family.ends_with(suffix)) continue;
      family = find(line.family.substr(0, line.family.size() - suffix.size()));
      if (family != nullptr && family->type != MetricType::kHistogram) family = nullptr;
    }
    if (family != nullptr) put(*family, std::string(line.key), line.value);
  }
  return {};
}

std::string Exposition::text() const {
  std::string out;
  for (const Family& family : families_) {
    if (family.samples.empty()) continue;
    out += "# HELP " + family.name + ' ' + family.help + '\n';
    out += "# TYPE " + family.name + ' ';
    out += type_name(family.type);
    out += '\n';
    for (const Sample& sample : family.samples) {
      out += sample.key;
      out += ' ';
      append_number(out, sample.value);
      out += '\n';
    }
  }
  return out;
}

}  // namespace sallyport::telemetry
