#include "authz/path.h"

#include <algorithm>

namespace sallyport::authz {
namespace {

using k8s::PathNormalization;

constexpr char kHex[] = "0123456789ABCDEF";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char low = static_cast<char>(c | 0x20);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool is_unreserved(unsigned char c) {
  const auto low = static_cast<unsigned char>(c | 0x20);
  return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

bool is_dots(std::string_view text) {
  return text == "." || text == "..";
}

// Bytes of a path, as they are decoded one after another: well-formed UTF-8 without overlong forms,
// surrogates and what lies beyond U+10FFFF (Unicode 15, table 3-7).
class Utf8 {
 public:
  bool take(unsigned char c) {
    if (pending_ > 0) {
      if (c < least_ || c > most_) return false;
      least_ = 0x80;
      most_ = 0xBF;
      --pending_;
      return true;
    }
    if (c < 0x80) return true;
    if (c >= 0xC2 && c <= 0xDF) return begin(1, 0x80, 0xBF);
    if (c >= 0xE0 && c <= 0xEF) return begin(2, c == 0xE0 ? 0xA0 : 0x80, c == 0xED ? 0x9F : 0xBF);
    if (c >= 0xF0 && c <= 0xF4) return begin(3, c == 0xF0 ? 0x90 : 0x80, c == 0xF4 ? 0x8F : 0xBF);
    return false;
  }
  [[nodiscard]] bool whole() const { return pending_ == 0; }

 private:
  bool begin(int pending, unsigned char least, unsigned char most) {
    pending_ = pending;
    least_ = least;
    most_ = most;
    return true;
  }
  int pending_ = 0;
  unsigned char least_ = 0x80, most_ = 0xBF;
};

// Writes the path into `out` segment by segment; `out` always begins with the root's slash.
class Writer {
 public:
  Writer(const PathOptions& options, std::string& out) : options_(options), out_(out) {}

  // Null, or why there is no canonical form.
  const char* run(std::string_view path) {
    out_.push_back('/');
    for (size_t i = 1; i < path.size(); ++i) {
      const auto c = static_cast<unsigned char>(path[i]);
      const char* wrong = nullptr;
      if (c == '%') {
        const int high = i + 2 < path.size() ? hex_digit(path[i + 1]) : -1;
        const int low = high < 0 ? -1 : hex_digit(path[i + 2]);
        if (low < 0) return "a percent sign is not followed by two hexadecimal digits";
        i += 2;
        wrong = escape(static_cast<unsigned char>(high << 4 | low));
      } else {
        if (!utf8_.take(c)) return "its bytes are not UTF-8";
        if (c == '/' || c == '\\') {
          wrong = end_segment(true);
        } else {
          out_.push_back(static_cast<char>(c));
        }
      }
      if (wrong != nullptr) return wrong;
    }
    if (!utf8_.whole()) return "its bytes are not UTF-8";
    return end_segment(false);
  }

 private:
  const char* escape(unsigned char c) {
    if (!utf8_.take(c)) return "its bytes are not UTF-8";
    if (c == 0) return "it holds an escaped NUL";
    if (is_unreserved(c)) {
      out_.push_back(static_cast<char>(c));
      return nullptr;
    }
    if (c == '/' || c == '\\') {
      if (options_.mode == PathNormalization::kDecodeAndMergeSlashes) return end_segment(true);
      if (!options_.allow_escaped_slashes) return "it holds an escaped slash";
      if (const char* wrong = end_piece()) return wrong;
      escaped_slash_ = true;
    }
    out_.push_back('%');
    out_.push_back(kHex[c >> 4]);
    out_.push_back(kHex[c & 15]);
    if (c == '/' || c == '\\') piece_ = out_.size();
    return nullptr;
  }

  // A piece lies between slashes, escaped or not. Where a segment has escaped slashes, an
  // application that decodes them must find the segments that it finds without.
  const char* end_piece() const {
    const std::string_view piece = std::string_view(out_).substr(piece_);
    if (piece.empty()) return "an escaped slash has nothing beside it";
    if (is_dots(piece)) return "an escaped slash has a segment of dots beside it";
    return check_parameters(piece);
  }

  static const char* check_parameters(std::string_view piece) {
    if (!piece.starts_with('.')) return nullptr;
    const size_t end = std::min(piece.find(';'), piece.find("%3B"));
    if (end != std::string_view::npos && is_dots(piece.substr(0, end)))
      return "a segment of dots has parameters";
    return nullptr;
  }

  const char* end_segment(bool slash) {
    if (escaped_slash_) {
      if (const char* wrong = end_piece()) return wrong;
    }
    const std::string_view segment = std::string_view(out_).substr(segment_);
    if (const char* wrong = check_parameters(segment)) return wrong;
    if (segment == ".") {
      out_.resize(segment_);
    } else if (segment == "..") {
      out_.resize(segment_);
      if (segment_ > 1) out_.resize(out_.rfind('/', segment_ - 2) + 1);
    } else if (slash) {
      out_.push_back('/');
    }
    segment_ = piece_ = out_.size();
    escaped_slash_ = false;
    return nullptr;
  }

  const PathOptions& options_;
  std::string& out_;
  size_t segment_ = 1;  // where the segment begins that is being written
  size_t piece_ = 1;
  bool escaped_slash_ = false;  // in this segment
  Utf8 utf8_;
};

const char* check_bytes(std::string_view path, std::string_view query) {
  if (path.empty() || path.front() != '/') return "it does not begin with a slash";
  for (std::string_view part : {path, query}) {
    for (char each : part) {
      const auto c = static_cast<unsigned char>(each);
      if (c < 0x20 || c == 0x7F) return "it holds a control byte";
      if (c == ' ') return "it holds a space";
      if (c == '#') return "it holds a fragment";
    }
  }
  for (char each : path)
    if (static_cast<unsigned char>(each) >= 0x80) return "it holds a byte beyond ASCII";
  return nullptr;
}

}  // namespace

Status canonicalize(std::string_view target, const PathOptions& options, std::string& out,
                    size_t& path_length) {
  const size_t mark = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, mark), query = target.substr(mark);
  out.clear();
  path_length = 0;
  const char* wrong = check_bytes(path, query);
  if (wrong == nullptr) {
    if (options.mode == PathNormalization::kNone) {
      out.append(path);
    } else {
      wrong = Writer(options, out).run(path);
    }
  }
  if (wrong != nullptr) {
    out.clear();
    return fail(Code::kInvalid, std::string("the path has no canonical form: ") + wrong);
  }
  if (options.mode == PathNormalization::kMergeSlashes ||
      options.mode == PathNormalization::kDecodeAndMergeSlashes)
    out.erase(
        std::unique(out.begin(), out.end(), [](char a, char b) { return a == '/' && b == '/'; }),
        out.end());
  path_length = out.size();
  out.append(query);
  return {};
}

}  // namespace sallyport::authz
