#include "k8s/istio_values.h"

#include <algorithm>
#include <array>

#include "base/ip.h"
#include "base/strings.h"

namespace sallyport::k8s {
namespace {

constexpr size_t kMostServiceAccounts = 16;
constexpr size_t kMostServiceAccountBytes = 320;

// A segment of a template that is no operator: RFC 3986 pchar without "*".
bool is_literal(std::string_view segment) {
  constexpr std::string_view kOther = "-._~%!$&'()+,;:@=";
  return !segment.empty() && std::all_of(segment.begin(), segment.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOther.find(c) != std::string_view::npos;
  });
}

bool has_template(std::string_view path) {
  return path.find("{*}") != std::string_view::npos || path.find("{**}") != std::string_view::npos;
}

void check_glob(const Field& item) {
  std::string_view text = item.text();
  size_t stars = static_cast<size_t>(std::count(text.begin(), text.end(), '*'));
  if (stars == 0 || (stars == 1 && (text.front() == '*' || text.back() == '*'))) return;
  item.warning(quoted(text) +
               ": only one \"*\" at the beginning or at the end is a wildcard; any other is an "
               "ordinary character");
}

void check_path(const Field& item) {
  std::string_view text = item.text();
  if (std::string wrong = check_path_template(text); !wrong.empty()) return item.error(wrong);
  if (!has_template(text)) check_glob(item);
  if (text.front() != '/' && text.front() != '*' && !text.starts_with("{*"))
    item.warning(quoted(text) + " matches no path: paths begin with \"/\"");
}

void check_ip_block(const Field& item) {
  const std::string& text = item.text();
  if (text.find('/') != std::string::npos) {
    if (auto cidr = Cidr::parse(text); !cidr)
      item.error("bad CIDR range (" + quoted(text) + "), expected a form like 198.18.0.0/16");
  } else if (auto ip = Ip::parse(text); !ip) {
    item.error("bad IP address (" + quoted(text) + "), expected a form like 198.18.0.1");
  }
}

void check_port(const Field& item) {
  auto port = parse_number<uint32_t>(item.text());
  if (!port || *port > 65535)
    item.error("bad port (" + quoted(item.text()) + "), expected a number from 0 to 65535");
}

void check_trust_domain(const Field& item) {
  std::string_view text = item.text();
  if (text.find('/') != std::string_view::npos)
    return item.error(quoted(text) + ": a trust domain has no \"/\"");
  size_t star = text.find('*');
  if (star == std::string_view::npos) return;
  bool once = text.rfind('*') == star;
  if (!once || (star != 0 && star + 1 != text.size()))
    item.error(quoted(text) + ": only one \"*\" is allowed, at the beginning or at the end");
}

void check_service_account(const Field& item) {
  const std::string& text = item.text();
  if (text.size() > kMostServiceAccountBytes)
    return item.error("is " + std::to_string(text.size()) + " characters long, expected at most " +
                      std::to_string(kMostServiceAccountBytes));
  if (text.find('*') != std::string::npos)
    return item.error(quoted(text) + ": wildcard not allowed");
  std::vector<std::string> parts = split(text, '/');
  bool empty = std::any_of(parts.begin(), parts.end(), [](const auto& p) { return p.empty(); });
  if (parts.size() > 2 || empty)
    item.error(quoted(text) + ": expected format 'serviceAccount' or 'namespace/serviceAccount'");
}

// "request.headers[NAME]", "request.auth.claims[a][b]": brackets with something in each.
bool has_brackets(std::string_view rest, bool nested) {
  int count = 0;
  while (!rest.empty()) {
    size_t close = rest.find(']');
    if (rest.front() != '[' || close == std::string_view::npos || close == 1) return false;
    if (rest.substr(1, close - 1).find('[') != std::string_view::npos) return false;
    rest.remove_prefix(close + 1);
    ++count;
  }
  return nested ? count >= 1 : count == 1;
}

ConditionKey bad_key(std::string_view key, const std::string& why) {
  return {ValueForm::kAny, false, quoted(key) + ": " + why};
}

}  // namespace

