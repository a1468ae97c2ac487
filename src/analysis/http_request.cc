#include "analysis/http_request.h"

#include "http/syntax.h"

namespace sallyport::analysis {
namespace {

std::unexpected<Error> reject(std::string why) {
  return fail(Code::kInvalid, std::move(why));
}

// "http://host/path" to "/path"; the host is kept apart.
Status split_absolute(std::string& target, std::string& host) {
  if (target.empty() || target.front() == '/' || target == "*") return {};
  size_t colon = target.find("://");
  std::string scheme = colon == std::string::npos ? "" : target.substr(0, colon);
  if (!http::equal_fold(scheme, "http") && !http::equal_fold(scheme, "https"))
    return reject("the target is no path");
  size_t begin = colon + 3;
  size_t end = target.find_first_of("/?", begin);
  host = target.substr(begin, end == std::string::npos ? end : end - begin);
  if (!http::is_authority(host)) return reject("the target has no sound host");
  if (end != std::string::npos && target[end] == '?')
    return reject("the target has a query and no path");
  target = end == std::string::npos ? "/" : target.substr(end);
  return {};
}

// Taken out by the proxy before anything is decided: about one hop, or the proxies' own.
bool is_stripped(std::string_view name) {
  return http::is_hop_by_hop(name) || name == "x-forwarded-client-cert" ||
         name.starts_with("x-envoy-");
}

Status take_headers(const HttpQuery& query, CanonicalRequest& out) {
  for (const auto& [given, value] : query.headers) {
    if (!http::is_token(given)) return reject("a header's name is not sound");
    if (!http::is_value(value)) return reject("the value of a header is not sound");
    std::string name = given;
    for (char& c : name) c = http::token_lower(c);
    if (name == "host") {
      if (!out.host.empty() && !http::equal_fold(out.host, value))
        return reject("two hosts are named");
      out.host = value;
    } else if (!is_stripped(name)) {
      out.headers.emplace_back(std::move(name), value);
    }
  }
  return {};
}

}  // namespace

Result<CanonicalRequest> canonical_request(const HttpQuery& query,
                                           const authz::PathOptions& options) {
  CanonicalRequest out;
  out.method = query.method;
  if (!http::is_method(query.method))
    return reject("the method is not sound, expected a token in upper case");
  if (query.method == "CONNECT") return reject("the method CONNECT is not taken");
  std::string target = query.path;
  std::string absolute_host;
  SP_CHECK_OK(split_absolute(target, absolute_host));
  out.host = query.host.empty() ? absolute_host : query.host;
  if (!absolute_host.empty() && !http::equal_fold(absolute_host, out.host))
    return reject("two hosts are named");
  SP_CHECK_OK(take_headers(query, out));
  if (!out.host.empty() && !http::is_authority(out.host)) return reject("the host is not sound");
  if (target == "*") {
    if (query.method != "OPTIONS") return reject("only OPTIONS may have the target *");
    out.target = target;
    out.path_length = 1;
    return out;
  }
  if (auto done = authz::canonicalize(target, options, out.target, out.path_length); !done)
    return reject(std::move(done).error().message);
  return out;
}

}  // namespace sallyport::analysis