std::string check_path_template(std::string_view path) {
  if (path.find_first_of("{}") == std::string_view::npos) return "";
  std::string text = "invalid or unsupported path " + quoted(path) + ": ";
  bool is_template = has_template(path);
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  bool any_seen = false;
  for (const std::string& segment : split(path, '/')) {
    bool any = segment == "{**}";
    if (any || segment == "{*}") {
      if (any_seen) return text + "{**} is not the last operator";
      any_seen = any;
      continue;
    }
    if (segment.find_first_of("{}") != std::string::npos)
      return text +
             "contains '{' or '}' beyond a supported path template ({*} or {**} as a whole "
             "segment)";
    if (is_template && !is_literal(segment))
      return text + "invalid string literal " + quoted(segment) + " beside a path template";
  }
  return "";
}

void check_istio_values(const Field& list, ValueForm form) {
  std::vector<Field> items = list.items();
  if (form == ValueForm::kServiceAccount && items.size() > kMostServiceAccounts)
    list.error(std::to_string(items.size()) + " values; may not have more than 16 values");
  for (const Field& item : items) {
    if (item.present() && !item.value().is_string()) continue;  // reported already
    if (item.text().empty()) {
      item.error("empty value not allowed, found in " + list.key());
      continue;
    }
    switch (form) {
      case ValueForm::kAny:
        break;
      case ValueForm::kGlob:
        check_glob(item);
        break;
      case ValueForm::kPath:
        check_path(item);
        break;
      case ValueForm::kIpBlock:
        check_ip_block(item);
        break;
      case ValueForm::kPort:
        check_port(item);
        break;
      case ValueForm::kTrustDomain:
        check_trust_domain(item);
        break;
      case ValueForm::kServiceAccount:
        check_service_account(item);
        break;
    }
  }
}

ConditionKey find_condition_key(std::string_view key) {
  struct Plain {
    std::string_view key;
    ValueForm form;
    bool http_only;
  };
  constexpr std::array kPlain{Plain{"source.ip", ValueForm::kIpBlock, false},
                              Plain{"remote.ip", ValueForm::kIpBlock, false},
                              Plain{"source.namespace", ValueForm::kAny, false},
                              Plain{"source.principal", ValueForm::kGlob, false},
                              Plain{"source.serviceAccount", ValueForm::kServiceAccount, false},
                              Plain{"source.trustDomain", ValueForm::kTrustDomain, false},
                              Plain{"request.auth.principal", ValueForm::kGlob, true},
                              Plain{"request.auth.audiences", ValueForm::kGlob, true},
                              Plain{"request.auth.presenter", ValueForm::kGlob, true},
                              Plain{"destination.ip", ValueForm::kIpBlock, false},
                              Plain{"destination.port", ValueForm::kPort, false},
                              Plain{"connection.sni", ValueForm::kGlob, false}};
  for (const Plain& plain : kPlain)
    if (plain.key == key) return {plain.form, plain.http_only, ""};

  struct Keyed {
    std::string_view start;
    bool nested;
    bool http_only;
  };
  constexpr std::array kKeyed{Keyed{"request.headers", false, true},
                              Keyed{"request.auth.claims", true, true},
                              Keyed{"experimental.envoy.filters.", false, false}};
  for (const Keyed& keyed : kKeyed) {
    if (!key.starts_with(keyed.start)) continue;
    std::string_view rest = key.substr(keyed.start.size());
    if (keyed.start.ends_with('.')) {  // a filter's name goes before the brackets
      size_t open = std::min(rest.find('['), rest.size());
      if (open > 0) rest.remove_prefix(open);
    }
    ConditionKey found{ValueForm::kGlob, keyed.http_only, ""};
    if (keyed.start.ends_with('.')) found.form = ValueForm::kAny;
    if (!has_brackets(rest, keyed.nested))
      found.problem = "bad key (" + quoted(key) + "): should have format a[b]";
    return found;
  }
  if (key == "destination.namespace")
    return bad_key(key, "was replaced by metadata.namespace of the policy");
  if (key.starts_with("destination.labels"))
    return bad_key(key, "was replaced by the workload selector");
  if (key == "destination.name") return bad_key(key, "was replaced by the workload selector");
  if (key == "destination.user")
    return bad_key(key, "is no longer supported; use the workload selector");
  return bad_key(
      key,
      "unknown attribute, expected one of source.ip, remote.ip, source.namespace, "
      "source.principal, source.serviceAccount, source.trustDomain, request.headers[NAME], "
      "request.auth.principal, request.auth.audiences, request.auth.presenter, "
      "request.auth.claims[NAME], destination.ip, destination.port, connection.sni");
}

}  // namespace sallyport::k8s
